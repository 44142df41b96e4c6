"""``python -m l8s2.training FOLDER_OF_IMAGERY -o RUN``: train a compact network on simulated pairs."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the simulator shares the cores with the network

from pathlib import Path

import click

from l8s2.models import CompactConfig
from l8s2.training.imagery import Crops, load_folder
from l8s2.training.loop import TrainingConfig, train


@click.command()
@click.argument("imagery", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--pan/--no-pan", default=True, show_default=True, help="With pan, or the twin without.")
@click.option("--width", default=CompactConfig.width, show_default=True, help="Channels of the body.")
@click.option("--blocks", default=CompactConfig.blocks, show_default=True, help="Residual blocks of the body.")
@click.option("--steps", default=TrainingConfig.steps, show_default=True)
@click.option("--seed", default=TrainingConfig.seed, show_default=True)
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint in the folder of the run.")
def main(imagery: Path, output: Path, pan: bool, width: int, blocks: int, steps: int, seed: int, resume: bool) -> None:
    """Train on IMAGERY, a folder of .npz archives of Sentinel-2 reflectance."""
    config = TrainingConfig(steps=steps, seed=seed)
    training, _, _ = load_folder(imagery)
    crops = Crops(training, size=config.size, batch=config.batch, seed=config.seed)
    network = CompactConfig(pan=pan, width=width, blocks=blocks)
    train(network, config, crops, output, resume=resume, report=lambda line: click.echo(line, err=True))


if __name__ == "__main__":
    main()
