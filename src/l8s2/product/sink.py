"""The interface that takes the tiles of a product, and messages for a disk that refuses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Float
from l8s2.errors import InputError


class Stored(NamedTuple):
    """A window as an earlier run has left it."""

    mean: Float
    """(6, h, w) reflectance, NaN = nodata."""
    qa: NDArray[np.uint16]
    """(h, w) bits of ``masks.QA_BITS``."""
    with_sigma: bool
    """Whether the model gives a standard error."""


class TileSink(Protocol):
    """Takes a product window by window, in any order and from several threads."""

    def write(self, rows: slice, columns: slice, mean: Float, sigma: Float | None, qa: NDArray[np.uint16]) -> None:
        """Take reflectance and standard error, both (6, h, w), NaN = nodata, and (h, w) bits of ``masks.QA_BITS``."""

    def stored(self, rows: slice, columns: slice) -> Stored | None:
        """Return a window that an earlier run has left, and that needs no ``write``; None if it is to be made."""

    def write_before(self, rows: slice, columns: slice, rgb: Float) -> None:
        """Take the (3, h, w) red, green and blue reflectance of the input, NaN = nodata, for the preview."""


@contextmanager
def disk_errors_explained(explain: Callable[[str], str]) -> Iterator[None]:
    """Turn what the file system refuses into an InputError; ``explain`` makes its message of the reason."""
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    try:
        yield
    except (OSError, RasterioError, CPLE_BaseError) as error:
        raise InputError(explain(getattr(error, "strerror", None) or "GDAL could not write")) from error
