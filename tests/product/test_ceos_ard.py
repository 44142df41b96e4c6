"""That docs/ceos-ard.md tells the truth about the Item and the rasters of a product."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from l8s2.landsat.mtl import parse_mtl
from l8s2.masks import QA_BITS, flag
from l8s2.pipeline.to_product import harmonize_product
from l8s2.product.uncertainty import tags_of, uncertainty_of
from l8s2.verify import verify_product
from making.scenes import ID, make, ms_grid

PAGE = Path(__file__).parents[2] / "docs" / "ceos-ard.md"
TOLD = {"IMAGE_ATTRIBUTES": "ROLL_ANGLE = -0.001", "LEVEL1_PROCESSING_RECORD": "GEOMETRIC_RMSE_MODEL = 6.471"}


def tell(mtl: Path, told: dict[str, str] = TOLD) -> None:
    text = mtl.read_text()
    for group, line in told.items():
        text = text.replace(f"GROUP = {group}\n", f"GROUP = {group}\n    {line}\n", 1)
    mtl.write_text(text)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ard")
    grid = ms_grid()
    qa = np.full(grid.shape, 21824, np.uint16)
    qa[:6] = 1 << 3 | 0b11 << 8
    qa[6:9] = 1 << 5
    scene = make(folder, grid, qa_pixel=qa)
    tell(next(scene.glob("*_MTL.txt")))
    return harmonize_product(scene, folder / "out")


@pytest.fixture(scope="module")
def item(product: Path) -> Any:
    return json.loads((product / f"{ID}.json").read_text())


def names(value: Any) -> Iterator[str]:
    """Every key of the Item, and its roles, relations and bits."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from names(inner)
            if key in ("rel", "name"):
                yield str(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from [inner] if isinstance(inner, str) else names(inner)


@pytest.mark.skipif(not PAGE.exists(), reason="not a clone of the repository")
def test_what_the_page_names_is_there(item: Any) -> None:
    found = set(names(item))
    page = PAGE.read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| [1-4]\.\d+ \|", line)]
    assert len(rows) == 37
    told = {name for row in rows for name in re.findall(r"`([^`]+)`", row) if not name.startswith("--")}
    assert told - found == set()
    lacking = set(re.findall(r"`([a-z:_-]+)`", page.partition("nothing true could be written:")[2]))
    assert len(lacking) > 8
    assert not lacking & found
    unmet = [row.split(" | ")[0].strip("| ") for row in rows if row.split(" | ")[2] in ("no", "part")]
    assert unmet == ["1.16", "2.11", "3.1", "4.1"]
    assert "four minimum requirements are not met in full: 1.16, 2.11, 3.1 and 4.1" in page


def test_uncertainty_and_artefacts_in_the_words_of_ceos(product: Path, item: Any) -> None:
    said = item["assets"]["sigma"]["l8s2:uncertainty"]
    assert said == {
        "measurand": "surface reflectance", "quantity": "standard uncertainty", "coverage_factor": 1, "unit": "1",
        "guide": "JCGM 100:2008 (GUM)", "components": ["detail", "level"],
    }  # fmt: skip
    free = item["assets"]["qa"]["l8s2:artefact_free"]
    assert free == {"bit": "do_not_trust", "mask": flag("do_not_trust"), "value": 0}
    with rasterio.open(product / f"{ID}_SIGMA.tif") as raster:
        tags = raster.tags()
    assert (tags["QUANTITY"], tags["COVERAGE_FACTOR"], tags["UNIT"]) == ("standard uncertainty", "1", "1")
    assert "GUM" in tags["GUIDE"]
    with rasterio.open(product / f"{ID}_QA.tif") as raster:
        assert json.loads(raster.tags()["ARTEFACT_FREE"]) == free
    assert verify_product(product) == []


def test_detail_alone_and_nothing_are_told_apart() -> None:
    assert uncertainty_of("detail")["components"] == ["detail"]
    assert uncertainty_of(None)["components"] == []
    assert json.loads(tags_of("sigma", "detail")["COMPONENTS"]) == ["detail"]


def test_what_the_metadata_of_landsat_states(item: Any) -> None:
    said = item["properties"]
    assert (said["view:off_nadir"], said["accuracy:geometric_rmse"]) == (0.001, 6.471)
    extensions = " ".join(item["stac_extensions"])
    assert "/view/v1.1.0/" in extensions
    assert "/accuracy/v1.0.0-beta.1/" in extensions
    assert (said["eo:cloud_cover"], said["eo:snow_cover"]) == (25.0, 12.5)
    steps = said["processing:lineage"].splitlines()
    assert [step[:2] for step in steps] == ["1.", "2.", "3."]
    assert ID in steps[0]
    bits = {field["name"] for field in item["assets"]["qa"]["classification:bitfields"]}
    assert bits == {bit.name for bit in QA_BITS}


def test_what_cannot_be_meant_is_not_told(tmp_path: Path) -> None:
    mtl = next(make(tmp_path).glob("*_MTL.txt"))
    assert parse_mtl(mtl.read_bytes(), "MTL").off_nadir is None
    tell(mtl, {"IMAGE_ATTRIBUTES": "ROLL_ANGLE = 361", "LEVEL1_PROCESSING_RECORD": "GEOMETRIC_RMSE_MODEL = 1e9"})
    metadata = parse_mtl(mtl.read_bytes(), "MTL")
    assert (metadata.off_nadir, metadata.geometric_rmse) == (None, None)
