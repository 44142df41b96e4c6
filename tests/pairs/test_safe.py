"""What the metadata of SAFE products say, and what is no such product, in one line."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from l8s2.catalogs.items import SceneItem, read_item
from l8s2.errors import InputError
from l8s2.pairs import offset
from l8s2.pairs.build import _local
from l8s2.pairs.safe_metadata import SafeMetadata, safe_item
from l8s2.pairs.sentinel2 import open_sentinel2
from making.cubes import MS, NOON, sentinel2
from making.products import sentinel2_item
from making.safe import as_before_0210, as_safe, product_xml, tile_xml, zipped

ITEM = sentinel2_item(MS, NOON)
OUTLINE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
LISTED = dict.fromkeys(range(13), -1000)
PATHS = {name: f"{name}.jp2" for name in ("blue", "green", "red", "nir08", "swir16", "swir22", "scl")}


def read(product: str, tile: str, name: str = "x.SAFE") -> SceneItem:
    return safe_item(SafeMetadata(product.encode(), tile.encode()), name, OUTLINE, PATHS)


@pytest.fixture
def safe(tmp_path: Path) -> Path:
    fetched = sentinel2(tmp_path / "fetched")
    return as_safe(fetched, read_item(fetched / "scene.json"), tmp_path)


@pytest.mark.parametrize("spelled", [str, as_before_0210])
def test_metadata_tell_what_a_catalogue_tells(spelled: Callable[[str], str]) -> None:
    found = read(spelled(product_xml(ITEM, LISTED)), spelled(tile_xml(ITEM)))
    for name in ("product", "scene", "platform", "location", "zone", "baseline", "scale", "offset", "offset_removed"):
        assert getattr(found, name) == getattr(ITEM, name), name
    assert found.acquired - ITEM.acquired == timedelta(microseconds=578328)  # of the tile, not of the datatake
    assert (found.sun_elevation, found.sun_azimuth, found.cloud_cover) == (53, 152, 2)
    assert found.view_zenith == pytest.approx(4 + np.mean([1, 2, 3, 8, 11, 12]) / 100)
    assert found.view_azimuth == pytest.approx(np.mean([-5, -4, -3, 2, 5, 6]) % 360, abs=0.01)
    assert found.datastrip == "20230520T101027"
    assert (found.processed or "").startswith("2023-05-20T16:00:00")


@pytest.mark.parametrize(
    ("baseline", "listed", "expected"),
    [
        ("02.07", None, 0.0), ("03.01", None, 0.0), ("04.00", LISTED, -0.1), ("05.11", LISTED, -0.1),
        ("99.99", LISTED, -0.1), ("99.99", None, None),
    ],
)  # fmt: skip
def test_offset_is_what_the_metadata_list(baseline: str, listed: dict[int, int] | None, expected: float | None) -> None:
    item = sentinel2_item(MS, NOON, baseline=baseline)
    found = read(product_xml(item, listed), tile_xml(item))
    assert found.offset == expected
    assert offset.claimed(found).why.startswith("its metadata (processing baseline ")


def test_an_id_that_the_metadata_lack_is_taken_from_the_name() -> None:
    product = re.sub("<PRODUCT_URI>.*</PRODUCT_URI>", "", product_xml(ITEM, LISTED))
    assert read(product, tile_xml(ITEM), f"{ITEM.product}.zip").product == ITEM.product
    with pytest.raises(InputError, match="which product of Sentinel-2A, B or C it is"):
        read(product, tile_xml(ITEM), "renamed.zip")


BOMB = '<?xml version="1.0"?><!DOCTYPE m [<!ENTITY e "ha"><!ENTITY f "&e;&e;">]><m>&f;</m>'


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("<BOA_QUANT.*</BOA_QUANTIFICATION_VALUE>", "", "BOA_QUANTIFICATION_VALUE is None"),
        (">10000<", ">1000<", "BOA_QUANTIFICATION_VALUE is 1000"),
        ("<BOA_ADD_OFFSET_VALUES_LIST>.*LIST>", "", "baseline 05.09 without BOA_ADD_OFFSET"),
        ('band_id="11">-1000<', 'band_id="11">-999<', "BOA_ADD_OFFSET of its bands is -1000.0, -999.0"),
        ('band_id="8"', 'band_id="80"', "BOA_ADD_OFFSET of its bands is -1000.0, None"),
        (">05.09<", ">02.14<", "baseline '02.14' in MTD_MSIL2A.xml, 05.09 in its name"),
        ("[0-9T:-]+[.]578328Z", "yesterday", "do not say when it was acquired"),
        ("</n1:Level-2A_User_Product>", "", "MTD_MSIL2A.xml: cut, or not"),
        ("</n1:Level-2A_Tile_ID>", "", "MTD_TL.xml: cut, or not"),
        (r"(?s)<\?xml.*", BOMB.replace("\\", ""), "XML with a document type"),
        (r"(?s)<\?xml.*", "<!DOCTYPE html><html>", "a web page saved as metadata"),
    ],
)
def test_metadata_that_do_not_do(before: str, after: str, said: str) -> None:
    product, tile = (re.sub(before, after, xml) for xml in (product_xml(ITEM, LISTED), tile_xml(ITEM)))
    with pytest.raises(InputError, match=said) as caught:
        read(product, tile)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_metadata_of_any_text_are_read_or_refused(data: st.DataObject) -> None:
    texts = [product_xml(ITEM, LISTED), tile_xml(ITEM)]
    which = data.draw(st.integers(0, 1))
    at = data.draw(st.integers(0, len(texts[which])))
    put = data.draw(st.sampled_from(["<", ">", "&lt;", "", "NaN", "1e999", "-", "é", "<a>", '"']) | st.text(max_size=5))
    texts[which] = texts[which][:at] + put + texts[which][at + data.draw(st.integers(0, 30)) :]
    files = SafeMetadata(*(text.encode("utf-8", "surrogatepass") for text in texts))
    said = ""
    try:
        assert safe_item(files, "x.SAFE", OUTLINE, PATHS).offset in (0.0, -0.1)
    except InputError as error:
        said = str(error)
    assert "\n" not in said


def _band(safe: Path, ending: str) -> Path:
    (found,) = safe.glob(f"GRANULE/*/IMG_DATA/*/*{ending}")
    return found


def _second_tile(safe: Path) -> None:
    (granule,) = (safe / "GRANULE").iterdir()
    (safe / "GRANULE" / "other").mkdir()
    (safe / "GRANULE" / "other" / "MTD_TL.xml").write_bytes((granule / "MTD_TL.xml").read_bytes())


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: (s / "MTD_MSIL2A.xml").unlink(), r"holds no MTD_MSIL2A\.xml; give the \.SAFE folder"),
        (lambda s: (s / "MTD_MSIL2A.xml").rename(s / "MTD_MSIL1C.xml"), "Level 1C, reflectance at the top"),
        (
            lambda s: (s / "MTD_MSIL2A.xml").rename(s / "S2A_USER_MTD_SAFL2A_PDMC_20160101T000000.xml"),
            r"format before December 2016 \(S2A_USER_PRD_\.\.\.\)",
        ),
        (_second_tile, r"holds 2 files MTD_TL\.xml, so more than one tile"),
        (lambda s: _band(s, "_B11_20m.jp2").unlink(), r"holds no file B11_20m\.jp2; it is not whole"),
        (lambda s: _cut(_band(s, "_B03_10m.jp2")), r"B03_10m\.jp2: ends 10 bytes early"),
        (lambda s: _band(s, "_B04_10m.jp2").write_text("<html>"), r"B04_10m\.jp2: a web page"),
        (lambda s: _band(s, "_B04_10m.jp2").write_text("GIF89a"), r"B04_10m\.jp2: not a readable JPEG 2000 file"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_whole_product(tmp_path: Path, safe: Path, change: Any, said: str, packed: bool) -> None:
    change(safe)
    with pytest.raises(InputError, match=said) as caught:
        open_sentinel2(zipped(safe, tmp_path / "S2A_x.zip") if packed else safe)
    assert "\n" not in str(caught.value)


def test_a_damaged_image_is_an_error_not_fill(safe: Path) -> None:
    """GDAL's threads pass over what they cannot decode, and leave zeros."""
    path = _band(safe, "_B02_10m.jp2")
    content = bytearray(path.read_bytes())
    at = content.index(b"\xff\x93")  # the first data behind the header of the tile
    content[at + 2 : at + 60] = bytes(255 for _ in range(58))
    path.write_bytes(content)
    with open_sentinel2(safe) as scene, pytest.raises(InputError, match=r"unreadable|cannot be read"):
        scene.read(MS)


@pytest.mark.parametrize("name", ["../evil.jp2", "/tmp/evil.jp2", "S2.SAFE/../../evil_B02_10m.jp2"])
def test_a_zip_that_leads_out_is_refused(tmp_path: Path, safe: Path, name: str) -> None:
    path = zipped(safe, tmp_path / "S2A_x.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(InputError, match="points outside the archive"):
        open_sentinel2(path)


def test_a_product_of_a_training_set_may_be_a_safe(tmp_path: Path, safe: Path) -> None:
    item = read_item(next((tmp_path / "fetched").iterdir()) / "scene.json")
    where = (0.0, 0.0, 1.0, 1.0)
    assert _local(item, tmp_path, where) == safe
    packed = zipped(safe, tmp_path / "fetched" / f"{item.product}.SAFE.zip")
    assert _local(item, tmp_path / "fetched", where) == packed
    assert _local(item, safe, where) is None
