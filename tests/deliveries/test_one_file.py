"""One file with all bands, as Earth Engine, openEO and gdal_merge write it: the right pixels, or one line."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.warp import reproject

from l8s2 import masks
from l8s2.deliveries.declared import Declared
from l8s2.errors import InputError
from l8s2.landsat import describe_product, open_scene
from l8s2.sensors import BAND_NAMES, BANDS
from making.scenes import ID, PAN_ID, SUN, centres, make, ms_grid, pan_of, part, smooth

GEE = "LC09_192025_20230520"
NAMES = tuple(f"SR_{band.landsat}" for band in BANDS)
MS = ms_grid()
TRUTH = smooth(MS).ms
WINDOW = slice(0, MS.shape[0]), slice(0, MS.shape[1])
QA = np.full(MS.shape, 21824)
QA[2, 3] = 22280  # cloud


def stored(scale: str, dtype: str) -> Any:
    values = {
        "collection2": (TRUTH.astype(np.float64) + 0.2) / 2.75e-5,
        "reflectance": TRUTH.astype(np.float64),
        "1e-4": TRUTH.astype(np.float64) * 1e4,
    }[scale]
    return (values if dtype.startswith("f") else np.rint(values)).astype(dtype)


def export(
    path: Path, values: Any = None, names: Any = NAMES, *, tags: Any = None, qa: bool = False, box: GeoBox = MS,
    **profile: Any,
) -> Path:  # fmt: skip
    """Write a file with bands of these names; a name of None is left out."""
    values = stored("collection2", "uint16") if values is None else values
    if qa:
        values, names = np.concatenate([values, QA[None].astype(values.dtype)]), (*names, "QA_PIXEL")
    kept = {
        "driver": "GTiff", "count": len(values), "height": box.shape[0], "width": box.shape[1],
        "dtype": values.dtype.name, "crs": str(box.crs), "transform": box.affine,
    }  # fmt: skip
    with rasterio.open(path, "w", **(kept | profile)) as target:
        target.write(values)
        for number, name in enumerate(names, 1):
            if name is not None:
                target.set_band_description(number, name)
        target.update_tags(**(tags or {}))
    return path


def read(path: Path, declared: Declared | None = None, pan: Path | None = None) -> tuple[Any, Any]:
    with open_scene(path, pan, declared or Declared()) as scene:
        return scene, scene.read(*WINDOW)


SCALES = [
    ("collection2", "uint16"), ("collection2", "int32"), ("collection2", "float32"), ("collection2", "float64"),
    ("reflectance", "float32"), ("reflectance", "float64"), ("1e-4", "int16"), ("1e-4", "uint16"), ("1e-4", "float32"),
]  # fmt: skip


@pytest.mark.parametrize(("scale", "dtype"), SCALES)
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_the_scale_is_proved_from_the_pixels_and_said(tmp_path: Path, scale: str, dtype: str, interleave: str) -> None:
    path = export(tmp_path / f"{GEE}.tif", stored(scale, dtype), qa=True, interleave=interleave)
    scene, pixels = read(path)
    np.testing.assert_allclose(pixels.ms, TRUTH, atol=6e-5)
    assert [line for line in scene.warnings if f"scale {scale}, since the medians of its bands run from" in line]
    assert scene.product_id == GEE
    assert (scene.name.satellite, scene.name.location, str(scene.name.acquired)) == (9, "192025", "2023-05-20")
    cloud = np.zeros(MS.shape, bool)
    cloud[2, 3] = True
    np.testing.assert_array_equal(pixels.qa & masks.flag("cloud") > 0, cloud)


@pytest.mark.parametrize(
    "names",
    [
        tuple(f"{GEE}_{name}" for name in NAMES),
        tuple(f"0_{name}" for name in NAMES),
        BAND_NAMES,
        ("Blue", "Green", "Red", "NIR", "SWIR1", "SWIR2"),
        tuple(f"B{band.landsat[1:]} {band.name}" for band in BANDS),
        tuple(name.lower() for name in NAMES),
    ],
    ids=["with the scene", "toBands", "common", "capitals", "numbered", "small"],
)
def test_bands_are_taken_by_name_in_any_order(tmp_path: Path, names: tuple[str, ...]) -> None:
    order = [3, 0, 5, 1, 4, 2]
    values = stored("collection2", "uint16")
    extra = np.full((1, *MS.shape), 7, np.uint16)
    path = export(
        tmp_path / f"{GEE}.tif", np.concatenate([extra, values[order]]), ("ST_B10", *(names[i] for i in order))
    )
    np.testing.assert_allclose(read(path)[1].ms, TRUTH, atol=1.5e-5)


def test_names_may_stand_in_tags(tmp_path: Path) -> None:
    path = export(tmp_path / f"{GEE}.tif", names=())
    with rasterio.open(path, "r+") as target:
        for number, name in enumerate(NAMES, 1):
            target.update_tags(number, long_name=name)
    np.testing.assert_allclose(read(path)[1].ms, TRUTH, atol=1.5e-5)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ((None,) * 6, "its 6 bands have no names; give `bands`, such as blue=1,green=2"),
        ((*NAMES[:5], None), "no band is called swir22, there are SR_B2, .*, without a name; give `bands`"),
        ((*NAMES[:5], "SR_B6"), "bands 5 and 6 both are called swir16; give `bands`"),
        (tuple(band.landsat for band in BANDS), "band 1 is called B2, which tells neither surface reflectance nor top"),
    ],
)
def test_bands_that_are_not_told_are_refused_and_declared(tmp_path: Path, names: Any, says: str) -> None:
    path = export(tmp_path / f"{GEE}.tif", names=names)
    with pytest.raises(InputError, match=says) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    for text in ("blue=1,green=2,red=3,nir08=4,swir16=5,swir22=6", "blue,green,red,nir,swir1,swir2"):
        np.testing.assert_allclose(read(path, Declared.parse(bands=text))[1].ms, TRUTH, atol=1.5e-5)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"bands": "blue=1"}, "lacks green, red"),
        ({"bands": "blue=0,green=2,red=3,nir08=4,swir16=5,swir22=6"}, "not a band and its number"),
        ({"bands": "blue=\u00b2,green=2,red=3,nir08=4,swir16=5,swir22=6"}, "not a band and its number"),
        ({"bands": f"blue={5000 * '9'},green=2,red=3,nir08=4,swir16=5,swir22=6"}, "not a band and its number"),
        ({"bands": "blue,blue,red,nir08,swir16,swir22"}, "not a band and its number"),
        ({"scale": "1e-3"}, "`scale` 1e-3: unknown; give collection2, reflectance, 1e-4"),
        ({"acquired": "yesterday"}, "`acquired` yesterday: not a date"),
        ({"platform": "landsat-7"}, "give landsat-8 or landsat-9"),
    ],
)
def test_what_cannot_be_declared_is_refused(given: dict[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Declared.parse(**given)


def test_a_band_that_is_not_there_cannot_be_declared(tmp_path: Path) -> None:
    path = export(tmp_path / f"{GEE}.tif", names=())
    with pytest.raises(InputError, match=r"`bands` 9: LC09_192025_20230520\.tif holds 6 bands"):
        read(path, Declared.parse(bands="blue=1,green=2,red=3,nir08=4,swir16=5,swir22=9"))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            np.full((6, *MS.shape), 6000, np.uint16),
            "run from 6000 to 6000, which leaves its scale open",
        ),
        (stored("reflectance", "float32") * 100, "leaves its scale open; give `scale`"),
        ((stored("reflectance", "float32") * 255).astype(np.uint8), "8-bit numbers, a picture"),
        (np.zeros((6, *MS.shape), np.uint16), "no pixel has a value"),
    ],
    ids=["between", "percent", "picture", "empty"],
)
def test_a_scale_that_is_not_told_is_refused(tmp_path: Path, values: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(export(tmp_path / f"{GEE}.tif", values))


def test_a_declared_scale_is_believed(tmp_path: Path) -> None:
    path = export(tmp_path / f"{GEE}.tif", np.full((6, *MS.shape), 6000, np.uint16))
    assert read(path, Declared(scale="1e-4"))[1].ms.mean() == pytest.approx(0.6)
    assert read(path, Declared(scale="collection2"))[1].ms.mean() == pytest.approx(6000 * 2.75e-5 - 0.2)


@pytest.mark.parametrize(
    ("scale", "dtype", "fill"),
    [
        ("collection2", "uint16", 0), ("1e-4", "int16", 0), ("1e-4", "int16", -9999), ("1e-4", "int16", -32768),
        ("reflectance", "float32", np.nan), ("reflectance", "float32", 0), ("reflectance", "float32", -9999),
        ("reflectance", "float32", -0.2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("said", [True, False])
def test_fill_is_fill_and_zero_in_one_band_is_dark(
    tmp_path: Path, scale: str, dtype: str, fill: float, said: bool
) -> None:
    values = stored(scale, dtype)
    values[:, 5:9, 4:7] = fill
    dark = not (scale == "collection2" or (said and fill == 0))
    if dark:
        values[5, 0, 0] = 0
    _, pixels = read(export(tmp_path / f"{GEE}.tif", values, nodata=fill if said else None))
    expected = TRUTH.copy()
    expected[:, 5:9, 4:7] = np.nan
    if dark:
        expected[5, 0, 0] = 0
    np.testing.assert_allclose(pixels.ms, expected, atol=6e-5)
    assert (pixels.qa & masks.flag("fill") > 0).sum() == 12


TAGS = {"SPACECRAFT_ID": "LANDSAT_9", "DATE_ACQUIRED": "2023-05-20", "WRS_PATH": "192", "WRS_ROW": "25"}


@pytest.mark.parametrize(
    ("name", "tags", "product_id"),
    [
        (ID, {}, ID),
        (f"clip {ID} v2", {}, ID),
        (f"1_2_{GEE}_clip", {}, GEE),
        ("export", {"system:index": GEE}, GEE),
        ("export", {"LANDSAT_PRODUCT_ID": ID}, ID),
        ("my export (1)", TAGS, "my-export-1"),
    ],
)
def test_date_and_satellite_are_told_by_name_and_tags(
    tmp_path: Path, name: str, tags: dict[str, str], product_id: str
) -> None:
    facts = describe_product(export(tmp_path / f"{name}.tif", tags=tags))
    assert facts["product"] == product_id
    assert (facts["satellite"], facts["acquired"], facts["path_row"]) == ("Landsat 9", "2023-05-20", "192/025")


def test_date_and_satellite_that_are_not_told_are_declared(tmp_path: Path) -> None:
    path = export(tmp_path / "export.tif")
    with pytest.raises(InputError, match="neither its name nor its tags tell date and satellite; give `acquired` and"):
        read(path)
    with pytest.raises(InputError, match=r"give `platform`$"):
        read(path, Declared.parse(acquired="2023-05-20"))
    scene, pixels = read(path, Declared.parse(acquired="2023-05-20", platform="landsat-9"))
    assert scene.product_id == "export"
    np.testing.assert_allclose(pixels.ms, TRUTH, atol=1.5e-5)


@pytest.mark.parametrize("given", [{"acquired": "2023-05-21"}, {"platform": "landsat-8"}])
def test_what_is_declared_against_the_files_is_refused(tmp_path: Path, given: dict[str, str]) -> None:
    for product in (make(tmp_path, with_pan=False), export(tmp_path / f"{GEE}.tif")):
        with pytest.raises(InputError, match="leave the option out"):
            open_scene(product, declared=Declared.parse(**given))
    with pytest.raises(InputError, match="a Level-1 product by its name"):
        open_scene(export(tmp_path / f"{PAN_ID}_stack.tif"))
    with pytest.raises(InputError, match="Landsat 7 has another sensor"):
        open_scene(export(tmp_path / "e.tif", tags=TAGS | {"SPACECRAFT_ID": "LANDSAT_7"}))


def test_sun_and_time_are_told_by_tags_or_by_an_mtl_beside(tmp_path: Path) -> None:
    tags = {"SUN_ELEVATION": "52.5", "SUN_AZIMUTH": "150", "system:time_start": "1684576950000"}
    facts = describe_product(export(tmp_path / f"{GEE}.tif", tags=tags))
    assert (facts["sun_elevation"], facts["acquired"], facts["mtl"]) == (52.5, "2023-05-20T10:02:30+00:00", False)
    mtl = part(make(tmp_path / "in", with_pan=False), "MTL")
    for name in (mtl.name, "export_MTL.txt"):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_bytes(mtl.read_bytes())
        facts = describe_product(export(folder / ("export.tif" if "export" in name else f"{GEE}.tif")))
        assert (facts["sun_elevation"], facts["acquired"]) == (SUN, "2023-05-20T10:02:30+00:00")


def test_pan_is_any_file_of_one_band(tmp_path: Path) -> None:
    product = make(tmp_path / "in")
    with open_scene(product) as scene:
        expected = scene.read(*WINDOW).pan
    path = export(tmp_path / f"{GEE}.tif", tags={"SUN_ELEVATION": str(SUN)})
    mine = tmp_path / "my pan.tif"
    mine.write_bytes(pan_of(product).read_bytes())
    scene, pixels = read(path, pan=mine)
    np.testing.assert_array_equal(pixels.pan, expected)
    assert any("my pan.tif: its name tells no acquisition; taken for the pan of" in line for line in scene.warnings)
    assert read(path, pan=product.with_name(PAN_ID))[0].pan_id == PAN_ID
    with rasterio.open(mine, "r+") as target:
        target.write(target.read() // 8)
    with pytest.raises(InputError, match="no digital number of Level 1"):
        read(path, pan=mine)


def test_pan_beside_is_found(tmp_path: Path) -> None:
    make(tmp_path)
    assert read(export(tmp_path / f"{GEE}.tif"))[0].pan_id == PAN_ID


def test_half_a_pixel_off_is_warped_once(tmp_path: Path) -> None:
    def ramp(box: GeoBox) -> Any:
        x, y = centres(box)
        return (0.1 + (x - 450_000) * 1e-4 + (5_660_010 - y) * 5e-5).astype(np.float32)

    box = GeoBox(MS.shape, Affine.translation(15, 15) * MS.affine, MS.crs)
    scene, pixels = read(export(tmp_path / f"{GEE}.tif", np.stack([ramp(box)] * 6), box=box))
    (line,) = [line for line in scene.warnings if "warped once" in line]
    assert "0.50 pixels off" in line
    inner = slice(3, 20), slice(3, 25)
    np.testing.assert_allclose(pixels.ms[4][inner], ramp(scene.geobox)[inner], atol=3e-5)


def test_degrees_are_warped_onto_the_lattice_of_their_zone(tmp_path: Path) -> None:
    box = ms_grid(60, 60)
    degrees = box.to_crs("EPSG:4326", resolution=0.00027, tight=True)
    x, y = np.meshgrid(*(np.arange(n) for n in box.shape[::-1]))
    wave = (0.15 + 0.05 * np.sin(x / 9) * np.cos(y / 11)).astype(np.float32)
    there = np.full(degrees.shape, np.nan, np.float32)
    reproject(
        wave, there, src_transform=box.affine, src_crs=str(box.crs), dst_transform=degrees.affine,
        dst_crs="EPSG:4326", resampling=2, src_nodata=np.nan, dst_nodata=np.nan,
    )  # fmt: skip
    path = export(tmp_path / f"{GEE}.tif", np.stack([there] * 6), box=degrees, nodata=np.nan)
    with open_scene(path) as scene:
        a, there = scene.geobox.affine, scene.read(slice(0, scene.shape[0]), slice(0, scene.shape[1])).ms[2]
        assert str(scene.geobox.crs) == "EPSG:32633"
        assert any("warped once onto EPSG:32633" in line for line in scene.warnings)
    down, right = round((box.affine.f - a.f) / 30), round((a.c - box.affine.c) / 30)
    assert (box.affine.f - a.f) / 30 == down
    rows, columns = np.arange(8, 50), np.arange(8, 50)
    found = there[np.ix_(rows - down, columns - right)]
    np.testing.assert_allclose(found, wave[np.ix_(rows, columns)], atol=2e-3)


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_a_file_alone_in_a_folder_or_archive(tmp_path: Path, how: int) -> None:
    folder = tmp_path / "alone"
    folder.mkdir()
    path = export(folder / f"{GEE}.tif")
    np.testing.assert_allclose(read(folder)[1].ms, TRUTH, atol=1.5e-5)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", how) as archive:
        archive.write(path, "download/" + path.name)
    np.testing.assert_allclose(read(tmp_path / "x.zip")[1].ms, TRUTH, atol=1.5e-5)
    export(folder / "other.tif")
    with pytest.raises(InputError, match=rf"holds 2 images \({re.escape(path.name)}, other\.tif\).*give one file"):
        read(folder)


def test_earth_engine_gives_a_file_for_each_band_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "download.zip", "w") as archive:
        for name, values in zip(NAMES, stored("collection2", "uint16"), strict=True):
            path = export(tmp_path / f"{GEE}.{name}.tif", values[None], (name,))
            archive.write(path, path.name)
    scene, pixels = read(tmp_path / "download.zip")
    assert scene.product_id == GEE
    np.testing.assert_allclose(pixels.ms, TRUTH, atol=1.5e-5)


@pytest.mark.parametrize("count", [1, 3])
def test_a_picture_is_no_product(tmp_path: Path, count: int) -> None:
    path = export(tmp_path / "rgb.tif", np.ones((count, *MS.shape), np.uint8), ("red", "green", "blue")[:count])
    with pytest.raises(InputError, match=f"rgb.tif: holds {count} bands .*give the folder of a Level-2 product"):
        read(path)
