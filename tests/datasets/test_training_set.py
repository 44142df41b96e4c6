"""From a search to a model trained on real pairs and its scores, by the command line; all servers are on loopback."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from odc.geo.geobox import GeoBox

from l8s2.catalogs import http_policy
from l8s2.cli import main
from l8s2.patches.patch import outline
from l8s2.patches.patch_set import PatchSet
from l8s2.sensors import BANDS
from l8s2.simulate.landscape import landscape
from making.patches import box_at
from making.products import DAY, landsat_item, pair_of, sentinel2_item, write_pair

pytest.importorskip("h5py")
pytest.importorskip("pystac_client")
from making.asset_server import AssetServer, Fault, assets
from making.items import landsat, rustac, sentinel2

PLACES = {"33UVS": ("192025", -187_001), "33UVU": ("193023", -193_667), "33UVQ": ("191027", -180_335)}
"""MGRS tile -> path and row, and where it is; so far apart that they may be on three sides."""
SHIFT = (6.0, -9.0)
SIZE = 40


def boxes() -> dict[str, GeoBox]:
    return {tile: box_at(row, 15_001, 130) for tile, (_, row) in PLACES.items()}


def write_places(store: Path) -> None:
    """Both sensors' files of three places; in the second one Sentinel-2 lies too far down and left."""
    for k, (tile, box) in enumerate(boxes().items()):
        pair = replace(pair_of(box, tile=tile), landsat=landsat_item(box, path_row=PLACES[tile][0]))
        how: dict[str, Any] = {"shift": SHIFT} if k == 1 else {}
        write_pair(store, pair, box, landscape(k, (130, 130)).truth, seed=k, **how)


def items(store: Path, url: str) -> list[dict[str, Any]]:
    """As USGS and Earth Search write them, and where the files are."""
    day, found = f"{DAY:%Y%m%d}", []
    for tile, box in boxes().items():
        place = {"type": "Polygon", "coordinates": [outline(box).tolist()]}
        common = {"satellite": 9, "processed": "20230630", "zone": 33, "clock": "10:02:03.1", "sun": (52.5, 150.0)}
        level2, level1 = (landsat(day, PLACES[tile][0], level=level, **common) for level in ("L2SP", "L1TP"))
        for item in (level2, level1):
            folder = item["id"].removesuffix("_SR")
            named = {name: f"{folder}/{Path(asset['href']).name}" for name, asset in item["assets"].items()}
            item["assets"] = {name: {"href": f"{url}/{at}"} for name, at in named.items() if (store / at).exists()}
        msi = sentinel2(f"{day}T101031", tile, processed=f"{day}T160000", removed=False, sun=(53.0, 152.0))
        folder = sentinel2_item(box, tile=tile).product
        names = {band.name: band.sentinel2 for band in BANDS} | {"scl": "SCL"}
        msi["assets"] = {name: {"href": f"{url}/{folder}/{file}.tif"} for name, file in names.items()}
        for item in (level2, level1, msi):
            xs, ys = zip(*place["coordinates"][0], strict=True)
            item |= {"geometry": place, "bbox": [min(xs), min(ys), max(xs), max(ys)]}
            found.append(item)
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AssetServer]:
    store, folder = (tmp_path_factory.mktemp(name) for name in ("store", "stac"))
    write_places(store)
    with assets(store) as server, rustac(items(store, server.url), folder) as stac:
        (folder / "catalogs.toml").write_text(
            f'[here]\nurl = "{stac}"\n'
            'collections.landsat-c2l2-sr = { kind = "landsat-l2" }\n'
            'collections.landsat-c2l1 = { kind = "landsat-l1" }\n'
            'collections.sentinel-2-l2a = { kind = "sentinel-2-l2a" }\n'
        )
        server.catalogs = folder / "catalogs.toml"  # type: ignore[attr-defined]
        yield server


