"""Which grid the product gets: the scene's own, a part of it, a Sentinel-2 tile, or another one by a warp."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from affine import Affine
from odc.geo import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry, box, polygon, unary_union

from l8s2 import grid
from l8s2.errors import InputError
from l8s2.grid import footprint
from l8s2.sensors import OUTPUT_GSD


@dataclass(frozen=True, kw_only=True)
class Target:
    """What to compute and where it goes."""

    geobox: GeoBox
    """Grid of the product."""
    native: GeoBox
    """Grid that is computed: the 10 m lattice of the scene; equal to ``geobox`` unless warped."""
    origin: tuple[int, int]
    """(row, column) of ``native`` in the scene's block grid, 10 m pixels; may be negative."""
    rows: slice
    """MS pixels of the scene that are needed."""
    columns: slice
    warped: bool
    notes: list[str]


def choose_target(
    ms: GeoBox,
    *,
    bbox: tuple[float, float, float, float] | None = None,
    mgrs: str | None = None,
    crs: str | None = None,
    like: str | Path | None = None,
) -> Target:
    """Settle the product's grid for a scene whose MS grid is ``ms``; arguments as in harmonize_product.

    Raises InputError for options that exclude each other and for areas outside the scene.
    """
    if sum(x is not None for x in (mgrs, crs, like)) > 1:
        raise InputError("--mgrs, --crs and --like each settle the grid; give one of them")
    if bbox is not None and (mgrs is not None or like is not None):
        raise InputError("--bbox and a full grid (--mgrs, --like) exclude each other; give one of them")
    whole = grid.output_geobox(ms)
    if mgrs is not None:
        tile = grid.mgrs_tile(mgrs)
        return _onto(ms, whole, tile, f"--mgrs {mgrs} in {tile.crs}")
    if like is not None:
        return _onto(ms, whole, _grid_of(like), f"--like {Path(like).name}")
    native = whole if bbox is None else _part(whole, _bbox_geometry(bbox), "--bbox")
    if crs is not None:
        why = f"--crs {' '.join(crs.split()):.60}"  # it may be several lines of WKT
        return _onto(ms, native, _in_crs(native, crs, why), why)
    return _on_lattice(ms, native)


def area_of(
    bbox: tuple[float, float, float, float] | None, mgrs: str | None
) -> tuple[float, float, float, float] | None:
    """West, south, east, north that hold what ``bbox`` or ``mgrs`` asks for, WGS 84 degrees; None: the whole scene.

    West > east where it crosses the antimeridian.

    Raises InputError as ``choose_target`` does.
    """
    if bbox is not None and mgrs is not None:
        raise InputError("--bbox and a full grid (--mgrs, --like) exclude each other; give one of them")
    if bbox is not None:
        _bbox_geometry(bbox)
    if mgrs is None:
        return bbox
    longitude, latitude = grid.ring(grid.mgrs_tile(mgrs), 64)
    west, east = ((float(x) + 180) % 360 - 180 for x in (longitude.min(), longitude.max()))
    return west, float(latitude.min()), east, float(latitude.max())


def _bbox_geometry(bbox: tuple[float, float, float, float]) -> Geometry:
    west, south, east, north = bbox
    in_range = -180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90
    if not (in_range and (west < east or (east < 0 < west and west - east > 180))):
        raise InputError(
            f"--bbox {west:g} {south:g} {east:g} {north:g}: give west < east (unless it crosses the antimeridian) and"
            " south < north in degrees"
        )
    return box(west, south, east if west < east else east + 360, north, "EPSG:4326")


def _in_crs(native: GeoBox, crs: str, why: str) -> GeoBox:
    try:
        wanted = CRS(crs)
    except Exception:
        raise InputError(f"{why}: not a coordinate reference system; give for example EPSG:3035") from None
    for northing in (0, grid.FALSE_NORTHING, -grid.FALSE_NORTHING):
        renamed = GeoBox(native.shape, Affine.translation(0, northing) * native.affine, wanted)
        if grid.landsat_convention(renamed) == grid.landsat_convention(native):
            return renamed
    try:
        return native.to_crs(wanted)
    except Exception:
        raise InputError(f"{why}: not a map of the scene's place; give for example EPSG:3035") from None


