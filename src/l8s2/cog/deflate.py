"""Tiles as they lie in a TIFF file: pixel by pixel, differences along the row (predictor 2), DEFLATE."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l8s2.cog.layout import BLOCK

try:
    from isal import isal_zlib

    compress, LEVEL = isal_zlib.compress, 3  # 5 % slower than level 1, and 3 % smaller
except ImportError:  # a platform without its wheel: the same format, five times slower
    compress, LEVEL = zlib.compress, 1


def compress_tile(samples: NDArray[Any], fill: int) -> bytes:
    """Return the bytes of a tile; ``samples`` (bands, h, w), h and w at most BLOCK, ``fill`` beyond them."""
    bands, height, width = samples.shape
    if (height, width) != (BLOCK, BLOCK):
        padding = (0, 0), (0, BLOCK - height), (0, BLOCK - width)
        samples = np.pad(samples, padding, constant_values=fill)
    pixels = np.empty((BLOCK, BLOCK, bands), samples.dtype.newbyteorder("<"))
    for index, band in enumerate(samples):
        pixels[:, 0, index] = band[:, 0]
        np.subtract(band[:, 1:], band[:, :-1], out=pixels[:, 1:, index])
    data: bytes = compress(pixels.data.cast("B"), LEVEL)
    return data


def decompress_tile(data: bytes, bands: int, dtype: str) -> NDArray[Any]:
    """Return the samples (bands, BLOCK, BLOCK) of a tile."""
    kind = np.dtype(dtype)
    pixels = np.frombuffer(zlib.decompress(data), kind.newbyteorder("<")).reshape(BLOCK, BLOCK, bands)
    return np.ascontiguousarray(np.add.accumulate(pixels, axis=1, dtype=kind).transpose(2, 0, 1))
