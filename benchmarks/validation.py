"""The embedded models on the validation sites: table and pictures.

    python benchmarks/validation.py PATCHES configs/embedded-split.yaml [--pictures docs/pictures]

Simulated with the nominal sensor and noise, radiometry clean and disturbed, and with two sensors that differ as real
ones do (untidy). Gain in PSNR (dB, data range 1) over Keys bicubic of the Landsat bands; lowest gain of any image and
band; coverage of +-1.645 sigma; correlation of sigma and |error|. Sigma is scaled on held-out rows and the validation
sites, untidy; coverage is that of a scaling without the site in question.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image as Picture

from l8s2 import load_model
from l8s2.arrays import fill_missing
from l8s2.datasets.simulated_pairs import RandomlySimulatedPairs, simulate_pair, validation_conditions
from l8s2.evaluation.baselines import bicubic
from l8s2.evaluation.calibration import Ratios, error_ratios, validation_scores
from l8s2.evaluation.image_scores import mean_by_site
from l8s2.simulate.archives import Image
from l8s2.training.archive_split import read_split, split_folder


def table(model: str, images: list[Image], ratios: Ratios, kind: str) -> None:
    scores = validation_scores(
        load_model(model), images, ratios, disturbed=kind == "disturbed", untidy=kind == "untidy"
    )
    print(f"\n### {model}, {kind}\n")
    print(
        "| site | 10 m bands, dB | 20 m bands, dB | lowest, dB | coverage 10 m | 20 m | r(sigma, error) 10 m | 20 m |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for site, row in mean_by_site(scores).items():
        lowest = min(s.gain.min() for s in scores if site in (s.site, "mean"))
        cells = [f"{row['gain'][:3].mean():+.2f}", f"{row['gain'][3:].mean():+.2f}", f"{lowest:+.2f}"]
        cells += [f"{row[k][b].mean():.3f}" for k in ("coverage", "pearson") for b in (slice(3), slice(3, 6))]
        print(f"| {site} | " + " | ".join(cells) + " |")


def picture(path: Path, image: Image, size: int = 260) -> None:
    """Bicubic | compact-nopan | compact | truth, true colour above and nir08-swir16-red below."""
    pair = simulate_pair(image, validation_conditions(disturbed=False, seed=0), 0)
    ms, pan, truth = pair.ms, pair.pan, pair.truth
    columns = [
        bicubic(fill_missing(ms)),
        load_model("compact-nopan").predict(ms, None)[0],
        load_model().predict(ms, pan, sun_elevation=pair.sun_elevation)[0],
        truth,
    ]
    r, c = ((n - min(n, size)) // 2 for n in truth.shape[1:])
    rows = []
    for bands in ((2, 1, 0), (3, 4, 2)):
        cut = [np.nan_to_num(x[list(bands), r : r + size, c : c + size]) for x in columns]
        low, high = (np.percentile(cut[-1], p, axis=(1, 2))[:, None, None] for p in (1, 99))
        shown = [
            (np.clip((x - low) / (high - low), 0, 1) ** 0.8 * 255).astype(np.uint8).transpose(1, 2, 0) for x in cut
        ]
        gap = np.full((shown[0].shape[0], 4, 3), 255, np.uint8)
        rows.append(np.concatenate([p for x in shown for p in (x, gap)][:-1], axis=1))
    Picture.fromarray(np.concatenate(rows)).save(path, quality=88)


@click.command()
@click.argument("patches", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("split", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--pictures", type=click.Path(file_okay=False, path_type=Path))
def main(patches: Path, split: Path, pictures: Path | None) -> None:
    _, calibration, images = split_folder(patches, read_split(split))
    for model in ("compact", "compact-nopan"):
        ratios = error_ratios(load_model(model), RandomlySimulatedPairs(calibration + images, untidy=True))
        for kind in ("clean", "disturbed", "untidy"):
            table(model, images, ratios, kind)
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        for site in dict.fromkeys(i.site for i in images):
            picture(pictures / f"validation_{site}.jpg", next(i for i in images if i.site == site))


if __name__ == "__main__":
    main()