@pytest.fixture(scope="module")
def recipe(server: AssetServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "recipe.json"
    around = np.concatenate([outline(box) for box in boxes().values()])
    (west, south), (east, north) = around.min(0), around.max(0)
    where = ("--catalog", "here", "--catalog-file", server.catalogs, "--bbox", west, south, east, north)  # type: ignore[attr-defined]
    done("search", *where, "--datetime", f"{DAY:%Y-%m-%d}", "--pairs", "-o", path)
    return path


@pytest.fixture(scope="module")
def undisturbed(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets") / "undisturbed"
    done("dataset", "build", recipe, "-o", folder, "--size", SIZE)
    return folder


def done(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_pairs_become_patches(undisturbed: Path) -> None:
    patches = PatchSet(undisturbed)
    assert set(patches.facts["location"]) == set(PLACES)
    assert {side.pair_type for side in patches.sides().values()} == {"Train", "Validation", "Test"}
    with (undisturbed / "pairs.csv").open(newline="") as file:
        recorded = {line["sentinel2_id"][38:44]: line for line in csv.DictReader(file)}
    moved = recorded.pop("T33UVU")
    assert moved["decision"] == "correct"
    np.testing.assert_allclose([float(moved["down_m"]), float(moved["right_m"])], SHIFT, atol=0.5)
    assert {line["decision"] for line in recorded.values()} == {"accept"}
    assert {float(line["offset"]) for line in (moved, *recorded.values())} == {-0.1}


def test_scenes_outside_the_area_are_left_out(server: AssetServer, tmp_path: Path) -> None:
    (west, south), (east, north) = (
        f(np.concatenate([outline(b) for b in boxes().values()]), axis=0) for f in (np.min, np.max)
    )
    here = ("--catalog-file", server.catalogs)  # type: ignore[attr-defined]
    where = ("--catalog", "here", *here, "--bbox", west, south, east, north, "--datetime", f"{DAY:%Y-%m-%d}")
    (tmp_path / "found.json").write_text(done("search", *where, "--sensor", "both", "--json"))
    (x, y) = outline(boxes()["33UVU"]).mean(0)
    place = ("--bbox", x - 0.001, y - 0.001, x + 0.001, y + 0.001)
    said = json.loads(done("fetch", tmp_path / "found.json", "-o", tmp_path / "in", *here, *place, "--json"))
    fetched = {Path(scene["folder"]).name for scene in said["scenes"] if scene["status"] == "fetched"}
    assert {name[:16] for name in fetched} == {"LC09_L2SP_193023", "LC09_L1TP_193023", "S2A_MSIL2A_20230"}
    assert {scene["status"] for scene in said["scenes"]} == {"fetched", "outside"}
    assert {path.name for path in (tmp_path / "in").iterdir()} == fetched


def test_faults_change_nothing(
    server: AssetServer, recipe: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_policy, "BACKOFF", 0.01)
    server.fault("B04.tif", Fault(status=500), Fault(drop_after=2000), Fault(status=503))
    server.fault("B11.tif", Fault(status=429, headers={"retry-after": "0"}), Fault(status=403))
    server.fault("SCL.tif", *[Fault(status=404)] * 1000)
    result = CliRunner().invoke(main, ["dataset", "build", str(recipe), "-o", str(tmp_path), "--size", str(SIZE)])
    assert result.exit_code == 1
    assert "SCL.tif: not there (404)" in result.stderr
    server.faults.clear()
    done("dataset", "resume", tmp_path)
    for name in ("index.csv", "pairs.csv", "split.csv"):
        assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes()
    ours, theirs = PatchSet(tmp_path), PatchSet(undisturbed)
    assert len(ours) == len(theirs)
    for k in range(len(ours)):
        for name, array in theirs.read(k).arrays().items():
            assert np.array_equal(ours.read(k).arrays()[name], array)


def test_a_model_is_trained_and_scored_on_it(undisturbed: Path, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    for module in ("torch", "accelerate", "pydantic"):
        pytest.importorskip(module)
    config = {
        "model": {"start": "compact"},
        "data": {"batch": 2, "pairs": {"folder": str(undisturbed), "size": 20, "border": 3}},
        "optimizer": {"learning_rate": 1e-5},
        "schedule": {"warmup": 1},
        "steps": 4,
        "validate_every": 4,
    }
    (tmp_path / "pairs.yaml").write_text(yaml.safe_dump(config))
    done("train", "--config", tmp_path / "pairs.yaml", "-o", tmp_path / "run")
    model = ("--model", tmp_path / "run" / "model")
    scores = json.loads(done("evaluate", undisturbed, *model, "-o", tmp_path / "scores", "--json"))
    sides = [side.pair_type for side in PatchSet(undisturbed).sides().values()]
    assert scores["images"] == sides.count("Test")
    with (tmp_path / "scores" / "scores.csv").open(newline="") as file:
        gains = [line for line in csv.DictReader(file) if line["model"] == "model" and line["metric"] == "psnr_gain"]
    assert min(float(line["value"]) for line in gains) > 2
