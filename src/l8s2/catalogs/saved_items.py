"""Scenes as GeoJSON: what ``l8s2 search`` prints, and how that, or any STAC item, is read back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from l8s2.catalogs.endpoints import LANDSAT_L1, LANDSAT_L2, Catalog, Collection, choose
from l8s2.catalogs.items import Asset, SceneItem, from_afar, scene_item
from l8s2.catalogs.search import Found
from l8s2.errors import InputError

CATALOG, PAN = "l8s2:catalog", "l8s2:pan"
"""Properties that a search adds to items: the catalogue of the item, and the Level-1 item with its pan band."""
NO_ITEM = "no STAC item; give one, or a FeatureCollection or a recipe that l8s2 search wrote"


@dataclass(frozen=True, kw_only=True)
class SavedItems:
    """Scenes read from GeoJSON."""

    scenes: tuple[SceneItem, ...]
    pans: dict[str, SceneItem | None]
    """Landsat scene -> Level-1 item with its pan band; None where a search found none; missing where none was made."""
    catalogs: dict[str, Catalog]
    """Catalogues by name: those known before, and those the scenes come from."""


def feature_collection(found: Found) -> dict[str, Any]:
    """Return the raw items of a search as a FeatureCollection, each with the property CATALOG.

    Landsat items have PAN too, None where no pan band was found, unless none was searched for.
    """
    features = []
    for item in (*found.landsat, *found.sentinel2):
        properties = {**item.raw["properties"], CATALOG: item.catalog}
        if item.kind == LANDSAT_L2 and found.pan_searched:
            pan = found.pans.get(item.scene)
            properties[PAN] = pan and _described(pan)
        features.append({**item.raw, "properties": properties})
    return {"type": "FeatureCollection", "features": features}


def _described(pan: SceneItem) -> dict[str, Any]:
    """Describe a Level-1 item as ``_pan`` reads it."""
    assets = {name: asdict(asset) for name, asset in pan.assets.items()}
    return {"id": pan.id, "collection": pan.collection, "catalog": pan.catalog, "assets": assets}


def parse_items(content: Any, known: Mapping[str, Catalog], source: str) -> SavedItems:
    """Read the scenes of a STAC item or a FeatureCollection.

    Args:
        content: parsed JSON.
        known: catalogues by name.
        source: the file or address that the content comes from.

    Raises:
        InputError: The content is anything else, an item cannot be used, or its catalogue is not known.
    """
    kind = content.get("type") if isinstance(content, dict) else None
    features = content.get("features") if kind == "FeatureCollection" else [content] if kind == "Feature" else None
    if not isinstance(features, list) or not all(
        isinstance(raw, dict) and isinstance(raw.get("properties"), dict) for raw in features
    ):
        raise InputError(f"{source}: {NO_ITEM}")
    scenes: list[SceneItem] = []
    pans: dict[str, SceneItem | None] = {}
    catalogs = dict(known)
    checked = from_afar if "://" in source else lambda item: item
    for raw in features:
        name, collection = _origin(raw, source, catalogs)
        try:
            item = checked(scene_item(raw, name, collection))
            if item.kind == LANDSAT_L2 and PAN in raw["properties"]:
                pan = _pan(raw, catalogs)
                pans[item.scene] = pan and checked(pan)
        except InputError as error:
            raise InputError(str(error).replace("it is left out", f"take it out of {source}")) from None
        scenes.append(item)
    return SavedItems(scenes=tuple(scenes), pans=pans, catalogs=catalogs)


def _origin(raw: dict[str, Any], source: str, catalogs: dict[str, Catalog]) -> tuple[str, Collection]:
    """Return the name of an item's catalogue, which is put into ``catalogs`` where it is new, and its collection."""
    stated = raw["properties"].get(CATALOG)
    if stated is not None:
        return _in_catalog(str(stated), raw, catalogs)
    listed = raw.get("links")
    listed = [link for link in listed if isinstance(link, dict)] if isinstance(listed, list) else []
    by_relation = {str(link.get("rel")): str(link.get("href")) for link in listed}
    links = [source, *(by_relation[rel] for rel in ("self", "root", "parent", "collection") if rel in by_relation)]
    holding = [c for c in catalogs.values() if any(x.id == raw.get("collection") for x in c.collections)]
    linked = [c for c in holding if any(link.startswith(c.url) for link in links)]
    if len(linked or holding) == 1:
        return _in_catalog((linked or holding)[0].name, raw, catalogs)
    root = next((link.partition("/collections/")[0] for link in links if "://" in link), None)
    if root is not None:
        return _in_catalog(root, raw, catalogs)
    names = ", ".join(catalog.name for catalog in holding) or "none that is known"
    raise InputError(
        f"{raw.get('id')}: of collection {raw.get('collection')}, which is in {names}, and no link tells which;"
        f' add the property "{CATALOG}" with the name or address of its catalogue'
    )


def _in_catalog(name: str, raw: dict[str, Any], catalogs: dict[str, Catalog]) -> tuple[str, Collection]:
    wanted = str(raw.get("collection"))
    (catalog,) = choose([name], catalogs)
    rows = [row for row in catalog.collections if row.id == wanted]
    if not rows and not catalog.collections:
        kinds = {row.id: row.kind for other in catalogs.values() for row in other.collections}
        rows = [Collection(id=key, kind=kind) for key, kind in kinds.items() if key == wanted]
    if not rows:
        raise InputError(
            f"{raw.get('id')}: l8s2 does not know what the collection {wanted} of {name} is; list it in a file,"
            " docs/search.md shows how"
        )
    catalogs.setdefault(name, catalog)
    return name, rows[0]


def _pan(raw: dict[str, Any], catalogs: dict[str, Catalog]) -> SceneItem | None:
    """Read the Level-1 item that PAN describes; its time and footprint are those of the Level-2 item ``raw``."""
    about = raw["properties"][PAN]
    if about is None:
        return None
    try:
        assets = {name: Asset(**asset) for name, asset in about["assets"].items()}
        (catalog,) = choose([about["catalog"]], catalogs)
        catalogs.setdefault(catalog.name, catalog)
        level1 = raw | {"id": about["id"], "assets": {name: {"href": asset.href} for name, asset in assets.items()}}
        names = {name: (name,) for name in assets}
        collection = Collection(id=about["collection"], kind=LANDSAT_L1, assets=names)
        return replace(scene_item(level1, catalog.name, collection), assets=assets)
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{raw.get('id')}: {PAN} is not as l8s2 search writes it; search again") from None
