"""The reader of Landsat: every pixel from where it lies, in reflectance, whatever the files look like."""

from __future__ import annotations

import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from l8s2 import grid, masks
from l8s2.deliveries.declared import Declared
from l8s2.errors import InputError
from l8s2.landsat.scene import Scene, open_scene
from l8s2.raster import Raster
from l8s2.sensors import BANDS
from l8s2.simulate.sensor import Conditions, Observation
from making.scenes import (
    ID,
    PAN_ID,
    SUN,
    centres,
    coordinates_as_pixels,
    crop,
    make,
    move,
    ms_grid,
    pan_of,
    part,
    position_code,
    rewrite,
    smooth,
)


def everything(scene: Scene, margin: int = 0) -> Any:
    return scene.read(*(slice(-margin, n + margin) for n in scene.shape))


def as_dn(reflectance: Any, scale: float, offset: float) -> Any:
    """Digital numbers; 0 for NaN."""
    return np.rint(np.nan_to_num((reflectance.astype(np.float64) - offset) / scale)).astype(np.int64)


@st.composite
def windows(draw: st.DrawFn, size: int) -> slice:
    start = draw(st.integers(0, size - 1))
    return slice(start, draw(st.integers(start + 1, size)))


WHOLE = 13


@settings(max_examples=25, deadline=None)
@given(
    zone=st.sampled_from([1, 19, 33, 60]),
    column=st.integers(6_000, 27_000),
    row=st.integers(-300_000, 310_000),
    ms_window=st.tuples(windows(WHOLE), windows(WHOLE)),
    pan_window=st.tuples(windows(2 * WHOLE - 1), windows(2 * WHOLE - 1)),
)
@example(zone=33, column=15_000, row=-1, ms_window=(slice(4, 5), slice(6, 7)), pan_window=(slice(0, 25), slice(0, 25)))
@example(zone=33, column=15_000, row=7, ms_window=(slice(0, 13), slice(0, 13)), pan_window=(slice(0, 25), slice(0, 25)))
@example(zone=33, column=15_000, row=7, ms_window=(slice(2, 9), slice(3, 8)), pan_window=(slice(3, 12), slice(9, 24)))
def test_every_pan_pixel_is_centred_where_it_should_be(
    zone: int, column: int, row: int, ms_window: tuple[slice, slice], pan_window: tuple[slice, slice]
) -> None:
    """Pixels hold the code of their own position; MS and pan files have extents of their own."""
    whole = ms_grid(WHOLE, WHOLE, centre=(30 * column, 30 * row), zone=zone)
    with tempfile.TemporaryDirectory() as folder:
        product = make(Path(folder), whole, coordinates_as_pixels(whole))
        for path in product.glob("*.TIF"):
            crop(path, *ms_window)
        crop(pan_of(product), *pan_window)
        meets = all(
            max(2 * m.start, p.start) < min(2 * m.stop, p.stop) for m, p in zip(ms_window, pan_window, strict=True)
        )
        if not meets:
            touches = all(
                2 * m.start <= p.stop and p.start <= 2 * m.stop for m, p in zip(ms_window, pan_window, strict=True)
            )
            if not touches:
                with pytest.raises(InputError, match="does not touch"):
                    open_scene(product)
            return
        with open_scene(product) as scene:
            margin = 3
            pixels = everything(scene, margin)
    rows, columns = (np.arange(m.start - margin, m.stop + margin) for m in ms_window)
    x, y = 30.0 * (column + columns), 30.0 * (row - rows)
    inside = _inside(rows, ms_window[0])[:, None] & _inside(columns, ms_window[1])
    expected = np.where(inside, position_code(*np.meshgrid(x, y)), 0)
    for band in pixels.ms:
        np.testing.assert_array_equal(as_dn(band, 2.75e-5, -0.2), expected)
    np.testing.assert_array_equal(pixels.qa & masks.flag("fill") > 0, ~inside)

    pan_rows, pan_columns = (np.arange(2 * (m.start - margin), 2 * (m.stop + margin)) for m in ms_window)
    x, y = 30.0 * column + 15.0 * pan_columns, 30.0 * row - 15.0 * pan_rows
    inside = _inside(pan_rows, pan_window[0])[:, None] & _inside(pan_columns, pan_window[1])
    found = as_dn(pixels.pan * np.sin(np.radians(SUN)), 2.0e-5, -0.1)
    np.testing.assert_array_equal(found, np.where(inside, position_code(*np.meshgrid(x, y)), 0))


