"""l8s2 dataset: what it writes, says and refuses."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from l8s2 import grid
from l8s2.cli import main
from l8s2.datasets.geotiffs import TiffPairs
from l8s2.datasets.set_pairs import ShardPairs
from l8s2.patches.patch_set import PatchSet
from l8s2.sensors import OLI
from making.pairs import write_ls2s2, write_oli2msi
from making.patches import box_at, coordinates, of_unit

h5py = pytest.importorskip("h5py")


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["dataset", *map(str, arguments)])
    assert result.exit_code == code, result.output
    if code:
        assert len(result.stderr.strip().splitlines()) == 1
        assert "Traceback" not in result.output
    return result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two places, and one patch with clouds and 3000 km between them."""
    patches = PatchSet(tmp_path / "set")
    patches.add("a", of_unit(0))
    far = coordinates(
        box_at(-91_001, 15_001, side=16, epsg=32643), location="43PHQ", path_row="143054",
        ms_scale=OLI.sr_scale, ms_offset=OLI.sr_offset,
        s2_scale=1e-4, s2_offset=-0.1, pan_scale=2e-5, pan_offset=-0.1, landsat_sun_elevation=30.0, ssim=0.2,
    )  # fmt: skip
    far.s2_usable[:10] = False
    far.s2_20m[:, 15:17, 11:13] = 0
    patches.add("b", [far])
    return tmp_path / "set"


def test_a_single_region_is_dealt_in_strips_and_stays_so(tmp_path: Path) -> None:
    patches = PatchSet(tmp_path)
    for k in range(4):
        patches.add(f"u{k}", (coordinates(box_at(-187_001 + 8 * (3 * k + i), 15_001)) for i in range(3)))
    assert json.loads(run("split", tmp_path, "--json").stdout)["sides"] == {"Train": 12}
    assert "sides were not dealt in strips before; give --anew" in run("split", tmp_path, "--strips", code=1).stderr
    said = run("split", tmp_path, "--strips", "--anew", "--train", 0.6, "--validation", 0.2, "--test", 0.2)
    assert {line.split()[0] for line in said.stdout.splitlines()} == {"Train", "Validation", "Test", "Excluded"}
    before = PatchSet(tmp_path).sides()
    north = max(PatchSet(tmp_path).facts["bounds"], key=lambda bounds: bounds[3])
    patches.add("later", [coordinates(box_at(-187_001 - 80, 15_001))])
    assert json.loads(run("split", tmp_path, "--json").stdout)["sides"]["Train"] == 1 + sum(
        side.pair_type == "Train" for side in before.values()
    )
    assert PatchSet(tmp_path).facts["bounds"][:, 1].max() > north[3]
    assert before.items() <= PatchSet(tmp_path).sides().items()


def test_ground_of_a_shard_that_is_gone_is_not_dealt_again(folder: Path) -> None:
    run("split", folder)
    (folder / "shards/a.h5").unlink()
    said = run("split", folder, code=1).stderr
    assert "3 patches of split.csv are missing, and their ground would be dealt again; resume the build" in said
    run("split", folder, "--anew")


def test_split_then_stats(folder: Path) -> None:
    counts = json.loads(run("split", folder, "--json").stdout)
    assert sum(counts["sides"].values()) == 4
    assert sorted(counts["sides"].values()) == [1, 3]
    assert "nothing on side" in run("split", folder).stderr
    found = json.loads(run("stats", folder, "--json").stdout)
    assert found["sides"] == counts["sides"]
    assert found["columns"]["slope_green"]["median"] == 1.01
    assert found["columns"]["location"] == {"known": 4, "distinct": 2, "most_common": "33UVS"}
    assert found["columns"]["psnr"] == {"known": 4, "min": None, "p05": None, "median": None, "p95": None, "max": None}
    pairs = ShardPairs(folder)
    values = np.concatenate([pairs[i].truth[4][pairs[i].valid[4]] for i in range(4)]).astype(float)
    band = found["bands"]["swir16"]["sentinel2"]
    assert band["pixels"] == values.size
    assert band["mean"] == pytest.approx(values.mean(), rel=1e-4)
    assert band["std"] == pytest.approx(values.std(), rel=1e-4)
    one = run("stats", folder, "--side", next(k for k, n in counts["sides"].items() if n == 1)).stdout
    assert one.startswith("1 patches: ")
    assert "swir16 sentinel2" in one


