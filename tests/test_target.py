"""Which grid a product gets, and which pixels of the scene are computed for it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer

import l8s2.pipeline.to_product
from l8s2 import grid
from l8s2.arrays import enlarge
from l8s2.errors import InputError
from l8s2.grid import mgrs_tile
from l8s2.pipeline.to_product import harmonize_product
from l8s2.radiometry import NODATA
from l8s2.simulate.sensor import Conditions, Observation
from l8s2.target import Area, Target, choose_target
from making.scenes import Copying, centres, make, ms_grid, rewrite

SCENE = ms_grid(60, 80)


def corner(geobox: GeoBox) -> tuple[float, float]:
    return geobox.affine.c, geobox.affine.f


def check_consistent(target: Target, ms: GeoBox) -> None:
    """The computed grid lies on the scene's block grid where ``origin`` says, and ``rows`` x ``columns`` fill it."""
    whole, native = (grid.landsat_convention(g) for g in (grid.output_geobox(ms), target.native))
    row, column = target.origin
    assert corner(native) == (whole.affine.c + 10 * column, whole.affine.f - 10 * row)
    assert native.crs == whole.crs
    for first, size, window, limit in zip(
        target.origin, native.shape, (target.rows, target.columns), ms.shape, strict=True
    ):
        assert 0 <= window.start < window.stop <= limit
        assert 3 * window.start <= max(first, 0) < 3 * window.start + 3
        assert min(first + size, 3 * limit) <= 3 * window.stop < min(first + size, 3 * limit) + 3


def test_the_whole_scene_by_default() -> None:
    target = choose_target(SCENE)
    assert target.geobox == target.native == grid.output_geobox(SCENE)
    assert (target.rows, target.columns, target.origin) == (slice(0, 60), slice(0, 80), (0, 0))
    assert not target.warped
    assert target.notes == []


def to_degrees(geobox: GeoBox, x: float, y: float) -> tuple[float, float]:
    transformer = Transformer.from_crs(str(geobox.crs), "EPSG:4326", always_xy=True)
    return transformer.transform(geobox.affine.c + 10 * x, geobox.affine.f - 10 * y)


SCENES = {
    "north": ms_grid(60, 80),
    "south": ms_grid(60, 80, centre=(600_000, -3_000_000), zone=19),
    "equator": ms_grid(60, 80, centre=(300_000, 900), zone=37),
    "date line from the west": ms_grid(60, 300, centre=(636_000, 7_200_000), zone=60),
    "date line from the east": ms_grid(60, 300, centre=(355_800, 7_200_000), zone=1),
    "high north": ms_grid(60, 300, centre=(500_010, 8_700_000), zone=33),
    "antarctica": GeoBox((60, 80), Affine(30, 0, 299_985, 0, -30, -1_199_985), "EPSG:3031"),
}


@pytest.mark.parametrize("place", SCENES)
@settings(max_examples=10, deadline=None)
@given(
    across=st.tuples(st.floats(0.03, 0.9), st.floats(0.01, 0.5)),
    down=st.tuples(st.floats(0.03, 0.9), st.floats(0.01, 0.5)),
)
def test_a_bbox_gets_the_pixels_that_cover_it(
    place: str, across: tuple[float, float], down: tuple[float, float]
) -> None:
    ms = SCENES[place]
    whole = grid.output_geobox(ms)
    height, width = whole.shape
    points = [
        to_degrees(whole, (across[0] + i * across[1]) * width, (down[0] + j * down[1]) * height)
        for i in np.linspace(0, 1, 9)
        for j in np.linspace(0, 1, 9)
    ]
    longitudes = [p[0] % 360 for p in points] if place.startswith("date") else [p[0] for p in points]
    west, east = ((v + 180) % 360 - 180 for v in (min(longitudes), max(longitudes)))
    south, north = min(p[1] for p in points), max(p[1] for p in points)
    target = choose_target(ms, Area(bbox=(west, south, east, north)))
    check_consistent(target, ms)
    assert not target.warped
    # it holds every pixel whose centre lies in the box, and hardly more
    x, y = centres(whole)
    longitude, latitude = Transformer.from_crs(str(whole.crs), "EPSG:4326", always_xy=True).transform(x, y)
    wanted = ((longitude - west) % 360 <= (east - west) % 360) & (south <= latitude) & (latitude <= north)
    for first, size, axis in zip(target.origin, target.geobox.shape, (1, 0), strict=True):
        found = np.flatnonzero(wanted.any(axis))
        assert found.size == 0 or first <= found[0] <= first + 2
        assert found.size == 0 or first + size - 3 <= found[-1] < first + size


