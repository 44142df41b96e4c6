"""Scores over usable pixels, each with the number of values behind it. Pure functions.

Arrays are (..., h, w) and of one shape, reflectance unless stated otherwise; a mask is (h, w) or of the arrays' shape,
True = usable. Non-finite values never count. If no value counts, a score is NaN with n = 0.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Array, Mask, Values
from l8s2.sensors import BAND_NAMES, MS_GSD, OUTPUT_GSD

INDICES = {"ndvi": ("nir08", "red"), "ndwi": ("nir08", "swir16"), "nbr": ("nir08", "swir22")}
"""Normalised differences (a - b) / (a + b): Tucker 1979, Gao 1996 (leaf water, not open water), Key & Benson 2006."""


class Score(NamedTuple):
    """A metric and the number of values behind it."""

    value: float
    """NaN if no value was usable."""
    n: int


NOTHING = Score(float("nan"), 0)


class IndexScore(NamedTuple):
    """Scores of a normalised difference."""

    rmse: Score
    bias: Score
    correlation: Score


class ShiftedScore(NamedTuple):
    """The best score over a few shifts of the prediction."""

    rmse: Score
    shift: tuple[int, int]
    """Pixels (down, right) by which the prediction was shifted."""


def usable_where(mask: Mask, *arrays: Array) -> Mask:
    """Return where ``mask`` is True and every array finite; of the arrays' shape.

    Raises:
        ValueError: for shapes that do not agree.
    """
    if any(a.shape != arrays[0].shape for a in arrays):
        raise ValueError(f"arrays have shapes {[a.shape for a in arrays]}; they must be of one shape")
    if mask.shape not in (arrays[0].shape, arrays[0].shape[-2:]):
        raise ValueError(f"mask has shape {mask.shape}; arrays of {arrays[0].shape} need that or its last two sizes")
    usable = np.isfinite(arrays[0]) & mask
    for array in arrays[1:]:
        usable &= np.isfinite(array)
    return usable


def usable_values(mask: Mask, *arrays: Array) -> tuple[Values, ...]:
    """Return the values of each array that count, (n,) float64, in one order."""
    usable = usable_where(mask, *arrays)
    return tuple(a[usable].astype(np.float64) for a in arrays)


def mean_of(values: Values) -> Score:
    """Return the mean of the values and their number."""
    return Score(float(values.mean()), values.size) if values.size else NOTHING


def divide(a: Values, b: Values | float, *, otherwise: float) -> Values:
    """Return ``a / b`` where b is positive, ``otherwise`` elsewhere."""
    result: Values = np.divide(a, b, out=np.full(a.shape, float(otherwise)), where=np.asarray(b) > 0)
    return result


def rmse(prediction: Array, truth: Array, mask: Mask) -> Score:
    """Root mean square error, in the unit of the arrays."""
    p, t = usable_values(mask, prediction, truth)
    value, n = mean_of((p - t) ** 2)
    return Score(float(np.sqrt(value)), n)


def psnr(prediction: Array, truth: Array, mask: Mask, *, data_range: float = 1.0) -> Score:
    """Peak signal-to-noise ratio in dB; infinite for equal arrays."""
    error, n = rmse(prediction, truth, mask)
    return Score(float("inf") if error == 0 else float(20 * np.log10(data_range / error)), n)


def mae(prediction: Array, truth: Array, mask: Mask) -> Score:
    """Mean absolute error, in the unit of the arrays."""
    p, t = usable_values(mask, prediction, truth)
    return mean_of(np.abs(p - t))


def bias(prediction: Array, truth: Array, mask: Mask) -> Score:
    """Mean of prediction minus truth, in the unit of the arrays: positive is too bright."""
    p, t = usable_values(mask, prediction, truth)
    return mean_of(p - t)


def correlation(prediction: Array, truth: Array, mask: Mask) -> Score:
    """Pearson correlation over all usable values; NaN, with their number, where either is constant."""
    p, t = usable_values(mask, prediction, truth)
    if not p.size or np.ptp(p) == 0 or np.ptp(t) == 0:
        return Score(float("nan"), p.size)
    p, t = p - p.mean(), t - t.mean()
    p, t = p / np.sqrt(p @ p), t / np.sqrt(t @ t)
    return Score(float(np.clip(p @ t, -1, 1)), p.size)


def sam(prediction: Array, truth: Array, mask: Mask) -> Score:
    """Spectral angle (Kruse et al. 1993) in degrees, mean over pixels; 0 is ideal; brightness has no effect.

    Args:
        prediction: (bands, h, w), as ``truth``.
        truth: a pixel counts where all its bands are usable and neither spectrum is zero.
        mask: (h, w) or (bands, h, w), True = usable.

    Returns:
        The score; n counts pixels.
    """
    usable = usable_where(mask, prediction, truth).all(axis=0)
    p, t = (a[:, usable].astype(np.float64) for a in (prediction, truth))
    length_p, length_t = np.linalg.norm(p, axis=0), np.linalg.norm(t, axis=0)
    some = (length_p > 0) & (length_t > 0)
    p, t = p[:, some] / length_p[some], t[:, some] / length_t[some]
    # the angle from the half chord: exact for small angles, where the arc cosine is not
    angle = 2 * np.arctan2(np.linalg.norm(p - t, axis=0), np.linalg.norm(p + t, axis=0))
    return mean_of(np.degrees(angle))


def ergas(prediction: Array, truth: Array, mask: Mask, *, ratio: float = OUTPUT_GSD / MS_GSD) -> Score:
    """Relative global error in synthesis (Wald 2000): ``100 ratio sqrt(mean over bands of (RMSE / mean truth)^2)``.

    Args:
        prediction: (bands, h, w), as ``truth``. A band without any usable value is left out.
        truth: its mean over usable pixels, band by band, is the unit of the error.
        mask: (h, w) or (bands, h, w), True = usable.
        ratio: pixel size of the output by that of the input, Wald's h / l.

    Returns:
        The score, 0 is ideal; infinite where the truth of a band has mean 0. n counts values of all bands.
    """
    relative, total = [], 0
    for p, t, usable in zip(prediction, truth, usable_where(mask, prediction, truth), strict=True):
        error, n = rmse(p, t, usable)
        if n:
            level = float(t[usable].mean(dtype=np.float64))
            relative.append(error / level if level else float("inf"))
            total += n
    if not total:
        return NOTHING
    return Score(float(100 * ratio * np.sqrt(np.mean(np.square(relative)))), total)


def normalised_difference(image: Array, index: str) -> Values:
    """Return a normalised difference, (a - b) / (a + b), of an image.

    Args:
        image: (6, h, w) reflectance in the order of ``sensors.BANDS``. Negative values are taken as 0.
        index: ``ndvi``, ``ndwi`` or ``nbr``; see INDICES.

    Returns:
        (h, w) within -1 .. 1; NaN where either band is not finite or neither is positive.
    """
    a, b = (image[BAND_NAMES.index(name)].astype(np.float64) for name in INDICES[index])
    known = np.isfinite(a) & np.isfinite(b)
    a, b = (np.maximum(np.where(known, x, 0.0), 0.0) for x in (a, b))
    return divide(a - b, a + b, otherwise=float("nan"))


def index_scores(prediction: Array, truth: Array, mask: Mask) -> dict[str, IndexScore]:
    """Score NDVI, NDWI (Gao) and NBR.

    Args:
        prediction: (6, h, w) reflectance, as ``truth``.
        truth: a pixel counts for an index where both bands are usable and the index has a value in both images.
        mask: (h, w) or (6, h, w), True = usable.

    Returns:
        For each name in INDICES error (RMSE, bias) and correlation of the index, n counts pixels.
    """
    usable = usable_where(mask, prediction, truth)
    scores = {}
    for name, bands in INDICES.items():
        ok = np.logical_and(*(usable[BAND_NAMES.index(band)] for band in bands))
        p, t = (normalised_difference(image, name) for image in (prediction, truth))
        scores[name] = IndexScore(rmse(p, t, ok), bias(p, t, ok), correlation(p, t, ok))
    return scores


def shifted_rmse(prediction: Array, truth: Array, mask: Mask) -> ShiftedScore:
    """Return the lowest RMSE over the nine shifts of the prediction by -1, 0, 1 pixel each way; no shift wins a tie.

    One shift is applied to all bands. All nine are scored on the same pixels of the truth: those whose 3 x 3
    neighbourhood is usable in both images, hence never the outermost row or column.
    """
    usable = usable_where(mask, prediction, truth)
    shifts = sorted(product((-1, 0, 1), (-1, 0, 1)), key=lambda shift: abs(shift[0]) + abs(shift[1]))
    common = np.logical_and.reduce([_shift(usable, shift) for shift in shifts])
    still = _shift(truth, (0, 0))
    scores = [ShiftedScore(rmse(_shift(prediction, shift), still, common), shift) for shift in shifts]
    return min(scores, key=lambda score: score.rmse.value)


def _shift(image: NDArray[Any], shift: tuple[int, int]) -> NDArray[Any]:
    """Shift ``image`` (..., h, w) down and right, and cut off its outermost rows and columns."""
    rows, columns = (slice(1 - s, n - 1 - s) for s, n in zip(shift, image.shape[-2:], strict=True))
    return image[..., rows, columns]
