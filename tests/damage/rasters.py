"""Damaged TIFFs: bands, pan and QA of a Landsat product, and a raster whose grid is taken."""

from __future__ import annotations

import random
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from affine import Affine
from rasterio.shutil import copy as copy_raster

from damage.case import Case, Kind, digest, some
from damage.content import accidents, cuts, instead, writes
from l8s2.landsat import open_scene
from making.scenes import ID, PAN_ID, make, ms_grid, rewrite

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
FILES = {
    "B4": f"{ID}/{ID}_SR_B4.TIF", "QA_PIXEL": f"{ID}/{ID}_QA_PIXEL.TIF", "B8": f"{PAN_ID}/{PAN_ID}_B8.TIF",
}  # fmt: skip


class Tag(NamedTuple):
    """An entry of a directory of a TIFF."""

    at: int
    """Bytes into the file."""
    number: int
    kind: int
    count: int
    value_at: int
    """Where its values lie."""


def tags_of(content: bytes) -> tuple[list[Tag], list[int]]:
    """Entries of a classic TIFF of little endian, and where its structures begin and end."""
    tags: list[Tag] = []
    points = [0, 2, 4, 7, 8]
    (at,) = struct.unpack_from("<I", content, 4)
    while at:
        (count,) = struct.unpack_from("<H", content, at)
        points += [at, at + 1, at + 2, at + 2 + 12 * count, at + 6 + 12 * count]
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            number, kind, values = struct.unpack_from("<HHI", content, entry)
            size = _SIZES.get(kind, 1) * values
            value_at = entry + 8 if size <= 4 else struct.unpack_from("<I", content, entry + 8)[0]
            tags.append(Tag(entry, number, kind, values, value_at))
            points += [entry, entry + 8, value_at, value_at + size // 2, value_at + size]
        (at,) = struct.unpack_from("<I", content, at + 2 + 12 * count)
    for tag in tags:
        if tag.number in (273, 324):  # where blocks lie
            form = f"<{tag.count}{'H' if tag.kind == 3 else 'I'}"
            points += [p + d for p in struct.unpack_from(form, content, tag.value_at) for d in (0, 1, 100)]
    return tags, sorted({p for p in points if p < len(content)} | {len(content) - 1})


def edits(name: str, content: bytes, tags: list[Tag]) -> Iterator[Case]:
    """Every entry: another number, type, count, place and value."""
    for order, tag in enumerate(tags):
        size = _SIZES.get(tag.kind, 1)
        values: dict[str, Any] = {
            "value 0": (tag.value_at, bytes(size)),
            "value 1": (tag.value_at, b"\1" + bytes(size - 1)),
            "value of ones": (tag.value_at, b"\xff" * size),
            "value half of ones": (tag.value_at, b"\xff" * max(size - 1, 1)),
            "value 3": (tag.value_at, b"\3" + bytes(size - 1)),
            "value 50000": (tag.value_at, b"\x50\xc3\0\0\0\0\0\0"[:size]),
            "count 0": (tag.at + 4, bytes(4)),
            "count huge": (tag.at + 4, b"\xff\xff\xff\x7f"),
            "count and one": (tag.at + 4, struct.pack("<I", tag.count + 1)),
            "type 0": (tag.at + 2, b"\0\0"),
            "type 12": (tag.at + 2, b"\x0c\0"),
            "type 2": (tag.at + 2, b"\2\0"),
            "place beyond": (tag.at + 8, b"\xf0\xff\xff\xff"),
            "number of another": (tag.at, struct.pack("<H", tag.number ^ 1)),
        }
        for what, (at, new) in values.items():
            changed = content[:at] + new + content[at + len(new) :]
            if changed != content and len(changed) == len(content):
                yield Case(f"{name}: tag {order} ({tag.number}) {what}", writes(name, changed))


def _rewritten(name: str, change: Callable[[Any], Any] = lambda x: x, **profile: Any) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rewrite(folder / name, change, **profile)

    return damage


def _tagged(name: str, **how: Any) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        with rasterio.open(folder / name, "r+") as target:
            for key, value in how.items():
                if key == "OVERVIEW_FILE":
                    target.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(folder / value))
                else:
                    setattr(target, key, value)

    return damage


def _vrt(name: str, driver: str = "VRT") -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        hidden = folder / "hidden.tif"
        (folder / name).rename(hidden)
        copy_raster(hidden, folder / name, driver=driver)

    return damage


