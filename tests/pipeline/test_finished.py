"""A finished product under the name of one that is asked for: the same, or refused with what differs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from l8s2 import Declared
from l8s2.cli import from_catalog, main
from l8s2.errors import ExistsError
from l8s2.pipeline import finished, to_product
from l8s2.pipeline.options import ProductOptions
from l8s2.pipeline.to_product import harmonize_product
from l8s2.product.writer import ProductWriter
from making.scenes import ID, make, ms_grid

BBOX = (14.288, 51.084, 14.292, 51.086)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("in"), ms_grid(24, 31))


@pytest.fixture(scope="module")
def output(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    harmonize_product(scene, out)
    return out


def run(scene: Path, output: Path, *options: object) -> Result:
    return CliRunner().invoke(main, ["harmonize", str(scene), "-o", str(output), *map(str, options)])


def test_of_the_same_options_it_is_returned_as_it_is(
    scene: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_product, "write_pixels", None)
    before = {path: path.stat().st_mtime_ns for path in (output / f"{ID}_S2L").iterdir()}
    done = run(scene, output, "--resume", "--threads", 1, "--max-memory", 1)
    assert (done.exit_code, done.stdout) == (0, f"{output / f'{ID}_S2L'}\n")
    assert {path: path.stat().st_mtime_ns for path in (output / f"{ID}_S2L").iterdir()} == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "compact-nopan"), r"was made with model compact \(\w{8}\), not compact-nopan \(\w{8}\)"),
        (("--sigma", "detail"), "was made with --sigma total, not detail"),
        (("--no-sigma",), "was made with --sigma total, not left out"),
        (("--bbox", *BBOX), r"was made with grid 93 x 72 pixels of 10 x 10 at .* in EPSG:32633, not \d+ x \d+ "),
        (("--crs", "EPSG:3035"), "in EPSG:32633, not .* in EPSG:3035"),
        (("--engine", "torch"), "was made with --engine openvino, not torch"),
    ],
)
def test_of_other_options_it_is_refused(scene: Path, output: Path, options: tuple[object, ...], said: str) -> None:
    if "torch" in options:
        pytest.importorskip("torch")
    done = run(scene, output, "--resume", *options)
    assert done.exit_code == 1
    assert re.search(said, done.stderr.splitlines()[-1])
    assert done.stderr.endswith("; give --overwrite to replace it, or another output folder\n")


def test_of_another_pan_it_is_refused(scene: Path, output: Path, tmp_path: Path) -> None:
    (tmp_path / scene.name).symlink_to(scene)
    done = run(tmp_path / scene.name, output, "--resume")
    assert f"was made with --pan {ID.replace('L2SP', 'L1TP')}, not none" in done.stderr


def test_made_by_another_process_meanwhile_it_counts_if_it_is_the_same(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no locks, two may work on one product."""
    monkeypatch.setattr("l8s2.system.locks.fcntl", None)
    finish, other = ProductWriter.finish, {"sigma": "total"}

    def late(self: ProductWriter, *given: Any) -> Path:
        monkeypatch.setattr(ProductWriter, "finish", finish)
        harmonize_product(scene, tmp_path, sigma=other["sigma"])  # type: ignore[arg-type]
        return finish(self, *given)

    monkeypatch.setattr(ProductWriter, "finish", late)
    folder = harmonize_product(scene, tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    other["sigma"] = "detail"
    for resume, said in ((False, "another process has made it meanwhile"), (True, "`sigma` detail, not total")):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        monkeypatch.setattr(ProductWriter, "finish", late)
        with pytest.raises(ExistsError, match=said):
            harmonize_product(scene, tmp_path, resume=resume)


def test_an_item_that_cannot_be_read_is_no_product(scene: Path, tmp_path: Path) -> None:
    item = tmp_path / f"{ID}_S2L" / f"{ID}.json"
    item.parent.mkdir()
    for content in ("", "{}", "[]", json.dumps({"properties": {}, "links": [{}]})):
        item.write_text(content)
        assert "no readable STAC Item; give --overwrite" in run(scene, tmp_path, "--resume").stderr


def test_an_area_is_said_in_words(output: Path) -> None:
    item = json.loads((output / f"{ID}_S2L" / f"{ID}.json").read_text())["properties"]
    assert finished._area(item["l8s2:options"]) == "whole scene"
    used = {"bbox": list(BBOX), "crs": "EPSG:3035", "engine": "openvino"}
    assert finished._area(used) == "bbox 14.288 51.084 14.292 51.086, crs EPSG:3035"


def test_sigma_and_no_sigma_exclude_each_other(scene: Path, tmp_path: Path) -> None:
    done = run(scene, tmp_path, "--no-sigma", "--sigma", "detail")
    assert done.exit_code == 2
    assert "exclude each other" in done.stderr


def test_of_an_item_it_is_returned_with_what_was_declared(scene: Path, tmp_path: Path) -> None:
    declared = Declared.parse(platform="landsat-9")
    folder = harmonize_product(scene, tmp_path, declared=declared)
    assert from_catalog.finished(ID, tmp_path, ProductOptions(declared=declared), ()) == folder
    with pytest.raises(ExistsError, match="what is declared platform landsat-9, not none"):
        from_catalog.finished(ID, tmp_path, ProductOptions(), ())
