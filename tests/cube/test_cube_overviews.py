"""Overviews of a cube: what they hold, where they lie, and that they appear with their observation."""

from __future__ import annotations

import itertools
import json
import shutil
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

pytest.importorskip("zarr")
import xarray

from l8s2 import files, masks
from l8s2.cube import layout, overviews, store
from l8s2.cube.build import build_cube
from l8s2.cube.inputs import find_sources
from l8s2.radiometry import NODATA
from l8s2.target import Area
from making.cubes import BOX, NOON, SHAPE, landsat, ramp

DAY = timedelta(days=1)
NAMES = ["ovr_2x", "ovr_4x"]


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Cubes of 48 pixels get overviews, in chunks of 12; nobody waits for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (layout, overviews):
            patch.setattr(module, "CHUNK", 12)
        for module in (store, files):
            patch.setattr(module, "fsync", lambda path: None)
        yield


def build(cube: Path, *paths: Path) -> None:
    build_cube(find_sources(paths), cube, Area())


def read(cube: Path, group: str | None = None) -> xarray.Dataset:
    return xarray.open_zarr(cube, group=group, chunks=None).load()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cubes of one and of two observations, and the files of the second before they were moved to their places."""
    place, merge = tmp_path_factory.mktemp("cubes"), store._merge
    qa = np.zeros(SHAPE, np.uint16)
    qa[:20] = masks.flag("cloud")
    build(place / "one.zarr", landsat(place / "in", qa=qa))
    shutil.copytree(place / "one.zarr", place / "two.zarr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_merge", lambda files, to: shutil.copytree(files, place / "moved") and merge(files, to))
        build(place / "two.zarr", landsat(place / "in", NOON + DAY, mean=2 * ramp()))
    return place


def blocks(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, ceil(h / 2), ceil(w / 2)): the pixels of 2 x 2 blocks, NaN beyond the image."""
    height, width = image.shape
    padded = np.pad(image, [(0, height % 2), (0, width % 2)], constant_values=np.nan)
    return np.stack([padded[i::2, j::2] for i in (0, 1) for j in (0, 1)])


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_an_overview_is_the_mean_of_what_is_known(height: int, width: int, seed: int) -> None:
    """Whatever the size, chunk by chunk as in one piece; qa is one of the commonest values."""
    box, rng = GeoBox((height, width), BOX.affine, BOX.crs), np.random.default_rng(seed)
    names = layout.overviews(box)
    groups = [
        {"red": np.full((1, *grid.shape), NODATA, np.int16), "qa": np.ones((1, *grid.shape), np.uint16)}
        for grid in (box, *names.values())
    ]
    groups[0]["red"][0] = np.where(rng.random(box.shape) < 0.4, NODATA, rng.integers(-500, 9000, box.shape))
    groups[0]["qa"][0] = rng.choice([0, 2, 64], box.shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overviews, "OVERVIEW_LAYERS", ("red", "qa"))
        overviews.write_overviews(groups[0] | dict(zip(names, groups[1:], strict=True)), 0, names)
    for finer, coarser in itertools.pairwise(groups):
        four = blocks(np.where(finer["red"][0] == NODATA, np.nan, finer["red"][0]))
        known, found = np.isfinite(four).any(0), coarser["red"][0]
        assert ((found == NODATA) == ~known).all()
        assert (np.abs(found - np.nansum(four, 0) / np.maximum(np.isfinite(four).sum(0), 1))[known] <= 0.5).all()
        four = blocks(finer["qa"][0].astype(float))
        counts = (four[:, None] == four[None]).sum(0)
        assert ((four == coarser["qa"][0]) & (counts == counts.max(0))).any(0).all()


def test_they_are_found_and_lie_on_the_same_ground(place: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # of metadata that are not consolidated
        whole, *coarse = (read(place / "two.zarr", name) for name in (None, *NAMES))
    assert [c["name"] for c in whole.attrs["zarr_conventions"]] == ["spatial:", "proj:", "multiscales"]
    steps = whole.attrs["multiscales"]["layout"]
    assert [step["asset"] for step in steps] == [".", *NAMES]
    assert [step.get("derived_from") for step in steps] == [None, ".", "ovr_2x"]
    for number, (found, step) in enumerate(zip(coarse, steps[1:], strict=True), 1):
        assert step["transform"]["scale"] == [1, 2, 2]
        assert list(found.data_vars) == sorted(layout.OVERVIEW_LAYERS)
        assert step["spatial:shape"] == found.attrs["spatial:shape"] == list(found.red.shape[1:])
        assert step["spatial:transform"] == found.red.attrs["spatial:transform"]
        factor = 2**number
        side = dict(y=factor, x=factor)
        np.testing.assert_allclose(found.red, whole.red.coarsen(side).mean(), atol=0.51e-4 * number)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(found.x, whole.x.coarsen(x=factor).mean())  # type: ignore[attr-defined]
        np.testing.assert_array_equal(found.y, whole.y.coarsen(y=factor).mean())  # type: ignore[attr-defined]
        assert found.red.attrs["ancillary_variables"] == "qa"
        assert ((found.qa[0] & masks.flag("cloud")) > 0).sum() == 20 * SHAPE[1] / factor**2
        for name in layout.COLUMNS:
            xarray.testing.assert_identical(found[name].variable, whole[name].variable)


def test_the_cube_itself_is_as_without(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one made without, which gets none when it is appended to."""
    first, second = sorted((place / "in").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(layout, "overviews", lambda box: {})
        build(tmp_path / "plain.zarr", first)
    build(tmp_path / "plain.zarr", second)
    assert not list((tmp_path / "plain.zarr").glob("ovr*"))
    plain, found = read(tmp_path / "plain.zarr"), read(place / "two.zarr")
    assert "multiscales" not in plain.attrs
    for attribute in ("multiscales", "zarr_conventions"):
        plain.attrs.pop(attribute, None)
        found.attrs.pop(attribute)
    xarray.testing.assert_identical(found, plain)


class Killed(BaseException):
    """What no code catches: the process is gone."""


def test_a_killed_append_shows_nothing(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after so many moves of files, of which that of the metadata at the root is the last."""
    one, moved = place / "one.zarr", place / "moved"
    before = {name: read(one, name) for name in (None, *NAMES)}
    assert all(len(read(place / "two.zarr", name).time) == 2 for name in before)
    replace, left = Path.replace, 0

    def moving(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return replace(self, target)

    every = sum(path.is_file() for path in moved.rglob("*"))
    for moves in (every // 2, every - 20, every - 1):
        left, killed, scratch = moves, tmp_path / f"{moves}.zarr", tmp_path / f"{moves}"
        shutil.copytree(one, killed)
        shutil.copytree(moved, scratch)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", moving)
            with pytest.raises(Killed):
                store._merge(scratch, killed)
        xarray.testing.assert_identical(read(killed, NAMES[0]), before[NAMES[0]])
        store.Cube(killed).roll_back()
        for name, old in before.items():
            xarray.testing.assert_identical(read(killed, name), old)
        assert {p.relative_to(killed) for p in killed.rglob("*")} == {p.relative_to(one) for p in one.rglob("*")}
        for path in one.glob("ovr_*/*/zarr.json"):
            there = killed / path.relative_to(one)
            assert json.loads(there.read_bytes()) == json.loads(path.read_bytes())
