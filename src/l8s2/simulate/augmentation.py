"""Ground that the imagery does not show. Arrays are (6, H, W) reflectance at 10 m, without NaN."""

from __future__ import annotations

import numpy as np

from l8s2.arrays import Float
from l8s2.optics import resample
from l8s2.sensors import N_BANDS


def vary_band_contrast(truth: Float, rng: np.random.Generator) -> Float:
    """Change how the bands vary against each other, so that detail of pan is never simply copied.

    Snow is the case in mind: bright and rich in the visible, dark, flat and inverted in the short-wave infrared.
    """
    visible, nir, swir = np.exp(rng.uniform(np.log((0.5, 0.15, 0.1)), np.log((2.5, 1.5, 1.5))))
    contrast = np.array([visible] * 3 + [nir * rng.choice((1, 1, 1, -1))] + [swir * rng.choice((1, 1, 1, -1))] * 2)
    mean = truth.mean((1, 2), keepdims=True)
    level = mean * np.exp(rng.normal(0, 0.2, (N_BANDS, 1, 1)))
    changed: Float = level + contrast[:, None, None] * (truth - mean)
    return changed


def random_haze(shape: tuple[int, ...], rng: np.random.Generator) -> Float:
    """Return smooth structure that pan does not share: errors of the atmospheric correction, strongest near clouds."""
    side = int(rng.integers(3, 14))
    coarse = rng.standard_normal((1, side, side)) + 0.3 * rng.standard_normal((N_BANDS, side, side))
    amplitude = np.exp(rng.uniform(np.log(0.003), np.log(0.08))) * rng.uniform(0.2, 1.2, (N_BANDS, 1, 1))
    rows, columns = (np.linspace(0, side - 1, n) for n in shape[1:])
    return resample((coarse * amplitude).astype(np.float32), rows, columns, 0.5)


def add_foreign_detail(truth: Float, foreign: Float, rng: np.random.Generator) -> Float:
    """Add the detail of another site to some of the bands, so that they hold what pan does not tell.

    The visible bands, nir08 and the short-wave infrared each get a share of their own, often none, in units of
    their own contrast: 1 makes the foreign detail as strong as the band's.
    """
    shares = rng.uniform(0.2, 1.2, 3) * (rng.random(3) < 0.5)
    shares = np.array([shares[0]] * 3 + [shares[1]] + [shares[2]] * 2)[:, None, None]
    detail = foreign - foreign.mean((1, 2), keepdims=True)
    contrast, other = (x.std((1, 2), keepdims=True) for x in (truth, foreign))
    changed: Float = truth + (shares * np.minimum(contrast / np.maximum(other, 1e-4), 5.0) * detail).astype(np.float32)
    return changed
