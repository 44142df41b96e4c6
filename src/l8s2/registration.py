"""Measured shift between two images of one grid, to a fraction of a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from l8s2.simulate.optics import resample
from l8s2.tiling import Float, dilate

_SEARCH = 4
"""Pixels to each side that the whole-pixel search covers."""
_STEPS = 12


@dataclass(frozen=True, kw_only=True)
class Shift:
    """Where the content of the second image lies against the first, in pixels of the grid."""

    down: float
    right: float
    correlation: float
    """Pearson correlation after the shift is taken out, -1 .. 1."""
    pixels: int
    """Pixels compared."""


def measure_shift(reference: Float, image: Float, usable: NDArray[np.bool_] | None = None) -> Shift | None:
    """Shift that makes ``image(position + shift)`` fit ``reference(position)`` best, gain and offset being free.

    Whole pixels by correlation of high-passed images, then Gauss-Newton on the sum of squares.

    Args:
        reference, image: (h, w), NaN is missing.
        usable: (h, w) bool, True = may be compared; None compares all that is known.

    Returns None where there is too little to compare (fewer than 400 pixels, or no contrast).
    """
    seen = np.isfinite(reference) & np.isfinite(image)
    seen &= True if usable is None else usable
    known = ~dilate(~seen, 3)
    edge = _SEARCH + 3
    known[:edge] = known[-edge:] = False
    known[:, :edge] = known[:, -edge:] = False
    if known.sum() < 400:
        return None
    a, b = (_high_pass(x, seen) for x in (reference, image))
    if min(a[known].std(), b[known].std()) < 1e-5:
        return None
    best = max(
        ((_correlation(a[known], np.roll(b, (-dy, -dx), (0, 1))[known]), dy, dx)
         for dy in range(-_SEARCH, _SEARCH + 1) for dx in range(-_SEARCH, _SEARCH + 1)),
    )  # fmt: skip
    down, right = float(best[1]), float(best[2])
    for _ in range(_STEPS):
        moved = _moved(b, down, right)
        slope_y, slope_x = (np.gradient(moved, axis=axis)[known] for axis in (0, 1))
        design = np.stack([slope_y, slope_x, moved[known], np.ones(known.sum())], axis=1)
        # a = gain * b(x + shift + d) + offset, linear in (gain * d, gain, offset)
        (dy, dx, gain, _), *_ = np.linalg.lstsq(design, a[known], rcond=None)
        if abs(gain) < 1e-6:
            return None
        step = np.clip((dy / gain, dx / gain), -0.5, 0.5)
        down, right = down + float(step[0]), right + float(step[1])
        if max(abs(down), abs(right)) > edge - 1:
            return None
        if np.abs(step).max() < 1e-4:
            break
    return Shift(
        down=down,
        right=right,
        correlation=_correlation(a[known], _moved(b, down, right)[known]),
        pixels=int(known.sum()),
    )


def _moved(image: Float, down: float, right: float) -> Float:
    """image(position + shift), band-limited."""
    rows, columns = (np.arange(n) + s for n, s in zip(image.shape, (down, right), strict=True))
    return resample(image, rows, columns, 0.0)


def _high_pass(image: Float, seen: NDArray[np.bool_]) -> Float:
    """Minus a Gaussian of three pixels, and lightly smoothed so that gradients are meaningful; 0 where not ``seen``.

    What is not seen weighs nothing: a bright cloud would otherwise reach far beyond its edge.
    """
    rows, columns = (np.arange(n) for n in image.shape)
    values, weight = np.where(seen, image, 0).astype(np.float32), seen.astype(np.float32)
    smooth, wide = (
        resample(values, rows, columns, s) / np.maximum(resample(weight, rows, columns, s), 0.05) for s in (0.6, 3.0)
    )
    return np.where(seen, smooth - wide, np.float32(0))


def _correlation(a: Float, b: Float) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0