@pytest.mark.parametrize("place", SCENES)
def test_the_whole_world_is_the_whole_scene(place: str) -> None:
    target = choose_target(SCENES[place], Area(bbox=(-180, -90, 180, 90)))
    assert target.geobox == grid.output_geobox(SCENES[place])


def test_a_bbox_in_one_pixel_is_that_pixel() -> None:
    whole = grid.output_geobox(SCENE)
    west, north = to_degrees(whole, 17.4, 33.4)
    east, south = to_degrees(whole, 17.6, 33.6)
    target = choose_target(SCENE, Area(bbox=(west, south, east, north)))
    assert target.geobox == whole[33:34, 17:18]
    assert (target.rows, target.columns) == (slice(11, 12), slice(5, 6))


@pytest.mark.parametrize(
    "bbox", [(0, 0, 1, 1), (100, 10, 101, 11), (10, 80, 20, 90), (-166, 51, -165, 52), (-180, -90, 180, 51)]
)
def test_a_bbox_elsewhere_is_refused_and_the_scene_is_described(bbox: Any) -> None:
    with pytest.raises(
        InputError, match=r"^`bbox`: does not touch the scene, which covers 14\.28\d 51\.07\d 14\.32\d 51\.09\d"
    ):
        choose_target(SCENE, Area(bbox=bbox))


@pytest.mark.parametrize(
    "bbox",
    [
        (2, 0, 1, 1),
        (0, 1, 1, 0),
        (0, 0, 181, 1),
        (0, -91, 1, 1),
        (math.nan, 0, 1, 1),
        (0, 0, math.inf, 1),
        (1, 1, 1, 2),
        (10, 0, -10, 1),
    ],
)
def test_a_bbox_that_is_none_is_refused(bbox: Any) -> None:
    with pytest.raises(InputError, match="give west < east"):
        choose_target(SCENE, Area(bbox=bbox))


@pytest.mark.parametrize(
    ("name", "zone", "left", "top", "centre"),
    [
        ("43PHQ", 43, 799_980, 1_500_000, (810_000, 1_490_010)),
        ("35HKC", 35, 199_980, 6_300_040, (210_000, 6_250_000 - 10_000_000 + 20)),
        ("53JNM", 53, 499_980, 7_200_040, (499_800, 7_190_010 - 10_000_000 - 0)),
    ],
)
def test_a_sentinel_2_tile_is_exactly_its_grid(
    name: str, zone: int, left: int, top: int, centre: tuple[int, int]
) -> None:
    x, y = (30 * round(v / 30) for v in centre)
    ms = ms_grid(70, 50, centre=(x, y), zone=zone)
    target = choose_target(ms, Area(mgrs=name))
    code = (32600 if centre[1] > 0 else 32700) + zone
    assert target.geobox == GeoBox((10_980, 10_980), Affine(10, 0, left, 0, -10, top), f"EPSG:{code}")
    assert not target.warped
    check_consistent(target, ms)


@pytest.mark.parametrize(("name", "code", "rows"), [("37NBA", 32637, slice(0, 60)), ("37MBV", 32737, slice(30, 60))])
def test_a_scene_across_the_equator_serves_tiles_of_both_hemispheres(name: str, code: int, rows: slice) -> None:
    """One lattice under two names: no warp either way."""
    ms = ms_grid(60, 80, centre=(240_000, 900), zone=37)
    target = choose_target(ms, Area(mgrs=name))
    assert grid.epsg(target.geobox.crs) == code
    assert not target.warped
    assert target.rows == rows
    check_consistent(target, ms)


def test_a_tile_of_the_neighbouring_zone_is_warped_and_said() -> None:
    ms = ms_grid(60, 80, centre=(780_000, 5_660_010), zone=32)  # 13 degrees east
    target = choose_target(ms, Area(mgrs="33UUS"))
    assert target.warped
    assert grid.epsg(target.geobox.crs) == 32633
    assert target.geobox.shape == (10_980, 10_980)
    assert grid.epsg(target.native.crs) == 32632
    assert "`mgrs` 33UUS in EPSG:32633: warped once from EPSG:32632" in target.notes[0]
    check_consistent(target, ms)


def test_a_tile_elsewhere_is_refused() -> None:
    for name in ("33UWS", "43PHQ", "33HUS"):
        with pytest.raises(InputError, match=f"`mgrs` {name} in .*does not touch the scene"):
            choose_target(SCENE, Area(mgrs=name))


