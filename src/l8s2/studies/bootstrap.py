"""Percentile intervals by drawing independent units (blocks, fields, sites) again, with replacement."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Values

DRAWS = 2000
FEWEST = 5
"""Units below which an interval would say little; it is left out."""
_AT_ONCE = 1 << 22
"""Counts of drawn units that are in memory at a time."""


class Estimate(NamedTuple):
    """A number with its 95 % interval; NaN where there are too few units."""

    value: float
    low: float
    high: float


def estimates(
    totals: NDArray[np.float64], statistics: Callable[[Values], Mapping[str, Values]], *, seed: int = 0
) -> dict[str, Estimate]:
    """Estimate statistics of sums over units.

    All are computed from the same draws, so that a difference of two of them keeps what they share. A statistic that
    is not a number has no interval; draws in which it is none do not count.

    Args:
        totals: (units, k) sums of each unit.
        statistics: given (n, k) totals, returns each statistic as (n,).
        seed: of the draws.
    """
    units = len(totals)
    found = {name: float(value[0]) for name, value in statistics(totals.sum(0, keepdims=True)).items()}
    if units < FEWEST:
        return {name: Estimate(value, math.nan, math.nan) for name, value in found.items()}
    drawn = statistics(_drawn(totals, np.random.default_rng(seed)))
    tail = 100 * _tail(units)
    result = {}
    for name, value in found.items():
        finite = drawn[name][np.isfinite(drawn[name])]
        known = finite.size and math.isfinite(value)
        low, high = np.percentile(finite, [tail, 100 - tail]) if known else (math.nan, math.nan)
        result[name] = Estimate(value, float(low), float(high))
    return result


def _drawn(totals: NDArray[np.float64], rng: np.random.Generator) -> Values:
    """Return (DRAWS, k): the sums of as many units as there are, drawn with replacement."""
    units = len(totals)
    chances, step = np.full(units, 1 / units), max(_AT_ONCE // units, 1)
    sizes = [min(step, DRAWS - first) for first in range(0, DRAWS, step)]
    return np.concatenate([rng.multinomial(units, chances, size) @ totals for size in sizes])


def _tail(units: int) -> float:
    """Return the share of draws beyond each end of a 95 % interval.

    2.5 % for many units, less for few, of which the plain percentiles make intervals that are too short: the expanded
    percentile interval of Hesterberg 2015 (doi:10.1080/00031305.2015.1089789), with the quantile of Student's t by
    Abramowitz and Stegun 26.7.5.
    """
    z, n = NormalDist().inv_cdf(0.975), units - 1
    t = z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    return NormalDist().cdf(-t * math.sqrt(units / n))


def blocks(
    shape: tuple[int, int], side: int, first: tuple[int, int] = (0, 0)
) -> tuple[NDArray[np.intp], list[tuple[int, int]]]:
    """Divide an image into square blocks of ``side`` pixels.

    Args:
        shape: rows and columns.
        side: pixels.
        first: row and column of the upper left pixel, counted from where a block begins. Counted from one place on the
            ground, images that begin elsewhere have the same ground in the same block.

    Returns:
        (h, w) number of the block that each pixel lies in, and the row and column of each block.
    """
    (rows, down), (columns, right) = (
        np.unique((start + np.arange(n)) // side, return_inverse=True) for start, n in zip(first, shape, strict=True)
    )
    places = [(row, column) for row in rows.tolist() for column in columns.tolist()]
    return np.asarray(down[:, None] * len(columns) + right, np.intp), places


def as_row(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as cells of a table; None for what is not a number."""
    return {key: round(value, 6) if math.isfinite(value) else None for key, value in estimate._asdict().items()}
