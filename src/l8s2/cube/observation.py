"""One observation of a cube: what is known of it, and how a window of it is read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

import numpy as np
from odc.geo.geobox import GeoBox

from l8s2 import grid, masks
from l8s2.arrays import Float, Mask
from l8s2.errors import InputError
from l8s2.sensors import N_BANDS, OUTPUT_GSD
from l8s2.target import ElsewhereError, target_on

UNKNOWN = (float("nan"),) * N_BANDS


@dataclass(frozen=True, kw_only=True)
class About:
    """What is known of an observation before its pixels are read."""

    item_id: str
    time: datetime
    """UTC, to the second."""
    sensor: str
    """``oli`` or ``msi``."""
    platform: str
    """``landsat-8`` .. ``sentinel-2c``."""
    orbit: int
    """WRS-2 path of Landsat, relative orbit of Sentinel-2; -1 where it is not known."""
    box: GeoBox
    """Its 10 m grid."""
    level: tuple[tuple[float, ...], tuple[float, ...]] = (UNKNOWN, UNKNOWN)
    """Standard error of level, absolute and relative, of each band (``radiometry.level_sigma``)."""
    sun: tuple[float | None, float | None] = (None, None)
    """Elevation and azimuth of the sun, degrees."""
    view: tuple[float | None, float | None] = (None, None)
    """Zenith and azimuth of the sensor, degrees."""


class Layers(NamedTuple):
    """A window of an observation."""

    reflectance: Float
    """(6, h, w), NaN is missing."""
    detail: Float
    """(6, h, w) standard error of detail, NaN where there is none."""
    qa: masks.Bits
    """(h, w) bits of ``masks.QA_BITS``."""


class Opened(NamedTuple):
    """An observation whose pixels can be read."""

    read: Callable[[GeoBox], Layers]
    """Reads a window on the lattice of the observation, wherever it lies."""
    offset: float
    """Reflectance that was added to digital numbers / 10000; of Sentinel-2."""
    offset_why: str
    """How the offset was decided."""


class Source(Protocol):
    """Where an observation comes from."""

    @property
    def about(self) -> About:
        """What is known of it."""

    def open(self, area: GeoBox) -> AbstractContextManager[Opened]:
        """Open it to read windows of ``area``. Raises InputError for what cannot be read."""


def first_pixel(window: GeoBox, box: GeoBox) -> tuple[int, int]:
    """Return row and column in ``box`` of the first pixel of ``window``; grids of one zone, under either name."""
    ours, theirs = (grid.landsat_convention(x).affine for x in (window, box))
    column, row = ~theirs @ (ours.c, ours.f)
    return round(row), round(column)


def overlap(window: GeoBox, box: GeoBox) -> tuple[slice, slice] | None:
    """Return rows and columns of ``box`` that ``window`` of the same pixel size covers; None where there are none."""
    found = []
    for first, size, limit in zip(first_pixel(window, box), window.shape, box.shape, strict=True):
        start, stop = max(first, 0), min(first + size, limit)
        if start >= stop:
            return None
        found.append(slice(start, stop))
    return found[0], found[1]


def same_zone(one: GeoBox, other: GeoBox) -> bool:
    """Tell whether two grids are in one UTM zone, under either of its names."""
    zones = {grid.landsat_convention(box).crs for box in (one, other)}
    return len(zones) == 1


def touches(area: GeoBox, box: GeoBox) -> bool:
    """Tell whether an observation on ``box`` has pixels in ``area``, in whatever zones the two are."""
    if same_zone(area, box):
        return overlap(area, box) is not None
    try:
        target_on(grid.snap(box.pad(3)), area, "")
    except ElsewhereError:
        return False
    return True


def check_lattice(name: str, box: GeoBox) -> None:
    """Raise InputError for a grid that is not on the 10 m lattice of Sentinel-2."""
    a = grid.landsat_convention(box).affine
    on = (a.a, a.b, a.d, a.e) == (OUTPUT_GSD, 0, 0, -OUTPUT_GSD) and not (a.c % OUTPUT_GSD or a.f % OUTPUT_GSD)
    if not (on and grid.is_utm(box.crs)):
        raise InputError(
            f"{name}: is on pixels of {a.a:g} m in {box.crs}, not on Sentinel-2's 10 m lattice;"
            " give what was harmonised without `crs` and `like`, or with `mgrs`"
        )


def clear(bits: masks.Bits) -> Mask:
    """Return where pixels count in a mean, True = clear: ``masks.usable``, and not saturated or defective."""
    seen: Mask = masks.usable(bits) & ((bits & masks.flag("saturated")) == 0)
    return seen


def with_fill(reflectance: Float, qa: masks.Bits) -> masks.Bits:
    """Return the bits with ``fill`` where a band is missing."""
    missing = ~np.isfinite(reflectance).all(0)
    return np.where(missing, qa | masks.flag("fill"), qa).astype(np.uint16)
