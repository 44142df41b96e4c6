"""How gain and sigma hold up when the sensor is not what the networks were told.

    python benchmarks/other_conditions.py PATCHES configs/embedded-split.yaml

The validation sites (the first image of each) under conditions at and beyond the edge of what training draws: gain in
PSNR over bicubic (dB) and coverage of +-1.645 sigma, means over bands and sites.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from l8s2 import load_model
from l8s2.datasets.simulated_pairs import simulate_pair, validation_conditions
from l8s2.evaluation.image_scores import score_pair
from l8s2.training.archive_split import read_split, split_folder

NOMINAL = validation_conditions(disturbed=False, seed=0)
CONDITIONS = {
    "nominal": NOMINAL,
    "30 m bands blurrier, 16.5 m": replace(NOMINAL, psf_sigma=(16.5,) * 6),
    "30 m bands sharper, 12 m": replace(NOMINAL, psf_sigma=(12.0,) * 6),
    "pan blurrier, 9 m": replace(NOMINAL, pan_psf_sigma=9.0),
    "haze: pan contrast 0.4, path reflectance 0.15": replace(NOMINAL, pan_gain=0.4, pan_offset=0.15),
    "pan shifted by 4.5 m": replace(NOMINAL, pan_shift=(3.2, 3.2)),
    "pan shifted by 10 m": replace(NOMINAL, pan_shift=(7.1, 7.1)),
    "noise three times as strong": replace(NOMINAL, noise=3.0),
}


@click.command()
@click.argument("patches", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("split", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(patches: Path, split: Path) -> None:
    images = {i.site: i for i in reversed(split_folder(patches, read_split(split)).validation)}.values()
    print(
        "| model | conditions | gain 10 m, dB | gain 20 m | coverage 10 m | coverage 20 m |\n|---|---|---|---|---|---|"
    )
    for model in ("compact", "compact-nopan"):
        predictor = load_model(model)
        for name, conditions in CONDITIONS.items():
            if model == "compact-nopan" and "pan" in name:
                continue
            scores = [score_pair(predictor, simulate_pair(i, conditions, 0)) for i in images]
            gain, covered = (np.mean([getattr(s, key) for s in scores], axis=0) for key in ("gain", "coverage"))
            cells = [
                f"{gain[:3].mean():+.2f}",
                f"{gain[3:].mean():+.2f}",
                f"{covered[:3].mean():.3f}",
                f"{covered[3:].mean():.3f}",
            ]
            print(f"| {model} | {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
