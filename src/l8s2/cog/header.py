"""The beginning of a cloud-optimised GeoTIFF: GDAL's own tags, and tables of where the tiles lie.

Source of the layout: TIFF 6.0, BigTIFF (libtiff), and GDAL's "Cloud optimized GeoTIFF" with its header ghost area.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from odc.geo.geobox import GeoBox

from l8s2.cog.layout import BLOCK, Encoding, Level

LEADER, TRAILER = 4, 4
"""Bytes before each tile, its size, and after it, its last four bytes again."""
_GHOST = (
    b"LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
    b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
)
_WIDTH, _HEIGHT, _SUBFILE, _OFFSETS, _SIZES = 256, 257, 254, 324, 325
_OF_REDUCED = {256, 257, 258, 259, 262, 277, 284, 317, 322, 323, 338, 339, 42113}
"""Tags that reduced images have of the full one: samples and tiles, and GDAL's nodata."""
_SHORT, _LONG, _LONG8 = 3, 4, 16
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value of each TIFF type."""


@dataclass(frozen=True)
class Entry:
    """One tag of a directory."""

    kind: int
    """TIFF type."""
    count: int
    payload: bytes


Directory = dict[int, Entry]


def gdal_tags(
    geobox: GeoBox,
    bands: Sequence[str],
    encoding: Encoding,
    items: Sequence[Mapping[str, str]],
    about: Mapping[str, str] | None = None,
) -> Directory:
    """Return the tags that GDAL gives to a file of such a grid, such samples and such metadata.

    Args:
        geobox: the grid.
        bands: their descriptions.
        encoding: how samples are stored.
        items: metadata of each band.
        about: metadata of the file.
    """
    from rasterio.enums import ColorInterp
    from rasterio.io import MemoryFile

    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": encoding.dtype, "count": len(bands), "crs": str(geobox.crs),
        "nodata": encoding.nodata, "transform": geobox.affine, "height": geobox.shape[0], "width": geobox.shape[1],
        "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "pixel", "compress": "deflate",
        "predictor": 2, "bigtiff": "YES", "sparse_ok": True,
    }  # fmt: skip
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.descriptions = tuple(bands)
            if encoding.scale is not None:
                colours = {"red": ColorInterp.red, "green": ColorInterp.green, "blue": ColorInterp.blue}
                dataset.colorinterp = [colours.get(band, ColorInterp.undefined) for band in bands]
                dataset.scales = (encoding.scale,) * len(bands)
                dataset.offsets = (0.0,) * len(bands)
            dataset.update_tags(**(about or {}))
            for index, found in enumerate(items, 1):
                dataset.update_tags(index, **found)
        return _parse(memory.read())


def _parse(content: bytes) -> Directory:
    """Return the first directory of a little-endian BigTIFF."""
    magic, _, _, start = struct.unpack_from("<4sHHQ", content)
    if magic != b"II+\0":
        raise ValueError("not a little-endian BigTIFF")
    directory = {}
    for index in range(struct.unpack_from("<Q", content, start)[0]):
        place = start + 8 + 20 * index
        tag, kind, count = struct.unpack_from("<HHQ", content, place)
        size = count * _BYTES[kind]
        where = place + 12 if size <= 8 else struct.unpack_from("<Q", content, place + 12)[0]
        directory[tag] = Entry(kind, count, content[where : where + size])
    return directory


@dataclass(frozen=True)
class _Format:
    """Classic TIFF, or BigTIFF for files of four gigabytes and more."""

    big: bool

    @property
    def start(self) -> bytes:
        ghost = b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n" % len(_GHOST) + _GHOST
        fixed = 16 if self.big else 8
        first = fixed + len(ghost) + len(ghost) % 2
        head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, first) if self.big else struct.pack("<2sHI", b"II", 42, first)
        return (head + ghost).ljust(first, b" ")

    @property
    def inline(self) -> int:
        return 8 if self.big else 4

    def size(self, directory: Directory) -> int:
        """Bytes of a directory with its values, an even number."""
        fixed = (16 if self.big else 6) + (20 if self.big else 12) * len(directory)
        return fixed + sum(_even(len(e.payload)) for e in directory.values() if len(e.payload) > self.inline)

    def written(self, directory: Directory, at: int, following: int) -> bytes:
        """Bytes of a directory that begins at ``at``; ``following``: where the next one begins, 0 for none."""
        count, entry, pointer = ("<Q", "<HHQ", "<Q") if self.big else ("<H", "<HHI", "<I")
        table, values = struct.pack(count, len(directory)), b""
        beyond = at + (16 if self.big else 6) + (20 if self.big else 12) * len(directory)
        for tag, item in sorted(directory.items()):
            table += struct.pack(entry, tag, item.kind, item.count)
            if len(item.payload) <= self.inline:
                table += item.payload.ljust(self.inline, b"\0")
            else:
                table += struct.pack(pointer, beyond + len(values))
                values += item.payload.ljust(_even(len(item.payload)), b"\0")
        return table + struct.pack(pointer, following) + values


def _even(number: int) -> int:
    return number + number % 2


def header(full: Directory, levels: Sequence[Level], sizes: Sequence[Sequence[int]]) -> bytes:
    """Return everything before the first tile.

    The tiles follow with leader and trailer, the smallest image first, each image row by row.

    Args:
        full: the tags that ``gdal_tags`` gives.
        levels: the full image, then the reduced ones.
        sizes: bytes of each tile of each level, without leader and trailer.
    """
    data = sum(size + LEADER + TRAILER for of_level in sizes for size in of_level)
    for big in (False, True):
        shape = _Format(big)
        directories = [_directory(full, level, [0] * len(s), s, big) for level, s in zip(levels, sizes, strict=True)]
        first = len(shape.start) + sum(map(shape.size, directories))
        if first + data < 1 << 32:
            break
    offsets: list[list[int]] = [[] for _ in levels]
    place = first
    for index in reversed(range(len(levels))):
        for size in sizes[index]:
            offsets[index].append(place + LEADER)
            place += LEADER + size + TRAILER
    result = shape.start
    for index, level in enumerate(levels):
        directory = _directory(full, level, offsets[index], sizes[index], big)
        end = len(result) + shape.size(directory)
        result += shape.written(directory, len(result), 0 if index + 1 == len(levels) else end)
    return result


def _directory(full: Directory, level: Level, offsets: Sequence[int], sizes: Sequence[int], big: bool) -> Directory:
    """Return the tags of one image, in whose file tiles of ``sizes`` lie at ``offsets``."""
    directory = {tag: entry for tag, entry in full.items() if tag not in (_OFFSETS, _SIZES)}
    if level != Level(*(int.from_bytes(full[tag].payload, "little") for tag in (_HEIGHT, _WIDTH))):
        directory = {tag: entry for tag, entry in directory.items() if tag in _OF_REDUCED}
        directory[_SUBFILE] = Entry(_LONG, 1, struct.pack("<I", 1))
        for tag, value in ((_HEIGHT, level.height), (_WIDTH, level.width)):
            directory[tag] = Entry(_LONG, 1, struct.pack("<I", value))
    n = len(sizes)
    directory[_OFFSETS] = Entry(_LONG8 if big else _LONG, n, struct.pack(f"<{n}{'Q' if big else 'I'}", *offsets))
    directory[_SIZES] = Entry(_LONG, n, struct.pack(f"<{n}I", *sizes))
    return directory
