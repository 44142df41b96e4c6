"""The lattice rules that tie Landsat pixels to Sentinel-2 pixels, on immutable odc-geo GeoBox values. Pure.

* Landsat MS pixel centres are multiples of 30 m (edges at 15 mod 30), pan centres multiples of 15 m.
* Sentinel-2 10 m pixel edges are multiples of 10 m.
* So the MS pixel centred at (X, Y) owns the 3x3 block of 10 m pixels centred at X + {-5, 5, 15}, Y - {-5, 5, 15}.

Landsat writes every UTM scene in the northern zone's CRS, with negative northings in the south; Sentinel-2 uses
EPSG:327xx there. The two differ by exactly 10 000 000 m: a change of name, not of pixels.
"""

from __future__ import annotations

import math

import numpy as np
from affine import Affine
from odc.geo import CRS
from odc.geo.geobox import GeoBox

from l8s2.arrays import Values
from l8s2.errors import InputError
from l8s2.sensors import MS_GSD, OUTPUT_GSD, PAN_GSD

FALSE_NORTHING = 10_000_000.0
TOLERANCE = 0.01
"""Largest misfit to the lattice, in pixels, that counts as none."""
BLOCK = MS_GSD // OUTPUT_GSD
"""10 m pixels to a side of an MS pixel's block."""
_FIRST_CENTRE = {MS_GSD: 0.0, PAN_GSD: 0.0, OUTPUT_GSD: -OUTPUT_GSD / 2}
"""Centre of pixel 0 of the grid of each pixel size, metres right of (and down from) that of MS pixel 0."""
_DELIVERED = ("Albers Equal Area", "Polar Stereographic (variant A)", "Polar Stereographic (variant B)")
"""Projections other than UTM in which USGS delivers Landsat, as EPSG names their methods."""


def epsg(crs: CRS | None) -> int:
    """Return the EPSG code, or 0 where there is none."""
    return (crs.epsg or 0) if crs is not None else 0


def is_utm(crs: CRS | None) -> bool:
    """Return whether ``crs`` is WGS 84 / UTM, north or south."""
    return 32601 <= epsg(crs) <= 32660 or 32701 <= epsg(crs) <= 32760


def crs_name(crs: CRS | None) -> str:
    """Return the EPSG code, else the name, else the projection of a coordinate reference system."""
    if crs is None or epsg(crs):
        return f"EPSG:{epsg(crs)}"
    name: str = crs.proj.name
    return name if name != "unknown" else _method(crs) or name


def _method(crs: CRS | None) -> str:
    operation = crs.proj.coordinate_operation if crs is not None else None
    return str(operation.method_name) if operation is not None else ""


def landsat_convention(geobox: GeoBox) -> GeoBox:
    """Return the same pixels as Landsat names them: EPSG:326xx, with negative northings in the south."""
    if 32701 <= epsg(geobox.crs) <= 32760:
        return GeoBox(
            geobox.shape, Affine.translation(0, -FALSE_NORTHING) @ geobox.affine, f"EPSG:{epsg(geobox.crs) - 100}"
        )
    return geobox


def sentinel2_convention(geobox: GeoBox) -> GeoBox:
    """Return the same pixels as Sentinel-2 names them: EPSG:327xx, with positive northings, south of the equator."""
    middle = geobox.affine @ (0, geobox.shape[0] / 2)
    if 32601 <= epsg(geobox.crs) <= 32660 and middle[1] < 0:
        return GeoBox(
            geobox.shape, Affine.translation(0, FALSE_NORTHING) @ geobox.affine, f"EPSG:{epsg(geobox.crs) + 100}"
        )
    return geobox


def lattice_misfit(geobox: GeoBox, gsd: int = MS_GSD) -> float:
    """Return the distance of the pixel centres from the native lattice, in pixels.

    Infinite for another pixel size or a rotated grid. ``gsd``: 30 for MS, 15 for pan.
    """
    a = landsat_convention(geobox).affine
    if (a.a, a.b, a.d, a.e) != (gsd, 0, 0, -gsd):
        return math.inf
    x, y = a @ (0.5, 0.5)
    misfit: float = max(abs(v / gsd - round(v / gsd)) for v in (x, y))
    return misfit


def misfit_of_scene(ms: GeoBox) -> float:
    """Return the distance of MS pixels from where a network may take them as they are, in pixels; infinite as above.

    In UTM that is the native lattice, so that the output is Sentinel-2's. In the other projections in which USGS
    delivers Landsat any 30 m grid will do: pan, MS and output have their fixed relation on it.
    """
    a = ms.affine
    if _method(ms.crs) in _DELIVERED and (a.a, a.b, a.d, a.e) == (MS_GSD, 0, 0, -MS_GSD):
        return 0.0
    return lattice_misfit(ms)


def misfit_of_pan(ms: GeoBox, pan: GeoBox) -> float:
    """Return the distance of pan centres from those that the grid of MS asks for, in pixels; infinite as above."""
    ms, pan = landsat_convention(ms), landsat_convention(pan)
    a = pan.affine
    if ms.crs != pan.crs or (a.a, a.b, a.d, a.e) != (PAN_GSD, 0, 0, -PAN_GSD):
        return math.inf
    column, row = ~a @ (ms.affine @ (0.5, 0.5))
    misfit: float = max(abs(v - 0.5 - round(v - 0.5)) for v in (column, row))
    return misfit


