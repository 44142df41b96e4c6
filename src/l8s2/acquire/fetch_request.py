"""Which scenes to fetch, as a saved search, a recipe, an item or a product id names them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from l8s2.catalogs.endpoints import LANDSAT_L2, Catalog
from l8s2.catalogs.items import SceneItem
from l8s2.catalogs.recipe import SCHEMA, load_recipe
from l8s2.catalogs.saved_items import NO_ITEM, parse_items
from l8s2.catalogs.search import find_pan, read_address
from l8s2.deliveries.product_name import ProductName
from l8s2.errors import InputError


@dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """Scenes to fetch, each once, and the catalogues they come from."""

    scenes: tuple[SceneItem, ...]
    pans: dict[str, SceneItem | None]
    """Landsat scene -> Level-1 item with its pan band; None where there is none; missing where none was searched
    for."""
    catalogs: dict[str, Catalog]
    """Catalogues by name: those known before, and those the scenes come from."""

    @property
    def landsat(self) -> list[SceneItem]:
        """The Landsat Level-2 scenes."""
        return [item for item in self.scenes if item.kind == LANDSAT_L2]

    def items(self) -> list[SceneItem]:
        """Return every item to fetch: each scene, and after a Landsat scene the item with its pan band."""
        pans = [self.pans.get(item.scene) if item.kind == LANDSAT_L2 else None for item in self.scenes]
        return [each for both in zip(self.scenes, pans, strict=True) for each in both if each]


@dataclass(frozen=True, kw_only=True)
class PanSearch:
    """A request whose missing pan bands were searched for."""

    request: FetchRequest
    without_pan: tuple[str, ...]
    """One line for each Landsat scene that has no pan band."""
    failures: tuple[str, ...]
    """One line for each Landsat scene whose pan band could not be searched for."""


def parse_request(what: str, known: Mapping[str, Catalog]) -> FetchRequest:
    """Read the scenes that a file, the address of an item (https://...) or a Landsat product id names.

    Raises:
        InputError: The file or the answer is none of these, or an item in it cannot be used.
    """
    what = _item_address(what, known) or what
    if re.match(r"https?://", what):
        return _from_json(read_address(what), known, what)
    path = Path(what)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{what}: {error.strerror}; give a file, the address of an item (https://...),"
            " or the id of a Level-2 product"
        ) from None
    except (ValueError, RecursionError):
        raise InputError(f"{what}: {NO_ITEM}") from None
    if isinstance(content, dict) and content.get("schema") == SCHEMA:
        recipe = load_recipe(path)
        scenes = [item for pair in recipe.pairs for item in (pair.landsat, pair.sentinel2)]
        pans = {pair.landsat.scene: pair.pan for pair in recipe.pairs}
        catalogs = {catalog.name: catalog for catalog in recipe.catalogs}
        return FetchRequest(scenes=_once(scenes), pans=pans, catalogs={**known, **catalogs})
    return _from_json(content, known, what)


def merge(requests: Iterable[FetchRequest]) -> FetchRequest:
    """Join several requests into one."""
    scenes: list[SceneItem] = []
    pans: dict[str, SceneItem | None] = {}
    catalogs: dict[str, Catalog] = {}
    for request in requests:
        scenes += request.scenes
        pans |= {scene: pan or pans.get(scene) for scene, pan in request.pans.items()}
        catalogs |= request.catalogs
    return FetchRequest(scenes=_once(scenes), pans=pans, catalogs=catalogs)


def find_missing_pans(request: FetchRequest) -> PanSearch:
    """Search for the pan band of every Landsat scene for which that was not done yet."""
    pans, without, failures = dict(request.pans), [], []
    for item in request.landsat:
        if item.scene not in pans:
            try:
                pans[item.scene] = find_pan(item, request.catalogs)
            except InputError as error:
                failures.append(f"{item.id}: pan could not be looked for ({error})")
                continue
        if pans[item.scene] is None:
            without.append(f"{item.id}: without pan (no Level-1 item of it was found)")
    return PanSearch(request=replace(request, pans=pans), without_pan=tuple(without), failures=tuple(failures))


def _from_json(content: Any, known: Mapping[str, Catalog], source: str) -> FetchRequest:
    saved = parse_items(content, known, source)
    return FetchRequest(scenes=_once(saved.scenes), pans=saved.pans, catalogs=saved.catalogs)


def _item_address(what: str, known: Mapping[str, Catalog]) -> str | None:
    """Return the address of a Level-2 product's item at USGS, the only catalogue with whole product ids; else None."""
    product, usgs = what.upper().removesuffix("_SR"), known.get("usgs")
    name = ProductName.parse(product)
    rows = [row for row in usgs.collections if row.kind == LANDSAT_L2] if usgs else []
    if name is None or name.level != "L2SP" or usgs is None or not rows or Path(what).is_file():
        return None
    return f"{usgs.url}/collections/{rows[0].id}/items/{product}_SR"


def _once(scenes: Iterable[SceneItem]) -> tuple[SceneItem, ...]:
    return tuple({(item.catalog, item.collection, item.id): item for item in scenes}.values())
