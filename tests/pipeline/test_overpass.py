"""Several scenes of one overpass as one product."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner, Result
from odc.geo.geobox import GeoBox
from test_resume import KILLED
from test_same_bytes import files

from l8s2 import masks
from l8s2.cli import main
from l8s2.grid import output_geobox
from l8s2.landsat.scene import open_scene
from l8s2.pipeline.estimate import plan_product
from l8s2.pipeline.layers import Part
from l8s2.pipeline.mosaic import Mosaic, Outline
from l8s2.pipeline.options import ProductOptions
from l8s2.pipeline.to_product import harmonize_product
from l8s2.target import Area
from making.scenes import ID, make, ms_grid, pan_of, part, rewrite

ROWS, COLUMNS = 230, 40
"""MS pixels of the ground that two scenes share."""
SOUTH = ID.replace("192025", "192026")
CUT = (slice(0, 200), slice(40, ROWS))
"""Rows of the scenes: 160 in common, so that the seam lies farther from both edges than a network sees."""
TILE = "33UVS"


def slices(folder: Path, whole: Path, cut: tuple[slice, slice] = CUT) -> list[Path]:
    """Copy a product, its pan beside it, twice, each with some of its rows; the second gets another row number."""
    found = []
    for number, rows in enumerate(cut):
        for level, factor in (("L2SP", 1), ("L1TP", 2)):
            source = next(p for p in whole.parent.iterdir() if p.name == whole.name.replace("L2SP", level))
            row = int(source.name[13:16]) + number
            target = folder / f"{source.name[:13]}{row:03d}{source.name[16:]}"
            target.mkdir(parents=True)
            for path in source.iterdir():
                name = f"{path.name[:13]}{row:03d}{path.name[16:]}"
                shutil.copyfile(path, target / name)
                if path.suffix == ".TIF":
                    _keep(target / name, slice(factor * rows.start, factor * rows.stop))
                elif number:
                    (target / name).write_text(path.read_text().replace(source.name[:16], target.name[:16]))
            if factor == 1:
                found.append(target)
    return found


def _keep(path: Path, rows: slice) -> None:
    with rasterio.open(path) as source:
        transform = source.transform * Affine.translation(0, rows.start)
    rewrite(path, lambda x: x[:, rows], transform=transform)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("whole"), ms_grid(ROWS, COLUMNS))


@pytest.fixture
def pair(tmp_path: Path, whole: Path) -> list[Path]:
    return slices(tmp_path / "in", whole)


@pytest.fixture(scope="module")
def like(tmp_path_factory: pytest.TempPathFactory, whole: Path) -> Path:
    """A raster a little larger than the ground, on Sentinel-2's lattice."""
    path = tmp_path_factory.mktemp("like") / "like.tif"
    with rasterio.open(part(whole, "SR_B4")) as source:
        corner = source.transform * Affine.translation(0, 0)
    transform = Affine(10, 0, corner.c + 5 - 70, 0, -10, corner.f - 5 + 40)
    with rasterio.open(path, "w", driver="GTiff", width=3 * COLUMNS + 20, height=3 * ROWS + 10, count=1, dtype="uint8",
                       crs="EPSG:32633", transform=transform, sparse_ok=True):  # fmt: skip
        pass
    return path


def read(folder: Path, name: str) -> Any:
    with rasterio.open(next(folder.glob(f"*_{name}.tif"))) as dataset:
        return dataset.read()


