"""Models on the real Landsat / Sentinel-2 pairs in ``pairs``: gain over bicubic, and how much detail they add.

    L8S2_TEST_DATA=../shared python benchmarks/real_pairs.py [MODEL ...]

For every band: RMSE over that of bicubic after one gain and offset each, energy of the detail over Sentinel-2's, the
best multiple of the detail, coverage of the 90 % interval as is and after the fit; then the correlation of NDVI with
Sentinel-2's, and bicubic's. The pairs are read by ``unexplained.read``; what shift is left between the sensors is
measured on bicubic and taken out of Sentinel-2 by resampling.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from unexplained import read

from l8s2 import load_model
from l8s2.evaluation.baselines import band_pass_bicubic
from l8s2.evaluation.pair_scores import score_pair_band
from l8s2.metrics.scores import normalised_difference
from l8s2.optics import resample
from l8s2.registration import measure_shift
from l8s2.sensors import BAND_NAMES

BORDER = 6
"""10 m pixels at the border that do not count: there the network does not see its surroundings."""


def main() -> None:
    """Print a table for each model and archive."""
    folder = Path(os.environ.get("L8S2_TEST_DATA", "../shared")) / "pairs"
    for name in sys.argv[1:] or ["compact-nopan"]:
        model = load_model(name)
        print(f"{name}\n{'':18}" + "".join(f"{band:>9}" for band in BAND_NAMES))
        means = []
        for path in sorted(folder.glob("*.npz")):
            for date, pair in enumerate(read(path)):
                mean, sigma = model.predict(pair.ms, None)
                bicubic = band_pass_bicubic(pair.ms)
                size = mean.shape[1:]
                first = [round(value - 0.5) for value in pair.first]
                visible = slice(0, 3)
                rows, columns = (np.arange(n) + f for n, f in zip(size, first, strict=True))
                aligned = np.stack([resample(band, rows, columns, 0.0) for band in pair.truth])
                shift = measure_shift(bicubic[visible].mean(0), aligned[visible].mean(0))
                down, right = (0.0, 0.0) if shift.reason else (shift.down, shift.right)
                truth = np.stack([resample(band, rows + down, columns + right, 0.0) for band in pair.truth])
                usable = np.zeros(size, bool)
                usable[BORDER:-BORDER, BORDER:-BORDER] = True
                scores = [
                    score_pair_band(mean[b], bicubic[b], truth[b], usable, sigma[b]) for b in range(len(BAND_NAMES))
                ]
                means.append(scores)
                print(
                    f"{path.stem} {date}: Sentinel-2 {down:+.2f} down, {right:+.2f} right (10 m pixels){shift.reason}"
                )
                for field in scores[0]._fields[:-1]:
                    print(f"  {field:16}" + "".join(f"{getattr(score, field):9.2f}" for score in scores))
                values = [
                    np.corrcoef(*(normalised_difference(image, "ndvi")[usable] for image in (x, truth)))[0, 1]
                    for x in (mean, bicubic)
                ]
                print(f"  NDVI correlation {values[0]:.4f}, of bicubic {values[1]:.4f}")
        for label, bands in (("visible", slice(0, 3)), ("nir08", slice(3, 4)), ("SWIR", slice(4, 6))):
            part = np.array([[score[:3] for score in scores[bands]] for scores in means]).mean((0, 1))
            print(f"  mean {label:8} RMSE {part[0]:.3f}, energy {part[1]:.2f}, best multiple {part[2]:.2f}")


if __name__ == "__main__":
    main()
