"""Exact percentiles and histograms of reflectance, from counts of its stored steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Array, Values
from l8s2.radiometry import NODATA, SCALE, encoded
from l8s2.sensors import N_BANDS

_SIZE = 1 << 16


class Counts:
    """How often each step of 0.0001 occurs in each band."""

    def __init__(self) -> None:
        self._counts = np.zeros((N_BANDS, _SIZE), np.int64)

    def add(self, values: Array) -> None:
        """Take in (6, n) reflectance or standard errors; NaN does not count."""
        for counts, band in zip(self._counts, values, strict=True):
            steps = encoded(band.astype(np.float32)).astype(np.int64)
            counts += np.bincount(steps[steps != NODATA] - NODATA, minlength=_SIZE)

    @property
    def n(self) -> int:
        """Values in the band that has the most."""
        return int(self._counts.sum(1).max())

    def percentile(self, share: float) -> Values:
        """Return per band (6,) the smallest value that at least ``share`` percent do not exceed; NaN without any."""
        running = self._counts.cumsum(1)
        totals = running[:, -1]
        wanted = np.maximum(np.ceil(share / 100 * totals), 1)
        found = np.array([np.searchsorted(row, need) for row, need in zip(running, wanted, strict=True)])
        return np.where(totals > 0, (found + NODATA) * SCALE, np.nan)

    def mean(self) -> Values:
        """Return per band (6,); NaN without any."""
        totals = self._counts.sum(1)
        sums = self._counts @ (np.arange(_SIZE) + NODATA)
        return np.where(totals > 0, sums * SCALE / np.maximum(totals, 1), np.nan)

    def std(self) -> Values:
        """Return per band (6,); NaN without any."""
        totals = self._counts.sum(1)
        off = (np.arange(_SIZE) + NODATA) * SCALE - self.mean()[:, None]
        squares = (self._counts * off**2).sum(1)
        return np.where(totals > 0, np.sqrt(squares / np.maximum(totals, 1)), np.nan)

    def shares(self, band: int, edges: Values) -> NDArray[np.float64]:
        """Return the share of the values of a band between each two edges, which are multiples of a step."""
        running = np.concatenate([[0], self._counts[band].cumsum()])
        at = np.clip(np.rint(edges / SCALE).astype(np.int64) - NODATA, 0, _SIZE)
        return np.asarray(np.diff(running[at]) / max(running[-1], 1))
