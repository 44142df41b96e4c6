"""Scores on a real pair of Landsat and Sentinel-2, after what the sensors differ by in level is taken out.

Two sensors at two times differ in gain and offset for reasons that are no fault of a method. So every method gets one
gain and one offset per band that fit it best to Sentinel-2, and what is scored is the rest: whether the detail is
right.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from l8s2.arrays import Array, Mask
from l8s2.metrics import uncertainty
from l8s2.metrics.detail import detail_energy_ratio


class PairScore(NamedTuple):
    """How one band of a prediction compares with bicubic interpolation on a real pair."""

    rmse_ratio: float
    """RMSE over that of bicubic, both after their own gain and offset; below 1 something is gained."""
    detail_energy: float
    """Energy of the detail finer than 30 m over Sentinel-2's, after gain; 1 is right, more is invented."""
    best_multiple: float
    """Multiple of what the method adds to bicubic at which the error is least; 1 is right, below 1 it adds too much."""
    coverage: float
    """Share of Sentinel-2's values within 1.645 sigma, as is; 0.90 is right. NaN without sigma."""
    fitted_coverage: float
    """The same after gain and offset."""
    pixels: int
    """10 m pixels compared."""


def fit_level(prediction: Array, truth: Array, usable: Mask) -> tuple[float, float]:
    """Return (gain, offset) with ``truth = gain * prediction + offset`` by least squares over the usable pixels.

    Args:
        prediction: (H, W) reflectance.
        truth: (H, W) reflectance.
        usable: (H, W) bool, True = compared.
    """
    x, y = prediction[usable].astype(np.float64), truth[usable].astype(np.float64)
    x_mean, y_mean = x.mean(), y.mean()
    variance = np.mean((x - x_mean) ** 2)
    gain = float(np.mean((x - x_mean) * (y - y_mean)) / variance) if variance > 0 else 1.0
    return gain, float(y_mean - gain * x_mean)


def score_pair_band(
    prediction: Array, bicubic: Array, truth: Array, usable: Mask, sigma: Array | None = None
) -> PairScore:
    """Score one band against Sentinel-2.

    Args:
        prediction: (H, W) reflectance at 10 m.
        bicubic: (H, W) interpolation of the same Landsat pixels, the reference and the base of ``best_multiple``.
        truth: (H, W) reflectance that Sentinel-2 measured, co-registered.
        usable: (H, W) bool, True = compared.
        sigma: (H, W) standard error of the prediction; None without.
    """
    usable = usable & np.isfinite(prediction) & np.isfinite(bicubic) & np.isfinite(truth)
    gain, offset = fit_level(prediction, truth, usable)
    level = gain * prediction + offset
    error = (truth - level)[usable]
    of_bicubic = fit_level(bicubic, truth, usable)
    error_of_bicubic = (truth - of_bicubic[0] * bicubic - of_bicubic[1])[usable]
    columns = [bicubic[usable], (prediction - bicubic)[usable], np.ones(int(usable.sum()))]
    base, added, _ = np.linalg.lstsq(np.stack(columns, axis=1).astype(np.float64), truth[usable], rcond=None)[0]
    coverage, fitted_coverage = (
        np.nan if sigma is None else uncertainty.coverage(mean, sigma, truth, usable).value
        for mean in (prediction, level)
    )
    return PairScore(
        rmse_ratio=float(np.sqrt(np.mean(error**2) / np.mean(error_of_bicubic**2))),
        detail_energy=detail_energy_ratio(level, truth, usable).value,
        best_multiple=float(added / base),
        coverage=coverage,
        fitted_coverage=fitted_coverage,
        pixels=int(usable.sum()),
    )
