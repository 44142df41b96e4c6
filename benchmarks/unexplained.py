"""What blur, shift, gain and offset do not explain between Landsat and Sentinel-2 at 30 m, real and simulated.

    L8S2_TEST_DATA=DATA python benchmarks/unexplained.py [--draws 6] [gers leuven3 ...]

For every band Sentinel-2 is blurred by a Gaussian, shifted and sampled at 30 m, with gain and offset, so that it fits
Landsat best. What is left is the root mean square of the difference, reflectance; in brackets the share of its variance
that lies above half the Nyquist frequency of 30 m pixels (white noise: 0.75), which sharpening multiplies most. Below,
the fitted blur in metres. Real pairs are the archives in ``pairs`` (``l8s2.datasets.pair_archive``); simulated ones cut
windows of the same size from ``patches``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from scipy.optimize import least_squares

from l8s2.arrays import Float
from l8s2.datasets.pair_archive import PairArchive
from l8s2.grid import ms_centres_at_10m
from l8s2.optics import resample
from l8s2.sensors import BAND_NAMES
from l8s2.simulate import Conditions, observe
from l8s2.simulate.archives import load_archive

SIDE = 20
"""MS pixels to a side of a simulated window: that of the real pairs."""
MARGIN = 2
"""MS pixels at the border that do not count."""
CENTRE = float(ms_centres_at_10m(1)[0])
"""Row and column of the first MS pixel in its block of 10 m pixels."""
START = (12.2, 12.2, 12.2, 10.4, 9.0, 9.5)
"""Blur in metres at which the search begins."""


@dataclass(frozen=True)
class Pair:
    """One date of one site."""

    ms: Float
    """(6, h, w) Landsat, reflectance."""
    truth: Float
    """(6, H, W) Sentinel-2 at 10 m, reflectance."""
    first: tuple[float, float]
    """Row and column of the truth, in 10 m pixels, at which ms[:, 0, 0] is centred."""


@dataclass(frozen=True)
class Fit:
    """Of one band."""

    left: float
    """Root mean square of what is not explained, reflectance."""
    fine: float
    """Share of its variance above half the Nyquist frequency."""
    blur: float
    """Gaussian sigma, metres."""


def fit(ms: Float, truth: Float, first: tuple[float, float], blur: float) -> Fit:
    """Fit one band, (h, w) and (H, W)."""
    inner = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
    target = ms[inner].astype(np.float64)

    def residual(parameters: np.ndarray) -> np.ndarray:
        sigma, down, right = parameters
        rows, columns = (
            at + move / 10 + 3.0 * np.arange(n) for at, move, n in zip(first, (down, right), ms.shape, strict=True)
        )
        seen = resample(truth, rows, columns, max(float(sigma), 0.0) / 10)[inner].astype(np.float64)
        slope = ((seen - seen.mean()) * (target - target.mean())).sum() / max(((seen - seen.mean()) ** 2).sum(), 1e-12)
        return (target - target.mean() - slope * (seen - seen.mean())).ravel()

    best = min(
        (
            least_squares(
                residual, (blur, *start), x_scale=(1, 1, 1), diff_step=1e-2, bounds=((3, -40, -40), (25, 40, 40))
            )
            for start in ((0.1, 0.1), (0.1, -15.0))
        ),
        key=lambda found: found.cost,
    )
    left = residual(best.x).reshape(target.shape)
    spectrum = np.abs(np.fft.fft2(left)) ** 2
    rows, columns = (np.abs(np.fft.fftfreq(n)) for n in left.shape)
    high = np.maximum(rows[:, None], columns) >= 0.25
    return Fit(float(left.std()), float(spectrum[high].sum() / spectrum.sum()), float(best.x[0]))


def simulated(place: Path, *, untidy: bool, draws: int) -> Iterator[Pair]:
    """Windows of the images of a site, each under conditions of its own; without NaN."""
    images, rng = load_archive(place).images, np.random.default_rng(0)
    for draw in range(draws):
        stack = images[draw % len(images)].stack
        side = 3 * SIDE + 12
        for _ in range(50):
            row, column = (int(rng.integers(0, n - side + 1)) for n in stack.shape[1:])
            truth = stack[:, row : row + side, column : column + side]
            if np.isfinite(truth).all():
                seen = observe(truth, Conditions.random(rng, untidy=untidy), rng)
                yield Pair(seen.ms[:, 2:-2, 2:-2], truth, (6.5, 6.5))
                break


def line(name: str, pairs: Iterator[Pair]) -> str:
    """A row of the table: medians over the pairs."""
    found = [[fit(p.ms[b], p.truth[b], p.first, START[b]) for b in range(6)] for p in pairs]
    cells = []
    for band in zip(*found, strict=True):
        left, fine, blur = (float(np.median([getattr(f, key) for f in band])) for key in ("left", "fine", "blur"))
        cells.append(f"{left:.4f} ({fine:.2f}) {blur:.1f}")
    return f"| {name} | " + " | ".join(cells) + " |"


@click.command()
@click.argument("places", nargs=-1)
@click.option("--draws", default=12, help="Windows of each place.")
def main(places: tuple[str, ...], draws: int) -> None:
    data = Path(os.environ["L8S2_TEST_DATA"])
    print("| | " + " | ".join(BAND_NAMES) + " |\n|" + "---|" * 7)
    for path in sorted((data / "pairs").glob("*.npz")):
        for date, real in enumerate(PairArchive(path)):
            pair = Pair(real.ms, real.truth, (CENTRE, CENTRE))
            print(line(f"real: {path.stem}, date {date}", iter([pair])))
    for place in places or ("gers", "leuven3", "antwerp3", "ftw_austria4"):
        (path,) = (data / "patches").glob(f"{place}_*.npz")
        for untidy in (False, True):
            print(line(f"{place}, {'untidy' if untidy else 'tidy'}", simulated(path, untidy=untidy, draws=draws)))


if __name__ == "__main__":
    main()