@pytest.mark.parametrize("place", ["north", "south", "equator"])
def test_the_other_name_of_the_zone_moves_no_pixel(place: str) -> None:
    ms = SCENES[place]
    zone = grid.epsg(ms.crs) % 100
    for code, northing in ((32600 + zone, 0), (32700 + zone, 10_000_000)):
        target = choose_target(ms, Area(crs=f"EPSG:{code}"))
        assert not target.warped
        assert target.notes == []
        x, y = corner(target.geobox)
        assert (x, y) == (ms.affine.c + 5, ms.affine.f - 5 + northing)
        assert target.geobox.shape == (180, 240)
        check_consistent(target, ms)


@pytest.mark.parametrize("code", ["EPSG:3035", "EPSG:4326", "EPSG:3857", "EPSG:32632"])
def test_another_crs_is_warped_onto_a_grid_that_covers_the_scene(code: str) -> None:
    target = choose_target(SCENE, Area(crs=code))
    assert target.warped
    assert target.native == grid.output_geobox(SCENE)
    assert f"`crs` {code}: warped once from EPSG:32633" in target.notes[0]
    found, wanted = target.geobox.extent, SCENE.buffered(-10).extent.to_crs(code)
    assert found.contains(wanted)
    if code != "EPSG:4326":
        assert target.geobox.affine.a == 10
        assert corner(target.geobox)[0] % 10 == corner(target.geobox)[1] % 10 == 0


def test_bbox_and_crs_together() -> None:
    whole = grid.output_geobox(SCENE)
    bbox = (*to_degrees(whole, 60, 120), *to_degrees(whole, 120, 60))
    target = choose_target(SCENE, Area(bbox=bbox, crs="EPSG:3035"))
    assert target.warped
    assert tuple(target.native.shape) == pytest.approx((60, 60), abs=3)
    check_consistent(target, SCENE)


@pytest.mark.parametrize(
    "crs", ["EPSG:5703", "EPSG:4978", "banana", "", "EPSG:0", "IAU_2015:30100", "LOCAL_CS[\n]" * 20]
)
def test_a_crs_that_maps_nothing_here_is_refused(crs: str) -> None:
    with pytest.raises(InputError, match=r"^`crs` .*: not a .*give for example EPSG:3035$") as caught:
        choose_target(SCENE, Area(crs=crs))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 150


def raster(path: Path, transform: Affine, shape: tuple[int, int], crs: str | None = "EPSG:32633") -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=1, dtype="uint8", crs=crs, transform=transform
    ):
        return path


@pytest.mark.parametrize(
    ("x", "y", "shape"),
    [(450_100, 5_659_800, (50, 60)), (449_000, 5_661_000, (300, 400)), (450_010, 5_660_500, (200, 1))],
)
def test_like_a_raster_of_the_same_lattice_needs_no_warp(
    tmp_path: Path, x: int, y: int, shape: tuple[int, int]
) -> None:
    path = raster(tmp_path / "s2.tif", Affine(10, 0, x, 0, -10, y), shape)
    target = choose_target(SCENE, Area(like=path))
    assert not target.warped
    assert target.geobox == target.native == GeoBox(shape, Affine(10, 0, x, 0, -10, y), "EPSG:32633")
    check_consistent(target, SCENE)


@pytest.mark.parametrize(
    ("transform", "crs"),
    [
        (Affine(10, 0, 450_003, 0, -10, 5_659_800), "EPSG:32633"),
        (Affine(20, 0, 450_100, 0, -20, 5_659_800), "EPSG:32633"),
        (Affine(10, 0, 450_100, 0, 10, 5_659_300), "EPSG:32633"),
        (Affine.translation(450_100, 5_659_800) * Affine.rotation(20) * Affine.scale(10, -10), "EPSG:32633"),
        (Affine(1e-4, 0, 14.29, 0, -1e-4, 51.088), "EPSG:4326"),
        (Affine(0.5, 0, -180, 0, -0.5, 90), "EPSG:4326"),
    ],
    ids=["between pixels", "20 m", "south up", "rotated", "degrees", "globe"],
)
def test_like_any_other_raster_is_warped_onto_exactly_its_grid(tmp_path: Path, transform: Affine, crs: str) -> None:
    shape = (360, 720) if transform.a == 0.5 else (40, 50)
    target = choose_target(SCENE, Area(like=raster(tmp_path / "like.tif", transform, shape, crs)))
    assert target.warped
    assert target.geobox.shape == shape
    assert target.geobox.affine.almost_equals(transform)
    assert target.notes == ["`like` like.tif: warped once from EPSG:32633, pixels are interpolated"]
    check_consistent(target, SCENE)


