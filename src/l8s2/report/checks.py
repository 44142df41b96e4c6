"""What was checked of a product, found, and taken for good: the table below the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from l8s2.landsat.noise import NOISE
from l8s2.landsat.pan_shift import PAN_CORRELATION, PAN_SHIFT
from l8s2.landsat.sharpness import NOMINAL, SHARPNESS
from l8s2.pipeline.verdict import CLEAR, UNTRUSTED
from l8s2.report.consistency import USUAL_RMS
from l8s2.report.finished import Item, SceneFacts, number
from l8s2.report.markup import percent, table, text

_NO_PART = "no part of the verdict"
_ALL = 99.99
"""Percent."""


def clouds_flagged(numbers: Mapping[str, Any]) -> bool:
    """Whether clouds were looked for in all of the input."""
    return numbers["qa_percent"]["clear"] is not None


def clear_words(numbers: Mapping[str, Any]) -> str:
    """Say in markup how much is clear, or that nobody knows."""
    return percent(numbers["qa_percent"]["clear"]) if clouds_flagged(numbers) else "not known: no QA_PIXEL"


def clear_pixels(numbers: Mapping[str, Any]) -> str:
    """Name the pixels that are counted."""
    return "clear pixels" if clouds_flagged(numbers) else "pixels (clouds among them)"


def checks(item: Item, numbers: dict[str, Any]) -> str:
    """Return the table as markup."""
    scenes, untrusted = item.scenes, numbers["untrusted_percent"]
    rows = [
        [
            "Clear ground",
            clear_words(numbers),
            "of the pixels with data: no cloud, its surroundings, cirrus or shadow",
            f"warn below {100 * CLEAR:.0f}&nbsp;%",
        ],
        [
            "Not to be trusted",
            "not known" if untrusted is None else percent(untrusted),
            f"of the {clear_pixels(numbers)}: the network expects large errors, or the ground is unlike its training",
            f"warn over {100 * UNTRUSTED[0]:.0f}&nbsp;%, fail over {100 * UNTRUSTED[1]:.0f}&nbsp;%",
        ],
        [
            "Out of range",
            percent(numbers["qa_percent"]["out_of_range"]),
            "of the pixels with data: input below 0 or above 1 in a band, as over dark water, haze or glint",
            _NO_PART,
        ],
        *_of_pan(scenes, numbers["qa_percent"]["no_pan"]),
        [
            "Noise of the input",
            _of_each(_noise(scene) for scene in scenes),
            "the band that is worst on flat ground, in units of the documented noise",
            f"warn over {NOISE:g} times",
        ],
        [
            "Agreement with the input",
            _range((band["consistency"] or {}).get("rms") for band in numbers["bands"].values())
            or "not computed, see below",
            "reflectance, RMS by band: the output averaged to 30&nbsp;m, less Landsat",
            f"{_NO_PART}; at most {USUAL_RMS} on eight real scenes",
        ],
        [
            "Standard error",
            _range((band["sigma"]["total"] or {}).get("median") for band in numbers["bands"].values()) or "none",
            "reflectance, median by band; the 90&nbsp;% interval is &plusmn;1.645 times it",
            _NO_PART,
        ],
    ]
    return table(["Checked", "Found", "What it is", "Limit"], rows, words=True)


def _of_pan(scenes: Sequence[SceneFacts], without: float) -> Iterator[list[str]]:
    """``without``: percent of the pixels that were predicted without pan."""
    if without > _ALL:
        yield [
            "Pan",
            "not used",
            "without it the fine detail is guessed from the 30&nbsp;m bands: softer, with larger standard errors",
            _NO_PART,
        ]
        return
    yield [
        "Pan beside the 30 m bands",
        _of_each(_measured(scene, "pan_shift", "length_m") for scene in scenes),
        "distance of the contours of pan, which the fine detail comes from",
        f"warn over {PAN_SHIFT[0]:g}&nbsp;m, fail over {PAN_SHIFT[1]:g}&nbsp;m",
    ]
    yield [
        "Pan like the 30 m bands",
        _of_each(_measured(scene, "pan_shift", "correlation", "{:.2f}") for scene in scenes),
        "correlation of their contours, which tells pan of another date",
        f"warn under {PAN_CORRELATION:g}",
    ]
    low, high = (share * NOMINAL for share in SHARPNESS)
    yield [
        "Blur of the input",
        _of_each(_measured(scene, "sharpness", "blur_m") for scene in scenes),
        f"of the visible bands against pan, a Gaussian's standard deviation; {NOMINAL:.1f}&nbsp;m documented",
        f"warn outside {low:.1f} to {high:.1f}&nbsp;m",
    ]


def _of_each(found: Iterator[str]) -> str:
    """Join what was found of each scene, once where it is the same."""
    return "; ".join(dict.fromkeys(found))


def _measured(scene: SceneFacts, name: str, field: str, form: str = "{:.1f}&nbsp;m") -> str:
    facts = scene.facts(f"l8s2:{name}")
    value = number(facts.get(field))
    return form.format(value) if value is not None else _why_not(facts)


def _noise(scene: SceneFacts) -> str:
    facts = scene.facts("l8s2:noise")
    bands = facts.get("bands")
    ratios = []
    for band in bands.values() if isinstance(bands, dict) else ():
        snr, documented = (number(band.get(n)) if isinstance(band, dict) else None for n in ("snr", "documented_snr"))
        if snr and documented is not None:
            ratios.append(documented / snr)
    return f"{max(ratios):.1f} times" if ratios else _why_not(facts)


def _why_not(facts: dict[str, Any]) -> str:
    reason = facts.get("reason")
    return f"not measured: {text(reason)}" if isinstance(reason, str) else "not measured"


def _range(values: Iterator[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{min(known):.4f} to {max(known):.4f}" if known else ""
