"""Ringing around extreme pixels and edges, taken out of what a network predicts. Pure numpy."""

from __future__ import annotations

import numpy as np

from l8s2.arrays import Float, enlarge
from l8s2.grid import BLOCK
from l8s2.sensors import BANDS

CONTRAST = 0.4
"""Reflectance between the darkest and the brightest pixel around, from which a network's answer is limited."""
IMPOSSIBLE = -0.05
"""Reflectance below which a pixel is an error, around which the answer is limited."""
REACH = 5
"""MS pixels to each side that count as around: the interpolation of the compact networks sees so far."""
FLAT = 0.25
"""Share of that contrast among 3 x 3 MS pixels from which they hold the edge itself, whose sharpening is wanted."""
ALLOWED = 0.02
"""Share of the contrast by which the answer may leave the range of the input."""


def limit_ringing(mean: Float, ms: Float, margin: int) -> Float:
    """Return ``mean`` without what interpolation adds around snow, glint, saturation and dead pixels.

    Where the contrast around an MS pixel is extreme, its 10 m pixels are kept to what the 3 x 3 MS pixels around have,
    as Landsat and as Sentinel-2 sees it, and ALLOWED of the contrast more. Everything else stays as it is, bit for bit.

    Args:
        mean: (6, 3h, 3w) reflectance, NaN where missing.
        ms: (6, h + 2 margin, w + 2 margin) the input, NaN where missing.
        margin: MS pixels of ``ms`` around ``mean``.
    """
    result = mean
    for i, (band, seen) in enumerate(zip(BANDS, ms, strict=True)):
        known = seen[np.isfinite(seen)]
        if not known.size or (np.ptp(known) <= CONTRAST and known.min() >= IMPOSSIBLE):
            continue
        a, b = band.band_pass["S2A"]
        low, high = (_extremes(seen, REACH, margin, of) for of in (np.fmin, np.fmax))
        near_low, near_high = (_extremes(seen, 1, margin, of) for of in (np.fmin, np.fmax))
        contrast = high - low
        extreme = ((contrast > CONTRAST) | (low < IMPOSSIBLE)) & (near_high - near_low < FLAT * contrast)
        if not extreme.any():
            continue
        there = np.nonzero(extreme)
        rows, columns = (slice(int(x.min()), int(x.max()) + 1) for x in there)
        spare = np.float32(ALLOWED) * contrast
        low = np.where(extreme, np.fmin(near_low, (near_low - b) / a) - spare, -np.inf).astype(np.float32)
        high = np.where(extreme, np.fmax(near_high, (near_high - b) / a) + spare, np.inf).astype(np.float32)
        down, across = (slice(BLOCK * s.start, BLOCK * s.stop) for s in (rows, columns))
        if result is mean:
            result = mean.copy()
        result[i, down, across] = np.clip(
            result[i, down, across], enlarge(low[rows, columns]), enlarge(high[rows, columns])
        )
    return result


def _extremes(image: Float, radius: int, margin: int, of: np.ufunc) -> Float:
    """Return the smallest or largest of the known pixels within ``radius`` rows and columns, without the margin.

    A margin smaller than ``radius`` is all that is looked at.
    """
    radius = min(radius, margin)
    height, width = (n - 2 * margin for n in image.shape)
    shifts = range(margin - radius, margin + radius + 1)
    rows = of.reduce([image[shift : shift + height] for shift in shifts])
    found: Float = of.reduce([rows[:, shift : shift + width] for shift in shifts])
    return found
