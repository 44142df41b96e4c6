"""One band of a scene: its raster, and how its samples become reflectance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from l8s2 import masks, radiometry
from l8s2.arrays import FILL_REACH, Float, fill_missing, grow
from l8s2.optics import REACH, moved
from l8s2.raster import Raster

_LOWEST = -0.2
"""Reflectance at which the encoding of Collection 2 ends; steps below it, such as -9999, are fill."""


@dataclass(frozen=True)
class Scaling:
    """How digital numbers become reflectance: (DN * mult + add) / sin(sun_elevation)."""

    mult: float
    add: float
    sun_elevation: float | None = None
    """Degrees above the horizon; None: no division, as for surface reflectance, or where it is not known."""
    is_steps: bool = False
    """Whether reflectance is stored in steps of ``mult``, in which 0 is a value, not fill; no digital numbers."""


@dataclass(frozen=True)
class Band:
    """An opened band that holds digital numbers or reflectance."""

    raster: Raster
    scaling: Scaling
    is_dn: bool
    """Whether the raster holds digital numbers, not reflectance."""

    @property
    def name(self) -> str:
        """Name of the file, as messages call it."""
        return self.raster.name

    def read(self, rows: slice, columns: slice) -> Float:
        """Read a window as reflectance, (h, w); it may reach beyond the raster. NaN where missing."""
        values, known = self.raster.read(rows, columns)
        mult, add, elevation = self.scaling.mult, self.scaling.add, self.scaling.sun_elevation
        if self.scaling.is_steps:
            values = values * np.float32(mult)
            known &= values >= np.float32(_LOWEST)
        if self.is_dn and elevation is not None:
            reflectance = radiometry.toa_reflectance(values, mult, add, elevation)
        else:
            reflectance = radiometry.to_reflectance(values, mult, add, is_dn=self.is_dn)
        reflectance[~known] = np.nan
        return reflectance

    def read_digital_numbers(self, rows: slice, columns: slice) -> NDArray[np.uint16]:
        """Read a window as it is stored, (h, w); 0 where missing. Only for a band that ``is_dn``."""
        values, known = self.raster.read(rows, columns)
        return np.where(known, values, 0).astype(np.uint16)


@dataclass(frozen=True)
class MovedBand(Band):
    """A band whose content is moved on reading, once and band-limited; a pixel does not depend on the window."""

    shift: tuple[float, float]
    """Where the content lies too far, (down, right) in pixels of the band; it is moved back by as much."""

    def read(self, rows: slice, columns: slice) -> Float:
        """Read a window as ``Band.read`` does. NaN where a neighbour of the place that is looked at is missing."""
        far = max(math.ceil(abs(move)) for move in self.shift)
        margin = REACH + far + FILL_REACH
        wide = super().read(grow(rows, margin), grow(columns, margin))
        result = moved(fill_missing(wide[None])[0], self.shift, margin)
        missing = np.isnan(wide)
        if missing.any():
            down, right = ({margin + math.floor(move), margin + math.ceil(move)} for move in self.shift)
            height, width = result.shape
            for row, column in ((r, c) for r in down for c in right):
                result[missing[row : row + height, column : column + width]] = np.nan
        return result


class DigitalNumbers(NamedTuple):
    """A window of digital numbers; 0 is fill."""

    ms: NDArray[np.uint16]
    """(6, h, w)."""
    pan: NDArray[np.uint16] | None
    """(2h, 2w)."""
    bits: masks.Bits
    """(h, w) bits of ``masks.QA_BITS``, from QA_PIXEL."""

    def part(self, columns: slice) -> DigitalNumbers:
        """Take some of the columns."""
        double = slice(2 * columns.start, 2 * columns.stop)
        pan = None if self.pan is None else self.pan[:, double]
        return DigitalNumbers(self.ms[:, :, columns], pan, self.bits[:, columns])
