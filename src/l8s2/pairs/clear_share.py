"""How much of a pair of scenes is free of clouds, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import masks
from l8s2.arrays import Mask, dilate
from l8s2.errors import InputError
from l8s2.grid import landsat_convention

CLOUD_MARGIN = 150.0
"""Metres around clouds and their shadows that do not count as clear."""


@dataclass(frozen=True, kw_only=True)
class ClearShare:
    """Clear shares of the MS pixels that both scenes have data for, 0 to 1; None where there are no such pixels."""

    landsat: float | None
    sentinel2: float | None
    both: float | None
    pixels: int
    """MS pixels that both know."""


def clear_share(
    qa_pixel: NDArray[np.unsignedinteger],
    qa_grid: GeoBox,
    scl: NDArray[np.unsignedinteger],
    scl_grid: GeoBox,
    margin: float = CLOUD_MARGIN,
) -> ClearShare:
    """How much of the common ground both scenes see, counted in MS pixels.

    Args:
        qa_pixel: (h, w) Landsat's QA_PIXEL.
        qa_grid: its grid.
        scl: (h, w) Sentinel-2's scene classification, any pixel size.
        scl_grid: its grid, in the same UTM zone.
        margin: metres by which clouds and shadows are widened.

    Raises InputError for arrays that do not fit their grids, and for grids of two zones.
    """
    qa_grid, scl_grid = landsat_convention(qa_grid), landsat_convention(scl_grid)
    for name, array, grid in (("QA_PIXEL", qa_pixel, qa_grid), ("SCL", scl, scl_grid)):
        if array.shape != grid.shape:
            raise InputError(
                f"{name} has {array.shape} pixels, its grid {tuple(grid.shape)}; give the grid it was read on"
            )
    if qa_grid.crs != scl_grid.crs:
        raise InputError(f"QA_PIXEL is in {qa_grid.crs}, SCL in {scl_grid.crs}; masks are compared within one UTM zone")
    known, clear = seen(masks.from_qa_pixel(qa_pixel), qa_grid.affine.a, margin)
    s2_known, s2_clear = seen(masks.scl_to_bits(scl), scl_grid.affine.a, margin)
    rows, inside_rows = _nearest(qa_grid, scl_grid, 0)
    columns, inside_columns = _nearest(qa_grid, scl_grid, 1)
    at = np.ix_(rows, columns)
    both_known = known & s2_known[at] & inside_rows[:, None] & inside_columns
    pixels = int(both_known.sum())

    def share(mask: Mask) -> float | None:
        return float((mask & both_known).sum() / pixels) if pixels else None

    return ClearShare(
        landsat=share(clear), sentinel2=share(s2_clear[at]), both=share(clear & s2_clear[at]), pixels=pixels
    )


def seen(bits: masks.Bits, gsd: float, margin: float = CLOUD_MARGIN) -> tuple[Mask, Mask]:
    """Where there is data, and where it shows ground that is not within ``margin`` metres of a cloud or shadow.

    Args:
        bits: (h, w) of ``masks.QA_BITS``.
        gsd: metres to a pixel.
        margin: metres by which clouds and shadows are widened.
    """
    known = (bits & masks.flag("fill")) == 0
    hidden = known & ~masks.usable(bits)
    return known, known & ~dilate(hidden, round(margin / gsd))


def _nearest(grid: GeoBox, other: GeoBox, axis: int) -> tuple[NDArray[np.intp], Mask]:
    """Rows (axis 0) or columns of ``other`` that hold the pixel centres of ``grid``, and which of them there are."""
    (start, step), (first, size) = (((g.affine.f, g.affine.e), (g.affine.c, g.affine.a))[axis] for g in (grid, other))
    at = np.floor((start + step * (np.arange(grid.shape[axis]) + 0.5) - first) / size).astype(np.intp)
    inside = (at >= 0) & (at < other.shape[axis])
    return np.where(inside, at, 0), inside
