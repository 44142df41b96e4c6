"""STAC Items held to the core of STAC and to the extensions, without a network."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

_STAC = "1.1.0"


def faults_of_item(item: dict[str, Any]) -> list[str]:
    """Return what contradicts the schema of STAC 1.1, or of a product of l8s2, a sentence for each."""
    try:
        return list(dict.fromkeys(_faults(item)))
    except RecursionError:
        return ["Item: lists or objects within each other without end"]


def _faults(item: dict[str, Any]) -> list[str]:
    faults = [_sentence(error) for error in _of_products().iter_errors(item)]
    if item.get("stac_version") == _STAC:  # pystac would look for the schema of any other on the network
        from pystac import STACObjectType, STACValidationError
        from pystac.validation import JsonSchemaSTACValidator

        try:
            JsonSchemaSTACValidator().validate_core(item, STACObjectType.ITEM, _STAC)
        except STACValidationError as error:
            faults += [_sentence(cause) for cause in error.source or ()]
    return faults


@cache
def _of_products() -> Any:
    from jsonschema import Draft7Validator

    return Draft7Validator(json.loads(files("l8s2.verify").joinpath("item.schema.json").read_text(encoding="utf-8")))


def _sentence(error: Any) -> str:
    from jsonschema.exceptions import best_match

    cause = best_match([error])
    where = "/".join(map(str, cause.absolute_path))
    text = " ".join(str(cause.message).split())
    return f"{where or 'Item'}: {text if len(text) <= 200 else text[:197] + '...'}"
