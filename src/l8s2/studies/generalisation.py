"""Do scores hold on other continents, biomes, seasons? Scores of ``l8s2 evaluate`` by what is known of each place."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from l8s2.errors import InputError
from l8s2.sensors import BAND_NAMES
from l8s2.studies.bootstrap import Estimate, as_row, estimates
from l8s2.studies.chart import Panel, chart
from l8s2.studies.result import Study

_COLUMNS = {"model", "site", "image", "bands", "metric", "value", "n"}
_MOST_GROUPS = 30


def study_generalisation(
    scores: Sequence[Path],
    places: Path,
    by: Sequence[str],
    *,
    metric: str,
    bands: str = "all",
) -> Study:
    """Average a score over the sites of every group of places, with intervals over sites.

    Images of a site are averaged first, so that a place counts once however many images it has.

    Args:
        scores: ``scores.csv`` of evaluations.
        places: CSV with a column ``site``, as the scores name them, and columns to group by.
        by: columns of ``places``, such as continent, biome, season; each is a split of its own.
        metric: as ``scores.csv`` names it.
        bands: ``all``, ``10 m``, ``20 m`` or a band.

    Raises InputError for files that are something else, or that do not fit together.
    """
    by = list(dict.fromkeys(by))
    known = _places(places, by)
    means, lost = _site_means(scores, metric, bands, known)
    models = list(dict.fromkeys(model for model, _ in means))
    rows: list[dict[str, Any]] = []
    panels = []
    for column in by:
        groups: dict[str, dict[str, Estimate]] = {}
        labels = sorted({known[site][column] for _, site in means})
        if len(labels) > _MOST_GROUPS:
            raise InputError(
                f"`by` {column}: {len(labels)} different values; give a column with at most {_MOST_GROUPS}"
            )
        for label in labels:
            for model in models:
                values = [v for (m, site), v in means.items() if m == model and known[site][column] == label]
                if values:
                    estimate = _mean(values)
                    groups.setdefault(label, {})[model] = estimate
                    rows.append(
                        {"by": column, "group": label, "model": model, "sites": len(values), **as_row(estimate)}
                    )
        panels.append(Panel(f"{metric}, {_named(bands)}, by {column}", groups))
    sites = sorted({site for _, site in means})
    facts = {"metric": metric, "bands": bands, "sites": len(sites), "sites_without_place": sorted(lost)}
    text = (
        f"{metric} ({_named(bands)}) over {len(sites)} sites, by {', '.join(by)}. A site counts once. Intervals (95 %) "
        "come of drawing sites again and are left out below five sites: such groups are anecdotes. Groups differ in "
        "more than their name (dates, sensors, how clear the images are), so a difference between two of them is no "
        "effect of the continent or biome as such. Sites that a model was trained on flatter it."
        + (f" {len(lost)} sites of the scores are not in the list of places and do not count." if lost else "")
    )
    figure = chart(panels, title=f"{metric} by {', '.join(by)}")
    return Study(name="Generalisation", rows=rows, paragraph=text, facts=facts, figure=figure)


def _named(bands: str) -> str:
    """Return what is said of ``all``, ``10 m``, ``20 m`` or one band."""
    return bands if bands in BAND_NAMES else f"{bands} bands"


def _mean(values: Sequence[float]) -> Estimate:
    totals = np.stack([np.ones(len(values)), np.array(values)], axis=1)
    return estimates(totals, lambda sums: {"mean": sums[:, 1] / sums[:, 0]})["mean"]


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from None


def _places(path: Path, by: Sequence[str]) -> dict[str, dict[str, str]]:
    rows = _read(path)
    columns = set(rows[0]) if rows else set()
    for name in ("site", *by):
        if name not in columns:
            there = ", ".join(sorted(map(str, columns))) or "none"
            raise InputError(f"{path}: no column {name!r}; its columns are {there}")
    known: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["site"] in known:
            raise InputError(f"{path}: site {row['site']!r} occurs twice; keep one line of it")
        known[row["site"]] = {name: row[name] or "unknown" for name in by}
    return known


def _site_means(
    scores: Sequence[Path], metric: str, bands: str, known: dict[str, dict[str, str]]
) -> tuple[dict[tuple[str, str], float], set[str]]:
    """Return (model, site) -> mean over images, and the sites that are in no list."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    lost: set[str] = set()
    there: dict[str, set[str]] = defaultdict(set)
    for path in scores:
        rows = _read(path)
        if not rows or not set(rows[0]) >= _COLUMNS:
            raise InputError(f"{path}: no scores of l8s2; give the scores.csv that evaluate wrote")
        for row in rows:
            if None in row.values():
                raise InputError(f"{path}: a line has too few columns; give the scores.csv as evaluate wrote it")
            there[row["bands"]].add(row["metric"])
            if row["metric"] != metric or row["bands"] != bands:
                continue
            if row["site"] not in known:
                lost.add(row["site"])
                continue
            try:
                value = float(row["value"])
            except ValueError:
                continue  # nothing counted there
            if np.isfinite(value):
                values[row["model"], row["site"]].append(value)
    if not values:
        if lost:
            raise InputError(f"none of the sites is in the list of places (such as {sorted(lost)[0]}); name them alike")
        if bands not in there:
            raise InputError(f"`bands` {bands}: not in the scores; there are {', '.join(sorted(there)) or 'none'}")
        if metric not in there[bands]:
            raise InputError(
                f"`metric` {metric} of {_named(bands)}: not in the scores; there are {', '.join(sorted(there[bands]))}"
            )
        raise InputError(f"`metric` {metric} of {_named(bands)}: every value is empty; give scores of other imagery")
    return {key: float(np.mean(found)) for key, found in values.items()}, lost
