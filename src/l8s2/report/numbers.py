"""The numbers of a report, as plain values that JSON takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from l8s2.arrays import Values
from l8s2.progress import Progress
from l8s2.report.consistency import Differences
from l8s2.report.counts import Counts
from l8s2.report.finished import Finished, number
from l8s2.report.sample import Sampled, count_bits
from l8s2.sensors import BAND_NAMES


def numbers_of(product: Finished, sampled: Sampled, why_no_input: str, progress: Progress) -> dict[str, Any]:
    """Return what the page shows. Numbers that could not be computed are None."""
    item, differences = product.item, Differences.of_all(sampled.differences)
    output, before = _distribution(sampled.output), _distribution(sampled.input)
    sigma = {name: _spread(counts) for name, counts in
             (("total", sampled.total), ("detail", sampled.detail), ("level", sampled.level))}  # fmt: skip
    consistency = _consistency(differences)
    bits, clean, clear = count_bits(product, progress)
    pixels, fill = product.shape[0] * product.shape[1], bits["fill"]
    known, scenes = max(pixels - fill, 1), item.scenes
    clear_percent = number(item.properties.get("l8s2:clear_percent"))
    flagged = clear_percent is not None or not bits["no_qa"]  # without it a scene of them had no QA_PIXEL at all
    return {
        "id": item.id,
        "datetime": item.text("datetime"),
        "verdict": item.text("l8s2:verdict"),
        "reasons": item.texts("l8s2:verdict_reasons"),
        "clear_percent": clear_percent,
        "untrusted_percent": number(item.properties.get("l8s2:untrusted_percent")),
        "pixels": pixels,
        "blocks": len(sampled.blocks),
        "blocks_in_all": sampled.in_all,
        "clear_pixels_counted": sampled.output.n,
        "ms_pixels_compared": differences.n,
        "why_not_compared": why_no_input,
        "sigma": product.sigma_kind,
        "qa_percent": {
            "fill": round(100 * fill / pixels, 4),
            **{name: round(100 * count / known, 4) for name, count in bits.items() if name != "fill"},
            "clean": round(100 * clean / known, 4),
            "clear": round(100 * clear / known, 4) if flagged else None,
        },
        "bands": {
            name: {
                "output": output.get(name),
                "input": before.get(name),
                "consistency": consistency.get(name),
                "sigma": {part: values.get(name) for part, values in sigma.items()},
            }
            for name in BAND_NAMES
        },
        "scenes": [
            {"id": scene.name and scene.name.id}
            | {name: _plain(scene.facts(f"l8s2:{name}")) for name in ("pan_shift", "sharpness", "noise")}
            | {"ms_pixels_compared": own.n, "consistency": _consistency(own) or None}
            for scene, own in zip(scenes, sampled.differences or [Differences()] * len(scenes), strict=True)
        ],
    }


def _plain(facts: dict[str, Any]) -> dict[str, Any] | None:
    """Return facts without what JSON has no number for; None where there are none."""
    return json.loads(json.dumps(facts), parse_constant=lambda _: None) or None


def _consistency(differences: Differences) -> dict[str, dict[str, float | None]]:
    return _by_band({"rms": differences.rms, "bias": differences.bias}) if differences.n else {}


def _distribution(counts: Counts) -> dict[str, dict[str, float | None]]:
    if not counts.n:
        return {}
    shares = {f"p{share}" if share != 50 else "median": counts.percentile(share) for share in (5, 50, 95)}
    return _by_band({"mean": counts.mean(), "std": counts.std(), **shares})


def _spread(counts: Counts) -> dict[str, dict[str, float | None]]:
    if not counts.n:
        return {}
    return _by_band({"median": counts.percentile(50), "p90": counts.percentile(90)})


def _by_band(values: dict[str, Values]) -> dict[str, dict[str, float | None]]:
    rounded: Callable[[float], float | None] = lambda x: round(float(x), 6) if np.isfinite(x) else None  # noqa: E731
    return {band: {name: rounded(numbers[i]) for name, numbers in values.items()} for i, band in enumerate(BAND_NAMES)}
