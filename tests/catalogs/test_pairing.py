"""Pairs of Landsat and Sentinel-2: which fit, how much of them is clear, and recipes that keep them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from l8s2.catalogs.endpoints import known_catalogs
from l8s2.catalogs.footprints import EARTH_KM2, Footprint
from l8s2.catalogs.items import SceneItem, item_text, read_item, scene_item
from l8s2.catalogs.pairing import Pair, PairRules, find_pairs
from l8s2.catalogs.query import Query
from l8s2.catalogs.recipe import Recipe, load_recipe, save_recipe
from l8s2.catalogs.versions import join_pan
from l8s2.errors import InputError
from l8s2.pairs.clear_share import clear_share
from making.items import Item, box, landsat, sentinel2

KNOWN = known_catalogs()


def made(raw: Item) -> SceneItem:
    name = "usgs" if raw["collection"].startswith("landsat") else "earth-search"
    (row,) = (row for row in KNOWN[name].collections if row.id == raw["collection"])
    return scene_item(raw, name, row)


def one(landsat_item: Item, sentinel2_item: Item, **rules: Any) -> Pair | None:
    pairs = find_pairs([made(landsat_item)], [made(sentinel2_item)], rules=PairRules(**rules))
    assert len(pairs) < 2
    return pairs[0] if pairs else None


# ---- footprints


def test_area_of_a_degree_by_a_degree_at_the_equator() -> None:
    assert Footprint(box(10, 0, 1, 1)).km2 == pytest.approx(111.195**2, rel=1e-3)
    whole_belt = EARTH_KM2 * np.sin(np.radians(0.5))
    assert Footprint(box(10, 0, 1, 1)).km2 == pytest.approx(whole_belt / 360, rel=1e-9)


CUT = {
    "type": "MultiPolygon",
    "coordinates": [
        [[[179, 59.5], [180, 59.5], [180, 60.5], [179, 60.5], [179, 59.5]]],
        [[[-180, 59.5], [-179, 59.5], [-179, 60.5], [-180, 60.5], [-180, 59.5]]],
    ],
}
BEYOND = {"type": "Polygon", "coordinates": [[[179, 59.5], [181, 59.5], [181, 60.5], [179, 60.5], [179, 59.5]]]}
BEFORE = {"type": "Polygon", "coordinates": [[[-181, 59.5], [-179, 59.5], [-179, 60.5], [-181, 60.5], [-181, 59.5]]]}
ACROSS = box(180, 60, 2, 1)


@pytest.mark.parametrize("a", [CUT, BEYOND, BEFORE, ACROSS])
@pytest.mark.parametrize("b", [CUT, BEYOND, BEFORE, ACROSS])
def test_every_way_to_write_the_antimeridian_is_the_same_place(a: Item, b: Item) -> None:
    whole = Footprint(box(20, 60, 2, 1)).km2
    assert Footprint(a).km2 == pytest.approx(whole)
    assert Footprint(a).common_km2(Footprint(b)) == pytest.approx(whole)
    assert abs(Footprint(a).longitude) == pytest.approx(180)
    assert Footprint(a).common_km2(Footprint(box(179.5, 60, 1, 1))) == pytest.approx(whole / 2)
    assert Footprint(a).common_km2(Footprint(box(-179.5, 60, 1, 1))) == pytest.approx(whole / 2)
    assert Footprint(a).common_km2(Footprint(box(0, 60, 10, 1))) == 0


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": ""},
        {"type": "Point", "coordinates": [1, 2]},
        {"type": "GeometryCollection", "geometries": []},
        {"type": "x"},
    ],
)
def test_what_is_no_footprint(bad: Item) -> None:
    with pytest.raises(InputError) as failed:
        _ = Footprint(bad).km2
    assert "\n" not in str(failed.value)


@given(st.floats(-180, 180), st.floats(-80, 80), st.floats(-1, 1), st.floats(-1, 1))
def test_common_area_is_symmetric_and_no_larger_than_either(lon: float, lat: float, x: float, y: float) -> None:
    a, b = Footprint(box(lon, lat, 2, 1.5)), Footprint(box(lon + x, lat + y, 1, 1))
    common = a.common_km2(b)
    assert common == pytest.approx(b.common_km2(a), abs=1e-3)
    assert -1e-6 <= common <= min(a.km2, b.km2) * (1 + 1e-9)
    assert (common > 0) == (abs(x) < 1.5 and abs(y) < 1.25) or common < 1


# ---- pairs


def test_a_pair_and_its_measures() -> None:
    scene, pan = landsat(), landsat(level="L1TP")
    (pair,) = find_pairs([made(scene)], [made(sentinel2(style="c1"))], join_pan([made(scene)], [made(pan)]))
    assert pair.pan == made(pan)
    assert (pair.days, pair.hours, pair.same_zone, pair.overlap) == (0, 0.17, True, 1.0)
    assert pair.overlap_km2 == pytest.approx(Footprint(box(79.2, 8.6, 1, 1)).km2, abs=0.1)
    assert pair.view_angle == 4.2
    spherical = np.degrees(np.arccos(
        np.sin(np.radians(62.1)) * np.sin(np.radians(66))
        + np.cos(np.radians(62.1)) * np.cos(np.radians(66)) * np.cos(np.radians(4.7))
    ))  # fmt: skip
    assert pair.sun_angle == pytest.approx(spherical, abs=1e-3)


def test_what_catalogues_do_not_say_stays_unknown() -> None:
    raw = landsat()
    for key in ("proj:epsg", "view:sun_elevation"):
        del raw["properties"][key]
    pair = one(raw, sentinel2(), max_sun_angle=1, max_view_angle=1)
    assert pair is not None
    assert pair.same_zone is pair.sun_angle is pair.view_angle is None


def test_share_of_the_smaller_footprint() -> None:
    half = one(landsat(lon=79.0), sentinel2(lon=80.1))
    assert half is not None
    assert half.overlap == pytest.approx(0.5, abs=1e-3)
    assert one(landsat(lon=79.0), sentinel2(lon=80.1), min_overlap=0.6) is None
    assert one(landsat(lon=79.0), sentinel2(lon=85.0), max_days=400) is None


@pytest.mark.parametrize(("when", "days"), [("20230518T050651", -2), ("20230520T050651", 0), ("20230523T050651", 3)])
def test_days_between(when: str, days: int) -> None:
    pair = one(landsat(), sentinel2(when), max_days=3)
    assert pair is not None
    assert pair.days == days
    assert (one(landsat(), sentinel2(when), max_days=1) is None) == (abs(days) > 1)


@pytest.mark.parametrize(
    ("lon", "day", "clock", "when"),
    [
        (155.0, "20230519", "23:50:00.0", "20230520T000512"),  # one morning, two days of UTC
        (155.0, "20230520", "00:10:00.0", "20230519T235512"),
        (179.9, "20230519", "22:12:00.0", "20230519T223012"),
        (-179.9, "20230519", "22:12:00.0", "20230519T223012"),
    ],
)
def test_the_same_morning_is_the_same_day(lon: float, day: str, clock: str, when: str) -> None:
    pair = one(landsat(day, clock=clock, lon=lon, lat=-8.0, zone=57), sentinel2(when, "57LTC", lon=lon, lat=-8.0))
    assert pair is not None
    assert pair.days == 0
    assert abs(pair.hours) < 1


def test_the_same_day_of_utc_may_be_two_mornings() -> None:
    late = sentinel2("20230520T235512", "57LTC", lon=155, lat=-8)
    assert one(landsat("20230520", clock="00:10:00.0", lon=155, lat=-8), late) is None


def test_north_and_south_of_the_equator_are_one_zone() -> None:
    pair = one(landsat(place="010065", lon=-80, lat=-7.2, zone=17), sentinel2(tile="17MPN", lon=-80, lat=-7.2))
    assert pair is not None
    assert pair.same_zone is True
    other = one(landsat(place="010065", lon=-80, lat=-7.2, zone=18), sentinel2(tile="17MPN", lon=-80, lat=-7.2))
    assert other is not None
    assert other.same_zone is False


@pytest.mark.parametrize(
    ("l8", "s2", "kept"), [(5, 5, True), (50, 5, False), (5, 50, False), (None, 5, False), (5, None, False)]
)
def test_clouds_of_both(l8: float | None, s2: float | None, kept: bool) -> None:
    assert (one(landsat(cloud=l8), sentinel2(cloud=s2), max_cloud=10) is not None) is kept


def test_angles_are_limited() -> None:
    low = sentinel2(sun=(30.0, 75.0), style="c1")
    assert one(landsat(), low, max_sun_angle=10) is None
    assert one(landsat(), low, max_view_angle=4) is None
    assert one(landsat(), low, max_view_angle=5) is not None


@pytest.mark.parametrize("how", [{"max_days": -1}, {"min_overlap": 1.1}])
def test_rules_that_cannot_be_meant(how: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        PairRules(**how)


places = st.tuples(st.floats(76, 82), st.floats(6, 11))
days = st.integers(1, 6).map(lambda n: f"202305{n:02d}")
scenes = st.builds(
    lambda day, at, tier: landsat(day, lon=at[0], lat=at[1], tier=tier), days, places, st.sampled_from(["T1", "T2"])
)
tiles = st.builds(lambda day, at: sentinel2(f"{day}T050651", lon=at[0], lat=at[1]), days, places)


@given(st.lists(scenes, max_size=6), st.lists(tiles, max_size=6), st.integers(0, 3), st.randoms())
def test_pairs_do_not_depend_on_order(l8: list[Item], s2: list[Item], max_days: int, chance: random.Random) -> None:
    first, second = [made(raw) for raw in l8], [made(raw) for raw in s2]
    rules = PairRules(max_days=max_days)

    def key(pair: Pair) -> str:
        return json.dumps([pair.landsat.id, pair.landsat.footprint, pair.sentinel2.id, pair.sentinel2.footprint])

    pairs = find_pairs(first, second, rules=rules)
    chance.shuffle(first)
    chance.shuffle(second)
    assert sorted(find_pairs(first, second, rules=rules), key=key) == sorted(pairs, key=key)
    expected = sum(
        abs((b.acquired.date() - a.acquired.date()).days) <= max_days
        and Footprint(a.footprint).common_km2(Footprint(b.footprint)) > 0
        for a in first
        for b in second
    )
    assert len(pairs) == expected


# ---- masks


def grids(shift: float = 0.0) -> tuple[GeoBox, GeoBox]:
    """30 m and 20 m over the same 1 800 m; the second may be shifted to the east."""
    ms = GeoBox((60, 60), Affine(30, 0, 600015, 0, -30, -1199985 + 1800), "EPSG:32644")
    scl = GeoBox((90, 90), Affine(20, 0, 600020 + shift, 0, -20, 8800020 + 1800), "EPSG:32744")
    return ms, scl


CLEAR_LAND, CLOUD, FILL = 21824, 22280, 1
VEGETATION = 4


def test_clear_shares_across_the_two_conventions_of_the_south() -> None:
    ms, scl_grid = grids()
    qa = np.full(ms.shape, CLEAR_LAND, np.uint16)
    scl = np.full(scl_grid.shape, VEGETATION, np.uint8)
    qa[:, :15] = CLOUD
    qa[:10] = FILL
    scl[:, 60:] = 9
    share = clear_share(qa, ms, scl, scl_grid, margin=0)
    x = 600030 + 30 * np.arange(60)
    seen = (x >= 600020) & (x < 600020 + 1800)
    y_seen = np.arange(60) >= 10
    assert share.pixels == seen.sum() * y_seen.sum()
    clear_l8, clear_s2 = np.arange(60) >= 15, x < 600020 + 1200
    assert share.landsat == (clear_l8 & seen).sum() / seen.sum()
    assert share.sentinel2 == (clear_s2 & seen).sum() / seen.sum()
    assert share.both == (clear_l8 & clear_s2 & seen).sum() / seen.sum()


def test_clouds_are_widened_in_metres_on_either_grid() -> None:
    ms, scl_grid = grids()
    qa = np.full(ms.shape, CLEAR_LAND, np.uint16)
    scl = np.full(scl_grid.shape, VEGETATION, np.uint8)
    qa[30, 30] = CLOUD
    share = clear_share(qa, ms, scl, scl_grid, margin=90)
    assert share.landsat == pytest.approx(1 - 7 * 7 / share.pixels)
    assert share.sentinel2 == 1.0
    qa[30, 30], scl[45, 45] = CLEAR_LAND, 8
    share = clear_share(qa, ms, scl, scl_grid, margin=100)
    assert share.sentinel2 is not None
    assert (1 - share.sentinel2) * share.pixels * 900 == pytest.approx((11 * 20) ** 2, rel=0.2)


def test_fill_is_not_widened_and_nothing_in_common_has_no_share() -> None:
    ms, scl_grid = grids()
    qa = np.full(ms.shape, FILL, np.uint16)
    scl = np.full(scl_grid.shape, VEGETATION, np.uint8)
    nothing = clear_share(qa, ms, scl, scl_grid)
    assert (nothing.pixels, nothing.both) == (0, None)
    assert clear_share(np.full(ms.shape, CLEAR_LAND, np.uint16), ms, scl, grids(5000)[1]).pixels == 0
    qa[30:] = CLEAR_LAND
    assert clear_share(qa, ms, scl, scl_grid).both == 1.0


def test_masks_that_do_not_fit() -> None:
    ms, scl_grid = grids()
    qa, scl = np.zeros(ms.shape, np.uint16), np.zeros(scl_grid.shape, np.uint8)
    with pytest.raises(InputError, match=r"SCL has .* its grid"):
        clear_share(qa, ms, scl[1:], scl_grid)
    with pytest.raises(InputError, match="one UTM zone"):
        clear_share(qa, GeoBox(ms.shape, ms.affine, "EPSG:32645"), scl, scl_grid)


# ---- recipes


def recipe() -> Recipe:
    scene, pan = landsat(), landsat(level="L1GT", processed="20230601")
    pans = join_pan([made(scene)], [made(pan)])
    pairs = find_pairs([made(scene)], [made(sentinel2()), made(sentinel2(style="c1"))], pans)
    query = Query(bbox=(78.0, 8.0, 80.0, 9.5), datetime="2023-05", sensor="both", max_cloud=20, limit=9)
    return Recipe(
        l8s2="0",
        query=query,
        rules=PairRules(max_days=2, max_sun_angle=7.5),
        catalogs=tuple(KNOWN.values()),
        pairs=tuple(pairs),
    )


def test_a_recipe_comes_back_exactly(tmp_path: Path) -> None:
    path, before = tmp_path / "recipe.json", recipe()
    assert len(before.pairs) == 2
    save_recipe(before, path)
    after = load_recipe(path)
    assert after == before
    assert after.pairs[0].landsat.assets["blue"].alternate["s3"].startswith("s3://")
    assert after.pairs[0].landsat.raw == {}
    save_recipe(after, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    content = json.loads(path.read_text())
    assert content["schema"] == "l8s2-pairs/1"
    assert content["catalogs"][0]["url"] == "https://landsatlook.usgs.gov/stac-server"


def test_a_recipe_with_a_geometry(tmp_path: Path) -> None:
    from dataclasses import replace

    before = recipe()
    query = replace(before.query, bbox=None, intersects=box(79, 8.5))
    before = replace(before, query=query)
    save_recipe(before, tmp_path / "recipe.json")
    assert load_recipe(tmp_path / "recipe.json") == before


def test_a_recipe_is_not_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text("precious")
    with pytest.raises(InputError, match="`overwrite`"):
        save_recipe(recipe(), path)
    save_recipe(recipe(), path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["recipe.json"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(schema="l8s2-pairs/2"), r"schema 'l8s2-pairs/2', this l8s2 reads l8s2-pairs/1"),
        (lambda c: c.pop("schema"), "no recipe"),
        (lambda c: c.pop("query"), "damaged recipe"),
        (lambda c: c.update(more=1), "damaged recipe"),
        (lambda c: c["pairs"][0].update(days="two"), "'two' is no int"),
        (lambda c: c["pairs"][0]["landsat"].update(acquired="today"), "damaged recipe"),
        (lambda c: c["query"].update(datetime="today"), "is no date"),
        (lambda c: c.update(pairs=3), "damaged recipe"),
        (lambda c: c["pairs"][0]["landsat"]["footprint"].update(coordinates=[[float("nan")]]), "no recipe"),
    ],
)
def test_what_is_no_recipe(tmp_path: Path, change: Any, said: str) -> None:
    path = tmp_path / "recipe.json"
    save_recipe(recipe(), path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=said) as failed:
        load_recipe(path)
    assert "\n" not in str(failed.value)


def test_a_scene_comes_back_exactly(tmp_path: Path) -> None:
    path, pair = tmp_path / "scene.json", recipe().pairs[0]
    for item in (pair.landsat, pair.pan, pair.sentinel2):
        assert item is not None
        path.write_text(item_text(item))
        assert read_item(path) == item
    path.write_text(path.read_text().replace("l8s2-scene/1", "l8s2-scene/2"))
    with pytest.raises(InputError, match="this l8s2 reads l8s2-scene/1; delete the folder and fetch the scene again"):
        read_item(path)


@pytest.mark.parametrize("text", ["", "[]", "<html>", "{}", "1"])
def test_files_that_are_no_recipe(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(text)
    with pytest.raises(InputError, match="no recipe"):
        load_recipe(path)
    with pytest.raises(InputError, match="No such file"):
        load_recipe(tmp_path / "none.json")
