"""Rasters made to lead GDAL elsewhere: to other files, to other formats, to a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.shutil import copy

from l8s2.errors import InputError
from l8s2.evaluation.truth import Truth
from l8s2.landsat import open_scene
from l8s2.raster import inside, open_dataset, open_raster
from l8s2.target import Area
from making.scenes import make, ms_grid, part

SECRET = 4242


def tiff(path: Path, value: int, size: int = 600, **more: object) -> Path:
    box = ms_grid(size, size)
    profile = {"crs": str(box.crs), "transform": box.affine, "dtype": "uint16", "count": 1}
    with rasterio.open(path, "w", driver="GTiff", height=size, width=size, **profile, **more) as target:
        target.write(np.full((1, size, size), value, np.uint16))
    return path


@pytest.fixture
def band(tmp_path: Path) -> Path:
    return tiff(tmp_path / "band.TIF", 7)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tiff(tmp_path / "elsewhere" / "secret.tif", SECRET, 300)


def thinned(path: Path) -> np.ndarray:
    with open_dataset(path) as dataset:
        return np.unique(dataset.read(1, out_shape=(100, 100)))


def test_the_attack_works_without_care(band: Path, elsewhere: Path) -> None:
    with rasterio.open(band, "r+") as target:
        target.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(elsewhere))
    with rasterio.open(band) as careless:
        assert (careless.read(1, out_shape=(100, 100)) == SECRET).all()


def test_a_tiff_that_names_another_file_is_refused(band: Path, elsewhere: Path) -> None:
    with rasterio.open(band, "r+") as target:
        target.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(elsewhere))
    with pytest.raises(InputError, match=r"^band\.TIF: not a readable TIFF"):
        open_raster(str(band), "band.TIF")


def test_files_beside_it_are_not_looked_at(band: Path, elsewhere: Path) -> None:
    band.with_name("band.TIF.aux.xml").write_text(
        f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{elsewhere}</MDI></Metadata></PAMDataset>'
    )
    assert thinned(band).tolist() == [7]


@pytest.mark.parametrize("ending", [".ovr", ".msk"])
def test_reduced_images_and_masks_beside_it_are_not_read(band: Path, elsewhere: Path, ending: str) -> None:
    copy(elsewhere, band.with_name(f"band.TIF{ending}"), driver="VRT")
    assert thinned(band).tolist() == [7]
    with open_dataset(band) as dataset:
        assert dataset.read_masks(1).all()
        assert dataset.files == [str(band)]


def other_names(band: Path) -> dict[str, str]:
    vrt = band.with_name("vrt.TIF")
    copy(band, vrt, driver="VRT")
    return {
        "a VRT renamed": str(vrt),
        "a VRT as text": vrt.read_text(),
        "an address": "http://127.0.0.1:9/a.tif",
        "the network of GDAL": "/vsicurl/http://127.0.0.1:9/a.tif",
        "an archive of GDAL": f"/vsizip/{band}",
        "a part of the network": inside("/vsicurl/http://127.0.0.1:9/a.tif", 0, 100),
        "a subdataset": f"GTIFF_DIR:1:{band}",
        "a connection": "PG:host=127.0.0.1",
    }


@pytest.mark.parametrize("kind", ["a VRT renamed", "a VRT as text", "an address",
                                  "the network of GDAL", "an archive of GDAL", "a part of the network", "a subdataset",
                                  "a connection"])  # fmt: skip
def test_only_local_files_of_the_format_are_opened(band: Path, kind: str) -> None:
    path = other_names(band)[kind]
    with pytest.raises((RasterioIOError, OSError)):
        open_dataset(path)
    if len(path) < 200:
        with pytest.raises(InputError, match=r"^`like` .*: cannot be opened as a raster; give a GeoTIFF"):
            Area(like=path)
        with pytest.raises(InputError, match="cannot be opened as a raster; give a GeoTIFF"):
            Truth(Path(path), ms_grid())
        with pytest.raises(InputError, match=r"no such file or folder|not a product|not a readable TIFF"):
            open_scene(path)


def test_side_files_of_a_product_change_nothing(tmp_path: Path, elsewhere: Path) -> None:
    product = make(tmp_path / "in", ms_grid(8, 8))
    with open_scene(product) as scene:
        before = scene.read(slice(0, 8), slice(0, 8)).ms
    for path in product.glob("*.TIF"):
        path.with_name(f"{path.name}.aux.xml").write_text(
            '<PAMDataset><GeoTransform>0,1,0,0,0,1</GeoTransform><PAMRasterBand band="1"><NoDataValue>9</NoDataValue>'
            "</PAMRasterBand></PAMDataset>"
        )
        path.with_suffix(".TFW").write_text("1\n0\n0\n1\n0\n0\n")
    with open_scene(product) as scene:
        np.testing.assert_array_equal(scene.read(slice(0, 8), slice(0, 8)).ms, before)


@pytest.mark.parametrize("depth", [3, 30])
def test_metadata_that_grows_is_refused(tmp_path: Path, depth: int) -> None:
    """Entities that refer to entities, ten each, are a gigabyte in a few lines."""
    product = make(tmp_path / "in", ms_grid(8, 8))
    lines = [f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, depth)]
    bomb = f'<?xml version="1.0"?><!DOCTYPE m [<!ENTITY e0 "ha">{"".join(lines)}]><m><g>&e{depth - 1};</g></m>'
    mtl = part(product, "MTL")
    mtl.write_text(bomb)
    with pytest.raises(InputError, match="XML with a document type"):
        open_scene(product)


def test_metadata_in_another_encoding_hides_no_entities(tmp_path: Path) -> None:
    product = make(tmp_path / "in", ms_grid(8, 8))
    bomb = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE m [<!ENTITY e "ha">]><m><g>&e;</g></m>'
    for content in (bomb.encode("utf-16"), bomb.encode("utf-16-le")):
        part(product, "MTL").write_bytes(content)
        with pytest.raises(InputError, match="not a Landsat Collection-2 MTL file"):
            open_scene(product)
