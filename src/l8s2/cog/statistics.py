"""Exact figures of samples, as GDAL keeps them in a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 16
"""Samples whose squares still sum exactly in float64, and fit into the second-level cache."""


@dataclass
class Statistics:
    """Exact figures of the samples of one band, the same whatever the order they come in."""

    nodata: int | None
    count: int = 0
    total: int = 0
    squares: int = 0
    minimum: int = 1 << 31
    maximum: int = -(1 << 31)

    def add(self, samples: NDArray[Any]) -> None:
        """Take in an integer array of any shape."""
        flat = samples.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            part = flat[start : start + _CHUNK]
            if self.nodata is not None:
                known = part != self.nodata
                part = part if known.all() else part[known]
            if part.size:
                exact = part.astype(np.float64)
                self._merge(part.size, int(exact.sum()), int(np.einsum("i,i->", exact, exact)), part.min(), part.max())

    def merge(self, other: Statistics) -> None:
        """Take in what another has taken in."""
        self._merge(other.count, other.total, other.squares, other.minimum, other.maximum)

    def _merge(self, count: int, total: int, squares: int, minimum: int, maximum: int) -> None:
        self.count += count
        self.total += total
        self.squares += squares
        self.minimum = min(self.minimum, int(minimum))
        self.maximum = max(self.maximum, int(maximum))

    def tags(self, pixels: int) -> dict[str, str]:
        """GDAL's metadata items; none where no sample is valid. ``pixels``: size of the raster."""
        if not self.count:
            return {}
        deviation = math.sqrt(self.count * self.squares - self.total**2) / self.count
        return {
            "STATISTICS_MINIMUM": str(self.minimum),
            "STATISTICS_MAXIMUM": str(self.maximum),
            "STATISTICS_MEAN": repr(self.total / self.count),
            "STATISTICS_STDDEV": repr(deviation),
            "STATISTICS_VALID_PERCENT": f"{100 * self.count / pixels:.4g}",
        }
