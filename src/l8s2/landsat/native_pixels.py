"""Bands on their native lattices, read by window, wherever they come from."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import grid, masks, radiometry
from l8s2.arrays import Float
from l8s2.landsat.band import Band
from l8s2.raster import Raster
from l8s2.sensors import BANDS, OLI

BAND_NUMBERS = tuple(int(band.landsat[1:]) for band in BANDS)
"""Landsat's numbers of the six bands."""


_FILL = np.array([0, OLI.sr_offset], np.float32)
"""Reflectance in all bands at once that fill becomes where others have scaled it."""


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """A window of a scene, on native lattices."""

    ms: Float
    """(6, h, w) surface reflectance, 30 m; NaN where missing."""
    pan: Float | None
    """(2h, 2w) top-of-atmosphere reflectance, 15 m; NaN where missing; pan[2r, 2c] is centred on ms[:, r, c]."""
    qa: NDArray[np.uint16]
    """(h, w) bits of masks.QA_BITS."""


class NativePixels:
    """Six bands on the 30 m lattice, with or without pan on its own; what harmonising reads of a scene."""

    def __init__(
        self,
        product_id: str,
        bands: list[Band],
        pan: Band | None,
        qa_pixel: Raster | None,
        qa_radsat: Raster | None,
        warnings: list[str],
    ) -> None:
        self.product_id = product_id
        """What it is called."""
        self.warnings = warnings
        """What was found missing or odd and how it was dealt with, one line each."""
        self.bands, self.pan, self.qa_pixel, self.qa_radsat = bands, pan, qa_pixel, qa_radsat
        self.geobox: GeoBox = bands[0].raster.geobox
        """The 30 m grid."""
        self._lock = threading.Lock()
        self._pan_offset = grid.pan_offset(self.geobox, pan.raster.geobox) if pan else None

    @property
    def shape(self) -> tuple[int, int]:
        """MS pixels, (rows, columns)."""
        return self.geobox.shape[0], self.geobox.shape[1]

    @property
    def sun_elevation(self) -> float | None:
        """Degrees above the horizon at the scene centre."""
        return None

    @property
    def pan_sun_elevation(self) -> float:
        """Elevation of the sun by whose sine pan was divided; without metadata by none, as under one at the zenith."""
        return radiometry.ZENITH if self.sun_elevation is None else self.sun_elevation

    def read(self, rows: slice, columns: slice) -> Pixels:
        """Read a window, which may reach beyond the scene (NaN there). Raises InputError for unreadable blocks."""
        with self._lock:
            ms = np.stack([band.read(rows, columns) for band in self.bands])
            if not any(band.is_dn for band in self.bands):
                ms[:, (ms == ms[0]).all(0) & np.isin(ms[0], _FILL)] = np.nan
            pan = None if self.pan is None else self.pan.read(*self._pan_window(rows, columns))
            return Pixels(ms=ms, pan=pan, qa=self._read_qa(rows, columns, ms))

    def _pan_window(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Rows and columns of pan that lie on a window of MS pixels."""
        assert self._pan_offset is not None
        down, right = self._pan_offset
        return (
            slice(2 * rows.start + down, 2 * rows.stop + down),
            slice(2 * columns.start + right, 2 * columns.stop + right),
        )

    def _read_qa(self, rows: slice, columns: slice, ms: Float) -> NDArray[np.uint16]:
        qa = np.zeros(ms.shape[1:], np.uint16)
        if self.qa_pixel is None:
            qa |= np.uint16(masks.flag("no_qa"))
        else:
            values, known = self.qa_pixel.read(rows, columns)
            qa |= masks.from_qa_pixel(np.where(known, values, 1).astype(np.uint16))
        if self.qa_radsat is not None:
            values, known = self.qa_radsat.read(rows, columns)
            qa |= masks.saturated_bits(np.where(known, values, 0).astype(np.uint16), BAND_NUMBERS)
        with np.errstate(invalid="ignore"):
            odd = ((ms < 0) | (ms > 1)).any(0)
        qa[odd] |= np.uint16(masks.flag("out_of_range"))
        fill = np.isnan(ms).any(0)
        untold = (qa & masks.flag("fill")) > 0
        qa &= ~np.uint16(masks.flag("fill"))
        qa[untold & ~fill] |= np.uint16(masks.flag("no_qa"))
        qa[fill] |= np.uint16(masks.flag("fill"))
        return qa
