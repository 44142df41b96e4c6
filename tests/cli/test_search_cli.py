"""l8s2 search as users run it, against a real STAC API on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from l8s2.catalogs import http_policy
from l8s2.catalogs.recipe import load_recipe
from l8s2.cli import main
from making.items import front, landsat, rustac, sentinel2

pytest.importorskip("pystac_client")

STORED = [
    landsat(), landsat(level="L1TP", processed="20230524"), landsat("20230605"), landsat("20230605", tier="RT"),
    sentinel2(), sentinel2(style="c1"), sentinel2("20230606T050651"),
]  # fmt: skip
HERE = ("--bbox", "78", "8", "80", "9.5", "--datetime", "2023-05/2023-06")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with rustac(STORED, tmp_path_factory.mktemp("rustac")) as url:
        yield url


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(http_policy, "BACKOFF", 0.001)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["search", *map(str, arguments)])


def test_a_table_of_scenes(server: str) -> None:
    done = run("--catalog", server, *HERE, "--sensor", "both")
    assert done.exit_code == 0, done.stderr
    header, *lines = done.stdout.splitlines()
    assert header.split()[-2:] == ["pan", "id"]
    assert [line.split()[-2:] for line in lines] == [
        ["yes", "LC08_L2SP_143054_20230520_20230520_02_T1_SR"],
        ["-", "S2A_T44PKR_20230520T050651_L2A"],
        ["no", "LC08_L2SP_143054_20230605_20230605_02_T1_SR"],
        ["-", "S2A_44PKR_20230606_0_L2A"],
    ]
    assert lines[0].startswith("2023-05-20 04:56  landsat-8    143054        3.2     62.1  T1")
    assert "1 Landsat scene(s) without pan: LC08_L2SP_143054_20230605" in done.stderr
    assert "2 older version(s) gave way" in done.stderr
    assert "2 Landsat, 2 Sentinel-2" in done.stderr


def test_the_raw_items_with_their_pan(server: str) -> None:
    done = run("--catalog", server, *HERE, "--json")
    content = json.loads(done.stdout)
    assert content["type"] == "FeatureCollection"
    first, second = content["features"]
    about = first["properties"].pop("l8s2:pan")
    assert first["properties"].pop("l8s2:catalog") == server
    assert {key: first[key] for key in ("id", "properties", "assets", "geometry")} == {
        key: STORED[0][key] for key in ("id", "properties", "assets", "geometry")
    }
    assert about["id"] == STORED[1]["id"]
    assert about["assets"]["pan"]["alternate"]["s3"].endswith("LC08_L1TP_143054_20230520_20230524_02_T1_B8.TIF")
    assert second["properties"]["l8s2:pan"] is None


def test_pairs_a_recipe_and_the_same_again(server: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    done = run("--catalog", server, *HERE, "--pairs", "--max-days", 1, "-o", path)
    assert done.exit_code == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["days", "0", "1"]
    recipe = load_recipe(path)
    assert [pair.sentinel2.id for pair in recipe.pairs] == [
        "S2A_T44PKR_20230520T050651_L2A",
        "S2A_44PKR_20230606_0_L2A",
    ]
    assert [pair.pan is not None for pair in recipe.pairs] == [True, False]
    again = run("--rerun", path, "--json")
    assert again.stdout == path.read_text()
    assert run("--rerun", path, "-o", path).exit_code == 1
    assert run("--rerun", path, "-o", path, "--overwrite").exit_code == 0
    same_day = run("--catalog", server, *HERE, "--pairs")
    assert len(same_day.stdout.splitlines()) == 2
    assert len(run("--catalog", server, *HERE, "--pairs", "--max-days", 1, "--limit", 1).stdout.splitlines()) == 2


def test_pan_that_was_not_looked_for(server: str, tmp_path: Path) -> None:
    path, recipe = tmp_path / "mine.toml", tmp_path / "recipe.json"
    path.write_text(f'[mine]\nurl = "{server}"\npan_from = "off"\n' + "".join(
        f'collections.{name} = {{ kind = "{kind}" }}\n'
        for name, kind in (("landsat-c2l2-sr", "landsat-l2"), ("sentinel-2-l2a", "sentinel-2-l2a"))
    ) + '[off]\nurl = "http://127.0.0.1:9"\ncollections.landsat-c2l1 = { kind = "landsat-l1" }\n')  # fmt: skip
    mine = ("--catalog", "mine", "--catalog-file", path, *HERE)
    for more, warned in (((), True), (("--no-pan",), False)):
        done = run(*mine, *more, "--json")
        assert done.exit_code == 0, done.stderr
        assert not any("l8s2:pan" in feature["properties"] for feature in json.loads(done.stdout)["features"])
        assert ("pan was not looked for" in done.stderr) == warned
        assert "without pan" not in done.stderr
    failed = run(*mine, "--pairs", "--max-days", 1, "-o", recipe)
    assert failed.exit_code == 1
    assert failed.stderr.startswith(
        f"l8s2: {recipe}: not saved, pan was not looked for: http://127.0.0.1:9: cannot be reached"
    )
    assert failed.stderr.count("\n") == 1
    assert not recipe.exists()
    assert run(*mine, "--pairs", "--max-days", 1, "--no-pan", "-o", recipe).exit_code == 0
    assert recipe.exists()


def test_nothing_found_is_no_failure(server: str) -> None:
    done = run("--catalog", server, "--bbox", 0, 0, 1, 1, "--datetime", "2023", "--pairs")
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 1
    assert "0 Landsat, 0 Sentinel-2" in done.stderr


def test_catalogues_from_a_file(server: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'[mine]\nurl = "{server}"\ncollections.sentinel-2-l2a = {{ kind = "sentinel-2-l2a" }}\n')
    done = run("--catalog", "mine", "--catalog-file", path, *HERE, "--sensor", "sentinel-2")
    assert len(done.stdout.splitlines()) == 3


def test_a_place_from_a_file(server: str, tmp_path: Path) -> None:
    path = tmp_path / "place.geojson"
    path.write_text(json.dumps({"type": "Point", "coordinates": [79.0, 8.7]}))
    done = run("--catalog", server, "--intersects", path, "--datetime", "2023-05-20")
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing option '--datetime'"),
        (("--datetime", "2023"), "--bbox or --intersects"),
        ((*HERE, "--intersects", "x"), "--bbox or --intersects"),
        ((*HERE, "-o", "x"), "goes with --pairs"),
        ((*HERE, "--pairs", "--sensor", "landsat"), "searches both"),
        (("--rerun", "x", "--limit", "3"), "as the recipe says"),
        (("--rerun", "x", "--max-days", "3"), "as the recipe says"),
        ((*HERE, "--sensor", "modis"), "'modis' is not one of"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--bbox", "80", "9", "78", "8", "--datetime", "2023"), "south is not below north"),
        ((*HERE, "--catalog", "nasa"), "no catalogue of that name"),
        ((*HERE, "--catalog", "http://127.0.0.1:9"), "cannot be reached (connection refused)"),
        ((*HERE, "--catalog", "http://"), "no catalogue of that name"),
        ((*HERE, "--catalog-file", "none.toml"), "no such file"),
        (("--rerun", "none.json"), "give a recipe"),
    ],
)
def test_failures_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 1
    assert done.stderr.startswith("l8s2: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_an_output_in_the_way_is_told_before_anything_is_asked(server: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text("precious")
    with front(server) as before:
        done = run("--catalog", before.url, *HERE, "--pairs", "-o", path)
    assert done.exit_code == 1
    assert "--overwrite" in done.stderr
    assert not before.asked


def test_it_goes_online_only_when_it_searches() -> None:
    modules = "l8s2.catalogs.pairing, l8s2.catalogs.recipe, l8s2.catalogs.versions"
    code = f"import sys, {modules}; print('requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
