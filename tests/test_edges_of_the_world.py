"""Scenes near the poles, across the antimeridian, at the edges of zones and in the south."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mgrs
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely.geometry import shape

import l8s2.pipeline.to_product
from l8s2 import grid
from l8s2.catalogs.footprints import Footprint, bbox_of
from l8s2.grid import mgrs_tile
from l8s2.landsat import open_scene
from l8s2.pipeline import harmonize_product
from l8s2.target import Area, choose_target
from making.ramps import Ramps, check_ramps, decoded, ramp, ramp_scene, write_band
from making.scenes import centres, ms_grid

POLAR = "LC08_L2SR_099120_20191129_20201016_02_T2"
ANTARCTICA = GeoBox((48, 44), Affine(30, 0, 299_985, 0, -30, -1_199_985), "EPSG:3031")
BETWEEN = GeoBox((48, 44), Affine(30, 0, 299_992, 0, -30, -1_199_981), "EPSG:3031")
"""On no multiple of anything."""


@pytest.fixture(autouse=True)
def _ramps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(l8s2.pipeline.to_product, "load_predictor", lambda *_, **__: Ramps())


@pytest.mark.parametrize("ms", [ANTARCTICA, BETWEEN], ids=["on multiples of 30 m", "between"])
def test_a_polar_scene_keeps_its_grid(tmp_path: Path, ms: GeoBox) -> None:
    said: list[str] = []
    folder = harmonize_product(ramp_scene(tmp_path, ms, POLAR), tmp_path / "out", warn=said.append)
    box, properties = check_ramps(folder, ms)
    assert box == GeoBox((144, 132), Affine(10, 0, ms.affine.c + 5, 0, -10, ms.affine.f - 5), "EPSG:3031")
    assert properties["l8s2:warped"] is properties["l8s2:sentinel2_lattice"] is False
    assert "EPSG:3031: 10 m grid within the scene's own, not Sentinel-2's lattice" in properties["l8s2:warnings"]
    assert not any("warped" in line for line in said)


@pytest.mark.parametrize("shift", [0, 7.5], ids=["fits", "half a pixel off"])
def test_pan_of_a_polar_scene_follows_its_bands(tmp_path: Path, shift: float) -> None:
    path = ramp_scene(tmp_path, BETWEEN, POLAR)
    pan = grid.pan_geobox(BETWEEN)
    pan = GeoBox(pan.shape, Affine.translation(shift, -shift) * pan.affine, pan.crs)
    name = POLAR.replace("L2SR", "L1GT")
    write_band(tmp_path / name / f"{name}_B8.TIF", ramp(pan, BETWEEN, 0), pan)
    with open_scene(path) as scene:
        assert scene.pan is not None
        assert scene.pan.raster.is_native == (shift == 0)
        found = scene.read(slice(0, 48), slice(0, 44)).pan
    assert found is not None
    there = decoded((found[::2, ::2] + 0.1) / 2.0e-5, BETWEEN, 0)[3:-3, 3:-3]
    np.testing.assert_allclose(there, centres(BETWEEN)[0][3:-3, 3:-3], atol=0.3)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["EPSG:3031", "EPSG:3413"]), st.integers(-150_000, 150_000), st.integers(-150_000, 150_000))
def test_the_footprint_near_a_pole_is_valid_and_holds_the_pixels(code: str, x: int, y: int) -> None:
    box = GeoBox((5000, 4000), Affine(30, 0, x - 60_000, 0, -30, y + 75_000), code)
    geometry, bbox = grid.footprint(box)
    found = shape(geometry)
    assert found.is_valid
    assert all(part.exterior.is_ccw for part in getattr(found, "geoms", [found]))
    assert -180 <= found.bounds[0] <= found.bounds[2] <= 180
    pole = code == "EPSG:3031"
    inside = abs(x) < 59_000 and abs(y) < 74_000
    if inside:
        assert bbox[::2] == [-180, 180]
        assert bbox[1 if pole else 3] == (-90 if pole else 90)
        assert shapely.covers(found, shapely.Point(17, -90 if pole else 90))
    columns, rows = np.meshgrid(np.arange(400, 4000, 400), np.arange(500, 5000, 500))
    to_degrees = Transformer.from_crs(code, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(*(box.affine * (columns.ravel(), rows.ravel())))
    assert shapely.covers(found.buffer(1e-6), shapely.points(lon, lat)).all()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        [("EPSG:32643", 300_000, 1_200_000), ("EPSG:32601", 356_000, 7_200_000), ("EPSG:3031", -300_000, 800_000)]
    ),
    st.integers(0, 2**32 - 1), st.integers(1, 30), st.floats(0.001, 1.0),
)  # fmt: skip
def test_the_footprint_of_known_pixels_is_valid_and_holds_them(
    where: tuple[str, int, int], seed: int, step: int, share: float
) -> None:
    code, left, top = where
    rng = np.random.default_rng(seed)
    box = GeoBox((601, 1203), Affine(10, 0, left, 0, -10, top), code)
    cells = rng.random((-(-601 // step), -(-1203 // step))) < share
    r, c = (np.sort(rng.integers(0, n + 1, 2)) for n in cells.shape)
    cells[: r[0]] = cells[r[1] :] = cells[:, : c[0]] = cells[:, c[1] :] = False
    geometry, bbox = grid.footprint(box, grid.Known(cells, step))
    found = shape(geometry)
    assert found.is_valid
    assert all(part.exterior.is_ccw for part in getattr(found, "geoms", [found]))
    assert shapely.covers(shape(grid.footprint(box)[0]).buffer(1e-4), found)
    assert shapely.get_num_coordinates(found) < 100
    assert (bbox[1], bbox[3]) == (found.bounds[1], found.bounds[3])
    rows, columns = np.nonzero(cells)
    x, y = box.affine * (np.minimum(step * (columns + 0.5), 1203), np.minimum(step * (rows + 0.5), 601))
    lon, lat = Transformer.from_crs(code, "EPSG:4326", always_xy=True).transform(x, y)
    assert shapely.covers(found.buffer(1e-5), shapely.points(lon, lat)).all()


def test_the_area_that_scenes_at_the_pole_share() -> None:
    boxes = [GeoBox((5000, 5000), Affine(30, 0, x, 0, -30, 75_000), "EPSG:3031") for x in (-75_000, 10_000)]
    one, other = (Footprint(grid.footprint(box)[0]) for box in boxes)
    assert one.km2 == pytest.approx(150**2 / 0.9728**2, rel=0.02)  # scale of the projection at the pole
    assert one.common_km2(other) == pytest.approx(150 * 65 / 0.9728**2, rel=0.02)
    assert bbox_of(one.plane)[::2] == (-180, 180)


def test_the_area_that_scenes_beside_the_antimeridian_share() -> None:
    """What two zones have in common there, and pairs of the two."""
    one, other = (
        Footprint(grid.footprint(ms_grid(6000, 6000, centre=(x, 7_290_000), zone=zone))[0])
        for zone, x in ((1, 300_000), (60, 600_000))
    )
    assert one.common_km2(other) == pytest.approx(other.common_km2(one))
    assert 0.85 < one.common_km2(other) / one.km2 < 0.92
    assert bbox_of(one.plane)[0] > 178 > -177 > bbox_of(one.plane)[2]


def test_a_bbox_round_the_pole() -> None:
    ms = GeoBox((200, 200), Affine(30, 0, -3_000, 0, -30, 3_000), "EPSG:3031")
    ring = choose_target(ms, Area(bbox=(-180, -90, 180, -89.98))).geobox
    assert tuple(ring.shape) == pytest.approx((435, 435), abs=2)  # 2.2 km around it, as this projection has it
    wedge = choose_target(ms, Area(bbox=(170, -90, -170, -89.98))).geobox.boundingbox
    assert (wedge.top, wedge.left) == pytest.approx((0, -wedge.right), abs=12)


ACROSS = {
    "zone 1": ms_grid(48, 64, centre=(357_060, 7_200_000), zone=1),
    "zone 60": ms_grid(48, 64, centre=(640_980, 7_200_000), zone=60),
}


@pytest.mark.parametrize("place", ACROSS)
def test_across_the_antimeridian(tmp_path: Path, place: str) -> None:
    ms = ACROSS[place]
    path = ramp_scene(tmp_path, ms, "LC09_L2SP_087013_20230520_20230530_02_T1")
    folder = harmonize_product(path, tmp_path / "out")
    box, properties = check_ramps(folder, ms)
    assert box == grid.output_geobox(ms)
    assert properties["l8s2:sentinel2_lattice"] is True
    item = json.loads(next(folder.glob("*.json")).read_text())
    west, south, east, north = item["bbox"]
    assert 179.9 < west < 180
    assert -180 < east < -179.9
    found = shape(item["geometry"])
    assert found.geom_type == "MultiPolygon"
    assert found.is_valid
    assert (found.bounds[0], found.bounds[2]) == (-180, 180)
    # a part by its bbox, west > east, is the same pixels
    middle = (south + north) / 2
    part = harmonize_product(path, tmp_path / "part", bbox=(west, middle, east, north))
    assert check_ramps(part, ms)[0].boundingbox.top == box.boundingbox.top
    # the other zone, by one warp
    other = "EPSG:32660" if place == "zone 1" else "EPSG:32601"
    there, properties = check_ramps(harmonize_product(path, tmp_path / "other", crs=other), ms)
    assert grid.epsg(there.crs) == int(other[5:])
    assert any(f"{other}: warped once from" in line for line in properties["l8s2:warnings"])


@pytest.mark.parametrize("place", ACROSS)
@pytest.mark.parametrize("longitude", [179.995, -179.995])
def test_tiles_beside_the_antimeridian(place: str, longitude: float) -> None:
    """The tile of the scene's zone as it is, that of the other by a warp."""
    ms = ACROSS[place]
    name = mgrs.MGRS().toMGRS(64.888, longitude, MGRSPrecision=0)
    target = choose_target(ms, Area(mgrs=name))
    assert grid.epsg(target.geobox.crs) == (32660 if longitude > 0 else 32601)
    assert target.warped == (target.geobox.crs != ms.crs)


