"""Any text and any tree of values, at every parser that is l8s2's own: a value of its type, or one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

pytest.importorskip("torch", reason="configurations of training are among the parsers, and need torch")
import yaml

from l8s2 import masks
from l8s2.catalogs.endpoints import known_catalogs
from l8s2.catalogs.items import read_item
from l8s2.catalogs.query import Query, read_area
from l8s2.catalogs.recipe import load_recipe
from l8s2.catalogs.saved_items import parse_items
from l8s2.cube.fields import read_fields
from l8s2.deliveries.product_name import ProductName, same_acquisition
from l8s2.errors import InputError
from l8s2.landsat.mtl import Metadata, parse_mtl
from l8s2.radiometry import NODATA, decoded
from l8s2.training.config import parse, read_config
from making.items import landsat
from making.patches import box_at
from making.scenes import ID, make, part

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["Feature", "Polygon", ID])
)
KEYS = st.text() | st.sampled_from(
    [
        "type",
        "features",
        "properties",
        "geometry",
        "coordinates",
        "id",
        "assets",
        "href",
        "schema",
        "pairs",
        "model",
        "data",
        "LANDSAT_METADATA_FILE",
        "PRODUCT_CONTENTS",
        "COLLECTION_NUMBER",
        "datetime",
        "collection",
        "links",
    ]
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)
FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
BOX: GeoBox = box_at(187_001, 11_001, 8)
FILES: dict[str, Callable[[Path], object]] = {
    "recipe": load_recipe, "scene": read_item, "area": read_area, "configuration": read_config,
    "fields": lambda path: read_fields(path, "polygons", BOX), "points": lambda path: read_fields(path, "points", BOX),
}  # fmt: skip


def one_line(call: Callable[[], object]) -> object:
    """The result; None where it is refused, in one line."""
    try:
        return call()
    except InputError as error:
        said = str(error)
    assert len(said.splitlines()) == 1
    return None


@pytest.fixture(scope="module")
def mtls(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("mtl")
    return [part(make(folder / form, mtl=form), "MTL").read_bytes() for form in ("txt", "json", "xml")]


@given(st.data())
@FEW
def test_mtl_with_anything_in_it(mtls: list[bytes], data: st.DataObject) -> None:
    content = data.draw(st.sampled_from(mtls))
    at, length = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, 40))
    changed = (
        content[:at] + data.draw(st.binary(max_size=40) | st.text(max_size=20).map(str.encode)) + content[at + length :]
    )
    found = one_line(lambda: parse_mtl(changed, "MTL"))
    assert found is None or isinstance(found, Metadata)
    if isinstance(found, Metadata):
        assert found.sun_elevation is None or abs(found.sun_elevation) <= 90


@given(st.binary() | TREES.map(lambda tree: json.dumps(tree).encode()))
@FEW
def test_mtl_that_is_anything(content: bytes) -> None:
    assert one_line(lambda: parse_mtl(content, "MTL")) is None


@given(st.text() | st.from_regex(r"L[A-Z]\d\d_L[12]SP_\d{6}_\d{8}_\d{8}_\d\d_(T1|RT)", fullmatch=True))
def test_product_names(text: str) -> None:
    found = ProductName.parse(text)
    assert ProductName.find(f"x/{text}/y") is None or text
    if found is not None:
        assert found.id == text.upper()
        assert isinstance(found.acquired, date)
        assert same_acquisition(found, found)


@given(TREES)
@FEW
def test_items_of_anything(tree: Any) -> None:
    one_line(lambda: parse_items(tree, known_catalogs(), "items.json"))


@given(st.data())
@FEW
def test_items_with_anything_in_them(data: st.DataObject) -> None:
    item = landsat()
    holder = data.draw(st.sampled_from([item, item["properties"], item["assets"], item["geometry"]]))
    holder[data.draw(st.sampled_from(sorted(holder)))] = data.draw(TREES)
    item["properties"] = item["properties"] if isinstance(item["properties"], dict) else {}
    item["properties"]["l8s2:catalog"] = "usgs"
    one_line(lambda: parse_items(item, known_catalogs(), "items.json"))


@pytest.mark.parametrize("kind", FILES)
@given(content=TREES.map(lambda tree: json.dumps(tree).encode()) | st.binary(max_size=200))
@FEW
def test_files_of_anything(tmp_path: Path, kind: str, content: bytes) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    one_line(lambda: FILES[kind](path))


@given(st.dictionaries(KEYS, TREES, max_size=4))
@FEW
def test_configurations_of_anything(tree: dict[str, Any]) -> None:
    assert one_line(lambda: parse(tree, "run.yaml")) is None
    assert yaml.safe_load(yaml.safe_dump({"a": 1})) == {"a": 1}


@given(st.tuples(*[st.floats()] * 4), st.text(max_size=12))
@FEW
def test_queries_of_anything(bbox: tuple[float, float, float, float], datetime: str) -> None:
    one_line(lambda: Query(catalogs=("usgs",), bbox=bbox, datetime=datetime))


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=50))
def test_every_qa_number_has_bits(numbers: list[int]) -> None:
    values = np.array([numbers], np.uint16)
    known = sum(1 << bit.bit for bit in masks.QA_BITS)
    for found in (masks.from_qa_pixel(values), masks.from_pixel_qa(values), masks.scl_to_bits(values.astype(np.uint8))):
        assert found.shape == values.shape
        assert not (found & ~np.uint16(known)).any()
        assert masks.usable(found).dtype == bool


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=50))
def test_every_sample_is_decoded(numbers: list[int]) -> None:
    found = decoded(np.array(numbers, np.int16))
    np.testing.assert_array_equal(np.isnan(found), np.array(numbers) == NODATA)
