"""Items of made products whose files lie on loopback, and what their ways to them need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from l8s2.acquire.access import Access
from l8s2.catalogs.endpoints import LANDSAT_L1, LANDSAT_L2, SENTINEL2, Catalog, Collection
from l8s2.catalogs.items import SceneItem, scene_item
from making.items import landsat, sentinel2
from making.scenes import ID

COLLECTIONS = {LANDSAT_L2: "landsat-c2l2-sr", LANDSAT_L1: "landsat-c2l1", SENTINEL2: "sentinel-2-l2a"}


def access(url: str, *ways: str) -> Access:
    """To the files of a catalogue of which nothing is known but the ways."""
    rows = (Collection(id=name, kind=kind, access=ways or ("https",)) for kind, name in COLLECTIONS.items())
    return Access([Catalog(name="made", url=f"{url}/api/stac/v1", collections=tuple(rows))])


def landsat_item(product: Path, address: Callable[[Path], str]) -> SceneItem:
    """The item of a product made by ``made_scenes``, with those of its files that are there."""
    level = product.name.split("_")[1]
    day, processed = ID.split("_")[3:5]
    raw = landsat(day, ID.split("_")[2], satellite=9, level=level, processed=processed)
    return _item(raw, LANDSAT_L2 if level == "L2SP" else LANDSAT_L1, product, address)


def sentinel2_item(folder: Path, address: Callable[[Path], str], ending: str = ".tif") -> SceneItem:
    """An item of files that are named by their bands."""
    raw = sentinel2()
    for asset in raw["assets"].values():
        asset["href"] = asset["href"].replace(".tif", ending)
    return _item(raw, SENTINEL2, folder, address)


def usgs_item(product: Path, server: str, place: tuple[float, float], zone: int = 33) -> dict[str, Any]:
    """The item of a product at ``place`` (longitude, latitude) whose folder a server has, as USGS writes it."""
    satellite, level, path_row, day, processed, *_ = product.name.split("_")
    item = landsat(
        day, path_row, level=level, satellite=int(satellite[2:]), processed=processed, lon=place[0], lat=place[1],
        zone=zone,
    )  # fmt: skip
    assert product.name in item["id"]
    for name, asset in list(item["assets"].items()):
        key = f"{product.name}/{Path(asset['href']).name}"
        if not (product.parent / key).exists():
            del item["assets"][name]
            continue
        asset["href"] = f"{server}/{key}"
        asset["alternate"]["s3"]["href"] = f"s3://usgs-landsat/{key}"
    return item


def _item(raw: dict[str, Any], kind: str, folder: Path, address: Callable[[Path], str]) -> SceneItem:
    files = {name: folder / asset["href"].rpartition("/")[2] for name, asset in raw["assets"].items()}
    raw["assets"] = {name: {"href": address(path)} for name, path in files.items() if path.exists()}
    return scene_item(raw, "made", Collection(id=COLLECTIONS[kind], kind=kind))
