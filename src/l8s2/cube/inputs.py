"""Observations from what a user names: products, images, their Items, and folders of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from l8s2.acquire.fetch import SCENE
from l8s2.cube.landsat_product import landsat_product
from l8s2.cube.observation import Source
from l8s2.cube.sentinel2_image import sentinel2_image
from l8s2.errors import InputError
from l8s2.product.reader import is_item, items_in
from l8s2.product.writer import SUFFIX
from l8s2.serialization import read_json_file

_DEPTH = 4
"""Folders below the one named in which products and images are looked for."""


def find_sources(paths: Iterable[Path], warn: Callable[[str], None] = lambda _: None) -> list[Source]:
    """Return the observations that paths name, in order of time, each once.

    Args:
        paths: folder of a product of l8s2 or its Item; folder of a Sentinel-2 image as ``l8s2 fetch`` makes it or its
            ``scene.json``; or a folder with such folders in it.
        warn: gets a line for each that is named again.

    Raises:
        InputError: A path holds nothing of the kind, or something that cannot be used.
    """
    found: dict[str, Source] = {}
    for path in paths:
        here = list(_sources(path))
        if not here:
            raise InputError(
                f"{path}: holds no product of l8s2 and no Sentinel-2 image as l8s2 fetch writes it;"
                " harmonise or fetch first"
            )
        for source in here:
            if found.setdefault(source.about.item_id, source) is not source:
                warn(f"{source.about.item_id}: is given more than once; the first is taken")
    return sorted(found.values(), key=lambda source: (source.about.time, source.about.item_id))


def _sources(path: Path) -> Iterator[Source]:
    if path.is_file():
        yield _of_file(path)
    elif not path.is_dir():
        raise InputError(f"{path}: no such file or folder; give products, images or a folder of them")
    for here, below, names in os.walk(path):
        folder = Path(here)
        below[:] = sorted(name for name in below if not name.startswith("."))
        if len(folder.relative_to(path).parts) >= _DEPTH:
            below[:] = []
        if SCENE in names and _is_sentinel2(names):
            yield sentinel2_image(folder)
            below[:] = []
        for file, item in items_in(folder) if folder.name.endswith(SUFFIX) else ():
            yield landsat_product(file, item)
            below[:] = []


def _of_file(path: Path) -> Source:
    content = read_json_file(path, "STAC Item", "give a product, its .json, or a folder of products")
    if is_item(content):
        return landsat_product(path, content)
    if path.name == SCENE:
        return sentinel2_image(path.parent)
    raise InputError(
        f"{path}: an Item of a catalogue; get its files with l8s2 fetch {path.name}, then give that folder"
    )


def _is_sentinel2(names: Iterable[str]) -> bool:
    return any(name.startswith("SCL.") for name in names)
