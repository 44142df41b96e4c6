"""The product writer: what is read back from its files, and what is left when something goes wrong."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from itertools import pairwise
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
from rasterio.enums import ColorInterp
from rio_cogeo import cog_validate

from l8s2 import masks
from l8s2.cog.spool import Spool
from l8s2.errors import ExistsError, InputError, TryAgainError
from l8s2.grid import footprint
from l8s2.product.preview import Preview
from l8s2.product.stac import ItemInfo
from l8s2.product.writer import ProductWriter, estimate_bytes
from l8s2.radiometry import NODATA
from l8s2.sensors import BAND_NAMES, BANDS
from making.stac import check_stac

ID = "LC08_L2SP_143054_20230213_20230218_02_T1"
INFO = ItemInfo(
    datetime=dt.datetime(2023, 2, 13, 5, 9, 30, tzinfo=dt.UTC),
    sun_elevation=52.5,
    sun_azimuth=-220.0,
    platform="landsat-8",
    inputs=[(ID, ID.replace("L2SP", "L1TP"))],
    model="compact",
    model_sha256="ab" * 32,
    version="0.1.0",
    warnings=["one band off the lattice"],
    extra={"l8s2:warped": False},
)


def utm(height: int, width: int, epsg: int = 32643, corner: tuple[float, float] = (700_005, 1_200_005)) -> GeoBox:
    return GeoBox((height, width), Affine(10, 0, corner[0], 0, -10, corner[1]), f"EPSG:{epsg}")


def scene(height: int, width: int, seed: int = 0, holes: float = 0.1) -> tuple[Any, Any, Any]:
    """Mean, sigma, QA with nodata blocks and single NaN."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(-0.1, 1.2, (6, height, width)).astype(np.float32)
    sigma = rng.uniform(0, 0.05, (6, height, width)).astype(np.float32)
    mean[:, rng.random((height, width)) < holes] = np.nan
    mean[:, : height // 3, : width // 2] = np.nan
    mean[2, -1, -1] = np.nan
    sigma[np.isnan(mean)] = np.nan
    qa = rng.integers(0, 1 << 10, (height, width)).astype(np.uint16)
    return mean, sigma, qa


def cut(height: int, width: int, tile: int) -> list[tuple[slice, slice]]:
    return [
        (slice(r, min(r + tile, height)), slice(c, min(c + tile, width)))
        for r in range(0, height, tile)
        for c in range(0, width, tile)
    ]


def make(
    output: Path,
    arrays: tuple[Any, Any, Any],
    *,
    geobox: GeoBox | None = None,
    tile: int = 300,
    shuffle: int | None = None,
    overwrite: bool = False,
    info: ItemInfo = INFO,
) -> Path:
    mean, sigma, qa = arrays
    height, width = qa.shape
    windows = cut(height, width, tile)
    if shuffle is not None:
        random.Random(shuffle).shuffle(windows)
    box = geobox or utm(height, width)
    with ProductWriter(output, ID, box, sigma=sigma is not None, overwrite=overwrite) as writer:
        for r, c in windows:
            writer.write(r, c, mean[:, r, c], None if sigma is None else sigma[:, r, c], qa[r, c])
            writer.write_before(r, c, mean[2::-1, r, c][:, ::3, ::3])
        return writer.finish(info)


def expected(reflectance: Any) -> Any:
    steps = np.clip(np.rint(reflectance.astype(np.float64) * 1e4), -32767, 32767)
    return np.where(np.isnan(steps), NODATA, steps)


def part(folder: Path, ending: str) -> Path:
    return folder / f"{ID}_{ending}"


def samples(folder: Path, ending: str) -> Any:
    with rasterio.open(part(folder, ending)) as dataset:
        return dataset.read()


SIZES = [(3, 3), (3, 1600), (1601, 3), (13, 17), (211, 97), (513, 511), (512, 1024), (1, 1)]


@pytest.mark.parametrize("size", SIZES)
def test_round_trip_and_valid_cog_in_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    mean, sigma, qa = scene(*size)
    folder = make(tmp_path, (mean, sigma, qa))
    assert np.abs(samples(folder, "SR.tif") - expected(mean)).max() <= 1
    assert np.array_equal(samples(folder, "SR.tif") == NODATA, np.isnan(mean))
    errors = samples(folder, "SIGMA.tif")
    assert np.array_equal(errors == NODATA, np.isnan(mean))
    assert (errors[errors != NODATA] >= 1).all()
    assert np.array_equal(samples(folder, "QA.tif")[0], qa)
    for ending in ("SR.tif", "SIGMA.tif", "QA.tif"):
        valid, problems, notes = cog_validate(part(folder, ending), strict=True)
        assert valid, (ending, problems, notes)


def test_only_the_product_is_in_the_folder(tmp_path: Path) -> None:
    folder = make(tmp_path / "deep" / "out", scene(40, 30))
    assert folder == tmp_path / "deep" / "out" / f"{ID}_S2L"
    endings = ("_SR.tif", "_SIGMA.tif", "_QA.tif", "_preview.png", ".json")
    assert {p.name for p in folder.iterdir()} == {ID + ending for ending in endings}
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]
    assert folder.stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_without_sigma_there_is_no_sigma_file(tmp_path: Path) -> None:
    mean, _, qa = scene(40, 30)
    folder = make(tmp_path, (mean, None, qa))
    assert not part(folder, "SIGMA.tif").exists()
    assert "sigma" not in json.loads((folder / f"{ID}.json").read_text())["assets"]


