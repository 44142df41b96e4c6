"""Training on real pairs: where turned pixels lie, what is left out, and a run."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("h5py")
pytest.importorskip("accelerate")

from l8s2.errors import InputError  # noqa: E402
from l8s2.patches.patch_set import PatchSet  # noqa: E402
from l8s2.training.config import parse  # noqa: E402
from l8s2.training.loop import train  # noqa: E402
from l8s2.training.pair_crops import TIMES, turned  # noqa: E402
from l8s2.training.run_folder import RunFolder, read_checkpoint  # noqa: E402
from l8s2.training.sources import Prepared, prepare  # noqa: E402
from making.pairs import write_oli2msi  # noqa: E402
from making.patches import box_at, coordinates  # noqa: E402
from making.tiny_runs import tiny  # noqa: E402
from making.training_set import made  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def check_lattice(ms: Any, pan: Any, truth: Any) -> tuple[tuple[float, ...], ...]:
    """Arrays hold metres (right, down) in their first axis; pixels must lie as the rule says. Returns directions."""
    down, right = (ms[:, 1, 0] - ms[:, 0, 0]) / 30, (ms[:, 0, 1] - ms[:, 0, 0]) / 30
    assert abs(np.linalg.det([down, right])) == pytest.approx(1)
    for image, times, offsets in ((truth, 3, (-5, 5, 15)), (pan, 2, (0, 15))):
        assert image.shape[1:] == (times * ms.shape[1], times * ms.shape[2])
        for (i, y), (j, x) in itertools.product(enumerate(offsets), repeat=2):
            expected = ms + (y * down + x * right)[:, None, None]
            np.testing.assert_allclose(image[: len(expected), i::times, j::times], expected[: len(image)], atol=0.01)
    return tuple(np.round(down, 6)), tuple(np.round(right, 6))


def metres(first: float, step: float, count: int) -> Any:
    return np.stack(np.meshgrid(first + step * np.arange(count), first + step * np.arange(count)))


def test_all_eight_orientations_obey_the_lattice() -> None:
    images = {"ms": metres(0, 30, 7), "pan": metres(0, 15, 14), "truth": metres(-5, 10, 21)}
    found = set()
    for turn in range(8):
        ms, pan, truth = (turned(image, TIMES[name], turn) for name, image in images.items())
        assert ms.shape == (2, 6, 6)
        found.add(check_lattice(ms, pan, truth))
    assert len(found) == 8


def of_pairs(folder: Path, pairs: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
    """A run of seconds."""
    settings = {"folder": str(folder), "size": 12, "border": 1, **(pairs or {})}
    return tiny(folder, data={"batch": 2, "pairs": settings}, **other)


def opened(content: dict[str, Any], pan: bool = True) -> tuple[Prepared, list[str]]:
    config, said = parse(content, "test"), []
    return prepare(config.data, config.seed, pan=pan, report=said.append), said


def test_batches_obey_the_lattice(tmp_path: Path) -> None:
    patches = PatchSet(tmp_path)
    patches.add("a", [coordinates(box_at(187_001, 15_001, side=14))])
    settings = {"train_side": None, "validation_side": None}
    source = opened(of_pairs(tmp_path, settings))[0].training
    directions = set()
    for step in range(20):
        batch = source(step)
        assert batch.pan is not None
        for ms, pan, truth in zip(batch.ms, batch.pan, batch.truth, strict=True):
            scaled = [(x - 1000) / 10 for x in (ms, pan, truth)]
            directions.add(check_lattice(scaled[0][:2], scaled[1], np.where(truth[:2], scaled[2][:2], np.nan)))
    assert len(directions) == 8


def test_a_run_on_pairs_resumes_to_the_same_bits(tmp_path: Path) -> None:
    made(tmp_path / "set")
    content, straight, halved = of_pairs(tmp_path / "set"), tmp_path / "straight", tmp_path / "halved"
    outcome = train(parse(content, "test"), straight, report=lambda line: None)
    assert outcome.validation is not None
    assert np.isfinite([outcome.validation[key] for key in ("gain_db", "gain_10m_db", "gain_20m_db", "rmse")]).all()
    assert outcome.validation["held_out"] == 1
    train(parse(content, "test"), halved, max_minutes=1e-9, report=lambda line: None)
    train(parse(content, "test"), halved, resume=True, report=lambda line: None)
    lines = [
        [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in path.read_text().splitlines()]
        for path in (RunFolder(straight).metrics, RunFolder(halved).metrics)
    ]
    assert lines[0] == lines[1]
    a, b = (read_checkpoint(path / "last.pt")["network"] for path in (straight, halved))
    assert all(torch.equal(x, b[key]) for key, x in a.items())
    assert (straight / "pictures" / "step_0000006.png").exists()
    made(tmp_path / "set", 6, r=0.9)
    with pytest.raises(InputError, match="the run began on other data"):
        train(parse(content, "test"), straight, resume=True, report=lambda line: None)


def test_what_is_left_out_of_training_and_never_of_validation(tmp_path: Path) -> None:
    made(tmp_path)
    (everything, _) = opened(of_pairs(tmp_path))
    prepared, said = opened(of_pairs(tmp_path, {"at_least": {"r": 0.65}, "at_most": {"landsat_cloud": 0.1}}))
    assert (everything.training.epoch, prepared.training.epoch) == (2, 1)
    assert len(prepared.held_out) == 1
    assert all("patches outside at_least r 0.65: left out" in line for line in said)
    for pairs, words in (
        ({"at_least": {"r": 2}}, "every patch is outside at_least r 2"),
        ({"at_least": {"likeness": 2}}, "no column likeness of numbers; it has"),
        ({"at_most": {"ce90_m": 0.1, "slope": 1}}, "every patch is outside at_most ce90_m 0.1"),
        ({"train_side": "train"}, "no patches on side train; it has patches on Test, Train, Validation"),
        ({"train_side": None}, "train_side null holds patches of validation_side Validation"),
        ({"train_side": "Validation"}, "train_side Validation holds patches of"),
        ({"size": 20}, "20 x 20 MS pixels; set data.pairs.size to 19 or less"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            opened(of_pairs(tmp_path, pairs))
        assert "\n" not in str(caught.value)


def test_patches_without_pan_are_for_networks_without(tmp_path: Path) -> None:
    made(tmp_path, 4)
    made(tmp_path, 5, pan=False, sentinel2_id="S2B")
    prepared, said = opened(of_pairs(tmp_path, {"train_side": None, "validation_side": None}))
    assert said == ["5 of 9 patches without pan: left out"]
    assert all(prepared.training(step).pan is not None for step in range(2))
    blind, said = opened(of_pairs(tmp_path, {"train_side": None, "validation_side": None}), pan=False)
    assert said == []
    assert blind.training.epoch == 5
    assert all(blind.training(step).pan is None for step in range(5))
    model = {"architecture": "Compact", "config": {"width": 8, "blocks": 1, "pan": False}}
    outcome = train(parse(of_pairs(tmp_path, model=model, steps=2), "test"), tmp_path / "run", report=lambda line: None)
    assert outcome.validation is not None


def test_bands_that_a_source_does_not_have_never_count(tmp_path: Path) -> None:
    write_oli2msi(tmp_path, 2)
    content = of_pairs(tmp_path, {"validation_side": "Test"})
    with pytest.raises(InputError, match="img_0: has no pan"):
        opened(content)
    prepared, _ = opened(content, pan=False)
    batch = prepared.training(0)
    assert batch.valid[:, :3].any()
    assert not batch.valid[:, 3:].any()
    assert np.isfinite(batch.ms).all()
    np.testing.assert_allclose(batch.ms[:, 5], batch.ms[:, :3].mean(1), rtol=1e-5)
    with pytest.raises(InputError, match="no side Validation; give Train or Test"):
        opened(of_pairs(tmp_path), pan=False)
    with pytest.raises(InputError, match="at_least r: needs the index"):
        opened(of_pairs(tmp_path, {"validation_side": None, "at_least": {"r": 0.5}}), pan=False)