def test_only_what_a_warp_needs_is_computed(tmp_path: Path) -> None:
    ms = ms_grid(2000, 2000)
    path = raster(tmp_path / "like.tif", Affine(10, 0, 460_003, 0, -10, 5_650_003), (10, 10))
    target = choose_target(ms, Area(like=path))
    assert tuple(target.native.shape) == pytest.approx((57, 57), abs=3)
    assert target.native.extent.contains(target.geobox.extent)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32633", Affine(10, 0, 0, 0, -10, 0)),
        ("EPSG:4326", Affine(1e-4, 0, 80, 0, -1e-4, 10)),
        ("EPSG:32703", Affine(10, 0, 5e5, 0, -10, 9e6)),
    ],
)
def test_like_a_raster_elsewhere_is_refused(tmp_path: Path, crs: str, transform: Affine) -> None:
    with pytest.raises(InputError, match=r"^`like` like\.tif: does not touch the scene"):
        choose_target(SCENE, Area(like=raster(tmp_path / "like.tif", transform, (20, 20), crs)))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_like_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("hello")
    for name in ("nothing.tif", "text.tif", "."):
        with pytest.raises(InputError, match="cannot be opened as a raster"):
            choose_target(SCENE, Area(like=tmp_path / name))
    with pytest.raises(InputError, match="no position on the ground"):
        choose_target(SCENE, Area(like=raster(tmp_path / "bare.tif", Affine.scale(1, -1), (5, 5), None)))


@pytest.mark.parametrize(
    "options",
    [
        {"mgrs": "33UVS", "crs": "EPSG:3035"},
        {"mgrs": "33UVS", "like": "x.tif"},
        {"crs": "EPSG:3035", "like": "x.tif"},
        {"bbox": (14, 51, 15, 52), "mgrs": "33UVS"},
        {"bbox": (14, 51, 15, 52), "like": "x.tif"},
    ],
    ids=str,
)
def test_options_that_exclude_each_other(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="give one of them"):
        Area(**options)


# The products themselves, as an independent reader sees them.


def position_in_steps(x: Any, y: Any) -> Any:
    """A reflectance in steps of 1e-4, 1 .. 8100, that tells an MS pixel, by its centre, from others within 2.7 km."""
    return 1 + np.rint(y / 30).astype(int) % 90 * 90 + np.rint(x / 30).astype(int) % 90


def telling_positions(folder: Path, ms: GeoBox) -> Path:
    """A product with reflectance in floating point that tells where each pixel is."""
    product = make(folder, ms, with_pan=False)
    values = (position_in_steps(*centres(ms)) * 1e-4).astype(np.float32)
    for path in product.glob("*_SR_*"):
        rewrite(path, lambda x: values[None], nodata=float("nan"))
    return product


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(l8s2.pipeline.to_product, "load_predictor", lambda *_, **__: Copying())


def read(folder: Path, kind: str = "SR") -> tuple[Any, GeoBox]:
    with rasterio.open(next(folder.glob(f"*_{kind}.tif"))) as dataset:
        return dataset.read(), GeoBox(dataset.shape, dataset.transform, str(dataset.crs))


@pytest.mark.usefixtures("copying")
@pytest.mark.parametrize(
    ("ms", "code"),
    [
        (ms_grid(1, 1), 32633),
        (ms_grid(7, 13, centre=(200_010, 7_000_020), zone=1), 32601),
        (ms_grid(31, 17, centre=(799_980, 510), zone=60), 32660),
        (ms_grid(17, 31, centre=(600_000, 210), zone=37), 32737),
        (ms_grid(29, 3, centre=(600_030, -3_000_000), zone=19), 32719),
        (GeoBox((5, 11), Affine(30, 0, 299_985, 0, -30, -1_199_985), "EPSG:3031"), 3031),
    ],
    ids=["one pixel", "zone 1", "north of the equator", "across it", "south", "antarctica"],
)
def test_every_output_pixel_sits_where_the_lattice_says(tmp_path: Path, ms: GeoBox, code: int) -> None:
    folder = harmonize_product(telling_positions(tmp_path / "in", ms), tmp_path / "out")
    values, geobox = read(folder)
    assert grid.epsg(geobox.crs) == code
    assert values.shape == (6, 3 * ms.shape[0], 3 * ms.shape[1])
    x, y = centres(geobox)
    y = y - 1e7 if 32701 <= code <= 32760 else y
    assert (x % 10 == 5).all()
    assert (y % 10 == 5).all()
    # the pixel's owner is the MS pixel centred 5 m to the west and 5 m to the north of the middle of its block
    owner = 30 * np.rint((x - 5) / 30), 30 * np.rint((y + 5) / 30)
    assert np.unique(x - owner[0]).tolist() == np.unique(owner[1] - y).tolist() == [-5, 5, 15]
    for band in values:
        np.testing.assert_array_equal(band, position_in_steps(*owner))


