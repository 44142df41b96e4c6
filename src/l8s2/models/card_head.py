"""The head of a model card, which the Hub reads: licence, tags, and measured scores as its ``model-index``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TASK = {"type": "image-to-image", "name": "Landsat-8/9 to Sentinel-2-like reflectance at 10 m"}
_TAGS = ["remote-sensing", "landsat", "sentinel-2", "super-resolution", "pansharpening", "uncertainty"]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What was measured on one set of images."""

    kind: str
    """``simulated`` or ``real``: what the truth is."""
    on: str
    """The images, for people."""
    values: Mapping[str, float]
    """What was measured, with its unit, and the value."""


def card_head(name: str, scores: Sequence[Scores]) -> str:
    """Return the head, with the lines of dashes around it. Needs PyYAML.

    The form is the model-index of the Hugging Face Hub (its documentation of model cards).
    """
    import yaml

    results = [
        {
            "task": _TASK,
            "dataset": {"type": each.kind, "name": f"{each.kind.capitalize()}: {each.on}"},
            "metrics": [
                {"type": _type(what), "name": what, "value": float(value)} for what, value in each.values.items()
            ],
        }
        for each in scores
    ]
    content: dict[str, Any] = {
        "license": "mit",
        "library_name": "l8s2",
        "pipeline_tag": "image-to-image",
        "tags": _TAGS,
        "model-index": [{"name": name, "results": results}],
    }
    text: str = yaml.dump(content, Dumper=_plain(yaml), sort_keys=False, width=120)
    return f"---\n{text}---\n"


def _type(what: str) -> str:
    """Return the name of a metric as programs have it: everything before the first comma, with dashes."""
    return what.partition(",")[0].lower().replace("%", "percent").replace("'s", "").replace(" ", "-")


def _plain(yaml: Any) -> Any:
    """Return a writer that repeats what occurs twice, in place of references to the first."""

    class Plain(yaml.SafeDumper):  # type: ignore[misc]
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return Plain
