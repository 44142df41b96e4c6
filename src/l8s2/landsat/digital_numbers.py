"""Landsat's pixels as they lie in the files, by window, for training sets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from l8s2 import masks
from l8s2.landsat.scene import Scene
from l8s2.raster import Raster


class Landsat(NamedTuple):
    """A window of digital numbers; 0 is fill."""

    ms: NDArray[np.uint16]
    """(6, h, w)."""
    pan: NDArray[np.uint16] | None
    """(2h, 2w)."""
    bits: masks.Bits
    """(h, w) bits of ``masks.QA_BITS``, from QA_PIXEL."""

    def part(self, columns: slice) -> Landsat:
        """Some of the columns."""
        double = slice(2 * columns.start, 2 * columns.stop)
        pan = None if self.pan is None else self.pan[:, double]
        return Landsat(self.ms[:, :, columns], pan, self.bits[:, columns])


def unfit(scene: Scene) -> str | None:
    """Why the pixels of a scene cannot be stored as they are: resampled, no digital numbers, clouds or scale unknown."""
    from rasterio.vrt import WarpedVRT

    if scene.qa_pixel is None:
        return f"{scene.product_id}: no QA_PIXEL, so clouds are not known"
    if any(isinstance(raster.dataset, WarpedVRT) for raster in (*scene.bands, scene.pan) if raster is not None):
        return f"{scene.product_id}: not on the native Landsat lattice; patches hold native pixels only"
    if not all(scene.is_dn.values()) or len(set(scene.scaling)) > 1:
        return f"{scene.product_id}: not digital numbers of one scale; patches hold those of USGS only"
    if scene.pan is not None and scene.pan_scaling[2] is None:
        return f"{scene.pan_id}: no MTL tells the sun's elevation, so the scale of pan is not known"
    return None


def read_landsat(scene: Scene, rows: slice, columns: slice) -> Landsat:
    """A window of a scene that is not ``unfit``."""

    def stored(raster: Raster, rows: slice, columns: slice) -> NDArray[np.uint16]:
        values, known = raster.read(rows, columns)
        return np.where(known, values, 0).astype(np.uint16)

    pan = None
    if scene.pan is not None and scene.pan_offset is not None:
        down, right = scene.pan_offset
        pan = stored(
            scene.pan,
            slice(2 * rows.start + down, 2 * rows.stop + down),
            slice(2 * columns.start + right, 2 * columns.stop + right),
        )
    return Landsat(
        np.stack([stored(band, rows, columns) for band in scene.bands]),
        pan,
        masks.from_qa_pixel(read_qa_pixel(scene, rows, columns)),
    )


def read_qa_pixel(scene: Scene, rows: slice, columns: slice) -> NDArray[np.uint16]:
    """(h, w) QA_PIXEL, fill (1) where nothing is known."""
    assert scene.qa_pixel is not None
    values, known = scene.qa_pixel.read(rows, columns)
    return np.where(known, values, 1).astype(np.uint16)
