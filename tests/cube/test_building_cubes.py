"""What a cube holds of observations of known values, and that they appear whole."""

from __future__ import annotations

import json
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

pytest.importorskip("zarr")
import xarray

from l8s2 import files, masks
from l8s2.cube import store
from l8s2.cube.build import Written, build_cube
from l8s2.cube.inputs import find_sources
from l8s2.cube.landsat_product import landsat_product
from l8s2.datasets.brdf import c_factor
from l8s2.errors import InputError, TryAgainError
from l8s2.files import lock
from l8s2.radiometry import LEVEL_ABSOLUTE
from l8s2.sensors import BAND_NAMES
from l8s2.target import Area
from making.cubes import BOX, NOON, SHAPE, landsat, ramp, sentinel2
from making.patches import box_at
from making.stac import check_stac

DAY = timedelta(days=1)


def build(cube: Path, *paths: Path, area: Area | None = None, **how: object) -> tuple[Written, list[str]]:
    said: list[str] = []
    return build_cube(find_sources(paths), cube, area or Area(), warn=said.append, **how), said  # type: ignore[arg-type]


def read(cube: Path) -> xarray.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return xarray.open_zarr(cube, chunks=None).load()


def test_both_sensors_stand_side_by_side(tmp_path: Path) -> None:
    scl = np.full((SHAPE[0] // 2, SHAPE[1] // 2), 4, np.uint8)
    scl[3, 4] = 9
    qa = np.zeros(SHAPE, np.uint16)
    qa[5, 6] = masks.flag("cloud_shadow")
    sentinel2(tmp_path / "in", NOON - timedelta(minutes=8), scl=scl)  # of the same second as Landsat
    landsat(tmp_path / "in", qa=qa)
    landsat(tmp_path / "in", NOON - 5 * DAY)
    done, said = build(tmp_path / "c.zarr", tmp_path / "in")
    assert (len(done.appended), done.skipped, said) == (3, (), [])
    found = read(tmp_path / "c.zarr")
    assert list(found.red.dims) == ["time", "y", "x"]
    assert found.time.dt.strftime("%dT%H:%M:%S").values.tolist() == ["15T10:02:03", "20T10:02:03", "20T10:02:03"]
    assert found.sensor.values.tolist() == ["oli", "oli", "msi"]
    assert found.platform.values.tolist() == ["landsat-9", "landsat-9", "sentinel-2a"]
    assert found.orbit.values.tolist() == [192, 192, 22]
    assert found.item_id.values[2].startswith("S2A_MSIL2A_20230520")
    np.testing.assert_allclose(found.boa_offset.values, [0, 0, -0.1], atol=1e-7)
    assert "05.09" in found.boa_offset_why.values[2]
    np.testing.assert_array_equal(found.x, BOX.affine.c + 10 * np.arange(SHAPE[1]) + 5)
    np.testing.assert_array_equal(found.y, BOX.affine.f - 10 * np.arange(SHAPE[0]) - 5)
    for b, name in enumerate(BAND_NAMES):
        np.testing.assert_allclose(found[name][0], ramp()[b], atol=1e-7)
        np.testing.assert_allclose(found[f"sigma_detail_{name}"][0], 0.01, atol=2e-4)  # of a total in steps of 0.0001
        assert np.isnan(found[f"sigma_detail_{name}"][2]).all()
    for b, name in enumerate(BAND_NAMES[:3]):
        np.testing.assert_allclose(found[name][2], ramp()[b], atol=1e-7)
    assert masks.usable(found.qa.values).sum(axis=(1, 2)).tolist() == [
        SHAPE[0] * SHAPE[1],
        SHAPE[0] * SHAPE[1] - 1,
        (SHAPE[0] - 8) * (SHAPE[1] - 8) - 4,
    ]  # 20 m bands end 40 m early
    np.testing.assert_allclose(found.sigma_level_absolute[0], LEVEL_ABSOLUTE, rtol=1e-6)
    assert np.isnan(found.sigma_level_absolute[2]).all()


def test_20_m_bands_are_interpolated(tmp_path: Path) -> None:
    """A ramp comes back as a ramp, which nearest would turn into stairs."""
    sentinel2(tmp_path / "in")
    build(tmp_path / "c.zarr", tmp_path / "in")
    found = read(tmp_path / "c.zarr")
    inside = slice(16, 32)
    for b, name in enumerate(BAND_NAMES[3:], 3):
        np.testing.assert_allclose(found[name][0, inside, inside], ramp()[b, inside, inside], atol=2e-4)


def test_conventions_are_declared(tmp_path: Path) -> None:
    landsat(tmp_path / "in")
    build(tmp_path / "c.zarr", tmp_path / "in")
    found = read(tmp_path / "c.zarr")
    assert [c["name"] for c in found.attrs["zarr_conventions"]] == ["spatial:", "proj:"]
    for attributes in (found.attrs, found.red.attrs):
        assert attributes["proj:code"] == str(BOX.crs)
        assert attributes["spatial:transform"] == list(BOX.affine[:6])
    assert (
        found.red.encoding["grid_mapping"] if "grid_mapping" in found.red.encoding else found.red.attrs["grid_mapping"]
    )
    assert "Mercator" in found.spatial_ref.attrs["crs_wkt"]
    assert found.red.encoding["scale_factor"] == 1e-4
    assert found.red.encoding["dtype"] == np.int16
    beside = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    check_stac(beside)
    (link,) = [link for link in beside["links"] if link["rel"] == "store"]
    assert (link["href"], link["type"]) == ("./c.zarr", "application/vnd.zarr; version=3")
    assert beside["summaries"]["platform"] == ["landsat-9"]
    assert beside["extent"]["temporal"]["interval"] == [["2023-05-20T10:02:03Z", "2023-05-20T10:02:03Z"]]


def test_appending_skips_what_is_there(tmp_path: Path) -> None:
    cube = tmp_path / "c.zarr"
    first, second = landsat(tmp_path / "in"), landsat(tmp_path / "in", NOON + DAY, mean=2 * ramp())
    build(cube, first)
    before = read(cube)
    done, said = build(cube, tmp_path / "in")
    assert done.appended == (second.name,)
    assert said == [f"{first.name}: is in the cube already; skipped"]
    after = read(cube)
    xarray.testing.assert_identical(after.isel(time=[0]), before)
    np.testing.assert_allclose(after.blue[1], 2 * ramp()[0], atol=1e-7)
    _, said = build(cube, landsat(tmp_path / "old", NOON - DAY))
    assert "not in order" in said[0]
    assert read(cube).sortby("time").time.dt.day.values.tolist() == [19, 20, 21]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill that is only played loses nothing."""
    for module in (store, files):
        monkeypatch.setattr(module, "fsync", lambda path: None)


def test_what_is_given_twice_is_taken_once(tmp_path: Path) -> None:
    first = landsat(tmp_path / "a")
    again = landsat(tmp_path / "b", mean=2 * ramp())
    said: list[str] = []
    (source,) = find_sources([first, again], said.append)
    assert said == [f"{first.name}: is given more than once; the first is taken"]
    with source.open(BOX) as opened:
        np.testing.assert_allclose(opened.read(BOX).reflectance, ramp(), atol=1e-6)


class Killed(BaseException):
    """What no code catches: the process is gone."""


def test_a_killed_append_shows_nothing_and_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while its files are moved, after so many of them, again and again."""
    cube, whole = tmp_path / "c.zarr", tmp_path / "whole.zarr"
    build(cube, landsat(tmp_path / "in"))
    before = read(cube)
    second = landsat(tmp_path / "in", NOON + DAY, mean=2 * ramp())
    build(whole, tmp_path / "in")
    replace, moved = Path.replace, list[str]()
    for at in (0, 1, 14, 30, 45, None):

        def dying(self: Path, target: Path, at: int | None = at) -> Path:
            name = str(self).partition(".append/")[2]
            if name:
                if len(moved) == at or name == "zarr.json":  # that of the root is the last
                    raise Killed
                moved.append(name)
            return replace(self, target)

        moved.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", dying)
            with pytest.raises(Killed):
                build(cube, second)
        xarray.testing.assert_identical(read(cube), before)
    assert len(moved) > 45
    done, _ = build(cube, tmp_path / "in")
    assert done.appended == (second.name,)
    xarray.testing.assert_identical(read(cube), read(whole))
    assert {p.relative_to(cube) for p in cube.rglob("*")} == {p.relative_to(whole) for p in whole.rglob("*")}
    assert not list(tmp_path.glob(".*"))


def test_chunks_of_a_killed_append_do_not_show_in_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another observation, which has no such chunk, takes the place of the killed one."""
    cube, area = tmp_path / "c.zarr", Area(bbox=None)
    build(cube, landsat(tmp_path / "in"), area=area)
    written = store._merge

    def dying(scratch: Path, to: Path) -> None:
        (scratch / "zarr.json").unlink()
        written(scratch, to)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(store, "_merge", dying)
        with pytest.raises(Killed):
            build(cube, landsat(tmp_path / "lost", NOON + DAY))
    empty = np.full((6, *SHAPE), np.nan, np.float32)
    build(cube, landsat(tmp_path / "next", NOON + 2 * DAY, mean=empty, qa=np.ones(SHAPE, np.uint16)))
    found = read(cube)
    assert len(found.time) == 2
    assert np.isnan(found.red[1]).all()
    assert (found.qa[1] == 1).all()


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    build(tmp_path / "c.zarr", landsat(tmp_path / "in"))
    with lock(tmp_path / "c.zarr"), pytest.raises(TryAgainError, match="another process"):
        build(tmp_path / "c.zarr", tmp_path / "in")


def test_area_and_settings_stay(tmp_path: Path) -> None:
    cube = tmp_path / "c.zarr"
    x, y = BOX.geographic_extent.centroid.coords[0]
    area = Area(bbox=(x - 0.001, y - 0.001, x + 0.001, y + 0.001))
    first, second = landsat(tmp_path / "in"), landsat(tmp_path / "in", NOON + DAY)
    build(cube, first, area=area)
    height, width = read(cube).red.shape[1:]
    assert height < SHAPE[0]
    assert width < SHAPE[1]
    build(cube, second, area=area)
    build(cube, second)
    with pytest.raises(InputError, match="another area"):
        build(cube, second, area=Area(bbox=(x, y, x + 0.001, y + 0.001)))
    with pytest.raises(InputError, match="without `nbar`"):
        build(cube, second, to_nadir=True)
    at = BOX.affine.c, BOX.affine.f
    where = [int(np.flatnonzero(read(cube)[k] == v)[0]) if (read(cube)[k] == v).any() else None for k, v in
             (("x", at[0] + 5), ("y", at[1] - 5))]  # fmt: skip
    assert where == [None, None]  # the corner is cut off
    row, column = round((at[1] - float(read(cube).y[0]) - 5) / 10), round((float(read(cube).x[0]) - 5 - at[0]) / 10)
    np.testing.assert_allclose(read(cube).green[0], ramp()[1, row : row + height, column : column + width], atol=1e-7)


def test_mask_is_burnt_in_only_where_asked(tmp_path: Path) -> None:
    qa = np.zeros(SHAPE, np.uint16)
    qa[:4] = masks.flag("cloud")
    build(tmp_path / "plain.zarr", landsat(tmp_path / "in", qa=qa))
    build(tmp_path / "masked.zarr", tmp_path / "in", mask=True)
    assert np.isfinite(read(tmp_path / "plain.zarr").red).all()
    masked = read(tmp_path / "masked.zarr")
    assert np.isnan(masked.red[0, :4]).all()
    assert np.isnan(masked.sigma_detail_red[0, :4]).all()
    assert np.isfinite(masked.red[0, 4:]).all()
    assert (masked.qa[0].values == qa).all()


def test_nbar_is_the_c_factor_of_the_view(tmp_path: Path) -> None:
    landsat(tmp_path / "in")
    sentinel2(tmp_path / "in", NOON + DAY)
    build(tmp_path / "c.zarr", tmp_path / "in", to_nadir=True)
    found = read(tmp_path / "c.zarr")
    factor = c_factor(90 - 53.0, 4.5, 152.0 - 105.0)
    np.testing.assert_allclose(found.nbar_factor, [np.ones(6), factor], rtol=1e-6)
    np.testing.assert_allclose(found.blue[1], factor[0] * ramp()[0], atol=6e-5)


def test_pixels_decide_on_the_offset(tmp_path: Path) -> None:
    """Darker than ground can be with the offset in: an archive took it off, whatever the baseline says."""
    dark = np.full((6, *SHAPE), 0.02, np.float32)
    path = sentinel2(tmp_path / "in", mean=dark, added=0)
    with pytest.raises(InputError, match=r"S2A_.*offset: 0 by darkest pixels .* but -0.1 by"):
        build(tmp_path / "c.zarr", path)
    assert not (tmp_path / "c.zarr").exists()  # nor an empty one
    build(tmp_path / "old.zarr", sentinel2(tmp_path / "old", mean=dark, added=0, baseline="03.01"))
    found = read(tmp_path / "old.zarr")
    np.testing.assert_allclose(found.red[0], 0.02, atol=1e-6)
    assert "darkest pixels" in str(found.boa_offset_why.values[0])


def test_a_missing_zarr_is_told_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    landsat(tmp_path / "in")
    (tmp_path / "c.json").touch()  # wrong as well
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(InputError, match=r"needs zarr; install it with: pip install 'l8s2\[cube\]'"):
        build(tmp_path / "c.zarr", tmp_path / "in")
    assert not (tmp_path / "c.zarr").exists()


def test_a_refused_observation_leaves_the_cube_as_it_was(tmp_path: Path) -> None:
    build(tmp_path / "c.zarr", landsat(tmp_path / "in"))
    before = read(tmp_path / "c.zarr")
    bad = sentinel2(tmp_path / "bad", NOON + DAY, mean=np.full((6, *SHAPE), 0.02, np.float32), added=0)
    with pytest.raises(InputError, match="offset"):
        build(tmp_path / "c.zarr", bad)
    xarray.testing.assert_identical(read(tmp_path / "c.zarr"), before)


def test_the_south_is_as_sentinel_2_names_it(tmp_path: Path) -> None:
    from l8s2 import grid

    box = grid.output_geobox(box_at(101, 16667, 16))
    assert str(box.crs).startswith("EPSG:327")
    build(tmp_path / "c.zarr", landsat(tmp_path / "in", box=box))
    found = read(tmp_path / "c.zarr")
    assert found.attrs["proj:code"] == str(box.crs)
    assert float(found.y[0]) == box.affine.f - 5


def zone_34(columns: int = 0) -> GeoBox:
    """The ground of ``BOX``, or so many pixels east of it, in the next zone."""
    x, y = (BOX.extent.centroid.to_crs("EPSG:32634")).coords[0]
    left, top = 10 * (round(x / 10) + columns - 24), 10 * (round(y / 10) + 24)
    return GeoBox(BOX.shape, Affine(10, 0, left, 0, -10, top), "EPSG:32634")


@pytest.mark.parametrize("by", ["bbox", "like"])
def test_an_area_is_served_by_the_observations_that_touch_it(by: str, tmp_path: Path) -> None:
    """The first one lies elsewhere, in another zone."""
    good = landsat(tmp_path / "in")
    first = landsat(tmp_path / "in", NOON - DAY, box=zone_34(20000))
    x, y = BOX.geographic_extent.centroid.coords[0]
    (like,) = good.glob("*_SR.tif")
    area = Area(like=like) if by == "like" else Area(bbox=(x - 0.001, y - 0.001, x + 0.001, y + 0.001))
    done, said = build(tmp_path / "c.zarr", tmp_path / "in", area=area)
    assert (done.appended, done.skipped) == ((good.name,), (first.name,))
    assert said == [f"{first.name}: lies outside the cube; skipped"]
    done, _ = build(tmp_path / "c.zarr", first)  # also of a cube that exists
    assert done.skipped == (first.name,)
    with pytest.raises(InputError, match="leave it out, or harmonise it"):
        build(tmp_path / "c.zarr", landsat(tmp_path / "over", NOON + DAY, box=zone_34()))
    with pytest.raises(InputError, match="no observation lies in the area"):
        build(tmp_path / "d.zarr", tmp_path / "in", area=Area(bbox=(x + 90, y, x + 91, y + 1)))
    assert not (tmp_path / "d.zarr").exists()


@pytest.mark.parametrize(
    "wrong", ["zone", "lattice", "nothing", "catalogue item", "no cube", "other grid", "collection"]
)
def test_what_cannot_be_used_is_said_in_one_line(tmp_path: Path, wrong: str) -> None:
    cube = tmp_path / "c.zarr"
    good = landsat(tmp_path / "in")
    if wrong == "zone":
        other = landsat(tmp_path / "o", NOON + DAY, box=GeoBox(BOX.shape, BOX.affine, "EPSG:32634"))
        paths, match = [good, other], "leave it out, or harmonise it"
    elif wrong == "lattice":
        odd = GeoBox(BOX.shape, BOX.affine * BOX.affine.translation(0.5, 0), BOX.crs)
        paths, match = [landsat(tmp_path / "o", box=odd)], "not on Sentinel-2's 10 m lattice"
    elif wrong == "nothing":
        (tmp_path / "empty").mkdir()
        paths, match = [tmp_path / "empty"], "holds no product"
    elif wrong == "catalogue item":
        (tmp_path / "item.json").write_text('{"type": "Feature", "properties": {}}')
        paths, match = [tmp_path / "item.json"], "l8s2 fetch item.json"
    elif wrong == "collection":
        (tmp_path / "c.json").write_text("mine")
        paths, match = [good], "exists already"
    elif wrong == "no cube":
        cube.mkdir()
        paths, match = [good], "not a cube of l8s2"
    else:
        build(cube, good)
        paths, match = [good], "another area"
        with pytest.raises(InputError, match=match):
            build(cube, good, area=Area(mgrs="33UVS"))
        return
    with pytest.raises(InputError, match=match) as error:
        build(cube, *paths)
    assert "\n" not in str(error.value)
    assert wrong == "no cube" or not cube.exists()


@pytest.mark.parametrize(
    ("name", "file", "orbit"),
    [
        ("LC09_L2SP_192025_20230520_20230630_02_T1_S2L", "LC09_L2SP_192025_20230520_20230630_02_T1_SR_B2", 192),
        ("LC08_L2SP_143_20230418_054-055_S2L", "LC08_L2SP_143054_20230418_20230429_02_T1_SR_B2", 143),
        ("LC08_CU_003010_20210101_20210502_02_S2L", "LC08_CU_003010_20210101_20210502_02_SR_B2", -1),
    ],
)
def test_the_orbit_is_the_path_of_the_scenes(name: str, file: str, orbit: int, tmp_path: Path) -> None:
    (path,) = landsat(tmp_path).glob("*.json")
    item = json.loads(path.read_text())
    item["id"] = name
    item["properties"]["l8s2:inputs"] = [{"name": file}]
    assert landsat_product(path, item).about.orbit == orbit