def on_sentinel2_lattice(geobox: GeoBox) -> bool:
    """Return whether the pixels are those of Sentinel-2's 10 m bands."""
    a = geobox.affine
    return is_utm(geobox.crs) and (a.a, a.b, a.d, a.e, a.c % OUTPUT_GSD, a.f % OUTPUT_GSD) == (
        OUTPUT_GSD, 0, 0, -OUTPUT_GSD, 0, 0,
    )  # fmt: skip


def zone_for(ms: GeoBox) -> str | None:
    """Return the UTM zone in which a scene that has none becomes a product; None where it keeps its own projection.

    That is UTM and polar stereographic. A tile of U.S. ARD is in Albers.
    """
    return _utm_of(ms) if _method(ms.crs) == _DELIVERED[0] else None


def snap(geobox: GeoBox, gsd: int = MS_GSD) -> GeoBox:
    """Return the native lattice that covers ``geobox``, in its own CRS if UTM or polar stereographic, else in UTM.

    Raises:
        InputError: for a grid without a coordinate reference system.
    """
    if geobox.crs is None:
        raise InputError(
            "the grid has no coordinate reference system, which the Landsat lattice needs; assign one to the raster"
        )
    if not (is_utm(geobox.crs) or epsg(geobox.crs) in (3031, 3413, 3995)):
        geobox = geobox.to_crs(_utm_of(geobox), resolution=gsd, tight=True)
    box = landsat_convention(geobox)
    bounds = box.boundingbox
    (left, right), (top, bottom) = (
        (math.floor(low / gsd + 0.5 + TOLERANCE), math.ceil(high / gsd + 0.5 - TOLERANCE))
        for low, high in ((bounds.left, bounds.right), (-bounds.top, -bounds.bottom))
    )
    transform = Affine(gsd, 0, gsd * (left - 0.5), 0, -gsd, gsd * (0.5 - top))
    return GeoBox((bottom - top, right - left), transform, box.crs)


def _utm_of(geobox: GeoBox) -> str:
    longitude, latitude = geobox.geographic_extent.centroid.coords[0]
    zone = int((longitude + 180) // 6) % 60 + 1
    return f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}"


def output_geobox(ms: GeoBox) -> GeoBox:
    """Return the 10 m block grid of an MS grid, in Sentinel-2's convention.

    Pixel (3r + i, 3c + j) belongs to MS pixel (r, c).
    """
    a = ms.affine
    shift = (MS_GSD - OUTPUT_GSD) / 4  # block edge - MS edge: 5 m
    transform = Affine(OUTPUT_GSD, 0, a.c + shift, 0, -OUTPUT_GSD, a.f - shift)
    return sentinel2_convention(GeoBox((BLOCK * ms.shape[0], BLOCK * ms.shape[1]), transform, ms.crs))


def pan_offset(ms: GeoBox, pan: GeoBox) -> tuple[int, int]:
    """Return (row, column) of the pan pixel centred on MS pixel (0, 0), both grids being on their native lattices.

    Raises:
        InputError: for grids of two coordinate reference systems.
    """
    ms, pan = landsat_convention(ms), landsat_convention(pan)
    if ms.crs != pan.crs:
        raise InputError(f"pan is in {pan.crs}, MS in {ms.crs}; both must be in one UTM zone")
    x, y = ms.affine @ (0.5, 0.5)
    column, row = ~pan.affine @ (x, y)
    return round(row - 0.5), round(column - 0.5)


def pan_geobox(ms: GeoBox) -> GeoBox:
    """Return the pan grid of an MS grid: twice the pixels a side, pan (0, 0) centred on MS (0, 0)."""
    a = ms.affine
    x, y = a @ (0.5, 0.5)
    transform = Affine(PAN_GSD, 0, x - PAN_GSD / 2, 0, -PAN_GSD, y + PAN_GSD / 2)
    return GeoBox((2 * ms.shape[0], 2 * ms.shape[1]), transform, ms.crs)


def ms_centres_at_10m(n: int) -> Values:
    """Return the centres of ``n`` MS pixels along an axis, in pixels of the 10 m block grid, centres at integers."""
    return _centres(n, MS_GSD, OUTPUT_GSD)


def ms_centres_at_15m(n: int) -> Values:
    """Return the centres of ``n`` MS pixels along an axis, in pixels of the pan grid, centres at integers."""
    return _centres(n, MS_GSD, PAN_GSD)


def pan_centres_at_10m(n: int) -> Values:
    """Return the centres of ``n`` pan pixels along an axis, in pixels of the 10 m block grid, centres at integers."""
    return _centres(n, PAN_GSD, OUTPUT_GSD)


def output_centres_at_30m(n: int) -> Values:
    """Return the centres of ``n`` pixels of the 10 m block grid along an axis, in MS pixels, centres at integers."""
    return _centres(n, OUTPUT_GSD, MS_GSD)


def _centres(n: int, of: int, on: int) -> Values:
    """Return the centres of ``n`` pixels of the grid of ``of`` metres in pixels of that of ``on`` metres, (n,)."""
    return (of * np.arange(n) + _FIRST_CENTRE[of] - _FIRST_CENTRE[on]) / on
