"""From a search to a product by the command line alone; catalogue, S3 and https are on loopback."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result

from l8s2.acquire.cache import cached_product, single_landsat_item
from l8s2.catalogs import http_policy
from l8s2.cli import main
from l8s2.errors import InputError
from l8s2.simulate.sensor import Conditions, Observation
from making.asset_server import PAGE, AssetServer, Fault, assets, s3
from making.items import rustac
from making.scenes import ID, PAN_ID, make, ms_grid, smooth
from making.served import usgs_item

pytest.importorskip("pystac_client")
pytest.importorskip("boto3")

HERE = (15.0, 51.0)
"""Longitude and latitude in the scene."""
WINDOW = slice(75, 87), slice(75, 93)
"""MS pixels of the area that is harmonised alone; so far inside that no window around it reaches the edges."""


def textured(ms: Any) -> Observation:
    rng = np.random.default_rng(0)
    plain = smooth(ms)
    fine = (plain.pan + rng.normal(0, 0.01, plain.pan.shape)).astype(np.float32)
    return Observation(
        ms=plain.ms + rng.normal(0, 0.005, plain.ms.shape).astype(np.float32), pan=fine, conditions=Conditions()
    )


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product as it lies on the provider's disk."""
    box = ms_grid(164, 170)
    return make(tmp_path_factory.mktemp("provider"), box, textured(box), qa_radsat=np.zeros(box.shape, np.uint16))


def pixels(folder: Path) -> dict[str, Any]:
    """Every raster of a product, with its grid."""
    found = {}
    for path in folder.glob("*.tif"):
        with rasterio.open(path) as raster:
            found[path.name] = (raster.read(), raster.crs, raster.transform)
    return found


def assert_same(product: Path, expected: Path) -> None:
    ours, theirs = pixels(product), pixels(expected)
    assert ours.keys() == theirs.keys()
    for name, (values, *where) in ours.items():
        assert where == list(theirs[name][1:])
        assert (values == theirs[name][0]).all(), name


