"""How noisy the bands of a scene are, measured where its ground is flat.

Flat are windows of 5 x 5 MS pixels in which nothing but noise is left once a quadratic surface is taken out: no two
bands vary together then. Ground shows in several bands at once, noise in one. (Noise from homogeneous areas: Lee &
Hoppel 1989, Proc. IGARSS, 476-481; Gao 1993, Remote Sens. Environ. 43, 23-33. Correlation of bands as the mark of
ground: Roger & Arnold 1996, Int. J. Remote Sens. 17, 1951-1962.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from l8s2.arrays import Array, Mask, Values, enlarge
from l8s2.landsat.clear_windows import ClearWindow
from l8s2.sensors import BANDS, N_BANDS, OLI

NOISE = 3.0
"""Noise in units of the documented one above which a scene gets ``warn``: as far as the networks were tried
(docs/results.md). The noisiest of the real scenes with flat ground has 2.1 (docs/results-scene.md)."""
SIDE = 5
"""Pixels to a side of a window. Smaller ones leave too little beside the surface, larger ones hold ground."""
ENOUGH = 20
"""Fewest flat windows that are believed: the standard deviation is then right within 5 %."""
_UNRELATED = 25.0
"""Largest value of Bartlett's statistic for bands that do not vary together: 95 % quantile of chi squared with 15
degrees of freedom."""


class _Sensed(NamedTuple):
    """A band as it is documented."""

    name: str
    typical: float
    """Reflectance for which ``snr`` is stated."""
    snr: float


_MS = tuple(_Sensed(band.name, band.typical_reflectance, band.snr) for band in BANDS)
_PAN = _Sensed("pan", OLI.pan_typical_reflectance, OLI.pan_snr)


class Residuals(NamedTuple):
    """What a quadratic surface leaves of windows."""

    covariance: Values
    """(rows, columns, bands, bands), unbiased; NaN where a pixel is missing."""
    mean: Values
    """(rows, columns, bands) reflectance."""


def measure_noise(windows: Sequence[ClearWindow]) -> dict[str, Any]:
    """Measure the noise of each band and of pan, as it is in the pixels of the product.

    Returns:
        Plain values: under ``bands``, by name, ``std`` (reflectance) at ``reflectance``, ``snr`` (at the reflectance
        for which the documented one is stated) and ``documented_snr``; the number of ``windows``. ``verdict`` is
        ``good``, ``doubtful`` or ``unknown``.
    """
    samples = [_of_flat_ground(window) for window in windows]
    ms = np.concatenate([found for found, _ in samples])
    pan = np.concatenate([found for _, found in samples])
    if len(ms) < ENOUGH:
        return {"verdict": "unknown", "reason": "no ground is flat enough to tell noise from structure"}
    bands = {band.name: _noise(ms[:, :, i], band) for i, band in enumerate(_MS)}
    if len(pan) >= ENOUGH:
        bands["pan"] = _noise(pan[:, :, 0], _PAN)
    noisy = any(noise["documented_snr"] > NOISE * noise["snr"] for noise in bands.values())
    return {"bands": bands, "windows": len(ms), "verdict": "doubtful" if noisy else "good"}


def residuals(images: Array) -> Residuals:
    """Take a quadratic surface out of every window of SIDE pixels of ``images``, (bands, h, w), NaN missing."""
    rows, columns = (n // SIDE for n in images.shape[1:])
    cut = images[:, : rows * SIDE, : columns * SIDE].reshape(len(images), rows, SIDE, columns, SIDE)
    pixels = cut.transpose(1, 3, 0, 2, 4).reshape(rows, columns, len(images), SIDE**2).astype(np.float64)
    mean = pixels.mean(-1)
    left = (pixels - mean[..., None]) @ _LEFT.T
    return Residuals(left @ left.swapaxes(-1, -2) / len(_LEFT), mean)


def unrelated(covariance: Values) -> Mask:
    """Tell where bands do not vary together, by Bartlett's test (1951, Biometrika 38, 337-344).

    ``covariance`` is (..., bands, bands) of residuals. Bands that do not vary at all are no evidence: False.
    """
    deviation = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    vary = np.asarray((deviation > 0).all(-1))  # False for NaN too
    scale = np.where(vary[..., None], deviation, 1.0)
    correlation = np.where(vary[..., None, None], covariance, 0.0) / (scale[..., :, None] * scale[..., None, :])
    _, logarithm = np.linalg.slogdet(correlation)
    return np.asarray(vary & (-(len(_LEFT) - (2 * N_BANDS + 5) / 6) * logarithm < _UNRELATED))


def _of_flat_ground(window: ClearWindow) -> tuple[Values, Values]:
    """Return variance and reflectance of flat windows, (n, 2, 6) and of pan (m, 2, 1)."""
    found = residuals(np.where(window.clear, window.ms, np.nan))
    flat = unrelated(found.covariance)
    if window.pan is None:
        return _samples(found, flat), np.empty((0, 2, 1))
    pan = residuals(window.pan[None, : 2 * SIDE * flat.shape[0], : 2 * SIDE * flat.shape[1]])
    return _samples(found, flat), _samples(pan, enlarge(flat, 2) & (pan.covariance[..., 0, 0] > 0))


def _samples(found: Residuals, where: Mask) -> Values:
    variance = np.diagonal(found.covariance, axis1=-2, axis2=-1)
    return np.stack([variance[where], found.mean[where]], axis=1)


def _noise(samples: Values, band: _Sensed) -> dict[str, float]:
    """Summarise (n, 2) variances and reflectances.

    Variance grows with the signal (shot noise). What is darker than typical is as bright to the sensor: the light that
    the atmosphere scatters is in its signal, and was taken out of the reflectance.
    """
    signal = np.maximum(samples[:, 1] / band.typical, 1.0)
    degrees = len(_LEFT)
    median = (1 - 2 / (9 * degrees)) ** 3  # of chi squared over its degrees of freedom (Wilson & Hilferty 1931)
    at_typical = float(np.sqrt(np.median(samples[:, 0] / signal) / median))
    return {
        "std": float(f"{at_typical * np.sqrt(np.median(signal)):.3g}"),
        "reflectance": round(float(np.median(samples[:, 1])), 4),
        "snr": round(band.typical / at_typical, 1),
        "documented_snr": band.snr,
    }


def _orthogonal_to(surface: Iterable[Values]) -> Values:
    """Return an orthonormal basis, as rows, of what is orthogonal to all of ``surface``."""
    columns = np.stack([np.ravel(x) for x in surface], axis=1)
    basis, _ = np.linalg.qr(columns, mode="complete")
    result: Values = basis[:, columns.shape[1] :].T
    return result


_ROW, _COLUMN = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
_LEFT = _orthogonal_to((np.ones_like(_ROW), _ROW, _COLUMN, _ROW**2, _ROW * _COLUMN, _COLUMN**2))
"""(19, 25) what a quadratic surface leaves of a window."""
