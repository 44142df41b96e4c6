"""One training run, readable top to bottom. Killed at any point, it resumes to the same losses."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate.utils import gather_object

from l8s2._version import __version__
from l8s2.errors import InputError
from l8s2.models.folder import save_model_folder
from l8s2.sensors import BAND_NAMES
from l8s2.training.config import RunConfig
from l8s2.training.learner import Learner
from l8s2.training.run_folder import FREE, RunFolder, flat, read_checkpoint
from l8s2.training.schedule import Plateau, learning_rate
from l8s2.training.signals import Signals
from l8s2.training.sources import Prepared, parts, prefetched, prepare
from l8s2.training.start import initial_network
from l8s2.training.validation import picture, summary, validate

EARLY, WARM = 10, 2
"""Steps after which time and memory are reported, and how many of them are not timed."""
Report = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    step: int
    """The step whose weights are kept: that of the best validation, or the last."""
    model: Path
    """The model folder."""
    validation: dict[str, Any] | None
    """Validation of these weights, as it is logged."""


def train(
    config: RunConfig,
    folder: Path,
    *,
    resume: bool = False,
    max_minutes: float = math.inf,
    prepared: Prepared | None = None,
    report: Report,
) -> Outcome:
    """Train; checkpoints, ``metrics.jsonl``, pictures and the finished model go to ``folder``.

    Started by torchrun or Slurm once for every GPU, the processes share the batches.

    Args:
        config: of the run.
        folder: of the run.
        resume: go on from the last checkpoint, if there is one.
        max_minutes: stop then, with a checkpoint, a validation and a model folder; ``resume`` goes on.
        prepared: the data, where they are open already.
        report: told lines for people, by the first process alone.

    Raises InputError in one line for what cannot be used, and when the loss is not finite. Interrupted by
    Ctrl-C or SIGTERM it writes a checkpoint first.
    """
    deadline = time.monotonic() + 60 * max_minutes
    torch.manual_seed(config.seed)
    network, architecture, model_config = initial_network(config.model)
    if config.data.deep_harmonization is not None and not network.takes_10m:
        raise InputError(
            f"data.deep_harmonization: its images are at 10 m, and {architecture} takes 30 m and 15 m pixels; "
            "give a model that takes both, as configs/unet5-upsample.yaml has it"
        )
    learner = Learner(network, config)
    accelerator = learner.accelerator
    main, rank, world = accelerator.is_main_process, accelerator.process_index, accelerator.num_processes
    tell = report if main else _silent
    prepared = prepared or prepare(config.data, config.seed, pan=bool(network.uses_pan), report=tell)
    source = prepared.training
    steps = config.steps or (config.epochs or 1) * (source.epoch or 1)
    shares = parts(source.size, world * config.accumulate)
    if shares[0].stop == 0:
        raise InputError(f"data.batch {source.size}: less than processes x accumulate, {len(shares)}; take more")
    held_out = prepared.held_out
    validating = len(held_out) > 0
    if not validating:
        tell("nothing is held out, so nothing is validated; give data.simulated.held_out or data.pairs.validation_side")

    files, plain = RunFolder(folder), config.model_dump(mode="json")
    plateau, running, first = Plateau(), {"steps": 0.0}, 0
    state = files.open(plain, source.fingerprint, resume=resume)
    if state is not None:
        learner.restore(state)
        plateau, running, first = Plateau(**state["plateau"]), state["running"], state["step"]
        tell(f"resumed at step {first} of {steps}")
    validation: dict[str, Any] | None = None
    accelerator.wait_for_everyone()  # the first process may write from here on
    if main:
        files.forget_after(first)
    board = _board(config, folder, first, tell) if main else None

    def save(path: Path, learned: dict[str, Any]) -> None:
        if main:
            content = {
                "step": done, **learned, "plateau": asdict(plateau), "running": running, "validation": validation,
                "architecture": architecture, "model_config": model_config, "no_pan_model": network.no_pan_model,
                "training_config": plain,
                "bands": list(BAND_NAMES), "data": source.fingerprint, "l8s2": __version__,
            }  # fmt: skip
            files.save(path, content)

    def log(line: dict[str, Any]) -> None:
        if main:
            files.log({"step": done, **line})
            for key, value in line.items():
                if board is not None and value is not None:
                    board.add_scalar(key, value, done)

    def assess(**mark: bool) -> None:
        nonlocal validation
        share = slice(rank, None, world)
        validation = summary(gather_object(validate(learner.average, held_out, device=learner.device, share=share)))
        if prepared.untidy is not None:
            scores = validate(learner.average, prepared.untidy, device=learner.device, share=share)
            found = summary(gather_object(scores))
            validation |= {f"untidy_{key}": value for key, value in found.items() if key != "held_out"}
        log(validation | mark)
        tell(f"step {done}: " + ", ".join(f"{key} {value}" for key, value in validation.items()))
        kind = "untidy_" if prepared.untidy else ""
        score = validation[f"{kind}gain_db"] if config.schedule.mode == "max" else -validation[f"{kind}rmse"]
        if plateau.improved(score, config.schedule):
            save(files.best, {"average": learner.average.state_dict()})
        if main:
            picture(learner.average, held_out, folder / "pictures" / f"step_{done:07d}.png", device=learner.device)

    done, interrupted, over, due, warm = first, False, False, False, 0.0
    mine = shares[rank * config.accumulate : (rank + 1) * config.accumulate]
    with Signals() as signals:
        for step, pieces in prefetched(source, first, steps, mine, config.data.workers):
            begun = time.monotonic()
            rate = learning_rate(step, steps, config, plateau.factor)
            values = learner.step(step, pieces, rate)
            done = step + 1
            last = done == steps
            running = {"steps": running["steps"] + 1, **{k: running.get(k, 0.0) + v for k, v in values.items()}}
            if done == first + WARM:
                warm = time.monotonic()
            elif done == min(first + EARLY, steps) and warm:
                seconds = (time.monotonic() - warm) / (done - first - WARM)
                tell(_early(seconds, steps - done, source.epoch, learner.device))
            if done % config.log_every == 0 or last:
                means = {key: value / running["steps"] for key, value in running.items() if key != "steps"}
                log({**means, "learning_rate": rate, "seconds": round(time.monotonic() - begun, 4)})
                tell(f"step {done} of {steps}: " + ", ".join(f"{key} {value:.5f}" for key, value in means.items()))
                running = {"steps": 0.0}
            due = done % (config.validate_every or source.epoch or steps) == 0
            if validating and (due or last):
                assess()
            stops = torch.tensor([signals.caught is not None, time.monotonic() > deadline], dtype=torch.int32)
            interrupted, over = (bool(x) for x in accelerator.reduce(stops.to(learner.device), "sum"))
            if done % config.checkpoint_every == 0 or last or interrupted or over:
                save(files.last, learner.state())
            if interrupted or over:
                break
    if over and not interrupted and validating and not due and done < steps:
        assess(stopped=True)  # after the checkpoint, so that a resumed run goes on as if it had not stopped
    if board is not None:
        board.close()
    if interrupted:
        tell(f"interrupted at step {done} of {steps}; its checkpoint is written, `resume` goes on")
        signals.go_on()
    if over and done < steps:
        tell(f"{max_minutes:g} minutes are over at step {done} of {steps}; `resume` goes on")
    weights = done
    if main:
        if plateau.best is not None:
            best = read_checkpoint(files.best)
            learner.average.load_state_dict(best["average"])
            weights, validation = best["step"], best["validation"]
        card = _card(folder.name, architecture, plain, learner, weights, validation)
        save_model_folder(learner.average, architecture, model_config, files.model, card, overwrite=True)
    accelerator.end_training()
    return Outcome(weights, files.model, validation)


def _silent(line: str) -> None:
    """Say nothing, as all processes but the first."""


def _early(seconds: float, left: int, epoch: int | None, device: torch.device) -> str:
    """Return the time that the run takes, and its memory."""
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _peak_memory()
    an_epoch = f"{_span(seconds * epoch)} an epoch, " if epoch else ""
    used = "" if memory is None else f", {memory / 1e9:.2g} GB of memory at most so far"
    return f"{seconds:.3g} s a step, {an_epoch}{_span(seconds * left)} to go{used}"


def _peak_memory() -> int | None:
    """Return the bytes that this process has held at most; None on Windows, which does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


def _span(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _board(config: RunConfig, folder: Path, first: int, tell: Report) -> Any:
    """Return a TensorBoard writer where it is asked for and installed."""
    if not config.tensorboard:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        tell("tensorboard true: not installed, so only metrics.jsonl is written; pip install tensorboard")
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=first + 1)


def _card(
    name: str, architecture: str, plain: dict[str, Any], learner: Learner, step: int, validation: dict[str, Any] | None
) -> str:
    """Markdown: what the model is and where it comes from."""
    parameters = sum(p.numel() for p in learner.average.parameters())
    held_out = "Nothing was held out, so nothing is known of how good it is."
    if validation is not None:
        held_out = (
            "The step was chosen by its validation: " + ", ".join(f"{k} {v}" for k, v in validation.items()) + "."
        )
    recipe = {key: value for key, value in flat(plain).items() if key not in FREE and value is not None}
    return (
        f"# {name}\n\n{architecture}, {parameters:,} parameters, trained with l8s2 {__version__}; "
        f"weights of step {step}"
        f"{', averaged' if plain['ema'] else ''}. {held_out}\n\n```yaml\n{yaml.safe_dump(recipe, sort_keys=False)}```\n"
    )