@settings(max_examples=10, deadline=None)
@given(
    height=st.integers(1, 700),
    width=st.integers(1, 700),
    tile=st.integers(97, 400),
    seed=st.integers(0, 99),
)
def test_windows_in_any_order_and_size_give_the_same_bytes(height: int, width: int, tile: int, seed: int) -> None:
    arrays = scene(height, width, seed)
    with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
        one, two = make(Path(a), arrays, tile=1000), make(Path(b), arrays, tile=tile, shuffle=seed)
        for ending in ("SR.tif", "SIGMA.tif", "QA.tif"):
            assert part(one, ending).read_bytes() == part(two, ending).read_bytes(), ending
        assert np.array_equal(samples(two, "QA.tif")[0], arrays[2])


def test_how_the_files_describe_themselves(tmp_path: Path) -> None:
    mean, sigma, qa = scene(700, 650)
    box = utm(700, 650)
    folder = make(tmp_path, (mean, sigma, qa), geobox=box)
    for ending in ("SR.tif", "SIGMA.tif"):
        with rasterio.open(part(folder, ending)) as dataset:
            assert dataset.transform == box.affine
            assert dataset.crs.to_epsg() == 32643
            assert set(dataset.dtypes) == {"int16"}
            assert dataset.nodata == NODATA
            assert dataset.scales == (1e-4,) * 6
            assert dataset.offsets == (0,) * 6
            assert dataset.descriptions == BAND_NAMES
            colours = [ColorInterp.blue, ColorInterp.green, ColorInterp.red, *[ColorInterp.undefined] * 3]
            assert list(dataset.colorinterp) == colours
            structure = dataset.tags(ns="IMAGE_STRUCTURE")
            assert (structure["LAYOUT"], structure["COMPRESSION"], structure["PREDICTOR"]) == ("COG", "DEFLATE", "2")
            assert dataset.block_shapes == [(512, 512)] * 6
            assert dataset.overviews(1) == [2]
            for index in dataset.indexes:
                band = dataset.read(index, masked=True).compressed().astype(np.float64)
                tags = {k.removeprefix("STATISTICS_"): float(v) for k, v in dataset.tags(index).items()}
                assert (tags["MINIMUM"], tags["MAXIMUM"]) == (band.min(), band.max())
                assert tags["MEAN"] == pytest.approx(band.mean(), rel=1e-12)
                assert tags["STDDEV"] == pytest.approx(band.std(), rel=1e-9)
                assert tags["VALID_PERCENT"] == pytest.approx(100 * band.size / 700 / 650, rel=1e-3)
    with rasterio.open(part(folder, "QA.tif")) as dataset:
        assert dataset.dtypes == ("uint16",)
        assert dataset.nodata is None
        assert dataset.descriptions == ("qa",)