def _onto(ms: GeoBox, native: GeoBox, geobox: GeoBox, why: str) -> Target:
    """The pixels of ``native`` as they are where ``geobox`` is of the same lattice, else warped."""
    ours, theirs = grid.landsat_convention(native), grid.landsat_convention(geobox)
    column, row = ~ours.affine * (theirs.affine.c, theirs.affine.f)
    aligned = max(abs(column - round(column)), abs(row - round(row))) < grid.TOLERANCE
    if (
        aligned
        and ours.crs == theirs.crs
        and theirs.affine[:2] + theirs.affine[3:5] == ours.affine[:2] + ours.affine[3:5]
    ):
        return _on_lattice(ms, geobox, why)
    part = _part(native, geobox.pad(3).extent, why, margin=20 * OUTPUT_GSD)
    note = f"{why}: warped once from {native.crs}, pixels are interpolated"
    return replace(_on_lattice(ms, part, why), geobox=geobox, warped=True, notes=[note])


def _on_lattice(ms: GeoBox, native: GeoBox, why: str = "") -> Target:
    whole, part = grid.landsat_convention(grid.output_geobox(ms)), grid.landsat_convention(native)
    row = round((whole.affine.f - part.affine.f) / OUTPUT_GSD)
    column = round((part.affine.c - whole.affine.c) / OUTPUT_GSD)
    spans = []
    for first, size, limit in zip((row, column), native.shape, ms.shape, strict=True):
        start, stop = max(0, first // grid.BLOCK), min(limit, -(-(first + size) // grid.BLOCK))
        if start >= stop:
            raise _outside(grid.output_geobox(ms), why)
        spans.append(slice(start, stop))
    return Target(
        geobox=native,
        native=native,
        origin=(row, column),
        rows=spans[0],
        columns=spans[1],
        warped=False,
        notes=[],
    )


def _part(whole: GeoBox, area: Geometry, why: str, margin: float = 0) -> GeoBox:
    """The pixels of ``whole`` that cover what it shares with ``area``, and ``margin`` metres around."""
    outline = _outline(whole, area.crs)
    turns = (-360, 0, 360) if area.crs.geographic else (0,)  # whichever way longitudes are counted
    turned = [area.transform(Affine.translation(turn, 0)) for turn in turns]
    shared = [common for a in turned if (common := a.intersection(outline)).area > 0]
    if not shared:
        raise _outside(whole, why)
    fine = 0.01 if area.crs.geographic else 1000
    there = unary_union(common.to_crs(whole.crs, resolution=fine) for common in shared).intersection(whole.extent)
    if there.is_empty:
        raise _outside(whole, why)
    bounds = there.boundingbox.buffered(margin)
    a = whole.affine
    r0 = max(0, math.floor((a.f - bounds.top) / OUTPUT_GSD))
    r1 = min(whole.shape[0], math.ceil((a.f - bounds.bottom) / OUTPUT_GSD))
    c0 = max(0, math.floor((bounds.left - a.c) / OUTPUT_GSD))
    c1 = min(whole.shape[1], math.ceil((bounds.right - a.c) / OUTPUT_GSD))
    if r0 >= r1 or c0 >= c1:  # it only touches an edge
        raise _outside(whole, why)
    return whole[r0:r1, c0:c1]


def _outline(whole: GeoBox, crs: CRS) -> Geometry:
    """What ``whole`` covers, in another coordinate reference system, with unbroken longitudes and generous edges."""
    projected = whole.extent.to_crs(crs, resolution=OUTPUT_GSD * max(whole.shape) / 64)
    points = projected.exterior.coords
    if crs.geographic:
        first = points[0][0]
        points = [(first + (x - first + 180) % 360 - 180, y) for x, y in points]
    shape = polygon(points, crs)
    return shape.buffer(0.01 * max(shape.boundingbox.span_x, shape.boundingbox.span_y))


def _outside(whole: GeoBox, why: str) -> InputError:
    w, s, e, n = footprint(whole)[1]
    return InputError(
        f"{why}: does not touch the scene, which covers {w:.3f} {s:.3f} {e:.3f} {n:.3f} (west south east north)"
    )


def _grid_of(path: str | Path) -> GeoBox:
    import rasterio
    from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as source:
                crs, transform, shape = source.crs, source.transform, source.shape
    except (RasterioError, CRSError):
        raise InputError(f"--like {path}: cannot be opened as a raster") from None
    if crs is None or transform.is_identity:
        raise InputError(f"--like {path}: has no position on the ground; give a georeferenced raster")
    return GeoBox(shape, Affine(*transform[:6]), str(crs))
