"""What every STAC document of l8s2 must be: valid by the core, and declaring the extensions that it uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pystac import STACObjectType
from pystac.validation import JsonSchemaSTACValidator

NAMES = {"proj": "projection", "cube": "datacube"}
"""Extensions that are not called as their prefix."""
KINDS = {"Feature": STACObjectType.ITEM, "Collection": STACObjectType.COLLECTION, "Catalog": STACObjectType.CATALOG}


def check_stac(document: Mapping[str, Any]) -> None:
    """Fail where it is not; nothing goes online, for pystac has the schemas of the core."""
    JsonSchemaSTACValidator().validate_core(dict(document), KINDS[document["type"]], "1.1.0")
    declared = [uri.split("/")[3] for uri in document.get("stac_extensions", [])]
    prefixes = {name.partition(":")[0] for name in fields(document) if ":" in name} - {"l8s2"}
    assert sorted(declared) == sorted(NAMES.get(prefix, prefix) for prefix in prefixes)


def fields(value: Any) -> Iterator[str]:
    """Every name of a field, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from fields(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from fields(inner)