def test_overviews_keep_nodata_out_of_the_average_and_take_the_mode_of_bits(tmp_path: Path) -> None:
    mean = np.full((6, 1026, 1026), 0.2, np.float32)
    mean[:, ::2] = np.nan
    mean[:, :256] = np.nan
    qa = np.zeros((1026, 1026), np.uint16)
    qa[:, 700:] = 6
    folder = make(tmp_path, (mean, np.full_like(mean, 0.01), qa), tile=1026)
    with rasterio.open(part(folder, "SR.tif"), overview_level=0) as dataset:
        small = dataset.read()
    assert set(np.unique(small)) == {NODATA, 2000}
    assert (small[:, 130:] == 2000).all()
    assert (small[:, :126] == NODATA).all()
    with rasterio.open(part(folder, "QA.tif"), overview_level=0) as dataset:
        assert set(np.unique(dataset.read())) == {0, 6}


def test_values_are_clipped_and_sigma_is_at_least_one_step(tmp_path: Path) -> None:
    mean = np.full((6, 3, 3), np.float32(0.1))
    mean[0, 0] = (9, -9, np.nan)
    sigma = np.full((6, 3, 3), np.float32(1e-9))
    sigma[1, 1] = (np.inf, np.nan, 0.02)
    folder = make(tmp_path, (mean, sigma, np.zeros((3, 3), np.uint16)))
    assert samples(folder, "SR.tif")[0, 0].tolist() == [32767, -32767, NODATA]
    assert samples(folder, "SIGMA.tif")[1].tolist() == [[1, 1, 1], [32767, NODATA, 200], [1, 1, 1]]


def test_all_nodata(tmp_path: Path) -> None:
    nothing = np.full((6, 600, 20), np.nan, np.float32)
    folder = make(tmp_path, (nothing, nothing, np.ones((600, 20), np.uint16)))
    assert (samples(folder, "SR.tif") == NODATA).all()
    with rasterio.open(part(folder, "SR.tif")) as dataset:
        assert "STATISTICS_MEAN" not in dataset.tags(1)
    assert cog_validate(part(folder, "SR.tif"), strict=True)[0]


def test_pixels_never_written_are_nodata_and_fill(tmp_path: Path) -> None:
    mean, sigma, qa = scene(100, 100, holes=0)
    r, c = slice(60, 90), slice(55, 97)
    with ProductWriter(tmp_path, ID, utm(1100, 600)) as writer:
        writer.write(r, c, mean[:, r, c], sigma[:, r, c], qa[r, c])
        folder = writer.finish(INFO)
    assert not part(folder, "SR.tif").with_name(f"{ID}_SR.tif.aux.xml").exists()
    quality, values = samples(folder, "QA.tif")[0], samples(folder, "SR.tif")
    assert np.array_equal(quality[r, c], qa[r, c])
    quality[r, c] = 1
    values[:, r, c] = NODATA
    assert (quality == 1).all()
    assert (values == NODATA).all()


@pytest.mark.parametrize(
    ("rows", "columns"), [(slice(0, 5), slice(5, 11)), (slice(4, 4), slice(0, 5)), (slice(0, 5), slice(4, 9))]
)
def test_windows_outside_empty_or_written_before_are_mistakes(tmp_path: Path, rows: slice, columns: slice) -> None:
    mean, sigma, qa = scene(10, 10)
    with ProductWriter(tmp_path, ID, utm(10, 10)) as writer:
        writer.write(slice(0, 5), slice(0, 5), mean[:, :5, :5], sigma[:, :5, :5], qa[:5, :5])
        shape = rows.stop - rows.start, columns.stop - columns.start
        block = np.zeros((6, *shape), np.float32)
        with pytest.raises(ValueError, match="rows"):
            writer.write(rows, columns, block, block, np.zeros(shape, np.uint16))


