"""Percentile intervals by drawing independent units (blocks, fields, sites) again, with replacement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Values

DRAWS = 2000
FEWEST = 5
"""Units below which an interval would say little; it is left out."""
_TAIL = 2.5
"""Percent beyond each end of a 95 % interval."""


class Estimate(NamedTuple):
    """A number with its 95 % interval; NaN where there are too few units."""

    value: float
    low: float
    high: float


def estimates(
    totals: NDArray[np.float64], statistics: Callable[[Values], Mapping[str, Values]], *, seed: int = 0
) -> dict[str, Estimate]:
    """Estimate statistics of sums over units.

    All are computed from the same draws, so that a difference of two of them keeps what they share.

    Args:
        totals: (units, k) sums of each unit.
        statistics: given (n, k) totals, returns each statistic as (n,).
        seed: of the draws.
    """
    units = len(totals)
    found = statistics(totals.sum(0, keepdims=True))
    if units < FEWEST:
        return {name: Estimate(float(value[0]), np.nan, np.nan) for name, value in found.items()}
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(units, np.full(units, 1 / units), size=DRAWS)
    drawn = statistics(counts @ totals)
    result = {}
    for name, value in found.items():
        finite = drawn[name][np.isfinite(drawn[name])]
        low, high = np.percentile(finite, [_TAIL, 100 - _TAIL]) if finite.size else (np.nan, np.nan)
        result[name] = Estimate(float(value[0]), float(low), float(high))
    return result


def blocks(shape: tuple[int, int], side: int) -> NDArray[np.intp]:
    """Return (h, w): the number of the square block of ``side`` pixels that each pixel lies in."""
    height, width = shape
    rows, columns = np.arange(height) // side, np.arange(width) // side
    return np.asarray(rows[:, None] * (-(-width // side)) + columns[None], np.intp)


def as_row(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as cells of a table; None for NaN."""
    return {key: None if np.isnan(value) else round(value, 6) for key, value in estimate._asdict().items()}
