"""Similarity of structure in moving windows: SSIM and the universal image quality index. Pure functions.

Arrays, masks and counts as in ``metrics``. A window counts where every pixel in it is usable and inside the image; each
band has its own windows, and the score is the mean over all of them.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from l8s2.arrays import Array, Mask, Values
from l8s2.metrics.scores import NOTHING, Score, divide, mean_of, usable_where

_FLAT = 1e-12
"""Variance, by the squared mean, below which a window is flat and the rest is rounding."""


def ssim(prediction: Array, truth: Array, mask: Mask, *, data_range: float = 1.0) -> Score:
    """Structural similarity (Wang et al. 2004), Gaussian window of 11 x 11 pixels and sigma 1.5; 1 is ideal.

    Args:
        prediction: (..., h, w), as ``truth``.
        truth: the reference.
        mask: (h, w) or of the arrays' shape, True = usable.
        data_range: L of the constants (0.01 L)^2 and (0.03 L)^2. Reflectance seldom fills 1: scores are near 1 and
            only comparable at the same range.

    Returns:
        The score; n counts windows.
    """
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    return _similarity(prediction, truth, mask, taps / taps.sum(), (0.01 * data_range) ** 2, (0.03 * data_range) ** 2)


def uiqi(prediction: Array, truth: Array, mask: Mask, *, window: int = 8) -> Score:
    """Universal image quality index Q (Wang & Bovik 2002) in every square of ``window`` pixels; 1 is ideal.

    Where both images are flat Q is its luminance term alone, as in the authors' code; where both means are 0 that term
    is 1. n counts windows.
    """
    return _similarity(prediction, truth, mask, np.full(window, 1 / window), 0.0, 0.0)


def _similarity(prediction: Array, truth: Array, mask: Mask, taps: Values, c1: float, c2: float) -> Score:
    usable = usable_where(mask, prediction, truth)
    if min(usable.shape[-2:]) < taps.size:
        return NOTHING
    whole = _weigh(usable.astype(np.float64), np.ones(taps.size)) > taps.size**2 - 0.5
    x, y = (np.where(usable, a, 0).astype(np.float64) for a in (prediction, truth))
    xx, yy, xy = (_weigh(product, taps)[whole] for product in (x * x, y * y, x * y))
    x, y = (_weigh(a, taps)[whole] for a in (x, y))
    level, variance = x * x + y * y, xx - x * x + yy - y * y
    variance[variance <= _FLAT * level] = 0
    luminance = divide(2 * x * y + c1, level + c1, otherwise=1)
    structure = divide(2 * (xy - x * y) + c2, variance + c2, otherwise=1)
    return mean_of(luminance * structure)


def _weigh(image: Values, taps: Values) -> Values:
    """Weighted sum over every window inside the image: (..., h, w) -> (..., h - k + 1, w - k + 1)."""
    for axis in (-2, -1):
        image = sliding_window_view(image, taps.size, axis=axis) @ taps
    return image
