"""Pan that lies elsewhere by a constant shift: moved where the windows agree, left alone where they do not."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from test_resume import KILLED
from test_same_bytes import files

import l8s2
from l8s2.cli import main
from l8s2.landsat.band import MovedBand, Scaling
from l8s2.landsat.clear_windows import clear_windows
from l8s2.landsat.describe import describe_product
from l8s2.landsat.pan_shift import measure_pan_shift
from l8s2.landsat.scene import open_scene
from l8s2.optics import moved
from l8s2.pipeline import estimate, in_memory, to_product
from l8s2.pipeline.align_pan import with_aligned_pan
from l8s2.pipeline.estimate import plan_product
from l8s2.predictors.load import load_model, load_predictor
from l8s2.simulate import Conditions, observe
from l8s2.simulate.landscape import landscape
from making.scenes import Copying, make, ms_grid, pan_of, rewrite

SHAPE = (104, 110)
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True, scope="module")
def loaded_once() -> Iterator[None]:
    """The network, which takes longer to load than to run here."""
    load = cache(load_predictor)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_memory, "load_model", cache(load_model))
        for module in (to_product, estimate):
            patch.setattr(module, "load_predictor", load)
        yield


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return landscape(6, SHAPE).truth


def seen(truth: np.ndarray, down: float = 0.0, right: float = 0.0) -> Any:
    """With pan sampled so many of its pixels elsewhere."""
    return observe(truth, Conditions(noise=1.0, pan_shift=(15 * down, 15 * right)), np.random.default_rng(0))


def product(folder: Path, truth: np.ndarray, down: float = 0.0, right: float = 0.0) -> Path:
    return make(folder, ms_grid(*SHAPE), seen(truth, down, right))


def psnr(dataset: Any, truth: np.ndarray) -> float:
    inner = (slice(None), slice(30, -30), slice(30, -30))
    error = (dataset.surface_reflectance.values - truth)[inner][:3]
    return float(-10 * np.log10(np.nanmean(error**2)))


def left_after(path: Path) -> tuple[Any, dict[str, Any]]:
    with open_scene(path) as scene:
        scene_moved, pan = with_aligned_pan(scene, Copying(), "auto")  # type: ignore[arg-type]
        assert scene.pan is not scene_moved.pan or pan.moved is None
        return pan.moved, measure_pan_shift(clear_windows(scene_moved))


@pytest.mark.parametrize("shift", [(0.2, 0.0), (0.0, -0.5), (1.0, 0.0), (-1.1, 1.0), (1.5, -1.5)])
def test_a_shift_of_pan_is_taken_out(tmp_path: Path, truth: np.ndarray, shift: tuple[float, float]) -> None:
    # content that is sampled further down lies further up
    metres, left = left_after(product(tmp_path, truth, *shift))
    assert metres == pytest.approx([15 * move for move in shift], abs=0.75)
    assert left["length_m"] < 0.75
    assert left["verdict"] == "good"


def test_what_is_made_is_as_good_as_without_the_shift(tmp_path: Path, truth: np.ndarray) -> None:
    best = psnr(l8s2.harmonize(product(tmp_path / "0", truth)), truth)
    for shift, lost in (((1.0, 0.0), 0.1), ((0.7, -0.7), 1.5)):  # between its pixels, sharp pan does not tell all
        path = product(tmp_path / str(lost), truth, *shift)
        aligned = l8s2.harmonize(path)
        assert "is moved back" in aligned.attrs["comment"]
        assert psnr(aligned, truth) > best - lost
        assert psnr(l8s2.harmonize(path, align_pan="off"), truth) < best - 5


def test_ordinary_pan_stays_as_it_is(tmp_path: Path, truth: np.ndarray) -> None:
    path = product(tmp_path / "in", truth, 0.08, 0.08)
    assert left_after(path)[0] is None
    assert files(path, tmp_path / "a") == files(path, tmp_path / "b", align_pan="off")  # type: ignore[arg-type]


@pytest.mark.parametrize(("shift", "times"), [(0.08, 1), (1.0, 2)])
def test_where_pan_lies_is_measured_again_only_where_it_was_moved(
    tmp_path: Path, truth: np.ndarray, monkeypatch: pytest.MonkeyPatch, shift: float, times: int
) -> None:
    told = []

    def counted(windows: Any) -> dict[str, Any]:
        told.append(measure_pan_shift(windows))
        return told[-1]

    for module in ("l8s2.pipeline.align_pan", "l8s2.landsat.measure_scene"):
        monkeypatch.setattr(sys.modules[module], "measure_pan_shift", counted)
    made = to_product.harmonize_product(product(tmp_path / "in", truth, shift), tmp_path / "out")
    item = json.loads(next(made.glob("*.json")).read_text())["properties"]
    assert len(told) == times
    assert item["l8s2:pan_shift"] == told[-1]


def test_the_product_says_so_and_is_the_same_in_whatever_windows(tmp_path: Path, truth: np.ndarray) -> None:
    path = product(tmp_path / "in", truth, 1.0, 0.0)
    said = CliRunner().invoke(main, ["info", str(path)]).stdout
    assert "is moved back by as much" in said
    assert any("is moved back" in line for line in plan_product(path).warnings)
    one = files(path, tmp_path / "a")
    assert one == files(path, tmp_path / "b", max_memory=0.1)
    assert one != files(path, tmp_path / "c", align_pan="off")  # type: ignore[arg-type]
    item = json.loads(next((tmp_path / "a").rglob("*L2SP*.json")).read_text())["properties"]
    assert item["l8s2:pan_aligned_m"] == pytest.approx({"down": 15, "right": 0}, abs=0.75)
    assert item["l8s2:pan_shift"]["length_m"] < 0.75
    assert item["l8s2:verdict"] == "pass"
    assert "is moved back" in "".join(item["l8s2:warnings"])
    item = json.loads(next((tmp_path / "c").rglob("*L2SP*.json")).read_text())["properties"]
    assert item["l8s2:verdict"] == "fail"
    assert "l8s2:pan_aligned_m" not in item


@pytest.mark.posix
def test_a_killed_run_goes_on_only_with_pan_where_it_was(tmp_path: Path, truth: np.ndarray) -> None:
    path = product(tmp_path / "in", truth, 1.0, 0.0)
    run = subprocess.run([sys.executable, "-c", KILLED, path, tmp_path / "out", "1"], check=False)
    assert run.returncode == -signal.SIGKILL
    off: dict[str, Any] = {"align_pan": "off"}
    assert files(path, tmp_path / "out", resume=True, **off) == files(path, tmp_path / "undisturbed", **off)


@pytest.fixture
def torn(tmp_path: Path, truth: np.ndarray) -> Path:
    """Pan whose halves lie elsewhere in two ways."""
    first, second = seen(truth, 1.5, 0.0), seen(truth, -1.0, 1.0)
    half = first.pan.shape[1] // 2
    pan = np.concatenate([first.pan[:, :half], second.pan[:, half:]], axis=1)
    return make(tmp_path / "in", ms_grid(*SHAPE), replace(first, pan=pan))


def test_where_windows_disagree_pan_is_not_moved(tmp_path: Path, torn: Path) -> None:
    assert left_after(torn)[0] is None
    done = CliRunner().invoke(main, ["harmonize", str(torn), "-o", str(tmp_path / "out")])
    assert "% of the windows agree; it is not moved" in done.stderr
    assert "--model compact-nopan" in done.stderr
    assert "verdict fail" in done.stderr
    assert "--model compact-nopan" in CliRunner().invoke(main, ["info", str(torn)]).stdout
    done = CliRunner().invoke(
        main, ["harmonize", str(torn), "-o", str(tmp_path / "out"), "--overwrite", "--model", "compact-nopan"]
    )
    assert "verdict" not in done.stderr


def test_too_few_windows_prove_nothing(tmp_path: Path) -> None:
    path = make(
        tmp_path, ms_grid(48, 50), observe(landscape(6, (48, 50)).truth, Conditions(pan_shift=(15.0, 0.0)), RNG)
    )
    facts = describe_product(path)
    assert facts["pan_shift"]["agreeing"] is None
    assert "too few windows" in facts["align_pan"]


def test_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(l8s2.InputError, match="`align_pan` on: unknown; choose auto or off"):
        l8s2.harmonize(make(tmp_path), align_pan="on")  # type: ignore[arg-type]


def test_a_wave_is_moved_as_the_formula_has_it() -> None:
    def wave(down: float, right: float) -> np.ndarray:
        y, x = np.mgrid[:90, :80]
        return (np.sin(0.9 * (y + down) + 0.2) * np.cos(1.3 * (x + right))).astype(np.float32)

    found = moved(wave(0, 0), (0.37, -1.61), 20)
    np.testing.assert_allclose(found, wave(0.37, -1.61)[20:-20, 20:-20], atol=2e-3)


class InMemory:
    """A raster of noise with holes."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.pixels = np.where(rng.random((60, 70)) < 0.02, np.nan, rng.random((60, 70))).astype(np.float32)

    def read(self, rows: slice, columns: slice) -> Any:
        wide = np.pad(self.pixels, 200, constant_values=np.nan)
        values = wide[rows.start + 200 : rows.stop + 200, columns.start + 200 : columns.stop + 200]
        return values, np.isfinite(values)


