"""Crops of real products: they are read, their pan fits, and the product says at 30 m what went in."""

from __future__ import annotations

import json
import shutil
import tarfile
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.landsat.describe import describe_product
from l8s2.landsat.measure_scene import measure_scene
from l8s2.landsat.pan_shift import PAN_CORRELATION
from l8s2.landsat.scene import open_scene
from l8s2.optics import resample
from l8s2.pipeline.to_product import harmonize_product
from l8s2.radiometry import NODATA
from l8s2.sensors import BANDS

WITH_PAN = ["143054_20230213", "143054_20230418", "143054_20230520", "017051_20151205", "204023_20200927"]
WITHOUT_PAN = ["218074_20190114", "218074_20190130", "231062_20230723"]


@pytest.fixture(scope="module")
def scenes(data: Path) -> Path:
    """The folder of the products, which may be one of several kinds of data."""
    return data / "scenes" if (data / "scenes").is_dir() else data


def find(scenes: Path, when: str) -> Path:
    for path in scenes.glob(f"*_L2SP_{when}_*"):
        if path.is_dir():
            return path
    pytest.skip(f"no product {when} there")


@pytest.mark.parametrize("when", WITH_PAN)
def test_pan_of_real_products_fits(scenes: Path, when: str) -> None:
    shift = describe_product(find(scenes, when))["pan_shift"]
    assert shift["verdict"] == "good"
    assert shift["length_m"] < 1.5
    assert shift["correlation"] > PAN_CORRELATION + 0.02


@pytest.mark.parametrize(("when", "other"), list(permutations(WITH_PAN[:3], 2)))
def test_pan_of_another_date_is_told(scenes: Path, tmp_path: Path, when: str, other: str) -> None:
    """Also under a name that tells nothing, in its place."""
    (path,) = find(scenes, other).parent.glob(f"*_L1TP_{other}_*/*_B8.TIF")
    pan = Path(shutil.copy(path, tmp_path / "pan.tif"))
    with open_scene(find(scenes, when), pan=pan) as scene:
        (bad, text), *more = measure_scene(scene).doubts()
    assert more == []
    assert not bad
    assert text.startswith("contours of pan and of the 30 m bands correlate by 0.")


FLAT = ["017051_20151205", "204023_20200927", "231062_20230723"]
"""Those with still water; in the others towns, fields and forest leave no flat ground."""


@pytest.mark.parametrize("when", [*WITH_PAN, *WITHOUT_PAN])
def test_nothing_is_wrong_with_real_scenes(scenes: Path, when: str) -> None:
    with open_scene(find(scenes, when)) as scene:
        found = measure_scene(scene)
    assert found.doubts() == []
    if when in WITH_PAN:
        assert found.sharpness is not None
        assert 13 < found.sharpness["blur_m"] < 14.5
    assert found.noise["verdict"] == ("good" if when in FLAT else "unknown")
    for noise in found.noise.get("bands", {}).values():
        assert 0.4 < noise["documented_snr"] / noise["snr"] < 2.2


@pytest.mark.parametrize("when", [*WITH_PAN, *WITHOUT_PAN])
def test_real_products_are_read_in_place(scenes: Path, when: str) -> None:
    path = find(scenes, when)
    facts = describe_product(path)
    assert facts["lattice_misfit_px"] == 0
    assert (facts["pan"] is not None) == (when in WITH_PAN)
    assert json.loads(json.dumps(facts)) == facts
    warnings = " ".join(facts["warnings"])
    assert ("no QA_PIXEL" in warnings) == (not list(path.glob("*QA_PIXEL*")))
    assert ("no Level-2 MTL" in warnings) == (not list(path.glob("*MTL*")))
    assert "warped" not in warnings
    with open_scene(path) as scene, rasterio.open(next(path.glob("*_SR_B5.TIF"))) as source:
        box, dn = GeoBox(source.shape, source.transform, str(source.crs)), source.read(1)
        nir = scene.read(*(slice(0, n) for n in scene.shape)).ms[3]
        assert scene.geobox == box
    np.testing.assert_allclose(nir, np.where(dn == 0, np.nan, dn * 2.75e-5 - 0.2), atol=1e-6)


def back_to_landsat(values: Any, output: GeoBox, ms: GeoBox) -> Any:
    """Output reflectance as OLI would see it at the MS centres, (6, h, w), NaN near nodata."""
    ours, theirs = (grid.landsat_convention(g).affine for g in (output, ms))
    rows = (ours.f - (theirs.f - 15 - 30 * np.arange(ms.shape[0]))) / 10 - 0.5
    columns = (theirs.c + 15 + 30 * np.arange(ms.shape[1]) - ours.c) / 10 - 0.5
    result = []
    for band, image in zip(BANDS, values, strict=True):
        gain, offset = band.band_pass["S2A"]
        sigma = (band.oli_psf_sigma**2 - band.msi_psf_sigma**2) ** 0.5 / 10
        seen = resample(np.isfinite(image).astype(np.float32), rows, columns, sigma)
        back = resample(np.nan_to_num(gain * image + offset), rows, columns, sigma)
        result.append(np.where(seen > 0.999, back, np.nan))
    return np.stack(result)


@pytest.mark.parametrize("when", ["143054_20230213", "017051_20151205", "218074_20190114"])
def test_the_product_says_at_30_m_what_went_in(scenes: Path, tmp_path: Path, when: str) -> None:
    path = find(scenes, when)
    folder = harmonize_product(path, tmp_path)
    with rasterio.open(next(folder.glob("*_SR.tif"))) as dataset:
        output = GeoBox(dataset.shape, dataset.transform, str(dataset.crs))
        values = np.where(dataset.read() == NODATA, np.nan, dataset.read() * dataset.scales[0])
    with open_scene(path) as scene:
        ms = scene.read(*(slice(0, n) for n in scene.shape)).ms
        south = scene.geobox.affine.f < 0
        assert output == grid.output_geobox(scene.geobox)
        back = back_to_landsat(values, output, scene.geobox)
    assert (32701 <= grid.epsg(output.crs) <= 32760) == south
    np.testing.assert_array_equal(np.isnan(values[:, 1::3, 1::3]), np.isnan(ms))
    inner = (slice(None), slice(8, -8), slice(8, -8))
    error = np.where(ms < 0.5, back - ms, np.nan)[inner]
    assert (np.isfinite(error).sum((1, 2)) > 1000).all()
    assert (np.sqrt(np.nanmean(error**2, axis=(1, 2))) < 0.004).all()


def test_a_tar_of_a_real_product_gives_the_same_product(scenes: Path, tmp_path: Path) -> None:
    path = find(scenes, WITH_PAN[0])
    for level in ("L2SP", "L1TP"):
        folder = next(scenes.glob(f"*_{level}_{WITH_PAN[0]}_*"))
        with tarfile.open(tmp_path / f"{folder.name}.tar", "w") as archive:
            archive.add(folder, folder.name)
    from_folder = harmonize_product(path, tmp_path / "a")
    from_tar = harmonize_product(tmp_path / f"{path.name}.tar", tmp_path / "b")
    for file in from_folder.glob("*.tif"):
        assert file.read_bytes() == (from_tar / file.name).read_bytes()
