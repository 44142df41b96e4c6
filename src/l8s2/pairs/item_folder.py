"""Sentinel-2 Level 2A as it is downloaded from a catalogue: images in a folder, and the STAC Item beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from l8s2.catalogs.endpoints import ASSETS, SENTINEL2, known_catalogs
from l8s2.catalogs.items import SceneItem
from l8s2.catalogs.saved_items import parse_items
from l8s2.errors import InputError
from l8s2.sensors import BANDS

_LARGEST = 16 << 20
"""Bytes of an Item; they have 50 kB."""
_CLASSES = re.compile(r"(.*_)?scl(_20m)?[.](tif|tiff|jp2)", re.IGNORECASE)


def has_images(names: Iterable[str]) -> bool:
    """Whether a file of a folder is Sentinel-2's scene classification, as catalogues name it."""
    return any(_CLASSES.fullmatch(name) for name in names)


def item_files(folder: Path) -> tuple[SceneItem, dict[str, Path]]:
    """Return the Item and the images by band and ``SCL``: those that the Item names, else ``B02.tif`` or ``blue.tif``.

    Raises:
        InputError: There is no Item or are several, it cannot be used, or an image is missing.
    """
    found = [(path, content) for path in sorted(folder.glob("*.json")) if (content := _item(path))]
    if len(found) != 1:
        raise InputError(
            f"{folder}: holds {len(found) or 'no'} STAC Item{'s'[: len(found) > 1]}, telling date, angles and offset"
            " of the images; save the Item of the scene beside them as item.json, or of a SAFE product give all of it"
        )
    path, content = found[0]
    (item,) = parse_items(content, known_catalogs(), str(path)).scenes
    if item.kind != SENTINEL2:
        raise InputError(f"{path}: an Item of {item.kind}; give one of Sentinel-2 Level 2A")
    return item, {
        ours: _image(folder, item, name)
        for ours, name in [*((band.sentinel2, band.name) for band in BANDS), ("SCL", "scl")]
    }


def _item(path: Path) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size < _LARGEST else None
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and content.get("type") == "Feature" and "assets" in content else None


def _image(folder: Path, item: SceneItem, name: str) -> Path:
    named = urlsplit(item.assets[name].href).path.rpartition("/")[2]
    names = [named, *(f"{other}.tif" for other in ASSETS[SENTINEL2][name])]
    found = next((folder / file for file in names if file and (folder / file).is_file()), None)
    if found is None:
        raise InputError(f"{folder}: holds no {named}, which is {name} by its Item; download it too")
    return found
