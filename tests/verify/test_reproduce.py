"""Products made again from their Items."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result

from l8s2.cli import main
from l8s2.errors import InputError
from l8s2.models.names import located
from l8s2.pipeline.to_product import harmonize_product
from l8s2.raster import checksum
from l8s2.verify import reproduce, verify_product
from making.scenes import ID, PAN_ID, archive, make, ms_grid, pan_of, part, rewrite
from making.sealed import change_item, item_of

SR, QA = f"{ID}_SR.tif", f"{ID}_QA.tif"


def again(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["reproduce", *map(str, arguments)])


OPTIONS: dict[str, dict[str, Any]] = {
    "an area with detail alone": {"bbox": (14.287, 51.085, 14.29, 51.088), "sigma": "detail"},
    "another projection, no sigma": {"crs": "+proj=laea +lat_0=50 +lon_0=14 +datum=WGS84 +units=m", "sigma": None},
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_made_again_is_the_same(small: Path, tmp_path: Path, kind: str) -> None:
    product = harmonize_product(small, tmp_path / "out", **OPTIONS[kind])
    assert verify_product(product) == []
    before = sorted(tmp_path.rglob("*"))
    result = again(item_of(product), "--input", small.parent)
    assert result.exit_code == 0, result.output
    assert all(line.endswith(".tif: same") for line in result.stdout.splitlines())
    assert sorted(tmp_path.rglob("*")) == before


def test_on_the_grid_of_a_raster_that_is_gone(small: Path, tmp_path: Path) -> None:
    warped = harmonize_product(small, tmp_path / "warped", crs="EPSG:3035")
    product = harmonize_product(small, tmp_path / "out", like=warped / SR)
    shutil.rmtree(warped)
    assert reproduce(item_of(product), small).same


def test_an_archive_holds_the_same_files(small: Path, tmp_path: Path, of_small: Path) -> None:
    product = of_small
    (tmp_path / "packed").mkdir()
    archive(small, tmp_path / "packed" / f"{ID}.tar.gz", mode="w:gz")
    archive(small.with_name(PAN_ID), tmp_path / "packed" / f"{PAN_ID}.tar")
    shutil.rmtree(small)
    found = reproduce(item_of(product), tmp_path / "packed", tmp_path / "kept")
    assert found.same
    assert not found.changed
    assert found.product == str(tmp_path / "kept" / product.name)
    assert verify_product(Path(found.product)) == []


def test_input_beside_is_found(small: Path) -> None:
    product = harmonize_product(small, small.parent / "out")
    assert reproduce(item_of(product)).same
    shutil.rmtree(small)
    with pytest.raises(InputError, match=rf"^{ID}: not beside the product; give the folder that holds it as `input`"):
        reproduce(item_of(product))


def test_pan_that_was_not_there_is_left_out(small: Path, tmp_path: Path) -> None:
    pan = small.with_name(PAN_ID)
    pan.rename(tmp_path / PAN_ID)
    product = harmonize_product(small, tmp_path / "out")
    (tmp_path / PAN_ID).rename(pan)
    assert reproduce(item_of(product), small.parent).same


def test_other_input_is_told_with_how_far_it_leads(small: Path, tmp_path: Path, of_small: Path) -> None:
    product = of_small
    rewrite(part(small, "SR_B4"), lambda values: values + np.uint16(400))
    result = again(item_of(product), "--input", small, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["same"], told["files"][SR], told["product"]) == (False, False, None)
    assert [text.partition(" then")[0][:-13] for text in told["changed"]] == [f"input {ID}_SR_B4"]
    harmonize_product(small, tmp_path / "other")
    with rasterio.open(product / SR) as a, rasterio.open(tmp_path / "other" / product.name / SR) as b:
        off = np.abs(a.read(3).astype(int) - b.read(3))
    red = told["differences"][f"{SR} red"]
    assert red["of"] == off.size
    assert red["pixels"] == (off > 0).sum()
    assert red["largest"] == off.max() > 0
    assert red["rms"] == pytest.approx(np.sqrt((off**2).mean()), abs=1e-3)
    shown = again(item_of(product), "--input", small)
    assert f"{SR}: differs" in shown.stdout
    assert f"  changed since: input {ID}_SR_B4 " in shown.stdout


def test_other_software_is_told(small: Path, tmp_path: Path, of_small: Path) -> None:
    product = of_small

    def elsewhere(item: dict[str, Any]) -> None:
        item["properties"]["processing:software"] |= {"openvino": "2020.1", "l8s2": "0.0.1"}
        item["properties"]["l8s2:processor"] = "Abacus"
        item["assets"]["qa"]["file:checksum"] = "1220" + "0" * 64

    change_item(product, elsewhere)
    found = reproduce(item_of(product), small)
    assert found.files == {SR: True, f"{ID}_SIGMA.tif": True, QA: False}
    assert [text.partition(" then, ")[0] for text in found.changed] == ["l8s2 0.0.1", "openvino 2020.1",
                                                                        "processor Abacus"]  # fmt: skip
    assert found.differences[f"{QA} qa"].pixels == 0  # the file beside has not changed


def test_input_and_output_are_checked_first(small: Path, of_small: Path) -> None:
    other = make(small.parent / "other", ms_grid(), product_id=ID.replace("20230520", "20230605", 1))
    with pytest.raises(InputError, match=rf"^`input` {other.name}: the product was made of {ID}; give that"):
        reproduce(item_of(of_small), other)
    with pytest.raises(InputError, match="exists already; give another folder as `output`"):
        reproduce(item_of(of_small), small, of_small.parent)


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda item: item["properties"].pop(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("l8s2:options"), "does not say how to make the product again .*l8s2:options is missing"),
        (lambda i: i.update(id=f"../{ID}_S2L"), "does not say how .*id: '../"),
        (lambda i: i["properties"]["l8s2:options"].update(bbox=["a"]), "does not say how .*l8s2:options/bbox"),
        (lambda i: i["properties"].update({"l8s2:model_sha256": "ab" * 32}), "^`model` compact: SHA-256 .*, the p"),
        (without("l8s2:model_without_pan_sha256"), "^`model` compact-nopan: SHA-256 .*made with None"),
        (lambda i: i["properties"]["l8s2:options"].update(model="gone.onnx"), "^model gone.onnx: neither a name nor"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_again_is_refused(
    small: Path, tmp_path: Path, of_small: Path, change: Callable[[Any], object], message: str
) -> None:
    product = of_small
    change_item(product, change)
    with pytest.raises(InputError, match=message):
        reproduce(item_of(product), small, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_model_of_ones_own_by_name_and_content(small: Path, tmp_path: Path) -> None:
    mine = tmp_path / "my models" / "mine.onnx"
    mine.parent.mkdir()
    shutil.copy(located("compact-nopan"), mine)
    product = harmonize_product(small, tmp_path / "out", model=mine)
    with pytest.raises(InputError, match=r"^model mine\.onnx: neither a name nor a file"):
        reproduce(item_of(product), small)
    assert reproduce(item_of(product), small, model=str(mine)).same


def test_an_item_tells_nothing_of_the_machine(tmp_path: Path) -> None:
    """No folder, whatever was given with one."""
    home = tmp_path / "someone" / "Private"
    small = make(home / "in", ms_grid())
    model = home / "mine.onnx"
    shutil.copy(located("compact"), model)
    like = harmonize_product(small, home / "like", crs="EPSG:3035") / SR
    pan = pan_of(small)
    product = harmonize_product(small, home / "out", like=like, model=f"{model},compact-nopan", pan=pan, sigma="detail")
    text = item_of(product).read_text()
    assert not any(word in text for word in (str(tmp_path), "someone", "Private", str(Path.home()), "file:/"))
    said = json.loads(text)["properties"]
    assert said["l8s2:options"] == {
        "like": SR, "model": "mine.onnx,compact-nopan", "engine": "openvino", "sigma": "detail", "align_pan": "auto",
    }  # fmt: skip
    files = {path.stem: path for folder in (small, small.with_name(PAN_ID)) for path in folder.iterdir()}
    assert {fact["name"]: fact["file:checksum"] for fact in said["l8s2:inputs"]} == {
        name: checksum(path) for name, path in files.items()
    }
    assert {"l8s2", "numpy", "GDAL", "openvino"} <= said["processing:software"].keys()
