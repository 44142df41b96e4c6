"""Calibration of sigma: how well it predicts the size of the error. Pure functions.

``prediction``, ``sigma`` and ``truth`` are (..., h, w), reflectance; a mask is (h, w) or of their shape, True = usable.
Non-finite values and negative sigmas never count; a sigma of 0 counts as the certainty it claims. If no value counts, a
score is NaN with n = 0.
"""

from __future__ import annotations

import math

import numpy as np

from l8s2.arrays import Array, Mask, Values
from l8s2.metrics.scores import NOTHING, Score, correlation, divide, mean_of, usable_values

Z_90 = 1.645
"""Half width, in standard deviations, of the interval that holds 90 % of a normal distribution."""
LEVELS = (0.5, 0.68, 0.8, 0.9, 0.95)
"""Nominal shares of central intervals."""


def coverage(prediction: Array, sigma: Array, truth: Array, mask: Mask, *, z: float = Z_90) -> Score:
    """Share of true values within ``z`` sigma of the prediction; 0.90 is right for the default."""
    misfit, spread = _misfit(prediction, sigma, truth, mask)
    return mean_of((misfit <= z * spread).astype(np.float64))


def ence(prediction: Array, sigma: Array, truth: Array, mask: Mask, *, bins: int = 20) -> Score:
    """Return the expected normalised calibration error (Levi et al. 2022), 0 is ideal.

    Values are sorted by sigma into ``bins`` of equal count (one apart at most); the score is the mean over bins of
    ``|RMV - RMSE| / RMV`` with RMV the root mean of sigma squared. Infinite where a bin claims certainty and errs.
    """
    misfit, spread = _misfit(prediction, sigma, truth, mask)
    if not misfit.size:
        return NOTHING
    spread, square = _by_sigma(spread, misfit**2)
    ratios = []
    for s, e in zip(*(np.array_split(a, min(bins, misfit.size)) for a in (spread, square)), strict=True):
        claimed, found = math.sqrt(np.mean(s**2)), math.sqrt(np.mean(e))
        ratios.append(abs(claimed - found) / claimed if claimed else math.inf if found else 0.0)
    return Score(float(np.mean(ratios)), misfit.size)


def crps(prediction: Array, sigma: Array, truth: Array, mask: Mask) -> Score:
    """Continuous ranked probability score of a normal distribution (Gneiting et al. 2005), in the unit of the arrays.

    ``sigma (z erf(z / sqrt 2) + sqrt(2 / pi) exp(-z^2 / 2) - 1 / sqrt pi)`` with z = error / sigma; the absolute error
    where sigma is 0. Lower is better.
    """
    misfit, spread = _misfit(prediction, sigma, truth, mask)
    z = divide(misfit, spread, otherwise=0)
    bracket = z * erf(z / math.sqrt(2)) + math.sqrt(2 / math.pi) * np.exp(-0.5 * z**2) - 1 / math.sqrt(math.pi)
    return mean_of(np.where(spread > 0, spread * bracket, misfit))


def nll(prediction: Array, sigma: Array, truth: Array, mask: Mask) -> Score:
    """Mean negative log-likelihood of a normal distribution, nats per value; infinite where any sigma is 0."""
    misfit, spread = _misfit(prediction, sigma, truth, mask)
    if not spread.all():
        return Score(math.inf, misfit.size)
    return mean_of(0.5 * math.log(2 * math.pi) + np.log(spread) + 0.5 * (misfit / spread) ** 2)


def ause(prediction: Array, sigma: Array, truth: Array, mask: Mask) -> Score:
    """Area under the sparsification error curve (Ilg et al. 2018), 0 is ideal.

    Values are removed one by one, those of largest sigma first; the curve is the mean absolute error of the rest,
    relative to that of all, against the share removed (0 .. 1), minus the same curve with the largest errors removed
    first. Values of equal sigma share their errors, so their order does not matter: a constant sigma scores as one
    without information. No error at all scores 0.
    """
    misfit, spread = _misfit(prediction, sigma, truth, mask)
    if not misfit.any():
        return Score(0.0, misfit.size) if misfit.size else NOTHING
    left = np.arange(1, misfit.size + 1)
    kept, best = (np.cumsum(errors) / left for errors in (_by_sigma(spread, misfit)[1], np.sort(misfit)))
    return Score(float(np.mean(kept - best) / misfit.mean()), misfit.size)


def error_correlation(prediction: Array, sigma: Array, truth: Array, mask: Mask) -> Score:
    """Pearson correlation of sigma with the absolute error; NaN where either is constant."""
    misfit, spread = _misfit(prediction, sigma, truth, mask)
    return correlation(spread, misfit, np.ones(misfit.shape, dtype=bool))


def error_rank_correlation(prediction: Array, sigma: Array, truth: Array, mask: Mask) -> Score:
    """Spearman correlation of sigma with the absolute error, ties at their mean rank; NaN where either is constant."""
    misfit, spread = _misfit(prediction, sigma, truth, mask)
    return correlation(_ranks(spread), _ranks(misfit), np.ones(misfit.shape, dtype=bool))


_STEP = 1 / 256
_NODES = np.arange(0, 6 + 2 * _STEP, _STEP)
_ERF = np.array([math.erf(x) for x in _NODES])
_SLOPE = 2 / math.sqrt(math.pi) * np.exp(-(_NODES**2)) * _STEP


def erf(x: Values) -> Values:
    """Error function of an array to 1e-11: cubic Hermite between exact values and slopes at multiples of 1/256."""
    at = np.minimum(np.abs(x), 6.0) / _STEP
    node = at.astype(np.int64)
    t = at - node
    rise = _ERF[node + 1] - _ERF[node]
    start, end = _SLOPE[node], _SLOPE[node + 1]
    value = _ERF[node] + t * (start + t * (3 * rise - 2 * start - end + t * (start + end - 2 * rise)))
    result: Values = np.copysign(value, x)
    return result


def _misfit(prediction: Array, sigma: Array, truth: Array, mask: Mask) -> tuple[Values, Values]:
    """Return absolute error and sigma of the values that count, (n,) each."""
    p, s, t = usable_values(mask, prediction, sigma, truth)
    return np.abs(p - t)[s >= 0], s[s >= 0]


def _by_sigma(sigma: Values, errors: Values) -> tuple[Values, Values]:
    """Return both in the order of rising sigma; errors of equal sigma are replaced by their mean."""
    _, group, count = np.unique(sigma, return_inverse=True, return_counts=True)
    order = np.argsort(sigma)
    return sigma[order], (np.bincount(group, errors) / count)[group[order]]


def _ranks(values: Values) -> Values:
    """Return the rank of every value from 1; equal values have their mean rank."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[group]
