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
from l8s2.masks import flag
from l8s2.progress import Progress
from l8s2.studies.bootstrap import Estimate
from l8s2.studies.chart import Panel, chart
from l8s2.studies.result import SIMULATED, Study
from l8s2.studies.year import SAID

SETS: dict[str, tuple[str, ...]] = {"Sentinel-2": ("msi",), "Landsat": ("oli",), "together": ("msi", "oli")}
"""Sensors of a cube that are counted, by the name of the row."""
_MONTH = 32
"""Numbers of clear days that a month can have, 0 to 31."""


class _Counts(NamedTuple):
    """Histograms over pixels, of one set of sensors."""

    days: NDArray[np.int64]
    """(months, _MONTH): pixels by their number of clear days in a month."""
    gaps: NDArray[np.int64]
    """(period + 2,): pixels by the most days from one clear day to the next."""


def study_cloudfree(
    path: Path, *, simulated: bool = False, progress: Progress = lambda done, total, what: None
) -> Study:
    """Count clear days per pixel and month in a cube: of Sentinel-2, of Landsat, of both together.

    A day counts once for a pixel, by the sun, however often it was seen that day. Clear is neither fill nor cloud, its
    surroundings, cirrus or shadow, by the quality bits of the cube. Pixels that no observation covers do not count.

    Args:
        path: folder of the cube, of one period and both sensors.
        simulated: it is one of ``year.simulate_year``; figure and text say so.
        progress: told how many pixels are done.

    Raises InputError for anything that is not a cube, where one sensor is missing, and where all is fill.
    """
    cube = Cube(path)
    sensors = [str(name) for name in cube.columns["sensor"]]
    for needed, name in (("msi", "Sentinel-2"), ("oli", "Landsat")):
        if needed not in sensors:
            raise InputError(f"{path}: holds no observation of {name}; append some with l8s2 cube")
    days = np.asarray(cube.columns["solar_day"], np.int64)
    period = int(days.max() - days.min()) + 1
    names = list(dict.fromkeys(map(_month, range(int(days.min()), int(days.max()) + 1))))
    counts = {key: _Counts(np.zeros((len(names), _MONTH), np.int64), np.zeros(period + 2, np.int64)) for key in SETS}
    done, total = 0, cube.box.shape[0] * cube.box.shape[1]
    for rows, columns in windows(cube.box.shape, CHUNK):
        _count(cube, (rows, columns), days, [names.index(_month(day)) for day in days], sensors, counts)
        done += (rows.stop - rows.start) * (columns.stop - columns.start)
        progress(done, total, "counting")
    if not counts["together"].gaps.any():
        raise InputError(f"{path}: no observation covers a pixel of it; append some with l8s2 cube")
    return _study(counts, names, sensors, period, simulated)


def _month(day: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=int(day))).strftime("%Y-%m")


def _count(
    cube: Cube, window: tuple[slice, slice], days: NDArray[np.int64], months: Sequence[int], sensors: Sequence[str],
    counts: dict[str, _Counts],
) -> None:  # fmt: skip
    """Add the pixels of a window to the histograms."""
    shape = tuple(s.stop - s.start for s in window)
    seen = {key: np.zeros((len(counts[key].days), *shape), np.uint8) for key in SETS}
    last = {key: np.full(shape, days.min() - 1, np.int32) for key in SETS}
    gap = {key: np.zeros(shape, np.int32) for key in SETS}
    covered = np.zeros(shape, bool)
    for day, masks, looked in _by_day(cube, window, days, sensors):
        covered |= looked
        month = months[int(np.flatnonzero(days == day)[0])]
        for key, members in SETS.items():
            mask = np.logical_or.reduce([masks[name] for name in members if name in masks] or [np.zeros(shape, bool)])
            seen[key][month] += mask
            gap[key][mask] = np.maximum(gap[key][mask], day - last[key][mask])
            last[key][mask] = day
    for key, found in counts.items():
        longest = np.maximum(gap[key], int(days.max()) + 1 - last[key])
        found.gaps[:] += np.bincount(longest[covered], minlength=len(found.gaps))
        for month, image in enumerate(seen[key]):
            found.days[month] += np.bincount(image[covered], minlength=_MONTH)


def _by_day(
    cube: Cube, window: tuple[slice, slice], days: NDArray[np.int64], sensors: Sequence[str]
) -> Iterator[tuple[int, dict[str, Mask], Mask]]:
    """Yield each solar day, where each sensor had a clear look, and where any sensor looked at all."""
    for day in sorted(set(days.tolist())):
        masks: dict[str, Mask] = {}
        covered = np.zeros(tuple(s.stop - s.start for s in window), bool)
        for index in np.flatnonzero(days == day):
            bits = cube.read("qa", (int(index), *window))
            covered |= (bits & flag("fill")) == 0
            seen = clear(bits)
            name = sensors[int(index)]
            masks[name] = seen | masks[name] if name in masks else seen
        yield day, masks, covered


def _spread(histogram: NDArray[np.int64]) -> Estimate:
    """Return mean, 10th and 90th percentile of (n,) pixels by number."""
    share = histogram.cumsum() / histogram.sum()
    low, high = (int(np.searchsorted(share, p)) for p in (0.1, 0.9))
    return Estimate(float((histogram * np.arange(len(histogram))).sum() / histogram.sum()), low, high)


def _study(
    counts: dict[str, _Counts], names: Sequence[str], sensors: Sequence[str], period: int, simulated: bool
) -> Study:
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
    text = (SAID if simulated else "") + (
        f"In {period} days a pixel was seen clear on {_total(counts['Sentinel-2']):.1f} days by Sentinel-2, on "
        f"{_total(counts['Landsat']):.1f} by Landsat, and on {_total(counts['together']):.1f} by one or the other"
        + (f": {gain:+.0f} %. " if gain is not None else ". ")
        + f"The longest gap from one clear day to the next is {gaps['Sentinel-2'].value:.0f} days on average with "
        f"Sentinel-2 alone, {gaps['together'].value:.0f} with both. Numbers are means over pixels that were covered at "
        "least once; bars go from the 10th to the 90th percentile of pixels, which the mean of a skewed distribution "
        "may lie outside of. "
    )
    text += (
        "Here the gain follows from revisit and clouds alone; other weather, orbits that overlap and masks that err "
        "make another one."
        if simulated
        else "Clear is what the masks of the two sensors call so; they differ in what they miss, and nothing here says "
        "how good an observation is. What the catalogues had but the cube has not cannot count."
    )
    panels = [Panel("clear days per pixel and month", by_month), Panel("longest gap, days", {"": gaps})]
    facts = {
        "simulated": simulated,
        "period_days": period,
        "observations": {key: sum(name in members for name in sensors) for key, members in SETS.items()},
        "pixels": int(counts["together"].gaps.sum()),
        "longest_gap_days": {key: round(gap.value, 2) for key, gap in gaps.items()},
    }
    figure = chart(panels, title="Clear observations", note=SIMULATED if simulated else "")
    return Study(name="Clear observations", rows=rows, paragraph=text, facts=facts, figure=figure)


def _total(found: _Counts) -> float:
    """Return the mean clear days of a pixel in all months."""
    return float((found.days * np.arange(_MONTH)).sum() / found.gaps.sum())
