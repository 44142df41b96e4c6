"""Array types, windows, and the filling of missing pixels. Pure.

Tiling leaves no trace because a network reads every tile with a margin as wide as its receptive field, and because
missing pixels are filled by a rule of finite reach: what a pixel becomes never depends on where a tile ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
"""Pixels as they are stored and computed: reflectance or weights, float32; NaN is missing."""
Values = NDArray[np.float64]
"""Numbers that are summed, fitted or measured: statistics, coordinates, coefficients, float64."""
Array = NDArray[np.floating]
"""Input of either precision."""
Mask = NDArray[np.bool_]
"""True = usable, unless its name says otherwise."""

FILL_REACH = 8
"""Pixels by which known values are extended into missing ones; beyond them FILL_VALUE is used."""
FILL_VALUE = 0.1
"""Reflectance of missing pixels far from any known one."""


def windows(shape: tuple[int, int], tile: int) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of the tiles of an image, row by row; those at the far edges may be smaller.

    Raises:
        ValueError: for a tile of less than 1 pixel.
    """
    if tile < 1:
        raise ValueError(f"tile={tile}; it must be at least 1 pixel")
    for row in range(0, shape[0], tile):
        for column in range(0, shape[1], tile):
            yield slice(row, min(row + tile, shape[0])), slice(column, min(column + tile, shape[1]))


def grow(window: slice, margin: int) -> slice:
    """Return the window with ``margin`` more pixels on each side; it may reach beyond the image."""
    return slice(window.start - margin, window.stop + margin)


def fill_missing(values: Float) -> Float:
    """Replace NaN by the mean of known neighbours, ring by ring for FILL_REACH rings, then by FILL_VALUE.

    ``values``: (bands, h, w). Each band is filled on its own. An array without NaN is returned itself, not a copy.
    """
    if not np.isnan(values).any():
        return values
    return np.stack([_fill_band(band) for band in values])


def _fill_band(band: Float) -> Float:
    known = ~np.isnan(band)
    if known.all():
        return band
    result = np.where(known, band, np.float32(0))
    if known.any():
        for _ in range(FILL_REACH):
            total, count = _sum_of_neighbours(result), _sum_of_neighbours(known.astype(np.float32))
            ring = ~known & (count > 0)
            if not ring.any():
                break
            result[ring] = total[ring] / count[ring]
            known |= ring
    result[~known] = FILL_VALUE
    return result


def _sum_of_neighbours(x: Float) -> Float:
    """Return the sum over 3 x 3 pixels, with zeros beyond the edge."""
    padded = np.pad(x, ((1, 1), (0, 0)))
    x = padded[:-2] + padded[1:-1] + padded[2:]
    padded = np.pad(x, ((0, 0), (1, 1)))
    return padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]


def dilate(mask: Mask, radius: int) -> Mask:
    """Return True wherever a True pixel of ``mask`` (h, w) lies within ``radius`` rows and columns."""
    for axis in (0, 1):
        grown = mask.copy()
        for step in range(1, radius + 1):
            near = [slice(None)] * 2
            far = [slice(None)] * 2
            near[axis], far[axis] = slice(step, None), slice(None, -step)
            grown[tuple(near)] |= mask[tuple(far)]
            grown[tuple(far)] |= mask[tuple(near)]
        mask = grown
    return mask


_Any = TypeVar("_Any", bound=np.generic)


def enlarge(block: NDArray[_Any], factor: int = 3) -> NDArray[_Any]:
    """Give every 10 m pixel the value of the MS pixel that owns it: (..., h, w) -> (..., 3h, 3w)."""
    return block.repeat(factor, axis=-2).repeat(factor, axis=-1)