# --- the preview ------------------------------------------------------------------------------------------------


def picture(folder: Path) -> Any:
    from PIL import Image

    with Image.open(part(folder, "preview.png")) as image:
        return np.asarray(image)


def test_preview_shows_before_and_after_with_one_stretch(tmp_path: Path) -> None:
    mean = np.linspace(0.02, 0.3, 90 * 120, dtype=np.float32).reshape(1, 90, 120).repeat(6, 0)
    mean[:, :9, :9] = np.nan
    image = picture(make(tmp_path, (mean, mean * 0.1, np.zeros((90, 120), np.uint16)), tile=30))
    assert image.shape == (90, 244, 4)
    before, after = image[:, :120], image[:, 124:]
    assert (image[:, 120:124] == 255).all()
    assert (before[:9, :9] == 0).all()
    assert (after[:9, :9] == 0).all()
    assert (after[10:, :, 3] == 255).all()
    assert np.abs(before[30:].astype(int) - after[30:]).mean() < 5
    assert after[..., :3].max() == 255
    assert 60 < after[10:, :, :3].mean() < 200


def test_preview_of_a_large_product_is_small_and_order_does_not_matter(tmp_path: Path) -> None:
    arrays = scene(400, 2500, holes=0)
    one = picture(make(tmp_path / "a", arrays, tile=500))
    two = picture(make(tmp_path / "b", arrays, tile=223, shuffle=3))
    assert one.shape[1] <= 1600
    half = (one.shape[1] - 4) // 2
    # the input is cut differently in the two, and has its part in the stretch
    assert np.abs(one[:, -half:].astype(int) - two[:, -half:]).max() <= 3


def test_preview_of_the_output_alone(tmp_path: Path) -> None:
    mean, sigma, qa = scene(30, 40)
    with ProductWriter(tmp_path, ID, utm(30, 40)) as writer:
        writer.write(slice(0, 30), slice(0, 40), mean, sigma, qa)
        folder = writer.finish(INFO)
    assert picture(folder).shape == (30, 40, 4)


# --- the STAC Item ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def item(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import pystac

    folder = make(tmp_path_factory.mktemp("item"), scene(90, 60))
    return pystac.Item.from_file(str(folder / f"{ID}.json"))


def test_item_is_valid_stac(item: Any) -> None:
    check_stac(json.loads(Path(item.get_self_href()).read_text()))


def test_item_says_where_when_and_from_what(item: Any) -> None:
    p = item.properties
    assert item.id == f"{ID}_S2L"
    assert item.datetime == INFO.datetime
    assert p["proj:code"] == "EPSG:32643"
    assert p["proj:shape"] == [90, 60]
    assert p["proj:transform"] == [10, 0, 700_005, 0, -10, 1_200_005]
    assert p["proj:bbox"] == [700_005, 1_200_005 - 900, 700_605, 1_200_005]
    assert (p["gsd"], p["platform"], p["constellation"], p["instruments"]) == (10, "landsat-8", "landsat", ["oli"])
    assert (p["view:sun_elevation"], p["view:sun_azimuth"]) == (52.5, 140.0)
    assert p["processing:software"] == {"l8s2": "0.1.0"}
    assert p["processing:level"] == "L2"
    assert ID in p["processing:lineage"]
    assert (p["l8s2:model"], p["l8s2:model_sha256"]) == ("compact", "ab" * 32)
    assert p["l8s2:warnings"] == INFO.warnings
    assert p["l8s2:warped"] is False
    assert "not a Sentinel-2 product" in p["description"]
    assert "U.S. Geological Survey" in p["l8s2:attribution"]
    assert "Copernicus" in p["l8s2:attribution"]
    server = "https://landsatlook.usgs.gov/stac-server/collections"
    assert [link.href for link in item.get_links("derived_from")] == [
        f"{server}/landsat-c2l2-sr/items/{ID}_SR",
        f"{server}/landsat-c2l1/items/{INFO.inputs[0][1]}",
    ]


