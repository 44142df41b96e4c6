"""Damaged products of l8s2: their Items and rasters, as verify, report, view, cube and export read them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from damage.case import Case, Kind, digest, some
from damage.content import cuts, of_json
from damage.rasters import edits, others, tags_of
from l8s2.cube.inputs import find_sources
from l8s2.product.reader import open_product
from l8s2.report.make import make_reports
from l8s2.verify.product import verify_product
from l8s2.viewer.shelf import fill_shelf
from making.cubes import landsat

NAME = "LC09_L2SP_192025_20230520_20230630_02_T1"
ITEM, SR, QA = (f"in/{NAME}_S2L/{NAME}{end}" for end in (".json", "_SR.tif", "_QA.tif"))


def _make(folder: Path) -> None:
    landsat(folder / "in")


def _folder(folder: Path) -> Path:
    return folder / "in" / f"{NAME}_S2L"


def _verify(folder: Path) -> bytes:
    """Faults are a result, each in a line."""
    faults = verify_product(_folder(folder))
    assert all("\n" not in fault.what and fault.what for fault in faults), faults
    return digest(faults) if not faults else b"faults"


def _report(folder: Path) -> bytes:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    path = out / "page.html"
    try:
        numbers = make_reports(
            _folder(folder), path, landsat=None, overwrite=True, progress=lambda *_: None, say=lambda text: text
        )
        assert path.stat().st_size > 1000
        return digest(json.dumps(numbers, sort_keys=True))
    finally:
        assert not path.exists() or path.read_text(encoding="utf-8").endswith("</html>\n"), "half a page"
        path.unlink(missing_ok=True)
        out.rmdir()


def _view(folder: Path) -> bytes:
    shelf = fill_shelf((folder / "in").resolve())
    json.dumps(shelf.index, allow_nan=False).encode("utf-8")
    root = str((folder / "in").resolve())
    assert all(str(path).startswith(root) for path in shelf.files.values())
    return digest(shelf.index)


def _sources(folder: Path) -> bytes:
    found = find_sources([_folder(folder) / f"{NAME}.json"])
    with found[0].open(found[0].about.box) as opened:
        layers = opened.read(found[0].about.box)
    return digest(repr(found[0].about), layers.reflectance.tobytes(), layers.qa.tobytes())


def _opened(folder: Path) -> bytes:
    """As export and the studies open it."""
    product = open_product(_folder(folder))
    assert all(path.is_relative_to(folder) for path in product.rasters.values())
    return digest(product.item, sorted(path.name for path in product.rasters.values()), product.geobox)


def _cases(each: int, most: int, rasters: int) -> Callable[[Path, random.Random], Iterator[Case]]:
    def cases(sound: Path, rng: random.Random) -> Iterator[Case]:
        yield from some([case._replace(strict=False) for case in of_json(ITEM, sound, each, rng)], most, rng)
        for name in (SR, QA):
            content = (sound / name).read_bytes()
            tags, points = tags_of(content)
            yield from some(edits(name, content, tags), rasters, rng)
            yield from some([case._replace(strict=False) for case in cuts(name, content, points)], rasters, rng)
            yield from some([c for c in others(name) if "vast" not in c.name], rasters, rng)

    return cases


KINDS = [
    Kind(name="item-verify", make=_make, cases=_cases(2, 220, 25), read=_verify,
         command=lambda folder: ["verify", str(_folder(folder))]),
    Kind(name="item-report", make=_make, cases=_cases(2, 130, 15), read=_report,
         command=lambda folder: ["report", str(_folder(folder)), "-o", str(folder / "page.html")]),
    Kind(name="item-view", make=_make, cases=_cases(2, 220, 5), read=_view),
    Kind(name="item-cube", make=_make, cases=_cases(2, 200, 20), read=_sources,
         command=lambda folder: ["cube", str(_folder(folder)), "-o", str(folder / "out.zarr")]),
    Kind(name="item-export", make=_make, cases=_cases(2, 120, 15), read=_opened,
         command=lambda folder: ["export", str(_folder(folder)), "-o", str(folder / "out")]),
]  # fmt: skip
