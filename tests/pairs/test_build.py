"""From files on disk to a set of patches: where pixels go, what is decided, what interruptions leave behind."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from odc.geo.geobox import GeoBox

import making.products
from l8s2 import grid
from l8s2.catalogs.footprints import bbox_of
from l8s2.catalogs.pairing import Pair
from l8s2.catalogs.recipe import Recipe, save_recipe
from l8s2.cli import main
from l8s2.datasets.set_pairs import ShardPairs
from l8s2.errors import InputError
from l8s2.landsat.scene import open_scene
from l8s2.pairs import build
from l8s2.pairs import measure as measuring
from l8s2.pairs.build import common_area, create_build, pair_id, resume_build
from l8s2.pairs.coregistration import WindowShift, decide
from l8s2.pairs.regression import BandFit
from l8s2.pairs.sentinel2 import open_sentinel2
from l8s2.patches.patch import position
from l8s2.patches.patch_set import PatchSet
from l8s2.registration import Shift
from l8s2.simulate import sentinel2_stack
from l8s2.simulate.landscape import landscape
from l8s2.simulate.product_folder import write_product
from l8s2.simulate.sensor import Conditions, Observation
from making.patches import STEP, box_at, coded, s2_grids
from making.planted import filled, real_bands
from making.products import (
    DAY,
    Copying,
    located,
    pair_of,
    recipe_of,
    sentinel2_item,
    write_pair,
    write_sentinel2,
)
from making.scenes import move, pan_of, part, rewrite

pytest.importorskip("h5py")
BUILDER = Path(making.products.__file__)
SIZE = 40
SHIFT = (6.0, -9.0)
ROW = -187_001
NAMES = ("clean", "moved", "clouded", "other zone", "offset left in", "offset taken off")


def made(store: Path) -> tuple[dict[str, Pair], Recipe]:
    """Pairs of six days, all but the first two to be rejected."""
    box = box_at(ROW, 15_001, 130)
    ground = landscape(3, (130, 130)).truth
    pairs = {}
    for k, name in enumerate(NAMES):
        pair = pair_of(box, DAY + timedelta(days=k), baseline="03.01" if name == "offset left in" else "05.09")
        how: dict[str, Any] = {"seed": k}
        if name == "moved":
            how["shift"] = SHIFT
        if name == "clouded":
            how["cloud"] = np.ones(box.shape, bool)
        if name == "offset taken off":
            how["added"] = 0.0
        if name == "other zone":
            how["sentinel2_box"] = box_at(ROW, 15_001, 130, 32634)
            pair = replace(pair, same_zone=None, sentinel2=replace(pair.sentinel2, zone=34))
        write_pair(store, pair, box, ground, **how)
        pairs[name] = pair
    return pairs, recipe_of(list(pairs.values()), [box])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Pair], Recipe, Path]:
    """Where the products lie, the pairs by name, their recipe, and a set built of them in one go."""
    store, whole = (tmp_path_factory.mktemp(name) for name in ("store", "whole"))
    pairs, recipe = made(store)
    create_build(recipe, whole, size=SIZE)
    resume_build(whole, Copying(store))
    return store, pairs, recipe, whole


def content(folder: Path) -> dict[str, Any]:
    """All that a build leaves behind: CSV files byte for byte, and the arrays and facts of every patch."""
    import h5py

    found: dict[str, Any] = {name: (folder / name).read_bytes() for name in ("index.csv", "pairs.csv", "split.csv")}
    for path in sorted((folder / "shards").iterdir()):
        with h5py.File(path) as file:
            found[path.name] = {name: file[name][()].tobytes() for name in sorted(file) if name != "facts"}
            found[path.name]["pair"] = file.attrs["pair"]
    found["files"] = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return found


def recorded_pairs(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "pairs.csv").open(newline="") as file:
        return {line["pair"]: line for line in csv.DictReader(file)}


def test_every_decision_is_recorded_with_its_reason(world: Any) -> None:
    _, pairs, _, whole = world
    lines = recorded_pairs(whole)
    of = {name: lines[pair_id(pair)] for name, pair in pairs.items()}
    assert len(lines) == len(NAMES)
    assert list(lines) == sorted(lines)
    for name, decision, reason in (
        ("clean", "accept", "left alone"),
        ("moved", "correct", "is undone"),
        ("clouded", "reject", "0 of 9 windows could be measured"),
        ("other zone", "reject", "EPSG:32633, Sentinel-2 in EPSG:32634"),
        ("offset left in", "reject", "Sentinel-2 offset: -0.1 by .*, but 0 by the catalogue"),
        ("offset taken off", "reject", "Sentinel-2 offset: 0 by .*, but -0.1 by the catalogue"),
    ):
        assert of[name]["decision"] == decision
        assert re.search(reason, of[name]["reason"]), of[name]
        assert (of[name]["patches"] == "0") == (decision == "reject")
    assert float(of["clouded"]["clear_landsat"]) == 0
    assert float(of["clouded"]["clear_sentinel2"]) == 1
    assert of["clean"]["offset"] == "-0.1"
    assert (float(of["moved"]["down_m"]), float(of["moved"]["right_m"])) == pytest.approx(SHIFT, abs=0.3)
    assert not (whole / "cache").exists() or not any((whole / "cache").iterdir())


def test_what_a_patch_says_and_what_training_sees(world: Any) -> None:
    _, pairs, _, whole = world
    patches = PatchSet(whole)
    assert len(patches) == 2 * 9
    truth = landscape(3, (130, 130)).truth
    for index in range(len(patches)):
        patch = patches.read(index)
        facts = patch.facts
        name = "moved" if facts.landsat_time[:10] == "2023-05-21" else "clean"
        assert facts.landsat_id == pairs[name].landsat.product
        assert facts.pan_id == facts.landsat_id.replace("L2SP", "L1TP")
        assert (facts.location, facts.path_row, facts.s2_offset) == ("33UVS", "192025", -0.1)
        shift = SHIFT if name == "moved" else (0.0, 0.0)
        assert (facts.shift_down_m, facts.shift_right_m) == pytest.approx(shift, abs=0.3)
        assert facts.slope == pytest.approx((1.0,) * 6, abs=0.06)
        assert facts.intercept == pytest.approx((0.0,) * 6, abs=0.01)
        assert facts.ssim > 0.95
        assert facts.psnr > 30
        assert facts.r > 0.99
        assert (facts.landsat_cloud, facts.sentinel2_cloud) == (0, 0)
        assert (facts.landsat_sun_elevation, facts.sentinel2_view_azimuth) == (52.5, 105.0)
        assert np.isnan(facts.landsat_view_azimuth)
        assert facts.pan_scale == pytest.approx(2e-5 / np.sin(np.radians(52.5)))
    sides = set(patches.sides().values())
    assert len(sides) == 1  # one place
    pairs_seen = ShardPairs(whole)
    for index in (0, 9, 17):
        sample = pairs_seen[index]
        assert sample.valid.mean() > 0.6
        assert sample.lattice is not None
        row, column = np.subtract(position(sample.lattice.ms), (ROW, 15_001))
        there = truth[:, 3 * row : 3 * row + 3 * SIZE, 3 * column : 3 * column + 3 * SIZE]
        assert np.abs(sample.truth - there)[sample.valid].mean() < 0.002


@pytest.mark.parametrize("epsg", [32601, 32633, 32719])
@pytest.mark.parametrize("suffix", [".tif", ".jp2"])
def test_every_pixel_is_where_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epsg: int, suffix: str) -> None:
    """Pixels tell their own place, through files and the whole build; each sensor's own extent, on no patch's edge."""
    row, zone = (-187_002, epsg) if epsg < 32700 else (187_002, epsg - 100)
    box, s2_box = box_at(row, 15_002, 70, zone), box_at(row - 5, 14_997, 64, zone)
    far = GeoBox((1, 1), box.affine * box.affine.translation(-20, -20), box.crs)  # where all coordinates begin
    pair = replace(pair_of(box, tile="33UVS"), sentinel2=sentinel2_item(s2_box, tile="33UVS"))
    for axis in (0, 1):
        store = tmp_path / f"store{axis}"
        pan = grid.pan_geobox(box)
        values = Observation(
            ms=np.stack([coded(far, box, axis) * 2.75e-5 - 0.2] * 6).astype(np.float64),
            pan=(coded(far, pan, axis) * 2e-5 - 0.1) / np.sin(np.radians(52.5)),
            conditions=Conditions(),
        )  # fmt: skip
        qa = np.full(box.shape, 21824, np.uint16)
        write_product(store, values, geobox=box, product_id=pair.landsat.product, sun_elevation=52.5, qa_pixel=qa)
        fine, coarse = (np.stack([coded(far, at, axis)] * 3) for at in s2_grids(s2_box))
        folder = write_sentinel2(store, pair.sentinel2, s2_box, fine, coarse, suffix=suffix)
        if suffix == ".tif":
            import rasterio

            with rasterio.open(folder / "B02.tif") as file:
                assert file.crs.to_epsg() == epsg

        def level(*_: object) -> measuring.Measured:
            shift = Shift(down=0.0, right=0.0, down_error=0.01, right_error=0.01, correlation=1.0, pixels=999)
            found = decide([WindowShift(1000.0 * k, 0.0, shift) for k in range(9)])
            line = BandFit(slope=1.0, intercept=0.0, n=999, r=1.0, rmse=0.0)
            return measuring.Measured(found=found, offset=-0.1, offset_why="told", lines=(line,) * 6)

        monkeypatch.setattr(measuring, "measure", level)
        create_build(recipe_of([pair], [box]), tmp_path / f"set{axis}", size=8)
        resume_build(tmp_path / f"set{axis}", lambda item, *_, **__: store / item.product)  # noqa: B023
        patches = PatchSet(tmp_path / f"set{axis}")
        assert len(patches) >= 42
        for index in range(len(patches)):
            patch = patches.read(index)
            fine_at, coarse_at = s2_grids(patch.box)
            for name, at in (
                ("ms", patch.box), ("pan", grid.pan_geobox(patch.box)), ("s2_10m", fine_at), ("s2_20m", coarse_at)
            ):  # fmt: skip
                image = getattr(patch, name).reshape(-1, *at.shape)
                there = image > 0
                assert there.mean() >= measuring.LEAST
                off = np.abs(image.astype(float) - coded(far, at, axis)) * STEP / 10
                assert off[there].max() < 0.02, name
            if axis == 0:
                assert (patch.s2_usable == (patch.s2_10m > 0).all(0)).all()


@pytest.mark.posix
def test_killed_at_any_moment_and_resumed(world: Any, tmp_path: Path) -> None:
    store, _, recipe, whole = world
    create_build(recipe, tmp_path, size=SIZE)
    command = [sys.executable, str(BUILDER), str(tmp_path), str(store), "0.05"]
    rng = np.random.default_rng()
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()  # a pair recorded; at worst there was none left
            time.sleep(rng.uniform(0, 0.7))
            process.send_signal(signal.SIGKILL)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert content(tmp_path) == content(whole)


@pytest.mark.parametrize("room", [5_000, 100_000, 400_000])
def test_a_full_disk_is_one_line_and_nothing_is_lost(world: Any, tmp_path: Path, room: int) -> None:
    resource = pytest.importorskip("resource")
    store, _, recipe, whole = world
    create_build(recipe, tmp_path, size=SIZE, products=store)
    command = [sys.executable, "-m", "l8s2.cli", "dataset", "resume", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(
        rf"l8s2: {tmp_path}/\S+: File too large; make room, then run it again", done.stderr.splitlines()[-1]
    )
    assert [path.name for path in (tmp_path / "shards").iterdir() if path.name.startswith(".")] == []
    subprocess.run(command, check=True, capture_output=True)
    assert content(tmp_path) == content(whole)


def test_two_processes_build_one_set(world: Any, tmp_path: Path) -> None:
    store, _, recipe, whole = world
    create_build(recipe, tmp_path, size=SIZE)
    command = [sys.executable, str(BUILDER), str(tmp_path), str(store), "0.2"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(said[0]) + len(said[1]) == len(NAMES)
    assert content(tmp_path) == content(whole)


def test_what_cannot_be_fetched_is_listed_and_tried_again(world: Any, tmp_path: Path) -> None:
    store, pairs, recipe, whole = world
    create_build(recipe, tmp_path, size=SIZE)
    broken = pairs["clean"].sentinel2.product
    found = resume_build(tmp_path, Copying(store, failing={broken}))
    assert found.failed == {pair_id(pairs["clean"]): ("red: no route to host; try again", "scl: 403; sign in")}
    assert (found.pairs, found.accepted, found.corrected, len(found.rejected), found.patches) == (6, 0, 1, 4, 9)
    assert len(recorded_pairs(tmp_path)) == 5
    assert not (tmp_path / "split.csv").exists()  # sides are dealt to the whole
    again = Copying(store)
    found = resume_build(tmp_path, again)
    assert set(again.asked) == {
        pairs["clean"].landsat.product,
        pairs["clean"].landsat.product.replace("L2SP", "L1TP"),
        broken,
    }
    assert (found.accepted, found.failed) == (1, {})
    assert content(tmp_path) == content(whole)
    again.asked.clear()
    resume_build(tmp_path, again)  # nothing is left to do
    assert again.asked == []


def test_a_damaged_file_is_a_failure_and_fetched_anew(world: Any, tmp_path: Path) -> None:
    store, pairs, recipe, _ = world
    create_build(replace(recipe, pairs=(pairs["clean"],)), tmp_path, size=SIZE)

    class Damaging(Copying):
        def __call__(self, item: Any, directory: Path, **how: Any) -> Path:
            folder = super().__call__(item, directory, **how)
            for path in folder.glob("*_SR_B4.TIF"):
                path.write_bytes(path.read_bytes()[:-5000])
            return folder

    found = resume_build(tmp_path, Damaging(store))
    ((line,),) = found.failed.values()
    assert re.search(r"SR_B4\.TIF: \d+ of \d+ blocks unreadable .*; download it again", line)
    assert not list(tmp_path.glob("cache/*"))
    assert resume_build(tmp_path, Copying(store)).accepted == 1


def test_products_at_hand_are_not_fetched(world: Any, tmp_path: Path) -> None:
    store, _, recipe, whole = world
    create_build(recipe, tmp_path, size=SIZE, products=store)
    without = Copying(store)
    resume_build(tmp_path, without)
    assert without.asked == []
    kept = {name: value for name, value in content(tmp_path).items() if name != "files"}
    assert kept == {name: content(whole)[name] for name in kept}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda product: part(product, "QA_PIXEL").unlink(), "no QA_PIXEL, so clouds are not known"),
        (lambda product: move(pan_of(product), 4, 0), "not on the native Landsat lattice"),
        (
            lambda product: rewrite(part(product, "SR_B4"), lambda x: x * np.float32(2.75e-5) - 0.2),
            "not digital numbers",
        ),
        (lambda product: [path.unlink() for path in product.parent.glob("*/*MTL*")], "sun's elevation"),
    ],
)  # fmt: skip
def test_what_is_not_as_delivered_is_rejected(world: Any, tmp_path: Path, change: Any, said: str) -> None:
    store, pairs, recipe, _ = world
    pair = pairs["clean"]
    change(copied(store, pair, tmp_path / "products")[0])
    create_build(replace(recipe, pairs=(pair,)), tmp_path / "set", size=SIZE)
    (reason,) = resume_build(tmp_path / "set", Copying(tmp_path / "products")).rejected.values()
    assert said in reason


@pytest.mark.parametrize(
    "what", ["a band is missing", "not whole", "another window", "whole", "this window", "no product"]
)
def test_what_does_not_hold_a_pair_is_fetched(world: Any, tmp_path: Path, what: str) -> None:
    store, pairs, recipe, _ = world
    pair, (west, south, east, north) = pairs["clean"], recipe.query.bbox  # type: ignore[misc]
    product, _ = copied(store, pair, tmp_path / "products")
    window = {"bbox": [west, south, (west + east) / 2 if what == "another window" else east, north], "margin": 0}
    if what == "a band is missing":
        part(product, "SR_B4").unlink()
    elif what == "no product":
        shutil.rmtree(product)
        product.mkdir()
    else:
        (product / "window.json").write_text(json.dumps({"window": window if "window" in what else None}))
        if what != "not whole":
            (product / "scene.json").touch()
    create_build(replace(recipe, pairs=(pair,)), tmp_path / "set", size=SIZE, products=tmp_path / "products")
    fetch = Copying(store)
    assert resume_build(tmp_path / "set", fetch).accepted == 1
    assert fetch.asked == ([] if what in ("whole", "this window") else [pair.landsat.product])


def copied(store: Path, pair: Pair, to: Path) -> tuple[Path, Path]:
    """Folders of Landsat and Sentinel-2."""
    assert pair.pan is not None
    for item in (pair.landsat, pair.pan, pair.sentinel2):
        shutil.copytree(store / item.product, to / item.product)
    return to / pair.landsat.product, to / pair.sentinel2.product


def test_defective_pixels_are_no_ground(world: Any, tmp_path: Path) -> None:
    store, pairs, recipe, _ = world
    _, sentinel2 = copied(store, pairs["clean"], tmp_path / "products")

    def spoiled(classes: np.ndarray) -> np.ndarray:
        classes[..., 80:90, 80:90] = 1  # saturated or defective
        return classes

    rewrite(sentinel2 / "SCL.tif", spoiled)
    create_build(replace(recipe, pairs=(pairs["clean"],)), tmp_path / "set", size=SIZE, products=tmp_path / "products")
    resume_build(tmp_path / "set")
    patches = PatchSet(tmp_path / "set")
    assert sum(int((~patches.read(k).s2_usable).sum()) for k in range(len(patches))) == 4 * 100


def test_clouds_beyond_a_window_reach_into_it(world: Any, tmp_path: Path) -> None:
    store, pairs, _, _ = world
    landsat, sentinel2 = copied(store, pairs["clean"], tmp_path)

    def clouded(quality: np.ndarray) -> np.ndarray:
        quality[..., 62:64] |= 1 << 3
        return quality

    rewrite(part(landsat, "QA_PIXEL"), clouded)
    with open_scene(landsat) as scene, open_sentinel2(sentinel2) as opened:
        view = measuring._view(scene, opened, slice(0, 40), slice(64, 104))
    assert np.isnan(view.ms[:, :, :5]).all()
    assert np.isfinite(view.ms[:, :, 5:]).all()


def test_fetched_windows_give_what_whole_files_give(world: Any, tmp_path: Path) -> None:
    """The addresses of the recipe are those of files on this machine; only what was searched is read of them."""
    pytest.importorskip("boto3")
    store, pairs, recipe, _ = world
    west, south, east, north = recipe.query.bbox  # type: ignore[misc]
    middle = ((west + east) / 2, (south + north) / 2)
    query = replace(recipe.query, bbox=(*(v - 0.0005 for v in middle), *(v + 0.0005 for v in middle)))
    pair = located(pairs["moved"], store)
    recipe = replace(recipe, query=query, pairs=(pair,))
    size = 84  # one patch of it is enough to be measured
    create_build(recipe, tmp_path / "fetched", size=size)
    create_build(recipe, tmp_path / "local", size=size, products=store)
    found = [resume_build(tmp_path / name) for name in ("fetched", "local")]
    assert found[0] == found[1]
    assert (found[0].corrected, found[0].patches) == (1, 1)
    ours, theirs = (content(tmp_path / name) for name in ("fetched", "local"))
    assert ours == theirs


def test_only_what_was_searched_is_cut(world: Any, tmp_path: Path) -> None:
    """A point gives the patch that it lies in, a small area those that it touches; the fetch is told of no more."""
    store, pairs, recipe, _ = world
    pair = pairs["clean"]
    west, south, east, north = recipe.query.bbox  # type: ignore[misc]
    point = {"type": "Point", "coordinates": [(west + east) / 2, (south + north) / 2]}
    asked: list[tuple[float, ...]] = []

    def fetch(item: Any, directory: Path, *, bbox: Any, margin: float) -> Path:
        asked.append((*bbox, margin))
        return store / item.product

    query = replace(recipe.query, bbox=None, intersects=point)
    create_build(replace(recipe, query=query, pairs=(pair,)), tmp_path / "point", size=SIZE)
    resume_build(tmp_path / "point", fetch)
    (line,) = recorded_pairs(tmp_path / "point").values()
    assert (line["patches"], line["decision"]) == ("1", "accept")  # measured in what lies around it, too
    (bounds,) = PatchSet(tmp_path / "point").facts["bounds"]
    assert bounds[0] < point["coordinates"][0] < bounds[2]
    assert bounds[1] < point["coordinates"][1] < bounds[3]
    assert np.ptp([[[v[0], v[2]], [v[1], v[3]]] for v in asked], axis=-1).max() < 3e-5  # 3 m
    assert {v[4] for v in asked} == {30 * (SIZE + 128) + 1000}
    nowhere = replace(recipe.query, bbox=(west + 5, south, east + 5, north))
    create_build(replace(recipe, query=nowhere, pairs=(pair,)), tmp_path / "nowhere", size=SIZE)
    asked.clear()
    found = resume_build(tmp_path / "nowhere", fetch)
    assert list(found.rejected.values()) == ["the searched area and the scenes have no ground in common"]
    assert asked == []


def test_areas_across_the_antimeridian() -> None:
    box = box_at(-187_001, 23_401, 130, 32660)
    pair = pair_of(box)
    west, _, east, _ = bbox_of(common_area(recipe_of([pair], [box]).query, pair))
    assert 178 < west < 180
    assert (-180 < east < -178) or east > west


def test_begun_otherwise_is_refused_in_one_line(world: Any, tmp_path: Path) -> None:
    store, _, recipe, whole = world
    create_build(recipe, whole, size=SIZE)  # the same again
    for changed, size, said in (
        (recipe, 42, "begun with size 40"),
        (replace(recipe, pairs=recipe.pairs[:1]), SIZE, "begun with another recipe"),
    ):
        with pytest.raises(InputError, match=said):
            create_build(changed, whole, size=size)
    for wrong in (41, 0, -2, 100_000):
        with pytest.raises(InputError, match=f"size {wrong}: must be an even"):
            create_build(recipe, tmp_path, size=wrong)
    with pytest.raises(InputError, match="no pairs in the recipe"):
        create_build(replace(recipe, pairs=()), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file: cannot be made \(File exists\); give another folder"):
        create_build(recipe, tmp_path / "file")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/build.json").write_text("{}")
    with pytest.raises(InputError, match=r"foreign/build.json: no build; give a new folder"):
        create_build(recipe, tmp_path / "foreign")
    with pytest.raises(InputError, match="no such folder"):
        create_build(recipe, tmp_path, products=tmp_path / "none")
    with pytest.raises(InputError, match=r"build.json: No such file .*; begin with l8s2 dataset build"):
        resume_build(tmp_path, Copying(store))
    (tmp_path / "shards").mkdir()
    with pytest.raises(InputError, match="not built from a recipe"):
        create_build(recipe, tmp_path)


def test_the_command_line(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _, recipe, _ = world
    save_recipe(recipe, tmp_path / "recipe.json")
    arguments = ["dataset", "build", str(tmp_path / "recipe.json"), "-o", str(tmp_path / "set"), "--size", str(SIZE)]
    done = CliRunner().invoke(main, [*arguments, "--products", str(store), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["pairs"], found["accepted"], found["corrected"], found["patches"], found["failed"]) == (
        6,
        1,
        1,
        18,
        {},
    )
    assert len(found["rejected"]) == 4
    assert found["sides"] == {"Train": 18}  # one place
    assert "nothing on side Validation, Test; add patches of another region, far from the others" in done.stderr
    assert "[6/6, about 0:00:00 left]" in done.stderr
    done = CliRunner().invoke(main, ["dataset", "resume", str(tmp_path / "set")])
    assert done.exit_code == 0
    assert "18 patches of 2 pairs (1 with a shift to undo)" in done.stdout
    assert done.stdout.count("rejected LC09") == 4
    broken = recipe.pairs[0].pan
    assert broken is not None
    monkeypatch.setattr(build, "_from_catalogs", lambda *_: Copying(store, failing={broken.product}))
    create_build(recipe, tmp_path / "other", size=SIZE)
    done = CliRunner().invoke(main, ["dataset", "resume", str(tmp_path / "other")])
    assert done.exit_code == 1
    assert "red: no route to host; try again\n" in done.stderr
    assert done.stderr.endswith(f"1 of 6 pairs failed; try again with l8s2 dataset resume {tmp_path / 'other'}\n")


@pytest.mark.parametrize("name", ["dsen2_T33UUB_L1C", "pampas_L2A"])
def test_a_pair_of_real_imagery(data: Path, tmp_path: Path, name: str) -> None:
    """Seen by both from files on disk; the shift between them is found, and training sees none."""
    fine, coarse = real_bands(data, name)
    stack = sentinel2_stack(filled(fine), filled(coarse))[:, :396, :396]
    box = box_at(ROW, 15_001, 132)
    pair = pair_of(box)
    write_pair(tmp_path / "store", pair, box, stack, shift=SHIFT)
    create_build(recipe_of([pair], [box]), tmp_path / "set", size=SIZE, products=tmp_path / "store")
    found = resume_build(tmp_path / "set", Copying(tmp_path / "none"))
    assert (found.corrected, found.patches) == (1, 9), found
    facts = PatchSet(tmp_path / "set").facts
    assert np.allclose(facts["shift_down_m"], SHIFT[0], atol=0.3)
    assert np.allclose(facts["shift_right_m"], SHIFT[1], atol=0.3)
    sample = ShardPairs(tmp_path / "set")[4]
    assert sample.lattice is not None
    row, column = np.subtract(position(sample.lattice.ms), (ROW, 15_001))
    there = stack[:, 3 * row : 3 * row + 3 * SIZE, 3 * column : 3 * column + 3 * SIZE]
    assert np.abs(sample.truth - there)[sample.valid].mean() < 0.003


@pytest.mark.parametrize("name", ["aberystwyth_L2A", "dsen2_T33UUB_L1C", "dsen2_T49JGM_L1C"])
@pytest.mark.parametrize("gain", [0.85, 1.1, 1.2])
def test_a_wrong_offset_is_seen_whatever_the_gain(data: Path, tmp_path: Path, name: str, gain: float) -> None:
    """Only a true claim of a catalogue is accepted; sun and view brighten a sensor, but not its dark objects."""
    fine, coarse = real_bands(data, name)
    stack = sentinel2_stack(filled(fine), filled(coarse))[:, :396, :396]
    box = box_at(ROW, 15_001, 132)
    pairs = [pair_of(box, DAY + timedelta(days=k), baseline="05.09" if k < 2 else "03.01") for k in range(4)]
    for pair, added in zip(pairs, (1000.0, 0.0, 0.0, 1000.0), strict=True):
        write_pair(tmp_path / "store", pair, box, stack, added=added, gain=gain)
    create_build(recipe_of(pairs, [box]), tmp_path / "set", size=SIZE, products=tmp_path / "store")
    found = resume_build(tmp_path / "set", Copying(tmp_path / "none"))
    assert found.rejected.keys() == {pair_id(pairs[1]), pair_id(pairs[3])}
    assert all("offset" in reason for reason in found.rejected.values())


def test_the_cache_of_a_pair_goes_with_it(world: Any, tmp_path: Path) -> None:
    store, pairs, _, _ = world
    create_build(recipe_of([pairs["clean"], pairs["moved"]], [box_at(ROW, 15_001, 130)]), tmp_path, size=SIZE)
    copying, at_once = Copying(store), []

    def watched(*args: Any, **how: Any) -> Path:
        folder = copying(*args, **how)
        at_once.append(len(list((tmp_path / "cache").iterdir())))
        return folder

    assert resume_build(tmp_path, watched).patches > 0
    assert max(at_once) == 1


def test_the_offset_is_claimed_by_what_is_read(world: Any, tmp_path: Path) -> None:
    store, pairs, _, whole = world
    pair = pairs["clean"]
    wrong = replace(pair, sentinel2=replace(pair.sentinel2, offset=0.0, offset_removed=True))  # of another archive
    create_build(recipe_of([wrong], [box_at(ROW, 15_001, 130)]), tmp_path, size=SIZE)
    assert resume_build(tmp_path, Copying(store)).accepted == 1
    assert (
        recorded_pairs(tmp_path)[pair_id(wrong)]["offset"] == recorded_pairs(whole)[pair_id(pair)]["offset"] == "-0.1"
    )
