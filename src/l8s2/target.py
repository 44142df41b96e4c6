"""The grid of the product: the scene's own, a part of it, a Sentinel-2 tile, or another one by a warp."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

from affine import Affine
from odc.geo import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry, box, polygon, unary_union

from l8s2 import grid
from l8s2.errors import InputError
from l8s2.grid import footprint, mgrs_tile
from l8s2.raster import FORMATS, open_dataset
from l8s2.sensors import OUTPUT_GSD

NATIVE = "native"
"""As ``crs``: the projection of the scene."""


class ElsewhereError(InputError):
    """A scene that the area asked for does not touch."""


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


BBox = tuple[float, float, float, float]
"""West, south, east, north, WGS 84 degrees; west > east crosses the antimeridian."""


@dataclass(frozen=True, kw_only=True)
class Area:
    """The part of a scene to harmonise, and the grid of its product; by default all of it, on its own grid.

    Raises InputError for values that exclude each other, are malformed, or name no grid.
    """

    bbox: BBox | None = None
    """The pixels of the scene's lattice that touch this area."""
    mgrs: str | None = None
    """Name of a Sentinel-2 tile, such as ``43PHQ``: its 10 m grid."""
    crs: str | None = None
    """Coordinate reference system into which the product is warped; ``native`` keeps that of the scene."""
    like: str | Path | None = None
    """Raster whose grid the product gets."""
    grid: GeoBox | None = field(init=False, repr=False, compare=False)
    """The grid of ``mgrs`` or ``like``; None where neither is given."""

    def __post_init__(self) -> None:
        """Check the values; ``like`` is opened once, here."""
        if sum(x is not None for x in (self.mgrs, self.crs, self.like)) > 1:
            raise InputError("`mgrs`, `crs` and `like` each settle the grid; give one of them")
        if self.bbox is not None and (self.mgrs is not None or self.like is not None):
            raise InputError("`bbox` and a full grid (`mgrs`, `like`) exclude each other; give one of them")
        found = None
        if self.bbox is not None:
            _check_bbox(self.bbox)
        if self.crs not in (None, NATIVE):
            _parsed(self.crs)
        if self.mgrs is not None:
            found = mgrs_tile(self.mgrs)
        if self.like is not None:
            found = _grid_of(self.like)
        object.__setattr__(self, "grid", found)

    @property
    def bounds(self) -> BBox | None:
        """What holds ``bbox`` or the tile ``mgrs``; None: the whole scene is needed."""
        if self.mgrs is None:
            return self.bbox
        longitude, latitude = grid.ring(mgrs_tile(self.mgrs), 64)
        west, east = ((float(x) + 180) % 360 - 180 for x in (longitude.min(), longitude.max()))
        return west, float(latitude.min()), east, float(latitude.max())


WHOLE = Area()
"""All of a scene, on its own grid."""


def choose_target(ms: GeoBox, area: Area = WHOLE) -> Target:
    """Choose the product's grid for a scene whose MS grid is ``ms``. Raises InputError for an area outside it."""
    whole = grid.output_geobox(ms)
    if area.grid is not None:
        why = f"`mgrs` {area.mgrs} in {area.grid.crs}" if area.mgrs else f"`like` {Path(area.like or '').name}"
        return target_on(ms, area.grid, why)
    native = whole if area.bbox is None else _part(whole, _geometry(area.bbox), "`bbox`")
    if area.crs not in (None, NATIVE):
        why = _named(area.crs)
        return _onto(ms, native, _in_crs(native, _parsed(area.crs), why), why)
    if area.crs is None and (zone := grid.zone_for(ms)) is not None:
        why = f"{zone}, whose lattice Sentinel-2 has here (`crs` native keeps the pixels as they are)"
        return _onto(ms, native, native.to_crs(zone, resolution=OUTPUT_GSD), why)
    return _on_lattice(ms, native)


def target_on(ms: GeoBox, geobox: GeoBox, why: str) -> Target:
    """Put a scene whose MS grid is ``ms`` onto ``geobox``, which ``why`` names; raises as ``choose_target`` does."""
    return _onto(ms, grid.output_geobox(ms), geobox, why)


