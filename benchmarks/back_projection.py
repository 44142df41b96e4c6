"""How many steps of back-projection the interpolation should be worth.

    python benchmarks/back_projection.py PATCHES configs/embedded-split.yaml     (needs the extra torch)

On the validation sites, with nominal optics and noise: gain over Keys bicubic of the same, band-passed bands (dB, mean
of sites, 10 m | 20 m bands) and what is left of the input at 30 m (RMS reflectance, worst band), for interpolation
alone.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch

from l8s2.arrays import fill_missing
from l8s2.datasets.simulated_pairs import SimulatedPairs
from l8s2.evaluation.image_scores import for_scoring
from l8s2.networks import CompactConfig
from l8s2.networks.polyphase import Polyphase
from l8s2.training.archive_split import read_split, split_folder

STEPS = (0, 1, 1.5, 2, 3, 4)


@click.command()
@click.argument("patches", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("split", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(patches: Path, split: Path) -> None:
    config = CompactConfig()
    a, b = np.array(config.band_pass, np.float32).T[:, :, None, None]
    operators = {n: Polyphase(config.blur, n) for n in STEPS}
    errors: dict[int, list[np.ndarray]] = {n: [] for n in STEPS}
    left: dict[int, list[np.ndarray]] = {n: [] for n in STEPS}
    for pair in map(for_scoring, SimulatedPairs(split_folder(patches, read_split(split)).validation)):
        ms, truth, usable = pair.ms, pair.truth, pair.valid
        coarse = torch.from_numpy((fill_missing(ms) - b) / a)[None]
        for n, operator in operators.items():
            fine = operator.up(coarse)
            error = np.where(usable, fine[0].numpy() - truth, 0)
            errors[n].append(np.sqrt((error**2).sum((1, 2)) / usable.sum((1, 2))))
            residual = (operator.down(fine) - coarse)[0, :, 6:-6, 6:-6].numpy()
            left[n].append(np.sqrt((residual**2).mean((1, 2))))
    print("| steps | 10 m bands, dB | 20 m bands, dB | left at 30 m |")
    print("|---|---|---|---|")
    for n in STEPS:
        gain = 20 * np.log10(np.array(errors[0]) / np.array(errors[n])).mean(0)
        print(f"| {n} | {gain[:3].mean():+.2f} | {gain[3:].mean():+.2f} | {np.array(left[n]).mean(0).max():.4f} |")


if __name__ == "__main__":
    main()
