"""Three networks from scratch on the same crops for the same time: ours, the published 5-depth UNet, and the first small network we made.

    python benchmarks/equal_time.py ../shared/patches --minutes 45      (three times that in all; needs the extra torch)

Time is that of the processor divided by the cores at hand, so other work on the machine favours none. The UNet gets its
inputs as published: bands and pan interpolated to 10 m (bicubic). The *pilot* has 10 blocks, raw bands and pan minus its
150 m mean as input, plain bicubic interpolation, one step of back-projection, no sigma, and an unscaled L1 of values and
gradients. AdamW, half a cosine over the time. Prints gain in PSNR over Keys bicubic (dB) by place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l8s2.evaluation.places import by_place, score_image, validation_conditions
from l8s2.models import Compact, CompactConfig, UNet, UNetConfig
from l8s2.tiling import fill_missing
from l8s2.training.imagery import Crops, load_folder
from l8s2.training.loop import TrainingConfig, interpolated, loss, mixed_precision, prefetched

CONFIG = TrainingConfig()


class OnNativePixels(nn.Module):
    """The UNet on the native lattice: (mean, sigma) with a sigma of 1."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet(UNetConfig())

    def forward(self, ms: Tensor, pan: Tensor) -> tuple[Tensor, Tensor]:
        size = (3 * ms.shape[2], 3 * ms.shape[3])
        mean = self.unet(*(F.interpolate(x, size=size, mode="bicubic", align_corners=False) for x in (ms, pan)))
        return mean.float(), torch.ones_like(mean, dtype=torch.float32)


class Pilot(Compact):
    """The first small network that worked, for comparison."""

    def __init__(self) -> None:
        super().__init__(CompactConfig(blocks=10, back_projection_steps=0))
        self.head = nn.Conv2d(10, self.config.width, 3, padding=1)

    def features(self, ms: Tensor, pan: Tensor | None) -> Tensor:
        assert pan is not None
        mean = F.avg_pool2d(F.avg_pool2d(pan, 2), 5, 1, 2, count_include_pad=False)
        return torch.cat([ms * 4 - 0.6, (F.pixel_unshuffle(pan, 2) - mean) * 20], dim=1)


class Trained:
    """A network as a predictor on whole images."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    def predict(self, ms: np.ndarray, pan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            mean, sigma = self.network(
                torch.from_numpy(fill_missing(ms))[None], torch.from_numpy(fill_missing(pan[None]))[None]
            )
        return mean[0].numpy(), sigma[0].numpy()


def train(network: nn.Module, crops: Crops, seconds: float, rate: float) -> int:
    """Train until the time is over; returns the number of steps."""
    seconds *= len(os.sched_getaffinity(0))
    reference = Compact(CompactConfig())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=CONFIG.weight_decay, betas=(0.9, 0.99))
    edge, started = 3 * CONFIG.border, time.process_time()
    for step, data in prefetched(crops, 0, 10**9):
        passed = (time.process_time() - started) / seconds
        if passed >= 1:
            return step
        ms, pan, truth = (torch.as_tensor(x) for x in (data.ms, data.pan, data.truth))
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 50) * 0.5 * (1 + np.cos(np.pi * passed))
        if isinstance(network, Compact):
            mean, sigma = mixed_precision(network, ms, pan, bf16=True)
        else:
            with torch.autocast("cpu", torch.bfloat16):
                mean, sigma = network(ms, pan)
        with torch.no_grad():
            coarse = interpolated(reference, ms)
        inner = [x[..., edge:-edge, edge:-edge] for x in (mean, sigma, truth, coarse)]
        valid = torch.as_tensor(data.valid)[..., edge:-edge, edge:-edge]
        if isinstance(network, Pilot):
            inner[3] = inner[2] + 0.05  # the same scale for all
        parts = loss(inner[0], inner[1], inner[2], valid, inner[3], CONFIG)
        total = parts["l1"] + CONFIG.gradient_weight * parts["gradient"] + CONFIG.sigma_weight * parts["sigma"]
        optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    raise AssertionError


@click.command()
@click.argument("patches", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--minutes", default=45.0, show_default=True, help="For each of the three.")
def main(patches: Path, minutes: float) -> None:
    training, _, validation = load_folder(patches)
    crops = Crops(training, size=CONFIG.size, batch=CONFIG.batch, seed=CONFIG.seed)
    networks: dict[str, tuple[float, Callable[[], Any]]] = {
        "compact": (CONFIG.learning_rate, lambda: Compact(CompactConfig())),
        "published 5-depth UNet": (3e-4, OnNativePixels),
        "pilot": (1e-3, Pilot),
    }
    print("| network | steps | place | 10 m bands, dB | 20 m bands, dB |\n|---|---|---|---|---|")
    for name, (rate, build) in networks.items():
        torch.manual_seed(CONFIG.seed)
        network = build()
        steps = train(network, crops, 60 * minutes, rate)
        predictor = Trained(network)
        scores = [
            score_image(predictor, i.place, i.stack, i.known_bands, validation_conditions(disturbed=False, seed=n), n)
            for n, i in enumerate(validation)
        ]
        for place, row in by_place(scores).items():
            gain = row["gain"]
            print(f"| {name} | {steps} | {place} | {gain[:3].mean():+.2f} | {gain[3:].mean():+.2f} |", flush=True)


if __name__ == "__main__":
    main()
