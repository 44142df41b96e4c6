"""Runs: killed, interrupted, shared out, gone wrong; whatever happens they go on to the same numbers."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
yaml = pytest.importorskip("yaml")
pytest.importorskip("accelerate")

from PIL import Image as Picture  # noqa: E402

from l8s2.datasets.simulated_pairs import SimulatedPairs  # noqa: E402
from l8s2.errors import InputError  # noqa: E402
from l8s2.models.folder import open_model_folder  # noqa: E402
from l8s2.networks import OnLattice, build  # noqa: E402
from l8s2.networks.compact import Interpolation  # noqa: E402
from l8s2.simulate.archives import Image  # noqa: E402
from l8s2.simulate.crops import Batch  # noqa: E402
from l8s2.training.config import parse  # noqa: E402
from l8s2.training.learner import mixed_precision  # noqa: E402
from l8s2.training.loop import Outcome, train  # noqa: E402
from l8s2.training.run_folder import RunFolder, read_checkpoint  # noqa: E402
from l8s2.training.schedule import Plateau, learning_rate  # noqa: E402
from l8s2.training.sources import Prepared, prepare  # noqa: E402
from making.tiny_runs import tiny  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
UNET = {"architecture": "UNet", "config": {"depth": 2, "growth_factor": 2}}


def run(content: dict[str, Any], folder: Path, **other: Any) -> tuple[Outcome, list[str]]:
    said: list[str] = []
    return train(parse(content, "test"), folder, report=said.append, **other), said


def logged(folder: Path) -> list[dict[str, Any]]:
    """Without what a clock says."""
    lines = [json.loads(line) for line in RunFolder(folder).metrics.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def assert_same(one: Path, other: Path) -> None:
    assert logged(one) == logged(other)
    for name in ("last.pt", "best.pt"):
        a, b = read_checkpoint(one / name), read_checkpoint(other / name)
        for part in {"network", "average"} & a.keys():
            assert all(torch.equal(x, b[part][key]) for key, x in a[part].items()), (name, part)


def started(*arguments: str) -> "subprocess.Popen[str]":
    """A process of its own, with one thread."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_run_killed_at_any_step_resumes_to_the_same_bits(imagery: Path, tmp_path: Path) -> None:
    content = tiny(imagery, steps=40, checkpoint_every=7, log_every=3, validate_every=10, precision="bf16")
    content["model"]["config"]["width"] = 32
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(content))
    straight, killed = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "killed")
    command = ["l8s2.cli", "train", "--config", str(file), "-o"]
    whole, victim = started(*command, str(straight.path)), started(*command, str(killed.path))
    lines, until = random.randint(1, 9), time.monotonic() + 120
    while not killed.metrics.exists() or len(killed.metrics.read_text().splitlines()) < lines:
        assert victim.poll() is None, victim.communicate()
        assert time.monotonic() < until
        time.sleep(0.001)
    victim.kill()
    victim.communicate()
    assert not killed.model.exists(), "over before it could be killed"
    with killed.metrics.open("a") as log:  # what a kill may leave: lines beyond the checkpoint, and half a line
        log.write('{"step": 39, "loss": 1.0}\n{"step": 4')
    again = started(*command, str(killed.path), "--resume")
    for process in (again, whole):
        assert process.communicate(timeout=120)[0].strip().endswith("model"), process.returncode
    assert_same(killed.path, straight.path)


