"""A finished product, read back from its folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odc.geo.geobox import GeoBox

from l8s2.errors import InputError
from l8s2.product.writer import SUFFIX
from l8s2.raster import open_dataset
from l8s2.serialization import read_json_file

RASTERS = ("surface_reflectance", "sigma", "qa")
_DEPTH = 4
"""Folders below the one given in which products are looked for."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """The Item of a product, and where its rasters are."""

    item: dict[str, Any]
    rasters: dict[str, Path]
    """``surface_reflectance`` and ``qa``, and ``sigma`` where there is one."""
    geobox: GeoBox


def product_folders(path: Path) -> list[Path]:
    """Return the product that a path names, or those below it in order; raises InputError where there is none.

    This is how every command takes products: by the folder, by the Item in it, or by a folder with products below it.
    """
    if path.is_file():
        read_item(path)
        return [path.parent]
    if not path.is_dir():
        raise InputError(
            f"{path}: no such file or folder; give a product, its .json, or the folder that holds products"
        )
    if any("Fmask" in item["assets"] for _, item in items_in(path)):
        raise InputError(f"{path}: a granule that `l8s2 export` wrote; give the product that it was made from")
    found = list(walk_products(path))
    if not found:
        raise InputError(f"{path}: holds no product of l8s2; give the folder that `l8s2 harmonize` wrote into")
    return found


def one_product(path: Path) -> Path:
    """Return the folder of the one product that a path names or holds; raises InputError for none and for several."""
    found = product_folders(path)
    if len(found) > 1:
        raise InputError(f"{path}: holds {len(found)} products; give one of them, such as {found[0]}")
    return found[0]


def item_file(path: Path) -> Path:
    """Return the file of the Item of the one product that a path names; raises InputError where there is none."""
    if path.is_file():
        return path
    found = json_files(folder := one_product(path))
    if len(found) != 1:
        raise InputError(f"{folder}: holds {len(found)} .json files; give that of the product")
    return found[0]


def walk_products(root: Path) -> Iterator[Path]:
    """Yield the folders from ``root`` on that are named as products are; links to folders are not followed.

    ``root`` itself is also known by an Item in it.
    """
    for here, below, _ in os.walk(root):
        folder = Path(here)
        is_product = os.path.abspath(here).endswith(SUFFIX) or (folder == root and any(items_in(folder)))
        if is_product:
            yield folder
        deep = is_product or len(folder.relative_to(root).parts) >= _DEPTH
        below[:] = [] if deep else sorted(name for name in below if not name.startswith("."))


def is_item(content: Any) -> bool:
    """Tell whether parsed JSON is the STAC Item of a product of l8s2."""
    said, assets = map(content.get, ("properties", "assets")) if isinstance(content, dict) else (None, None)
    return isinstance(said, dict) and isinstance(assets, dict) and "l8s2:model" in said


def read_item(path: Path) -> dict[str, Any]:
    """Read the STAC Item of a product of l8s2; raises InputError for what is none."""
    what, remedy = "STAC Item of l8s2", "give the .json of a product"
    item = read_json_file(path, what, remedy)
    if not is_item(item):
        raise InputError(f"{path}: no {what}; {remedy}")
    return dict(item)


def json_files(folder: Path) -> list[Path]:
    """Return the JSON files of a folder that are not hidden, by name; a product has one, its Item."""
    return sorted(path for path in folder.glob("*.json") if os.path.isfile(path) and path.name[0] != ".")


def items_in(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the Items of products of l8s2 in a folder, each with its file; what is none is passed over."""
    for path in json_files(folder):
        try:
            item = read_item(path)
        except InputError:
            continue
        yield path, item


def open_product(folder: Path) -> Product:
    """Find the Item and the rasters of the product in a folder. Raises InputError where there is none, or not whole."""
    from affine import Affine
    from rasterio.errors import RasterioError

    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder; give one that l8s2 wrote, such as out/<id>_S2L")
    item = next((item for _, item in items_in(folder)), None)
    if item is None:
        raise InputError(f"{folder}: holds no product of l8s2; give the folder of one, such as out/<id>_S2L")
    rasters = {}
    for key in RASTERS:
        asset = item["assets"].get(key)
        if not isinstance(asset, dict):
            continue
        path = folder / Path(str(asset.get("href"))).name
        if not path.is_file():
            raise InputError(f"{folder}: {path.name} is missing; make the product again")
        rasters[key] = path
    if not {"surface_reflectance", "qa"} <= rasters.keys():
        raise InputError(f"{folder}: its Item names no reflectance or no QA; give a folder that l8s2 wrote")
    path = rasters["surface_reflectance"]
    try:
        with open_dataset(path) as source:
            if source.crs is None:
                raise InputError(f"{path.name}: has no coordinate reference system; make the product again")
            geobox = GeoBox(source.shape, Affine(*source.transform[:6]), str(source.crs))
    except RasterioError:
        raise InputError(f"{path.name}: cannot be opened as a GeoTIFF; make the product again") from None
    return Product(item=item, rasters=rasters, geobox=geobox)
