"""Sentinel-2 scenes as they were fetched, read by window; and what is no such scene, in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odc.geo.geobox import GeoBox

from l8s2 import masks
from l8s2.errors import InputError
from l8s2.pairs.sentinel2 import covering_20m, grid_10m, open_sentinel2
from making.patches import box_at, s2_grids
from making.products import sentinel2_item, write_sentinel2
from making.scenes import move, rewrite

BOX = box_at(-187_001, 15_001, 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    fine, coarse = (rng.integers(1, 9000, (3, *box.shape)).astype(np.uint16) for box in s2_grids(BOX))
    scl = rng.integers(0, 12, coarse.shape[1:]).astype(np.uint8)
    return write_sentinel2(tmp_path, sentinel2_item(BOX), BOX, fine, coarse, scl)


@pytest.mark.parametrize(("rows", "columns"), [(slice(0, 20), slice(0, 20)), (slice(3, 10), slice(5, 6))])
def test_any_window_is_whole_20_m_pixels(folder: Path, rows: slice, columns: slice) -> None:
    with open_sentinel2(folder) as scene:
        whole, part = scene.read(BOX), scene.read(BOX[rows, columns], margin=3)
    assert part.fine.shape[1:] == grid_10m(part.box).shape
    assert part.box.shape == tuple(n + 6 for n in covering_20m(BOX[rows, columns]).shape)
    column, row = (round(v) for v in ~whole.box.affine * (part.box.affine.c, part.box.affine.f))
    for name, factor in (("fine", 2), ("coarse", 1), ("bits", 1)):
        ours, theirs = getattr(part, name), getattr(whole, name)
        shape = (*theirs.shape[:-2], *(n + 20 * factor for n in theirs.shape[-2:]))
        padded = np.full(shape, masks.flag("fill") if name == "bits" else 0)
        padded[..., 10 * factor : -10 * factor, 10 * factor : -10 * factor] = theirs
        firsts = ((first + 10) * factor for first in (row, column))
        at = [slice(first, first + n) for first, n in zip(firsts, ours.shape[-2:], strict=True)]
        np.testing.assert_array_equal(ours, padded[..., at[0], at[1]])
    again = part.part(BOX[rows, columns])
    np.testing.assert_array_equal(again.coarse, part.coarse[:, 3:-3, 3:-3])
    np.testing.assert_array_equal(again.fine, part.fine[:, 6:-6, 6:-6])


def test_reflectance_is_nan_where_nothing_is_seen(folder: Path) -> None:
    with open_sentinel2(folder) as scene:
        window = scene.read(BOX)
    seen = masks.usable(window.bits)
    for band, image in zip(window.rasters(seen), (*window.fine, *window.coarse), strict=True):
        mask = seen.repeat(2, 0).repeat(2, 1) if band.box.affine.a == 10 else seen
        np.testing.assert_array_equal(np.isnan(band.values), ~mask)
        np.testing.assert_allclose(band.values[mask], image[mask] * 1e-4, rtol=1e-6)


def _other_zone(folder: Path) -> None:
    rewrite(folder / "B04.tif", crs="EPSG:32634")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "B11.tif").unlink(), r"B11\.tif: no such file; delete the folder and fetch"),
        (lambda f: (f / "scene.json").unlink(), r"holds no STAC Item, .* save the Item of the scene beside"),
        (lambda f: move(f / "B03.tif", 5, 0), r"B03\.tif: pixels of 10 m at .*, not on Sentinel-2's 10 m lattice"),
        (lambda f: rewrite(f / "SCL.tif", lambda x: x.astype(np.float32)), r"SCL\.tif: holds float32"),
        (lambda f: (f / "B8A.tif").write_bytes((f / "B02.tif").read_bytes()), r"B8A\.tif: pixels of 10 m"),
        (lambda f: (f / "B12.tif").write_text("<html>"), r"B12\.tif: a web page"),
        (_other_zone, r"B04\.tif: in EPSG:32634, SCL in EPSG:32633"),
    ],
)  # fmt: skip
def test_what_is_no_scene(folder: Path, change: Any, said: str) -> None:
    change(folder)
    with pytest.raises(InputError, match=said) as caught:
        open_sentinel2(folder)
    assert "\n" not in str(caught.value)


def test_another_zone_is_refused(folder: Path) -> None:
    with open_sentinel2(folder) as scene, pytest.raises(InputError, match="choose a tile of the same UTM zone"):
        scene.read(GeoBox(BOX.shape, BOX.affine, "EPSG:32634"))
