"""Folders with products as the viewer looks for them; the rasters may be any bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RASTERS = {"surface_reflectance": "SR", "sigma": "SIGMA", "qa": "QA"}


def product(
    folder: Path, name: str = "LC08_A", when: str = "2023-05-20T10:00:00Z", hrefs: Mapping[str, str] | None = None
) -> Path:
    """Write a product whose rasters hold their own names; ``hrefs`` replaces what the Item says of an asset."""
    here = folder / f"{name}_S2L"
    here.mkdir(parents=True)
    assets: dict[str, Any] = {}
    for key, short in RASTERS.items():
        (here / f"{name}_{short}.tif").write_bytes(f"II*\0{name} {short} ".encode() + bytes(range(256)))
        assets[key] = {"href": f"./{name}_{short}.tif"}
    for key, href in (hrefs or {}).items():
        assets[key] = {"href": href}
    item = {
        "type": "Feature", "id": here.name, "assets": assets,
        "properties": {"datetime": when, "l8s2:model": "compact", "proj:code": "EPSG:32633", "platform": "landsat-8"},
    }  # fmt: skip
    (here / f"{name}.json").write_text(json.dumps(item), encoding="utf-8")
    return here
