"""One real pair of the training set: native pixels of both sensors, and everything that is known of them. Pure.

The lattice rule. The MS pixel centred at (X, Y) owns the 10 m pixels centred at X + {-5, 5, 15}, Y - {-5, 5, 15}, so
its block begins at (X - 10, Y + 10). Sentinel-2's 20 m pixels have their edges at multiples of 20 m. A patch therefore
consists of whole 20 m pixels exactly if its first MS pixel is centred on *odd* multiples of 30 m (Landsat's naming,
negative in the south) and both its sides are even. ``cells`` cuts every scene of a zone along one fixed grid of such
patches, so patches of two dates coincide or have no pixel in common.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.arrays import Mask
from l8s2.radiometry import DN
from l8s2.sensors import MS_GSD, N_BANDS, OLI

Bands = tuple[float, ...]
"""One number for each of the six bands, in the order of ``sensors.BANDS``."""

_NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts of a patch beside its pixels, which are as delivered; NaN and '' stand for unknown."""

    landsat_id: str
    """Product id of the Level-2 scene."""
    pan_id: str = ""
    """Product id of the Level-1 scene that pan came from."""
    sentinel2_id: str
    landsat_time: str
    """UTC, ISO 8601."""
    sentinel2_time: str
    location: str
    """MGRS tile, ``33UUP``."""
    path_row: str
    """WRS-2, ``192025``."""
    ms_scale: float = OLI.sr_scale
    ms_offset: float = OLI.sr_offset
    """Reflectance = DN * scale + offset, for each of the three kinds of pixels."""
    pan_scale: float = _NAN
    pan_offset: float = _NAN
    """With the sun's elevation already in both."""
    s2_scale: float = 1e-4
    s2_offset: float
    """As decided: -0.1 where the offset of baseline 04.00 is in the pixels, else 0."""
    offset_decision: str = ""
    """How that was decided."""
    decision: str = ""
    """Of the co-registration: ``accept``, left as it is, or ``correct``, to be moved by the shift on reading."""
    shift_down_m: float = _NAN
    shift_right_m: float = _NAN
    """Metres by which Sentinel-2's content lies too far down and right of Landsat's, at the middle of the patch."""
    ce90_m: float = _NAN
    """Metres within which 90 % of the measurements lie from their model."""
    slope: Bands = (_NAN,) * N_BANDS
    intercept: Bands = (_NAN,) * N_BANDS
    """Cross-sensor regression over the pair: Landsat = slope * Sentinel-2 + intercept, reflectance."""
    landsat_cloud: float = _NAN
    sentinel2_cloud: float = _NAN
    """Share of the patch that is hidden, 0 to 1."""
    landsat_sun_elevation: float = _NAN
    landsat_sun_azimuth: float = _NAN
    landsat_view_zenith: float = _NAN
    landsat_view_azimuth: float = _NAN
    sentinel2_sun_elevation: float = _NAN
    sentinel2_sun_azimuth: float = _NAN
    sentinel2_view_zenith: float = _NAN
    sentinel2_view_azimuth: float = _NAN
    """Degrees; azimuths clockwise from north."""
    ssim: float = _NAN
    psnr: float = _NAN
    """dB."""
    r: float = _NAN
    """Pearson correlation. These three say how alike the two images are; they are never a filter here."""
    field_counts: float = _NAN
    """Agricultural fields in the patch."""

    def __post_init__(self) -> None:
        for name in ("slope", "intercept"):
            if len(getattr(self, name)) != N_BANDS:
                raise ValueError(f"{name} has {len(getattr(self, name))} numbers; give one for each of {N_BANDS} bands")
        if self.decision not in ("", "accept", "correct"):
            raise ValueError(
                f"decision {self.decision!r}: only pairs to accept or correct are recorded; leave this one out"
            )
        if self.decision == "correct" and not np.isfinite([self.shift_down_m, self.shift_right_m]).all():
            raise ValueError("decision 'correct' needs shift_down_m and shift_right_m")