def assert_delivered(folder: Path, original: Path) -> None:
    """Every file of the product and its pan is in the folder, byte for byte; so what is made of it is the same."""
    for name in (ID, PAN_ID):
        for file in (original.parent / name).iterdir():
            assert (folder / name / file.name).read_bytes() == file.read_bytes()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def done(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def bbox(original: Path) -> tuple[float, ...]:
    with rasterio.open(next(original.glob("*_SR_B2.TIF"))) as raster:
        from odc.geo.geobox import GeoBox

        part = GeoBox.from_rio(raster)[WINDOW].geographic_extent.boundingbox
    return part.left, part.bottom, part.right, part.top


@pytest.fixture(scope="module")
def expected(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(done("harmonize", original, "-o", tmp_path_factory.mktemp("expected")).strip())


@pytest.fixture(scope="module")
def expected_part(original: Path, bbox: tuple[float, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(done("harmonize", original, "-o", tmp_path_factory.mktemp("part"), "--bbox", *bbox).strip())


@dataclass
class World:
    """What is on loopback, and the user's catalogues that tell of it."""

    stac: str
    server: AssetServer
    original: Path
    catalogs: dict[str, Path]
    """By way to the files."""

    def found(self, path: Path, way: str = "https") -> Path:
        place = ("--bbox", HERE[0] - 1, HERE[1] - 1, HERE[0] + 1, HERE[1] + 1, "--datetime", "2023-05")
        path.write_text(done("search", "--catalog", "usgs", "--catalog-file", self.catalogs[way], *place, "--json"))
        return path

    def item(self, product: str = f"{ID}_SR", collection: str = "landsat-c2l2-sr") -> str:
        return f"{self.stac}/collections/{collection}/items/{product}"


@contextmanager
def world_of(original: Path, folder: Path) -> Iterator[World]:
    pan = original.with_name(original.name.replace("L2SP", "L1TP"))
    with assets(original.parent) as server:
        items = [usgs_item(product, server.url, HERE) for product in (original, pan)]
        with rustac(items, folder) as stac:
            catalogs = {}
            for way, url in (("https", stac), ("s3-requester-pays", stac), ("planetary-computer-token", server.url)):
                catalogs[way] = folder / f"{way}.toml"
                catalogs[way].write_text(f'[usgs]\nurl = "{url}"\n' + "".join(
                    f'collections.{name} = {{ kind = "{kind}", access = ["{way}"] }}\n'
                    for name, kind in (("landsat-c2l2-sr", "landsat-l2"), ("landsat-c2l1", "landsat-l1"))
                ))  # fmt: skip
            yield World(stac, server, original, catalogs)


@pytest.fixture(scope="module")
def world(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_of(original, tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(autouse=True)
def user(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own folders; their catalogue is the one on loopback. Returns the cache of scenes."""
    monkeypatch.setattr(http_policy, "BACKOFF", 0.01)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "l8s2").mkdir(parents=True)
    shutil.copy(world.catalogs["https"], tmp_path / "config" / "l8s2" / "catalogs.toml")
    world.server.faults.clear()
    world.server.requests.clear()
    return tmp_path / "cache" / "l8s2" / "scenes"


def test_search_fetch_harmonize(world: World, expected: Path, tmp_path: Path) -> None:
    found = world.found(tmp_path / "found.json")
    folders = [str(tmp_path / "scenes" / name) for name in (ID, PAN_ID)]
    assert done("fetch", found, "-o", tmp_path / "scenes").splitlines() == folders
    assert_delivered(tmp_path / "scenes", world.original)
    assert_same(Path(done("harmonize", folders[0], "-o", tmp_path / "out").strip()), expected)
    asked = world.server.requests.total()
    again = json.loads(done("fetch", found, "-o", tmp_path / "scenes", "--json"))
    assert [(scene["folder"], scene["status"]) for scene in again["scenes"]] == [(f, "there already") for f in folders]
    assert again["failures"] == []
    assert world.server.requests.total() == asked


def test_s3_where_the_reader_pays(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moto")
    found = world.found(tmp_path / "found.json", "s3-requester-pays")
    with s3(world.original.parent) as url:
        for name, value in (("ENDPOINT_URL", url), ("ACCESS_KEY_ID", "any"), ("SECRET_ACCESS_KEY", "any")):
            monkeypatch.setenv(f"AWS_{name}", value)
        done("fetch", found, "-o", tmp_path / "in", "--catalog-file", world.catalogs["s3-requester-pays"])
    assert not world.server.requests
    assert_delivered(tmp_path / "in", world.original)


def test_a_piped_search_and_a_window(world: World, expected_part: Path, bbox: Any, tmp_path: Path) -> None:
    text = world.found(tmp_path / "found.json").read_text()
    result = CliRunner().invoke(main, [*map(str, ("fetch", "-", "-o", tmp_path / "in", "--bbox", *bbox))], input=text)
    assert result.exit_code == 0, result.output
    with rasterio.open(next((tmp_path / "in" / ID).glob("*_SR_B4.TIF"))) as raster:
        assert max(raster.shape) < 160
    out = run("harmonize", tmp_path / "in" / ID, "-o", tmp_path / "out", "--bbox", *bbox)
    assert "its MTL says" not in out.stderr
    assert_same(Path(out.stdout.strip()), expected_part)


def test_straight_from_the_catalogue_with_a_failure(world: World, user: Path, expected: Path, tmp_path: Path) -> None:
    world.server.fault(f"{PAN_ID}_B8.TIF", *[Fault(status=500)] * http_policy.ATTEMPTS)
    command = ("harmonize", "--stac", world.item(), "-o", tmp_path / "out")
    result = run(*command)
    assert result.exit_code == 1
    assert f"what was fetched stays in {user / ID / 'whole'}" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()
    world.server.requests.clear()
    assert_same(Path(done(*command).strip()), expected)
    assert set(world.server.requests) == {f"{PAN_ID}_B8.TIF"}
    assert not list(user.iterdir())
    again = run(*command)
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr
    assert set(world.server.requests) == {f"{PAN_ID}_B8.TIF"}


@pytest.mark.parametrize(
    "options", [(), ("--crs", "EPSG:3035"), ("--model", "compact-nopan")], ids=["lattice", "warp", "compact-nopan"]
)
def test_straight_from_the_catalogue_only_a_part(
    world: World, user: Path, bbox: Any, tmp_path: Path, options: tuple[str, ...]
) -> None:
    there = done("harmonize", world.original, "-o", tmp_path / "there", "--bbox", *bbox, *options)
    item = tmp_path / "item.json"
    item.write_text(world.found(tmp_path / "found.json").read_text())
    here = run("harmonize", "--stac", item, "-o", tmp_path / "here", "--bbox", *bbox, *options)
    assert here.exit_code == 0, here.output
    assert_same(Path(here.stdout.strip()), Path(there.strip()))
    assert not list(user.iterdir())


def test_a_batch_from_a_saved_search(world: World, user: Path, expected_part: Path, bbox: Any, tmp_path: Path) -> None:
    found = world.found(tmp_path / "found.json")
    done("batch", found, "-o", tmp_path / "out", "--bbox", *bbox)
    assert_same(tmp_path / "out" / f"{ID}_S2L", expected_part)
    assert not list(user.iterdir())


def test_pan_of_ones_own_is_not_fetched(world: World, expected_part: Path, bbox: Any, tmp_path: Path) -> None:
    pan = world.original.with_name(PAN_ID)
    product = done("harmonize", "--stac", world.item(), "--pan", pan, "-o", tmp_path, "--bbox", *bbox)
    assert_same(Path(product.strip()), expected_part)
    assert not world.server.requests[f"{PAN_ID}_B8.TIF"]


def test_without_pan_in_any_catalogue(world: World, bbox: Any, tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    with rustac([usgs_item(world.original, world.server.url, HERE)], tmp_path / "few") as stac:
        path = tmp_path / "config" / "l8s2" / "catalogs.toml"
        path.write_text(path.read_text().replace(world.stac, stac))
        url = world.item().replace(world.stac, stac)
        result = run("harmonize", "--stac", url, "-o", tmp_path / "out", "--bbox", *bbox)
        fetched = run("fetch", url, "-o", tmp_path / "in")
    assert result.exit_code == 0, result.output
    assert f"{ID}_SR: without pan" in result.stderr
    assert "the pan-less network is used" in result.stderr
    assert fetched.exit_code == 0
    assert f"{ID}_SR: without pan" in fetched.stderr


def test_faults_change_nothing(world: World, tmp_path: Path) -> None:
    found = world.found(tmp_path / "found.json")
    text = found.read_text().replace(world.server.url, f"{world.server.url}/signed")
    found.write_text(text)
    world.server.fault(f"{ID}_SR_B2.TIF", Fault(status=500), Fault(drop_after=30_000), Fault(drop_after=10_000))
    world.server.fault(f"{ID}_SR_B3.TIF", Fault(status=429, headers={"retry-after": "0"}), PAGE)
    world.server.fault(f"{PAN_ID}_B8.TIF", Fault(status=403), Fault(drop_after=1000), Fault(status=503))
    world.server.fault(f"{ID}_MTL.txt", Fault(drop_after=5))
    arguments = ("fetch", found, "-o", tmp_path / "in", "--catalog-file", world.catalogs["planetary-computer-token"])
    world.server.signature = None
    done(*arguments)
    assert not any(world.server.faults.values())
    assert_delivered(tmp_path / "in", world.original)


@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
def test_no_token_is_left_anywhere(world: World, bbox: Any, tmp_path: Path, fails: bool) -> None:
    """Not in what is printed, in Items, in the ledger of a batch, in the cache, in what was fetched."""
    secret = world.server.signature = 82653094710
    shutil.copy(world.catalogs["planetary-computer-token"], tmp_path / "config" / "l8s2" / "catalogs.toml")
    found = world.found(tmp_path / "found.json")
    found.write_text(found.read_text().replace(world.server.url, f"{world.server.url}/signed"))
    said = []
    for verb in (("batch", found), ("harmonize", "--stac", found), ("fetch", found)):
        if fails:
            world.server.fault(f"{ID}_SR_B2.TIF", *[Fault(status=403)] * 20)
        world.server.requests.clear()
        result = run(*verb, "-o", tmp_path / verb[0], "--bbox", *bbox)
        assert bool(result.exit_code) == fails, result.output
        assert world.server.requests.total()
        said.append(result.output)
    assert str(secret) not in "".join(said)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if str(secret).encode() in path.read_bytes()]


def test_what_is_missing_is_listed_and_all_else_kept(world: World, tmp_path: Path) -> None:
    found = world.found(tmp_path / "found.json")
    lost = world.original / f"{ID}_SR_B4.TIF"
    lost.rename(tmp_path / "lost")
    try:
        result = run("fetch", found, "-o", tmp_path / "in")
        as_json = run("fetch", found, "-o", tmp_path / "in", "--json")
    finally:
        (tmp_path / "lost").rename(lost)
    assert result.exit_code == as_json.exit_code == 1
    assert result.stdout == f"{tmp_path / 'in' / PAN_ID}\n"
    failed, last = result.stderr.splitlines()[-2:]
    assert failed.startswith(f"failed: {lost.name}: not there (404)")
    assert last.startswith("l8s2: 1 of 2 scenes are not whole")
    content = json.loads(as_json.stdout)
    assert [scene["status"] for scene in content["scenes"]] == ["failed", "there already"]
    assert len(content["failures"]) == 1
    world.server.requests.clear()
    done("fetch", found, "-o", tmp_path / "in")
    assert set(world.server.requests) == {lost.name}
    assert_delivered(tmp_path / "in", world.original)


@pytest.mark.posix
@pytest.mark.parametrize("verb", ["fetch", "harmonize"])
def test_ctrl_c_leaves_what_can_be_resumed(world: World, user: Path, expected: Path, tmp_path: Path, verb: str) -> None:
    slow = f"{ID}_SR_B5.TIF"
    world.server.fault(slow, *[Fault(status=503, headers={"retry-after": "30"})] * 2)
    what = ("--stac", world.item()) if verb == "harmonize" else (world.item(),)
    command = [sys.executable, "-m", "l8s2.cli", verb, *what, "-o", str(tmp_path / "out")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    folder = (user / ID / "whole" if verb == "harmonize" else tmp_path / "out") / ID
    until = time.monotonic() + 60
    while not world.server.requests[slow] or len(list(folder.glob("*.TIF"))) < 5:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert "the same command goes on" in said.splitlines()[-1]
    assert "Traceback" not in said
    for path in folder.glob("*.TIF"):
        assert path.read_bytes() == (world.original / path.name).read_bytes()
    assert not (folder / "scene.json").exists()
    world.server.faults.clear()
    world.server.requests.clear()
    done(verb, *what, "-o", tmp_path / "out")
    assert world.server.requests[slow] == 1
    assert not world.server.requests[f"{ID}_SR_B2.TIF"]
    if verb == "harmonize":
        assert_same(tmp_path / "out" / expected.name, expected)


def test_a_finished_product_is_not_fetched_again(world: World, user: Path, expected: Path, tmp_path: Path) -> None:
    shutil.copytree(expected, tmp_path / expected.name)
    again = ("harmonize", "--stac", world.item(), "-o", tmp_path, "--resume")
    assert done(*again).strip() == str(tmp_path / expected.name)
    for options, said in (
        (("--no-sigma",), "--sigma total, not left out"),
        (("--bbox", 15, 51, 15.1, 51.1), "area whole scene, not bbox 15.0 51.0 15.1 51.1"),
    ):
        refused = run(*again, *options)
        assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
        assert said in refused.stderr
    assert not world.server.requests


def test_a_real_scene(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = data / "scenes" if (data / "scenes").is_dir() else data
    original = next((p for p in scenes.glob("*_L2SP_143054_20230520_*") if p.is_dir()), None)
    if original is None or not original.with_name(original.name.replace("L2SP", "L1TP")).is_dir():
        pytest.skip("no product 143054_20230520 with pan there")
    with world_of(original, tmp_path) as world:
        found = world.found(tmp_path / "found.json")
        done("fetch", found, "-o", tmp_path / "in", "--catalog-file", world.catalogs["https"])
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        (tmp_path / "l8s2").mkdir()
        shutil.copy(world.catalogs["https"], tmp_path / "l8s2" / "catalogs.toml")
        straight = done("harmonize", "--stac", found, "-o", tmp_path / "straight")
    there = done("harmonize", original, "-o", tmp_path / "there")
    here = done("harmonize", tmp_path / "in" / original.name, "-o", tmp_path / "here")
    assert_same(Path(here.strip()), Path(there.strip()))
    assert_same(Path(straight.strip()), Path(there.strip()))


@pytest.mark.parametrize(
    ("content", "said"),
    [({"type": "FeatureCollection", "features": []}, "holds 0 Landsat Level-2 items"), ([], "no STAC item")],
)
def test_what_is_no_item(tmp_path: Path, content: Any, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(content))
    result = run("harmonize", "--stac", path, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert said in result.stderr


def test_a_pipe_with_nothing_in_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["fetch", "-", "-o", str(tmp_path / "out")], input="")
    assert result.exit_code == 1
    assert result.stderr.startswith("l8s2: standard input: no STAC item; give one")


@pytest.mark.parametrize(
    ("bbox", "said"),
    [((15, 52, 16, 51), "south < north"), ((80, 8, 81, 9), "has no pixel in 80 8 81 9; give a bbox inside the scene")],
)
def test_a_bbox_elsewhere(world: World, user: Path, tmp_path: Path, bbox: tuple[float, ...], said: str) -> None:
    for arguments in (("fetch", world.item()), ("harmonize", "--stac", world.item())):
        result = run(*arguments, "-o", tmp_path / "out", "--bbox", *bbox)
        assert result.exit_code == 1
        assert said in result.stderr
        assert result.stderr.count(said) <= 2  # products, not files
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(ID)]


def test_two_processes_at_one_scene(world: World, user: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with cached_product(single_landsat_item(world.item())) as product:
        result = run("harmonize", "--stac", world.item(), "-o", tmp_path / "out")
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert "another process uses it; wait until that ends" in result.stderr
        assert len(list(product.glob("*.TIF"))) == 8
    assert not list(user.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--pan", "none"), "--pan none: no such file"),
        (("--like", "none.tif"), "--like none.tif: cannot be opened"),
        (("--crs", "junk"), "--crs junk: not a coordinate reference system"),
        (("--crs", "EPSG:3035", "--mgrs", "33UVS"), "give one of them"),
        (("--bbox", 15, 51, 15.1, 51.1, "--like", "none.tif"), "give one of them"),
    ],
)
def test_options_are_checked_before_anything_is_fetched(
    world: World, user: Path, tmp_path: Path, options: tuple[object, ...], said: str
) -> None:
    result = run("harmonize", "--stac", world.item(), "-o", tmp_path / "out", *options)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert said in result.stderr
    assert not world.server.requests
    assert not user.exists()


def test_only_fetching_goes_on(world: World, user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise InputError("the scene: bad; mend it")

    monkeypatch.setattr("l8s2.pipeline.to_product.make_product", fails)
    result = run("harmonize", "--stac", world.item(), "-o", tmp_path / "out")
    assert result.stderr.endswith(f"l8s2: the scene: bad; mend it; what was fetched stays in {user / ID / 'whole'}\n")


def test_an_empty_item_is_wrong_usage() -> None:
    assert run("harmonize", "--stac", "", "--dry-run").exit_code == 2


@pytest.mark.parametrize("broken", [True, False])
def test_where_pan_cannot_be_looked_for(world: World, user: Path, bbox: Any, tmp_path: Path, broken: bool) -> None:
    path = tmp_path / "config" / "l8s2" / "catalogs.toml"
    row = next(line for line in path.read_text().splitlines() if "landsat-c2l2-sr" in line)
    path.write_text(
        f'[usgs]\nurl = "{world.stac}"\npan_from = "off"\n{row}\n[off]\nurl = "http://127.0.0.1:9"\n'
        'collections.landsat-c2l1 = { kind = "landsat-l1" }\n'
    )
    if broken:
        result = run("harmonize", "--stac", world.item(), "-o", tmp_path / "out")
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert "pan could not be looked for (http://127.0.0.1:9: cannot be reached" in result.stderr
        assert "try again, or give its Level-1 product with --pan, or --model compact-nopan" in result.stderr
        assert not world.server.requests
        as_fetched = run("fetch", world.item(), "-o", tmp_path / "in")
        assert as_fetched.exit_code == 1
        assert as_fetched.stdout == f"{tmp_path / 'in' / ID}\n"
        assert "failed: " in as_fetched.stderr
        assert "\nl8s2: pan of 1 scenes could not be looked for; what was fetched stays" in as_fetched.stderr
    else:
        model = ("--model", "compact-nopan", "--bbox", *bbox)
        done("harmonize", "--stac", world.item(), "-o", tmp_path / "out", *model)


def test_nothing_to_fetch_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"type": "FeatureCollection", "features": []}')
    result = run("fetch", path, "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"{path}: names no scene; nothing was fetched\n")


def test_an_item_that_is_not_there(world: World, tmp_path: Path) -> None:
    result = run("fetch", world.item("none"), "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "404" in result.stderr
    assert not (tmp_path / "out").exists()


def test_several_items_of_one_overpass(world: World, user: Path, bbox: Any, tmp_path: Path) -> None:
    """Those that have nothing in the area are left out; the product is that of the files on disk."""
    south, far = (ID.replace("192025", f"19202{row}") for row in (6, 7))
    products = [world.original]
    for name, north in ((south, 5_660_010 - 3000), (far, 5_400_000)):
        box = ms_grid(164, 170, centre=(450_000, north))
        products.append(make(world.original.parent, box, textured(box), product_id=name))
    items = []
    for product in products:
        items.append(tmp_path / f"{product.name}.json")
        items[-1].write_text(json.dumps(usgs_item(product, world.server.url, HERE)))
    options = ("--bbox", bbox[0], bbox[1] - 0.02, *bbox[2:], "--model", "compact-nopan", "--no-sigma")
    given = [word for item in items for word in ("--stac", item)]
    result = run("harmonize", *given, "-o", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    folder = Path(result.stdout.strip())
    assert folder.name == "LC09_L2SP_192_20230520_025-027_S2L"
    assert f"left out: {far}" in result.stderr
    assert not list(user.iterdir())
    assert_same(folder, Path(done("harmonize", *products, "-o", tmp_path / "disk", *options).strip()))
    asked = world.server.requests.total()
    assert done("harmonize", *given, "-o", tmp_path / "out", *options, "--resume").strip() == str(folder)
    assert world.server.requests.total() == asked
