"""Outlines of grids, and of the pixels in them that are known, in longitude and latitude. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from odc.geo import CRS
from odc.geo.geobox import GeoBox

from l8s2.arrays import Mask, Values

_POINTS_A_SIDE = 8
"""Points along each side of a grid, and as close along an outline within it."""


class Known(NamedTuple):
    """Where a raster is known, coarsely."""

    cells: Mask
    """(h, w), True where any pixel in a cell is known."""
    step: int
    """Pixels to a side of a cell."""


def ring(box: GeoBox, to_a_side: int) -> tuple[Values, Values]:
    """Return (4 n + 1,) longitudes and latitudes around a grid, n to a side, closed; degrees, WGS 84.

    Longitudes are continuous: they go beyond 180 for a grid that crosses the antimeridian. A grid without a coordinate
    reference system gives its own coordinates.
    """
    height, width = box.shape
    return _degrees(box, _densified(_corners(box), (width / to_a_side, height / to_a_side)))


def footprint(geobox: GeoBox, known: Known | None = None) -> tuple[dict[str, Any], list[float]]:
    """Return the outline of a grid in WGS 84 as GeoJSON geometry, and its bbox (west, south, east, north).

    An outline that crosses the antimeridian is cut in two, and then west > east in the bbox (RFC 7946).

    Args:
        geobox: the grid.
        known: the outline is the convex hull of its cells, a cell or two wider; that of the grid
            where nothing is known.
    """
    from odc.geo.geom import box, polygon, unary_union

    height, width = geobox.shape
    corners = _corners(geobox) if known is None or not known.cells.any() else _hull(known, geobox)
    x, y = _degrees(geobox, _densified(corners, (width / _POINTS_A_SIDE, height / _POINTS_A_SIDE)))
    round_a_pole = abs(x[-1] - x[0]) > 180
    if round_a_pole:
        pole = np.copysign(90, y.mean())
        x, y = np.append(x, [x[-1], x[0]]), np.append(y, [pole, pole])
    x, y = np.round(x - 360 * np.floor((x.min() + 180) / 360), 7), np.round(y, 7)
    outline = polygon([*zip(x.tolist(), y.tolist(), strict=True)], None)
    sides = []  # what lies before the antimeridian, and what lies after it
    for turn in range(int((x.max() + 180) // 360) + 1):
        part = (outline & box(360 * turn - 180, -90, 360 * turn + 180, 90, None)).geom
        pieces = [piece.exterior.coords for piece in getattr(part, "geoms", [part]) if piece.area > 0]
        if pieces:
            sides.append([polygon([(round(lon - 360 * turn, 7), lat) for lon, lat in piece], None) for piece in pieces])
    if round_a_pole:  # its parts meet where the ring was opened
        sides = [[unary_union([part for parts in sides for part in parts])]]
    rings = [[_counterclockwise(part) for part in parts] for parts in sides]
    west, east = (pick(lon for points in rings[k] for lon, _ in points) for k, pick in ((0, min), (-1, max)))
    if round_a_pole:
        west, east = -180.0, 180.0
    every = [points for parts in rings for points in parts]
    latitudes = [lat for points in every for _, lat in points]
    bbox = [west, min(latitudes), east, max(latitudes)]
    if len(every) == 1:
        return {"type": "Polygon", "coordinates": every}, bbox
    return {"type": "MultiPolygon", "coordinates": [[points] for points in every]}, bbox


def _counterclockwise(part: Any) -> list[list[float]]:
    line = part.exterior.geom
    return [list(point) for point in (line if line.is_ccw else line.reverse()).coords]


def _corners(box: GeoBox) -> Values:
    """Return the corners of a grid (5, 2), column and row, closed, clockwise as it is drawn."""
    height, width = box.shape
    return np.array([[0, 0], [width, 0], [width, height], [0, height], [0, 0]], np.float64)


def _hull(known: Known, geobox: GeoBox) -> Values:
    """Return the convex hull of the cells with few corners, (n, 2) as ``_corners``, within the grid.

    It is grown by a cell and then simplified by less than one, so that no pixel gets out of it.
    """
    from odc.geo.geom import box, multipoint

    height, width = geobox.shape
    rows = np.flatnonzero(known.cells.any(1))
    first = known.cells[rows].argmax(1)
    last = known.cells.shape[1] - known.cells[rows, ::-1].argmax(1)
    points = np.concatenate([np.stack([columns, rows + below], 1) for columns in (first, last) for below in (0, 1)])
    hull = multipoint((known.step * points).tolist(), None).convex_hull.geom
    grown = hull.buffer(known.step, join_style="mitre").simplify(0.9 * known.step)
    return np.asarray(grown.intersection(box(0, 0, width, height, None).geom).exterior.coords)


def _densified(corners: Values, step: tuple[float, float]) -> Values:
    """Put points between corners so that neighbours are at most ``step`` columns and rows apart."""
    sides = [
        begin + (end - begin) * np.linspace(0, 1, _number(end - begin, step), endpoint=False)[:, None]
        for begin, end in pairwise(corners)
    ]
    return np.concatenate([*sides, corners[-1:]])


def _number(side: Values, step: tuple[float, float]) -> int:
    return max(1, int(np.ceil((np.abs(side) / step).max() - 1e-9)))


def _degrees(box: GeoBox, points: Values) -> tuple[Values, Values]:
    a, (columns, rows) = box.affine, points.T
    x, y = a.a * columns + a.b * rows + a.c, a.d * columns + a.e * rows + a.f
    if box.crs is not None:
        x, y = box.crs.transformer_to_crs(CRS("EPSG:4326"))(x, y)
    return np.unwrap(np.asarray(x), period=360), np.asarray(y)