def _inside(indices: Any, window: slice) -> Any:
    return (indices >= window.start) & (indices < window.stop)


def test_a_window_is_the_same_as_a_part_of_the_whole(tmp_path: Path) -> None:
    with open_scene(make(tmp_path)) as scene:
        whole = everything(scene)
        part_ = scene.read(slice(5, 12), slice(9, 30))
    np.testing.assert_array_equal(part_.ms, whole.ms[:, 5:12, 9:30])
    np.testing.assert_array_equal(part_.pan, whole.pan[10:24, 18:60])
    np.testing.assert_array_equal(part_.qa, whole.qa[5:12, 9:30])


@pytest.mark.parametrize("form", ["txt", "json", "xml"])
@pytest.mark.parametrize("platform", ["LC08", "LC09"])
def test_metadata_in_every_form(tmp_path: Path, form: Any, platform: str) -> None:
    product = make(tmp_path, mtl=form, product_id=ID.replace("LC09", platform), sun_elevation=31.5)
    with open_scene(product) as scene:
        assert scene.name.satellite == int(platform[-1])
        assert scene.sun_elevation == 31.5
        assert scene.pan_id == PAN_ID.replace("LC09", platform)
        assert scene.warnings == []
        np.testing.assert_allclose(everything(scene).ms, smooth(ms_grid()).ms, atol=1.4e-5)
        np.testing.assert_allclose(everything(scene).pan[:47, :61], smooth(ms_grid()).pan[:47, :61], atol=2e-5)


def test_a_product_without_pan_qa_and_metadata_is_read_with_a_warning_each(tmp_path: Path) -> None:
    product = make(tmp_path, with_pan=False, qa_pixel=None, mtl=None)
    with open_scene(product) as scene:
        pixels = everything(scene)
        assert scene.pan is None
        assert [w.partition(": ")[2].partition(";")[0] for w in scene.warnings] == [
            "no Level-2 MTL",
            "no QA_PIXEL",
            "no pan band beside it",
        ]
    assert pixels.pan is None
    assert (pixels.qa == masks.flag("no_qa")).all()
    np.testing.assert_allclose(pixels.ms, smooth(ms_grid()).ms, atol=1.4e-5)


def test_pan_without_any_sun_elevation_says_so(tmp_path: Path) -> None:
    product = make(tmp_path, mtl=None)
    with open_scene(product) as scene:
        assert any(PAN_ID in w and "sun's elevation" in w for w in scene.warnings)
        pan = everything(scene).pan
    np.testing.assert_allclose(pan[0, 0] / np.sin(np.radians(SUN)), smooth(ms_grid()).pan[0, 0], atol=2e-5)


def test_pan_of_another_name_is_called_by_it(tmp_path: Path) -> None:
    product = make(tmp_path, mtl=None)
    mine = pan_of(product).rename(tmp_path / "my pan.tif")
    with open_scene(product, mine) as scene:
        assert any(w.startswith("my pan.tif: no MTL") for w in scene.warnings)


def test_of_several_pans_all_are_named_where_none_fits_and_none_is_as_if_not_given(tmp_path: Path) -> None:
    product = make(tmp_path)
    ids = [PAN_ID.replace("192025", f"19202{n}") for n in (6, 7)]
    others = [shutil.copy(pan_of(product), tmp_path / f"{name}_B8.TIF") for name in ids]
    with pytest.raises(InputError, match=f"`pan` {ids[0]}, {ids[1]}: not the acquisition of {ID}.*; give the L1TP"):
        open_scene(product, pan=others)
    with open_scene(product, pan=[]) as scene:
        assert scene.pan_id == PAN_ID


def test_pan_takes_the_sun_from_level_2_when_its_own_metadata_is_gone(tmp_path: Path) -> None:
    product = make(tmp_path)
    part(pan_of(product).parent, "MTL").unlink()
    with open_scene(product) as scene:
        np.testing.assert_allclose(everything(scene).pan[:47, :61], smooth(ms_grid()).pan[:47, :61], atol=2e-5)


def test_a_scene_taken_at_night_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sun elevation -12 degrees"):
        open_scene(make(tmp_path, sun_elevation=-12.0))


