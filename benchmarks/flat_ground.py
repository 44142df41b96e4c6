"""Is anything invented where there is nothing?

    python benchmarks/flat_ground.py ../shared/patches

On the validation places: energy of the output's detail over that of Sentinel-2's own, on the tenth of the ground that the 30 m input
shows flattest (water, bare and even fields), and on all of it. At most 1 is right: what is not known is left out.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from l8s2 import load_model
from l8s2.arrays import enlarge, fill_missing
from l8s2.evaluation.places import simulate_place, validation_conditions
from l8s2.metrics.detail import detail_energy_ratio
from l8s2.models.domain import local_mean
from l8s2.sensors import BAND_NAMES
from l8s2.simulate.archives import load_folder

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
def main(patches: Path) -> None:
    print("| place | model | ground | " + " | ".join(BAND_NAMES) + " |\n|---|---|---|" + "---|" * len(BAND_NAMES))
    seen = set()
    for image in load_folder(patches)[2]:
        if image.place in seen:
            continue
        seen.add(image.place)
        truth, ms, pan, usable = simulate_place(image.stack, validation_conditions(disturbed=False, seed=0), 0)
        for model in ("compact", "compact-nopan"):
            mean, _ = load_model(model).predict(ms, pan)
            for ground, mask in (("flat", flat(ms, usable)), ("all", usable.all(0))):
                cells = [f"{detail_energy_ratio(mean[b], truth[b], mask).value:.2f}" for b in range(len(BAND_NAMES))]
                print(f"| {image.place} | {model} | {ground} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