def _warped_vrt(folder: Path) -> None:
    (folder / FILES["B4"]).write_text(
        '<VRTDataset rasterXSize="31" rasterYSize="24"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        "<SourceFilename>/etc/passwd</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )


def others(name: str) -> Iterator[Case]:
    """Other types, sizes, places, nodata, formats."""
    types = ("uint8", "int8", "int16", "uint32", "int32", "float32", "float64", "complex64", "uint64")
    for dtype in types:
        yield Case(f"{name}: {dtype}", _rewritten(name, lambda x, d=dtype: x.astype(d), nodata=None))
    for nodata in (0, 1, 65535, 21824):
        yield Case(f"{name}: nodata {nodata}", _rewritten(name, nodata=nodata))
    floats = {"NaN": np.nan, "infinity": np.inf, "-infinity": -np.inf, "1e38": 1e38, "-9999": -9999.0}
    for what, value in floats.items():
        yield Case(
            f"{name}: all {what}", _rewritten(name, lambda x, v=value: np.full(x.shape, v, np.float32), nodata=None)
        )

        def one(x: Any, v: float = value) -> Any:
            x = x.astype(np.float32)
            x[0, 3, 3] = v
            return x

        yield Case(f"{name}: one {what}", _rewritten(name, one, nodata=None))
        yield Case(f"{name}: nodata {what}", _rewritten(name, lambda x: x.astype(np.float32), nodata=value))
    for crs in (
        "EPSG:4326",
        "EPSG:3857",
        "EPSG:32733",
        "EPSG:32634",
        "EPSG:3031",
        "EPSG:2154",
        "EPSG:4978",
        "EPSG:5514",
    ):
        yield Case(f"{name}: {crs}", _rewritten(name, crs=crs))
    grids = {
        "turned": Affine(0, 30, 5e5, 30, 0, 5e6),
        "upside down": Affine(30, 0, 449985, 0, 30, 5660025),
        "no pixel size": Affine(1e-300, 0, 449985, 0, -1e-300, 5660025),
        "far away": Affine(30, 0, 1e300, 0, -30, 1e300),
        "sheared": Affine(30, 5, 449985, 5, -30, 5660025),
        "of 1 m": Affine(1, 0, 449985, 0, -1, 5660025),
        "of 1e9 m": Affine(1e9, 0, 449985, 0, -1e9, 5660025),
        "NaN": Affine(np.nan, 0, 449985, 0, -30, 5660025),
        "beyond the pole": Affine(30, 0, 449985, 0, -30, 2e7),
        "mirrored": Affine(-30, 0, 449985, 0, -30, 5660025),
    }
    for what, transform in grids.items():
        yield Case(f"{name}: {what}", _rewritten(name, transform=transform))
    yield Case(f"{name}: two bands", _rewritten(name, lambda x: np.concatenate([x, x])))
    yield Case(f"{name}: one pixel", _rewritten(name, lambda x: x[:, :1, :1]))
    yield Case(f"{name}: a row less", _rewritten(name, lambda x: x[:, :-1]))
    yield Case(f"{name}: names another file", _tagged(name, OVERVIEW_FILE=FILES["B8"]))
    yield Case(f"{name}: a VRT", _vrt(name))
    yield Case(f"{name}: a PNG", _vrt(name, "PNG"))
    huge = {"wide": (24, 200_000), "high": (200_000, 31), "vast": (100_000, 100_000), "131072": (131_072, 131_072)}
    for what, (height, width) in huge.items():
        for block in (16, 65520):
            yield Case(f"{name}: {what} and sparse, blocks of {block}", _sparse(name, height, width, block))


def _sparse(name: str, height: int, width: int, block: int) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        box = ms_grid()
        with rasterio.open(
            folder / name, "w", driver="GTiff", count=1, dtype="uint16", height=height, width=width, crs=str(box.crs),
            transform=box.affine, SPARSE_OK=True, TILED=True, BLOCKXSIZE=block, BLOCKYSIZE=block, BIGTIFF="IF_SAFER",
        ):  # fmt: skip
            pass

    return damage


def _swapped(folder: Path) -> None:
    first, second = folder / FILES["B4"], folder / FILES["B4"].replace("B4", "B5")
    first.rename(folder / "kept")
    second.rename(first)
    (folder / "kept").rename(second)


def _doubled(folder: Path) -> None:
    path = folder / FILES["B4"]
    path.with_name(path.name.lower()).write_bytes(path.read_bytes())


def _unicode(folder: Path) -> None:
    (folder / ID / "ä̈\U0001f6f0 \n.TIF").write_bytes(b"x")
    (folder / ID / f"{ID}_SR_B4 (1).TIF").write_bytes(b"x")


def cases(sound: Path, rng: random.Random) -> Iterator[Case]:
    for part, most in (("B4", 260), ("QA_PIXEL", 110), ("B8", 140)):
        name = FILES[part]
        content = (sound / name).read_bytes()
        tags, points = tags_of(content)
        yield from instead(name)
        yield from cuts(name, content, points)
        yield from some(edits(name, content, tags), most, rng)
        yield from accidents(name, content, most // 3, rng)
        yield from accidents(name, content, most // 3, rng, within=max(tag.at for tag in tags))
        yield from others(name)
    yield Case("a VRT that names /etc/passwd", _warped_vrt)
    yield Case("bands under each other's names", _swapped)
    yield Case("a band twice, once in small letters", _doubled)
    yield Case("names of any letters beside the bands", _unicode)
    yield Case(
        "another file with the band's name and a link to it", lambda f: (f / ID / f"{ID}_SR_B9.TIF").symlink_to("/")
    )


def read_product(product: Path, pan: Path | None = None) -> bytes:
    """What harmonising reads, every pixel."""
    with open_scene(product, pan) as scene:
        pixels = scene.read(slice(0, 30), slice(0, 40))
        assert pixels.ms.shape == (6, 30, 40)
        assert pixels.pan is None or pixels.pan.shape == (60, 80)
        return digest(pixels.ms.tobytes(), None if pixels.pan is None else pixels.pan.tobytes(), pixels.qa.tobytes())


PRODUCT = Kind(
    name="tiff", make=make, cases=cases, read=lambda folder: read_product(folder / ID),
    command=lambda folder: ["harmonize", str(folder / ID), "-o", str(folder / "out")],
)  # fmt: skip
