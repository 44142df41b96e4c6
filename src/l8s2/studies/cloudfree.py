"""How many more clear looks at the ground does Landsat add to Sentinel-2?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Mask, windows
from l8s2.cube.layout import CHUNK
from l8s2.cube.observation import clear
from l8s2.cube.store import Cube
from l8s2.errors import InputError
from l8s2.progress import Progress
from l8s2.studies.bootstrap import Estimate
from l8s2.studies.chart import Panel, chart
from l8s2.studies.result import Study

SETS: dict[str, tuple[str, ...]] = {"Sentinel-2": ("msi",), "Landsat": ("oli",), "together": ("msi", "oli")}
"""Sensors of a cube that are counted, by the name of the row."""
_MOST = 400
"""Clear days of a month, or days of a gap, that a histogram tells apart."""


class _Counts(NamedTuple):
    """Histograms over pixels, of one set of sensors."""

    days: NDArray[np.int64]
    """(months, _MOST): pixels by their number of clear days in a month."""
    gaps: NDArray[np.int64]
    """(_MOST,): pixels by their longest time without a clear day."""


def study_cloudfree(path: Path, *, progress: Progress | None = None) -> Study:
    """Count clear days per pixel and month in a cube: of Sentinel-2, of Landsat, of both together.

    A day counts once for a pixel, by the sun, however often it was seen that day. Clear is neither fill nor cloud, its
    surroundings, cirrus or shadow, by the quality bits of the cube.

    Args:
        path: folder of the cube, of one period and both sensors.
        progress: told how many pixels are done.

    Raises InputError for anything that is not a cube, and where one sensor is missing.
    """
    cube = Cube(path)
    sensors = [str(name) for name in cube.columns["sensor"]]
    for needed, name in (("msi", "Sentinel-2"), ("oli", "Landsat")):
        if needed not in sensors:
            raise InputError(f"{path}: holds no observation of {name}; append some with l8s2 cube")
    days = np.asarray(cube.columns["solar_day"], np.int64)
    months = _months(days)
    names = sorted(set(months))
    counts = {key: _Counts(np.zeros((len(names), _MOST), np.int64), np.zeros(_MOST, np.int64)) for key in SETS}
    done, total = 0, cube.box.shape[0] * cube.box.shape[1]
    for rows, columns in windows(cube.box.shape, CHUNK):
        _count(cube, (rows, columns), days, [names.index(month) for month in months], sensors, counts)
        done += (rows.stop - rows.start) * (columns.stop - columns.start)
        if progress:
            progress(done, total, "counting")
    return _study(counts, names, sensors, int(days.max() - days.min()) + 1)


def _months(days: NDArray[np.int64]) -> list[str]:
    return [(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=int(day))).strftime("%Y-%m") for day in days]


def _count(
    cube: Cube, window: tuple[slice, slice], days: NDArray[np.int64], months: Sequence[int], sensors: Sequence[str],
    counts: dict[str, _Counts],
) -> None:  # fmt: skip
    """Add the pixels of a window to the histograms."""
    shape = tuple(s.stop - s.start for s in window)
    seen = {key: np.zeros((len(counts[key].days), *shape), np.uint16) for key in SETS}
    last = {key: np.full(shape, days.min() - 1, np.int32) for key in SETS}
    gap = {key: np.zeros(shape, np.int32) for key in SETS}
    for day, masks in _by_day(cube, window, days, sensors):
        month = months[int(np.flatnonzero(days == day)[0])]
        for key, members in SETS.items():
            mask = np.logical_or.reduce([masks[name] for name in members if name in masks] or [np.zeros(shape, bool)])
            seen[key][month] += mask
            gap[key][mask] = np.maximum(gap[key][mask], day - last[key][mask])
            last[key][mask] = day
    for key, found in counts.items():
        longest = np.maximum(gap[key], int(days.max()) + 1 - last[key])
        found.gaps[:] += np.bincount(np.minimum(longest, _MOST - 1).ravel(), minlength=_MOST)
        for month, image in enumerate(seen[key]):
            found.days[month] += np.bincount(np.minimum(image, _MOST - 1).ravel(), minlength=_MOST)


def _by_day(
    cube: Cube, window: tuple[slice, slice], days: NDArray[np.int64], sensors: Sequence[str]
) -> Iterator[tuple[int, dict[str, Mask]]]:
    """Yield each solar day with where each sensor had a clear look."""
    for day in sorted(set(days.tolist())):
        masks: dict[str, Mask] = {}
        for index in np.flatnonzero(days == day):
            seen = clear(cube.group["qa"][(int(index), *window)])
            name = sensors[int(index)]
            masks[name] = seen | masks[name] if name in masks else seen
        yield day, masks


def _spread(histogram: NDArray[np.int64]) -> Estimate:
    """Return mean, 10th and 90th percentile over pixels."""
    share = histogram.cumsum() / histogram.sum()
    low, high = (int(np.searchsorted(share, p)) for p in (0.1, 0.9))
    return Estimate(float((histogram * np.arange(len(histogram))).sum() / histogram.sum()), low, high)


def _study(counts: dict[str, _Counts], names: Sequence[str], sensors: Sequence[str], period: int) -> Study:
    rows: list[dict[str, Any]] = []
    by_month: dict[str, dict[str, Estimate]] = {}
    for index, month in enumerate([*names, "all"]):
        spreads = {
            key: _spread(found.days[index]) if month != "all" else Estimate(_total(found), np.nan, np.nan)
            for key, found in counts.items()
        }
        if month != "all":
            by_month[month] = spreads
        alone = spreads["Sentinel-2"].value
        gain = round(100 * (spreads["together"].value / alone - 1), 1) if alone else None
        rows.append(
            {"month": month, **{f"{key}, clear days": round(one.value, 3) for key, one in spreads.items()},
             "gain_percent": gain}
        )  # fmt: skip
    gaps = {key: _spread(found.gaps) for key, found in counts.items()}
    gain = rows[-1]["gain_percent"]
    text = (
        f"In {period} days a pixel was seen clear on {_total(counts['Sentinel-2']):.1f} days by Sentinel-2, on "
        f"{_total(counts['Landsat']):.1f} by Landsat, and on {_total(counts['together']):.1f} by one or the other"
        + (f": {gain:+.0f} %. " if gain is not None else ". ")
        + f"The longest time without a clear day is {gaps['Sentinel-2'].value:.0f} days on average with Sentinel-2 "
        "alone, "
        f"{gaps['together'].value:.0f} with both. Numbers are means over pixels; bars go from the 10th to the 90th "
        f"percentile of "
        "pixels. Clear is what the masks of the two sensors call so; they differ in what they miss, and nothing "
        "here says how "
        "good an observation is. What the catalogues had but the cube has not cannot count."
    )
    panels = [Panel("clear days per pixel and month", by_month), Panel("longest gap, days", {"": gaps})]
    facts = {
        "period_days": period,
        "observations": {key: sum(name in members for name in sensors) for key, members in SETS.items()},
        "pixels": int(counts["together"].gaps.sum()),
        "longest_gap_days": {key: round(gap.value, 2) for key, gap in gaps.items()},
    }
    figure = chart(panels, title="Clear observations")
    return Study(name="Clear observations", rows=rows, paragraph=text, facts=facts, figure=figure)


def _total(found: _Counts) -> float:
    return float((found.days * np.arange(_MOST)).sum() / found.gaps.sum())