def item_of(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("*.json")
    return json.loads(path.read_text())


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_the_seam_is_invisible(pair: list[Path], whole: Path, like: Path, tmp_path: Path) -> None:
    """Every sample, seam and overlap included, is the one of the scene from which both were cut."""
    one = harmonize_product(whole, tmp_path / "one", like=like)
    two = harmonize_product([*reversed(pair)], tmp_path / "two", like=like)
    assert two.name == "LC09_L2SP_192_20230520_025-026_S2L"
    for name in ("SR", "SIGMA"):
        assert np.abs(read(one, name).astype(int) - read(two, name)).max() <= 1
    assert np.array_equal(read(one, "QA"), read(two, "QA"))


def test_the_item_tells_of_every_scene(pair: list[Path], like: Path, tmp_path: Path) -> None:
    said: list[str] = []
    mtl = part(pair[1], "MTL")
    mtl.write_text(mtl.read_text().replace("SUN_AZIMUTH = ", "SUN_AZIMUTH = -"))
    item = item_of(harmonize_product(pair, tmp_path, like=like, warn=said.append))
    derived = [link["href"].rpartition("/")[2] for link in item["links"] if link["rel"] == "derived_from"]
    assert derived == [f"{ID}_SR", ID.replace("L2SP", "L1TP"), f"{SOUTH}_SR", SOUTH.replace("L2SP", "L1TP")]
    told = item["properties"]
    assert [(each["id"], each["pan_id"]) for each in told["l8s2:scenes"]] == [
        (ID, ID.replace("L2SP", "L1TP")), (SOUTH, SOUTH.replace("L2SP", "L1TP")),
    ]  # fmt: skip
    assert all("l8s2:noise" in each and "l8s2:pan_shift" in each for each in told["l8s2:scenes"])
    assert told["start_datetime"] <= item["properties"]["datetime"] <= told["end_datetime"]
    assert "l8s2:noise" not in told
    assert told["view:sun_azimuth"] == pytest.approx(180, abs=1e-6)
    assert told["title"] == "LC09_L2SP_192_20230520_025-026 at 10 m"


def test_each_scene_takes_its_own_of_several_pans(pair: list[Path], like: Path, tmp_path: Path) -> None:
    """As a platform stages them in, in folders that no name tells."""
    pans = [pan_of(product).parent.rename(tmp_path / str(number)) for number, product in enumerate(pair)]
    given = [each for pan in pans for each in ("--pan", pan)]
    done = run("harmonize", *pair, "-o", tmp_path / "out", "--like", like, *given)
    assert done.exit_code == 0, done.output
    (folder,) = (tmp_path / "out").iterdir()
    scenes = item_of(folder)["properties"]["l8s2:scenes"]
    assert [scene["pan_id"] for scene in scenes] == [path.name.replace("L2SP", "L1TP") for path in pair]
    again = run("reproduce", next(folder.glob("*.json")), "--input", pair[0].parent, *given)
    assert again.exit_code == 0, again.output


def test_a_tile_of_two_pieces_of_a_real_scene(data: Path, tmp_path: Path) -> None:
    """Momotombo, cut in two: the tile holds the same as that of the whole scene."""
    whole = data / "scenes" / "LC08_L2SP_017051_20151205_20200908_02_T1"
    pair = slices(tmp_path / "in", whole, (slice(0, 310), slice(150, 467)))
    options = {"like": tmp_path / "like.tif", "sigma": None}
    with rasterio.open(part(whole, "SR_B4")) as source:
        corner = Affine.translation(5, -5) * source.transform * Affine.translation(120, 0) * Affine.scale(1 / 3)
        with rasterio.open(options["like"], "w", driver="GTiff", width=240, height=1401, count=1, dtype="uint8",
                           crs=source.crs, transform=corner) as grid:  # fmt: skip
            assert grid.res == (10, 10)
    one = read(harmonize_product(whole, tmp_path / "one", **options), "SR")
    folder = harmonize_product(pair, tmp_path / "two", **options)
    assert np.abs(one.astype(int) - read(folder, "SR")).max() <= 1
    assert item_of(folder)["properties"]["l8s2:warped"] is False


@pytest.mark.parametrize(
    ("old", "new"), [("LC09_L2SP_192025", "LC08_L2SP_192026"), ("_192025_", "_193026_"), ("20230520", "20230605")]
)
def test_scenes_of_two_overpasses_are_refused(tmp_path: Path, old: str, new: str) -> None:
    a = make(tmp_path / "a")
    b = make(tmp_path / "b", product_id=ID.replace(old, new).replace("192025", "192026"))
    result = run("harmonize", a, b, "-o", tmp_path / "out", "--mgrs", TILE)
    assert result.exit_code == 1
    assert ID in result.stderr
    assert b.name in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("l8s2: ")
    assert not (tmp_path / "out").exists()


def test_one_scene_twice_and_no_common_grid_are_refused(pair: list[Path], tmp_path: Path) -> None:
    for given, options, words in (
        ([pair[0], pair[0]], ["--mgrs", TILE], "given twice"),
        (pair, [], "needs --mgrs, --like or --bbox"),
        (pair, ["--crs", "EPSG:3035", "--bbox", "14", "51", "15", "52"], "give one of these instead of --crs"),
    ):
        result = run("harmonize", *given, "-o", tmp_path / "out", *options)
        assert result.exit_code == 1
        assert words in result.stderr


def test_one_scene_is_too_few_to_make_it_again(pair: list[Path], like: Path, tmp_path: Path) -> None:
    folder = harmonize_product(pair, tmp_path / "out", like=like)
    result = run("reproduce", next(folder.glob("*.json")), "--input", pair[0])
    assert result.exit_code == 1
    assert result.stderr == (
        f"l8s2: --input {ID}: the product was made of {SOUTH}; give the folder that holds all 2 scenes\n"
    )


def test_what_differs_is_told_where_one_scene_alone_touches_the_area(pair: list[Path], tmp_path: Path) -> None:
    """Made again, the product has the name of the one that there was, of both."""
    with rasterio.open(part(pair[0], "SR_B4")) as source:
        left, _, right, top = source.bounds
        bbox = rasterio.warp.transform_bounds(source.crs, "EPSG:4326", left, top - 600, right, top - 100)
    folder = harmonize_product(pair, tmp_path / "out", bbox=bbox)
    assert folder.name == "LC09_L2SP_192_20230520_025-026_S2L"
    rewrite(part(pair[0], "SR_B4"), lambda samples: samples + 9)
    result = run("reproduce", next(folder.glob("*.json")), "--input", pair[0].parent, "-o", tmp_path / "kept")
    assert result.exit_code == 1
    assert "_SR.tif red: " in result.stdout
    then, now = item_of(folder), item_of(tmp_path / "kept" / folder.name)
    assert now["id"] == then["id"]
    assert [each["id"] for each in now["properties"]["l8s2:scenes"]] == [ID]


@pytest.mark.posix
def test_a_killed_run_goes_on(pair: list[Path], like: Path, tmp_path: Path) -> None:
    both = "*map(str, __import__('pathlib').Path(sys.argv[1]).glob('*L2SP*'))"
    program = KILLED.replace("harmonize_product(sys.argv[1], sys.argv[2])",
                             f"harmonize_product(sorted([{both}]), sys.argv[2], like=sys.argv[4])")  # fmt: skip
    undisturbed = files(pair, tmp_path / "whole", like=like)  # type: ignore[arg-type]
    output = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", program, pair[0].parent, output, "3", like], check=False)
    assert done.returncode == -signal.SIGKILL
    assert undisturbed == files(pair, output, resume=True, like=like)  # type: ignore[arg-type]
    result = run("harmonize", pair[0], pair[1], "-o", output, "--resume", "--like", like, "--no-sigma")
    assert "was made with" in result.stderr


def test_memory_and_threads_leave_no_trace(pair: list[Path], like: Path, tmp_path: Path) -> None:
    one = files(pair, tmp_path / "a", threads=1, like=like)  # type: ignore[arg-type]
    assert one == files(pair, tmp_path / "b", threads=2, max_memory=0.1, like=like)  # type: ignore[arg-type]


def test_a_scene_of_the_next_zone_is_warped_once(whole: Path, tmp_path: Path) -> None:
    """A scene seen in zone 33, and one of the same waves in zone 32 to the east of it, on the tile of zone 33."""
    east = GeoBox((60, 60), Affine(30, 0, 855_015 - 30, 0, -30, 5_660_025), "EPSG:32632")
    other = make(tmp_path / "in", east, product_id=SOUTH)
    with rasterio.open(part(other, "SR_B4")) as source:
        left, _, right, top = rasterio.warp.transform_bounds(source.crs, "EPSG:32633", *source.bounds)
    near = make(tmp_path / "in2", ms_grid(60, 60, centre=(int((left + right) / 60) * 30, int(top / 30) * 30)))
    path = tmp_path / "like.tif"
    with rasterio.open(path, "w", driver="GTiff", width=260, height=200, count=1, dtype="uint8", crs="EPSG:32633",
                       transform=Affine(10, 0, int(left / 10) * 10, 0, -10, int(top / 10) * 10)):  # fmt: skip
        pass
    folder = harmonize_product([near, other], tmp_path / "out", like=path, sigma=None)
    told = item_of(folder)["properties"]
    assert [each["l8s2:warped"] for each in told["l8s2:scenes"]] == [False, True]
    assert any(SOUTH in line and "warped once" in line for line in told["l8s2:warnings"])
    alone = harmonize_product(other, tmp_path / "alone", like=path, sigma=None)
    together, warped = read(folder, "SR"), read(alone, "SR")
    of_other = (together == warped).all(0) & (warped != -32768).all(0)
    assert of_other.any()
    near_alone = read(harmonize_product(near, tmp_path / "near", like=path, sigma=None), "SR")
    assert ((together == warped).all(0) | (together == near_alone).all(0)).all()


def test_a_box_and_a_scene_elsewhere(pair: list[Path], whole: Path, tmp_path: Path) -> None:
    with rasterio.open(part(whole, "SR_B4")) as source:
        bounds = rasterio.warp.transform_bounds(source.crs, "EPSG:4326", *source.bounds)
    plan = plan_product(pair, ProductOptions(area=Area(bbox=bounds)))
    assert plan.product_id == "LC09_L2SP_192_20230520_025-026"
    assert plan.shape == (3 * ROWS, 3 * COLUMNS)
    top = (bounds[0], bounds[3] - (bounds[3] - bounds[1]) / 8, bounds[2], bounds[3])
    plan = plan_product(pair, ProductOptions(area=Area(bbox=top)))
    assert any(f"{SOUTH}: left out" in line for line in plan.warnings)
    assert plan.pan == ID.replace("L2SP", "L1TP")


class Given:
    """A layer of one value with given QA."""

    def __init__(self, value: float, qa: Any, fill: Any = None) -> None:
        mean = np.full((6, *qa.shape), value, np.float32)
        if fill is not None:
            mean[:, fill] = np.nan
            qa[fill] = masks.flag("fill")
        self._part = Part(mean[:3], mean, mean / 10, qa)

    def part(self, rows: slice, columns: slice) -> Part:
        return self._part

    def before(self, rows: slice, columns: slice) -> Any:
        return self._part.before


class At(Outline):
    """An outline that is a circle."""

    def __init__(self, column: float, row: float) -> None:
        self._centre = np.array([column, row])

    def depth(self, points: Any) -> Any:
        return 500 - self.distance(points)


def chosen(a: Given, b: Given) -> Any:
    found = Mosaic([a, b], [At(128, 0), At(128, 512)]).part(slice(0, 512), slice(0, 256))
    assert found is not None
    assert np.isin(found.mean[~np.isnan(found.mean)], np.float32([0.1, 0.2])).all()
    return found.mean[0] == np.float32(0.2)


def test_the_nearer_edge_gives_way_and_regions_beat_single_pixels() -> None:
    rng = np.random.default_rng(1)

    def clear() -> Any:
        return np.zeros((512, 256), np.uint16)

    middle = chosen(Given(0.1, clear()), Given(0.2, clear()))
    assert not middle[:256].any()
    assert middle[256:].all()
    speckled = clear()
    speckled[rng.random(speckled.shape) < 0.04] = masks.flag("cloud")
    assert np.array_equal(chosen(Given(0.1, speckled), Given(0.2, clear())), middle)
    for name in ("cloud", "no_qa", "do_not_trust", "near_fill"):
        flagged = clear()
        flagged[64:128, 32:96] = masks.flag(name)
        expected = middle.copy()
        expected[64:128, 32:96] = True
        assert np.array_equal(chosen(Given(0.1, flagged), Given(0.2, clear())), expected), name
    clouded, doubted = clear(), clear()
    clouded[:] = masks.flag("cloud")
    doubted[:] = masks.flag("do_not_trust")
    assert chosen(Given(0.1, clouded), Given(0.2, doubted)).all()
    holes = rng.random(middle.shape) < 0.02
    assert np.array_equal(chosen(Given(0.1, clear(), holes), Given(0.2, clear())), middle | holes)


def test_depth_is_measured_from_the_edge_of_what_is_valid(tmp_path: Path) -> None:
    product = make(tmp_path, ms_grid(100, 100))
    for path in product.glob("*_SR_B2.TIF"):
        rewrite(path, lambda x: np.where(np.tri(100, dtype=bool), x, 0).astype(x.dtype))
    with open_scene(product) as scene:
        outline = Outline(scene, output_geobox(scene.geobox))
    points = np.array([[75.0, 225.0], [10.0, 250.0], [200.0, 100.0]])
    assert outline.depth(points) == pytest.approx([np.min([75, 75, 150 / np.sqrt(2)]), 10, -100 / np.sqrt(2)], abs=5)
