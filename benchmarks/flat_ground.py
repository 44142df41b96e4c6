"""Is anything invented where there is nothing?

    python benchmarks/flat_ground.py PATCHES configs/embedded-split.yaml

On the validation sites: energy of the output's detail over that of Sentinel-2's own, on the tenth of the ground that
the 30 m input shows flattest (water, bare and even fields), and on all of it. At most 1 is right: what is not known is
left out.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from l8s2 import load_model
from l8s2.arrays import enlarge, fill_missing
from l8s2.datasets.simulated_pairs import simulate_pair, validation_conditions
from l8s2.evaluation.image_scores import for_scoring
from l8s2.metrics.detail import detail_energy_ratio
from l8s2.models.domain import local_mean
from l8s2.sensors import BAND_NAMES
from l8s2.training.archive_split import read_split, split_folder

FLATTEST = 0.1


def flat(ms: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """(3h, 3w) True on the flattest ground by the 30 m bands: relative local standard deviation, worst band."""
    ms = fill_missing(ms)
    mean = local_mean(ms)
    spread = (np.sqrt(np.maximum(local_mean(ms**2) - mean**2, 0)) / (np.abs(mean) + 0.02)).max(0)
    fine = enlarge(spread)
    return (fine <= np.quantile(fine[usable.all(0)], FLATTEST)) & usable.all(0)


@click.command()
@click.argument("patches", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("split", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(patches: Path, split: Path) -> None:
    print("| site | model | ground | " + " | ".join(BAND_NAMES) + " |\n|---|---|---|" + "---|" * len(BAND_NAMES))
    seen = set()
    for image in split_folder(patches, read_split(split)).validation:
        if image.site in seen:
            continue
        seen.add(image.site)
        pair = for_scoring(simulate_pair(image, validation_conditions(disturbed=False, seed=0), 0))
        ms, pan, truth, usable = pair.ms, pair.pan, pair.truth, pair.valid
        for model in ("compact", "compact-nopan"):
            mean, _ = load_model(model).predict(ms, pan, sun_elevation=pair.sun_elevation)
            for ground, mask in (("flat", flat(ms, usable)), ("all", usable.all(0))):
                cells = [f"{detail_energy_ratio(mean[b], truth[b], mask).value:.2f}" for b in range(len(BAND_NAMES))]
                print(f"| {image.site} | {model} | {ground} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
