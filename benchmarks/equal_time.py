"""Networks from scratch on the same crops for the same time.

    python benchmarks/equal_time.py PATCHES configs/embedded-split.yaml --minutes 45      (needs the extra torch)

They are ours, the published 5-depth UNet, and the first small network we made: three times the minutes in all. Time is
that of the processor divided by the cores available, so other work on the machine favours none. The UNet gets its
inputs as published: bands and pan interpolated to 10 m (bicubic), corners upon corners. The *pilot* has 10 blocks, raw
bands and pan minus its 150 m mean as input, plain bicubic interpolation, one step of back-projection, no sigma, and an
unscaled L1 of values and gradients. AdamW, half a cosine over the time. Prints gain in PSNR over Keys bicubic (dB) by
site.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the simulator shares the cores with the network

import math
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l8s2.evaluation.image_scores import mean_by_site
from l8s2.networks import Compact, CompactConfig, build
from l8s2.training.config import RunConfig, parse
from l8s2.training.learner import Learner
from l8s2.training.sources import Prepared, prefetched, prepare
from l8s2.training.validation import validate

WARMUP = 50
"""Steps."""


class Pilot(Compact):
    """The first small network that worked, for comparison."""

    def __init__(self) -> None:
        super().__init__(CompactConfig(blocks=10, back_projection_steps=0))
        self.head = nn.Conv2d(10, self.config.width, 3, padding=1)

    def features(self, ms: Tensor, pan: Tensor | None) -> Tensor:
        assert pan is not None
        mean = F.avg_pool2d(F.avg_pool2d(pan, 2), 5, 1, 2, count_include_pad=False)
        return torch.cat([ms * 4 - 0.6, (F.pixel_unshuffle(pan, 2) - mean) * 20], dim=1)


def train(learner: Learner, prepared: Prepared, seconds: float, rate: float) -> int:
    """Train until the time is over; returns the number of steps."""
    seconds *= len(os.sched_getaffinity(0))
    started = time.process_time()
    for step, pieces in prefetched(prepared.training, 0, 10**9, [slice(None)]):
        passed = (time.process_time() - started) / seconds
        if passed >= 1:
            return step
        learner.step(step, pieces, rate * min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * passed)))
    raise AssertionError


def configured(patches: Path, split: Path) -> RunConfig:
    data = {"simulated": {"folder": patches, "split": split}}
    model = {"architecture": "Compact"}  # the networks are built below
    return parse({"model": model, "data": data, "steps": 1, "precision": "bf16", "ema": 0.0}, "equal_time")


NETWORKS: dict[str, tuple[float, Callable[[], nn.Module]]] = {
    "compact": (1.5e-3, lambda: Compact(CompactConfig())),
    "published 5-depth UNet": (3e-4, lambda: build("UNet", {"input_alignment": "corners"})),
    "pilot": (1e-3, Pilot),
}
"""Name -> learning rate, and how it is made."""


@click.command()
@click.argument("patches", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("split", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--minutes", default=45.0, show_default=True, help="For each network.")
@click.option(
    "--network", "names", multiple=True, type=click.Choice([*NETWORKS]), default=[*NETWORKS], help="By default all."
)
def main(patches: Path, split: Path, minutes: float, names: tuple[str, ...]) -> None:
    config = configured(patches, split)
    prepared = prepare(config.data, config.seed)
    print("| network | steps | site | 10 m bands, dB | 20 m bands, dB |\n|---|---|---|---|---|")
    for name in names:
        rate, made = NETWORKS[name]
        torch.manual_seed(config.seed)
        network = made()
        same_scale = (lambda ms, truth: truth + 0.05) if isinstance(network, Pilot) else None  # for every crop and band
        learner = Learner(network, config, reference=same_scale)
        steps = train(learner, prepared, 60 * minutes, rate)
        for site, row in mean_by_site(validate(learner.average, prepared.held_out)).items():
            gain = row["gain"]
            print(f"| {name} | {steps} | {site} | {gain[:3].mean():+.2f} | {gain[3:].mean():+.2f} |", flush=True)


if __name__ == "__main__":
    main()
