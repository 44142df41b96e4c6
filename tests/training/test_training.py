"""Training on simulated crops: what may be learned from, and export."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import torch

from l8s2.models.onnx_export import export_onnx
from l8s2.models.onnx_file import ModelFile
from l8s2.networks import Compact, CompactConfig
from l8s2.predictors.engines import OpenVinoNetwork, TorchNetwork
from l8s2.simulate.archives import VALIDATION, load_folder
from l8s2.simulate.crops import Crops
from making.tiny_runs import RESERVED

TINY = CompactConfig(width=8, blocks=1)


def test_validation_places_are_never_trained_on(imagery: Path) -> None:
    training, _, validation = load_folder(imagery)
    assert {i.place for i in training} == {"farm", "town"}
    assert {i.place for i in validation} == {RESERVED}
    assert RESERVED in VALIDATION


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
    part = crops(7, slice(2, 5))  # what another process would draw of the same batch
    np.testing.assert_array_equal(part.ms, one.ms[2:5])
    town = Crops([i for i in training if i.place == "town"], size=12, batch=2, seed=0)(0)
    assert town.valid[:, :3].all()
    assert not town.valid[:, 3:].any()  # stand-ins are input, never a target


@pytest.mark.parametrize("pan", [True, False])
def test_an_exported_network_is_the_same_in_both_engines(tmp_path: Path, pan: bool) -> None:
    torch.manual_seed(1)
    network = Compact(replace(TINY, pan=pan)).eval()
    network.calibration.copy_(torch.tensor([1.0, 1.1, 0.9, 2.0, 0.5, 1.3]))
    path = tmp_path / "tiny.onnx"
    export_onnx(network, path, architecture="Compact", config={}, card={"name": "tiny"})
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
    export_onnx(Compact(TINY), path, architecture="Compact", config={}, card={})
    content = path.read_bytes()
    assert str(Path.cwd()).encode() not in content
    assert b"site-packages" not in content
