"""Shift between two images of one grid, to a few hundredths of a pixel, or the reason why there is none. Pure numpy.

Whole pixels are found by masked normalised cross-correlation (Padfield 2012, IEEE Trans. Image Process. 21, 2706-2718),
fractions by robust Gauss-Newton steps (Lucas & Kanade 1981). Gaussian means of both images are compared; the Gaussian,
taken at the shifted positions, is the interpolator. A short kernel smooths more between pixels than on them, which
biases a shift towards whole pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Array, Float, Mask, Values, dilate
from l8s2.optics import resample, sampling_matrix

SEARCH = 6
"""Pixels to each side that the search covers: twice the largest shift expected."""
ENOUGH = 400
"""Fewest pixels that must be known in both images."""
LEAST_CORRELATION = 0.3
"""Lowest correlation of the fine structure. Windows of different sites reached 0.26, those of one site three months
apart 0.35 and more."""
LARGEST_ERROR = 0.2
"""Largest standard error along an axis, pixels. Windows of different sites had 0.23 and more, those of one site 0.12
and less."""
RIVAL = 0.8
"""Height of a second peak, relative to the highest, above which the texture is taken to repeat itself."""

_CHANCE = 8.0
"""Correlation of unrelated images at the best of all shifts, times the root of the pixels, is hardly ever more."""
_SMOOTH, _WIDE = 0.9, 3.0
"""Gaussian sigmas that bound the structure compared, pixels: finer structure differs between sensors, coarser between
illumination."""
_PEAK = 2
"""Pixels around a peak that belong to it."""
_CAPTURE = 1.5
"""Pixels from the whole-pixel peak within which the fraction must lie."""
_STEPS, _SETTLED, _RESTLESS = 30, 1e-3, 0.02
"""Most steps; size of a step, pixels, that ends them; size of the last step above which no shift is returned."""
_TAIL = 2.4
"""Scale, in robust standard deviations, of the Cauchy weights of residuals (95 % efficient on normal noise)."""
_BLOCK = 8
"""Pixels to a side of the blocks whose errors count as independent: structure below ``_WIDE`` reaches no further."""


@dataclass(frozen=True, kw_only=True)
class Shift:
    """Position of the content of the second image relative to the first, in pixels of their grid."""

    down: float
    """Pixels; NaN if no shift could be found, as every number but ``pixels``."""
    right: float
    down_error: float
    """Standard error, pixels, from noise and changed ground, spatial correlation included."""
    right_error: float
    correlation: float
    """Pearson correlation of the fine structure after the shift is taken out, -1 .. 1, mean over bands."""
    pixels: int
    """Pixels compared."""
    reason: str = ""
    """Reason why no shift could be found; empty if one was."""


def measure_shift(reference: Float, image: Float, usable: Mask | None = None) -> Shift:
    """Measure the shift for which ``image(position + shift)`` fits ``reference(position)`` best.

    Gain and offset of each band are free.

    Args:
        reference: (h, w) or (bands, h, w), NaN is missing; a pixel missing in one band counts as missing in all.
        image: likewise, of the same shape; it may have holes of its own.
        usable: (h, w) bool, True = may be compared, for both images alike; None compares every known pixel.

    Returns:
        The shift, less than SEARCH pixels along both axes; or one with the reason why none could be found: too few
        pixels known in both images, no contrast, no similarity, texture that repeats itself or runs along one line,
        best fit beyond the search.

    Raises:
        ValueError: for images of two shapes.
    """
    a, b = (np.reshape(x, (-1, *x.shape[-2:])) for x in (reference, image))
    if a.shape != b.shape:
        raise ValueError(f"images of shapes {reference.shape} and {image.shape}; they must be of one shape")
    allowed = np.ones(a.shape[1:], np.bool_) if usable is None else usable
    seen_a, seen_b = np.isfinite(a).all(0) & allowed, np.isfinite(b).all(0) & allowed
    known_a, known_b = _erode(seen_a, 1), _erode(seen_b, 2)
    if min(known_a.sum(), known_b.sum()) < ENOUGH:
        return _nothing(int((known_a & known_b).sum()), _TOO_FEW)
    smooth_a, smooth_b = _mean(a, seen_a, _SMOOTH), _mean(b, seen_b, _SMOOTH)
    fine_a, fine_b = _fine(smooth_a, known_a), _fine(smooth_b, known_b)
    clear = np.minimum(fine_a[:, known_a].std(1), fine_b[:, known_b].std(1)) > 1e-5
    if not clear.any():
        return _nothing(int((known_a & known_b).sum()), "no contrast")
    heights = _correlations(fine_a[clear], fine_b[clear], known_a, known_b)
    row, column = np.unravel_index(heights.argmax(), heights.shape)
    peak = int(row) - SEARCH, int(column) - SEARCH
    common = known_a & _shift_mask(known_b, *peak)
    pixels = int(common.sum())
    if pixels < ENOUGH:
        return _nothing(pixels, _TOO_FEW)
    if max(abs(p) for p in peak) == SEARCH:
        return _nothing(pixels, f"the best fit lies {SEARCH} pixels away or more")
    rows, columns = np.indices(heights.shape)
    rival = heights[np.maximum(abs(rows - row), abs(columns - column)) > _PEAK].max() / heights.max()
    found = _refine(smooth_a[clear], b[clear], seen_b, common, peak)
    if found is None:
        return _nothing(pixels, "no single best fit")
    if found.correlation < max(LEAST_CORRELATION, _CHANCE / math.sqrt(pixels)):
        return _nothing(pixels, f"the images do not look alike (correlation {found.correlation:.2f})")
    if rival > RIVAL:
        return _nothing(pixels, f"the texture repeats itself (another peak of {rival:.0%})")
    if not (error := max(found.down_error, found.right_error)) <= LARGEST_ERROR:
        return _nothing(pixels, f"a standard error of {error:.2f} pixels")
    return found


_TOO_FEW = f"fewer than {ENOUGH} pixels are seen in both images"


def _nothing(pixels: int, reason: str) -> Shift:
    unknown = dict.fromkeys(("down", "right", "down_error", "right_error", "correlation"), float("nan"))
    return Shift(**unknown, pixels=pixels, reason=reason)


def _correlations(a: Array, b: Array, known_a: Mask, known_b: Mask) -> Values:
    """Return the correlation of ``a(x)`` with ``b(x + d)`` over pixels known in both, mean over bands.

    (2 SEARCH + 1, 2 SEARCH + 1), d from -SEARCH to SEARCH; -1 where few pixels are known. Outliers, such as a cloud
    without a mask, are clipped.
    """
    size = [n + SEARCH for n in known_a.shape]
    at = np.arange(-SEARCH, SEARCH + 1)

    def transform(x: NDArray[np.generic]) -> NDArray[np.complex128]:
        return np.fft.rfft2(x.astype(np.float64), size)

    def product(x: NDArray[np.complex128], y: NDArray[np.complex128]) -> Values:
        result: Values = np.fft.irfft2(np.conj(x) * y, size)[..., at[:, None], at]
        return result

    a, b = (np.clip(x / (4 * _spread(x[:, m])[:, None, None]), -1, 1) for x, m in ((a, known_a), (b, known_b)))
    ones_a, ones_b, of_a, of_b = (transform(x) for x in (known_a, known_b, a, b))
    count = np.maximum(product(ones_a, ones_b), 1)
    sum_a, sum_b = product(of_a, ones_b), product(ones_a, of_b)
    variance_a = product(transform(a * a), ones_b) - sum_a**2 / count
    variance_b = product(ones_a, transform(b * b)) - sum_b**2 / count
    covariance = product(of_a, of_b) - sum_a * sum_b / count
    height = (covariance / np.sqrt(np.maximum(variance_a * variance_b, 1e-12))).mean(0)
    return np.where(count < count.max() / 2, -1.0, height)


def _refine(smooth: Array, image: Array, seen: Mask, common: Mask, peak: tuple[int, int]) -> Shift | None:
    """Refine a whole-pixel shift by robust least squares: one shift for all bands, a gain and an offset for each.

    Args:
        smooth: (bands, h, w) Gaussian means of the reference.
        image: (bands, h, w).
        seen: (h, w) bool, True = known in ``image``.
        common: (h, w) bool, True = compared.
        peak: whole pixels down and right to start from.
    """
    target = _fine(smooth, common)[:, common].astype(np.float64)
    weights = np.ones_like(target)
    down, right = map(float, peak)
    for _ in range(_STEPS):
        shifted = (_fine(x, common)[:, common] for x in _mean_and_slopes(image, seen, down, right))
        columns = np.stack([target, *shifted])  # (4, bands, pixels)
        columns -= (weights * columns).sum(-1, keepdims=True) / weights.sum(-1, keepdims=True)
        gains = (weights * columns * columns[1]).sum(-1) / (weights * columns[1] ** 2).sum(-1)
        residual, _, *slopes = columns - gains[..., None] * columns[1]  # what gain and offset cannot explain
        noise = _spread(residual)[:, None]
        pull = np.stack(slopes) * gains[0][:, None] / noise
        score = pull * weights * residual / noise
        normal = np.einsum("ibn,bn,jbn->ij", pull, weights, pull)
        if not np.linalg.cond(normal) < 1e6:
            return None
        step = np.clip(np.linalg.solve(normal, score.sum((1, 2))), -0.5, 0.5)
        down, right = down + float(step[0]), right + float(step[1])
        if max(abs(down - peak[0]), abs(right - peak[1])) > _CAPTURE:
            return None
        outlying = (residual / (_TAIL * noise)) ** 2
        weights = 1 / (1 + outlying)
        if np.abs(step).max() < _SETTLED:
            break
    if np.abs(step).max() > _RESTLESS:
        return None
    # the covariance of an M-estimate (Huber 1967) whose errors may be correlated within blocks (Liang & Zeger 1986)
    down_block, right_block = (x // _BLOCK for x in np.nonzero(common))
    _, block = np.unique(down_block * common.shape[1] + right_block, return_inverse=True)
    sums = np.stack([np.bincount(block, s) for s in score.sum(1)])
    inverse = np.linalg.inv(np.einsum("ibn,bn,jbn->ij", pull, (1 - outlying) * weights**2, pull))
    variance = np.diag(inverse @ (sums @ sums.T) @ inverse) * sums.shape[1] / max(sums.shape[1] - 2, 1)
    return Shift(
        down=down,
        right=right,
        down_error=float(np.sqrt(variance[0])),
        right_error=float(np.sqrt(variance[1])),
        correlation=float(np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(target, columns[1], strict=True)])),
        pixels=int(common.sum()),
    )


def _mean_and_slopes(image: Array, seen: Mask, down: float, right: float) -> tuple[Array, Array, Array]:
    """Return the Gaussian mean around (row + down, column + right), and its derivatives by ``down`` and ``right``."""
    rows, columns = (np.arange(n) + s for n, s in zip(seen.shape, (down, right), strict=True))
    (of_rows, by_row), (of_columns, by_column) = (
        (sampling_matrix(len(at), at, _SMOOTH), _slope_matrix(len(at), at)) for at in (rows, columns)
    )
    values, weight = np.where(seen, image, np.float32(0)), seen.astype(np.float32)
    total = np.maximum(of_rows @ weight @ of_columns.T, np.float32(1e-3))
    mean: Array = of_rows @ values @ of_columns.T / total
    by_down: Array = (by_row @ values @ of_columns.T - mean * (by_row @ weight @ of_columns.T)) / total
    by_right: Array = (of_rows @ values @ by_column.T - mean * (of_rows @ weight @ by_column.T)) / total
    return mean, by_down, by_right


def _slope_matrix(size: int, at: Values) -> Float:
    """Return the derivative of ``sampling_matrix`` by position, per pixel."""
    return 2 * (sampling_matrix(size, at + 0.25, _SMOOTH) - sampling_matrix(size, at - 0.25, _SMOOTH))


def _mean(image: Array, seen: Mask, sigma: float) -> Array:
    """Return the Gaussian mean of known pixels by normalised convolution (Knutsson & Westin 1993)."""
    rows, columns = (np.arange(n) for n in seen.shape)
    total = resample(np.where(seen, image, np.float32(0)), rows, columns, sigma)
    weight = resample(seen.astype(np.float32), rows, columns, sigma)
    return total / np.maximum(weight, np.float32(1e-3))


def _fine(image: Array, known: Mask) -> Array:
    """Return the image minus the Gaussian mean of its surroundings; 0 where not known.

    With one mask for both, gain and offset between two images stay as they are.
    """
    return np.where(known, image - _mean(image, known, _WIDE), np.float32(0))


def _spread(values: Array) -> Values:
    """Return the robust standard deviation along the last axis, above 0."""
    return np.asarray(1.4826 * np.median(np.abs(values), axis=-1) + 1e-9, np.float64)


def _erode(seen: Mask, margin: int) -> Mask:
    """Erode ``seen`` by ``margin`` pixels; the outside counts as unknown."""
    return ~dilate(~np.pad(seen, margin), margin)[margin:-margin, margin:-margin]


def _shift_mask(mask: Mask, down: int, right: int) -> Mask:
    """Return ``mask(position + shift)``, at most SEARCH pixels; False outside."""
    wide = np.pad(mask, SEARCH)
    return wide[SEARCH + down :, SEARCH + right :][: mask.shape[0], : mask.shape[1]]
