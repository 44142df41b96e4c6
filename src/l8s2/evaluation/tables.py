"""What an evaluation writes and says: means over images and sites, JSON, CSV and a short table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from l8s2.evaluation.evaluate import Record, Scored, mean_score
from l8s2.evaluation.metric_table import MEANING, VISIBLE_GROUP
from l8s2.metrics.scores import NOTHING, Score
from l8s2.sensors import OUTPUT_GSD

Averages = dict[str, dict[tuple[str, str], Score]]
"""Model -> (bands, metric) -> mean."""

PAIR_COLUMNS: dict[str, tuple[str, str]] = {
    f"{name} {group}": (group, metric)
    for name, metric in (
        ("gain", "psnr_gain"),
        ("SSIM", "ssim"),
        ("SAM", "sam"),
        ("ERGAS", "ergas"),
        ("coverage", "coverage"),
    )
    for group in ("10 m", "20 m")
}
"""Heading -> (bands, metric) of the short table."""
OF_PAIR = {
    "RMSE": "rmse_ratio",
    "energy": "detail_energy",
    "best multiple": "best_multiple",
    "coverage": "coverage",
    "fitted coverage": "fitted_coverage",
}
"""Heading -> what a fitted pair tells of a band."""
FITTED_COLUMNS: dict[str, tuple[str, str]] = {
    **{
        f"{name} {group}": (group, metric)
        for name, metric in OF_PAIR.items()
        for group in (VISIBLE_GROUP, "nir08", "SWIR")
    },
    "NDVI correlation": ("all", "ndvi_correlation"),
}
NO_REFERENCE_COLUMNS: dict[str, tuple[str, str]] = {
    "consistency 10 m": ("10 m", "consistency"),
    "consistency 20 m": ("20 m", "consistency"),
    "pan correlation": (VISIBLE_GROUP, "pan_correlation"),
    "QNR": (VISIBLE_GROUP, "qnr"),
    "D lambda": (VISIBLE_GROUP, "d_lambda"),
    "D s": (VISIBLE_GROUP, "d_s"),
}


def columns(mode: str) -> dict[str, tuple[str, str]]:
    """Of the short table."""
    return {"no-reference": NO_REFERENCE_COLUMNS, "fitted-pair": FITTED_COLUMNS}.get(mode, PAIR_COLUMNS)


def site_means(records: Iterable[Record]) -> dict[str, Averages]:
    """Return site -> mean over its images."""
    collected: dict[str, dict[str, dict[tuple[str, str], list[Score]]]] = {}
    for r in records:
        scores = collected.setdefault(r.site, {}).setdefault(r.model, {})
        scores.setdefault((r.bands, r.metric), []).append(Score(r.value, r.n))
    return {
        site: {model: {key: mean_score(s) for key, s in found.items()} for model, found in models.items()}
        for site, models in collected.items()
    }


def means(records: Iterable[Record]) -> Averages:
    """Mean over the images of each site, then over sites; n counts values of all of them."""
    collected: dict[str, dict[tuple[str, str], list[Score]]] = {}
    for models in site_means(records).values():
        for model, found in models.items():
            for key, score in found.items():
                collected.setdefault(model, {}).setdefault(key, []).append(score)
    return {model: {key: mean_score(s) for key, s in found.items()} for model, found in collected.items()}


def strata(scored: Sequence[Scored]) -> dict[str, dict[str, list[Scored]]]:
    """Kind of stratum -> its value -> the images in it; ``unknown`` where some images do not tell."""
    kinds = dict.fromkeys(kind for s in scored for kind in s.strata)
    found: dict[str, dict[str, list[Scored]]] = {}
    for kind in kinds:
        for s in scored:
            found.setdefault(kind, {}).setdefault(s.strata.get(kind, "unknown"), []).append(s)
    return found


def of_image(scored: Scored) -> Averages:
    """Return the scores of one image, by model."""
    found: Averages = {}
    for r in scored.records:
        found.setdefault(r.model, {})[r.bands, r.metric] = Score(r.value, r.n)
    return found


def all_records(scored: Iterable[Scored]) -> list[Record]:
    """Of all images, one after the other."""
    return [record for s in scored for record in s.records]


def summary(scored: Sequence[Scored], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the command prints as JSON: the run, and the mean scores of every model."""
    averages = means(all_records(scored))
    return {
        **facts,
        "images": len(scored),
        "sites": len({s.site for s in scored}),
        "values": sum(s.pixels for s in scored),
        "scores": {model: nested(found) for model, found in averages.items()},
    }


