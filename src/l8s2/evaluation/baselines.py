"""What any product must beat: interpolation of the 30 m bands. Pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

OFFSETS = (-1 / 6, 1 / 6, 1 / 2)
"""Centres of the three 10 m pixels of an MS pixel, in MS pixels from its own centre."""
RADIUS = 2
"""MS pixels to each side that interpolation looks at."""


def bicubic(ms: NDArray[np.floating]) -> NDArray[np.float32]:
    """Cubic convolution (Keys 1981, a = -0.5) of the MS bands onto the 10 m block grid.

    Args:
        ms: (6, h, w) reflectance at 30 m, or any (..., h, w). Beyond the edges the last pixel repeats; NaN spreads.

    Returns:
        (..., 3h, 3w) float32; pixel (3r + i, 3c + j) belongs to MS pixel (r, c).
    """
    return _along_rows(_along_rows(np.asarray(ms, dtype=np.float32)).swapaxes(-1, -2)).swapaxes(-1, -2)


def _along_rows(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., n, m) -> (..., 3n, m)."""
    rows = image.shape[-2]
    padded = np.concatenate([image[..., :1, :]] * RADIUS + [image] + [image[..., -1:, :]] * RADIUS, axis=-2)
    taps = _keys(np.arange(-RADIUS, RADIUS + 1) - np.array(OFFSETS)[:, None]).astype(np.float32)
    fine = np.zeros((*image.shape[:-2], rows, len(OFFSETS), image.shape[-1]), dtype=np.float32)
    for phase, weights in enumerate(taps):
        for tap, weight in enumerate(weights):
            if weight:  # a neighbour out of the kernel's reach must not spread its NaN
                fine[..., phase, :] += weight * padded[..., tap : tap + rows, :]
    return fine.reshape(*image.shape[:-2], len(OFFSETS) * rows, image.shape[-1])


def _keys(x: NDArray[np.floating]) -> NDArray[np.float64]:
    """The cubic convolution kernel at distances ``x``, in MS pixels."""
    x = np.abs(x)
    near = 1 + x**2 * (1.5 * x - 2.5)
    far = 2 + x * (-4 + x * (2.5 - 0.5 * x))
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
