"""Blur and sampling in one linear operator per axis, exact in phase.

A sensor of Gaussian point spread function that samples a band-limited image at arbitrary positions is a
matrix per axis: ``rows @ image @ columns.T``. The image is separable, so nothing is ever resampled twice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Float

_FREQUENCIES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_FREQUENCIES, _WEIGHTS = _FREQUENCIES / 2, _WEIGHTS / 2  # cycles per pixel, [-0.5, 0.5]

REACH = 16
"""Pixels to each side of a position that have a weight where nothing is blurred."""
_GAUSSIAN = 0.9
"""Sigma in pixels from which the band limit of the input no longer shows."""


def sampling_matrix(size: int, positions: NDArray[np.number], sigma: float) -> Float:
    """Weights that blur a row of ``size`` pixels with a Gaussian and sample it at ``positions``.

    The kernel is the inverse Fourier transform of ``exp(-2 pi^2 sigma^2 f^2)`` on the band of the input,
    |f| <= 0.5 cycles per pixel, under a Hann window: a Gaussian for sigma >= 0.9 pixel, a windowed sinc
    for sigma = 0, and the modulation transfer function asked for in between.

    Args:
        size: pixels of the input row.
        positions: (n,) in pixels of the input, pixel centres at integers 0 .. size - 1.
        sigma: standard deviation of the point spread function in pixels of the input, >= 0.

    Returns:
        (n, size) float32; every row sums to 1. Beyond the ends the edge pixel repeats.
    """
    if sigma < 0:
        raise ValueError(f"sigma={sigma} is negative; a point spread function has sigma >= 0")
    positions = np.asarray(positions, dtype=np.float64)
    whole = np.floor(positions).astype(np.int64)
    kernel, taps = _kernels((positions - whole)[:, None], sigma**2)
    rows = np.broadcast_to(np.arange(len(positions))[:, None], kernel.shape)
    matrix = np.zeros((len(positions), size))
    np.add.at(matrix, (rows, np.clip(whole[:, None] + taps, 0, size - 1)), kernel)
    return matrix.astype(np.float32)


def _kernels(phase: NDArray[np.float64], variance: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Weights (n, taps) for ``phase`` (n, 1) in [0, 1) behind pixel 0, and the pixels (taps,) they are of."""
    sigma = np.sqrt(max(variance, 0.0))
    radius = int(np.ceil(5.0 * sigma)) if sigma >= _GAUSSIAN else REACH
    taps = np.arange(1 - radius, radius + 1)
    x = phase - taps
    if sigma >= _GAUSSIAN:  # the band limit is out of reach: the transform is the Gaussian itself
        kernel = np.exp(-0.5 * (x / sigma) ** 2)
    else:
        spectrum = _WEIGHTS * np.exp(-2 * (np.pi * _FREQUENCIES) ** 2 * variance)
        at, of = 2 * np.pi * phase * _FREQUENCIES, 2 * np.pi * taps * _FREQUENCIES[:, None]
        kernel = (spectrum * np.cos(at)) @ np.cos(of) + (spectrum * np.sin(at)) @ np.sin(of)  # cos(at - of)
        kernel *= np.cos(np.pi / 2 * np.clip(x / radius, -1, 1)) ** 2
    kernel /= kernel.sum(axis=1, keepdims=True)
    return kernel, taps


def resample(image: Float, rows: NDArray[np.number], columns: NDArray[np.number], sigma: float) -> Float:
    """Blur ``image`` (..., height, width) with a Gaussian of ``sigma`` pixels and sample it at rows x columns.

    Returns:
        (..., len(rows), len(columns)) float32. NaN must be filled before.
    """
    down = sampling_matrix(image.shape[-2], rows, sigma)
    across = sampling_matrix(image.shape[-1], columns, sigma)
    result: Float = down @ (np.asarray(image, dtype=np.float32) @ across.T)
    return result


def blurred(image: Float, variance: float, shift: tuple[float, float] = (0.0, 0.0)) -> Float:
    """Blur or sharpen ``image`` (..., height, width), seen ``shift`` (down, right) pixels further.

    Args:
        image: without NaN.
        variance: of the Gaussian, square pixels. Negative undoes such a blur as far as the band of the input reaches.
        shift: of the sampling positions, in pixels.

    Returns:
        Of the shape of ``image``, float32.
    """
    whole = [int(np.floor(move)) for move in shift]
    kernels, taps = _kernels(np.array([[move - first] for move, first in zip(shift, whole, strict=True)]), variance)
    down, across = (
        _toeplitz(n, kernel, int(taps[0]) + first)
        for n, kernel, first in zip(image.shape[-2:], kernels, whole, strict=True)
    )
    result: Float = down @ (np.asarray(image, dtype=np.float32) @ across.T)
    return result


def moved(image: Float, shift: tuple[float, float], margin: int) -> Float:
    """Return ``image`` (h + 2 margin, w + 2 margin) seen ``shift`` (down, right) pixels further, (h, w) float32.

    The interpolator is the windowed sinc of ``sampling_matrix``. Products are summed tap by tap, so that a pixel is the
    same number in whatever window it is computed.

    Args:
        image: without NaN.
        shift: of the sampling positions, in pixels.
        margin: at least REACH + |shift|.
    """
    for axis, move in enumerate(shift):
        whole = int(np.floor(move))
        kernels, taps = _kernels(np.array([[move - whole]]), 0.0)
        lines = np.moveaxis(image, axis, 0)
        result = np.zeros((len(lines) - 2 * margin, *lines.shape[1:]), np.float32)
        for weight, tap in zip(kernels[0].astype(np.float32), taps + whole + margin, strict=True):
            result += weight * lines[tap : tap + len(result)]
        image = np.moveaxis(result, 0, axis)
    return image


def _toeplitz(size: int, kernel: NDArray[np.float64], first: int) -> Float:
    """Return (size, size) with ``kernel`` in every row, from ``first`` pixels behind the diagonal.

    Beyond the ends the edge pixel repeats.
    """
    before = max(-first, 0)
    after = max(first + len(kernel) - 1, 0)
    length = size + before + after
    diagonals = np.zeros((size, length + 1), dtype=np.float32)
    diagonals[:, before + first : before + first + len(kernel)] = kernel
    wide = diagonals.reshape(-1)[: size * length].reshape(size, length)  # every row one further to the right
    matrix = wide[:, before : before + size].copy()
    matrix[:, 0] += wide[:, :before].sum(1)
    matrix[:, -1] += wide[:, before + size :].sum(1)
    return matrix
