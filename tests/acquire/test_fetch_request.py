"""What a saved search, a recipe or an item says is to be fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from l8s2.acquire import fetch_request
from l8s2.acquire.fetch_request import PanSearch, find_missing_pans, merge, parse_request
from l8s2.catalogs.endpoints import Catalog, Collection, known_catalogs
from l8s2.catalogs.items import scene_item
from l8s2.catalogs.pairing import PairRules, find_pairs
from l8s2.catalogs.query import Query
from l8s2.catalogs.recipe import Recipe, save_recipe
from l8s2.catalogs.saved_items import CATALOG, PAN, feature_collection, parse_items
from l8s2.catalogs.search import Found
from l8s2.errors import InputError
from making.items import landsat, sentinel2

KNOWN = known_catalogs()
L2, L1, S2 = (
    scene_item(raw, name, next(c for c in KNOWN[name].collections if c.id == raw["collection"]))
    for raw, name in (
        (landsat(), "usgs"),
        (landsat(level="L1TP", processed="20230524"), "usgs"),
        (sentinel2(), "earth-search"),
    )
)


def saved(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content))
    return str(path)


def linked(raw: dict[str, Any], **links: str) -> dict[str, Any]:
    return {**raw, "links": [{"rel": rel, "href": href} for rel, href in links.items()]}


def test_a_saved_search_comes_back_with_its_pan(tmp_path: Path) -> None:
    found = Found(landsat=(L2,), sentinel2=(S2,), pans={L2.scene: L1})
    read = parse_request(saved(tmp_path / "found.json", feature_collection(found)), KNOWN)
    assert read.scenes == (L2, S2)
    pan = read.pans[L2.scene]
    assert pan is not None
    assert (pan.id, pan.product, pan.scene, pan.catalog, pan.collection, pan.kind) == (
        L1.id, L1.product, L1.scene, L1.catalog, L1.collection, "landsat-l1",
    )  # fmt: skip
    assert pan.assets == L1.assets
    assert read.items() == [L2, pan, S2]
    assert find_missing_pans(read) == PanSearch(request=read, without_pan=(), failures=())


def test_a_search_that_found_no_pan_is_believed(tmp_path: Path) -> None:
    read = parse_request(saved(tmp_path / "found.json", feature_collection(Found(landsat=(L2,)))), KNOWN)
    assert find_missing_pans(read).without_pan == (f"{L2.id}: without pan (no Level-1 item of it was found)",)
    assert read.items() == [L2]


def test_a_recipe(tmp_path: Path) -> None:
    pairs = find_pairs([L2], [S2], {L2.scene: L1}, PairRules())
    mine = Catalog(name="mine", url="https://stac.example.org")
    query = Query(datetime="2023", bbox=(78, 8, 80, 9))
    path = tmp_path / "recipe.json"
    save_recipe(Recipe(l8s2="0", query=query, rules=PairRules(), catalogs=(mine,), pairs=tuple(pairs)), path)
    read = parse_request(str(path), KNOWN)
    assert read.items() == [L2, L1, S2]
    assert read.catalogs["mine"] == mine
    assert merge([read, read]) == read


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (landsat(), "usgs"),  # no other catalogue has such a collection
        (sentinel2(style="c1"), "earth-search"),
        (linked(sentinel2(style="pc"), self=f"{KNOWN['planetary-computer'].url}/collections/sentinel-2-l2a/items/x"),
         "planetary-computer"),
        (linked(sentinel2(), root=KNOWN["earth-search"].url), "earth-search"),
        (linked(sentinel2(style="cdse"), root="https://stac.dataspace.copernicus.eu/v1/"), "cdse"),
        (linked(sentinel2(), self="https://stac.example.org/collections/sentinel-2-l2a/items/x"), "https://stac.example.org"),
    ],
)  # fmt: skip
def test_where_an_item_is_from(raw: dict[str, Any], name: str) -> None:
    read = parse_items(raw, KNOWN, "item.json")
    assert [item.catalog for item in read.scenes] == [name]
    assert name in read.catalogs


def test_an_item_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"{KNOWN['planetary-computer'].url}/collections/sentinel-2-l2a/items/x"
    monkeypatch.setattr(fetch_request, "read_address", {address: sentinel2(style="pc")}.get)
    assert parse_request(address, KNOWN).scenes[0].catalog == "planetary-computer"


def test_a_product_id_is_an_item_of_usgs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    address = f"{KNOWN['usgs'].url}/collections/landsat-c2l2-sr/items/{L2.id}"
    monkeypatch.setattr(fetch_request, "read_address", {address: landsat()}.__getitem__)
    Path(L2.product).mkdir()
    assert parse_request(L2.product, KNOWN).scenes == parse_request(L2.id, KNOWN).scenes == (L2,)
    for other in (L1.product, "LC08_L2SP_143054"):
        with pytest.raises(InputError, match="No such file"):
            parse_request(other, KNOWN)


def test_pan_is_searched_for_where_that_was_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = parse_request(saved(tmp_path / "item.json", landsat()), KNOWN)
    monkeypatch.setattr(fetch_request, "find_pan", lambda item, known: L1)
    searched = find_missing_pans(request)
    assert searched.request.items() == [L2, L1]
    assert not searched.without_pan + searched.failures

    def fails(*_: object) -> None:
        raise InputError("usgs: out of order")

    monkeypatch.setattr(fetch_request, "find_pan", fails)
    searched = find_missing_pans(request)
    assert searched.request.items() == [L2]
    assert not searched.without_pan
    assert searched.failures == (f"{L2.id}: pan could not be looked for (usgs: out of order)",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "no STAC item"),
        ({"type": "Catalog"}, "no STAC item"),
        ({"type": "FeatureCollection", "features": [1]}, "no STAC item"),
        ({"schema": "l8s2-pairs/99"}, "no STAC item"),
        (sentinel2(), "no link tells which"),
        (landsat() | {"collection": "other"}, "none that is known"),
        (linked(landsat() | {"collection": "other"}, root="https://stac.example.org"), "what the collection other of"),
        (landsat(satellite=5, sensor="T"), "l8s2 reads LC08 and LC09 of Collection 2; take it out of"),
        (sentinel2() | {"links": [3, None, {"rel": []}]}, "no link tells which"),
        (sentinel2() | {"links": 5}, "no link tells which"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        parse_request(saved(tmp_path / "x.json", content), KNOWN)
    assert "\n" not in str(caught.value)


def test_a_property_that_does_not_fit() -> None:
    for name, value, said in (
        (CATALOG, "nasa", "no catalogue of that name"),
        (PAN, {"id": 3}, "search again"),
        (PAN, [], "search again"),
        (PAN, {"id": "x", "collection": "x", "catalog": "usgs", "assets": {"pan": {"href": 5}}}, "search again"),
    ):
        raw = landsat()
        raw["properties"][name] = value
        with pytest.raises(InputError, match=said):
            parse_items(raw, KNOWN, "item.json")


def test_a_pan_that_was_found_stays(tmp_path: Path) -> None:
    found, none = (
        parse_request(saved(tmp_path / "x.json", feature_collection(Found(landsat=(L2,), pans=pans))), KNOWN)
        for pans in ({L2.scene: L1}, {})
    )
    for several in ([found, none], [none, found]):
        pan = merge(several).pans[L2.scene]
        assert pan is not None
        assert pan.id == L1.id
    assert merge([none, none]).pans == {L2.scene: None}


def test_a_server_has_no_say_in_local_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    local = landsat()
    local["assets"]["red"]["href"] = "/etc/passwd"
    with_pan = feature_collection(Found(landsat=(L2,), pans={L2.scene: L1}))
    with_pan["features"][0]["properties"][PAN]["assets"]["pan"]["href"] = "/etc/passwd"
    for content in (local, with_pan):
        monkeypatch.setattr(fetch_request, "read_address", lambda url, content=content: content)
        with pytest.raises(InputError, match="is /etc/passwd, a file of this machine; take it out of https://x"):
            parse_request("https://x", KNOWN)
        assert parse_request(saved(tmp_path / "x.json", content), KNOWN).scenes


def test_no_file_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        parse_request(str(tmp_path / "none"), KNOWN)
    (tmp_path / "x").write_text("<html>")
    with pytest.raises(InputError, match="no STAC item"):
        parse_request(str(tmp_path / "x"), KNOWN)


def test_collections_of_a_catalogue_known_by_its_address() -> None:
    raw = landsat()
    raw["properties"][CATALOG] = "http://127.0.0.1:9"
    read = parse_items(raw, KNOWN, "item.json")
    assert read.catalogs["http://127.0.0.1:9"].collections == ()
    assert read.scenes[0].kind == "landsat-l2"
    assert Collection(id="landsat-c2l2-sr", kind="landsat-l2").access == ("https",)
