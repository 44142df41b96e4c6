"""The Landsat scene that a product was made from: found, and brought onto the grid of the product."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.arrays import Float, Mask, enlarge
from l8s2.errors import InputError
from l8s2.landsat.layout import level2_product, products_in
from l8s2.landsat.scene import Scene, open_scene
from l8s2.report.finished import Finished

_ENDINGS = ("", ".tar", ".tar.gz")
_STRIP = 512
"""MS rows read at a time."""


class Found(NamedTuple):
    """The input, or why there is none."""

    scene: Scene | None
    why_not: str
    """In words that end a sentence; empty where there is one."""


def find_input(product: Finished, landsat: Path | None, stack: ExitStack) -> Found:
    """Open the Level-2 product that a product was made from.

    Args:
        product: the product.
        landsat: the Level-2 product, or a folder with it; None looks in the folders around the product.
        stack: closes it.

    Raises InputError where ``landsat`` is another scene, or cannot be used.
    """
    name = product.item.scene
    if name is None:
        return Found(None, "the Item does not say which Landsat product it was made from")
    around = product.folder.absolute().parent
    places = [landsat] if landsat is not None else [around, around.parent]
    paths = [path for place in places for ending in _ENDINGS if (path := place / f"{name.id}{ending}").exists()]
    if landsat is not None and not paths:
        if not products_in(landsat):
            return Found(None, f"{name.id} was not found in {landsat}")
        found = level2_product(landsat)
        if found.product_id != name.id:
            raise InputError(f"`landsat` {landsat}: is {found.product_id}; the product was made from {name.id}")
        paths = [landsat]
    if not paths:
        return Found(None, f"{name.id} was not found beside the product")
    try:
        return Found(stack.enter_context(open_scene(paths[0])), "")
    except InputError as error:
        if landsat is not None:
            raise
        return Found(None, f"the input cannot be read ({error})")


class Before:
    """A scene as the pixels of a product."""

    def __init__(self, scene: Scene, geobox: GeoBox) -> None:
        """``geobox``: the grid of the product."""
        self.scene, self._geobox = scene, geobox
        self._blocks = grid.output_geobox(scene.geobox)
        self.first = _whole_pixels(self._blocks, geobox)
        """Row and column of the product in the block grid of the scene; None where it is on another grid (warped)."""

    def ms_window(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Return the MS pixels that a window of the product touches."""
        if self.first is not None:
            first = self.first
        else:
            box = self._geobox[rows, columns].boundingbox
            here = box.to_crs(self._blocks.crs) if self._blocks.crs != self._geobox.crs else box
            corners = [~self._blocks.affine * (x, y) for x in (here.left, here.right) for y in (here.bottom, here.top)]
            x, y = zip(*corners, strict=True)
            rows, columns = slice(int(min(y)), int(max(y)) + 1), slice(int(min(x)), int(max(x)) + 1)
            first = (0, 0)
        top, left = first
        return (
            slice((rows.start + top) // grid.BLOCK, -(-(rows.stop + top) // grid.BLOCK)),
            slice((columns.start + left) // grid.BLOCK, -(-(columns.stop + left) // grid.BLOCK)),
        )

    def onto(self, ms: Float, at: tuple[slice, slice], rows: slice, columns: slice) -> Float:
        """Give the pixels of a window of the product the values (bands, h, w) of the MS pixels that own them.

        ``at``: what ``ms_window`` returns for the window. NaN where there is no MS pixel.
        """
        fine = enlarge(ms)
        if self.first is None:
            origin = self._blocks.affine * Affine.translation(grid.BLOCK * at[1].start, grid.BLOCK * at[0].start)
            return reprojected(fine, origin, self._blocks, self._geobox[rows, columns])
        top, left = (n - grid.BLOCK * s.start for n, s in zip(self.first, at, strict=True))
        return fine[:, rows.start + top : rows.stop + top, columns.start + left : columns.stop + left]

    def overview(self, bands: list[int], shape: tuple[int, int]) -> Float:
        """Return means of a few bands over the product, (len(bands), *shape), read strip by strip."""
        factor = max(1, round(min(n / (grid.BLOCK * m) for n, m in zip(self._geobox.shape, shape, strict=True))))
        inside = self.ms_window(*(slice(0, n) for n in self._geobox.shape))
        rows, columns = (slice(max(0, s.start), min(n, s.stop)) for s, n in zip(inside, self.scene.shape, strict=True))
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return np.full((len(bands), *shape), np.nan, np.float32)
        small = (-(-(s.stop - s.start) // factor) for s in (rows, columns))
        means = np.full((len(bands), *small), np.nan, np.float32)
        step = max(1, _STRIP // factor) * factor
        for top in range(rows.start, rows.stop, step):
            strip = slice(top, min(top + step, rows.stop))
            at = (top - rows.start) // factor
            for band, mean in zip(bands, means, strict=True):
                part = _block_means(self.scene.bands[band].read(strip, columns), factor)
                mean[at : at + len(part)] = part
        origin = self._blocks.affine * Affine.translation(grid.BLOCK * columns.start, grid.BLOCK * rows.start)
        target = self._geobox.affine * Affine.scale(
            *(n / m for n, m in zip(self._geobox.shape[::-1], shape[::-1], strict=True))
        )
        coarse = GeoBox(shape, target, self._geobox.crs)
        return reprojected(means, origin * Affine.scale(grid.BLOCK * factor), self._blocks, coarse)


def _whole_pixels(blocks: GeoBox, geobox: GeoBox) -> tuple[int, int] | None:
    a, b = blocks.affine, geobox.affine
    if blocks.crs != geobox.crs or (a.a, a.b, a.d, a.e) != (b.a, b.b, b.d, b.e):
        return None
    column, row = ~a * (b.c, b.f)
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


def reprojected(values: Float, affine: Affine, of: GeoBox, target: GeoBox) -> Float:
    """Return (bands, h, w) values, with their ``affine`` in the CRS of ``of``, as the nearest ones on ``target``."""
    from rasterio.warp import Resampling, reproject

    result = np.full((len(values), *target.shape), np.nan, np.float32)
    reproject(
        np.ascontiguousarray(values), result, src_transform=affine, src_crs=str(of.crs), src_nodata=np.nan,
        dst_transform=target.affine, dst_crs=str(target.crs), dst_nodata=np.nan, resampling=Resampling.nearest,
    )  # fmt: skip
    return result
