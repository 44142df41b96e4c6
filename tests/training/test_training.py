"""Training on simulated crops: what may be learned from, resuming, and export."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import torch

from l8s2.engines import ModelFile, OpenVinoNetwork, TorchNetwork
from l8s2.models import Compact, CompactConfig
from l8s2.training.export import export_onnx
from l8s2.training.imagery import VALIDATION, Batch, Crops, load_folder
from l8s2.training.loop import TrainingConfig, train

TINY = CompactConfig(width=8, blocks=1)
CONFIG = TrainingConfig(steps=6, batch=2, size=12, border=2, warmup=2, checkpoint_every=2, bf16=False)


@pytest.fixture
def imagery(tmp_path: Path) -> Path:
    """Three small places, one of them reserved for validation, one without its 20 m bands, one with nodata."""
    folder = tmp_path / "imagery"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for name, missing in (("farm_L2A", []), ("town_L1C", ["B8A", "B11", "B12"]), (f"{VALIDATION[0]}_L1C", [])):
        fine = (1500 + 900 * rng.random((1, 4, 90, 96)).cumsum(2) / 90).astype(np.int16)
        coarse = fine[:, [3, 3, 2], ::2, ::2].copy()
        if missing:
            coarse[:] = -32768
        if name.startswith("farm"):
            fine[:, :, :10] = -32768
        np.savez(folder / f"{name}.npz", x10=fine, x20=coarse, meta=json.dumps({"missing": missing}))
    return folder


def test_validation_places_are_never_trained_on(imagery: Path) -> None:
    training, _, validation = load_folder(imagery)
    assert {i.place for i in training} == {"farm", "town"}
    assert {i.place for i in validation} == {VALIDATION[0]}


def test_a_folder_without_imagery_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \.npz imagery"):
        load_folder(tmp_path)


def test_crops_are_clean_repeatable_and_only_score_what_is_known(imagery: Path) -> None:
    training, _, _ = load_folder(imagery)
    crops = Crops(training, size=12, batch=8, seed=3)
    one, again, other = crops(7), crops(7), crops(8)
    for name in ("ms", "pan", "truth", "valid"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    assert not np.array_equal(one.ms, other.ms)
    assert one.ms.shape == (8, 6, 12, 12)
    assert one.pan.shape == (8, 1, 24, 24)
    assert one.truth.shape == one.valid.shape == (8, 6, 36, 36)
    assert all(np.isfinite(x).all() for x in (one.ms, one.pan, one.truth))
    town = Crops([i for i in training if i.place == "town"], size=12, batch=2, seed=0)(0)
    assert town.valid[:, :3].all()
    assert not town.valid[:, 3:].any()  # stand-ins are input, never a target


class Interrupted:
    """Crops of a run that dies at one step."""

    def __init__(self, crops: Crops, at: int) -> None:
        self.crops, self.at = crops, at

    def __call__(self, step: int) -> Batch:
        if step == self.at:
            raise RuntimeError("power cut")
        return self.crops(step)


def test_a_killed_run_resumes_to_the_same_weights(imagery: Path, tmp_path: Path) -> None:
    crops = Crops(load_folder(imagery)[0], size=CONFIG.size, batch=CONFIG.batch, seed=CONFIG.seed)
    quiet: list[str] = []
    straight = train(TINY, CONFIG, crops, tmp_path / "straight", report=quiet.append)
    with pytest.raises(RuntimeError, match="power cut"):
        train(TINY, CONFIG, Interrupted(crops, 4), tmp_path / "killed", report=quiet.append)  # type: ignore[arg-type]
    with pytest.raises(FileExistsError, match="--resume"):
        train(TINY, CONFIG, crops, tmp_path / "killed", report=quiet.append)
    resumed = train(TINY, CONFIG, crops, tmp_path / "killed", resume=True, report=quiet.append)
    assert any("resumed at step" in line for line in quiet)
    for (name, a), (_, b) in zip(straight.state_dict().items(), resumed.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    logged = [json.loads(line) for line in (tmp_path / "straight" / "metrics.jsonl").read_text().splitlines()]
    assert logged[-1]["step"] == CONFIG.steps
    assert logged[-1]["l1"] > 0


@pytest.mark.parametrize("pan", [True, False])
def test_an_exported_network_is_the_same_in_both_engines(tmp_path: Path, pan: bool) -> None:
    torch.manual_seed(1)
    network = Compact(replace(TINY, pan=pan)).eval()
    network.calibration.copy_(torch.tensor([1.0, 1.1, 0.9, 2.0, 0.5, 1.3]))
    path = tmp_path / "tiny.onnx"
    export_onnx(network, path, {"name": "tiny"})
    rng = np.random.default_rng(0)
    ms = rng.random((6, 19, 23), np.float32) * 0.3
    samples = rng.random((38, 46), np.float32) * 0.3 if pan else None
    with torch.inference_mode():
        expected = network(
            torch.from_numpy(ms)[None], None if samples is None else torch.from_numpy(samples)[None, None]
        )
    for engine in (OpenVinoNetwork(ModelFile(path), 1, bf16=False), TorchNetwork(ModelFile(path).build, 1)):
        assert engine.receptive_field == network.receptive_field
        assert engine.uses_pan is pan
        for found, want in zip(engine(ms, samples), expected, strict=True):
            np.testing.assert_allclose(found, want[0].numpy(), atol=1e-5, rtol=1e-4)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.onnx"]


def test_the_exported_file_names_no_place_of_the_machine_it_was_made_on(tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    export_onnx(Compact(TINY), path, {})
    content = path.read_bytes()
    assert str(Path.cwd()).encode() not in content
    assert b"site-packages" not in content
