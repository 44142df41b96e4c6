"""How good a model is on places it never saw, simulated from Sentinel-2 imagery or real pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Float, Mask, dilate, enlarge, fill_missing
from l8s2.datasets.sample import Sample, on_lattice, stood_in
from l8s2.evaluation.baselines import bicubic
from l8s2.metrics.scores import rmse
from l8s2.metrics.uncertainty import coverage, error_correlation
from l8s2.sensors import BANDS
from l8s2.simulate import Conditions, observe

BORDER = 18
"""10 m pixels at the border of an image, and around missing ones, that never count."""


class Observed(NamedTuple):
    """An image and its truth."""

    place: str
    ms: Float
    """(6, h, w) reflectance, NaN is missing."""
    pan: Float | None
    """(2h, 2w) reflectance."""
    truth: Float
    """(6, 3h, 3w) reflectance."""
    usable: Mask
    """(6, 3h, 3w) True = counts."""


@dataclass(frozen=True, kw_only=True)
class PlaceScore:
    """Errors of one image; arrays are (6,), one value per band."""

    place: str
    bicubic_rmse: NDArray[np.float64]
    """Of Keys bicubic of the Landsat bands, reflectance."""
    rmse: NDArray[np.float64]
    """Of the model, reflectance."""
    coverage: NDArray[np.float64]
    """Share of pixels within +-1.645 sigma of the truth."""
    pearson: NDArray[np.float64]
    """Correlation of sigma with the absolute error."""
    pixels: int

    @property
    def gain(self) -> NDArray[np.float64]:
        """Decibels of PSNR over bicubic."""
        return 20 * np.log10(self.bicubic_rmse / self.rmse)


def validation_conditions(*, disturbed: bool, seed: int, untidy: bool = False) -> Conditions:
    """Nominal sensor with noise and a hazy pan; ``disturbed`` adds the radiometric errors no network can undo.

    ``untidy``: drawn instead, as two real sensors differ.
    """
    if untidy:
        return Conditions.random(np.random.default_rng(seed), disturbed=disturbed, untidy=True)
    nominal = Conditions(noise=1.0, pan_gain=0.8, pan_offset=0.04)
    if not disturbed:
        return nominal
    drawn = Conditions.random(np.random.default_rng(seed), disturbed=True)
    return replace(nominal, gain=drawn.gain, offset=drawn.offset, tilt=drawn.tilt)


def simulate_place(stack: Float, conditions: Conditions, seed: int) -> tuple[Float, Float, Float, Mask]:
    """(truth, ms, pan, usable) of an image cut to whole MS pixels; ``usable`` (6, 3h, 3w), True = counts."""
    height, width = (3 * (n // 3) for n in stack.shape[1:])
    truth = stack[:, :height, :width]
    seen = observe(truth, conditions, np.random.default_rng(seed))
    return truth, seen.ms, seen.pan, inner(np.isfinite(truth), seen.ms)


def inner(known: Mask, ms: Float) -> Mask:
    """``known`` (6, 3h, 3w) less what is nearer than BORDER to the border or to NaN in any band of ms (6, h, w)."""
    usable = np.zeros_like(known)
    within = np.s_[:, BORDER:-BORDER, BORDER:-BORDER]
    usable[within] = known[within]
    missing = np.asarray(np.isnan(ms).any(0))
    if missing.any():
        usable &= ~dilate(enlarge(missing), BORDER)
    return usable


def of_pair(pair: Sample) -> Observed:
    """A real pair on the lattice; bands that it does not have never count. Raises InputError where nothing tells how it lies."""
    pair = on_lattice(pair)
    ms = stood_in(pair.ms)
    return Observed(pair.place or "pairs", ms, pair.pan, pair.truth, inner(pair.valid, ms))


def score_image(
    predictor: Any,
    place: str,
    stack: Float,
    known_bands: Sequence[bool],
    conditions: Conditions,
    seed: int,
    sigma_factors: NDArray[np.float64] | None = None,
) -> PlaceScore:
    """Simulate, predict, compare.

    Args:
        predictor: keeps predictors.Predictor's contract.
        sigma_factors: (6,) what sigma is multiplied with first, to judge a calibration that left this place out.
    """
    truth, ms, pan, usable = simulate_place(stack, conditions, seed)
    usable = usable & np.array(known_bands)[:, None, None]
    return score(predictor, Observed(place, ms, pan, truth, usable), sigma_factors)


def score(predictor: Any, seen: Observed, sigma_factors: NDArray[np.float64] | None = None) -> PlaceScore:
    """Predict and compare; arguments as ``score_image``."""
    place, ms, pan, truth, usable = seen
    mean, sigma = predictor.predict(ms, pan)
    if sigma_factors is not None:
        sigma = sigma * sigma_factors[:, None, None]
    coarse = bicubic(fill_missing(ms))
    rows = []
    for b in range(len(BANDS)):
        ok = usable[b] & np.isfinite(mean[b])
        rows.append(
            (
                rmse(coarse[b], truth[b], ok).value,
                rmse(mean[b], truth[b], ok).value,
                coverage(mean[b], sigma[b], truth[b], ok).value,
                error_correlation(mean[b], sigma[b], truth[b], ok).value,
            )
        )
    of_bicubic, of_model, covered, pearson = np.array(rows, dtype=np.float64).T
    return PlaceScore(
        place=place,
        bicubic_rmse=of_bicubic,
        rmse=of_model,
        coverage=covered,
        pearson=pearson,
        pixels=int(usable.any(0).sum()),
    )


def by_place(scores: Sequence[PlaceScore]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Mean over the images of each place, then ``mean`` over places: gain, coverage, pearson and rmse, (6,) each."""
    places = dict.fromkeys(s.place for s in scores)
    table = {
        place: {
            key: np.mean([getattr(s, key) for s in scores if s.place == place], axis=0)
            for key in ("gain", "coverage", "pearson", "rmse", "bicubic_rmse")
        }
        for place in places
    }
    table["mean"] = {key: np.mean([row[key] for row in table.values()], axis=0) for key in next(iter(table.values()))}
    return table
