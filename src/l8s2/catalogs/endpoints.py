"""Catalogues of imagery: where they are, what they hold, how their files are named.

The table is catalogs.toml beside this file; a user's own has the same form. Pure: nothing here goes online.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from l8s2.errors import InputError
from l8s2.sensors import BAND_NAMES, BANDS, OLI

LANDSAT_L2, LANDSAT_L1, SENTINEL2 = "landsat-l2", "landsat-l1", "sentinel-2-l2a"
ACCESS = ("https", "s3-requester-pays", "usgs-login", "planetary-computer-token", "cdse-s3-keys", "cdse-login")
"""Ways to files: open https; S3 where who reads pays (the item's ``alternate.s3``); an account at USGS; a signed
address of the Planetary Computer; keys for, or an account at, the Copernicus Data Space."""
_MTL = ("MTL.json", "mtl.json", "MTL.txt", "mtl.txt", "MTL.xml", "mtl.xml")
ASSETS: dict[str, dict[str, tuple[str, ...]]] = {
    LANDSAT_L2: {band.name: (band.name, f"SR_{band.landsat}.TIF") for band in BANDS}
    | {"qa_pixel": ("qa_pixel", "QA_PIXEL.TIF"), "qa_radsat": ("qa_radsat", "QA_RADSAT.TIF"), "mtl": _MTL},
    LANDSAT_L1: {"pan": ("pan", f"{OLI.pan_band}.TIF"), "mtl": _MTL},
    SENTINEL2: {
        band.name: (band.name, band.sentinel2, f"{band.sentinel2}_{band.sentinel2_gsd}m") for band in BANDS
    }
    | {
        "scl": ("scl", "SCL", "SCL_20m"),
        "metadata": ("product_metadata", "product-metadata", "granule_metadata", "granule-metadata", "metadata"),
    },
}  # fmt: skip
"""Kind of collection -> our name of a file -> names that assets have, in order of preference."""
REQUIRED: dict[str, tuple[str, ...]] = {
    LANDSAT_L2: (*BAND_NAMES, "qa_pixel"),
    LANDSAT_L1: ("pan",),
    SENTINEL2: (*BAND_NAMES, "scl"),
}
"""Kind of collection -> our names of the files that an item must have."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A collection of one catalogue."""

    id: str
    kind: str
    """``landsat-l2``, ``landsat-l1`` or ``sentinel-2-l2a``."""
    access: tuple[str, ...] = ("https",)
    """Ways to the files, of ACCESS, the best first."""
    offset_removed: bool = False
    """Sentinel-2: whoever copied the images has taken off the offset of baseline 04.00 from all of them."""
    assets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Our name -> theirs, where they are not those of ASSETS."""

    def names(self, ours: str) -> tuple[str, ...]:
        """Return the names that the asset may have here, in order of preference."""
        return self.assets.get(ours) or ASSETS[self.kind].get(ours, ())


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """A STAC API."""

    name: str
    url: str
    title: str = ""
    pan_from: str | None = None
    """Another catalogue, for the pan band of its Landsat scenes."""
    collections: tuple[Collection, ...] = ()
    """In order of preference. Empty: to be found out from the catalogue itself."""

    def of(self, kind: str) -> tuple[Collection, ...]:
        """Return the collections of a kind."""
        return tuple(c for c in self.collections if c.kind == kind)


def known_catalogs(file: Path | None = None) -> dict[str, Catalog]:
    """Return the built-in catalogues by name, and those of a user's file, which may replace them.

    Args:
        file: where the user's are; by default ``user_file()``, which need not exist.

    Raises InputError for a file that is missing or not of the form.
    """
    built_in = resources.files("l8s2.catalogs").joinpath("catalogs.toml").read_text(encoding="utf-8")
    found = _read(built_in, "catalogs.toml")
    path = file or user_file()
    try:
        found |= _read(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        if file is not None:
            raise InputError(f"{file}: no such file; it lists catalogues, docs/search.md shows how") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); it lists catalogues, docs/search.md shows how") from None
    return found


def user_file() -> Path:
    """Return where a user's catalogues are listed: $XDG_CONFIG_HOME/l8s2/catalogs.toml, by default below ~/.config."""
    folder = os.environ.get("XDG_CONFIG_HOME") or Path("/", os.path.expanduser("~"), ".config")
    return Path(folder) / "l8s2" / "catalogs.toml"


def choose(names: Sequence[str], known: Mapping[str, Catalog]) -> list[Catalog]:
    """Catalogues by name or by the address of any STAC API. Raises InputError for a name that is not known."""
    chosen = []
    for name in names:
        if name in known:
            chosen.append(known[name])
        elif _is_address(name):
            chosen.append(Catalog(name=name, url=name))
        else:
            raise InputError(
                f"{name!r}: no catalogue of that name; give {', '.join(known)}, the address of a STAC API"
                f" (https://...), or list it in {user_file()}"
            )
    return chosen


def _is_address(text: str) -> bool:
    return re.match(r"https?://[^/]", text) is not None


def _read(text: str, source: str) -> dict[str, Catalog]:
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: not valid TOML ({error}); docs/search.md shows the form") from None
    return {name: _catalog(name, table, source) for name, table in tables.items()}


def _catalog(name: str, table: Any, source: str) -> Catalog:
    where = f"{source}: [{name}]"
    fields = _fields(table, {"url": str, "title": str, "pan_from": str, "collections": dict}, where)
    url = fields.pop("url", "")
    if not _is_address(url):
        raise InputError(f"{where}: url is {url!r}; give the address of a STAC API, https://...")
    collections = [_collection(key, value, f"{where} {key}") for key, value in fields.pop("collections", {}).items()]
    return Catalog(name=name, url=url, collections=tuple(collections), **fields)


def _collection(name: str, table: Any, where: str) -> Collection:
    fields = _fields(table, {"kind": str, "access": list, "offset_removed": bool, "assets": dict}, where)
    kind = fields.get("kind")
    if kind not in ASSETS:
        raise InputError(f"{where}: kind is {kind!r}; give one of {', '.join(ASSETS)}")
    access = tuple(fields.pop("access", ("https",)))
    for way in access:
        if way not in ACCESS:
            raise InputError(f"{where}: access {way!r} is not known; give some of {', '.join(ACCESS)}")
    assets = {}
    for ours, names in fields.pop("assets", {}).items():
        assets[ours] = (names,) if isinstance(names, str) else tuple(names) if isinstance(names, list) else ()
        if ours not in ASSETS[kind] or not assets[ours] or not all(isinstance(name, str) for name in assets[ours]):
            raise InputError(
                f"{where}: assets: {ours} = {names!r}; give a name or a list of names for some of"
                f" {', '.join(ASSETS[kind])}"
            )
    return Collection(id=name, access=access, assets=assets, **fields)


def _fields(table: Any, types: dict[str, type], where: str) -> dict[str, Any]:
    """Check the keys and types of a table, and return a copy."""
    if not isinstance(table, dict):
        raise InputError(f"{where}: not a table; docs/search.md shows the form")
    for key, value in table.items():
        if key not in types:
            raise InputError(f"{where}: {key} is not known; give some of {', '.join(types)}")
        if not isinstance(value, types[key]):
            raise InputError(f"{where}: {key} is {value!r}; it must be a {types[key].__name__}")
    return dict(table)
