"""Items of every catalogue in one form; which version of a scene counts; pan joined to its scene."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l8s2.catalogs.endpoints import LANDSAT_L1, SENTINEL2, Collection, known_catalogs
from l8s2.catalogs.footprints import Footprint
from l8s2.catalogs.items import SceneItem, scene_item
from l8s2.catalogs.versions import join_pan, newest
from l8s2.errors import InputError
from making.items import Item, box, landsat, sentinel2

KNOWN = known_catalogs()
ROWS = {(c.name, row.id): row for c in KNOWN.values() for row in c.collections}
ROWS_OF_L2 = ("blue", "green", "red", "nir08", "swir16", "swir22", "qa_pixel", "qa_radsat", "mtl")


def made(raw: Item, name: str = "usgs") -> SceneItem:
    return scene_item(raw, name, ROWS[name, raw["collection"]])


def pan(day: str = "20230520", **how: Any) -> Item:
    return landsat(day, level=how.pop("level", "L1TP"), **how)


# ---- one form


def test_landsat_of_two_catalogues_is_the_same_scene() -> None:
    usgs, pc = made(landsat()), made(landsat(style="pc"), "planetary-computer")
    assert usgs.scene == pc.scene == "landsat-8 143054 2023-05-20"
    assert usgs.product == pc.product == "LC08_L2SP_143054_20230520_20230520_02_T1"
    assert (usgs.platform, usgs.tier, usgs.processed, usgs.zone) == ("landsat-8", "T1", "2023-05-20", 44)
    assert (usgs.scale, usgs.offset) == (0.0000275, -0.2)
    assert (usgs.sun_elevation, usgs.sun_azimuth, usgs.cloud_cover) == (62.1, 70.3, 3.2)
    assert usgs.assets["blue"].href.endswith("_SR_B2.TIF")
    assert usgs.assets["blue"].alternate["s3"].startswith("s3://usgs-landsat/collection02/level-2/")
    assert set(usgs.assets) == set(pc.assets) == set(ROWS_OF_L2)


@pytest.mark.parametrize("asset", [{"href": 5}, {"href": None}, {"href": "x", "alternate": {"s3": {"href": []}}}])
def test_addresses_are_text(asset: Item) -> None:
    raw = landsat()
    raw["assets"]["red"] = asset
    with pytest.raises(InputError, match=r"not a STAC item of .*; it is left out"):
        made(raw)


def test_level_1_has_pan_and_its_metadata() -> None:
    item = made(pan())
    assert set(item.assets) == {"pan", "mtl"}
    assert item.assets["pan"].href.endswith("_B8.TIF")
    assert item.scale is None


@pytest.mark.parametrize("style", ["earth-search", "c1", "pc", "cdse"])
def test_sentinel_2_of_every_catalogue_is_the_same_scene(style: str) -> None:
    name = {"c1": "earth-search", "pc": "planetary-computer"}.get(style, style)
    item = made(sentinel2(style=style), name)
    assert item.scene == "sentinel-2a 44PKR 20230520T050651"
    assert (item.location, item.zone, item.baseline, item.platform) == ("44PKR", 44, "05.09", "sentinel-2a")
    assert item.processed == "2023-05-20T08:12:00+00:00"
    assert item.datastrip == "20230520T050651"
    assert item.sun_elevation == pytest.approx(66.0)
    assert "B8A" in item.assets["nir08"].href, "the narrow band is the twin of Landsat's"
    assert {"scl", "red", "swir22"} <= set(item.assets)
    assert item.view_zenith == (4.2 if style in ("c1", "cdse") else None)


@pytest.mark.parametrize(
    ("how", "row", "offset"),
    [
        ({"style": "pc", "baseline": "03.01"}, None, 0.0),
        ({"style": "pc", "baseline": "04.00"}, None, -0.1),
        ({"style": "c1", "baseline": "05.00"}, None, -0.1),
        ({"removed": True}, None, 0.0),
        ({"removed": False}, None, -0.1),
        ({"style": "pc"}, Collection(id="sentinel-2-l2a", kind=SENTINEL2, offset_removed=True), 0.0),
    ],
)
def test_offset_of_sentinel_2(how: dict[str, Any], row: Collection | None, offset: float) -> None:
    raw = sentinel2(**how)
    name = "planetary-computer" if how.get("style") == "pc" else "earth-search"
    item = scene_item(raw, name, row or ROWS[name, raw["collection"]])
    assert (item.scale, item.offset) == (1e-4, offset)


def test_offset_of_an_unknown_baseline_is_unknown() -> None:
    raw = sentinel2(style="earth-search", removed=False)
    for key in ("s2:product_uri", "s2:processing_baseline"):
        del raw["properties"][key]
    item = made(raw, "earth-search")
    assert item.offset is None
    assert item.scene == "sentinel-2a 44PKR 20230520T050651"


@pytest.mark.parametrize(("baseline", "offset"), [("99.99", None), ("02.12", 0.0), ("05.12", -0.1)])
def test_offset_by_the_product_name(baseline: str, offset: float | None) -> None:
    item = made(sentinel2(baseline=baseline, style="cdse"), "cdse")
    assert item.offset == offset
    assert item.baseline == (None if offset is None else baseline)


NAMELESS = sentinel2()
del NAMELESS["properties"]["s2:product_uri"]


@pytest.mark.parametrize(
    ("raw", "name", "said"),
    [
        (landsat(satellite=7, sensor="E"), "usgs", "LE07"),
        (landsat(sensor="O"), "usgs", "LO08"),
        ({**landsat(), "assets": {}}, "usgs", "without blue"),
        ({**landsat(), "properties": None}, "usgs", "not a STAC item"),
        ({"id": "x\ny"}, "usgs", "x y: not a STAC item"),
        ({**landsat(), "geometry": {"type": "Point", "coordinates": [0, 0]}}, "usgs", "without area"),
        ({**landsat(), "geometry": None, "bbox": None}, "usgs", "not a STAC item"),
        (sentinel2(platform="S2D"), "earth-search", "no Sentinel-2A, B or C"),
        (
            {**sentinel2(), "id": "x", "properties": {"datetime": "2023-05-20T00:00:00Z"}},
            "earth-search",
            "no Sentinel-2A, B or C",
        ),
        ({**landsat(), "id": "x", "assets": {}}, "usgs", "no Landsat"),
        ({**NAMELESS, "id": "../../x"}, "earth-search", "'../../x': an id consists of"),
    ],
)
def test_what_is_of_no_use_is_named(raw: Item, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as failed:
        scene_item(raw, name, ROWS[name, "landsat-c2l2-sr" if name == "usgs" else "sentinel-2-l2a"])
    assert "\n" not in str(failed.value)


def test_an_item_with_a_box_alone_has_a_footprint() -> None:
    assert made({**landsat(), "geometry": None}).footprint["coordinates"][0][0] == pytest.approx([77.9, 7.8])
    six = made({**landsat(), "geometry": None, "bbox": [178, 59, 0, -179, 60, 9]})
    assert Footprint(six.footprint).km2 == pytest.approx(Footprint(box(179.5, 59.5, 3, 1)).km2)


def test_absent_cloud_cover_and_cover_of_the_night_are_unknown() -> None:
    assert made(landsat(cloud=None)).cloud_cover is made(landsat(cloud=-1)).cloud_cover is None


REAL = {
    "usgs_LC08_L2SP_047027_20201204_SR": ("usgs", "landsat-8 047027 2020-12-04", 1.55, None),
    "usgs_LC08_L2SR_099120_20191129_T2_antarctic": ("usgs", "landsat-8 099120 2019-11-29", 100.0, None),
    "usgs_landsat-c2l2-sr_LC08_L2SP_028030_20200114": ("usgs", "landsat-8 028030 2020-01-14", 8.18, 15),
    "pc_landsat-c2-l2_LC08_047027_20201204": ("planetary-computer", "landsat-8 047027 2020-12-04", 1.55, 10),
    "pc_landsat-c2-l2_LC09_010065_20220129": ("planetary-computer", "landsat-9 010065 2022-01-29", 21.12, 17),
    "pc_sentinel-2-l2a_T06VVN_20190629": ("planetary-computer", "sentinel-2b 06VVN 20190629T212529", 0.314306, 6),
    "earthsearch-v0_S2A_28QCH_20200714": (None, "sentinel-2a 28QCH 20200714T115221", 2.36, 28),
}


@pytest.mark.parametrize("name", REAL)
def test_real_items(data: Path, name: str) -> None:
    path = data / "stac_items" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    raw = json.loads(path.read_text())
    source, scene, cloud, zone = REAL[name]
    row = ROWS[source, raw["collection"]] if source else Collection(id=raw["collection"], kind=SENTINEL2)
    item = scene_item(raw, "somewhere", row)
    assert (item.scene, item.cloud_cover, item.zone) == (scene, cloud, zone)
    assert item.offset == (0.0 if "sentinel" in scene else -0.2)
    assert {"blue", "swir22"} < set(item.assets)
    assert item.raw is raw


def test_made_items_have_the_properties_of_real_ones(data: Path) -> None:
    for made_one, name in (
        (landsat(), "usgs_landsat-c2l2-sr_LC08_L2SP_028030_20200114"),
        (landsat(style="pc"), "pc_landsat-c2-l2_LC09_010065_20220129"),
        (sentinel2(style="pc"), "pc_sentinel-2-l2a_T06VVN_20190629"),
    ):
        path = data / "stac_items" / f"{name}.json"
        if not path.exists():
            pytest.skip(f"{path} is not there")
        real = json.loads(path.read_text())
        assert set(made_one["properties"]) <= set(real["properties"])
        assert set(made_one["assets"]) <= set(real["assets"])


# ---- versions, and pan


def test_t1_counts_before_t2_before_rt_and_then_the_newest() -> None:
    versions = [
        made(landsat(tier="RT", processed="20230520")),
        made(landsat(tier="T2", processed="20240101")),
        made(landsat(tier="T1", processed="20230524")),
        made(landsat(tier="T1", processed="20230601")),
    ]
    kept, replaced = newest(versions)
    assert [item.product for item in kept] == ["LC08_L2SP_143054_20230520_20230601_02_T1"]
    assert {old.tier for old, new in replaced} == {"RT", "T2", "T1"}
    assert all(new is kept[0] for _, new in replaced)


def test_the_highest_baseline_counts() -> None:
    old = made(sentinel2(baseline="02.12", processed="20240101T000000", style="pc"), "planetary-computer")
    new = made(sentinel2(baseline="05.00", processed="20230601T000000", style="pc"), "planetary-computer")
    assert newest([new, old])[0] == newest([old, new])[0] == [new]


def test_the_same_product_counts_with_its_offset_rather_than_without() -> None:
    removed, whole = made({**sentinel2(), "id": "Z"}, "earth-search"), made(sentinel2(style="c1"), "earth-search")
    assert newest([removed, whole])[0] == [whole]


def test_a_tile_cut_in_two_keeps_both_halves_of_the_newest_baseline() -> None:
    halves = [sentinel2(strip="20230520T050645"), sentinel2(strip="20230520T051900")]
    halves[1]["id"] += "_1"
    old = [sentinel2(strip="20230520T050645", baseline="04.00"), sentinel2(strip="20230520T051900", baseline="04.00")]
    for raw in old:
        raw["id"] += raw["properties"]["s2:datastrip_id"]
    kept, replaced = newest(made(raw, "earth-search") for raw in (*old, *halves))
    assert sorted(item.id for item in kept) == sorted(raw["id"] for raw in halves)
    assert len(replaced) == 2


def test_pan_is_joined_by_scene() -> None:
    scenes = [made(landsat(day, processed="20240101")) for day in ("20230504", "20230520", "20230605")]
    pans = [
        made(pan("20230605", processed="20230606", level="L1GT", tier="T2")),
        made(pan("20230520", satellite=9)),
        made(pan("20230520", place="143053")),
        made(pan("20230504", processed="20230504", tier="RT")),
        made(pan("20230504", processed="20230512")),
    ]
    joined = join_pan(scenes, pans)
    assert {scene: item.product for scene, item in joined.items()} == {
        "landsat-8 143054 2023-05-04": "LC08_L1TP_143054_20230504_20230512_02_T1",
        "landsat-8 143054 2023-06-05": "LC08_L1GT_143054_20230605_20230606_02_T2",
    }


dates = st.sampled_from(["20230504", "20230505", "20230520"])
places = st.sampled_from(["143053", "143054"])
tiers = st.sampled_from(["RT", "T1", "T2"])
satellites = st.sampled_from([8, 9])
landsats = st.builds(landsat, dates, places, processed=dates, tier=tiers, satellite=satellites)
levels = st.sampled_from(["L1TP", "L1GT", "L1GS"])
pans = st.builds(landsat, dates, places, level=levels, processed=dates, tier=tiers, satellite=satellites)
sentinels = st.builds(
    sentinel2,
    st.sampled_from(["20230520T050651", "20230521T050651"]),
    st.sampled_from(["44PKR", "44PLR"]),
    baseline=st.sampled_from(["02.12", "04.00", "05.09"]),
    strip=st.sampled_from(["20230520T050645", "20230520T051900"]),
    style=st.sampled_from(["c1", "earth-search"]),
)


@given(st.lists(landsats, max_size=12), st.lists(pans, max_size=12), st.randoms())
def test_joining_does_not_depend_on_order(level2: list[Item], level1: list[Item], chance: random.Random) -> None:
    scenes, found = [made(raw) for raw in level2], [made(raw) for raw in level1]
    expected = newest(scenes)[0], join_pan(scenes, found)
    chance.shuffle(scenes)
    chance.shuffle(found)
    assert (newest(scenes)[0], join_pan(scenes, found)) == expected
    for scene, item in expected[1].items():
        assert item.scene == scene
        assert item.kind == LANDSAT_L1
    assert expected[1].keys() == {item.scene for item in scenes} & {item.scene for item in found}


@given(st.lists(sentinels, max_size=12), st.randoms())
def test_versions_do_not_depend_on_order(raws: list[Item], chance: random.Random) -> None:
    items = [made(raw, "earth-search") for raw in raws]
    kept, _ = newest(items)
    chance.shuffle(items)
    assert newest(items)[0] == kept
    assert len({(item.scene, item.datastrip) for item in kept}) == len(kept)
    assert {item.scene for item in kept} == {item.scene for item in items}
    assert newest(kept) == (kept, [])
