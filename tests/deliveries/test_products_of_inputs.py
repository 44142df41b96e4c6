"""Products of what people have: the same samples as of the delivered product, from real crops and odd values."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from test_one_file import export

import l8s2.batch.scenes
import l8s2.pipeline.to_product
from l8s2 import Declared, harmonize_product, masks
from l8s2.cli import main
from l8s2.errors import InputError
from l8s2.sensors import BANDS
from making.scenes import Copying, make, part, rewrite

REAL = "LC08_L2SP_143054_20230520_20230524_02_T1"
GEE = "LC08_143054_20230520"
NAMES = [f"SR_{band.landsat}" for band in BANDS]
SAID = {"acquired": "2023-05-20", "platform": "landsat-8"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network has no part in this."""
    monkeypatch.setattr(l8s2.pipeline.to_product, "load_predictor", lambda *_, **__: Copying())


def samples(folder: Path) -> list[Any]:
    found = []
    for ending in ("SR", "SIGMA", "QA"):
        with rasterio.open(next(folder.glob(f"*_{ending}.tif"))) as dataset:
            found.append(dataset.read())
    return found


def merged(data: Path, path: Path, *, steps: bool = False) -> Path:
    """The bands and QA of a real crop in one file, as Earth Engine exports them, or in steps of 0.0001 without QA."""
    with rasterio.open(data / "scenes" / REAL / f"{REAL}_SR_B2.TIF") as source:
        profile = source.profile
    names = NAMES if steps else [*NAMES, "QA_PIXEL"]
    bands = []
    for name in names:
        with rasterio.open(data / "scenes" / REAL / f"{REAL}_{name}.TIF") as source:
            bands.append(source.read(1))
    values = np.stack(bands)
    if steps:
        values = np.where(values == 0, -9999, np.rint((values * 2.75e-5 - 0.2) * 1e4)).astype(np.int16)
    profile |= {"count": len(values), "dtype": values.dtype.name, "nodata": None}
    with rasterio.open(path, "w", **profile) as target:
        target.write(values)
        for number, name in enumerate(names, 1):
            target.set_band_description(number, "" if steps else name)
    return path


def test_a_real_crop_in_one_file_gives_the_samples_of_its_product(tmp_path: Path, data: Path) -> None:
    pan = data / "scenes" / REAL.replace("L2SP", "L1TP")
    expected = samples(harmonize_product(data / "scenes" / REAL, tmp_path / "a"))
    folder = harmonize_product(merged(data, tmp_path / f"{GEE}.tif"), tmp_path / "b", pan=pan)
    assert folder.name == f"{GEE}_S2L"
    for found, wanted in zip(samples(folder), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    told = json.loads((folder / f"{GEE}.json").read_text())["properties"]["l8s2:warnings"]
    assert any("scale collection2, since" in line for line in told)


def test_what_is_declared_is_kept_and_holds_for_resuming(tmp_path: Path, data: Path) -> None:
    path = merged(data, tmp_path / "my steps.tif", steps=True)
    declared = Declared.parse(bands="blue,green,red,nir08,swir16,swir22", **SAID)
    folder = harmonize_product(path, tmp_path / "out", declared=declared)
    reflectance = samples(folder)[0][:, 1::3, 1::3]
    with rasterio.open(path) as source:
        values = source.read()
    fill = (values == -9999).any(0)
    np.testing.assert_allclose(reflectance[:, ~fill], values[:, ~fill], atol=1)
    item = json.loads((folder / "my-steps.json").read_text())
    assert item["properties"]["l8s2:options"].items() >= declared.texts().items()
    assert not [link for link in item["links"] if link["rel"] == "derived_from"]
    assert harmonize_product(path, tmp_path / "out", declared=declared, resume=True) == folder
    other = Declared.parse(bands="blue,green,red,nir08,swir16,swir22", scale="collection2", **SAID)
    with pytest.raises(InputError, match="what is declared bands"):
        harmonize_product(path, tmp_path / "out", declared=other, resume=True)


@pytest.mark.parametrize(("number", "flag"), [(65_535, "out_of_range"), (1, "out_of_range")])
def test_bands_that_hold_one_extreme_everywhere_are_kept_and_flagged(tmp_path: Path, number: int, flag: str) -> None:
    product = make(tmp_path / "in", with_pan=False, qa_radsat=np.full((24, 31), 0b1111110, np.uint16))
    for name in NAMES:
        rewrite(part(product, name), lambda x: np.full_like(x, number))
    reflectance, _, qa = samples(harmonize_product(product, tmp_path / "out"))
    assert (reflectance == round((number * 2.75e-5 - 0.2) * 1e4)).all()
    assert (qa & masks.flag(flag) > 0).all()
    assert (qa & masks.flag("saturated") > 0).all()


def test_the_command_line_takes_what_is_declared(tmp_path: Path, data: Path) -> None:
    path = merged(data, tmp_path / "export.tif", steps=True)
    refused = CliRunner().invoke(main, ["info", str(path)])
    assert refused.exit_code == 1
    assert "its 6 bands have no names; give --bands, such as blue=1" in refused.output
    said = ["--bands", "blue,green,red,nir08,swir16,swir22", "--acquired", "2023-05-20", "--platform", "landsat-8"]
    facts = json.loads(CliRunner().invoke(main, ["info", str(path), *said, "--json"]).stdout)
    assert (facts["product"], facts["scale"], facts["acquired"]) == ("export", "1e-4", "2023-05-20")
    done = CliRunner().invoke(main, ["harmonize", str(path), "-o", str(tmp_path / "out"), *said])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "export_S2L" / "export.json").is_file()


def test_a_batch_takes_files_archives_and_the_products_of_one_folder(tmp_path: Path) -> None:
    product = make(tmp_path / "in", with_pan=False)
    other = make(tmp_path / "in", with_pan=False, product_id=product.name.replace("_20230520_", "_20230605_"))
    for file in other.iterdir():
        shutil.move(file, product / file.name)
    images = tmp_path / "images"
    images.mkdir()
    for name in (f"{GEE}.tif", "other one.tif"):
        (images / name).write_bytes(b"II")
    (tmp_path / "x.zip").write_bytes(b"PK")
    found = l8s2.batch.scenes.read_scenes([str(product), str(images), str(tmp_path / "x.zip")]).scenes
    assert [(scene.id, scene.product) for scene in found] == [
        (product.name, str(product / product.name)),
        (other.name, str(product / other.name)),
        (GEE, str(images / f"{GEE}.tif")),
        ("other-one", str(images / "other one.tif")),
        ("x.zip", str(tmp_path / "x.zip")),
    ]


def test_a_killed_run_with_other_bands_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = export(tmp_path / "mine.tif", names=[None] * len(BANDS))
    journals: list[str] = []

    def begun(*_: Any, journal: str, **__: Any) -> None:
        journals.append(journal)
        raise InputError("killed")

    monkeypatch.setattr(l8s2.pipeline.to_product, "ProductWriter", begun)
    for bands in ("blue,green,red,nir08,swir16,swir22", "red,green,blue,nir08,swir16,swir22"):
        declared = Declared.parse(bands=bands, scale="collection2", **SAID)
        with pytest.raises(InputError, match="killed"):
            harmonize_product(path, tmp_path / "out", declared=declared)
    assert len(set(journals)) == 2
