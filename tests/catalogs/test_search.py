"""Searching: a real STAC API on loopback, servers that fail, what is asked and where."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from l8s2.catalogs import http_policy
from l8s2.catalogs.endpoints import LANDSAT_L1, LANDSAT_L2, SENTINEL2, Catalog, Collection, choose, known_catalogs
from l8s2.catalogs.query import Query, read_area
from l8s2.catalogs.search import Found, search_scenes
from l8s2.cli import main
from l8s2.errors import InputError
from making.items import Answer, Item, front, landing, landsat, rustac, sentinel2

pytest.importorskip("pystac_client")

KNOWN = known_catalogs()
HERE = (78.0, 8.0, 80.0, 9.5)
DAY = "2023-05-20"


def pan(day: str = "20230520", **how: Any) -> Item:
    return landsat(day, level=how.pop("level", "L1TP"), **how)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(http_policy, "BACKOFF", 0.001)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


# ---- a real STAC API


MANY = [landsat(f"20{18 + n // 336}{n % 336 // 28 + 1:02d}{n % 28 + 1:02d}", lon=20.0, lat=-33.0) for n in range(1050)]
STORED = [
    *MANY,
    pan("20230504", place="143053"),
    landsat("20230504"), pan("20230504", processed="20230512", cloud=None), pan("20230504", tier="RT", cloud=99),
    landsat("20230520", processed="20230524", cloud=55.0), landsat("20230520", tier="RT", cloud=50.0),
    pan("20230520", level="L1GT", tier="T2"),
    landsat("20230605", cloud=None),
    landsat("20230513", satellite=7, sensor="E"),
    landsat("20230521", place="072015", lon=179.6, lat=60.0), pan("20230521", place="072015", lon=179.6, lat=60.0),
    landsat("20230522", place="070015", lon=-179.0, lat=60.0),
    sentinel2(), sentinel2(style="c1"), sentinel2("20230525T050649", platform="S2B"),
]  # fmt: skip
for _near in (*STORED[-5:-3],):  # cut at the antimeridian, as the better catalogues do
    _near["geometry"] = {
        "type": "MultiPolygon",
        "coordinates": [
            [[[178.5, 59.1], [180, 59.1], [180, 60.9], [178.5, 60.9], [178.5, 59.1]]],
            [[[-180, 59.1], [-179.3, 59.1], [-179.3, 60.9], [-180, 60.9], [-180, 59.1]]],
        ],
    }
    _near["bbox"] = [178.5, 59.1, -179.3, 60.9]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with rustac(STORED, tmp_path_factory.mktemp("rustac")) as url:
        yield url


def at(url: str, **collections: str) -> dict[str, Catalog]:
    rows = collections or {"landsat_c2l2_sr": LANDSAT_L2, "landsat_c2l1": LANDSAT_L1, "sentinel_2_l2a": SENTINEL2}
    names = {name: name.replace("_", "-") for name in rows}
    made_rows = tuple(Collection(id=names[name], kind=kind) for name, kind in rows.items())
    return {"here": Catalog(name="here", url=url, collections=made_rows)}


def ask(url: str, **how: Any) -> Found:
    how = {"bbox": HERE, "datetime": "2023", "catalogs": ("here",), **how}
    return search_scenes(Query(**how), at(url))


def test_scenes_with_pan_missing_pan_and_versions(server: str) -> None:
    found = ask(server)
    assert [item.id[17:25] for item in found.landsat] == ["20230504", "20230520", "20230605"]
    assert found.landsat[1].tier == "T1"
    assert {scene[-10:]: item.correction for scene, item in found.pans.items()} == {
        "2023-05-04": "L1TP",
        "2023-05-20": "L1GT",
    }
    assert [old.tier for old, _ in found.replaced] == ["RT"]
    assert len(found.left_out) == 1
    assert "LE07" in found.left_out[0]


def test_more_than_a_thousand_items_come_page_by_page(server: str) -> None:
    with front(server) as before:
        found = ask(before.url, bbox=(19, -34, 21, -32), datetime="2018/2022", pan=False)
    assert len(found.landsat) == len(MANY) == 1050
    assert sum(path == "/search" for path, _ in before.asked) == 11


def test_a_limit_stops_asking(server: str) -> None:
    with front(server) as before:
        found = ask(before.url, bbox=(19, -34, 21, -32), datetime="2018/2022", pan=False, limit=7)
    assert len(found.landsat) == 7
    assert sum(path == "/search" for path, _ in before.asked) == 1


def test_clouds_are_limited_also_where_the_server_cannot(server: str) -> None:
    found = ask(server, max_cloud=20)
    assert [item.id[17:25] for item in found.landsat] == ["20230504"]
    assert len(found.pans) == 1, "a Level-1 item of unknown cloud cover is a partner all the same"


def test_a_box_across_the_antimeridian(server: str) -> None:
    with front(server) as before:
        found = ask(before.url, bbox=(178.0, 58.0, -178.5, 62.0))
    assert [item.location for item in found.landsat] == ["072015", "070015"]
    assert [scene.split()[1] for scene in found.pans] == ["072015"]
    boxes = [body["bbox"] for path, body in before.asked if path == "/search"]
    assert boxes[:2] == [[178.0, 58.0, 180.0, 62.0], [-180.0, 58.0, -178.5, 62.0]]


def test_a_box_that_ends_at_the_antimeridian(server: str) -> None:
    assert Query(bbox=(180, 58, -178, 62), datetime=DAY).areas() == [{"bbox": (-180.0, 58, -178, 62)}]
    assert Query(bbox=(178, 58, -180, 62), datetime=DAY).areas() == [{"bbox": (178, 58, 180.0, 62)}]
    assert [item.location for item in ask(server, bbox=(180, 58, -179.3, 62)).landsat] == ["072015", "070015"]


def test_a_limit_is_none_for_pan(server: str) -> None:
    found = ask(server, bbox=(78, 8, 80, 9.5), limit=1)
    assert len(found.landsat) == len(found.pans) == 1


def test_items_that_were_not_asked_for_do_not_count() -> None:
    def behind(path: str, body: Any) -> Item:
        return page([sentinel2(), landsat()]) if path == "/search" else landing(careless.url)

    with front(behind) as careless:
        found = ask(careless.url, pan=False)
    assert len(found.landsat) == 1
    assert not found.left_out


def test_a_place_from_geojson(server: str, tmp_path: Path) -> None:
    ring = [[78.5, 8.2], [79.5, 8.2], [79, 9], [78.5, 8.2]]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    path = tmp_path / "place.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature, feature]}))
    found = ask(server, bbox=None, intersects=read_area(path), sensor="sentinel-2")
    assert [item.platform for item in found.sentinel2] == ["sentinel-2a", "sentinel-2b"]
    assert not found.landsat


def test_a_catalogue_by_its_address_tells_what_it_holds(server: str) -> None:
    found = search_scenes(Query(bbox=HERE, datetime="2023-05", sensor="both", catalogs=(server,)))
    assert len(found.landsat) == 2
    assert len(found.pans) == 2
    assert [item.collection for item in found.sentinel2] == ["sentinel-2-c1-l2a", "sentinel-2-l2a"]
    assert {row.id for row in found.catalogs[0].collections} == {
        "landsat-c2l2-sr", "landsat-c2l1", "sentinel-2-c1-l2a", "sentinel-2-l2a",
    }  # fmt: skip


def test_pan_from_another_catalogue(server: str) -> None:
    with front(lambda path, body: page([landsat(style="pc")]) if path == "/search" else landing(pc.url)) as pc:
        row = Collection(id="landsat-c2-l2", kind=LANDSAT_L2)
        known = {**at(server), "pc": Catalog(name="pc", url=pc.url, pan_from="here", collections=(row,))}
        query = Query(bbox=HERE, datetime=DAY, catalogs=("pc",))
        found = search_scenes(query, known)
        assert [item.catalog for item in found.pans.values()] == ["here"]
        known["here"] = Catalog(name="here", url="http://127.0.0.1:9", collections=known["here"].collections)
        found = search_scenes(query, known)
    assert found.landsat
    assert not found.pans
    assert "pan was not looked for" in found.warnings[0]


def test_a_server_has_no_say_in_local_files() -> None:
    raw = landsat()
    raw["assets"]["red"]["href"] = "/etc/passwd"
    with front(lambda path, body: page([raw]) if path == "/search" else landing(state.url)) as state:
        row = Collection(id="landsat-c2l2-sr", kind=LANDSAT_L2)
        known = {"x": Catalog(name="x", url=state.url, collections=(row,))}
        found = search_scenes(Query(bbox=HERE, datetime=DAY, catalogs=("x",)), known)
    assert not found.landsat
    assert found.left_out == (f"{raw['id']}: red is /etc/passwd, a file of this machine; it is left out",)


def test_pan_from_nowhere(server: str) -> None:
    found = search_scenes(Query(bbox=HERE, datetime=DAY, catalogs=("here",)), at(server, landsat_c2l2_sr=LANDSAT_L2))
    assert found.landsat
    assert "here: holds no landsat-l1" in found.warnings[0]


def test_real_items_and_a_level_1_made_of_one(data: Path, tmp_path: Path) -> None:
    folder = data / "stac_items"
    real = {path.stem: path.read_text() for path in folder.glob("*.json") if "antarctic" not in path.stem}
    if not real:  # the Antarctic one has a date without a time, which rustac does not read
        pytest.skip(f"{folder}: no STAC items there")
    level2 = real["usgs_landsat-c2l2-sr_LC08_L2SP_028030_20200114"]
    renamed = level2.replace("_L2SP_", "_L1TP_").replace("_20200824_", "_20200823_").replace("_T1_SR", "_T1")
    level1 = json.loads(renamed.replace("landsat-c2l2-sr", "landsat-c2l1"))
    level1["assets"]["pan"] = json.loads(json.dumps(level1["assets"]["red"]).replace("_B4.TIF", "_B8.TIF"))
    with rustac([*map(json.loads, real.values()), level1], tmp_path) as url:
        query = Query(bbox=(-180, -90, 180, 90), datetime="2018/2023", sensor="both", catalogs=(url,))
        found = search_scenes(query)
    assert [item.location for item in found.landsat] == ["028030", "047027", "010065"]
    assert [old.location for old, _ in found.replaced] == ["047027"], "the same scene in two collections"
    assert [item.id for item in found.sentinel2] == ["S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531"]
    assert [item.product for item in found.pans.values()] == ["LC08_L1TP_028030_20200114_20200823_02_T1"]
    assert found.landsat[0].raw["assets"] == json.loads(level2)["assets"]


# ---- servers that fail


def page(items: list[Item], **more: Any) -> Item:
    return {"type": "FeatureCollection", "features": items, "links": [], **more}


def test_failures_are_asked_again(server: str) -> None:
    with front(server) as before:
        before.script = [(500, {}, "oops"), (429, {"Retry-After": "0"}, "slow down"), (503, {}, "")]
        assert len(ask(before.url, pan=False).landsat) == 3
    assert sum(path == "/search" for path, _ in before.asked) == 4


def test_no_server_makes_us_wait_for_an_hour(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waited.append)
    with front(server) as before:
        before.script = [(429, {"Retry-After": "3600"}, "slow down")]
        assert ask(before.url, pan=False).landsat
    assert waited == [http_policy.LONGEST_WAIT]


HTML: Answer = (200, {"Content-Type": "text/html"}, "<!doctype html><title>Sign in</title>")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, {}, "oops"), r"still fails after 6 attempts \(500\)"),
        ((429, {}, "slow down"), r"still fails after 6 attempts \(429\)"),
        (HTML, "not as a STAC API"),
        ((404, {}, "<html>no</html>"), "not there \\(404\\); check the address"),
        ((403, {}, "no"), "wants a login"),
        ((400, {}, '{"detail": "bad\nbbox"}'), "refuses the search .400: .*bad bbox"),
        ((200, {}, "[]"), "not as a STAC API"),
        ((200, {}, '{"type": "FeatureCollection", "features": ["x"]}'), "not as a STAC API"),
    ],
)
def test_a_failing_server_in_one_line(server: str, answer: Answer, said: str) -> None:
    with front(server) as before:
        before.script = [answer] * 9
        with pytest.raises(InputError, match=said) as failed:
            ask(before.url)
    assert str(failed.value).startswith(before.url)
    assert "\n" not in str(failed.value)
    assert "<" not in str(failed.value)


def test_a_web_page_instead_of_everything(server: str) -> None:
    with front(server) as before:
        before.always = HTML
        with pytest.raises(InputError, match="not as a STAC API"):
            ask(before.url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://nowhere.invalid"])
def test_no_network(url: str) -> None:
    with pytest.raises(InputError, match=r"cannot be reached .*check the network and the address"):
        ask(url)


def test_a_server_that_sends_one_page_for_ever() -> None:
    def behind(path: str, body: Any) -> Item:
        link = {"rel": "next", "href": f"{loop.url}/search", "method": "POST", "body": {}}
        return page([landsat()], links=[link]) if path == "/search" else landing(loop.url)

    with front(behind) as loop, pytest.raises(InputError, match="the same page again"):
        ask(loop.url)


def test_clouds_are_asked_for_where_the_server_can() -> None:
    def behind(path: str, body: Any) -> Item:
        return (
            page([landsat()])
            if path == "/search"
            else landing(clever.url, "https://api.stacspec.org/v1.0.0/item-search#query")
        )

    with front(behind) as clever:
        ask(clever.url, max_cloud=20, pan=False)
    assert clever.asked[-1][1]["query"] == {"eo:cloud_cover": {"lte": 20}}


def test_without_pystac_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pystac_client", None)
    with pytest.raises(InputError, match=r"pip install 'l8s2\[stac\]'"):
        ask("http://127.0.0.1:9")


# ---- what is asked, and where


@pytest.mark.parametrize("name", KNOWN)
def test_a_built_in_catalogue_is_in_the_help_and_on_the_page(name: str) -> None:
    said = CliRunner().invoke(main, ["search", "--help"]).stdout
    assert re.search(rf"\b{name}\b", " ".join(said.split()))
    page = Path(__file__).parents[2] / "docs" / "search.md"
    if page.exists():
        assert f"({KNOWN[name].url}) | `{name}` |" in page.read_text(encoding="utf-8")


def test_the_built_in_catalogues() -> None:
    assert {"usgs", "planetary-computer", "earth-search", "cdse"} <= KNOWN.keys()
    assert all(c.url.startswith("https://") and c.collections for c in KNOWN.values())
    assert KNOWN["usgs"].of(LANDSAT_L1)[0].access[0] == "s3-requester-pays"
    assert all(not c.pan_from or KNOWN[c.pan_from].of(LANDSAT_L1) for c in KNOWN.values())


def test_a_sensor_that_no_catalogue_has(server: str) -> None:
    with pytest.raises(InputError, match=r"holds no sentinel-2-l2a; add a catalogue that does"):
        search_scenes(
            Query(bbox=HERE, datetime=DAY, sensor="both", catalogs=("here",)), at(server, landsat_c2l2_sr=LANDSAT_L2)
        )


def test_a_catalogue_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "config" / "l8s2" / "catalogs.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text("""
        [mine]
        url = "https://stac.example.org"
        [mine.collections.s2]
        kind = "sentinel-2-l2a"
        offset_removed = true
        assets = { nir08 = "band8a", scl = ["a", "b"] }
    """)
    (catalog_of_mine,) = choose(["mine"], known_catalogs())
    row = catalog_of_mine.collections[0]
    assert (row.names("nir08"), row.names("scl"), row.names("blue")[0]) == (("band8a",), ("a", "b"), "blue")
    assert row.access == ("https",)
    assert row.offset_removed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[x", "not valid TOML"),
        ("x = 1", "not a table"),
        ("[x]\nurl = 'ftp://x'", "url is 'ftp://x'"),
        ("[x]\nurl = 'https://x'\nkey = 1", "key is not known"),
        ("[x]\nurl = 1", "must be a str"),
        ("[x]\nurl = 'https://x'\ncollections.a = {kind = 'modis'}", "kind is 'modis'"),
        (
            "[x]\nurl = 'https://x'\ncollections.a = {kind = 'landsat-l1', access = ['carrier pigeon']}",
            "carrier pigeon",
        ),
        ("[x]\nurl = 'https://x'\ncollections.a = {kind = 'landsat-l1', assets = {red = 'B4'}}", "red = 'B4'"),
        ("[x]\nurl = 'https://x'\ncollections.a = {kind = 'landsat-l1', assets = {pan = 8}}", "pan = 8"),
    ],
)
def test_a_list_of_catalogues_with_a_mistake(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as failed:
        known_catalogs(path)
    assert "\n" not in str(failed.value)


def test_catalogues_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        known_catalogs(tmp_path / "none.toml")
    with pytest.raises(InputError, match="'nasa': no catalogue of that name; give usgs, "):
        choose(["nasa"], KNOWN)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"bbox": (80, 9, 78, 8)}, "south is not below north"),
        ({"bbox": (181, 8, 182, 9)}, "in degrees"),
        ({"bbox": (float("nan"), 8, 82, 9)}, "in degrees"),
        ({"bbox": (8, 8, 8, 9)}, "west and east are the same"),
        ({"bbox": None}, "needs one place"),
        ({"datetime": "yesterday"}, "'yesterday' is no date"),
        ({"datetime": "2023-02-30"}, "is no date"),
        ({"datetime": "2023-06/2023-05"}, "ends before it begins"),
        ({"datetime": "../.."}, "a day, a month"),
        ({"max_cloud": 120}, "give percent"),
        ({"limit": 0}, "give 1 or more"),
        ({"sensor": "modis"}, "give one of landsat"),
    ],
)
def test_a_query_that_cannot_be_meant(how: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Query(**{"bbox": HERE, "datetime": DAY, **how})


@pytest.mark.parametrize(
    "text", ["2023", "2023-05", "2023-05-20", "2023-05-20T10:30:00Z", "2023-05-01/..", "../2023", "2023-05-20/2023-05"]
)
def test_dates_that_are_understood(text: str) -> None:
    Query(bbox=HERE, datetime=text)


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"type": "Feature"}',
     '{"type": "Point", "coordinates": [1]}', '{"type": "FeatureCollection", "features": []}',
     '{"type": "Point", "coordinates": [500000, 4649776]}'],
)  # fmt: skip
def test_a_file_without_a_place(tmp_path: Path, content: str) -> None:
    path = tmp_path / "place.geojson"
    path.write_text(content)
    with pytest.raises(InputError, match=r"place\.geojson: "):
        read_area(path)