@pytest.mark.parametrize("inner", [{}, {"l8s2:pan_aligned_m": {"down": 3.0, "right": 0.0}}])
def test_the_lineage_of_an_overpass_has_the_move_of_its_pan(tmp_path: Path, inner: dict[str, Any]) -> None:
    folder = make(tmp_path, scene(9, 9), info=replace(INFO, extra={"l8s2:scenes": [{"id": "a"}, inner]}))
    lineage = json.loads((folder / f"{ID}.json").read_text())["properties"]["processing:lineage"]
    assert ("band is moved onto" in lineage) == bool(inner)


def test_item_assets_match_the_files(item: Any) -> None:
    folder = Path(item.get_self_href()).parent
    raw = json.loads(Path(item.get_self_href()).read_text())["assets"]
    assert list(raw) == ["surface_reflectance", "sigma", "qa", "preview"]
    for asset in raw.values():
        path = folder / asset["href"]
        content = path.read_bytes()
        assert asset["href"].startswith("./")
        assert asset["file:size"] == len(content)
        assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
    cog = "image/tiff; application=geotiff; profile=cloud-optimized"
    assert [asset["type"] for asset in raw.values()] == [cog, cog, cog, "image/png"]
    assert "data" in raw["surface_reflectance"]["roles"]
    assert raw["sigma"]["roles"] == ["data", "uncertainty"]
    for key in ("surface_reflectance", "sigma"):
        for band, described in zip(BANDS, raw[key]["bands"], strict=True):
            assert described == {
                "name": band.name, "eo:common_name": band.name, "eo:center_wavelength": band.wavelength,
                "eo:full_width_half_max": band.bandwidth, "data_type": "int16", "nodata": NODATA, "unit": "1",
                "raster:scale": 1e-4, "raster:offset": 0,
            }  # fmt: skip
    fields = raw["qa"]["classification:bitfields"]
    assert [(f["offset"], f["name"]) for f in fields] == [(bit.bit, bit.name) for bit in masks.QA_BITS]
    assert fields[0]["name"] == "fill"
    assert fields[0]["offset"] == 0


def test_item_without_pan_or_sun(tmp_path: Path) -> None:
    fields = {**INFO.__dict__, "inputs": [(ID, None)], "sun_elevation": None, "sun_azimuth": None, "warnings": []}
    folder = make(tmp_path, scene(9, 9), info=ItemInfo(**fields))
    item = json.loads((folder / f"{ID}.json").read_text())
    assert len([link for link in item["links"] if link["rel"] == "derived_from"]) == 1
    assert not any(name.startswith("view:") for name in item["properties"])
    assert not any("/view/" in uri for uri in item["stac_extensions"])
    assert "l8s2:warnings" not in item["properties"]


def test_the_place_is_that_of_the_data_and_the_grid_that_of_the_files(tmp_path: Path) -> None:
    mean, sigma, qa = scene(300, 300, holes=0)
    mean[:, :, :] = np.nan
    mean[:, 200:240, 10:60] = 0.2
    folder = make(tmp_path, (mean, np.where(np.isnan(mean), np.nan, sigma), qa), geobox=utm(300, 300))
    item = json.loads((folder / f"{ID}.json").read_text())
    check_stac(item)
    assert item["properties"]["proj:bbox"] == [700_005, 1_197_005, 703_005, 1_200_005]
    (ring,) = item["geometry"]["coordinates"]
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32643", always_xy=True).transform(*np.array(ring).T)
    found = [x.min() - 700_005, 1_200_005 - y.max(), x.max() - 700_005, 1_200_005 - y.min()]
    assert found == pytest.approx([100, 2000, 600, 2400], abs=12)
    assert item["bbox"] == [*np.min(ring, 0), *np.max(ring, 0)]
    assert len(ring) < 20