@pytest.mark.usefixtures("copying")
def test_tiles_of_the_loop_meet_without_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ms = ms_grid(23, 31)
    product = telling_positions(tmp_path / "in", ms)
    monkeypatch.setattr(Copying, "tile", 7)
    said: list[tuple[str, int, int]] = []
    folder = harmonize_product(
        product, tmp_path / "out", progress=lambda done, total, what: said.append((what, done, total))
    )
    said = [each for each in said if each[1]]
    x, y = centres(ms)
    np.testing.assert_array_equal(read(folder)[0][2], enlarge(position_in_steps(x, y)))
    assert [what for what, _, _ in said] == ["harmonising"] * 4 * 5 + ["finishing"] * 3
    assert said[4 * 5 - 1] == ("harmonising", 69 * 93, 69 * 93)
    assert said[-1] == ("finishing", 13 * 69 * 93, 13 * 69 * 93)
    assert [done for _, done, _ in said[4 * 5 :]] == sorted(done for _, done, _ in said[4 * 5 :])


def same_pixels(part: Path, whole: Path, tolerance: int = 0) -> GeoBox:
    """Check that what ``part`` shares with ``whole`` is the same, and the rest nodata; returns the grid of ``part``."""
    for kind in ("SR", "SIGMA", "QA"):
        (values, box), (all_values, all_box) = read(part, kind), read(whole, kind)
        a, b = grid.landsat_convention(box), grid.landsat_convention(all_box)
        column, row = (round(v) for v in ~b.affine * (a.affine.c, a.affine.f))
        padding = ((0, 0), *((n, n) for n in box.shape))
        padded = np.pad(all_values, padding, constant_values=1 if kind == "QA" else NODATA)
        expected = padded[:, box.shape[0] + row :, box.shape[1] + column :][:, : box.shape[0], : box.shape[1]]
        assert abs(values.astype(int) - expected).max() <= (0 if kind == "QA" else tolerance)
    return box


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("in"), SCENE)


