"""Every command takes products in one way: by their folder, by their Item, or by a folder with them below it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from l8s2.cli import main
from l8s2.deliveries.declared import NOTHING, Declared
from l8s2.errors import InputError
from l8s2.pipeline.to_product import harmonize_product
from l8s2.product.reader import item_file, one_product, product_folders
from l8s2.viewer.landsat_image import landsat_inputs
from l8s2.viewer.shelf import checked_folder, fill_shelf
from making.scenes import ID, make, ms_grid


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("naming")
    return harmonize_product(make(folder / "in", ms_grid(20, 20)), folder / "out")


def run(*arguments: object) -> Any:
    done = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


NAMES: dict[str, Callable[[Path], Path]] = {
    "its folder": lambda product: product,
    "its Item": lambda product: next(product.glob("*.json")),
    "a folder above": lambda product: product.parents[1],
}


@pytest.mark.parametrize("name", NAMES)
def test_every_command_takes_it(made: Path, tmp_path: Path, name: str) -> None:
    product = Path(shutil.copytree(made, tmp_path / "out" / "deep" / made.name))
    given = NAMES[name](product)
    assert one_product(given) == product
    assert [found["product"] for found in run("verify", given)] == [str(product)]
    found = run("report", given, "--landsat", made.parents[1] / "in")
    (page,) = found.get("products", [found])
    assert Path(page["report"]).is_file()
    assert run("reproduce", given, "--input", made.parents[1] / "in")["same"]
    exported = CliRunner().invoke(main, ["export", str(given), "-o", str(tmp_path / "granules")])
    assert f"{made.name}: not on the grid of a Sentinel-2 tile" in exported.stderr
    (shown,) = fill_shelf(checked_folder(given)).index["products"]
    assert shown["id"] == made.name


def test_a_renamed_product_is_known_by_its_item(made: Path, tmp_path: Path) -> None:
    product = Path(shutil.copytree(made, tmp_path / "mine"))
    assert product_folders(product) == [product]
    assert len(fill_shelf(checked_folder(product)).index["products"]) == 1


def test_reports_of_products_of_one_name_do_not_meet(made: Path, tmp_path: Path) -> None:
    for place in ("a", "b"):
        shutil.copytree(made, tmp_path / "out" / place / made.name)
    pages = {Path(found["report"]).name for found in run("report", tmp_path / "out")["products"]}
    assert pages == {f"a_{made.name}.html", f"b_{made.name}.html"}
    with pytest.raises(InputError, match="holds 2 products; give one of them"):
        item_file(tmp_path / "out")


def test_the_viewer_finds_the_inputs_in_a_folder_of_scenes(made: Path, tmp_path: Path) -> None:
    scenes = made.parents[1] / "in"
    assert landsat_inputs(scenes, [made, made.parent / "LC08_OTHER_S2L"]) == {scenes / ID: NOTHING}
    assert landsat_inputs(scenes / ID, [made]) == {scenes / ID: NOTHING}
    item = json.loads(item_file(made).read_text())
    item["properties"]["l8s2:options"]["scale"] = "1e-4"
    other = Path(shutil.copytree(made, tmp_path / made.name))
    item_file(other).write_text(json.dumps(item))
    for given in (scenes, scenes / ID):
        assert landsat_inputs(given, [other]) == {scenes / ID: Declared(scale="1e-4")}
    beside = {"landsat0": tmp_path / "LC08_A.tif", "landsat1": tmp_path / "LC09_B.tif"}
    shown = fill_shelf(made.parent, beside)
    assert shown.index["landsat"] == [
        {"name": "LC08_A", "href": "landsat0.tif"}, {"name": "LC09_B", "href": "landsat1.tif"}
    ]  # fmt: skip
    assert shown.files["landsat1.tif"] == beside["landsat1"]
