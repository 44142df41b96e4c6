"""The one warp at the end: every value at its place, holes stay holes, nothing is left behind."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.warp import reproject

import l8s2.pipeline.to_product
from l8s2 import masks
from l8s2.cog import DRAFT
from l8s2.cog.spool import Spool
from l8s2.errors import InputError
from l8s2.pipeline.estimate import plan_product
from l8s2.pipeline.options import ProductOptions
from l8s2.pipeline.to_product import harmonize_product
from l8s2.product.warp import WarpBuffer, buffer_bytes
from l8s2.radiometry import NODATA
from l8s2.simulate.sensor import Conditions, Observation
from l8s2.target import Area
from making.scenes import Copying, centres, make, ms_grid

NATIVE = GeoBox((300, 260), Affine(10, 0, 500_000, 0, -10, 5_660_000), "EPSG:32633")
EAST, NORTH = 15.0185, 51.0785
"""About the middle of NATIVE."""


class Sink:
    """Keeps in memory what a writer would write."""

    def __init__(self, geobox: GeoBox) -> None:
        self.geobox = geobox
        self.mean = np.full((6, *geobox.shape), np.inf, np.float32)
        self.sigma = self.mean.copy()
        self.qa = np.zeros(geobox.shape, np.uint16)
        self.before = np.full((3, *geobox.shape), np.inf, np.float32)

    def write(self, rows: slice, columns: slice, mean: Any, sigma: Any, qa: Any) -> None:
        self.mean[:, rows, columns], self.qa[rows, columns] = mean, qa
        if sigma is not None:
            self.sigma[:, rows, columns] = sigma

    def write_before(self, rows: slice, columns: slice, rgb: Any) -> None:
        self.before[:, rows, columns] = rgb


def in_degrees(longitude: Any, latitude: Any) -> Any:
    """A reflectance that is linear in degrees."""
    return 0.3 + 4 * (longitude - EAST) + 6 * (latitude - NORTH)


def seen_from(geobox: GeoBox) -> NDArray[np.float32]:
    x, y = centres(geobox)
    return in_degrees(*Transformer.from_crs(str(geobox.crs), "EPSG:4326", always_xy=True).transform(x, y)).astype(
        np.float32
    )


def fill(buffer: WarpBuffer, mean: Any, sigma: Any, qa: Any) -> None:
    """Write in tiles, out of order."""
    for r in (slice(150, 300), slice(0, 150)):
        for c in (slice(0, 100), slice(100, 260)):
            buffer.write(r, c, mean[:, r, c], None if sigma is None else sigma[:, r, c], qa[r, c])
            buffer.write_before(r, c, mean[2::-1, r, c])


def warped(tmp_path: Path, target: GeoBox, mean: Any, sigma: Any, qa: Any) -> tuple[Sink, NDArray[np.int64]]:
    sink = Sink(target)
    with WarpBuffer(tmp_path, NATIVE, sigma=sigma is not None) as buffer:
        fill(buffer, mean, sigma, qa)
        valid = buffer.warp_into(sink)  # type: ignore[arg-type]
    for path in tmp_path.iterdir():
        assert path.suffix == DRAFT
        path.unlink()
    return sink, valid


def test_nothing_stays_open_where_warping_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(l8s2.product.warp, "Warped", lambda views, _: opened.extend(views.values()))
    with (
        pytest.raises(KeyboardInterrupt),
        WarpBuffer(tmp_path, NATIVE, sigma=True) as buffer,
        buffer.onto(NATIVE.to_crs("EPSG:3035")),
    ):
        raise KeyboardInterrupt
    assert [view.closed for view in opened] == [True] * 4


TARGETS = {
    "degrees": GeoBox((400, 380), Affine(1e-4, 0, EAST - 0.019, 0, -1e-4, NORTH + 0.02), "EPSG:4326"),
    "equal area": NATIVE.to_crs("EPSG:3035"),
    "neighbouring zone": NATIVE.to_crs("EPSG:32632"),
    "between pixels": GeoBox((200, 200), Affine(10, 0, 500_203, 0, -10, 5_659_604), "EPSG:32633"),
    "south up": GeoBox((200, 200), Affine(10, 0, 500_200, 0, 10, 5_657_600), "EPSG:32633"),
}


@pytest.mark.parametrize("name", TARGETS)
def test_every_pixel_lands_where_it_belongs(tmp_path: Path, name: str) -> None:
    target = TARGETS[name]
    mean = np.stack([seen_from(NATIVE) + 0.01 * i for i in range(6)])
    qa = np.full(NATIVE.shape, 4, np.uint16)
    sink, valid = warped(tmp_path, target, mean, 0.1 * mean, qa)
    known = ~np.isnan(sink.mean[0])
    assert 0.6 < known.mean() <= 1
    assert valid.tolist() == [int(known.sum())] * 6
    expected = seen_from(target)
    inner = ~np.isnan(sink.mean[0])
    for _ in range(4):  # away from the edge of what is known, where the kernel is cut
        inner = inner & np.roll(inner, 1, 0) & np.roll(inner, -1, 0) & np.roll(inner, 1, 1) & np.roll(inner, -1, 1)
    for i in range(6):  # 0.0015 a metre at most: 1e-4 is a tenth of a pixel
        np.testing.assert_allclose(sink.mean[i][inner], expected[inner] + 0.01 * i, atol=1.5e-4)
        np.testing.assert_allclose(sink.sigma[i][inner], 0.1 * (expected[inner] + 0.01 * i), atol=1.2e-4)
    np.testing.assert_allclose(sink.before[0][inner], expected[inner] + 0.02, atol=2e-3)
    assert (sink.qa[known] == 4).all()
    assert (sink.qa[~known] == masks.flag("fill")).all()


def test_holes_stay_holes(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    mean = rng.uniform(-0.05, 0.9, (6, *NATIVE.shape)).astype(np.float32)
    mean[:, 100:140, 50:90] = np.nan
    mean[4, 200:220, 200:220] = np.nan
    qa = np.where(np.isnan(mean).any(0), masks.flag("fill"), 0).astype(np.uint16)
    target = TARGETS["equal area"]
    sink, valid = warped(tmp_path, target, mean, mean, qa)
    x, y = centres(target)
    x, y = Transformer.from_crs("EPSG:3035", "EPSG:32633", always_xy=True).transform(x, y)
    columns, rows = np.floor((x - 500_000) / 10).astype(int), np.floor((5_660_000 - y) / 10).astype(int)
    deep = (rows >= 102) & (rows < 138) & (columns >= 52) & (columns < 88)
    assert np.isnan(sink.mean[:, deep]).all()
    single = (rows >= 202) & (rows < 218) & (columns >= 202) & (columns < 218)
    assert np.isnan(sink.mean[4][single]).all()
    assert not np.isnan(sink.mean[3][single]).any()
    assert (sink.qa[single] == masks.flag("fill")).all()
    assert valid[4] < valid[3]
    np.testing.assert_array_equal(np.isnan(sink.mean), np.isnan(sink.sigma) | np.isnan(sink.mean))


def test_it_is_gdal_cubic_of_the_products_own_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    mean = rng.uniform(0, 0.9, (6, *NATIVE.shape)).astype(np.float32)
    target = TARGETS["degrees"]
    sink, _ = warped(tmp_path, target, mean, None, np.zeros(NATIVE.shape, np.uint16))
    expected = np.full(target.shape, np.nan, np.float32)
    reproject(
        np.rint(mean[1] * 1e4).astype(np.float32), expected, src_transform=NATIVE.affine, src_crs="EPSG:32633",
        dst_transform=target.affine,
        dst_crs="EPSG:4326", resampling=Resampling.cubic, dst_nodata=np.nan, tolerance=0,
    )  # fmt: skip
    both = ~np.isnan(expected) & ~np.isnan(sink.mean[1])
    assert both.sum() > 0.99 * (~np.isnan(expected)).sum()
    assert np.quantile(np.abs(sink.mean[1][both] * 1e4 - expected[both]), 0.99) < 180  # noise of 9000 steps, 0.02 pixel


def test_a_target_of_many_tiles_has_no_seams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mean = np.stack([seen_from(NATIVE)] * 6)
    qa = np.arange(NATIVE.shape[0] * NATIVE.shape[1]).reshape(NATIVE.shape).astype(np.uint16) & 4
    whole, _ = warped(tmp_path, TARGETS["equal area"], mean, mean, qa)
    monkeypatch.setattr("l8s2.product.warp._TILE", 64)
    tiles, _ = warped(tmp_path, TARGETS["equal area"], mean, mean, qa)
    np.testing.assert_array_equal(np.isnan(whole.mean), np.isnan(tiles.mean))
    np.testing.assert_allclose(whole.mean, tiles.mean, atol=1.1e-4)
    assert (whole.qa != tiles.qa).mean() < 0.02


def test_what_is_never_written_is_a_hole(tmp_path: Path) -> None:
    sink = Sink(TARGETS["between pixels"])
    with WarpBuffer(tmp_path, NATIVE, sigma=True) as buffer:
        assert buffer.warp_into(sink).tolist() == [0] * 6  # type: ignore[arg-type]
    assert np.isnan(sink.mean).all()
    assert (sink.qa == masks.flag("fill")).all()


def test_an_error_leaves_drafts_alone(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), WarpBuffer(tmp_path, NATIVE, sigma=True) as buffer:  # noqa: PT012
        fill(
            buffer,
            np.zeros((6, *NATIVE.shape), np.float32),
            np.ones((6, *NATIVE.shape), np.float32),
            np.zeros(NATIVE.shape, np.uint16),
        )
        raise ZeroDivisionError
    assert {path.suffix for path in tmp_path.iterdir()} == {DRAFT}


def test_a_disk_too_small_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=buffer_bytes(NATIVE, True) // 3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with (
        pytest.raises(
            InputError, match=r"no room for the warp \(No space left on device; 2 MB free, up to 5 MB needed\)"
        ),
        WarpBuffer(tmp_path, NATIVE, sigma=True),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Spool) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Spool, "flush", full)
    with pytest.raises(InputError, match="no room for the warp"), WarpBuffer(tmp_path, NATIVE, sigma=False) as buffer:
        buffer.warp_into(Sink(TARGETS["degrees"]))  # type: ignore[arg-type]
    assert {path.suffix for path in tmp_path.iterdir()} == {DRAFT}


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(l8s2.pipeline.to_product, "load_predictor", lambda *_, **__: Copying())


@pytest.mark.usefixtures("copying")
def test_a_warped_product_has_its_grid_its_note_and_its_values(tmp_path: Path) -> None:
    ms = ms_grid(90, 80, centre=(499_980, 5_660_010))
    x, y = centres(ms)
    values = in_degrees(*Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform(x, y)) - 0.1
    product = make(
        tmp_path / "in",
        ms,
        Observation(ms=np.stack([values] * 6), pan=np.full((180, 160), 0.1), conditions=Conditions()),
    )
    said: list[str] = []
    folder = harmonize_product(product, tmp_path / "out", crs="EPSG:4326", warn=said.append)
    assert said == ["`crs` EPSG:4326: warped once from EPSG:32633, pixels are interpolated"]
    assert {p.name.rpartition("T1_")[2] for p in folder.iterdir()} >= {"SR.tif", "SIGMA.tif", "QA.tif", "preview.png"}
    with rasterio.open(next(folder.glob("*_SR.tif"))) as dataset:
        assert dataset.crs.to_epsg() == 4326
        found = GeoBox(dataset.shape, dataset.transform, "EPSG:4326")
        red = dataset.read(3)
    known = red != NODATA
    assert known.mean() > 0.8
    # a copy of 30 m pixels as blocks of 10 m: a staircase of +-15 m around the line
    assert abs((red * 1e-4 - (seen_from(found) - 0.1))[known]).max() < 0.0022
    assert abs((red * 1e-4 - (seen_from(found) - 0.1))[known].mean()) < 0.0007


@pytest.mark.usefixtures("copying")
def test_a_plan_counts_the_disk_a_warp_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Copying, "predict", lambda *_: None, raising=False)
    product = make(tmp_path / "in", ms_grid(300, 300))
    plain, warp = plan_product(product), plan_product(product, ProductOptions(area=Area(crs="EPSG:3035")))
    assert warp.disk_bytes > plain.disk_bytes + buffer_bytes(GeoBox((900, 900), NATIVE.affine, NATIVE.crs), True)
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]
