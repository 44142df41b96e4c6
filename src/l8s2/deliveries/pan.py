"""The Level-1 product that the pan band of an acquisition comes from: found beside, or given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from l8s2.deliveries.file_name import read_file_name
from l8s2.deliveries.find import ARCHIVES, IMAGES, products_in
from l8s2.deliveries.product_files import ProductFiles
from l8s2.deliveries.product_name import ProductName, same_acquisition
from l8s2.errors import InputError
from l8s2.sensors import OLI


def pan_partner(product: ProductFiles) -> ProductFiles | None:
    """Find the Level-1 product with pan of the same acquisition, in the same place or beside it; None without.

    Archives are opened only where no folder has it.
    """
    here = Path(os.path.abspath(product.source))
    try:
        siblings = sorted(here.parent.iterdir())
    except OSError:
        siblings = []
    beside = [s for s in siblings if _is_level1_of(s.name, product.name)]
    folders = [s for s in beside if s.is_dir()]
    archives = [s for s in beside if s.is_file() and s.name.lower().endswith(ARCHIVES)]
    for places in (folders, archives):
        candidates = [*product.with_pan, *(p for place in places for p in products_in(place))]
        found = [p for p in candidates if _has_pan(p) and same_acquisition(p.name, product.name)]
        if found:
            return max(found, key=lambda p: (p.name.level == "L1TP", p.name.processed or date.min))
    return None


def pan_given(paths: Sequence[Path], product: ProductFiles) -> ProductFiles:
    """Return the Level-1 product at one of ``paths`` that is of the same acquisition. Raises InputError without one."""
    if len(paths) == 1 and (unnamed := _unnamed(paths[0], product)):
        return unnamed
    candidates = [found for path in paths for found in pan_products(path)]
    for candidate in candidates:
        same = same_acquisition(candidate.name, product.name)
        if same or _of_tile(candidate.name, product.name) or _of_somewhere(candidate.name, product.name):
            return candidate
    others = ", ".join(candidate.product_id for candidate in candidates)
    raise InputError(
        f"`pan` {others}: not the acquisition of {product.product_id}, by path/row and date; give the L1TP product"
    )


def _unnamed(path: Path, product: ProductFiles) -> ProductFiles | None:
    """Return a GeoTIFF whose name tells no product as the pan of ``product``; None for what has a name."""
    if not (path.is_file() and path.name.lower().endswith(IMAGES)) or read_file_name(path.name).product is not None:
        return None
    stem = path.name.rpartition(".")[0]
    note = f"{path.name}: its name tells no acquisition; taken for the pan of {product.product_id}, as it was given"
    name = replace(product.name, id=stem, level="L1TP", processed=None)
    return ProductFiles(
        name=name, product_id=stem, source=str(path), parts={OLI.pan_band: str(path)}, notes=(note,),
        as_delivered=False,
    )  # fmt: skip


def pan_products(path: Path) -> list[ProductFiles]:
    """List the Level-1 products with a pan band in a folder or archive, or the one of a ``_B8.TIF``.

    Raises InputError where there is none.
    """
    if not path.exists():
        raise InputError(f"`pan` {path}: no such file or folder; give the Level-1 product of the same acquisition")
    is_file = path.is_file() and path.suffix.lower() in IMAGES
    found = [p for p in products_in(path.parent if is_file else path) if _has_pan(p)]
    if is_file:
        found = [p for p in found if Path(p.parts["B8"]) == path]
    if not found:
        raise InputError(f"`pan` {path}: no Level-1 pan band (.._B8.TIF by its USGS name) there; give the L1TP product")
    return found


def _is_level1_of(name: str, wanted: ProductName) -> bool:
    """Whether a folder or archive is named as a product with pan of an acquisition."""
    ending = next((e for e in ARCHIVES if name.lower().endswith(e)), "")
    parsed = ProductName.parse(name[: len(name) - len(ending)].upper().removesuffix("_TOA"))
    return parsed is not None and _may_have_pan(parsed) and same_acquisition(parsed, wanted)


def _of_tile(scene: ProductName, tile: ProductName) -> bool:
    """Whether a Level-1 scene is of the day of a tile of ARD, which may be made of it."""
    return bool(tile.region) and (scene.satellite, scene.acquired) == (tile.satellite, tile.acquired)


def _of_somewhere(scene: ProductName, image: ProductName) -> bool:
    """Whether a Level-1 scene is of the day of an image whose path and row are not known."""
    return not image.location and (scene.satellite, scene.acquired) == (image.satellite, image.acquired)


def _may_have_pan(name: ProductName) -> bool:
    return name.level.startswith("L1") or bool(name.region)


def _has_pan(product: ProductFiles) -> bool:
    return _may_have_pan(product.name) and OLI.pan_band in product.parts