def test_inspect(folder: Path, tmp_path: Path) -> None:
    run("inspect", folder, "-o", tmp_path / "sheet", "--count", 2, "--lowest", "ssim")
    page = (tmp_path / "sheet/index.html").read_text()
    assert page.count("<figure>") == 2
    assert page.count("data:image/jpeg;base64,") == 2
    assert "http" not in page.replace("http://www.w3.org", "")
    assert page.index("43PHQ_") < page.index("33UVS_")  # the least alike comes first
    with Image.open(tmp_path / "sheet/sheet.png") as sheet:
        assert sheet.width == 4 * 240 + 3 * 4
        pixels = np.asarray(sheet.convert("RGB"))
    masks = pixels[14 : 14 + 192, -192:]
    assert (masks[0, 0] == 0).all()  # clouds
    assert (masks[100, 100] == 255).all()
    run("inspect", folder, "-o", tmp_path / "sheet", code=1)
    run("inspect", folder, "-o", tmp_path / "sheet", "--overwrite")
    run("inspect", folder, "-o", tmp_path / "other", "--lowest", "landsat_id", code=1)
    assert not (tmp_path / "other").exists()


def test_inspect_and_stats_of_others(tmp_path: Path) -> None:
    write_ls2s2(tmp_path / "31TAB_7")
    found = json.loads(run("stats", tmp_path, "--json", "--count", 1).stdout)
    assert found["columns"] == {}
    assert found["bands"]["pan"]["landsat"]["pixels"] > 0
    run("inspect", tmp_path, "-o", tmp_path / "sheet", "--count", 1, code=0)
    run("stats", tmp_path, "--side", "Train", code=1)
    run("stats", tmp_path / "sheet", code=1)
    run("export", tmp_path, "-o", tmp_path / "out", "--format", "geotiff", code=1)


@pytest.mark.parametrize(("name", "write"), [("31TAB_7", write_ls2s2), ("oli2msi", write_oli2msi)])
def test_the_lowest_of_a_set_without_an_index_are_not_known(
    name: str, write: Callable[[Path], object], tmp_path: Path
) -> None:
    folder = tmp_path / name
    write(folder)
    said = run("inspect", folder, "-o", tmp_path / "sheet", "--lowest", "ssim", code=1).stderr
    assert said == f"l8s2: --lowest ssim: {folder} has no index; give a set built by l8s2, or leave --lowest out\n"
    assert not (tmp_path / "sheet").exists()
    run("inspect", folder, "-o", tmp_path / "sheet", "--count", 1)


