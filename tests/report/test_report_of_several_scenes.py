"""Reports of products of an overpass, and of tiles of U.S. ARD."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

import l8s2.pipeline.to_product
from l8s2.cli.shell import as_options
from l8s2.pipeline.to_product import harmonize_product
from l8s2.report.make import make_reports
from l8s2.sensors import BANDS
from l8s2.simulate.sensor import Conditions, Observation
from making.ramps import ramp_scene
from making.scenes import ID, PAN_ID, Copying, make, ms_grid, smooth

SOUTH = ID.replace("192025", "192026")
LEVELS = {ID: 0.1, SOUTH: 0.3}
BBOX = (14.0, 51.0, 14.5, 51.2)


def report(folder: Path, landsat: Path | None = None) -> Any:
    return make_reports(folder, None, landsat=landsat, overwrite=True, progress=lambda *_: None, say=as_options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes of one overpass, each of one reflectance, that share 20 of their 60 rows; and their product."""
    folder = tmp_path_factory.mktemp("overpass")
    for (name, level), top in zip(LEVELS.items(), (0, 40), strict=True):
        box = ms_grid(60, 70, centre=(450_000, 5_660_010 - 30 * top))
        plain = smooth(box)
        flat = Observation(ms=np.full_like(plain.ms, level), pan=plain.pan, conditions=Conditions())
        make(folder / "scenes", box, flat, product_id=name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(l8s2.pipeline.to_product, "load_predictor", lambda *_, **__: Copying())
        harmonize_product([folder / "scenes" / name for name in LEVELS], folder / "out", bbox=BBOX)
    return folder


def product_of(folder: Path) -> Path:
    (product,) = (folder / "out").glob("*_S2L")
    return product


def test_each_scene_is_compared_on_ground_of_its_own(made: Path) -> None:
    """What the other scene left in the product, 0.2 off, would show in the bias of either."""
    found = report(product_of(made), made / "scenes")
    assert not found["why_not_compared"]
    for scene in found["scenes"]:
        for band in BANDS:
            a, b = band.band_pass["S2A"]
            level = LEVELS[scene["id"]]
            assert scene["consistency"][band.name]["bias"] == pytest.approx(a * level + b - level, abs=1e-4)
            assert scene["consistency"][band.name]["rms"] == pytest.approx(abs(a * level + b - level), abs=1e-4)
        # 40 rows and 70 columns of its own, less 3 at the border and 3 at the seam
        assert scene["ms_pixels_compared"] == 34 * 64
    assert found["ms_pixels_compared"] == 2 * 34 * 64
    page = Path(found["report"]).read_text()
    assert "no other scene saw" in page
    words = re.sub(r"<[^>]+>", " ", page)
    for told in ("path 192, rows 25, 26", f"l8s2 harmonize {ID} {SOUTH} -o out", "2,176", PAN_ID):
        assert told in words
    assert words.count("Pan against the 30 m bands") == 2
    assert "Give the" not in words


def test_a_product_that_lacks_one_of_its_inputs_says_which(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "scenes" / ID, tmp_path / ID)
    for landsat, why in (
        (tmp_path, f"{SOUTH} was not found in {tmp_path}"),
        (tmp_path / ID, f"it was made from {SOUTH} too, which is not in {tmp_path / ID}"),
    ):
        found = report(product_of(made), landsat)
        assert found["why_not_compared"] == why
        assert found["scenes"][0]["consistency"] is None
        assert found["bands"]["red"]["input"] is None
        assert "the folder that holds all of them" in Path(found["report"]).read_text()


def test_scenes_that_saw_the_same_ground_are_not_compared(tmp_path: Path) -> None:
    """The product does not tell which pixel is of which."""
    for name in LEVELS:
        make(tmp_path / "scenes", ms_grid(30, 30), product_id=name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(l8s2.pipeline.to_product, "load_predictor", lambda *_, **__: Copying())
        harmonize_product([tmp_path / "scenes" / name for name in LEVELS], tmp_path / "out", bbox=BBOX)
    found = report(product_of(tmp_path), tmp_path / "scenes")
    assert (found["ms_pixels_compared"], found["why_not_compared"]) == (0, "")
    assert "from ground that several scenes saw" in Path(found["report"]).read_text()
    assert found["bands"]["red"]["input"]["median"] == pytest.approx(found["bands"]["red"]["output"]["median"])


def test_a_tile_of_ard_leads_to_its_own_collection(tmp_path: Path) -> None:
    tile = "LC08_CU_003010_20230520_20230605_02"
    albers = "+proj=aea +lat_0=23 +lon_0=-96 +lat_1=29.5 +lat_2=45.5 +datum=WGS84 +units=m"
    box = GeoBox((48, 44), Affine(30, 0, -2_115_585, 0, -30, 1_814_805), albers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(l8s2.pipeline.to_product, "load_predictor", lambda *_, **__: Copying())
        harmonize_product(ramp_scene(tmp_path / "scenes", box, tile), tmp_path / "out", crs="native")
    page = Path(report(product_of(tmp_path), tmp_path / "scenes")["report"]).read_text()
    assert f'/collections/landsat-c2ard-sr/items/{tile}_SR">' in page
    assert "landsat-c2l2-sr" not in page
    assert "CU, horizontal 3, vertical 10" in page
    assert "WRS-2" not in page
    assert "10.5066/P960F8OC" in page
