"""How the ground that OLI saw differs from the ground that Sentinel-2 saw, whatever the optics.

Arrays are (6, H, W) reflectance at 10 m, without NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Float
from l8s2.optics import resample
from l8s2.sensors import N_BANDS

RESPONSE = np.array(
    [
        (0.1187, -0.1554, 0.0308, 0.0099, -0.0180, 0.0127, 0.0029),
        (0.0322, -0.0695, 0.0355, -0.0022, -0.0014, 0.0044, 0.0009),
        (-0.0082, 0.0768, -0.0610, 0.0006, -0.0089, 0.0101, -0.0003),
        (-0.0005, -0.0006, 0.0013, 0.0004, -0.0020, 0.0018, 0.0000),
        (-0.0090, 0.0025, 0.0098, -0.0027, -0.0103, 0.0086, 0.0010),
        (-0.0184, 0.0044, 0.0133, 0.0010, -0.0135, 0.0103, 0.0007),
    ],
    dtype=np.float32,
)
"""How far each OLI band is off its linear relation to the corresponding MSI band, by the six MSI bands and a constant:
(6, 7).

Least squares over 8 940 hyperspectral signatures of nine locations, integrated over the spectral responses of both
sensors (SpecHomo reference cube, Scheffler et al. 2020, Remote Sens. Environ. 247, 111723): the linear relation alone
leaves 0.0032, 0.0015, 0.0020, 0.0002, 0.0008 and 0.0009, with this 0.0013, 0.0006, 0.0009, 0.0002, 0.0004 and 0.0007
(RMS reflectance)."""

_GROUPS = ((0, 1, 2), (3,), (4, 5))
"""Visible, near infrared, short-wave infrared: bands whose differences are similar."""
_ALIKE = 0.8
"""Share of the variance of a difference that the bands of a group have in common: on real pairs of Landsat-8 and
Sentinel-2 what is left correlates by 0.4-0.85 within the visible and 0.74-0.87 within the short-wave infrared, by
-0.5-0.5 between groups."""
_FINE, _BROAD = 2, 10
"""10 m pixels to a side of the cells of texture (the 20 m pixels of MSI), and distance of the nodes of unevenness (a
Gaussian of 90 m)."""
_SMOOTH = 0.9
"""Blur of unevenness, in distances of its nodes."""


def response(truth: Float, strength: float) -> Float:
    """Return what to add to each OLI band because covers differ in colour, ``strength`` times RESPONSE."""
    bands = truth.shape[0]
    added = RESPONSE[:, :N_BANDS] @ truth.reshape(bands, -1) + RESPONSE[:, N_BANDS:]
    result: Float = (strength * added).reshape(truth.shape).astype(np.float32)
    return result


def unlike(truth: Float, texture: tuple[float, ...], unevenness: tuple[float, ...], rng: np.random.Generator) -> Float:
    """Differences that only one of the sensors saw, to be added.

    Args:
        truth: decides the contrast.
        texture: one per band; standard deviation of white structure in cells of 20 m, in units of the band's own.
        unevenness: the same for smooth structure the size of fields.
        rng: source of both.

    Returns:
        Of the shape of ``truth``.
    """
    height, width = truth.shape[1:]
    contrast = truth.std((1, 2))
    fine = _drawn((-(-height // _FINE), -(-width // _FINE)), rng)
    fine *= (contrast * np.array(texture, dtype=np.float32))[:, None, None]
    fine = np.repeat(np.repeat(fine, _FINE, 1), _FINE, 2)[:, :height, :width]
    nodes = [n // _BROAD + 2 for n in (height, width)]
    rows, columns = (0.5 + np.arange(n) / _BROAD for n in (height, width))
    broad = resample(_drawn((nodes[0], nodes[1]), rng), rows, columns, _SMOOTH)
    scale = contrast * np.array(unevenness, dtype=np.float32) / np.sqrt(np.square(broad).mean((1, 2)))
    result: Float = fine + broad * scale[:, None, None]
    return result


def _drawn(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """(6, *size) of unit variance, independent from cell to cell, alike within a group of bands."""
    shared = rng.standard_normal((len(_GROUPS), *size), dtype=np.float32)
    own = rng.standard_normal((N_BANDS, *size), dtype=np.float32)
    of = [number for number, group in enumerate(_GROUPS) for _ in group]
    result: NDArray[np.float32] = np.sqrt(np.float32(_ALIKE)) * shared[of] + np.sqrt(np.float32(1 - _ALIKE)) * own
    return result
