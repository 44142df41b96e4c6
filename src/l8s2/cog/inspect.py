"""Whether a file is laid out as a cloud-optimised GeoTIFF, read from its tables of tiles alone."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_NAMES = {256: "width", 257: "height", 322: "tile_width", 323: "tile_height", 324: "offsets", 325: "sizes"}
_KINDS = {3: "H", 4: "I", 16: "Q"}
"""TIFF types of whole numbers, as ``struct`` writes them."""
_MOST_IMAGES = 64
_LONGEST_TABLE = 16 << 20
"""Bytes: two million tiles, of 512 pixels a square of 700 000."""
_LARGEST_SIDE = 512
"""Pixels of the smallest image: readers fetch it at once."""


class _NoTiffError(ValueError):
    """The file is no TIFF that can be followed."""


@dataclass(frozen=True, kw_only=True)
class _Image:
    """One directory of a TIFF."""

    at: int
    """Where the directory begins."""
    width: int
    height: int
    tile_width: int
    tile_height: int
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def tiles(self) -> int:
        return -(-self.width // self.tile_width) * -(-self.height // self.tile_height)

    @property
    def data(self) -> list[tuple[int, int]]:
        """First byte and end of every tile that is there."""
        return [(o, o + n) for o, n in zip(self.offsets, self.sizes, strict=True) if n]


def faults_of_layout(path: Path) -> list[str]:
    """Return what keeps a file from being a cloud-optimised GeoTIFF, a sentence for each. Raises OSError.

    Checked are: tiles, each within the file; reduced images by two, down to one of 512 pixels or less; tables before
    tiles; tiles of small images before those of large ones, each row by row.
    """
    with path.open("rb") as file:
        try:
            images = list(_images(file, os.fstat(file.fileno()).st_size))
        except (_NoTiffError, struct.error) as error:
            return [f"no whole TIFF ({error})"]
        size = os.fstat(file.fileno()).st_size
    return list(_faults(images, size))


def _faults(images: list[_Image], size: int) -> Iterator[str]:
    for number, image in enumerate(images):
        name = f"reduced image {number}" if number else "full image"
        if not image.tile_width or not image.tile_height:
            yield f"{name} is not tiled"
            return
        if len(image.offsets) != image.tiles or len(image.sizes) != image.tiles:
            yield f"{name} has {image.tiles} tiles, its table {len(image.offsets)}"
            return
        if any(end > size for _, end in image.data):
            yield f"{name} has tiles beyond the end of the file"
        if image.data != sorted(image.data):
            yield f"tiles of the {name} are not row by row"
    for above, image in zip(images[1:], images, strict=False):
        if (above.width, above.height) != (-(-image.width // 2), -(-image.height // 2)):
            yield f"an image of {above.width} x {above.height} follows one of {image.width} x {image.height}, not half"
        if above.data and image.data and max(above.data) > min(image.data):
            yield "tiles of a larger image lie before those of a smaller one"
    if max(images[-1].width, images[-1].height) > _LARGEST_SIDE:
        yield f"the smallest image is {images[-1].width} x {images[-1].height}, over {_LARGEST_SIDE}"
    tables = [image.at for image in images]
    if tables != sorted(tables) or any(data and min(data)[0] < tables[-1] for data in (i.data for i in images)):
        yield "tables of tiles do not all lie before the tiles"


def _images(file: BinaryIO, size: int) -> Iterator[_Image]:
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    magic = struct.unpack_from(f"{order}H", head, 2)[0] if order else 0
    if magic not in (42, 43):
        raise _NoTiffError("its first bytes are others")
    big = magic == 43
    at = struct.unpack_from(f"{order}Q" if big else f"{order}I", head, 8 if big else 4)[0]
    seen: set[int] = set()
    while at:
        if at in seen or len(seen) >= _MOST_IMAGES:
            raise _NoTiffError("its images go in a circle, or are too many")
        seen.add(at)
        image, at = _image(file, size, at, order or "<", big)
        yield image


def _image(file: BinaryIO, size: int, at: int, order: str, big: bool) -> tuple[_Image, int]:
    """Read one directory; also tells where the next one is, 0 for none."""
    pointer, entry, inline = ("Q", "HHQ", 8) if big else ("I", "HHI", 4)
    file.seek(at)
    count = struct.unpack(f"{order}{pointer if big else 'H'}", file.read(8 if big else 2))[0]
    step = struct.calcsize(f"{order}{entry}") + inline
    if count * step > size:
        raise _NoTiffError("a table is longer than can be")
    table = file.read(count * step + inline)
    found: dict[str, tuple[int, ...]] = {}
    for index in range(count):
        tag, kind, n = struct.unpack_from(f"{order}{entry}", table, index * step)
        if tag not in _NAMES or kind not in _KINDS:
            continue
        place, width = (index + 1) * step - inline, struct.calcsize(f"{order}{_KINDS[kind]}")
        if n * width > min(size, _LONGEST_TABLE):
            raise _NoTiffError("a table is longer than can be")
        data = table[place : place + inline]
        if n * width > inline:
            file.seek(struct.unpack_from(f"{order}{pointer}", table, place)[0])
            data = file.read(n * width)
        found[_NAMES[tag]] = struct.unpack_from(f"{order}{n}{_KINDS[kind]}", data)
    sides = {name: found.get(name, (0,))[0] for name in ("width", "height", "tile_width", "tile_height")}
    if not sides["width"] or not sides["height"]:
        raise _NoTiffError("an image has no size")
    image = _Image(at=at, offsets=found.get("offsets", ()), sizes=found.get("sizes", ()), **sides)
    return image, struct.unpack_from(f"{order}{pointer}", table, count * step)[0]
