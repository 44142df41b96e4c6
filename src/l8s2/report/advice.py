"""What the reasons of a verdict mean, and what to do about each."""

from __future__ import annotations

from typing import NamedTuple


class Advice(NamedTuple):
    """Words for a person."""

    meaning: str
    remedy: str


_ADVICE = {
    "are not to be trusted": Advice(
        "There the network itself expects large errors, or the ground is unlike any it was trained on.",
        "Leave these pixels out: keep (qa & 4096) == 0. The map of the standard error shows where they are. If they "
        "are a quarter of the clear pixels or more, do not use the product, and check that the input is an unchanged "
        "Level-2 product.",
    ),
    "of the scene is clear": Advice(
        "Nearly everything is cloud, its surroundings or shadow. The clear rest is small, and next to clouds.",
        "Use the clear pixels alone, (qa & 31) == 0, or take another date.",
    ),
    "pan lies": Advice(
        "The fine detail comes from pan, so contours lie beside the ground that the 30 m bands show.",
        "Get the Level-1 (L1TP) and Level-2 products of one processing date and make the product again; or make it "
        "without pan (`model` compact-nopan).",
    ),
    "contours of pan": Advice(
        "Pan shows other ground than the 30 m bands: it is of another date, or hidden by clouds that are not flagged. "
        "What changed between the dates appears as detail that was not there.",
        "Give the pan of the same acquisition (the L1TP product of the same date), or make the product without pan "
        "(`model` compact-nopan).",
    ),
    "blurred by": Advice(
        "The visible bands are softer or sharper against pan than any the networks have learnt from: contours may "
        "be too soft, or have a bright rim.",
        "Look at contours in the detail on this page. Check that nobody resampled the input. Means of fields "
        "suffer little.",
    ),
    "noise is stronger": Advice(
        "The networks may take noise for detail of the ground. A low sun makes noise stronger.",
        "Do not read single pixels; use means of several, with their standard error. Prefer a date with a higher sun.",
    ),
}
"""Part of a reason, as ``pipeline.verdict`` and ``landsat.measure_scene`` word it -> what to say of it."""

_OTHER = Advice("This page knows no more about it.", "See docs/product.md, section Verdict.")

LEVELS = {
    "pass": "Nothing that l8s2 checks speaks against using this product.",
    "warn": "The product can be used with care; the reasons say where.",
    "fail": "Do not use the product as it is.",
}


def advice_on(reason: str) -> Advice:
    """Return what to say of a reason."""
    return next((advice for part, advice in _ADVICE.items() if part in reason), _OTHER)
