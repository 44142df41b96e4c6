"""A whole scene measured: through its files, on few windows, with its doubts in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l8s2.landsat.measure_scene import SceneMeasures, measure_scene
from l8s2.landsat.scene import Scene, open_scene
from l8s2.simulate import Conditions, observe
from l8s2.simulate.landscape import landscape
from making.scenes import make, ms_grid

SHAPE = (70, 96)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """Fields, and a lake without a wave."""
    found = landscape(6, SHAPE).truth.copy()
    found[:, :, 150:] = np.array([0.07, 0.06, 0.045, 0.02, 0.01, 0.008])[:, None, None]
    return found


def measures(folder: Path, truth: np.ndarray, **conditions: Any) -> SceneMeasures:
    seen = observe(truth, Conditions(**conditions), np.random.default_rng(0))
    with open_scene(make(folder, ms_grid(*SHAPE), seen)) as scene:
        return measure_scene(scene)


def test_an_ordinary_scene_gives_no_doubts(tmp_path: Path, truth: np.ndarray) -> None:
    found = measures(tmp_path, truth, noise=1.0, pan_shift=(1.0, 0.0))
    assert found.doubts() == []
    assert list(found.known()) == ["pan_shift", "sharpness", "noise"]
    assert {facts["verdict"] for facts in found.known().values()} == {"good"}
    assert found.sharpness is not None
    assert found.sharpness["blur_m"] == pytest.approx(12.8, rel=0.05)


def test_what_is_out_of_the_ordinary_is_said_in_words(tmp_path: Path, truth: np.ndarray) -> None:
    found = measures(tmp_path, truth, noise=4.5, psf_sigma=(20.0,) * 6, pan_shift=(-12.0, 0.0))
    assert [bad for bad, _ in found.doubts()] == [True, False, False]
    shift, blur, noise = (text for _, text in found.doubts())
    assert shift.startswith(("pan lies 11.", "pan lies 12."))
    assert shift.endswith(" m off the 30 m bands")
    assert blur.startswith("the visible bands are blurred by 18.")
    assert blur.endswith(" m against pan; the networks know 9.6 to 16.7 m")
    assert noise.startswith("noise is stronger than documented (blue 4.")
    assert noise.endswith(" times); the networks were tried up to 3")


def test_a_scene_without_pan_is_measured_for_noise(tmp_path: Path, truth: np.ndarray) -> None:
    seen = observe(truth, Conditions(noise=1.0), np.random.default_rng(0))
    with open_scene(make(tmp_path, ms_grid(*SHAPE), seen, with_pan=False)) as scene:
        found = measure_scene(scene)
    assert found.pan_shift is found.sharpness is None
    assert list(found.known()) == ["noise"]
    assert found.noise["verdict"] == "good"
    assert "pan" not in found.noise["bands"]


def test_little_of_a_large_scene_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    read = Scene.read

    def counted(scene: Scene, rows: slice, columns: slice) -> Any:
        sizes.append((rows.stop - rows.start) * (columns.stop - columns.start))
        return read(scene, rows, columns)

    monkeypatch.setattr(Scene, "read", counted)
    with open_scene(make(tmp_path, ms_grid(640, 530))) as scene:
        measure_scene(scene)
    assert sizes == [256 * 256] * 4