@dataclass(frozen=True, kw_only=True, eq=False)
class Patch:
    """Native pixels of one place; ValueError where shapes or lattice do not fit."""

    ms: DN
    """(6, h, w) digital numbers at 30 m."""
    pan: DN | None
    """(2h, 2w) digital numbers at 15 m; pan[2r, 2c] is centred on ms[:, r, c]."""
    s2_10m: DN
    """(3, 3h, 3w) B02, B03, B04 at 10 m on the block grid of ``box``, or (4, 3h, 3w) with B08."""
    s2_20m: DN
    """(3, 3h/2, 3w/2) B8A, B11, B12 at 20 m, upper left corner as ``s2_10m``."""
    landsat_usable: Mask
    """(h, w) True = ground is to be seen."""
    s2_usable: Mask
    """(3h, 3w) True = ground is to be seen."""
    box: GeoBox
    """Grid of ``ms``, on the native lattice and by the rule above."""
    facts: Facts

    def __post_init__(self) -> None:
        check_lattice(self.box)
        h, w = self.box.shape
        shapes = {
            "ms": (N_BANDS, h, w),
            "pan": (2 * h, 2 * w),
            "s2_10m": (4 if len(self.s2_10m) == 4 else 3, 3 * h, 3 * w),
            "s2_20m": (3, 3 * h // 2, 3 * w // 2),
            "landsat_usable": (h, w),
            "s2_usable": (3 * h, 3 * w),
        }
        for name, array in self.arrays().items():
            if array.shape != shapes[name]:
                raise ValueError(f"{name} has shape {array.shape}; a box of {h} x {w} MS pixels needs {shapes[name]}")
            if array.dtype not in ((np.bool_,) if name.endswith("usable") else (np.uint16, np.int16)):
                raise ValueError(f"{name} is {array.dtype}; pixels are uint16 or int16, masks bool")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Every array by its name; without ``pan`` where there is none."""
        names = ("ms", "pan", "s2_10m", "s2_20m", "landsat_usable", "s2_usable")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def id(self) -> str:
        """From the two scenes and the place alone: tile, day of Landsat, and 64 bits that stand for all of it."""
        facts, row, column = self.facts, *position(self.box)
        zone = grid.epsg(grid.landsat_convention(self.box).crs)
        content = (
            f"{facts.landsat_id} {facts.sentinel2_id} {zone} {row} {column} {self.box.shape[0]} {self.box.shape[1]}"
        )
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        return f"{facts.location}_{facts.landsat_time[:10].replace('-', '')}_{digest}"


def position(box: GeoBox) -> tuple[int, int]:
    """Row and column of the first MS pixel in its zone: centre -Y / 30 and X / 30, Landsat's naming."""
    x, y = grid.landsat_convention(box).affine @ (0.5, 0.5)
    return round(-y / MS_GSD), round(x / MS_GSD)


def check_lattice(box: GeoBox) -> None:
    """ValueError where an MS grid breaks the lattice rule."""
    if not grid.is_utm(box.crs) or grid.lattice_misfit(box) > grid.TOLERANCE:
        raise ValueError(f"{box.crs} {tuple(box.affine[:6])}: not on Landsat's native UTM lattice; warp it first")
    row, column = position(box)
    if not row % 2 or not column % 2 or box.shape[0] % 2 or box.shape[1] % 2:
        raise ValueError(
            f"row {row}, column {column}, {box.shape[0]} x {box.shape[1]} MS pixels: does not hold whole 20 m pixels;"
            " row and column must be odd and the sides even, as patches.patch.cells gives them"
        )


def cells(box: GeoBox, side: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the whole patches of ``side`` MS pixels in an MS grid, row by row.

    Their places depend on the zone and ``side`` alone. ``box`` must lie on the native lattice; ``side`` be even.
    """
    if side < 2 or side % 2:
        raise ValueError(f"side={side}; it must be even, so that patches hold whole 20 m pixels")
    starts = [range((1 - first) % side, n - side + 1, side) for first, n in zip(position(box), box.shape, strict=True)]
    for top in starts[0]:
        for left in starts[1]:
            yield slice(top, top + side), slice(left, left + side)


def outline(box: GeoBox, to_a_side: int = 1) -> NDArray[np.float64]:
    """(4 n + 1, 2) longitude and latitude around a grid, closed; longitudes continuous, so beyond 180 where need be."""
    return np.stack(grid.ring(box, to_a_side), axis=1)