def test_grid_that_is_neither_utm_nor_square(tmp_path: Path) -> None:
    box = GeoBox((40, 70), Affine(1e-4, 0, 78.5, 0, -2e-4, 11.5), "EPSG:4326")
    folder = make(tmp_path, scene(40, 70), geobox=box)
    item = json.loads((folder / f"{ID}.json").read_text())
    assert item["properties"]["proj:code"] == "EPSG:4326"
    assert item["bbox"] == pytest.approx([78.5, 11.492, 78.507, 11.5])
    with rasterio.open(part(folder, "SR.tif")) as dataset:
        assert dataset.transform.almost_equals(box.affine)


def test_grid_without_an_epsg_code(tmp_path: Path) -> None:
    lambert = "+proj=laea +lat_0=10 +lon_0=78 +datum=WGS84 +units=m"
    box = GeoBox((12, 9), Affine(20, 0, 1000, 0, -20, 5000), lambert)
    folder = make(tmp_path, scene(12, 9), geobox=box)
    properties = json.loads((folder / f"{ID}.json").read_text())["properties"]
    assert properties["proj:code"] is None
    assert "Lambert Azimuthal" in properties["proj:wkt2"]
    assert properties["gsd"] == 20


def test_footprint_is_the_outline_counterclockwise() -> None:
    box = utm(7000, 7000, corner=(600_000, 1_300_000))
    geometry, bbox = footprint(box)
    reference = box.geographic_extent.boundingbox
    assert bbox == pytest.approx([reference.left, reference.bottom, reference.right, reference.top], abs=2e-3)
    (ring,) = geometry["coordinates"]
    assert ring[0] == ring[-1]
    x, y = np.array(ring).T
    assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0


def test_footprint_across_the_antimeridian_is_cut() -> None:
    geometry, bbox = footprint(utm(10_000, 10_000, epsg=32601, corner=(320_000, 7_300_000)))
    assert geometry["type"] == "MultiPolygon"
    assert len(geometry["coordinates"]) == 2
    longitudes = [lon for (ring,) in geometry["coordinates"] for lon, _ in ring]
    assert min(longitudes) == -180
    assert max(longitudes) == 180
    west, _, east, _ = bbox
    assert 170 < west < 180
    assert -180 < east < -170


def test_footprint_that_reaches_the_antimeridian_in_two_places() -> None:
    """Its left side is straight in UTM, and the meridian is not."""
    geometry, bbox = footprint(utm(20_000, 1000, epsg=32601, corner=(166_040, 100_000)))
    polygons = _polygons(geometry)
    assert len(polygons) == 3
    assert 179 < bbox[0] < 180
    assert -180 < bbox[2] < -179
    assert bbox[1] == pytest.approx(-bbox[3])


def test_footprint_round_the_pole() -> None:
    box = GeoBox((100, 100), Affine(1000, 0, -50_000, 0, -1000, 50_000), "EPSG:3031")
    geometry, bbox = footprint(box)
    latitudes = [lat for polygon in _polygons(geometry) for ring in polygon for _, lat in ring]
    assert min(latitudes) == -90
    assert (bbox[0], bbox[2]) == (-180, 180)


def _polygons(geometry: dict[str, Any]) -> list[Any]:
    coordinates: list[Any] = geometry["coordinates"]
    return [coordinates] if geometry["type"] == "Polygon" else coordinates


# --- when something goes wrong ----------------------------------------------------------------------------------


def test_existing_product_is_refused_before_any_work(tmp_path: Path) -> None:
    folder = make(tmp_path, scene(9, 9))
    with pytest.raises(InputError, match="exists already; give `overwrite`"):
        ProductWriter(tmp_path, ID, utm(9, 9))
    with pytest.raises(InputError, match="exists already"):
        make(tmp_path, scene(9, 9))
    assert folder.is_dir()


def test_a_file_in_place_of_the_product_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / f"{ID}_S2L").write_text("notes")
    with pytest.raises(InputError, match="move it away"):
        ProductWriter(tmp_path, ID, utm(9, 9), overwrite=True)


