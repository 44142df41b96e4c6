"""What fitted pairs tell of each model: a table for people, and the same figures for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from l8s2.evaluation.evaluate import BASE, Scored
from l8s2.evaluation.metric_table import VISIBLE_GROUP
from l8s2.evaluation.tables import OF_PAIR, Averages, all_records, means, nested, of_image, shift_facts
from l8s2.metrics.scores import NOTHING, Score
from l8s2.sensors import BAND_NAMES

MOST_SHOWN = 12
"""Pairs up to which each has its own part of the table; of more there are means only."""
_MEAN_OF = (VISIBLE_GROUP, "nir08", "SWIR")
_NDVI = ("all", "ndvi_correlation")
_SAID = {
    "rmse_ratio": "RMSE over bicubic's",
    "detail_energy": "energy of the detail",
    "best_multiple": "best multiple of the detail",
    "coverage": "coverage of 90 % as is",
    "fitted_coverage": "coverage after the fit",
}


def pair_table(scored: Sequence[Scored], models: Iterable[str]) -> str:
    """Return the figures of the models by pair and band, if there are not too many pairs, and their means.

    Args:
        scored: of fitted pairs.
        models: what to show; the baselines are in the files.
    """
    lines = []
    for one in scored if len(scored) <= MOST_SHOWN else ():
        lines += [_heading(one), *_block(of_image(one), models, BAND_NAMES, pixels=True), ""]
    sites = len({one.site for one in scored})
    lines.append(f"mean of {_count(len(scored), 'pair')} of {_count(sites, 'site')}")
    return "\n".join([*lines, *_block(means(all_records(scored)), models, _MEAN_OF, pixels=False)])


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s'[: n != 1]}"


def _heading(one: Scored) -> str:
    facts = shift_facts(one)["shift"]
    shift = f"Sentinel-2 lay {facts['down_m']:+.1f} m down, {facts['right_m']:+.1f} m right; taken out"
    if facts["reason"]:
        shift = f"no shift measured ({facts['reason']})"
    return f"{one.name}{f', {one.date[:10]}' * bool(one.date)}: {shift}"


def _block(found: Averages, models: Iterable[str], bands: Sequence[str], *, pixels: bool) -> Iterable[str]:
    """Lines for each model, one for each figure, a column for each of ``bands``."""
    ndvi_of_bicubic = found[BASE].get(_NDVI, NOTHING).value
    for model in models:
        scores = found[model]
        yield f"  {model:30}" + "".join(f"{band:>9}" for band in bands)
        for metric, said in _SAID.items():
            yield f"    {said:28}" + "".join(f"{_shown(scores.get((b, metric), NOTHING)):>9}" for b in bands)
        if pixels:
            counts = (scores.get((band, "rmse_ratio"), NOTHING).n for band in bands)
            yield f"    {'pixels compared':28}" + "".join(f"{n:9}" for n in counts)
        ndvi = scores.get(_NDVI, NOTHING)
        yield f"    {'NDVI correlation':28}{_shown(ndvi):>9}, of bicubic {ndvi_of_bicubic:.3f}"


def _shown(score: Score) -> str:
    return "-" if math.isnan(score.value) else f"{score.value:.3f}"


def pair_facts(scored: Sequence[Scored]) -> dict[str, Any]:
    """Return pair -> site, date, shift and the figures of the table, of every model and baseline."""
    metrics = {*OF_PAIR.values(), _NDVI[1]}
    facts: dict[str, Any] = {}
    for one in scored:
        facts[one.name] = {
            "site": one.site,
            **shift_facts(one),
            "scores": {
                model: nested({key: score for key, score in found.items() if key[1] in metrics})
                for model, found in of_image(one).items()
            },
        }
    return facts
