"""What may be shown: the products below a folder, by their STAC Items, and the files that these name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from l8s2.errors import InputError
from l8s2.masks import QA_BITS
from l8s2.product.reader import RASTERS, items_in, product_folders, walk_products

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the first bytes of TIFF and BigTIFF in both byte orders


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """The index of the page, and the only files that are served with it."""

    index: dict[str, Any]
    """Fit for JSON: ``products`` by date, ``sentinel2``, ``landsat``, ``bits``. Addresses are relative to the page."""
    files: Mapping[str, Path]
    """Name below the page, not escaped, to the file."""


def checked_folder(folder: Path) -> Path:
    """Return the folder with its links resolved; raises InputError where it holds no product."""
    root = (product_folders(folder)[0] if folder.is_file() else folder).resolve()
    if not root.is_dir():
        raise InputError(f"{folder}: no such file or folder; give the one that `l8s2 harmonize` wrote into")
    if not fill_shelf(root).index["products"]:
        raise InputError(f"{folder}: holds no product of l8s2; give the folder that `l8s2 harmonize` wrote into")
    return root


def checked_raster(path: Path) -> Path:
    """Return the file with its links resolved; raises InputError where it is no TIFF."""
    if not path.is_file():
        raise InputError(f"`sentinel2` {path}: not a file; give a GeoTIFF of six bands in the order of the product")
    with path.open("rb") as file:
        if file.read(4) not in _TIFF:
            raise InputError(f"`sentinel2` {path}: not a TIFF; `gdal_translate -of COG` makes one of it")
    return path.resolve()


def fill_shelf(root: Path, beside: Mapping[str, Path] | None = None) -> Shelf:
    """Look for products below ``root``, a folder without links in its own path.

    ``beside``: rasters to compare with, ``sentinel2`` and ``landsat..``, which may lie anywhere.
    A file is left out where its Item names it by an address, or where it lies outside of ``root``, by ``..`` or a link.
    """
    files: dict[str, Path] = {}
    products = []
    for folder in walk_products(root):
        for item in (item for path, item in items_in(folder) if not path.is_symlink()):
            named = {key: _inside(root, folder, item, key) for key in RASTERS}
            found = {key: path for key, path in named.items() if path is not None}
            if "surface_reflectance" in found:
                names = {key: f"data/{path.relative_to(root).as_posix()}" for key, path in found.items()}
                files |= {names[key]: path for key, path in found.items()}
                products.append(_entry(item, {key: quote(name) for key, name in names.items()}))
    others = {key: {"name": path.stem, "href": f"{key}.tif"} for key, path in (beside or {}).items()}
    files |= {f"{key}.tif": path for key, path in (beside or {}).items()}
    index = {
        "products": sorted(products, key=lambda entry: (entry["datetime"], entry["id"])),
        "sentinel2": others.get("sentinel2"),
        "landsat": [other for key, other in others.items() if key.startswith("landsat")],
        "bits": [{"value": 1 << bit.bit, "name": bit.name, "description": bit.description} for bit in QA_BITS],
    }
    return Shelf(index=index, files=files)


def still_inside(root: Path, path: Path) -> bool:
    """Whether ``path``, found before, is still a plain file below ``root`` with no link on the way."""
    return path.is_relative_to(root) and path.resolve() == path and path.is_file()


def _inside(root: Path, folder: Path, item: Mapping[str, Any], key: str) -> Path | None:
    """Return the file of an asset, where it is one that may be served."""
    asset = item["assets"].get(key)
    href = asset.get("href") if isinstance(asset, dict) else None
    if not isinstance(href, str) or "\0" in href:
        return None
    try:
        path = (folder / href).resolve()
        path.as_posix().encode("utf-8")
        return path if still_inside(root, path) and path.suffix.lower() in (".tif", ".tiff") else None
    except (OSError, ValueError, RuntimeError):
        return None


def _entry(item: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page needs to know of a product."""
    said = item["properties"]
    bands, reasons, sigma = (
        item["assets"]["surface_reflectance"].get("bands"), said.get("l8s2:verdict_reasons"), said.get("l8s2:sigma"),
    )  # fmt: skip
    return {
        "id": str(item.get("id", "")),
        "datetime": str(said.get("datetime") or ""),
        "platform": str(said.get("platform") or ""),
        "crs": said.get("proj:code"),
        "warped": bool(said.get("l8s2:warped")),
        "model": str(said.get("l8s2:model")),
        "verdict": said.get("l8s2:verdict"),
        "reasons": list(map(str, reasons)) if isinstance(reasons, list) else [],
        "clear_percent": said.get("l8s2:clear_percent"),
        "sigma": sigma if isinstance(sigma, dict) else {},
        "wavelengths": [
            band.get("eo:center_wavelength")
            for band in (bands if isinstance(bands, list) else [])
            if isinstance(band, dict)
        ],
        "files": dict(files),
    }
