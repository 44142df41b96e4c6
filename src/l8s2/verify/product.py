"""Whether every file of a product is there and is what its Item says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l8s2.cog.inspect import faults_of_layout
from l8s2.errors import InputError
from l8s2.product.reader import json_files, read_item
from l8s2.raster import checksum
from l8s2.verify.item import faults_of_item
from l8s2.verify.pixels import faults_of_pixels


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a product."""

    file: str
    """Its name within the product."""
    what: str


def verify_product(folder: Path) -> list[Fault]:
    """Return everything that is wrong with a product; nothing where it is whole.

    Memory does not grow with the product: files are read by blocks, pixels by tiles.
    """
    return list(_faults(folder))


def _faults(folder: Path) -> Iterator[Fault]:
    items = json_files(folder)
    if len(items) != 1:
        yield Fault(folder.name, f"holds {len(items)} .json files; a product has one, its Item")
        return
    name = items[0].name
    try:
        item = read_item(items[0])
    except InputError as error:
        yield Fault(name, str(error).removeprefix(f"{items[0]}: "))
        return
    sentences = faults_of_item(item)
    yield from (Fault(name, sentence) for sentence in sentences)
    if sentences:
        return
    assets = {key: asset["href"].removeprefix("./") for key, asset in item["assets"].items()}
    for path in sorted(folder.iterdir()):
        if path.name not in {name, *assets.values()}:
            yield Fault(path.name, "is not of this product; move it away")
    whole = {}
    for key, file in assets.items():
        faults = list(_file(folder / file, item["assets"][key]))
        yield from (Fault(file, fault) for fault in faults)
        if not faults and "cloud-optimized" in str(item["assets"][key].get("type")):
            whole[key] = folder / file
    for key, path in whole.items():
        yield from (Fault(assets[key], fault) for fault in faults_of_layout(path))
    yield from (Fault(assets[key], fault) for key, fault in faults_of_pixels(whole, item))


def _file(path: Path, asset: dict[str, Any]) -> Iterator[str]:
    """Check presence, size and checksum of one file."""
    try:
        if path.is_symlink() or not path.is_file():
            yield "is missing" if not os.path.lexists(path) else "is not a plain file"
        elif (size := path.stat().st_size) != asset["file:size"]:
            yield f"has {size} bytes, the Item says {asset['file:size']}"
        elif checksum(path) != asset["file:checksum"]:
            yield "has another checksum than the Item says; make the product again, or copy it again"
    except OSError as error:
        yield f"cannot be read ({error.strerror})"
