"""A blind test of the optics we assume: how blurred are the real 30 m bands against real pan?

    python benchmarks/oli_sharpness.py ../shared/scenes

Pan is blurred with a Gaussian of sigma metres and sampled where the MS pixels are; the sigma at which its high-pass
correlates best with that of a visible band is the blur between the two. In brackets the share of the band's local
variance that pan then explains: bands differ from pan in colour. What the simulator assumes, sqrt(band's sigma^2 -
pan's sigma^2), stands below.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from l8s2 import masks, open_scene
from l8s2.arrays import dilate, fill_missing
from l8s2.metrics.detail import high_pass
from l8s2.optics import resample
from l8s2.sensors import BANDS, MS_GSD, OLI, PAN_GSD

SIGMAS = np.arange(8.0, 18.1, 0.5)
"""Metres."""


def misfit(band: np.ndarray, pan: np.ndarray, usable: np.ndarray, sigma: float) -> float:
    """Share of the band's local variance that pan blurred by ``sigma`` metres does not explain."""
    rows, columns = (2.0 * np.arange(n) for n in band.shape)
    seen = resample(pan, rows, columns, sigma / PAN_GSD)
    a, b = (high_pass(x, usable, gsd=MS_GSD)[usable] for x in (band, seen))
    return float(1 - np.corrcoef(a, b)[0, 1] ** 2)


@click.command()
@click.argument("scenes", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(scenes: Path) -> None:
    print("| scene | " + " | ".join(band.name for band in BANDS[:3]) + " |\n|---|---|---|---|")
    for path in sorted(scenes.glob("*L2SP*")):
        with open_scene(path) as scene:
            pixels = scene.read(*(slice(0, n) for n in scene.shape))
        if pixels.pan is None:
            continue
        pan = fill_missing(pixels.pan[None])[0]
        bad = ~masks.usable(pixels.qa) | np.isnan(pixels.pan).reshape(scene.shape[0], 2, -1, 2).any((1, 3))
        bad |= np.nan_to_num(pixels.ms[:3]).max(0) > 0.5
        usable = ~dilate(bad, 4)
        usable[:8] = usable[-8:] = usable[:, :8] = usable[:, -8:] = False
        cells = []
        for band in fill_missing(pixels.ms)[:3]:
            found = [misfit(band, pan, usable, s) for s in SIGMAS]
            i = int(np.clip(np.argmin(found), 1, len(found) - 2))
            a, b, c = found[i - 1 : i + 2]
            best = SIGMAS[i] + 0.5 * (SIGMAS[1] - SIGMAS[0]) * (a - c) / (a - 2 * b + c)
            cells.append(f"{best:.1f} m ({100 * (1 - min(found)):.1f} %)")
        print(f"| {path.name[:25]} | " + " | ".join(cells) + " |")
    assumed = (f"{np.sqrt(band.oli_psf_sigma**2 - OLI.pan_psf_sigma**2):.1f} m" for band in BANDS[:3])
    print("| assumed | " + " | ".join(assumed) + " |")


if __name__ == "__main__":
    main()
