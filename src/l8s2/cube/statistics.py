"""Means of fields and their standard errors. Pure numpy.

The detail errors of the 10 m pixels under one native pixel (30 m of Landsat) are taken to go together, those under two
native pixels to be independent; the level is the same for all. So with weights w, of blocks b of native pixels,

    variance of the mean = sum_b (sum_{i in b} w_i s_i)^2 / (sum w)^2  +  a^2 + (g mean)^2
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.arrays import Array, Mask, Values
from l8s2.sensors import BAND_NAMES, MS_GSD, OUTPUT_GSD

INDICES = {"ndvi": ("nir08", "red"), "ndwi": ("green", "nir08"), "nbr": ("nir08", "swir22")}
"""Index -> bands a and b of (a - b) / (a + b): Rouse et al. 1974, McFeeters 1996, Key & Benson 2006."""


class Mean(NamedTuple):
    """Of a field at one time: (6,) of each band or a number; NaN where nothing is known."""

    mean: Values
    n_eff: Values
    """Native pixels that would give the same error if all were whole and independent."""
    detail: Values
    """Standard error by the detail."""
    level: Values
    """Standard error by the level."""

    @property
    def sigma(self) -> Values:
        """Standard error of the mean."""
        result: Values = np.hypot(self.detail, self.level)
        return result


def native_blocks(rows: NDArray[np.intp], columns: NDArray[np.intp], box: GeoBox, gsd: int) -> NDArray[np.intp]:
    """Return the number of the native pixel in which each 10 m pixel lies, (n,).

    Args:
        rows: (n,) of the pixels.
        columns: (n,).
        box: their grid, on the 10 m lattice.
        gsd: 30 for the 3 x 3 blocks of Landsat's MS pixels, 10 or 20 for pixels of Sentinel-2.
    """
    a = grid.landsat_convention(box).affine
    shift = (MS_GSD - OUTPUT_GSD) // 2 if gsd == MS_GSD else 0  # a block begins 10 m left of and above its MS centre
    right = (np.rint(a.c).astype(int) + OUTPUT_GSD * columns + shift) // gsd
    down = (OUTPUT_GSD * rows - np.rint(a.f).astype(int) + shift) // gsd
    return np.unique(np.stack([down, right]), axis=1, return_inverse=True)[1].reshape(-1)


def field_mean(
    reflectance: Array, detail: Array, weights: Values, usable: Mask, blocks: NDArray[np.intp], level: Array
) -> Mean:
    """Return the mean of one band over the pixels of a field.

    Args:
        reflectance: (n,).
        detail: (n,) standard error of detail; NaN gives no error of the mean.
        weights: (n,) share of each pixel.
        usable: (n,) True = counts.
        blocks: (n,) number of the native pixel.
        level: (2,) a and g.
    """
    weights = np.where(usable, weights, 0.0)
    total = weights.sum()
    if not total:
        return Mean(*(np.float64(np.nan),) * 4)._replace(n_eff=np.float64(0.0))  # type: ignore[arg-type]
    used = weights > 0
    mean = (weights[used] * reflectance[used]).sum() / total
    shares = np.bincount(blocks, weights)
    errors = np.bincount(blocks[used], weights[used] * detail[used])
    return Mean(
        mean, total**2 / (shares**2).sum(), np.sqrt((errors**2).sum()) / total, np.hypot(level[0], level[1] * mean)
    )


def index_of(name: str, bands: list[Mean]) -> Mean:
    """Return an index of the means of a field, (a - b) / (a + b), errors of the two bands taken as independent.

    ``bands``: the six. NaN where a + b is not above 0.
    """
    a, b = (bands[BAND_NAMES.index(band)] for band in INDICES[name])
    total = a.mean + b.mean
    if not total > 0:
        return Mean(*(np.float64(np.nan),) * 4)._replace(n_eff=np.minimum(a.n_eff, b.n_eff))  # type: ignore[arg-type]
    by_a, by_b = 2 * b.mean / total**2, 2 * a.mean / total**2
    return Mean(
        (a.mean - b.mean) / total,
        np.minimum(a.n_eff, b.n_eff),
        np.hypot(by_a * a.detail, by_b * b.detail),
        np.hypot(by_a * a.level, by_b * b.level),
    )