@pytest.mark.parametrize("which", ["MS", "pan"])
def test_the_tiff_wins_over_its_metadata(tmp_path: Path, which: str) -> None:
    product = make(tmp_path)
    if which == "MS":
        for path in product.glob("*.TIF"):
            crop(path, slice(2, 20), slice(0, 31))
    else:
        crop(pan_of(product), slice(0, 40), slice(0, 61))
    with open_scene(product) as scene:
        assert scene.shape == ((18, 31) if which == "MS" else (24, 31))
        (warning,) = scene.warnings
    assert ("SR_B2.TIF: 18 x 31" if which == "MS" else "B8.TIF: 40 x 61") in warning
    assert warning.endswith("the TIFF is believed")


def test_a_moved_corner_is_a_warning(tmp_path: Path) -> None:
    product = make(tmp_path)
    for path in product.glob("*.TIF"):
        move(path, 60, -30)
    with open_scene(product) as scene:
        assert "450060, 5659980" in scene.warnings[0]
        assert "450000, 5660010" in scene.warnings[0]


@pytest.mark.parametrize(
    "profile",
    [
        {"tiled": False, "compress": None},
        {"tiled": False, "compress": "lzw", "predictor": 2},
        {"blockxsize": 16, "blockysize": 16},
        {"BIGTIFF": "YES"},
        {"nodata": None},
        {"nodata": 65535},
        {"compress": "zstd"},
    ],
    ids=str,
)
def test_any_kind_of_tiff_is_read(tmp_path: Path, profile: dict[str, Any]) -> None:
    product = make(tmp_path)
    for path in product.glob("*_SR_*"):
        rewrite(path, **({"blockxsize": 256, "blockysize": 256} | profile if profile.get("tiled", True) else profile))
    with open_scene(product) as scene:
        np.testing.assert_allclose(everything(scene).ms, smooth(ms_grid()).ms, atol=1.4e-5)


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint32", "float32", "float64"])
def test_digital_numbers_of_any_type(tmp_path: Path, dtype: str) -> None:
    product = make(tmp_path)
    for path in product.glob("*_SR_*"):
        rewrite(path, lambda x: x.astype(dtype))
    with open_scene(product) as scene:
        np.testing.assert_allclose(everything(scene).ms, smooth(ms_grid()).ms, atol=1.4e-5)


def test_reflectance_x_10000_under_the_names_of_usgs_is_told(tmp_path: Path) -> None:
    product = make(tmp_path)
    for band in BANDS:
        rewrite(part(product, f"SR_{band.landsat}"), lambda dn: np.rint((dn * 2.75e-5 - 0.2) * 1e4).astype(np.uint16))
    with open_scene(product) as scene:
        assert any("too low for Collection 2" in w and w.endswith("give `scale` 1e-4") for w in scene.warnings)
    with open_scene(product, declared=Declared(scale="1e-4")) as scene:
        assert not any("too low" in w for w in scene.warnings)
        np.testing.assert_allclose(everything(scene).ms, smooth(ms_grid()).ms, atol=7e-5)


@pytest.mark.parametrize("fill", [np.nan, -9999.0, 0.0])
def test_floating_point_reflectance(tmp_path: Path, fill: float) -> None:
    product = make(tmp_path)

    def with_hole(x: Any) -> Any:
        values = (x * 2.75e-5 - 0.2).astype(np.float32)
        values[:, 3:6, 4:9] = fill
        return values

    rewrite(part(product, "SR_B4"), with_hole, nodata=fill)
    with open_scene(product) as scene:
        pixels = everything(scene)
    expected = smooth(ms_grid()).ms
    expected[2, 3:6, 4:9] = np.nan
    np.testing.assert_allclose(pixels.ms, expected, atol=1.4e-5)
    hole = np.zeros(pixels.qa.shape, bool)
    hole[3:6, 4:9] = True
    np.testing.assert_array_equal(pixels.qa, np.where(hole, masks.flag("fill"), 0))


def test_floating_point_numbers_are_told_apart_even_when_the_middle_is_fill(tmp_path: Path) -> None:
    ms = ms_grid(900, 700)
    product = make(tmp_path, ms, with_pan=False, qa_pixel=None)

    def hollow(x: Any) -> Any:
        values = x.astype(np.float32)
        values[:, 60:840, 60:640] = 0
        return values

    rewrite(part(product, "SR_B3"), hollow)
    with open_scene(product) as scene:
        corner = scene.read(slice(0, 50), slice(0, 50)).ms
    np.testing.assert_allclose(corner, smooth(ms).ms[:, :50, :50], atol=1.4e-5)


