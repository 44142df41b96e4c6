"""Making models: train, finetune."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from l8s2.cli.shell import JSON, TRUST, tell

OUTPUT = click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder of the run. Default: runs/<name of FILE>."
)
RESUME = click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the folder of the run.")
MINUTES = click.option(
    "--max-minutes", type=click.FloatRange(min=0, min_open=True), default=math.inf, help="Stop then, resumably."
)


@click.command()
@click.option(
    "--config", "file", required=True, type=click.Path(path_type=Path), help="YAML file, ours or of the published code."
)
@TRUST
@OUTPUT
@RESUME
@MINUTES
@click.option(
    "--slurm", metavar="KEY=VALUE,...", help="Hand the run to Slurm: partition=gpu,gpus_per_node=4,timeout_min=600"
)
@click.argument("overrides", nargs=-1, metavar="[KEY VALUE]...")
def train(
    file: Path,
    trust_architecture: str | None,
    output: Path | None,
    resume: bool,
    max_minutes: float,
    slurm: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Train a network as FILE says, with single keys changed by KEY VALUE (optimizer.learning_rate 1e-4).

    The folder of the run gets checkpoints, metrics.jsonl, pictures and, at the end, the model; its path goes to stdout.
    For several GPUs start it with torchrun --nproc_per_node N -m l8s2.cli train ...
    """
    with _extra():
        from l8s2.training.config import read_config
        from l8s2.training.loop import train as run

    if trust_architecture is not None:
        overrides = (*overrides, "model.trust_architecture", trust_architecture)
    config, notes = read_config(file, overrides)
    folder = output or Path("runs") / file.stem
    for note in notes:
        _say(f"note: {note}")
    if slurm is not None:
        from l8s2.training.slurm import submit

        job = submit(config.model_dump(mode="json"), folder, slurm, max_minutes=max_minutes, resume=resume)
        click.echo(job.job_id)
        _say(f"submitted; logs are in {folder}/slurm")
        return
    outcome = run(config, folder, resume=resume, max_minutes=max_minutes, report=_say)
    if _first_process():
        click.echo(str(outcome.model))


@click.command()
@click.option(
    "--model", default="compact", show_default=True, help="compact, compact-nopan, an .onnx of l8s2, a model folder."
)
@TRUST
@click.argument("imagery", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--steps", default=300, show_default=True, type=click.IntRange(min=1))
@click.option("--learning-rate", default=1e-4, show_default=True, type=click.FloatRange(min=0, min_open=True))
@RESUME
@MINUTES
@JSON
def finetune(
    model: str,
    trust_architecture: str | None,
    imagery: Path,
    output: Path,
    steps: int,
    learning_rate: float,
    resume: bool,
    max_minutes: float,
    as_json: bool,
) -> None:
    """Train a model further on a region of your own, and measure what that changed.

    IMAGERY is a folder of .npz archives of Sentinel-2 (docs/training.md). The lowest rows of each image, with a gap
    above, are held out; bicubic, the starting and the new weights are compared on them. Or IMAGERY is a set of real
    pairs: then side Train is trained on, and side Test is held out.
    """
    with _extra():
        from l8s2.training.finetune import finetune as run
        from l8s2.training.finetune import table

    result = run(
        model,
        imagery,
        output,
        steps=steps,
        learning_rate=learning_rate,
        trust_architecture=trust_architecture,
        resume=resume,
        max_minutes=max_minutes,
        report=_say,
    )
    if as_json:
        click.echo(json.dumps(result, indent=2, allow_nan=False))
    else:
        click.echo(table(result))
        click.echo(f"the new weights: {result['model']}", err=True)


def _first_process() -> bool:
    """Of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def _say(line: str) -> None:
    if _first_process():
        tell(line)


@contextmanager
def _extra() -> Iterator[None]:
    """Training needs more than the core; say what in one line."""
    from l8s2.errors import InputError

    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(f"training needs {error.name}; install it with: pip install 'l8s2[train]'") from None
