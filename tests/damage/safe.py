"""Damaged Sentinel-2 products in SAFE format: metadata, images, archives."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from damage.archives import of_zip
from damage.case import Case, Kind, digest, some
from damage.content import VALUES, accidents, cuts, instead, of_lines, writes
from l8s2.catalogs.items import read_item
from l8s2.cube.inputs import find_sources
from making.cubes import sentinel2
from making.safe import as_safe, zipped

SAFE = "S2A_MSIL2A_20230520T101031_N0509_R022_T33UVS_20230520T160000.SAFE"
PRODUCT, TILE = (
    f"in/{SAFE}/{name}" for name in ("MTD_MSIL2A.xml", "GRANULE/L2A_T33UVS_A041826_20230520T101027/MTD_TL.xml")
)
IMAGES = f"in/{SAFE}/GRANULE/L2A_T33UVS_A041826_20230520T101027/IMG_DATA"
BAND = "T33UVS_20230520T101031_B04_10m.jp2"
BOMB = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 30))


def _make(folder: Path) -> None:
    fetched = sentinel2(folder / "fetched")
    safe = as_safe(fetched, read_item(fetched / "scene.json"), folder / "in")
    assert safe.name == SAFE
    shutil.rmtree(folder / "fetched")


def _make_zip(folder: Path) -> None:
    _make(folder)
    zipped(folder / "in" / SAFE, folder / f"{SAFE}.zip")
    shutil.rmtree(folder / "in")


def _read(path: Path) -> bytes:
    (source,) = find_sources([path])
    with source.open(source.about.box) as opened:
        layers = opened.read(source.about.box)
    return digest(repr(source.about), opened.offset, layers.reflectance.tobytes(), layers.qa.tobytes())


def _xml_cases(sound: Path, rng: random.Random) -> Iterator[Case]:
    for name in (PRODUCT, TILE):
        content = (sound / name).read_bytes()
        yield from instead(name)
        yield from cuts(name, content, [rng.randrange(len(content) - 2) for _ in range(30)])
        yield from some(of_lines(name, content, rng), 80, rng)
        lines = content.splitlines(keepends=True)
        for number, line in enumerate(lines):
            before, found, rest = line.partition(b">")
            if found and b"</" in rest:
                for value in rng.sample(VALUES, 2):
                    changed = before + found + value + b"<" + rest.partition(b"<")[2]
                    new = b"".join([*lines[:number], changed, *lines[number + 1 :]])
                    yield Case(f"{name}: line {number} = {value[:20]!r}", writes(name, new))
        head = b'<?xml version="1.0"?>'
        bomb = head + f'<!DOCTYPE m [<!ENTITY e0 "ha">{BOMB}]><m>&e29;</m>'.encode()
        yield Case(f"{name}: a bomb", writes(name, bomb), strict=True)
        yield Case(f"{name}: a bomb in UTF-16", writes(name, bomb.decode().encode("utf-16")), strict=True)
        outer = b'<!DOCTYPE m [<!ENTITY e SYSTEM "file:///etc/passwd">]><m>&e;</m>'
        yield Case(f"{name}: an entity of a file", writes(name, head + outer), strict=True)
        yield Case(f"{name}: 100 000 deep", writes(name, b"<x>" * 100_000 + b"</x>" * 100_000), strict=True)


def _jp2_cases(sound: Path, rng: random.Random) -> Iterator[Case]:
    for name in (f"{IMAGES}/R10m/{BAND}", f"{IMAGES}/R20m/{BAND.replace('B04_10m', 'SCL_20m')}"):
        content = (sound / name).read_bytes()
        yield from instead(name)
        yield from cuts(name, content, [1, 8, 12, 40, 85, len(content) - 1, len(content) - 2, len(content) - 3])
        yield from cuts(name, content, [rng.randrange(len(content)) for _ in range(40)])
        yield from accidents(name, content, 80, rng)
        yield from accidents(name, content, 40, rng, within=100)
        other = content.replace((48).to_bytes(4), (1 << 30).to_bytes(4))
        yield Case(f"{name}: of a million columns", writes(name, other))


KINDS = [
    Kind(name="safe-xml", make=_make, cases=_xml_cases, read=lambda folder: _read(folder / "in" / SAFE),
         command=lambda folder: ["cube", str(folder / "in" / SAFE), "-o", str(folder / "out.zarr")]),
    Kind(name="safe-jp2", make=_make, cases=_jp2_cases, read=lambda folder: _read(folder / "in" / SAFE),
         command=lambda folder: ["cube", str(folder / "in" / SAFE), "-o", str(folder / "out.zarr")]),
    Kind(name="safe-zip", make=_make_zip, cases=of_zip(f"{SAFE}.zip", BAND),
         read=lambda folder: _read(folder / f"{SAFE}.zip"),
         command=lambda folder: ["cube", str(folder / f"{SAFE}.zip"), "-o", str(folder / "out.zarr")]),
]  # fmt: skip
