"""Fine detail: its amount, its correctness, and up to which spatial frequency. Pure functions.

Masks are True = usable; values that are not finite never count.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Array, Mask, Values
from l8s2.metrics.scores import Score, divide, mean_of, usable_where
from l8s2.optics import resample
from l8s2.sensors import MS_GSD, OUTPUT_GSD

HIGH_PASS_SIGMA = float(MS_GSD)
"""Standard deviation, metres, of the Gaussian whose residual is fine detail: half the amplitude at a period of 160 m,
all of it below 60 m."""

RING = 0.02
"""Least width of a ring of spatial frequencies, cycles per pixel."""

_ROUNDING = 1e-6
"""Rounding error of single precision in a high-pass, relative to the level of the image."""


class FourierCurves(NamedTuple):
    """Two images compared at each spatial frequency."""

    frequency: Values
    """(rings,) centre of each ring, cycles per pixel, up to 0.5."""
    correlation: Values
    """(rings,) Fourier ring correlation; 1 where all detail is right, NaN where an image has none."""
    amplitude_ratio: Values
    """(rings,) square root of the energy of the prediction divided by that of the truth; below 1 is too smooth."""
    n: NDArray[np.int64]
    """(rings,) number of Fourier coefficients behind each value; each is counted with its complex conjugate."""
    resolution: float
    """Cycles per pixel at which the correlation first falls below 0.5, linear between rings and from 1 at frequency 0;
    0.5 where it never does, NaN where there is no curve."""
    rectangle: tuple[slice, slice]
    """Rows and columns of the image that were compared."""


def high_pass(image: Array, mask: Mask, *, gsd: float) -> Values:
    """Return the image minus its Gaussian mean of HIGH_PASS_SIGMA.

    Args:
        image: (..., h, w).
        mask: (h, w) or of the image's shape, True = usable; the mean is over usable pixels only.
        gsd: pixel size, metres.

    Returns:
        (..., h, w); NaN where not usable.
    """
    usable = usable_where(mask, image)
    rows, columns = (np.arange(n) for n in image.shape[-2:])
    total, weight = (
        resample(np.where(usable, x, 0).astype(np.float32), rows, columns, HIGH_PASS_SIGMA / gsd).astype(np.float64)
        for x in (image, usable)
    )
    left: Values = np.where(usable, image, np.nan) - divide(total, weight, otherwise=float("nan"))
    return left


def detail_energy_ratio(prediction: Array, truth: Array, mask: Mask, *, gsd: float = OUTPUT_GSD) -> Score:
    """Return the mean square of the prediction's high-pass divided by that of the truth; below 1 is too smooth.

    Args:
        prediction: (..., h, w), as ``truth``; all bands together.
        truth: the reference; if it has no detail the score is NaN.
        mask: (h, w) or of the arrays' shape, True = usable.
        gsd: pixel size, metres.

    Returns:
        The score; n counts values.
    """
    usable = usable_where(mask, prediction, truth)
    ours, true = (mean_of(high_pass(image, usable, gsd=gsd)[usable] ** 2) for image in (prediction, truth))
    rounding = _ROUNDING**2 * mean_of(truth[usable].astype(np.float64) ** 2).value
    return Score(ours.value / true.value if true.value > rounding else float("nan"), true.n)


def fourier_curves(prediction: Array, truth: Array, mask: Mask) -> FourierCurves:
    """Return Fourier ring correlation (Saxton & Baumeister 1982) and ratio of amplitudes by spatial frequency.

    Compares the largest rectangle without an unusable pixel, minus its mean, under a Hann window. Rings are RING wide,
    or as wide as one cycle over the shorter side of the rectangle if that is more; ring k is centred on k widths.

    Args:
        prediction: (h, w), as ``truth``.
        truth: one band.
        mask: (h, w), True = usable.

    Returns:
        The curves; without rings where no rectangle of 2 x 2 is usable.
    """
    if prediction.ndim != 2:
        raise ValueError(f"prediction has shape {prediction.shape}; it must be (h, w), one band")
    rectangle = largest_rectangle(usable_where(mask, prediction, truth))
    size = tuple(s.stop - s.start for s in rectangle)
    if min(size) < 2:
        empty = np.zeros(0)
        return FourierCurves(empty, empty, empty, np.zeros(0, dtype=np.int64), float("nan"), rectangle)
    width = max(1 / min(size), RING)
    down, right = (np.fft.fftfreq(n) for n in size)
    ring = (np.hypot(down[:, None], right) / width + 0.5).astype(np.int64).ravel()
    rings = int(0.5 / width + 1e-9) + 1
    inside = ring < rings

    def sums(x: Values) -> Values:
        return np.bincount(ring[inside], x.ravel()[inside], rings)[1:].astype(np.float64)

    f, g = (_spectrum(image[rectangle].astype(np.float64)) for image in (prediction, truth))
    energy_f, energy_g, common = sums(np.abs(f) ** 2), sums(np.abs(g) ** 2), sums((f * g.conj()).real)
    frequency = np.arange(1, rings) * width
    correlation = divide(common, np.sqrt(energy_f) * np.sqrt(energy_g), otherwise=float("nan"))
    return FourierCurves(
        frequency=frequency,
        correlation=correlation,
        amplitude_ratio=np.sqrt(divide(energy_f, energy_g, otherwise=float("nan"))),
        n=sums(np.ones(size)).astype(np.int64),
        resolution=_resolution(frequency, correlation),
        rectangle=rectangle,
    )


def largest_rectangle(usable: Mask) -> tuple[slice, slice]:
    """Return rows and columns of the largest rectangle of True in ``usable`` (h, w), the uppermost of several.

    It is empty if no pixel is usable.
    """
    width = usable.shape[1]
    column = np.arange(width)
    height, left, right = np.zeros(width, int), np.zeros(width, int), np.full(width, width)
    best, found = 0, (slice(0, 0), slice(0, 0))
    for row, line in enumerate(usable):  # for each column the widest rectangle as high as the run of True above it
        height = np.where(line, height + 1, 0)
        start = np.maximum.accumulate(np.where(line, 0, column + 1))
        stop = np.minimum.accumulate(np.where(line, width, column)[::-1])[::-1]
        left = np.where(line, np.maximum(left, start), 0)
        right = np.where(line, np.minimum(right, stop), width)
        area = height * (right - left)
        at = int(area.argmax()) if width else 0
        if width and area[at] > best:
            best = int(area[at])
            found = slice(row + 1 - int(height[at]), row + 1), slice(int(left[at]), int(right[at]))
    return found


def _spectrum(image: Values) -> NDArray[np.complex128]:
    hann_down, hann_right = (np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in image.shape)
    if np.ptp(image) == 0:
        return np.zeros(image.shape, dtype=np.complex128)
    return np.fft.fft2((image - image.mean()) * hann_down[:, None] * hann_right)


def _resolution(frequency: Values, correlation: Values) -> float:
    known = np.isfinite(correlation)
    if not known.any():
        return float("nan")
    f, c = np.append(0.0, frequency[known]), np.append(1.0, correlation[known])
    below = np.flatnonzero(c < 0.5)
    if not below.size:
        return 0.5
    k = below[0]
    return float(f[k - 1] + (c[k - 1] - 0.5) / (c[k - 1] - c[k]) * (f[k] - f[k - 1]))
