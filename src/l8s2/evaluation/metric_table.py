"""Every score by the name it has in tables, with what it means and where it is best. Data and thin adapters."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from l8s2 import sensors
from l8s2.arrays import Array, Mask
from l8s2.metrics import detail, no_reference, scores, similarity, uncertainty
from l8s2.metrics.scores import Score
from l8s2.sensors import BAND_NAMES, N_BANDS, NATIVE_10M, NATIVE_20M, NIR

GROUPS: dict[str, tuple[int, ...]] = {
    "10 m": tuple(range(N_BANDS)[NATIVE_10M]),
    "20 m": tuple(range(N_BANDS)[NATIVE_20M]),
    "all": tuple(range(N_BANDS)),
}
"""Bands that are also scored together: by Sentinel-2's native pixel size, and all six."""
VISIBLE_GROUP = "visible"
"""The bands that scores against pan are of, in tables."""


class Metric(NamedTuple):
    """One row of a table of scores."""

    score: Callable[..., Score]
    ideal: float
    """The value of a perfect model."""
    meaning: str
    """One line for people."""


def nrmse(prediction: Array, truth: Array, mask: Mask) -> Score:
    """RMSE by the root mean square of the truth: scikit-image's default."""
    error = scores.rmse(prediction, truth, mask)
    level = scores.rmse(np.zeros_like(truth), truth, scores.usable_where(mask, prediction, truth)).value
    return Score(error.value / level if level else math.inf if error.value else error.value, error.n)


def psnr_gain(prediction: Array, plain: Array, truth: Array, mask: Mask) -> Score:
    """Decibels of PSNR that a prediction has over another one, ``plain``; both (..., h, w), as ``truth``."""
    ours, theirs = scores.rmse(prediction, truth, mask), scores.rmse(plain, truth, mask)
    if ours.value == theirs.value:
        return Score(0.0, ours.n)
    with np.errstate(divide="ignore"):
        return Score(float(20 * np.log10(np.divide(theirs.value, ours.value))), ours.n)


def _best_shift(prediction: Array, truth: Array, mask: Mask) -> Score:
    return scores.shifted_rmse(prediction, truth, mask).rmse


def _resolution(prediction: Array, truth: Array, mask: Mask) -> Score:
    curves = detail.fourier_curves(prediction, truth, mask)
    return Score(curves.resolution, int(curves.n.sum()))


PER_BAND: dict[str, Metric] = {
    "rmse": Metric(scores.rmse, 0, "root mean square error, reflectance"),
    "nrmse": Metric(nrmse, 0, "RMSE by the root mean square of the truth (scikit-image's default)"),
    "psnr": Metric(scores.psnr, math.inf, "peak signal-to-noise ratio, dB, data range 1"),
    "mae": Metric(scores.mae, 0, "mean absolute error, reflectance"),
    "bias": Metric(scores.bias, 0, "mean of prediction minus truth, reflectance"),
    "correlation": Metric(scores.correlation, 1, "Pearson correlation with the truth"),
    "shifted_rmse": Metric(_best_shift, 0, "lowest RMSE over shifts of the prediction by up to one pixel each way"),
    "ssim": Metric(similarity.ssim, 1, "structural similarity, Gaussian window of 11 x 11, data range 1"),
    "uiqi": Metric(similarity.uiqi, 1, "universal image quality index in windows of 8 x 8"),
    "detail_energy_ratio": Metric(
        detail.detail_energy_ratio, 1, "energy of detail finer than about 160 m by that of the truth; below 1 is smooth"
    ),
    "resolution": Metric(
        _resolution, 0.5, "cycles per pixel up to which Fourier ring correlation with the truth stays above 0.5"
    ),
}
"""``score(prediction, truth, mask)`` of one band, (h, w)."""

PSNR_GAIN = Metric(psnr_gain, math.inf, "PSNR less that of bicubic on the same pixels, dB")
"""``score(prediction, bicubic, truth, mask)`` of one band."""

SPECTRAL: dict[str, Metric] = {
    "sam": Metric(scores.sam, 0, "spectral angle, degrees, mean over pixels"),
    "ergas": Metric(
        scores.ergas, 0, "relative global error in synthesis: 100 / 3 times RMS over bands of RMSE by mean"
    ),
}
"""``score(prediction, truth, mask)`` of some bands together, (bands, h, w)."""

