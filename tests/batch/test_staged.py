"""What is found in folders that a platform has staged in."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l8s2.batch.scenes import read_scenes
from l8s2.batch.staged import staged_products
from l8s2.deliveries.find import ARCHIVES
from l8s2.errors import InputError
from making.staged import A_PAN, A, B, link, stage_in, write_json

KEYS = ["rel", "href", "links", "assets", "type"]


def pairs(folder: Path) -> list[tuple[str, str, str | None]]:
    return [(s.id, s.product.name, s.pan and s.pan.name) for s in staged_products(folder)]


def test_products_and_their_pan_are_found_whatever_the_folders_are_called(tmp_path: Path) -> None:
    stage_in(tmp_path, {"one": A, "two": A_PAN, "three": B})
    assert pairs(tmp_path) == [(A, "one", "two"), (B, "three", None)]
    first, second = read_scenes([str(tmp_path)]).scenes
    assert first.arguments(tmp_path) == (str(tmp_path / "one"), "--pan", str(tmp_path / "two"))
    assert second.arguments(tmp_path) == (str(tmp_path / "three"),)


@pytest.mark.parametrize("ending", ARCHIVES)
def test_catalogues_below_catalogues_archives_and_addresses_of_files(tmp_path: Path, ending: str) -> None:
    stage_in(tmp_path / "below", {"one it is": A})
    write_json(tmp_path / "catalog.json", {"type": "Catalog", "links": [
        link("child", "below/catalog.json"), link("child", "./catalog.json"), link("root", "../elsewhere.json"),
        link("item", "b/b.json"), link("item", "https://example.org/c.json"),
    ]})  # fmt: skip
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / f"{B}{ending}").touch()
    assets = {"tar": {"href": (tmp_path / "b" / f"{B}{ending}").as_uri()}, "gone": {"href": f"./{A_PAN}_B8.TIF"}}
    write_json(tmp_path / "b" / "b.json", {"type": "Feature", "assets": assets})
    assert sorted(pairs(tmp_path)) == [(A, "one it is", None), (B, f"{B}{ending}", None)]


def test_without_a_catalogue_nothing_has_changed(tmp_path: Path) -> None:
    (tmp_path / A).mkdir()
    assert [scene.product for scene in read_scenes([str(tmp_path)]).scenes] == [str(tmp_path / A)]


def test_scenes_in_the_output_of_a_batch_are_still_found(tmp_path: Path) -> None:
    (tmp_path / A).mkdir()
    for name in ("batch.json", "catalog.json"):
        write_json(tmp_path / name, {"links": []})
    assert [scene.product for scene in read_scenes([str(tmp_path)]).scenes] == [str(tmp_path / A)]


ODD = st.none() | st.integers() | st.sampled_from(["item", "child", "a.json", "//[", "file://[x", "\0", "..", "."])


@given(st.recursive(ODD, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner), max_leaves=9))
def test_no_content_of_a_catalogue_is_a_traceback(content: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for links in (content, [content], [{"rel": "item", "href": content}]):
            write_json(Path(folder) / "catalog.json", {"type": "Feature", "links": links, "assets": content})
            with pytest.raises(InputError):
                staged_products(Path(folder))


@pytest.mark.parametrize(
    ("catalog", "message"),
    [
        ({"links": []}, "leads to no Landsat Level-2 files"),
        ({"links": [{"rel": "item", "href": "https://example.org/a.json"}]}, "leads to no Landsat"),
        ({"links": [{"rel": "item", "href": "../../etc/passwd"}]}, "outside of"),
        ({"links": [{"rel": "item", "href": "file:///etc/passwd"}]}, "outside of"),
        ({"links": [{"rel": "item", "href": "gone.json"}]}, "gone.json: No such file"),
        ({"links": ["a"]}, "no STAC catalogue or Item"),
        ([1], "no STAC catalogue or Item"),
        ("{", "no STAC catalogue or Item"),
    ],
)
def test_what_is_no_catalogue_of_scenes(tmp_path: Path, catalog: Any, message: str) -> None:
    text = catalog if isinstance(catalog, str) else json.dumps(catalog)
    (tmp_path / "catalog.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_scenes([str(tmp_path)])
