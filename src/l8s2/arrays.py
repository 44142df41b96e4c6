"""Array types, windows, and the filling of missing pixels. Pure.

Tiling leaves no trace because a network reads every tile with a margin as wide as its receptive field, and because
missing pixels are filled by a rule of finite reach: what a pixel becomes never depends on where a tile ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

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
    band = np.ascontiguousarray(band)  # below, pixels are counted row by row
    known = ~np.isnan(band)
    if known.all():
        return band
    result = np.where(known, band, np.float32(0))
    unknown = ~known
    ring = np.flatnonzero(dilate(known, 1) & unknown)
    values, width = np.pad(result, 1), band.shape[1] + 2  # zeros beyond the edge, which no ring reaches
    known, unknown = np.pad(known, 1), np.pad(unknown, 1)
    ring = ring // band.shape[1] * width + ring % band.shape[1] + width + 1
    for _ in range(FILL_REACH):
        if not ring.size:
            break
        values.ravel()[ring] = _sum_of_neighbours(values, ring) / _sum_of_neighbours(known, ring)
        known.ravel()[ring] = True
        unknown.ravel()[ring] = False
        around = (ring[:, None] + [i * width + j for i in (-1, 0, 1) for j in (-1, 0, 1)]).ravel()
        ring = np.unique(around[unknown.ravel()[around]])
    values[unknown] = FILL_VALUE
    return values[1:-1, 1:-1]


def _sum_of_neighbours(x: NDArray[Any], at: NDArray[np.intp]) -> Float:
    """Return the sums over 3 x 3 pixels of an image around those at flat indices ``at``."""
    flat, width = x.ravel(), x.shape[1]
    left, middle, right = (
        sum((flat[at + i * width + j].astype(np.float32) for i in (0, 1)), flat[at - width + j].astype(np.float32))
        for j in (-1, 0, 1)
    )
    return np.asarray(left + middle + right)


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