def _check_bbox(bbox: BBox) -> None:
    west, south, east, north = bbox
    in_range = -180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90
    if not (in_range and (west < east or (east < 0 < west and west - east > 180))):
        raise InputError(
            f"`bbox` {west:g} {south:g} {east:g} {north:g}: give west < east (unless it crosses the antimeridian) and"
            " south < north in degrees"
        )


def _geometry(bbox: BBox) -> Geometry:
    west, south, east, north = bbox
    return box(west, south, east if west < east else east + 360, north, "EPSG:4326")


def _named(crs: str) -> str:
    return f"`crs` {' '.join(crs.split()):.60}"  # it may be several lines of WKT


def _parsed(crs: str) -> CRS:
    try:
        return CRS(crs)
    except Exception:  # pyproj has many
        raise InputError(f"{_named(crs)}: not a coordinate reference system; give for example EPSG:3035") from None


def _in_crs(native: GeoBox, wanted: CRS, why: str) -> GeoBox:
    """Give the grid ``native`` under the other name of its zone, or the one that odc-geo makes of it in another CRS."""
    for northing in (0, grid.FALSE_NORTHING, -grid.FALSE_NORTHING):
        renamed = GeoBox(native.shape, Affine.translation(0, northing) @ native.affine, wanted)
        if grid.landsat_convention(renamed) == grid.landsat_convention(native):
            return renamed
    try:
        return native.to_crs(wanted)
    except Exception:
        raise InputError(f"{why}: not a map projection for this scene; give for example EPSG:3035") from None


def _onto(ms: GeoBox, native: GeoBox, geobox: GeoBox, why: str) -> Target:
    """Take the pixels of ``native`` as they are where ``geobox`` is on the same lattice, else warp them."""
    ours, theirs = grid.landsat_convention(native), grid.landsat_convention(geobox)
    column, row = ~ours.affine @ (theirs.affine.c, theirs.affine.f)
    aligned = max(abs(column - round(column)), abs(row - round(row))) < grid.TOLERANCE
    if (
        aligned
        and ours.crs == theirs.crs
        and theirs.affine[:2] + theirs.affine[3:5] == ours.affine[:2] + ours.affine[3:5]
    ):
        return _on_lattice(ms, geobox, why)
    part = _part(native, geobox.pad(3).extent, why, margin=20 * OUTPUT_GSD)
    note = f"{why}: warped once from {grid.crs_name(native.crs)}, pixels are interpolated"
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
    notes = []
    if not grid.is_utm(native.crs):
        notes = [f"{grid.crs_name(native.crs)}: 10 m grid within the scene's own, not Sentinel-2's lattice"]
    return Target(
        geobox=native,
        native=native,
        origin=(row, column),
        rows=spans[0],
        columns=spans[1],
        warped=False,
        notes=notes,
    )


def _part(whole: GeoBox, area: Geometry, why: str, margin: float = 0) -> GeoBox:
    """Cut out of ``whole`` the pixels that cover what it shares with ``area``, and ``margin`` metres around."""
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
    """Outline ``whole`` in another coordinate reference system, with unbroken longitudes and generous edges."""
    projected = whole.extent.to_crs(crs, resolution=OUTPUT_GSD * max(whole.shape) / 64)
    points = projected.exterior.coords
    if crs.geographic:
        first = points[0][0]
        points = [(first + (x - first + 180) % 360 - 180, y) for x, y in points]
    shape = polygon(points, crs)
    return shape.buffer(0.01 * max(shape.boundingbox.span_x, shape.boundingbox.span_y))


def _outside(whole: GeoBox, why: str) -> ElsewhereError:
    w, s, e, n = footprint(whole)[1]
    return ElsewhereError(
        f"{why}: does not touch the scene, which covers {w:.3f} {s:.3f} {e:.3f} {n:.3f} (west south east north)"
    )


def _grid_of(path: str | Path) -> GeoBox:
    from rasterio.errors import CRSError, RasterioError

    try:
        with open_dataset(path, *FORMATS) as source:
            crs, transform, shape = source.crs, source.transform, source.shape
    except (RasterioError, CRSError):
        raise InputError(f"`like` {path}: cannot be opened as a raster; give a GeoTIFF or JPEG 2000 on disk") from None
    if crs is None or transform.is_identity:
        raise InputError(f"`like` {path}: has no position on the ground; give a georeferenced raster")
    return GeoBox(shape, Affine(*transform[:6]), str(crs))
