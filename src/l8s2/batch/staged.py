"""Landsat products that a platform has staged in: a STAC catalogue on disk, whose Items name files beside them.

So do runners of OGC EO Application Packages give their inputs (OGC 20-089r1): a folder with ``catalog.json``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from l8s2.batch.settings import SETTINGS
from l8s2.deliveries.find import ARCHIVES
from l8s2.deliveries.product_name import LEVEL2, ProductName, same_acquisition
from l8s2.errors import InputError
from l8s2.serialization import read_json_file

CATALOG = "catalog.json"
_FOLLOWED = ("child", "item")


@dataclass(frozen=True, kw_only=True)
class Staged:
    """One Level-2 product on disk."""

    id: str
    product: Path
    """Folder of its files, or archive."""
    pan: Path | None
    """The same of the Level-1 product of its acquisition."""


def is_staged(folder: Path) -> bool:
    """Tell whether a folder is a staged-in catalogue, and not what a batch has written."""
    return (folder / CATALOG).is_file() and not (folder / SETTINGS).exists()


def staged_products(folder: Path) -> list[Staged]:
    """Find the Level-2 products that ``catalog.json`` of a folder leads to, each with its Level-1 product, by name.

    Files that are not there are passed over. Raises InputError where no Level-2 file is left, and for what is no STAC
    or lies outside of the folder.
    """
    places: dict[ProductName, Path] = {}
    for path in filter(Path.exists, _files(Path(os.path.abspath(folder)))):
        name = ProductName.find(path.name)
        archive = path.name.lower().endswith(ARCHIVES)
        if name and (archive or re.search(r"_SR_B\d|_B8[.]", path.name, re.IGNORECASE)):
            places.setdefault(name, path if archive else path.parent)
    pans = {name: place for name, place in places.items() if name.level not in LEVEL2}
    found = [
        Staged(id=name.id, product=place, pan=next((pans[p] for p in pans if same_acquisition(p, name)), None))
        for name, place in places.items()
        if name.level in LEVEL2
    ]
    if not found:
        raise InputError(f"{folder / CATALOG}: leads to no Landsat Level-2 files; stage in Items of L2SP products")
    return found


def _files(root: Path) -> Iterator[Path]:
    """Yield the local files of all Items that a catalogue leads to."""
    waiting, seen = [root / CATALOG], {root / CATALOG}
    while waiting:
        path = waiting.pop(0)
        content = _read(path)
        for asset in (content.get("assets") or {}).values():
            file = _local(asset, path, root)
            if file is not None and content.get("type") == "Feature":
                yield file
        for link in content.get("links") or []:
            target = _local(link, path, root) if link.get("rel") in _FOLLOWED else None
            if target is not None and target not in seen:
                seen.add(target)
                waiting.append(target)


def _read(path: Path) -> dict[str, Any]:
    what, remedy = "STAC catalogue or Item", "stage the catalogue in again"
    content = read_json_file(path, what, remedy)
    try:
        parts = [*(content.get("links") or []), *(content.get("assets") or {}).values()]
    except (AttributeError, TypeError):
        parts = [None]
    if not all(isinstance(part, dict) for part in parts):
        raise InputError(f"{path}: no {what}; {remedy}")
    return dict(content)


def _local(of: dict[str, Any], base: Path, root: Path) -> Path | None:
    """Return the file that an asset or a link of ``base`` names; None for an address elsewhere.

    Raises InputError where it lies outside of ``root``.
    """
    href = str(of.get("href"))
    try:
        parts = urlsplit(href)
    except ValueError:  # an address that is none
        return None
    if parts.scheme not in ("", "file"):
        return None
    path = Path(unquote(parts.path)) if parts.scheme else Path(href)
    path = Path(os.path.normpath(base.parent / path))
    if not path.is_relative_to(root):
        raise InputError(f"{base}: names {href!r}, outside of {root}; stage it in with everything it needs")
    return path