def test_what_a_run_leaves(imagery: Path, tmp_path: Path) -> None:
    outcome, said = run(tiny(imagery, steps=12), tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    assert [line["step"] for line in logged(folder.path) if "loss" in line] == list(range(1, 13))
    validations = [line for line in logged(folder.path) if "gain_db" in line]
    assert [line["step"] for line in validations] == [3, 6, 9, 12]
    assert any("s a step" in line and "to go" in line and "GB" in line for line in said)
    for path in (folder.last, folder.best):
        state = torch.load(path, weights_only=True)
        assert (state["architecture"], state["bands"][0]) == ("Compact", "blue")
        assert state["model_config"]["width"] == 8
        assert state["training_config"]["data"]["batch"] == 3
    best = read_checkpoint(folder.best)
    assert outcome.validation == best["validation"]
    assert outcome.validation is not None
    assert outcome.validation["gain_db"] == max(line["gain_db"] for line in validations)
    stored = open_model_folder(outcome.model)
    assert all(torch.equal(x, best["average"][k]) for k, x in stored.build().state_dict().items())
    card = (outcome.model / "README.md").read_text()
    assert f"weights of step {outcome.step}" in card
    assert str(tmp_path) not in card
    with Picture.open(tmp_path / "run" / "pictures" / "step_0000012.png") as picture:
        assert picture.size == (4 * 96 + 3 * 4, 90)


def test_a_run_on_untidy_pairs_is_validated_both_ways_and_chosen_by_the_untidy_one(
    imagery: Path, tmp_path: Path
) -> None:
    content = tiny(imagery, steps=4, validate_every=1)
    content["data"]["simulated"]["untidy"] = True
    outcome, _ = run(content, tmp_path / "run")
    lines = [line for line in logged(tmp_path / "run") if "gain_db" in line]
    assert all(line["untidy_gain_db"] != line["gain_db"] for line in lines)
    assert outcome.validation is not None
    assert outcome.validation["untidy_gain_db"] == max(line["untidy_gain_db"] for line in lines)


def test_tensorboard_gets_the_same_numbers(imagery: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tiny(imagery, steps=3, tensorboard=True), tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    losses = [line["loss"] for line in logged(tmp_path / "run") if "loss" in line]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(losses)
    assert [event.step for event in events.Scalars("gain_db")] == [3]


def test_a_run_is_not_mistaken_for_another(imagery: Path, tmp_path: Path) -> None:
    content, folder = tiny(imagery, steps=2), tmp_path / "run"
    run(content, folder)
    with pytest.raises(InputError, match=r"last\.pt exists; continue with `resume`"):
        run(content, folder)
    with pytest.raises(InputError, match="the run began with steps 2, not 3"):
        run(content | {"steps": 3}, folder, resume=True)
    moved = tmp_path / "moved"
    imagery.rename(moved)
    _, said = run(tiny(moved, steps=2), folder, resume=True)  # the same data elsewhere
    assert "resumed at step 2 of 2" in said
    np.savez(moved / "farm_L2A.npz", **np.load(moved / "town_L1C.npz"))
    with pytest.raises(InputError, match="the run began on other data"):
        run(tiny(moved, steps=2), folder, resume=True)
    (folder / "last.pt").write_bytes(b"rubbish")
    with pytest.raises(InputError, match="not a checkpoint"):
        run(tiny(moved, steps=2), folder, resume=True)


class Disturbed:
    """Data of a run to which something happens at one step."""

    def __init__(self, prepared: Prepared, at: int, what: str) -> None:
        self.inner, self.at, self.what = prepared.training, at, what
        self.size, self.epoch, self.fingerprint = self.inner.size, self.inner.epoch, self.inner.fingerprint

    def __call__(self, step: int, part: slice = slice(None)) -> Batch:
        batch = self.inner(step, part)
        if step == self.at and self.what == "signal":
            os.kill(os.getpid(), signal.SIGINT)
        if step == self.at and self.what == "nan":
            batch.truth[:] = np.nan
        return batch


def disturbed(content: dict[str, Any], at: int, what: str) -> Prepared:
    config = parse(content, "test")
    prepared = prepare(config.data, config.seed)
    return Prepared(Disturbed(prepared, at, what), prepared.held_out)


def test_ctrl_c_leaves_a_checkpoint(imagery: Path, tmp_path: Path) -> None:
    content = tiny(imagery, steps=12, checkpoint_every=100)
    run(content, tmp_path / "straight")
    folder = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        run(content, folder, prepared=disturbed(content, 7, "signal"))
    assert 0 < read_checkpoint(folder / "last.pt")["step"] < 12
    assert not (folder / "model").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    run(content, folder, resume=True)
    assert_same(folder, tmp_path / "straight")


def test_a_loss_that_is_no_number_stops_the_run_and_spares_the_checkpoint(imagery: Path, tmp_path: Path) -> None:
    content = tiny(imagery, steps=9)
    with pytest.raises(InputError, match=r"^step 6: the loss is nan") as caught:
        run(content, tmp_path / "run", prepared=disturbed(content, 5, "nan"))
    assert "\n" not in str(caught.value)
    state = read_checkpoint(tmp_path / "run" / "last.pt")
    assert state["step"] == 4
    assert all(torch.isfinite(x).all() for x in state["network"].values())


def test_minutes_run_out_with_a_model_and_resumably(imagery: Path, tmp_path: Path) -> None:
    content = tiny(imagery)
    outcome, said = run(content, tmp_path / "run", max_minutes=1e-9)
    (line,) = [line for line in logged(tmp_path / "run") if "gain_db" in line]
    assert (line["step"], line["stopped"], outcome.step) == (1, True, 1)
    assert outcome.validation is not None
    assert outcome.validation["gain_db"] == line["gain_db"]
    best = read_checkpoint(tmp_path / "run" / "best.pt")
    stored = open_model_folder(outcome.model).build().state_dict()
    assert all(torch.equal(x, best["average"][key]) for key, x in stored.items())
    assert any("minutes are over at step 1 of 6; `resume` goes on" in line for line in said)
    run(content, tmp_path / "run", resume=True)
    assert read_checkpoint(tmp_path / "run" / "last.pt")["step"] == 6
    run(content, tmp_path / "straight")
    assert_same(tmp_path / "run", tmp_path / "straight")


@pytest.mark.parametrize("loss", ["detail", "gaussian_nll"])
def test_pieces_of_a_batch_make_the_same_step(imagery: Path, tmp_path: Path, loss: str) -> None:
    content = tiny(imagery, steps=3, loss={"kind": loss})
    for pieces in (1, 3):
        run(content | {"accumulate": pieces}, tmp_path / str(pieces))
    for one, other in zip(logged(tmp_path / "1"), logged(tmp_path / "3"), strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-4)
    with pytest.raises(InputError, match=r"data\.batch 3: less than processes x accumulate, 4"):
        run(content | {"accumulate": 4}, tmp_path / "4")


def test_two_processes_make_the_same_steps_as_one(imagery: Path, tmp_path: Path) -> None:
    content = tiny(imagery, steps=4, model=UNET)  # 3 pairs: two for one process, one for the other
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(content))
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    two = started(*torchrun, "-m", "l8s2.cli", "train", "--config", str(file), "-o", str(tmp_path / "two"))
    run(content, tmp_path / "one")
    out, err = two.communicate(timeout=120)
    assert two.returncode == 0, err
    assert out.split() == [str(tmp_path / "two" / "model")]
    for one, other in zip(logged(tmp_path / "one"), logged(tmp_path / "two"), strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-4)
    a, b = (read_checkpoint(tmp_path / name / "last.pt")["network"] for name in ("one", "two"))
    for key, x in a.items():
        torch.testing.assert_close(x, b[key], rtol=1e-4, atol=1e-4)


def test_a_job_of_slurm_trains_and_goes_on_after_preemption(imagery: Path, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    from l8s2.training.slurm import Job, submit

    content = parse(tiny(imagery, steps=2), "test").model_dump(mode="json")
    with pytest.raises(InputError, match="'partition' is not key=value"):
        submit(content, tmp_path / "run", "partition")
    job = submit(content, tmp_path / "run", "cluster=local,timeout_min=3,tasks_per_node=2")
    assert job.results() == [str(tmp_path / "run" / "model")] * 2
    assert read_checkpoint(tmp_path / "run" / "last.pt")["step"] == 2
    again = Job(content, tmp_path / "run", math.inf, resume=False).checkpoint().function
    assert again.resume
    assert again.config == content


def test_devices_losses_and_networks_that_do_not_go_together(imagery: Path, tmp_path: Path) -> None:
    for other, message in (
        ({"precision": "fp16", "device": "cpu"}, "precision fp16: needs a GPU"),
        ({"loss": {"kind": "L1"}}, "loss.kind L1: would leave the network's sigma untrained"),
        ({"loss": {"kind": "gaussian_nll"}, "model": UNET}, "gaussian_nll: the network has no sigma"),
        ({"model": {"architecture": "Compact", "config": {"wide": 3}}}, "'wide' is no key"),
        ({"model": {"architecture": "Compactor"}}, "architecture='Compactor' is unknown"),
        ({"model": {"architecture": "torch.nn:Identity"}}, "no uses_pan"),
        ({"data": {"deep_harmonization": {"csv_path": "x", "patch_path": "x"}}}, "at 10 m, and Compact takes 30 m"),
    ):
        with pytest.raises(InputError, match=message):
            run(tiny(imagery, **other), tmp_path / "run")
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["L1", "Charbonnier", "SSIM", "mixed_gradient", "gaussian_nll"])
def test_every_loss_trains_a_unet(imagery: Path, tmp_path: Path, kind: str) -> None:
    config = {**UNET["config"], "gaussian": kind == "gaussian_nll", "dropout": 0.1}  # type: ignore[dict-item]
    run(tiny(imagery, steps=2, model={"architecture": "UNet", "config": config}, loss={"kind": kind}), tmp_path / "run")
    lines = [line for line in logged(tmp_path / "run") if "loss" in line]
    assert all(math.isfinite(line["loss"]) for line in lines)


def test_dropout_resumes_to_the_same_bits(imagery: Path, tmp_path: Path) -> None:
    model = {"architecture": "UNet", "config": {"depth": 2, "growth_factor": 2, "dropout": 0.5}}
    content = tiny(imagery, model=model)
    run(content, tmp_path / "straight")
    run(content, tmp_path / "halved", max_minutes=1e-9)
    run(content, tmp_path / "halved", resume=True)
    assert_same(tmp_path / "halved", tmp_path / "straight")


def test_only_what_convolves_is_in_low_precision() -> None:
    ms, pan = torch.rand(1, 6, 16, 16) * 0.3, torch.rand(1, 1, 32, 32) * 0.3
    torch.manual_seed(0)
    compact = build("Compact", {"width": 8, "blocks": 1}).eval()
    features = compact.features(ms, pan)
    with torch.autocast("cpu", torch.bfloat16):
        raw = compact.body(features)
    expected = compact.restore(ms, raw)
    lowered = mixed_precision(compact, "bf16", "cpu")
    for found, wanted in zip(lowered(ms, pan), expected, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, wanted)
    seen = []
    unet = build("UNet", {"depth": 2, "growth_factor": 2}).eval()
    assert isinstance(unet, OnLattice)
    exact = unet(ms, pan)[0]
    unet.network.register_forward_pre_hook(lambda _, inputs: seen.append([x.dtype for x in inputs]))
    found = mixed_precision(unet, "bf16", "cpu")(ms, pan)[0]
    assert seen == [[torch.float32, torch.float32]]
    assert found.dtype == torch.float32
    assert 0 < (found - exact).abs().max() < 0.02


def test_reference_is_bicubic_with_the_band_pass_or_the_input_itself() -> None:
    reference = Interpolation()
    flat = torch.full((1, 6, 8, 8), 0.2)
    found = reference(flat, torch.zeros(1, 6, 24, 24))
    gain, offset = reference.compact.band_pass[:, 0], reference.compact.band_pass[:, 1]
    torch.testing.assert_close(found[0, :, 12, 12], (0.2 - offset) / gain)
    assert reference(flat, torch.zeros(1, 6, 8, 8)) is flat


def test_learning_rates() -> None:
    base = tiny(Path("x"), steps=100, optimizer={"learning_rate": 1.0}, schedule={"warmup": 10})
    cosine = parse(base, "test")
    assert [learning_rate(s, 100, cosine) for s in (0, 9, 10, 55, 100)] == pytest.approx([0.1, 1, 1, 0.5, 0])
    constant = parse(base | {"schedule": {"kind": "constant", "warmup": 0}}, "test")
    assert {learning_rate(s, 100, constant, 0.5) for s in range(100)} == {0.5}
    schedule = parse(base | {"schedule": {"kind": "plateau", "patience": 1, "factor": 0.1}}, "test").schedule
    plateau = Plateau()
    improved = [plateau.improved(score, schedule) for score in (1.0, 2.0, 1.5, 1.9, 3.0)]
    assert improved == [True, True, False, False, True]
    assert (plateau.best, plateau.factor) == (3.0, 0.1)


class Landscapes:
    """Crops of simulated landscapes as the nominal sensor sees them."""

    size, epoch, fingerprint = 4, None, "landscapes"

    def __init__(self) -> None:
        from l8s2.datasets.simulated_pairs import validation_conditions
        from l8s2.simulate import observe
        from l8s2.simulate.landscape import landscape

        self.seen, conditions = [], validation_conditions(disturbed=False, seed=0)
        for seed in range(6):
            truth = landscape(seed, (60, 60)).truth
            self.seen.append((truth, observe(truth, conditions, np.random.default_rng(seed))))

    def __call__(self, step: int, part: slice = slice(None), side: int = 12) -> Batch:
        pairs = []
        for number in range(self.size)[part]:
            rng = np.random.default_rng((step, number))
            truth, seen = self.seen[rng.integers(len(self.seen))]
            r, c = rng.integers(0, 60 - side + 1, 2)
            cuts = [np.s_[:, k * r : k * (r + side), k * c : k * (c + side)] for k in (1, 2, 3)]
            pairs.append((seen.ms[cuts[0]], seen.pan[None][cuts[1]], truth[cuts[2]]))
        ms, pan, truth = (np.stack(parts) for parts in zip(*pairs, strict=True))
        return Batch(ms=ms, pan=pan, truth=truth, valid=np.ones(truth.shape, dtype=bool))


def test_a_tiny_unet_learns_more_than_bicubic(tmp_path: Path) -> None:
    from l8s2.simulate.landscape import landscape

    content = tiny(
        tmp_path, model={"architecture": "UNet", "config": {"depth": 3, "growth_factor": 3}}, steps=1200,
        optimizer={"kind": "adam", "learning_rate": 0.005, "weight_decay": 0.0}, schedule={"warmup": 20}, ema=0.98,
        validate_every=0, checkpoint_every=1200, log_every=100,
    )  # fmt: skip
    held_out = Image(site="unseen", stack=landscape(99, (60, 60)).truth, known_bands=(True,) * 6)
    outcome, _ = run(content, tmp_path / "run", prepared=Prepared(Landscapes(), SimulatedPairs([held_out])))
    assert outcome.validation is not None
    assert outcome.validation["gain_db"] > 0.5


def test_memory_is_told_in_bytes_and_only_where_the_system_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from l8s2.training import loop

    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrusage", lambda _: type("Usage", (), {"ru_maxrss": 3_000_000}))
    for system, peak in (("linux", 3_072_000_000), ("darwin", 3_000_000)):  # KiB, bytes
        monkeypatch.setattr(sys, "platform", system)
        assert loop._peak_memory() == peak
    monkeypatch.setitem(sys.modules, "resource", None)
    assert loop._peak_memory() is None
    assert loop._early(1.0, 600, None, torch.device("cpu")) == "1 s a step, 10.0 min to go"
