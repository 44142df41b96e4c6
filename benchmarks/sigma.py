"""What the 90 % intervals hold on sites used neither for training nor for calibration, and on which ground they fail.

    python benchmarks/sigma.py PATCHES configs/embedded-split.yaml      (a minute; needs the extra train)

Seven sites are held out of training (four whole, rows of three). Each is scored with a scaling of sigma by the six
others, under the random conditions that calibration draws: two sensors that differ as real ones do.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from l8s2.arrays import Float, enlarge, fill_missing
from l8s2.datasets.simulated_pairs import RandomlySimulatedPairs
from l8s2.evaluation.calibration import factors
from l8s2.evaluation.image_scores import for_scoring
from l8s2.metrics.uncertainty import Z_90
from l8s2.models.domain import local_mean
from l8s2.predictors.load import load_model
from l8s2.sensors import BAND_NAMES
from l8s2.simulate.archives import Image
from l8s2.training.archive_split import read_split, split_folder

SAMPLES, STRATA = 60_000, 3


def ground(ms: Float) -> dict[str, Float]:
    """(6, 3h, 3w) each: what could make sigma wrong, by name."""
    filled = fill_missing(ms)
    mean = local_mean(filled)
    contrast = np.sqrt(local_mean((filled - mean) ** 2)) / np.maximum(mean, 0.01)
    return {"brightness": enlarge(filled), "contrast of the surroundings": enlarge(contrast)}


def samples(model: str, images: list[Image]) -> dict[str, list[dict[str, Float]]]:
    """Site to, per band, equally many values of: error and sigma, their ratio, and every kind of ground."""
    predictor = load_model(model)
    found: dict[str, list[list[Float]]] = {}
    names: list[str] = []
    for pair in map(for_scoring, RandomlySimulatedPairs(images, untidy=True)):
        ms, pan, truth, usable = pair.ms, pair.pan, pair.truth, pair.valid
        mean, sigma = predictor.predict(ms, pan, sun_elevation=pair.sun_elevation)
        values = {"error": np.abs(mean - truth), "sigma": sigma, **ground(ms)}
        names = list(values)
        for b, band in enumerate(found.setdefault(pair.site, [[] for _ in BAND_NAMES])):
            ok = usable[b] & np.isfinite(mean[b])
            band.append(np.stack([v[b][ok] for v in values.values()]))
    rng = np.random.default_rng(0)
    drawn: dict[str, list[dict[str, Float]]] = {}
    for site, bands in found.items():
        drawn[site] = []
        for parts in bands:
            table = np.concatenate(parts, axis=1)
            if table.shape[1]:
                table = table[:, rng.integers(0, table.shape[1], SAMPLES)]
            drawn[site].append(dict(zip(names, table, strict=True)))
    return drawn


@click.command()
@click.argument("patches", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("split", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(patches: Path, split: Path) -> None:
    _, calibration, validation = split_folder(patches, read_split(split))
    for model in ("compact", "compact-nopan"):
        drawn = samples(model, calibration + validation)
        ratios = {site: [band["error"] / band["sigma"] for band in bands] for site, bands in drawn.items()}
        held = {}
        print(f"\n| {model} | " + " | ".join(BAND_NAMES) + " |\n|---|" + "---|" * 6)
        for site, bands in ratios.items():
            limit = Z_90 * factors(ratios, without=site)
            held[site] = [r <= z for r, z in zip(bands, limit, strict=True)]
            print(f"| {site} | " + " | ".join(f"{h.mean():.3f}" if h.size else "" for h in held[site]) + " |")

        def row(name: str, cells: list[float]) -> None:
            print(f"| {name} | " + " | ".join(f"{c:.3f}" for c in cells) + " |")

        row("mean", [float(np.mean([h[b].mean() for h in held.values() if h[b].size])) for b in range(6)])
        for kind in ("brightness", "contrast of the surroundings"):
            pooled = [np.concatenate([d[b][kind] for d in drawn.values()]) for b in range(6)]
            inside = [np.concatenate([h[b] for h in held.values()]) for b in range(6)]
            for s, name in enumerate(("lowest", "middle", "highest")):
                cells = []
                for values, ok in zip(pooled, inside, strict=True):
                    edges = np.quantile(values, np.linspace(0, 1, STRATA + 1))
                    cells.append(float(ok[(values >= edges[s]) & (values <= edges[s + 1])].mean()))
                row(f"{kind}: {name} third", cells)
        correlation = [
            float(
                np.mean([np.corrcoef(d[b]["error"], d[b]["sigma"])[0, 1] for d in drawn.values() if d[b]["error"].size])
            )
            for b in range(6)
        ]
        row("r(sigma, error), mean over sites", correlation)


if __name__ == "__main__":
    main()