def test_pan_may_hold_reflectance(tmp_path: Path) -> None:
    product = make(tmp_path)

    def reflectance(x: Any) -> Any:
        return ((x * 2.0e-5 - 0.1) / np.sin(np.radians(SUN))).astype(np.float32)

    rewrite(pan_of(product), reflectance, nodata=float("nan"))
    with open_scene(product) as scene:
        np.testing.assert_allclose(everything(scene).pan[:47, :61], smooth(ms_grid()).pan[:47, :61], atol=2e-5)
        assert "taken as top-of-atmosphere" in scene.warnings[0]


def test_quality_becomes_bits(tmp_path: Path) -> None:
    qa = np.full((24, 31), 21824, np.uint16)
    qa[0, :5] = (1, 22280, 21762, 23888, 21952)  # fill, cloud, dilated cloud, shadow, water
    saturated = np.zeros((24, 31), np.uint16)
    saturated[1, :3] = (1 << 1, 1 << 6, 1 << 8)  # bands 2, 7, 9
    observation = smooth(ms_grid())
    observation.ms[5, 2, 0] = -0.01
    observation.ms[0, 2, 1] = 1.2
    with open_scene(make(tmp_path, observation=observation, qa_pixel=qa, qa_radsat=saturated)) as scene:
        found = everything(scene).qa
    names = ["no_qa", "cloud", "dilated_cloud", "cloud_shadow", "water"]
    assert found[0, :5].tolist() == [masks.flag(name) for name in names]
    assert found[1, :3].tolist() == [masks.flag("saturated")] * 2 + [0]
    assert found[2, :3].tolist() == [masks.flag("out_of_range")] * 2 + [0]