def test_overwrite_swaps(tmp_path: Path) -> None:
    make(tmp_path, scene(9, 9, seed=1))
    fresh = scene(12, 9, seed=2)
    folder = make(tmp_path, fresh, overwrite=True)
    assert np.array_equal(samples(folder, "QA.tif")[0], fresh[2])
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_overwrite_keeps_the_old_product_when_the_new_one_fails(tmp_path: Path, error: type[BaseException]) -> None:
    folder = make(tmp_path, scene(9, 9))
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def fail() -> None:
        with ProductWriter(tmp_path, ID, utm(9, 9), overwrite=True) as writer:
            mean, sigma, qa = scene(9, 9, seed=1)
            writer.write(slice(0, 9), slice(0, 9), mean, sigma, qa)
            raise error

    with pytest.raises(error):
        fail()
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_overwrite_keeps_the_old_product_when_the_last_step_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path, scene(9, 9))
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if target == folder and ".old-" not in self.name:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(InputError, match="Input/output error"):
        make(tmp_path, scene(9, 9, seed=1), overwrite=True)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_a_product_comes_back_when_its_replacement_was_killed_between_two_names(tmp_path: Path) -> None:
    folder = make(tmp_path, scene(9, 9))
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    away = tmp_path / f".{folder.name}.old-0123abcd"
    folder.rename(away)
    with pytest.raises(InputError, match="exists already"):
        make(tmp_path, scene(9, 9, seed=1))
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    shutil.copytree(folder, away)
    fresh = scene(9, 9, seed=1)
    assert np.array_equal(samples(make(tmp_path, fresh, overwrite=True), "QA.tif")[0], fresh[2])
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize("shape", [(1024, 40), (3000, 50), (10, 5000)])
@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(1, 4999), max_size=4, unique=True))
def test_the_preview_does_not_tell_the_windows(shape: tuple[int, int], cuts: list[int]) -> None:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    rgb = np.broadcast_to(((rows * 7 + columns * 13) % 97 / 200).astype(np.float32), (3, *shape))

    def totals(*cuts: int) -> bytes:
        writer = ProductWriter.__new__(ProductWriter)
        writer._preview = Preview(shape)
        down, across = ([0, *sorted(cut for cut in cuts if cut < size), size] for size in shape)
        for top, bottom in pairwise(down):
            for left, right in pairwise(across):
                window = slice(top, bottom), slice(left, right)
                writer.write_before(*window, rgb[:, *window])
        return writer._preview._totals["before"].tobytes()

    assert totals(*cuts) == totals()


def test_leaving_without_finish_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "new" / "deeper"
    with ProductWriter(output, ID, utm(9, 9)):
        assert not (output / f"{ID}_S2L").exists()
    assert not output.parent.exists()


def test_an_output_folder_that_was_there_stays(tmp_path: Path) -> None:
    with ProductWriter(tmp_path, ID, utm(9, 9)):
        pass
    assert tmp_path.is_dir()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("below", ["", "sub"])
def test_output_that_is_a_file(tmp_path: Path, below: str) -> None:
    (tmp_path / "out").write_text("notes")
    with pytest.raises(InputError, match="is a file"):
        ProductWriter(tmp_path / "out" / below, ID, utm(9, 9))
    assert (tmp_path / "out").read_text() == "notes"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes everywhere")
def test_read_only_output(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match="not writable"):
        ProductWriter(tmp_path, ID, utm(9, 9))


def test_output_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match="Permission denied") as error, ProductWriter(tmp_path, ID, utm(9, 9)):
        pass
    assert "\n" not in str(error.value)


def test_too_little_space_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"free, about .* needed; free some space"):
        ProductWriter(tmp_path / "out", ID, utm(50_000_000, 50_000_000))
    assert not (tmp_path / "out").exists()


def test_estimate_covers_noise(tmp_path: Path) -> None:
    folder = make(tmp_path, scene(1200, 1200, holes=0))
    size = sum(p.stat().st_size for p in folder.iterdir())
    assert size < estimate_bytes(utm(1200, 1200)) < 4 * size
    assert estimate_bytes(utm(1200, 1200), sigma=False) < estimate_bytes(utm(1200, 1200))