_INDEX = {
    "rmse": (0, "root mean square error of {}"),
    "bias": (0, "mean error of {}"),
    "correlation": (1, "correlation of {} with that of the truth"),
}
INDICES: dict[str, tuple[str, str]] = {f"{index}_{part}": (index, part) for index in scores.INDICES for part in _INDEX}
"""Score -> the index and the field of ``scores.index_scores`` it is."""

OF_SIGMA: dict[str, Metric] = {
    "coverage": Metric(
        uncertainty.coverage,
        0.9,
        "share of true values within 1.645 sigma of the prediction; on real images of the total sigma",
    ),
    "ence": Metric(
        uncertainty.ence, 0, "expected normalised calibration error: how far sigma is from RMSE, in 20 bins"
    ),
    "crps": Metric(uncertainty.crps, 0, "continuous ranked probability score of a normal distribution, reflectance"),
    "nll": Metric(uncertainty.nll, -math.inf, "negative log-likelihood of a normal distribution, nats per value"),
    "ause": Metric(uncertainty.ause, 0, "area under the sparsification error curve: does sigma rank the errors?"),
    "error_correlation": Metric(
        uncertainty.error_correlation, 1, "Pearson correlation of sigma with the absolute error"
    ),
    "error_rank_correlation": Metric(
        uncertainty.error_rank_correlation, 1, "Spearman correlation of sigma with the absolute error"
    ),
}
"""``score(prediction, sigma, truth, mask)`` of one band, for models that give sigma."""
CALIBRATION = {f"coverage_{100 * level:.0f}": level for level in uncertainty.LEVELS}
"""Score -> share of true values that the central normal interval of a calibration curve should hold."""
OF_SIGMA |= {
    name: Metric(
        partial(uncertainty.coverage, z=NormalDist().inv_cdf((1 + level) / 2)),
        level,
        f"share of true values within the central {100 * level:.0f} % interval (calibration curve)",
    )
    for name, level in CALIBRATION.items()
}

FITTED: dict[str, tuple[float, str]] = {
    "rmse_ratio": (0, "RMSE over that of bicubic, each after one gain and offset; below 1 something is gained"),
    "detail_energy": (1, "energy of the detail over Sentinel-2's, after gain and offset; above 1 some is invented"),
    "best_multiple": (1, "multiple of what is added to bicubic with the least error; below 1 too much is added"),
    "fitted_coverage": (0.9, "coverage of the detail's sigma after gain and offset"),
}
"""Fields of ``pair_scores.PairScore`` that nothing else tells: ideal value and meaning."""
FITTED_GROUPS: dict[str, tuple[int, ...]] = {
    VISIBLE_GROUP: tuple(range(N_BANDS)[sensors.VISIBLE]),
    "SWIR": tuple(range(NIR + 1, N_BANDS)),
}
"""Bands that are scored together on fitted pairs, beside ``GROUPS``; nir08 stands for itself."""

NO_REFERENCE = {
    "consistency": (0, "RMS reflectance between the output, seen by OLI at 30 m, and the input"),
    "pan_correlation": (1, "correlation of the fine detail of the visible output with that of pan"),
    "qnr": (1, "quality with no reference, (1 - d_lambda) (1 - d_s), of blue, green and red"),
    "d_lambda": (0, "spectral distortion: change of the likeness of bands between input and output"),
    "d_s": (0, "spatial distortion: change of the likeness of bands and pan between input and output"),
}

MEANING: dict[str, tuple[float, str]] = {
    "psnr_gain": PSNR_GAIN[1:],
    **{name: metric[1:] for name, metric in (PER_BAND | SPECTRAL).items()},
    **{name: (_INDEX[part][0], _INDEX[part][1].format(index.upper())) for name, (index, part) in INDICES.items()},
    **{name: metric[1:] for name, metric in OF_SIGMA.items()},
    **FITTED,
    **NO_REFERENCE,
}
"""Every score: its ideal value and what it means, in one line."""


def without_reference(prediction: Array, ms: Array, pan: Array | None, mask: Mask) -> dict[tuple[str, str], Score]:
    """(bands, name) -> score, of everything in NO_REFERENCE that can be said; arguments as in ``no_reference``."""
    found = {
        (band, "consistency"): score
        for band, score in zip(BAND_NAMES, no_reference.consistency(prediction, ms, mask), strict=True)
    }
    if pan is not None:
        quality = no_reference.qnr(prediction, ms, pan, mask)
        found[VISIBLE_GROUP, "pan_correlation"] = no_reference.pan_correlation(prediction, pan, mask)
        found |= {(VISIBLE_GROUP, name): score for name, score in quality._asdict().items()}
    return found
