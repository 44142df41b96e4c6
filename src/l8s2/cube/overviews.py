"""Overviews of an observation: each layer with half the pixels to a side, again and again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from l8s2.arrays import windows
from l8s2.cog.reduce import average, mode
from l8s2.cube.layout import CHUNK, OVERVIEW_LAYERS
from l8s2.radiometry import NODATA


def write_overviews(group: Any, index: int, names: Iterable[str]) -> None:
    """Fill the overviews of an observation from its layers, each from the next finer one, chunk by chunk.

    Reflectance is the mean of the known of 2 x 2 pixels, ``qa`` the commonest of their values, as in the rasters of a
    product.

    Args:
        group: Zarr group of a cube.
        index: of the observation along time.
        names: groups in it, from fine to coarse.
    """
    finer = group
    for coarser in (group[name] for name in names):
        for layer in OVERVIEW_LAYERS:
            for rows, columns in windows(coarser[layer].shape[1:], CHUNK):
                four = slice(2 * rows.start, 2 * rows.stop), slice(2 * columns.start, 2 * columns.stop)
                samples = finer[layer][index, *four][None]
                small = mode(samples) if layer == "qa" else average(samples, NODATA)
                coarser[layer][index, rows, columns] = small[0]
        finer = coarser