WRITE_LIMITED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_product as t
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    t.make(Path(sys.argv[2]), t.scene(1030, 600, holes=0), tile=int(sys.argv[4]))
except t.InputError as error:
    print(error)
    sys.exit(1)
"""


@pytest.mark.posix
@pytest.mark.parametrize("tile", [1030, 200])
def test_a_write_that_the_file_system_cuts_short_never_gives_a_product(tmp_path: Path, tile: int) -> None:
    whole = max(p.stat().st_size for p in make(tmp_path / "whole", scene(1030, 600, holes=0)).iterdir())
    for share in (0.02, 0.3, 0.6, 0.9, 0.99):
        output = tmp_path / f"{share}"
        run = subprocess.run(
            [sys.executable, "-c", WRITE_LIMITED, str(Path(__file__).parent), str(output), str(int(share * whole)),
             str(tile)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 1, (share, run.stderr)
        assert "could not be written" in run.stdout
        assert len(run.stdout.splitlines()) == 1
        assert "Traceback" not in run.stderr
        assert not output.exists()


def test_a_file_that_lost_a_tile_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a disk gives back is compared with what was written to it."""
    flush = Spool.flush

    def lose(self: Spool) -> None:
        flush(self)
        if "SR" in self.path.name:
            with self.path.open("r+b") as file:
                file.seek(200)
                file.write(bytes(64))

    monkeypatch.setattr(Spool, "flush", lose)
    with pytest.raises(InputError, match="does not hold what was written"):
        make(tmp_path, scene(100, 100, holes=0))
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_product as t
from l8s2.cog.file import CogFile
kill = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] == "finish":
    CogFile._join = kill
else:
    CogFile.finish = kill
t.make(Path(sys.argv[2]), t.scene(100, 100))
"""


@pytest.mark.posix
@pytest.mark.parametrize("moment", ["write", "finish"])
def test_a_kill_leaves_no_product_and_the_next_run_cleans_up(tmp_path: Path, moment: str) -> None:
    here = str(Path(__file__).parent)
    run = subprocess.run([sys.executable, "-c", KILLED, here, str(tmp_path), moment], check=False)
    assert run.returncode == -signal.SIGKILL
    assert not (tmp_path / f"{ID}_S2L").exists()
    assert not list(tmp_path.rglob("*.tif"))
    assert list(tmp_path.iterdir())
    folder = make(tmp_path, scene(100, 100))
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


@pytest.mark.posix
def test_a_second_writer_is_refused_at_once_and_told_who_is_at_it(tmp_path: Path) -> None:
    mean, sigma, qa = scene(9, 9)
    with ProductWriter(tmp_path, ID, utm(9, 9)) as slow:
        for options in ({}, {"overwrite": True}, {"resume": True}):
            refused = pytest.raises(TryAgainError, match=f"process {os.getpid()} of .* is making it; wait")
            with refused, ProductWriter(tmp_path, ID, utm(9, 9), **options):
                pass
        slow.write(slice(0, 9), slice(0, 9), mean, sigma, qa)
        folder = slow.finish(INFO)
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_a_product_that_another_made_meanwhile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no locks, two may work on one product."""
    monkeypatch.setattr("l8s2.system.locks.fcntl", None)
    mean, sigma, qa = scene(9, 9)
    with ProductWriter(tmp_path, ID, utm(9, 9)) as slow:
        folder = make(tmp_path, scene(9, 9, seed=1))
        slow.write(slice(0, 9), slice(0, 9), mean, sigma, qa)
        with pytest.raises(ExistsError, match="another process has made it meanwhile"):
            slow.finish(INFO)
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_a_disk_without_room_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(TryAgainError, match="free some space"):
        ProductWriter(tmp_path, ID, utm(9, 9))


def test_import_is_light() -> None:
    code = "import l8s2.product.writer, sys; print(sorted({'rasterio', 'pystac', 'PIL', 'torch'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