def scores_json(scored: Sequence[Scored], facts: Mapping[str, Any]) -> str:
    """Everything: by model the mean, by site, by stratum and by image."""
    records = all_records(scored)
    averages, sites = means(records), site_means(records)
    by_stratum = {
        kind: {value: means(all_records(some)) for value, some in sorted(values.items())}
        for kind, values in strata(scored).items()
    }
    images = {s.name: of_image(s) for s in scored}
    document = {
        **facts,
        "metrics": {name: {"ideal": strict(ideal), "meaning": text} for name, (ideal, text) in MEANING.items()},
        "images": {s.name: {"site": s.site, "values": s.pixels, "strata": s.strata, **shift_facts(s)} for s in scored},
        "scores": {
            model: {
                "mean": nested(found),
                "sites": {site: nested(models[model]) for site, models in sites.items() if model in models},
                "strata": {
                    kind: {value: nested(models[model]) for value, models in values.items() if model in models}
                    for kind, values in by_stratum.items()
                },
                "images": {image: nested(found[model]) for image, found in images.items() if model in found},
            }
            for model, found in averages.items()
        },
    }
    return to_json(document)


def shift_facts(scored: Scored) -> dict[str, Any]:
    """Return date and shift of a fitted pair: metres that Sentinel-2 lay down and right, or why that is not known."""
    if scored.shift is None:
        return {}
    down, right = (OUTPUT_GSD * pixels for pixels in (scored.shift.down, scored.shift.right))
    return {"date": scored.date, "shift": {"down_m": down, "right_m": right, "reason": scored.shift.reason}}


def scores_csv(scored: Sequence[Scored]) -> str:
    """One line for every model, image, band or group and metric; no means over images. Empty where nothing counted.

    The shift of a fitted pair is a line of the model ``Sentinel-2``.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Record._fields)
    for r in [*_shift_records(scored), *all_records(scored)]:
        writer.writerow(r._replace(value="" if math.isnan(r.value) else repr(r.value)))  # type: ignore[arg-type]
    return text.getvalue()


def _shift_records(scored: Iterable[Scored]) -> list[Record]:
    return [
        Record(
            "Sentinel-2", s.site, s.name, VISIBLE_GROUP, f"shift_{axis}", shift_facts(s)["shift"][axis], s.shift.pixels
        )
        for s in scored
        if s.shift is not None
        for axis in ("down_m", "right_m")
    ]


def deep_harmonization_json(scored: Sequence[Scored], *, by_band: bool) -> str:
    """``{image: {"NRMSE", "PSNR", "SSIM"}}`` of the first model, or ``{image: {"NRMSE_B2", ..., "SSIM_B7"}}``."""
    return to_json({s.name: s.deep_harmonization_bands if by_band else s.deep_harmonization for s in scored})


def short_table(averages: Averages, mode: str) -> str:
    """By model, aligned, for people."""
    heads = columns(mode)
    rows = [["", *heads]]
    for model, found in averages.items():
        cells = [shown(key[1], found.get(key, NOTHING).value) for key in heads.values()]
        rows.append([model, *cells])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


_DECIMALS = {"psnr_gain": "+.2f", "psnr": ".2f", "sam": ".3f", "ergas": ".3f", "bias": "+.5f"}
_FINE = ("rmse", "mae", "shifted_rmse", "crps", "consistency")


def shown(metric: str, value: float) -> str:
    """Return a score as tables show it."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    return format(value, _DECIMALS.get(metric, ".5f" if metric in _FINE else ".4f"))


def to_json(document: Any) -> str:
    """Strict JSON: null for what is not a number, "inf" or "-inf" for what is infinite."""
    return json.dumps(strict(document), indent=1, allow_nan=False) + "\n"


def nested(found: Mapping[tuple[str, str], Score]) -> dict[str, dict[str, dict[str, float]]]:
    """Return bands -> metric -> value and n."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for (bands, metric), score in found.items():
        result.setdefault(bands, {})[metric] = {"value": score.value, "n": score.n}
    return result


def strict(value: Any) -> Any:
    """Fit for strict JSON."""
    if isinstance(value, Mapping):
        return {key: strict(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value
