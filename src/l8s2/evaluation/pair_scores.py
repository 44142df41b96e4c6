"""Scores on a real pair of Landsat and Sentinel-2, after what no method can be blamed for is taken out.

Two sensors at two times differ in position, gain and offset for reasons that are no fault of a method. So Sentinel-2 is
moved by the shift that interpolated Landsat shows, and every method gets one gain and one offset per band that fit it
best to Sentinel-2. What is scored is the rest: whether the detail is right.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from l8s2.arrays import Array, Mask, Values
from l8s2.datasets.image_pair import ImagePair, erode_valid, on_lattice, shift
from l8s2.evaluation.baselines import band_pass_bicubic
from l8s2.metrics import uncertainty
from l8s2.metrics.detail import detail_energy_ratio
from l8s2.registration import Shift, measure_shift
from l8s2.sensors import VISIBLE

_FLATTEST = 1e-5
"""Standard deviation of what a method adds to bicubic, less any multiple of it, over that of bicubic: below it, nothing
is added. float32 rounds images to 1e-7 of their level."""


_ROUNDING = 1e-6
"""Reflectance; an RMSE, or a standard deviation of the truth, that is not larger is rounding of float32, not detail."""


class PairScore(NamedTuple):
    """How one band of a prediction compares with bicubic interpolation on a real pair; NaN where nothing is known.

    Ratios are NaN where the truth is flat, or bicubic is right to the last digit.
    """

    rmse_ratio: float
    """RMSE over that of bicubic, both after their own gain and offset; below 1 something is gained."""
    detail_energy: float
    """Energy of the detail finer than 30 m over Sentinel-2's, after gain; 1 is right, more is invented."""
    best_multiple: float
    """Multiple of what the method adds to bicubic at which the error is least; 1 is right, below 1 it adds too much.
    NaN for a method that adds nothing."""
    coverage: float
    """Share of Sentinel-2's values within 1.645 sigma, as is; 0.90 is right. NaN without sigma."""
    fitted_coverage: float
    """The same of the detail's sigma after gain and offset."""
    pixels: int
    """10 m pixels compared."""


def registered(pair: ImagePair) -> tuple[ImagePair, Shift]:
    """Return the pair with Sentinel-2 moved onto Landsat, and the shift that Sentinel-2 had, in 10 m pixels.

    The shift is measured between ``band_pass_bicubic`` and Sentinel-2, mean of the visible bands, valid pixels only,
    and taken out of all bands by one band-limited interpolation. Where none can be measured the pair stays as it is.
    What is not valid is guessed from what lies beside it first, lest clouds ring into clear ground; nothing within
    ``image_pair.MARGIN`` pixels of it stays valid.

    Raises InputError where the position of the pair's arrays is not known.
    """
    pair = on_lattice(pair)
    plain, truth = band_pass_bicubic(pair.ms)[VISIBLE].mean(0), pair.truth[VISIBLE].mean(0)
    found = measure_shift(plain, truth, np.asarray(pair.valid[VISIBLE].all(0)))
    if found.reason:
        return pair, found
    move = found.down, found.right
    seen = np.where(pair.valid, pair.truth, np.float32(np.nan))
    return replace(pair, truth=shift(seen, *move), valid=erode_valid(pair.valid, *move)), found


def fit_level(prediction: Array, truth: Array, usable: Mask) -> tuple[float, float]:
    """Return (gain, offset) with ``truth = gain * prediction + offset`` by least squares over the usable pixels.

    (1, 0) where no pixel is usable.

    Args:
        prediction: (H, W) reflectance.
        truth: (H, W) reflectance.
        usable: (H, W) bool, True = compared.
    """
    x, y = prediction[usable].astype(np.float64), truth[usable].astype(np.float64)
    if not x.size:
        return 1.0, 0.0
    x_mean, y_mean = x.mean(), y.mean()
    variance = np.mean((x - x_mean) ** 2)
    gain = float(np.mean((x - x_mean) * (y - y_mean)) / variance) if variance > 0 else 1.0
    return gain, float(y_mean - gain * x_mean)


def at_level(prediction: Array, truth: Array, usable: Mask) -> Array:
    """Return a prediction with the gain and offset of ``fit_level``; arguments as there."""
    gain, offset = fit_level(prediction, truth, usable)
    return gain * prediction + offset


def score_pair_band(
    prediction: Array,
    bicubic: Array,
    truth: Array,
    usable: Mask,
    sigma: Array | None = None,
    detail: Array | None = None,
) -> PairScore:
    """Score one band against Sentinel-2.

    Args:
        prediction: (H, W) reflectance at 10 m.
        bicubic: (H, W) interpolation of the same Landsat pixels, the reference and the base of ``best_multiple``.
        truth: (H, W) reflectance that Sentinel-2 measured, co-registered.
        usable: (H, W) bool, True = compared.
        sigma: (H, W) standard error of the prediction; None without.
        detail: (H, W) the same without the disagreement of the sensors in level, which gain and offset take out.
    """
    usable = usable & np.isfinite(prediction) & np.isfinite(bicubic) & np.isfinite(truth)
    pixels = int(usable.sum())
    if not pixels:
        return PairScore(*5 * (np.nan,), pixels)
    level, level_of_bicubic = (at_level(x, truth, usable) for x in (prediction, bicubic))
    square, of_bicubic = (np.mean((truth - x)[usable].astype(np.float64) ** 2) for x in (level, level_of_bicubic))
    coverage, fitted_coverage = (
        np.nan if error is None else uncertainty.coverage(mean, error, truth, usable).value
        for mean, error in ((prediction, sigma), (level, detail))
    )
    if min(float(np.sqrt(of_bicubic)), float(truth[usable].std(dtype=np.float64))) <= _ROUNDING:
        return PairScore(np.nan, np.nan, np.nan, coverage, fitted_coverage, pixels)
    return PairScore(
        rmse_ratio=float(np.sqrt(square / of_bicubic)),
        detail_energy=detail_energy_ratio(level, truth, usable).value,
        best_multiple=_best_multiple(*(x[usable].astype(np.float64) for x in (prediction - bicubic, bicubic, truth))),
        coverage=coverage,
        fitted_coverage=fitted_coverage,
        pixels=pixels,
    )


def _best_multiple(added: Values, base: Values, truth: Values) -> float:
    """Return s of the multiple of ``base + s * added`` that, with an offset, is nearest to ``truth``; (n,) each."""
    added, base, truth = (x - x.mean() for x in (added, base, truth))
    energy = float(base @ base)
    own = added - base * (float(added @ base) / energy) if energy else added
    if own.std() <= _FLATTEST * base.std():
        return np.nan
    of_base, of_added = np.linalg.lstsq(np.stack([base, added], axis=1), truth, rcond=None)[0]
    return float(of_added / of_base) if of_base else np.nan