def test_export_published(folder: Path, tmp_path: Path) -> None:
    run("split", folder)
    far = next(i for i in range(4) if ShardPairs(folder)[i].id.startswith("43PHQ"))
    run("export", folder, "-o", tmp_path / "out", "--format", "published", code=1)  # patches without a sun elevation
    assert not (tmp_path / "out").exists()
    side = next(s for s in ("Train", "Validation", "Test") if f",{s},".encode() in (folder / "index.csv").read_bytes()
                and len(ShardPairs(folder, s)) == 1)  # fmt: skip
    run("export", folder, "-o", tmp_path / "out", "--format", "published", "--side", side)
    sample, patch = ShardPairs(folder)[far], PatchSet(folder).read(far)
    with (tmp_path / "out/patches.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["patch_id"] == sample.id
    assert row["pair_type"] == side
    assert row["pair_path"] == f"patches/43PHQ/2023-05-20/{sample.id}.h5"
    with h5py.File(tmp_path / "out" / row["pair_path"]) as file:
        found = {name: file[name][()] for name in file}
    assert {name: a.shape for name, a in found.items()} == {
        "s2_image": (6, 48, 48), "l8_image": (6, 16, 16), "l8_pan": (32, 32), "l8_zoomed": (6, 48, 48),
    }  # fmt: skip
    assert np.array_equal(found["l8_image"], patch.ms)
    assert not found["s2_image"][:, :10].any()
    assert not found["s2_image"][3:, 30:34, 22:26].any()  # what is guessed does not count
    assert found["s2_image"][:3, 30:34, 22:26].all()
    assert np.abs(found["s2_image"][:3, 10:] - (patch.s2_10m[:, 10:].astype(int) - 1000)).max() <= 1
    assert np.allclose(found["l8_pan"], sample.pan * np.sin(np.radians(30)))  # type: ignore[operator]
    fine = grid.output_geobox(patch.box)
    x = fine.affine.c + 10 * (np.arange(48) + 0.5) - patch.box.affine.c
    right = (found["l8_zoomed"][0].astype(float) - 1000) / 10  # its numbers tell metres
    assert np.abs(right - x)[20:28, 20:28].max() < 2
    assert (tmp_path / "out/patches/43PHQ/2023-05-20").is_dir()


def test_what_is_exported_as_published_is_read_as_published(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from l8s2.datasets.deep_harmonization import DeepHarmonizationPatches

    run("split", folder, "--train", 1, "--validation", 0, "--test", 0)
    patches = PatchSet(tmp_path / "one")
    patches.add("b", [PatchSet(folder).read(int(np.argmax(PatchSet(folder).facts["location"] == "43PHQ")))])
    patches.split({"Train": 1})
    run("export", tmp_path / "one", "-o", tmp_path / "out", "--format", "published")
    (pair,) = DeepHarmonizationPatches(tmp_path / "out/patches.csv", tmp_path / "out/patches", "Train", 48)
    sample = ShardPairs(tmp_path / "one")[0]
    assert np.abs(pair.truth - sample.truth)[pair.valid].max() < 2e-4
    assert not pair.valid[:, :10].any()


@pytest.mark.parametrize("layout", ["geotiff", "published"])
def test_an_export_onto_a_full_disk_is_one_line(tmp_path: Path, layout: str) -> None:
    resource = pytest.importorskip("resource")
    patch = coordinates(box_at(-187_001, 15_001, side=64), landsat_sun_elevation=30.0)
    patch.ms[:] = np.random.default_rng(1).integers(1, 60_000, patch.ms.shape)
    PatchSet(tmp_path / "set").add("a", [patch])
    options = ["export", str(tmp_path / "set"), "-o", str(tmp_path / "out"), "--format", layout]
    done = subprocess.run(
        [sys.executable, "-m", "l8s2.cli", "dataset", *options], capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "make room, then run it again" in done.stderr
    assert not (tmp_path / "out").exists()


def test_some_without_pan_are_exported_and_come_back(folder: Path, tmp_path: Path) -> None:
    patches = PatchSet(folder)
    patches.add("c", [replace(coordinates(box_at(-187_001, 16_001)), pan=None)])
    run("export", folder, "-o", tmp_path / "out", "--format", "geotiff")
    out = tmp_path / "out"
    back = TiffPairs(out / "landsat", out / "sentinel2", out / "pan", out / "valid")
    assert sorted(back[k].pan is None for k in range(5)) == [False] * 4 + [True]


def test_export_geotiff_comes_back(folder: Path, tmp_path: Path) -> None:
    run("export", folder, "-o", tmp_path / "out", "--format", "geotiff")
    out, pairs = tmp_path / "out", ShardPairs(folder)
    back = TiffPairs(out / "landsat", out / "sentinel2", out / "pan", out / "valid")
    assert len(back) == len(pairs) == 4
    for i in range(4):
        a, b = pairs[i], back[i]
        assert a.id == b.id
        assert a.lattice == b.lattice
        assert np.array_equal(a.valid, b.valid)
        for x, y in ((a.ms, b.ms), (a.truth, b.truth), (a.pan, b.pan)):
            assert np.nanmax(np.abs(np.clip(x, None, 3.2767) - y)) < 6e-5  # type: ignore[arg-type]
    assert (out / "patches.csv").read_text().count(".tif") == 4
    run("export", folder, "-o", out, "--format", "geotiff", code=1)


def test_the_help_is_light() -> None:
    code = (
        "import sys, l8s2.cli, contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n"
        " l8s2.cli.main(['dataset', 'export', '--help'], standalone_mode=False)\n"
        "print(sorted({'h5py', 'numpy', 'torch', 'rasterio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_h5py_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert "pip install 'l8s2[train]'" in run("stats", folder, code=1).stderr