@pytest.mark.parametrize(
    ("latitude", "longitude", "zone"),
    [(60.39, 5.32, 32), (59.0, 2.9, 31), (59.0, 3.1, 32), (63.99, 4.0, 32), (64.01, 4.0, 31), (72.5, 8.9, 31),
     (78.22, 15.64, 33), (80.05, 28.5, 35), (81.0, 33.5, 37), (78.9, 8.9, 31)],
)  # fmt: skip
def test_tiles_of_norway_and_svalbard(latitude: float, longitude: float, zone: int) -> None:
    name = mgrs.MGRS().toMGRS(latitude, longitude, MGRSPrecision=0)
    box = mgrs_tile(name)
    assert grid.epsg(box.crs) == 32600 + zone
    x, y = Transformer.from_crs("EPSG:4326", str(box.crs), always_xy=True).transform(longitude, latitude)
    column, row = ~box.affine * (x, y)
    assert 0 <= column <= 10_980
    assert 0 <= row <= 10_980


def test_a_scene_of_the_zone_that_svalbard_lacks(tmp_path: Path) -> None:
    """Landsat grids by plain zones: a scene in zone 32 there goes onto Sentinel-2's tile of zone 33 by one warp."""
    ms = ms_grid(48, 44, centre=(560_010, 8_690_010), zone=32)
    target = choose_target(ms, Area(mgrs="33XVG"))
    assert target.warped
    path = ramp_scene(tmp_path, ms, "LC08_L2SP_215004_20230520_20230530_02_T1")
    assert grid.epsg(check_ramps(harmonize_product(path, tmp_path / "out", crs="EPSG:32633"), ms)[0].crs) == 32633


def test_both_names_of_a_southern_zone_are_one_product(tmp_path: Path) -> None:
    north = ms_grid(48, 44, centre=(600_030, -3_000_000), zone=19)
    found: list[Any] = []
    for box in (north, grid.sentinel2_convention(north)):
        there = tmp_path / str(grid.epsg(box.crs))
        folder = harmonize_product(ramp_scene(there, box, "LC08_L2SP_231082_20230520_20230530_02_T1"), there / "out")
        found.append((*check_ramps(folder, box), next(folder.glob("*_SR.tif")).read_bytes()))
    assert found[0][0] == found[1][0]
    assert grid.epsg(found[0][0].crs) == 32719
    assert found[0][2] == found[1][2]
    assert all(properties["l8s2:sentinel2_lattice"] for _, properties, _ in found)