@given(st.integers(-20, 60), st.integers(1, 40), st.floats(-2, 2), st.floats(-2, 2))
def test_a_moved_pixel_does_not_depend_on_the_window(first: int, size: int, down: float, right: float) -> None:
    band = MovedBand(InMemory(), Scaling(1.0, 0.0), False, (down, right))  # type: ignore[arg-type]
    whole = band.read(slice(-30, 110), slice(-30, 110))
    part = band.read(slice(first, first + size), slice(5, 30))
    np.testing.assert_array_equal(part, whole[first + 30 : first + 30 + size, 35:60])


@pytest.mark.parametrize("when", ["143054_20230213", "204023_20200927"])
def test_real_pan_that_was_displaced_comes_back(data: Path, tmp_path: Path, when: str) -> None:
    for folder in (data / "scenes").glob(f"*_{when}_*"):
        shutil.copytree(folder, tmp_path / folder.name)
    path = next(tmp_path.glob("*L2SP*"))
    assert left_after(path)[0] is None
    rewrite(pan_of(path), lambda x: np.rint(ndimage.shift(x.astype(float), (0, 0.7, -0.6), order=5)).astype(x.dtype))
    metres, left = left_after(path)
    assert metres == pytest.approx((-10.5, 9.0), abs=0.75)
    assert left["length_m"] < 0.75
