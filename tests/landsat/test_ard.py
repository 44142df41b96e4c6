"""Tiles of the U.S. Analysis Ready Data (ARD), in Albers: names, files, pan, and where the pixels of a product lie."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

import l8s2.pipeline.to_product
from l8s2 import grid
from l8s2.batch.scenes import read_scenes
from l8s2.deliveries.find import level2_product
from l8s2.deliveries.product_name import ProductName
from l8s2.errors import InputError
from l8s2.landsat import describe_product, open_scene
from l8s2.pipeline import harmonize, harmonize_product
from making.ramps import Ramps, check_ramps, decoded, ramp, ramp_scene, write_band
from making.scenes import archive, centres

ID = "LC08_CU_003010_20230520_20230605_02"
ALBERS = "+proj=aea +lat_0=23 +lon_0=-96 +lat_1=29.5 +lat_2=45.5 +datum=WGS84 +units=m"
TILE = GeoBox((48, 44), Affine(30, 0, -2_565_585 + 3 * 150_000, 0, -30, 3_314_805 - 10 * 150_000), ALBERS)
"""Upper left corner of tile h 3, v 10, in California."""


def tile(folder: Path, pan: GeoBox | None = None, toa: str = ID) -> Path:
    """Bands of ramps; ``pan``: its grid, whose pixels hold x; ``toa``: its folder."""
    product = ramp_scene(folder, TILE, ID)
    write_band(product / f"{ID}_QA_RADSAT.TIF", np.zeros(TILE.shape), TILE)
    if pan is not None:
        write_band(folder / toa / f"{ID}_TOA_B8.TIF", ramp(pan, TILE, 0), pan)
    return product


def pan_grid(by_edges: bool) -> GeoBox:
    """Pan as USGS grids it by centres, or with the edges of the tile."""
    right = 0 if by_edges else 7.5
    return GeoBox((96, 88), Affine(15, 0, TILE.affine.c + right, 0, -15, TILE.affine.f - right), ALBERS)


@pytest.fixture
def ramps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(l8s2.pipeline.to_product, "load_predictor", lambda *_, **__: Ramps())


def test_the_name_of_a_tile() -> None:
    name = ProductName.parse(ID)
    assert name is not None
    assert (name.region, name.path, name.row, name.location) == ("CU", 3, 10, "CU003010")
    assert (name.satellite, name.level, name.tier, name.collection) == (8, "ARD", "", 2)
    assert ProductName.find(f"s3://x/{ID.lower()}_sr_b4.tif") == name
    for text in (f"{ID}_T1", ID.replace("CU", "ZZ"), ID[:-3]):
        assert ProductName.parse(text) is None
    scene = ProductName.parse("LC08_L2SP_003010_20230520_20230605_02_T1")
    assert scene is not None
    assert (scene.region, scene.location) == ("", "003010")


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar"])
def test_its_files(tmp_path: Path, packed: bool) -> None:
    folder = tile(tmp_path, pan=pan_grid(False))
    path = archive(folder, tmp_path / f"{ID}_SR.tar") if packed else folder
    product = level2_product(path)
    assert set(product.parts) == {*(f"SR_B{n}" for n in range(2, 8)), "B8", "QA_PIXEL", "QA_RADSAT"}
    with open_scene(path) as scene:
        assert scene.geobox.affine == TILE.affine
        assert all(band.raster.is_native for band in scene.bands)
        assert scene.pan_id == ID
        assert not any("lattice" in line for line in scene.warnings)
    facts = describe_product(path)
    assert facts["path_row"] == "CU 003/010"
    assert facts["output_crs"] == facts["crs"] != "EPSG:0"


def test_pan_in_an_archive_of_its_own(tmp_path: Path) -> None:
    tile(tmp_path / "a", pan=pan_grid(False), toa="toa")
    path = archive(tmp_path / "a" / ID, tmp_path / f"{ID}_SR.tar")
    archive(tmp_path / "a" / "toa", tmp_path / f"{ID}_TOA.tar")
    archive(tmp_path / "a" / "toa", tmp_path / f"{ID.replace('003010', '003011')}_TOA.tar")
    with open_scene(path) as scene:
        assert scene.pan_id == ID
    assert [(scene.id, scene.product) for scene in read_scenes([str(tmp_path)]).scenes] == [(ID, str(path))]


@pytest.mark.parametrize("by_edges", [False, True], ids=["by centres", "by edges"])
def test_pan_lies_on_ms(tmp_path: Path, by_edges: bool) -> None:
    """As it is where it fits, warped once where its edges are those of MS."""
    with open_scene(tile(tmp_path, pan=pan_grid(by_edges))) as scene:
        assert scene.pan is not None
        assert scene.pan.raster.is_native == (not by_edges)
        assert any("0.50 pixels off" in line for line in scene.warnings) == by_edges
        pixels = scene.read(slice(0, 48), slice(0, 44))
    assert pixels.pan is not None
    there = decoded((pixels.pan[::2, ::2] + 0.1) / 2.0e-5, TILE, 0)
    inside = slice(3, -3), slice(3, -3)
    np.testing.assert_allclose(there[inside], centres(TILE)[0][inside], atol=0.3)  # 0.02 of a pixel of pan


def test_pan_of_a_level_1_scene_of_the_day(tmp_path: Path) -> None:
    """In UTM: onto the tile by one warp, where the user says that it belongs."""
    utm = TILE.to_crs("EPSG:32610", resolution=15).pad(20)
    name = "LC08_L1TP_044033_20230520_20230605_02_T1"
    path = tile(tmp_path / "a")
    x, y = Transformer.from_crs("EPSG:32610", ALBERS, always_xy=True).transform(*centres(utm))
    write_band(tmp_path / "b" / f"{name}_B8.TIF", np.clip(ramp(utm, TILE, 0, (x, y)), 1, 65535), utm)
    with open_scene(path) as scene:
        assert scene.pan is None
    with open_scene(path, tmp_path / "b") as scene:
        pan = scene.read(slice(0, 48), slice(0, 44)).pan
        assert pan is not None
    inside = slice(4, -4), slice(4, -4)
    there = decoded((pan[::2, ::2] + 0.1) / 2.0e-5, TILE, 0)  # its MTL is lost: no sun
    np.testing.assert_allclose(there[inside], centres(TILE)[0][inside], atol=0.3)
    (tmp_path / "b" / f"{name}_B8.TIF").rename(tmp_path / "b" / f"{name.replace('0520', '0521')}_B8.TIF")
    with pytest.raises(InputError, match="not the acquisition"):
        open_scene(path, tmp_path / "b")


@pytest.mark.usefixtures("ramps")
def test_its_own_grid_without_a_warp(tmp_path: Path) -> None:
    folder = harmonize_product(tile(tmp_path), tmp_path / "out", crs="native")
    box, properties = check_ramps(folder, TILE)
    assert box.crs == TILE.crs
    assert box.affine == Affine(10, 0, TILE.affine.c + 5, 0, -10, TILE.affine.f - 5)
    assert tuple(box.shape) == (144, 132)
    assert properties["l8s2:warped"] is False
    assert properties["l8s2:sentinel2_lattice"] is False
    assert properties["proj:code"] is None
    assert "Albers" in properties["proj:wkt2"]
    assert any("not Sentinel-2's lattice" in line for line in properties["l8s2:warnings"])
    links = json.loads(next(folder.glob("*.json")).read_text())["links"]
    (source,) = (link["href"] for link in links if link["rel"] == "derived_from")
    assert source.endswith(f"landsat-c2ard-sr/items/{ID}_SR")


@pytest.mark.usefixtures("ramps")
@pytest.mark.parametrize("crs", [None, "EPSG:32611"])
def test_one_warp_onto_sentinel_2s_lattice(tmp_path: Path, crs: str | None) -> None:
    folder = harmonize_product(tile(tmp_path), tmp_path / "out", crs=crs)
    box, properties = check_ramps(folder, TILE)
    assert grid.epsg(box.crs) == (32610 if crs is None else 32611)
    assert grid.on_sentinel2_lattice(box)
    assert properties["l8s2:warped"] is True
    assert properties["l8s2:sentinel2_lattice"] is True
    assert any("warped once from" in line for line in properties["l8s2:warnings"])


def test_in_memory_it_keeps_its_grid(tmp_path: Path) -> None:
    found = harmonize(tile(tmp_path), model="compact-nopan")
    assert found.sizes == {"band": 6, "y": 144, "x": 132}
    assert found.x[0] == TILE.affine.c + 10