@pytest.fixture(scope="module")
def whole(product: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harmonize_product(product, tmp_path_factory.mktemp("whole"))


class TestPartsOfAProduct:
    """With the embedded network: what is asked for changes which pixels are written, not what is in them."""

    def test_bbox(self, product: Path, whole: Path, tmp_path: Path) -> None:
        box = grid.output_geobox(SCENE)
        (west, north), (east, south) = to_degrees(box, 41.3, 20.2), to_degrees(box, 300, 99.8)
        folder = harmonize_product(product, tmp_path, bbox=(west, south, east, north))
        found = same_pixels(folder, whole, tolerance=1)
        assert found == box[20:100, 40:240]

    def test_like(self, product: Path, whole: Path, tmp_path: Path) -> None:
        path = raster(tmp_path / "s2.tif", Affine(10, 0, 449_900, 0, -10, 5_659_000), (100, 120))
        found = same_pixels(harmonize_product(product, tmp_path, like=path), whole, tolerance=1)
        assert found == GeoBox((100, 120), Affine(10, 0, 449_900, 0, -10, 5_659_000), "EPSG:32633")

    def test_crs_of_the_same_zone(self, product: Path, whole: Path, tmp_path: Path) -> None:
        found = same_pixels(harmonize_product(product, tmp_path, crs="EPSG:32733"), whole)
        assert grid.epsg(found.crs) == 32733

    def test_only_fill_asked_for(self, tmp_path: Path) -> None:
        product = make(tmp_path / "in", SCENE)
        for path in product.glob("*_SR_*"):
            rewrite(path, lambda x: np.where(np.arange(80) < 40, x, 0).astype(x.dtype))
        west, north = to_degrees(grid.output_geobox(SCENE), 130, 10)
        for options in ({"bbox": (west, 51, 15, north)}, {"bbox": (west, 51, 15, north), "crs": "EPSG:3035"}):
            with pytest.raises(InputError, match="no valid pixel in the area asked for"):
                harmonize_product(product, tmp_path / "out", **options)
            assert not (tmp_path / "out").exists()

    @pytest.mark.usefixtures("copying")
    def test_mgrs(self, tmp_path: Path) -> None:
        """A whole tile, the only one: it is large. Southern tiles start at odd multiples of 20 m."""
        ms = ms_grid(20, 30, centre=(199_800, -3_699_900), zone=35)
        folder = harmonize_product(telling_positions(tmp_path / "in", ms), tmp_path, mgrs="35HKC", sigma=None)
        assert not list(folder.glob("*SIGMA*"))
        with rasterio.open(next(folder.glob("*_SR.tif"))) as dataset:
            assert dataset.shape == (10_980, 10_980)
            assert dataset.transform == Affine(10, 0, 199_980, 0, -10, 6_300_040)
            assert dataset.crs.to_epsg() == 32735
            found = dataset.read(1, window=((0, 60), (0, 80)))
        box = GeoBox((60, 80), Affine(10, 0, 199_980, 0, -10, -3_699_960), "EPSG:32635")
        x, y = centres(box)
        owner = 30 * np.rint((x - 5) / 30), 30 * np.rint((y + 5) / 30)
        inside = (owner[0] <= 199_800 + 29 * 30) & (owner[1] >= -3_699_900 - 19 * 30)
        np.testing.assert_array_equal(found, np.where(inside, position_in_steps(*owner), NODATA))


@pytest.mark.parametrize("centre", [(500_010, 5_660_010), (300_000, -3_000_000)], ids=["north", "south"])
def test_the_network_moves_nothing(tmp_path: Path, centre: tuple[int, int]) -> None:
    """A hill of 75 m stays where it is, to a metre."""
    ms = ms_grid(50, 60, centre=centre)
    top = centre[0] + 30 * 29 + 4.0, centre[1] - 30 * 24 - 7.0

    def hill(x: Any, y: Any, sigma: float) -> Any:
        variance = 75.0**2 + sigma**2
        return 0.1 + 0.2 * 75.0**2 / variance * np.exp(-((x - top[0]) ** 2 + (y - top[1]) ** 2) / (2 * variance))

    fine = GeoBox((100, 120), ms.affine * Affine.translation(0.25, 0.25) * Affine.scale(0.5), ms.crs)
    observation = Observation(
        ms=np.stack([hill(*centres(ms), 14.8)] * 6).astype(np.float32),
        pan=hill(*centres(fine), 7.4).astype(np.float32),
        conditions=Conditions(),
    )
    for with_pan in (True, False):
        product = make(tmp_path / f"in{with_pan}", ms, observation, with_pan=with_pan)
        values, box = read(harmonize_product(product, tmp_path / f"out{with_pan}"))
        x, y = centres(grid.landsat_convention(box))
        for band in values:
            weight = np.maximum(band * 1e-4 - 0.14, 0)  # the upper part of the hill
            found = (weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()
            assert found == pytest.approx(top, abs=1)


@pytest.mark.parametrize("tile", ["33UVS", "43PHQ", "22MBU", "60WWT", "01UBT", "60UXG", "01KAB"])
def test_the_area_of_a_tile_holds_every_corner(tile: str) -> None:
    area = Area(mgrs=tile).bounds
    assert area is not None
    west, south, east, north = area
    assert (east - west) % 360 < 3
    box = mgrs_tile(tile)
    to_degrees = Transformer.from_crs(str(box.crs), "EPSG:4326", always_xy=True)
    for c, r in ((0, 0), (0, 10980), (10980, 0), (10980, 10980), (0, 5490), (5490, 0)):
        lon, lat = to_degrees.transform(*(box.affine * (c, r)))
        assert (lon - west + 1e-3) % 360 <= (east - west) % 360 + 2e-3
        assert south - 1e-3 <= lat <= north + 1e-3


def test_an_area_that_is_none() -> None:
    assert Area().bounds is None
    assert Area(bbox=(15.0, 51.0, 16.0, 52.0)).bounds == (15.0, 51.0, 16.0, 52.0)
    for bbox, mgrs, said in (
        ((15.0, 51.0, 16.0, 52.0), "33UVS", "exclude each other"),
        ((15.0, 52.0, 16.0, 51.0), None, "south < north"),
        (None, "99ZZZ", "not an MGRS"),
    ):
        with pytest.raises(InputError, match=said):
            Area(bbox=bbox, mgrs=mgrs)
