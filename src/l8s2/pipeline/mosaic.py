"""Scenes of one overpass on one grid: where they overlap, each pixel is of one of them. Nothing is averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.geom import multipoint

from l8s2 import masks
from l8s2.arrays import Float, Mask, Values
from l8s2.landsat.scene import Scene
from l8s2.pipeline.layers import Layer, Part

CELL = 32
"""10 m pixels to a side of the squares that come from one scene, so that a seam follows regions, not single pixels."""
TELLING = 0.1
"""Share of a cell by which a scene must have fewer pixels that are flagged, or doubted, to be preferred for it."""
ALIKE = 64.0
"""10 m pixels by which two scenes may be unequally far from their edges, and yet count as equally far."""
_THINNED = 1024
_UNSEEN = masks.flag("no_qa")
_DOUBTED = sum(masks.flag(name) for name in ("do_not_trust", "near_fill", "no_pan", "saturated"))

Index = NDArray[np.uint8]
"""Number of the scene that a pixel, or a cell, is of."""


class Outline:
    """What a scene covers of a grid: the hull of its valid pixels."""

    def __init__(self, scene: Scene, geobox: GeoBox) -> None:
        """``geobox``: the grid that distances and places are told in."""
        corners = _hull(scene, geobox)
        ahead = np.roll(corners, -1, axis=0) - corners
        length = np.hypot(*ahead.T)
        turn = np.sign(np.sum(ahead[:, 0] * np.roll(ahead[:, 1], -1) - ahead[:, 1] * np.roll(ahead[:, 0], -1)))
        self._normals = turn * np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) / length[:, None]
        self._offsets = -(self._normals * corners).sum(1)
        self._centre = (corners.min(0) + corners.max(0)) / 2

    def depth(self, points: Values) -> Values:
        """Return how far points (..., 2), column and row, lie from the edge, in pixels; negative outside."""
        return np.asarray(np.min(points @ self._normals.T + self._offsets, axis=-1))

    def distance(self, points: Values) -> Values:
        """Return how far points (..., 2), column and row, lie from the middle, in pixels."""
        return np.asarray(np.hypot(*np.moveaxis(points - self._centre, -1, 0)))


def _hull(scene: Scene, geobox: GeoBox) -> Values:
    """Return (n, 2) columns and rows in ``geobox`` of the corners around the valid pixels, in order."""
    raster = scene.bands[0].raster
    values, known = raster.thinned(_THINNED)
    known &= values != 0  # fill that the file does not declare
    found = np.flatnonzero(known.any(1))
    if not found.size:
        found, known = np.arange(known.shape[0]), np.ones_like(known)
    first, last = known.argmax(1)[found], known.shape[1] - known[:, ::-1].argmax(1)[found]
    steps = np.array([scene.shape[1] / known.shape[1], scene.shape[0] / known.shape[0]])
    corners = [(c, r + below) for below in (0, 1) for ends in (first, last) for c, r in zip(ends, found, strict=True)]
    world = [scene.geobox.affine @ tuple(point) for point in np.array(corners) * steps]
    hull = multipoint(world, scene.geobox.crs).convex_hull.to_crs(geobox.crs)
    away = ~geobox.affine
    return np.array([away @ point[:2] for point in hull.exterior.coords[:-1]])


class Mosaic:
    """Several layers as one; where two have a pixel, QA decides, then the distance from their edges.

    For each cell: the scene with fewer pixels that are hidden (fill, cloud, its surroundings, cirrus, shadow), then the
    one with fewer that are not to be trusted, if they are fewer by a telling share; then the one whose edge is farther;
    then the one whose middle is nearer. A pixel that this scene lacks comes from another.
    """

    def __init__(self, layers: Sequence[Layer], outlines: Sequence[Outline]) -> None:
        """``outlines``: of each layer's scene, on the grid of the layers."""
        self._layers, self._outlines = layers, outlines

    def part(self, rows: slice, columns: slice) -> Part | None:
        """See Layer."""
        parts = [layer.part(rows, columns) for layer in self._layers]
        present = [part for part in parts if part is not None]
        outlines = [outline for outline, part in zip(self._outlines, parts, strict=True) if part is not None]
        if len(present) < 2:
            return present[0] if present else None
        hidden = np.stack([_share(~masks.usable(part.qa) | (part.qa & _UNSEEN > 0)) for part in present])
        doubted = np.stack([_share(part.qa & _DOUBTED > 0) for part in present])
        choice = _pixels(_choose(outlines, rows, columns, hidden, doubted), present[0].qa.shape)
        choice = _where_known(choice, [part.mean for part in present])
        before = self._joined([part and part.before for part in parts], rows, columns)
        mean, sigma = _picked(choice, [part.mean for part in present]), _picked(choice, [p.sigma for p in present])
        qa = _picked(choice, [part.qa for part in present])
        return Part(present[0].before if before is None else before, mean, sigma, qa)

    def before(self, rows: slice, columns: slice) -> Float | None:
        """See Layer."""
        return self._joined([layer.before(rows, columns) for layer in self._layers], rows, columns)

    def _joined(self, every: Sequence[Float | None], rows: slice, columns: slice) -> Float | None:
        """Join the input by places alone, so that it needs no prediction."""
        known = [part is not None and not np.isnan(part).all() for part in every]
        parts = [part for part, there in zip(every, known, strict=True) if there and part is not None]
        if not parts:
            return None
        outlines = [outline for outline, there in zip(self._outlines, known, strict=True) if there]
        choice = _pixels(_choose(outlines, rows, columns), parts[0].shape[1:])
        return _picked(_where_known(choice, parts), parts)


