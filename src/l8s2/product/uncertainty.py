"""How the files declare their uncertainty and their freedom from artefacts, in the words of CEOS-ARD and of the GUM."""

from __future__ import annotations

import json
from typing import Any

from l8s2.masks import flag
from l8s2.radiometry import SigmaKind

_GUIDE = "JCGM 100:2008 (GUM)"
_PARTS = {"total": ["detail", "level"], "detail": ["detail"]}

ARTEFACT_FREE: dict[str, Any] = {"bit": "do_not_trust", "mask": flag("do_not_trust"), "value": 0}
"""A pixel is free of artefacts, as far as the model can tell, where ``qa & mask == value``."""


def uncertainty_of(kind: SigmaKind | None) -> dict[str, Any]:
    """Return what the Item says of SIGMA, of the kind that it holds; of None, that it holds nothing.

    A standard uncertainty is one expressed as a standard deviation (GUM 2.3.1); ``components`` are the parts that
    docs/product.md tells apart.
    """
    return {
        "measurand": "surface reflectance",
        "quantity": "standard uncertainty",
        "coverage_factor": 1,
        "unit": "1",
        "guide": _GUIDE,
        "components": [] if kind is None else _PARTS[kind],
    }


def tags_of(key: str, kind: SigmaKind | None) -> dict[str, str]:
    """Return the metadata of a raster, by the key of its asset; what has more than one word is JSON."""
    if key == "qa":
        return {"ARTEFACT_FREE": json.dumps(ARTEFACT_FREE)}
    if key == "sigma":
        said = uncertainty_of(kind)
        return {name.upper(): value if isinstance(value, str) else json.dumps(value) for name, value in said.items()}
    return {"MEASURAND": "surface reflectance", "UNIT": "1"}
