"""Four pixels made into one. Pure numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def average(samples: NDArray[np.int16], nodata: int) -> NDArray[np.int16]:
    """Return means of 2 x 2 pixels, (bands, h, w) -> (bands, ceil(h / 2), ceil(w / 2)), rounded half away from zero.

    Pixels equal to ``nodata`` do not count, nor does what an odd image lacks; where none counts the result is
    ``nodata``. The same numbers as GDAL's resampling "average" where h and w are even.
    """
    return np.stack([_average(band, nodata) for band in samples])


def _average(band: NDArray[np.int16], nodata: int) -> NDArray[np.int16]:
    band = _even(band, "constant", constant_values=nodata)
    unknown = band == nodata
    gaps = bool(unknown.any())
    total = _sum(np.where(unknown, np.int16(0), band) if gaps else band, np.int32)
    result = (total + 2 + (total >> 31)) >> 2
    if gaps:
        count = 4 - _sum(unknown.view(np.uint8), np.uint8).astype(np.int32)
        some = np.flatnonzero((count & 3).ravel())  # one, two or three
        value, number = total.ravel()[some], count.ravel()[some]
        result.ravel()[some] = np.sign(value) * ((2 * np.abs(value) + number) // (2 * number))
        result[count == 0] = nodata
    small: NDArray[np.int16] = result.astype(np.int16)
    return small


def _sum(x: NDArray[Any], dtype: type[np.integer[Any]]) -> NDArray[Any]:
    """Return sums of 2 x 2 pixels of an even image."""
    rows = np.add(x[::2], x[1::2], dtype=dtype)
    return np.asarray(rows[:, ::2] + rows[:, 1::2])


def mode(samples: NDArray[Any]) -> NDArray[Any]:
    """Return the most frequent of 2 x 2 pixels, (bands, h, w) -> (bands, ceil(h / 2), ceil(w / 2)).

    Of values that are equally frequent it is the first, row by row, to be so: GDAL's resampling "mode".
    """
    padded = _even(samples, "edge")
    a, b, c, d = (padded[:, i::2, j::2] for i in (0, 1) for j in (0, 1))
    if (a == b).all() and (c == d).all() and (a == c).all():
        return np.ascontiguousarray(a)
    late = np.where(d == b, b, np.where(d == c, c, a))
    return np.where((b == a) | (c == a), a, np.where(c == b, b, late))


def _even(x: NDArray[Any], how: Any, **more: int) -> NDArray[Any]:
    """Return an image (..., h, w) with a row and a column more where their number is odd."""
    height, width = x.shape[-2:]
    if not (height % 2 or width % 2):
        return x
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, height % 2), (0, width % 2)], mode=how, **more)
