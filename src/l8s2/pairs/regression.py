"""The radiometric relation of a pair, band by band: robust, and with errors in both variables. Pure numpy.

Least squares of Landsat on Sentinel-2 would take all disagreement for Landsat's error and find slopes that are too
small. The geometric mean of the two regressions (reduced major axis, Ricker 1973, J. Fish. Res. Board Can. 30, 409-434)
treats the sensors alike: exchanged, the slope becomes its inverse. It is what two instruments of like noise ask for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from l8s2.arrays import Array

ENOUGH = 100
"""Pixels without which no line is drawn."""
_TAIL = 3.0
"""Robust standard deviations from the line beyond which a pixel does not draw it: cloud edges, harvested fields."""
_ROUNDS = 5
LEAST_LIKENESS = 0.3
"""Robust correlation from which there is a line. Independent numbers reach 0.16; lines with 30 % of clouds left in stay
over 0.7."""
_TENTHS = 2.563
"""Standard deviations between the first and the last tenth of normal numbers."""
_FLAT = 1e-6
"""Reflectance within which a band is said to be constant."""


@dataclass(frozen=True, kw_only=True)
class BandFit:
    """``landsat = slope * sentinel2 + intercept`` of one band, and how well it holds over all usable pixels."""

    slope: float
    """NaN, as ``intercept`` and ``rmse``, where pixels are too few, all alike, or do not grow with each other."""
    intercept: float
    """Reflectance."""
    n: int
    """Pixels usable in both."""
    r: float
    """Pearson correlation over all of them; NaN where either is constant."""
    rmse: float
    """Root mean square distance of Landsat from the line over all of them, reflectance."""


def fit_bands(sentinel2: Array, landsat: Array) -> tuple[BandFit, ...]:
    """Fit a line for every band.

    Args:
        sentinel2: (bands, h, w) reflectance as OLI would see it at 30 m (``as_oli.as_landsat``), aligned; NaN is not
            used.
        landsat: (bands, h, w) reflectance, likewise.
    """
    return tuple(fit_band(s, t) for s, t in zip(sentinel2, landsat, strict=True))


def fit_band(sentinel2: Array, landsat: Array) -> BandFit:
    """Fit the line of one band; arrays of one shape, NaN is not used."""
    usable = np.isfinite(sentinel2) & np.isfinite(landsat)
    both = np.stack([sentinel2[usable], landsat[usable]]).astype(np.float64)  # (2, n)
    n, nan = both.shape[1], float("nan")
    if n < ENOUGH or np.ptp(both, axis=1).min() < _FLAT:
        return BandFit(slope=nan, intercept=nan, n=n, r=nan, rmse=nan)
    r = float(np.corrcoef(both[0], both[1])[0, 1])
    kept = np.ones(n, bool)
    for _ in range(_ROUNDS):
        low, middle, high = np.quantile(both[:, kept], [0.1, 0.5, 0.9], axis=1, keepdims=True)
        if (high - low).min() < _FLAT:
            return BandFit(slope=nan, intercept=nan, n=n, r=r, rmse=nan)
        standard = (both - middle) / (high - low)
        apart = np.abs(standard[0] - standard[1])
        if kept.all():  # of normal numbers; clouds left in either hardly change it
            likeness = 1 - (1.4826 * np.median(apart) * _TENTHS) ** 2 / 2
        kept = apart <= _TAIL * 1.4826 * np.median(apart[kept]) + 1e-9
    x, y = both[:, kept]
    if likeness < LEAST_LIKENESS or np.corrcoef(x, y)[0, 1] <= 0:
        return BandFit(slope=nan, intercept=nan, n=n, r=r, rmse=nan)
    slope = float(y.std() / x.std())
    intercept = float(y.mean() - slope * x.mean())
    rmse = float(np.sqrt(np.mean((both[1] - slope * both[0] - intercept) ** 2)))
    return BandFit(slope=slope, intercept=intercept, n=n, r=r, rmse=rmse)