def _choose(
    outlines: Sequence[Outline],
    rows: slice,
    columns: slice,
    hidden: Values | None = None,
    doubted: Values | None = None,
) -> Index:
    """Choose the scene of each cell of a window; ``hidden``, ``doubted``: (scenes, h, w) shares of each cell."""
    across, down = (np.arange(s.start, s.stop, CELL) + CELL / 2 for s in (columns, rows))
    points = np.stack(np.meshgrid(across, down), axis=-1)
    left = np.ones((len(outlines), *points.shape[:2]), bool)
    for shares in (hidden, doubted):
        if shares is not None:
            left = _fewest(left, shares, TELLING)
    left = _fewest(left, np.stack([-outline.depth(points) for outline in outlines]), ALIKE)
    middle = np.stack([outline.distance(points) for outline in outlines])
    nearest: Index = np.where(left, middle, np.inf).argmin(0).astype(np.uint8)
    return nearest


def _fewest(left: Mask, values: Values, tolerance: float) -> Mask:
    """Keep of the scenes that are left (scenes, h, w) those within ``tolerance`` of the least value."""
    values = np.where(left, values, np.inf)
    kept: Mask = left & (values <= values.min(0) + tolerance)
    return kept


def _share(mask: Mask) -> Values:
    """Return the share of each cell that is True."""
    starts = [np.arange(0, n, CELL) for n in mask.shape]
    sums, sizes = mask.astype(np.float64), np.ones(mask.shape)
    for axis, at in enumerate(starts):
        sums, sizes = np.add.reduceat(sums, at, axis), np.add.reduceat(sizes, at, axis)
    return sums / sizes


def _pixels(cells: Index, shape: tuple[int, int]) -> Index:
    return cells.repeat(CELL, 0).repeat(CELL, 1)[: shape[0], : shape[1]]


def _where_known(choice: Index, parts: Sequence[Float]) -> Index:
    """Replace the choice where another scene has a value in more bands."""
    missing = np.stack([np.isnan(part).sum(0) for part in parts])
    if not missing.any():
        return choice
    chosen = np.take_along_axis(missing, choice[None].astype(np.intp), 0)[0]
    return np.where(chosen > missing.min(0), missing.argmin(0), choice).astype(np.uint8)


_Any = TypeVar("_Any", bound=np.generic)


def _picked(choice: Index, parts: Sequence[NDArray[_Any]]) -> NDArray[_Any]:
    result = parts[0].copy()
    for number, part in enumerate(parts[1:], 1):
        np.copyto(result, part, where=choice == number)
    return result
