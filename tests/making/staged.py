"""Folders as platforms stage them in: a STAC catalogue with Items whose files lie beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

A, A_PAN = "LC08_L2SP_143054_20230520_20230524_02_T1", "LC08_L1TP_143054_20230520_20230524_02_T1"
B = "LC09_L2SP_143054_20230528_20230601_02_T1"


def link(rel: str, href: str) -> dict[str, str]:
    return {"rel": rel, "href": href}


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


def stage_in(folder: Path, products: dict[str, str]) -> None:
    """Write a catalogue over folders of products; of a folder that is not there its files are made, empty.

    ``products``: name of the folder -> product id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for below, product in products.items():
        place = folder / below
        if not place.exists():
            place.mkdir()
            (place / (f"{product}_B8.TIF" if "_L1" in product else f"{product}_SR_B4.TIF")).touch()
        assets = {path.stem: {"href": f"./{path.name}"} for path in sorted(place.glob("*.*"))}
        write_json(place / "item.json", {"type": "Feature", "id": product, "assets": assets, "links": []})
    links = [link("item", f"./{below}/item.json") for below in products]
    write_json(folder / "catalog.json", {"type": "Catalog", "stac_version": "1.0.0", "id": "in", "links": links})
