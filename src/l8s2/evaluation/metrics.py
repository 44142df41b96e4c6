"""Scores over usable pixels, each with the number of values behind it. Pure functions.

Arrays are (..., h, w) and of one shape; a mask is (h, w) or of the arrays' shape, True = usable. Values that are not
finite never count.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

Z_90 = 1.645
"""Half width, in standard deviations, of the interval that holds 90 % of a normal distribution."""


class Score(NamedTuple):
    """A metric and how many values it rests on."""

    value: float
    """NaN where nothing was usable."""
    n: int


def rmse(prediction: Array, truth: Array, mask: Mask) -> Score:
    """Root mean square error, in the unit of the arrays."""
    error = (prediction - truth).astype(np.float64)
    usable = np.isfinite(error) & mask
    n = int(usable.sum())
    return Score(float(np.sqrt(np.mean(error[usable] ** 2))) if n else float("nan"), n)


def psnr(prediction: Array, truth: Array, mask: Mask, *, data_range: float = 1.0) -> Score:
    """Peak signal-to-noise ratio in dB; infinite for equal arrays."""
    error, n = rmse(prediction, truth, mask)
    return Score(float("inf") if error == 0 else float(20 * np.log10(data_range / error)), n)


def coverage(prediction: Array, sigma: Array, truth: Array, mask: Mask, *, z: float = Z_90) -> Score:
    """Share of true values within ``z`` sigma of the prediction; 0.90 is right for the default."""
    misfit = np.abs(prediction - truth)
    usable = np.isfinite(misfit) & np.isfinite(sigma) & mask
    n = int(usable.sum())
    return Score(float(np.mean(misfit[usable] <= z * sigma[usable])) if n else float("nan"), n)
