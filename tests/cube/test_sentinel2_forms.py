"""The same pixels of Sentinel-2 in every form in which people hold them are the same observation of a cube."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l8s2 import masks
from l8s2.catalogs.items import SceneItem, read_item
from l8s2.cli.shell import sentinel2_raster
from l8s2.cube.inputs import find_sources
from l8s2.cube.observation import Source
from l8s2.cube.sentinel2_raster import write_sentinel2_raster
from l8s2.errors import InputError
from l8s2.evaluation.truth import Truth
from making.cubes import MS, landsat, sentinel2
from making.items import sentinel2 as stac_item
from making.safe import as_safe, zipped


@pytest.fixture
def fetched(tmp_path: Path) -> Path:
    return sentinel2(tmp_path / "fetched")


@pytest.fixture
def item(fetched: Path) -> SceneItem:
    return read_item(fetched / "scene.json")


def pixels(source: Source) -> tuple[Any, ...]:
    with source.open(source.about.box) as opened:
        layers = opened.read(source.about.box)
        return opened.offset, layers.reflectance, layers.qa


def one(path: Path) -> Source:
    (source,) = find_sources([path])
    return source


def check_same(path: Path, fetched: Path) -> None:
    ours, theirs = one(path), one(fetched)
    about = ("item_id", "time", "sensor", "platform", "orbit", "box", "sun")
    assert [getattr(ours.about, name) for name in about] == [getattr(theirs.about, name) for name in about]
    for a, b in zip(pixels(ours), pixels(theirs), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("form", ["folder", "above", "in itself", "metadata", "deflated", "stored", "folder of zips"])
def test_safe_is_what_was_fetched(tmp_path: Path, fetched: Path, item: SceneItem, form: str) -> None:
    safe = as_safe(fetched, item, tmp_path / "safe")
    if form == "above":
        (tmp_path / "safe" / "S2A_MSIL1C_20230520T101031_N0509_R022_T33UVS_20230520T160000.SAFE").mkdir()
        safe = safe.parent
    elif form == "in itself":
        safe.rename(tmp_path / "moved")
        safe.mkdir()
        (tmp_path / "moved").rename(safe / safe.name)
    elif form == "metadata":
        safe = safe / "MTD_MSIL2A.xml"
    elif form != "folder":
        how = zipfile.ZIP_STORED if form == "stored" else zipfile.ZIP_DEFLATED
        safe = zipped(safe, tmp_path / f"{item.product}.zip", how)
        if form == "folder of zips":
            (tmp_path / "zips").mkdir()
            safe = safe.rename(tmp_path / "zips" / f"{item.product}.SAFE.zip").parent
            (safe / "LC08_L2SP_192025_20230520_20230630_02_T1.zip").write_bytes(b"another's")
    check_same(safe, fetched)


@pytest.mark.parametrize("baseline", ["02.07", "02.12", "03.01", "04.00", "05.11"])
def test_offset_of_every_baseline(tmp_path: Path, baseline: str) -> None:
    added = 1000 if baseline >= "04.00" else 0
    fetched = sentinel2(tmp_path / "fetched", baseline=baseline, added=added)
    check_same(as_safe(fetched, read_item(fetched / "scene.json"), tmp_path / "safe"), fetched)


def test_a_zip_leaves_nothing_behind(tmp_path: Path, fetched: Path, item: SceneItem, monkeypatch: Any) -> None:
    room = tmp_path / "tmp"
    room.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(room))
    source = one(zipped(as_safe(fetched, item, tmp_path / "safe"), tmp_path / "S2A_renamed.zip"))
    assert not list(room.iterdir())
    with source.open(source.about.box):
        assert list(room.iterdir())
    assert not list(room.iterdir())


def write_item(folder: Path, style: str, tile: str = "33UVS", **changes: Any) -> dict[str, Any]:
    raw = stac_item("20230520T101031", tile, processed="20230520T160000", removed=False, style=style)
    raw["properties"]["l8s2:catalog"] = {"pc": "planetary-computer", "cdse": "cdse"}.get(style, "earth-search")
    raw |= changes
    (folder / "item.json").write_text(json.dumps(raw), encoding="utf-8")
    return raw


NAMES = {"B02": "blue", "B03": "green", "B04": "red", "B8A": "nir08", "B11": "swir16", "B12": "swir22", "SCL": "scl"}


@pytest.mark.parametrize("style", ["earth-search", "c1", "pc"])
@pytest.mark.parametrize("by_key", [False, True])
def test_images_beside_their_item(tmp_path: Path, fetched: Path, style: str, by_key: bool) -> None:
    before = pixels(one(fetched))
    (fetched / "scene.json").unlink()
    raw = write_item(fetched, style)
    for band, key in NAMES.items():
        asset = raw["assets"][band if style == "pc" else key]
        named = asset["href"].rpartition("/")[2]
        (fetched / f"{band}.tif").rename(fetched / (f"{key}.tif" if by_key else named))
    found = one(tmp_path / "fetched")
    assert found.about.item_id == "S2A_MSIL2A_20230520T101031_N0509_R062_T33UVS_20230520T160000"
    assert (found.about.platform, found.about.orbit) == ("sentinel-2a", 62)
    for a, b in zip(pixels(found), before, strict=True):
        np.testing.assert_array_equal(a, b)


def _none(folder: Path) -> None: ...


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_none, "holds no STAC Item, telling date, angles and offset"),
        (lambda f: (f / "item.json").write_text('{"type": "Feature", "assets": 3}'), "no STAC item"),
        (lambda f: [write_item(f, "c1"), (f / "b.json").write_text((f / "item.json").read_text())], "holds 2 STAC"),
        (lambda f: [write_item(f, "c1"), (f / "B11.tif").unlink()], r"holds no B11\.tif, which is swir16 by its Item"),
        (lambda f: write_item(f, "c1", collection="naip"), "does not know what the collection naip"),
        (lambda f: write_item(f, "c1", assets={}), "without blue, green"),
        (lambda f: write_item(f, "c1", tile="44PKR"), "images of UTM zone 33, described as tile 44PKR"),
    ],
)
def test_images_whose_item_does_not_do(fetched: Path, change: Any, said: str) -> None:
    (fetched / "scene.json").unlink()
    change(fetched)
    with pytest.raises(InputError, match=said) as caught:
        find_sources([fetched])
    assert "\n" not in str(caught.value)


def test_as_one_raster(tmp_path: Path, fetched: Path, item: SceneItem) -> None:
    """What ``evaluate --sentinel2`` and ``view --sentinel2`` make of it."""
    before = pixels(one(fetched))
    safe = zipped(as_safe(fetched, item, tmp_path / "safe"), tmp_path / f"{item.product}.zip")
    with sentinel2_raster(safe) as path, Truth(path, MS) as truth:
        assert path.name == f"{item.product}_SR.tif"
        image = truth.read(*(slice(0, n) for n in MS.shape))
    assert not path.parent.exists()
    usable = masks.usable(before[2])
    assert 0 < usable.sum() < usable.size
    np.testing.assert_allclose(image, np.where(usable, before[1], np.nan), atol=6e-5)


def test_an_area_of_it(tmp_path: Path, fetched: Path) -> None:
    west, south, east, north = one(fetched).about.box.geographic_extent.boundingbox
    area = (0.7 * west + 0.3 * east, 0.7 * south + 0.3 * north, 0.3 * west + 0.7 * east, 0.3 * south + 0.7 * north)
    path = write_sentinel2_raster(fetched, tmp_path, lambda *_: None, area)
    with Truth(path, MS) as truth:
        assert 0 < truth.rows.stop - truth.rows.start < MS.shape[0]
        assert np.isfinite(truth.read(truth.rows, truth.columns)).all()
    with pytest.raises(InputError, match="holds 0 images of Sentinel-2"):
        write_sentinel2_raster(landsat(tmp_path / "landsat"), tmp_path, lambda *_: None)


def test_other_rasters_are_passed_on(tmp_path: Path) -> None:
    with sentinel2_raster(tmp_path / "s2.tif") as path:
        assert path == tmp_path / "s2.tif"
