"""How large the errors of field means are, against what ``l8s2 extract`` says of them.

python benchmarks/field_means.py    with L8S2_TEST_DATA; images that no network was trained on, seen by a simulated OLI
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2.cube.statistics import field_mean, native_blocks
from l8s2.predictors.load import load_predictor
from l8s2.predictors.options import ModelOptions
from l8s2.radiometry import LEVEL_ABSOLUTE, LEVEL_RELATIVE
from l8s2.sensors import BAND_NAMES, N_BANDS
from l8s2.simulate import Conditions, observe, sentinel2_stack

IMAGES = (("dsen2_T33UUB_L1C", 0), ("pampas_L2A", 0))
SIDES = (1, 3, 5, 10, 20, 40)
"""10 m pixels to a side of a field."""
DRAWS, FIELDS = 6, 400
"""Draws of the sensors, and fields in each image of each."""
RIM = 24
"""Pixels at the border that are left out."""


def looks(conditions: str, seed: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(error, mean, detail) (6, h, w) of each image."""
    model, found = load_predictor(ModelOptions(threads=1)), []
    for name, index in IMAGES:
        with np.load(Path(os.environ["L8S2_TEST_DATA"]) / "patches" / f"{name}.npz") as archive:
            fine, coarse = (archive[key][index].astype(np.float32) * np.float32(1e-4) for key in ("x10", "x20"))
        size = min(fine.shape[1:]) // 12 * 12
        truth = sentinel2_stack(fine[:3, :size, :size], coarse[:, : size // 2, : size // 2])
        rng = np.random.default_rng(seed)
        state = replace(Conditions(), noise=1.0)
        if conditions == "disturbed":
            state = Conditions.random(rng, disturbed=True)
        seen = observe(truth, state, rng)
        mean, detail = model.predict(seen.ms, seen.pan)
        found.append((mean - truth, mean, detail))
    return found


def main() -> None:
    """Print RMS error of means over predicted standard error, 1 if it is right."""
    level = np.stack([LEVEL_ABSOLUTE, LEVEL_RELATIVE], axis=1)
    for conditions in ("documented", "disturbed"):
        images = [look for seed in range(DRAWS) for look in looks(conditions, seed)]
        print(f"{conditions}: RMS error of means over that of detail, over that of detail and level")
        print("pixels   " + "".join(f"{name:>12s}" for name in BAND_NAMES))
        for side in SIDES:
            rng, squares = np.random.default_rng(side), np.zeros((3, N_BANDS))
            for error, mean, detail in images:
                box = GeoBox(error.shape[1:], Affine(10, 0, 500_000, 0, -10, 4_000_000), "EPSG:32633")
                for _ in range(FIELDS):
                    top, left = (int(rng.integers(RIM, n - RIM - side)) for n in error.shape[1:])
                    rows, columns = (x.ravel() for x in np.mgrid[top : top + side, left : left + side])
                    at, one = (rows, columns), np.ones(side * side)
                    blocks = native_blocks(rows, columns, box, 30)
                    for b in range(N_BANDS):
                        found = field_mean(mean[b][at], detail[b][at], one, one > 0, blocks, level[b])
                        squares[:, b] += error[b][at].mean() ** 2, found.detail**2, found.sigma**2
            ratios = np.sqrt(squares[0] / squares[1:]).T
            print(f"{side * side:6d}   " + "".join(f"{a:7.2f}{b:5.2f}" for a, b in ratios))


if __name__ == "__main__":
    main()