def test_quality_in_floating_point_with_holes(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    product = make(tmp_path)

    def holes(x: Any) -> Any:
        values = x.astype(np.float32)
        values[:, :3] = np.nan
        return values

    rewrite(part(product, "QA_PIXEL"), holes, nodata=float("nan"))
    with open_scene(product) as scene:
        qa = everything(scene).qa
    assert (qa[:3] == masks.flag("no_qa")).all()  # whether there is a cloud, nobody knows
    assert (qa[3:] == 0).all()
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


def ramp(geobox: GeoBox, factor: int = 1) -> Any:
    """Reflectance that grows linearly to the east and the north."""
    fine = GeoBox(
        (factor * geobox.shape[0], factor * geobox.shape[1]),
        geobox.affine * Affine.translation(*([0.5 - 0.5 / factor] * 2)) * Affine.scale(1 / factor),
        geobox.crs,
    )
    x, y = centres(fine)
    return (0.2 + (x - 450_000) * 1e-4 + (y - 5_660_010) * 5e-5).astype(np.float32)


def ramped(ms: GeoBox) -> Observation:
    return Observation(ms=np.stack([ramp(ms)] * 6), pan=ramp(ms, 2), conditions=Conditions())


@pytest.mark.parametrize(("right", "up"), [(7, 4), (15, 15), (-12.5, 0.3)])
def test_what_is_off_the_lattice_is_warped_once_and_said(tmp_path: Path, right: float, up: float) -> None:
    ms = ms_grid()
    product = make(tmp_path, ms, ramped(ms))
    for path in product.glob("*.TIF"):
        move(path, right, up)
    with open_scene(product) as scene:
        assert grid.lattice_misfit(scene.geobox) == 0
        assert sum("warped once" in w for w in scene.warnings) == 1
        pixels = everything(scene)
        expected = ramp(GeoBox(scene.shape, Affine.translation(-right, -up) * scene.geobox.affine, ms.crs))
    inner = (slice(3, -3),) * 2
    assert not np.isnan(pixels.ms[:, *inner]).any()
    np.testing.assert_allclose(pixels.ms[3][inner], expected[inner], atol=1e-4)  # 0.02 of a pixel along each axis


@pytest.mark.parametrize("right", [10, 15])
def test_the_warp_keeps_waves_of_four_pixels_and_their_place(tmp_path: Path, right: float) -> None:
    """Cubic convolution leaves 0.91 and 0.88 of them, the first 0.04 of a pixel from its place."""
    ms = ms_grid()
    waves = (0.2 + 0.05 * np.sin(2 * np.pi * centres(ms)[0] / (4 * 30))).astype(np.float32)
    seen = Observation(ms=np.stack([waves] * 6), pan=ramp(ms, 2), conditions=Conditions())
    product = make(tmp_path, ms, seen)
    for path in product.glob("*.TIF"):
        move(path, right, 0)
    with open_scene(product) as scene:
        found = everything(scene).ms[3, 4:-4, 4:-4]
        phase = 2 * np.pi * (centres(scene.geobox)[0][4:-4, 4:-4] - right) / (4 * 30)
    design = np.stack([np.sin(phase), np.cos(phase), np.ones_like(phase)]).reshape(3, -1).T
    sine, cosine, _ = np.linalg.lstsq(design, found.ravel())[0] / 0.05
    assert np.hypot(sine, cosine) > 0.96
    assert abs(np.arctan2(cosine, sine)) < 2 * np.pi / 4 * 0.03


def test_pan_of_another_zone_is_warped_onto_the_ms_grid(tmp_path: Path) -> None:
    from rasterio.warp import reproject

    ms = ms_grid()
    product = make(tmp_path, ms, ramped(ms))
    other = GeoBox((70, 90), Affine(15, 0, 870_000 - 7.5, 0, -15, 5_673_450 + 7.5), "EPSG:32632")
    there = np.zeros(other.shape, np.uint16)

    def reprojected(x: Any) -> Any:
        reproject(
            x[0], there,
            src_transform=ms.affine * Affine.translation(0.25, 0.25) * Affine.scale(0.5), src_crs="EPSG:32633",
            dst_transform=other.affine, dst_crs="EPSG:32632", resampling=2, src_nodata=0, dst_nodata=0, tolerance=0,
        )  # fmt: skip
        return there[None]

    rewrite(pan_of(product), reprojected, transform=other.affine, crs="EPSG:32632")
    with open_scene(product) as scene:
        assert any("B8.TIF" in w and "warped once" in w for w in scene.warnings)
        pan = everything(scene).pan
    inner = (slice(6, -6),) * 2
    np.testing.assert_allclose(pan[inner], ramp(ms, 2)[inner], atol=2e-4)


def test_southern_names_are_understood(tmp_path: Path) -> None:
    """The same pixels in EPSG:327xx, as other software writes them, are on the lattice."""
    ms = ms_grid(7, 5, centre=(450_000, -3_000_000))
    product = make(tmp_path, ms, coordinates_as_pixels(ms))
    with open_scene(product) as scene:
        expected = everything(scene)
    for path in product.glob("*.TIF"):
        rewrite(path, crs="EPSG:32733", transform=Affine.translation(0, 1e7) * ms.affine)
    with open_scene(product) as scene:
        assert not any("warped" in w for w in scene.warnings)
        found = everything(scene)
    np.testing.assert_array_equal(found.ms, expected.ms)
    np.testing.assert_array_equal(found.pan, expected.pan)


def test_rounding_errors_of_other_software_are_no_other_place(tmp_path: Path) -> None:
    product = make(tmp_path)
    for i, path in enumerate(sorted(product.glob("*.TIF"))):
        rewrite(path, transform=Affine(30 + 1e-9 * i, 0, 449_985 + 1e-6 * i, 0, -30, 5_660_025 - 1e-6 * i))
    with open_scene(product) as scene:
        assert scene.warnings == []


def test_pan_beyond_and_short_of_the_bands(tmp_path: Path) -> None:
    ms = ms_grid(40, 40)
    product = make(tmp_path, ms)
    crop(pan_of(product), slice(10, 31), slice(0, 79))
    with open_scene(product) as scene:
        known = ~np.isnan(everything(scene).pan)
    assert known[10:31, :79].all()
    assert known.sum() == 21 * 79


def test_closing_lets_go_of_what_was_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from making.scenes import archive

    path = archive(make(tmp_path / "in"), tmp_path / "x.tar.gz", mode="w:gz")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with open_scene(path) as scene:
        assert list(scratch.iterdir())
    del scene
    assert not list(scratch.iterdir())


def test_closing_waits_for_who_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C leaves the reader of the next tile behind; GDAL would crash on a file that is gone."""
    scene = open_scene(make(tmp_path))
    reading, go_on = threading.Event(), threading.Event()
    usual = Raster.read

    def slow(self: Raster, rows: slice, columns: slice) -> Any:
        reading.set()
        assert go_on.wait(60)
        return usual(self, rows, columns)

    monkeypatch.setattr(Raster, "read", slow)
    with ThreadPoolExecutor(2) as pool:
        read = pool.submit(everything, scene)
        assert reading.wait(60)
        closed = pool.submit(scene.close)
        with pytest.raises(TimeoutError):
            closed.result(0.2)
        go_on.set()
        assert read.result(60).ms.shape == (6, *scene.shape)
        closed.result(60)
    assert scene.bands[0].raster.dataset.closed
