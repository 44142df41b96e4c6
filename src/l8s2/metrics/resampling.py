"""Resampling between the 30 m bands, 15 m pan and the 10 m block grid, without any shift. Pure numpy.

From the centre of an MS pixel its 10 m pixels lie at OFFSETS and its two pan samples at 0 and 1/2, in MS pixels. That
repeats every 30 m, so each function here applies a small set of weights. Beyond the edges the last pixel repeats unless
stated otherwise; NaN spreads as far as the weights reach and no further.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Array, Float, Values
from l8s2.grid import BLOCK, output_centres_at_30m
from l8s2.sensors import MS_GSD, OLI, OUTPUT_GSD, PAN_GSD, extra_blur

Value = TypeVar("Value", np.float32, np.float64)

OFFSETS = output_centres_at_30m(BLOCK)
"""(3,) centres of the 10 m pixels of an MS pixel, in MS pixels from its own centre."""
RADIUS = 2
"""Reach of cubic interpolation to each side: MS pixels for the bands, pan pixels for pan."""
BLUR_RADIUS = 3
"""Reach of a blur of pan to each side, pixels of its input."""


def nearest(ms: Array) -> Float:
    """Take the nearest MS pixel; halfway between two, where the third 10 m pixel of each lies, take their mean.

    Either one of the two would shift the image by half a 10 m pixel.

    Args:
        ms: (..., h, w) at 30 m.

    Returns:
        (..., 3h, 3w) float32.
    """
    return filter_both_axes(np.asarray(ms, dtype=np.float32), _NEAREST)


def cubic(ms: Array) -> Float:
    """Interpolate MS pixels onto the 10 m block grid by cubic convolution (Keys 1981, a = -0.5).

    Args:
        ms: (..., h, w) at 30 m.

    Returns:
        (..., 3h, 3w) float32; pixel (3r + i, 3c + j) belongs to MS pixel (r, c).
    """
    return filter_both_axes(np.asarray(ms, dtype=np.float32), _MS_TO_10M)


def pan_at_10m(pan: Array, sigma: float = OLI.pan_psf_sigma) -> Float:
    """Interpolate pan onto the 10 m block grid (Keys 1981, a = -0.5), then blur it to the sharpness of a band.

    Args:
        pan: (2h, 2w) at 15 m.
        sigma: Gaussian standard deviation of the band's point spread function, metres. For a band sharper than pan
            nothing is blurred.

    Returns:
        (3h, 3w) float32.
    """
    fine = filter_both_axes(np.asarray(pan, dtype=np.float32), _PAN_TO_10M, period=2)
    blur = extra_blur(sigma, OLI.pan_psf_sigma)
    return filter_both_axes(fine, _gaussian(blur)) if blur else fine


def pan_at_30m(pan: Array, sigma: float) -> Float:
    """Blur pan to the sharpness of a Landsat band and sample it at the MS centres.

    Beyond the edges pan continues as its own point reflection: a ramp stays a ramp.

    Args:
        pan: (2h, 2w) at 15 m.
        sigma: Gaussian standard deviation of the band's point spread function, metres, above OLI.pan_psf_sigma.

    Returns:
        (h, w) float32.
    """
    blur = extra_blur(sigma, OLI.pan_psf_sigma) * OUTPUT_GSD / PAN_GSD
    wide = np.pad(np.asarray(pan, dtype=np.float32), 4, mode="reflect", reflect_type="odd")
    return filter_both_axes(wide, _gaussian(blur), period=2)[2:-2, 2:-2]


def filter_both_axes(image: NDArray[Value], weights: Values, *, period: int = 1) -> NDArray[Value]:
    """Apply the same filter to rows and columns, with a change of grid.

    Args:
        image: (..., period h, period w).
        weights: (phases, 2 radius + 1); row ``phases k + p`` of the result is the sum of ``weights[p]`` times the rows
            of the image within ``radius`` of row ``period k``, and so for columns.
        period: rows of the image for every ``phases`` rows of the result.

    Returns:
        (..., phases h, phases w) of the image's dtype.
    """
    down = _filter_rows(image, weights, period)
    return _filter_rows(down.swapaxes(-1, -2), weights, period).swapaxes(-1, -2)


def _filter_rows(image: NDArray[Value], weights: Values, period: int) -> NDArray[Value]:
    rows, radius = image.shape[-2] // period, weights.shape[1] // 2
    padded = np.concatenate([image[..., :1, :]] * radius + [image] + [image[..., -1:, :]] * radius, axis=-2)
    result = np.zeros((*image.shape[:-2], rows, len(weights), image.shape[-1]), dtype=image.dtype)
    for phase, taps in enumerate(weights.astype(image.dtype)):
        for tap, weight in enumerate(taps):
            if weight:  # a neighbour out of the kernel's reach must not spread its NaN
                result[..., phase, :] += weight * padded[..., tap : tap + period * rows : period, :]
    return result.reshape(*image.shape[:-2], rows * len(weights), image.shape[-1])


def keys(x: Array) -> Values:
    """Return the cubic convolution kernel (Keys 1981, a = -0.5) at distances ``x``, in pixels of the input."""
    x = np.abs(x)
    near = 1 + x**2 * (1.5 * x - 2.5)
    far = 2 + x * (-4 + x * (2.5 - 0.5 * x))
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _gaussian(sigma: float) -> Values:
    """Return (1, 2 BLUR_RADIUS + 1) weights that sum to 1; ``sigma`` > 0 in pixels of the input."""
    weights = np.exp(-0.5 * (np.arange(-BLUR_RADIUS, BLUR_RADIUS + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum())[None]


_NEIGHBOURS = np.arange(-RADIUS, RADIUS + 1)
_NEAREST = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.5]])
_MS_TO_10M = keys(_NEIGHBOURS - OFFSETS[:, None])
_PAN_TO_10M = keys(_NEIGHBOURS - OFFSETS[:, None] * MS_GSD / PAN_GSD)
