"""What is to be fetched: scenes named by a saved search, a recipe or a single item."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from l8s2.catalogs.endpoints import LANDSAT_L1, LANDSAT_L2, Catalog, Collection, choose
from l8s2.catalogs.items import Asset, SceneItem, from_afar, scene_item
from l8s2.catalogs.recipe import SCHEMA, load_recipe
from l8s2.catalogs.search import Found
from l8s2.errors import InputError
from l8s2.landsat.product_name import ProductName

CATALOG, PAN = "l8s2:catalog", "l8s2:pan"
"""Properties that ``l8s2 search`` gives to items: where they were found, and the item with their pan band."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Scenes, each once, and the catalogues they are of."""

    scenes: tuple[SceneItem, ...]
    pans: dict[str, SceneItem | None]
    """Scene of Landsat -> Level-1 item with its pan band, None where there is none; those not in it were not searched for."""
    catalogs: dict[str, Catalog]
    """By name; those known before, and those the scenes brought along."""

    @property
    def landsat(self) -> list[SceneItem]:
        """The Landsat Level-2 scenes."""
        return [item for item in self.scenes if item.kind == LANDSAT_L2]

    def files(self) -> list[SceneItem]:
        """All that there is to fetch: each scene, after one of Landsat the item with its pan band."""
        pans = [self.pans.get(item.scene) if item.kind == LANDSAT_L2 else None for item in self.scenes]
        return [each for both in zip(self.scenes, pans, strict=True) for each in both if each]


def gather(what: str, known: Mapping[str, Catalog]) -> Wanted:
    """The scenes that a file, an item at an address (https://...) or a Landsat product id names.

    Raises InputError as ``from_json`` does.
    """
    if (address := _address_of(what, known)) is not None:
        what = address
    if re.match(r"https?://", what):
        from l8s2.catalogs.search import read_address

        return from_json(read_address(what), known, what)
    path = Path(what)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{what}: {error.strerror}; give a file, the address of an item (https://...), or the id of a Level-2 product"
        ) from None
    except (ValueError, RecursionError):
        raise InputError(f"{what}: {_NONE}") from None
    if isinstance(content, dict) and content.get("schema") == SCHEMA:
        recipe = load_recipe(path)
        scenes = [item for pair in recipe.pairs for item in (pair.landsat, pair.sentinel2)]
        pans = {pair.landsat.scene: pair.pan for pair in recipe.pairs}
        catalogs = {catalog.name: catalog for catalog in recipe.catalogs}
        return Wanted(scenes=_once(scenes), pans=pans, catalogs={**known, **catalogs})
    return from_json(content, known, what)


def with_pans(wanted: Wanted) -> tuple[Wanted, list[str], list[str]]:
    """The same with pan looked for where nobody has yet; a line for each Landsat scene that has none, and for each that may have."""
    from l8s2.catalogs.search import find_pan

    pans, without, unknown = dict(wanted.pans), [], []
    for item in wanted.landsat:
        if item.scene not in pans:
            try:
                pans[item.scene] = find_pan(item, wanted.catalogs)
            except InputError as error:
                unknown.append(f"{item.id}: pan could not be looked for ({error})")
                continue
        if pans[item.scene] is None:
            without.append(f"{item.id}: without pan (no Level-1 item of it was found)")
    return replace(wanted, pans=pans), without, unknown


def _address_of(what: str, known: Mapping[str, Catalog]) -> str | None:
    """Of the item of a Level-2 product id at USGS, whose ids alone hold all of it; None for anything else."""
    product, usgs = what.upper().removesuffix("_SR"), known.get("usgs")
    name = ProductName.parse(product)
    rows = [row for row in usgs.collections if row.kind == LANDSAT_L2] if usgs else []
    if name is None or name.level != "L2SP" or usgs is None or not rows or Path(what).is_file():
        return None
    return f"{usgs.url}/collections/{rows[0].id}/items/{product}_SR"


_NONE = "no STAC item; give one, a FeatureCollection or a recipe from l8s2 search"


def from_json(content: Any, known: Mapping[str, Catalog], source: str) -> Wanted:
    """The scenes of an item or a FeatureCollection; ``source`` is the file or address they are from.

    Raises InputError for anything else, for items of no use, and where it cannot be told what they are.
    """
    kind = content.get("type") if isinstance(content, dict) else None
    features = content.get("features") if kind == "FeatureCollection" else [content] if kind == "Feature" else None
    if not isinstance(features, list) or not all(
        isinstance(raw, dict) and isinstance(raw.get("properties"), dict) for raw in features
    ):
        raise InputError(f"{source}: {_NONE}")
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
    return Wanted(scenes=_once(scenes), pans=pans, catalogs=catalogs)


def together(several: Iterable[Wanted]) -> Wanted:
    """All of them as one."""
    scenes: list[SceneItem] = []
    pans: dict[str, SceneItem | None] = {}
    catalogs: dict[str, Catalog] = {}
    for wanted in several:
        scenes += wanted.scenes
        pans |= {scene: pan or pans.get(scene) for scene, pan in wanted.pans.items()}
        catalogs |= wanted.catalogs
    return Wanted(scenes=_once(scenes), pans=pans, catalogs=catalogs)


def _once(scenes: Iterable[SceneItem]) -> tuple[SceneItem, ...]:
    return tuple({(item.catalog, item.collection, item.id): item for item in scenes}.values())


def _origin(raw: dict[str, Any], source: str, catalogs: dict[str, Catalog]) -> tuple[str, Collection]:
    """Name of an item's catalogue, which is put into ``catalogs`` where it is new, and its collection."""
    told = raw["properties"].get(CATALOG)
    if told is not None:
        return _in_catalog(str(told), raw, catalogs)
    listed = raw.get("links")
    listed = [link for link in listed if isinstance(link, dict)] if isinstance(listed, list) else []
    told_of = {str(link.get("rel")): str(link.get("href")) for link in listed}
    links = [source, *(told_of[rel] for rel in ("self", "root", "parent", "collection") if rel in told_of)]
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
            " docs/data.md shows how"
        )
    catalogs.setdefault(name, catalog)
    return name, rows[0]


def _pan(raw: dict[str, Any], catalogs: dict[str, Catalog]) -> SceneItem | None:
    """The Level-1 item that ``l8s2:pan`` tells of; time and place are those of the Level-2 item ``raw``."""
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


def feature_collection(found: Found) -> dict[str, Any]:
    """The raw items, each with ``l8s2:catalog``; those of Landsat tell in ``l8s2:pan`` which Level-1 item has their pan
    band (null: none found), unless it was not looked for."""
    from dataclasses import asdict

    features = []
    for item in (*found.landsat, *found.sentinel2):
        feature = {**item.raw, "properties": {**item.raw["properties"], "l8s2:catalog": item.catalog}}
        if item.kind == "landsat-l2" and found.pan_searched:
            pan = found.pans.get(item.scene)
            about = pan and {
                "id": pan.id, "collection": pan.collection, "catalog": pan.catalog,
                "assets": {name: asdict(asset) for name, asset in pan.assets.items()},
            }  # fmt: skip
            feature["properties"]["l8s2:pan"] = about
        features.append(feature)
    return {"type": "FeatureCollection", "features": features}
