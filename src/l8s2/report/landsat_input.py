"""The Landsat scenes that a product was made from, as the pixels of the product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.arrays import Float, Mask, enlarge
from l8s2.landsat.native_pixels import Pixels
from l8s2.landsat.scene import Scene
from l8s2.sensors import N_BANDS

_STRIP = 512
"""MS rows read at a time."""


def joined(images: Sequence[Float]) -> Float:
    """Return images of one ground as one: where several have a value, that of the first."""
    result = images[0]
    for image in images[1:]:
        result = np.where(np.isnan(result), image, result)
    return result


class Before:
    """A scene as the pixels of a product."""

    def __init__(self, scene: Scene, geobox: GeoBox) -> None:
        """``geobox``: the grid of the product."""
        self.scene, self.geobox = scene, geobox
        self._blocks = grid.output_geobox(scene.geobox)
        self.first = _whole_pixels(self._blocks, geobox)
        """Row and column of the product in the block grid of the scene; None where it is on another grid (warped)."""

    def ms_window(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Return the MS pixels that own a window of the product, which is not warped."""
        assert self.first is not None
        top, left = self.first
        return (
            slice((rows.start + top) // grid.BLOCK, -(-(rows.stop + top) // grid.BLOCK)),
            slice((columns.start + left) // grid.BLOCK, -(-(columns.stop + left) // grid.BLOCK)),
        )

    def read(self, rows: slice, columns: slice) -> tuple[Float, Pixels | None]:
        """Read what lies under a window of the product.

        Returns:
            (6, h, w) reflectance of the MS pixel that owns each pixel, NaN where there is none; of a warped product, of
            the nearest. And the MS pixels of ``ms_window``; None of a warped product.
        """
        if self.first is None:
            return self.means(list(range(N_BANDS)), self.geobox[rows, columns]), None
        at = self.ms_window(rows, columns)
        pixels = self.scene.read(*at)
        top, left = (n - grid.BLOCK * s.start for n, s in zip(self.first, at, strict=True))
        fine = enlarge(pixels.ms)[:, rows.start + top : rows.stop + top, columns.start + left : columns.stop + left]
        return fine, pixels

    def means(self, bands: list[int], target: GeoBox) -> Float:
        """Return a few bands on any grid, (len(bands), *shape), NaN where the scene is not.

        MS pixels are averaged as far as the pixels of the grid are larger; they are read strip by strip.
        """
        rows, columns = self._under(target)
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return np.full((len(bands), *target.shape), np.nan, np.float32)
        factor = max(1, min((s.stop - s.start) // n for s, n in zip((rows, columns), target.shape, strict=True)))
        small = (-(-(s.stop - s.start) // factor) for s in (rows, columns))
        means = np.full((len(bands), *small), np.nan, np.float32)
        step = max(1, _STRIP // factor) * factor
        for top in range(rows.start, rows.stop, step):
            strip = slice(top, min(top + step, rows.stop))
            at = (top - rows.start) // factor
            for band, mean in zip(bands, means, strict=True):
                part = _block_means(self.scene.bands[band].read(strip, columns), factor)
                mean[at : at + len(part)] = part
        origin = self._blocks.affine @ Affine.translation(grid.BLOCK * columns.start, grid.BLOCK * rows.start)
        return _nearest(means, origin @ Affine.scale(grid.BLOCK * factor), self._blocks, target)

    def _under(self, target: GeoBox) -> tuple[slice, slice]:
        """Return the MS pixels of the scene in the rectangle around a grid."""
        box = target.boundingbox
        here = box if self._blocks.crs == target.crs else box.to_crs(self._blocks.crs)
        x, y = zip(*(~self._blocks.affine @ (x, y) for x in here[::2] for y in here[1::2]), strict=True)
        if not np.isfinite([*x, *y]).all():
            return slice(0, 0), slice(0, 0)
        rows, columns = (
            slice(max(0, int(min(v)) // grid.BLOCK), min(n, int(max(v)) // grid.BLOCK + 1))
            for v, n in zip((y, x), self.scene.shape, strict=True)
        )
        return rows, columns


def _whole_pixels(blocks: GeoBox, geobox: GeoBox) -> tuple[int, int] | None:
    a, b = blocks.affine, geobox.affine
    if blocks.crs != geobox.crs or (a.a, a.b, a.d, a.e) != (b.a, b.b, b.d, b.e):
        return None
    column, row = ~a @ (b.c, b.f)
    whole = round(row), round(column)
    return whole if max(abs(row - whole[0]), abs(column - whole[1])) < grid.TOLERANCE else None


def _block_means(band: Float, factor: int) -> Float:
    """Return means of the known pixels of squares of ``factor``, NaN where none is known; the last may be smaller."""
    known: Mask = np.isfinite(band)
    rows, columns = (np.arange(0, n, factor) for n in band.shape)

    def total(values: Float) -> Float:
        return np.asarray(np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1))

    count = total(known.astype(np.float32))
    return np.where(count > 0, total(np.where(known, band, np.float32(0))) / np.maximum(count, 1), np.float32(np.nan))


def _nearest(values: Float, affine: Affine, of: GeoBox, target: GeoBox) -> Float:
    """Return (bands, h, w) values, with their ``affine`` in the CRS of ``of``, as the nearest ones on ``target``."""
    from rasterio.warp import Resampling, reproject

    result = np.full((len(values), *target.shape), np.nan, np.float32)
    reproject(
        np.ascontiguousarray(values), result, src_transform=affine, src_crs=str(of.crs), src_nodata=np.nan,
        dst_transform=target.affine, dst_crs=str(target.crs), dst_nodata=np.nan, resampling=Resampling.nearest,
    )  # fmt: skip
    return result
