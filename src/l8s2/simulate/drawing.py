"""Drawing on numpy rasters (rows, columns): noise, parcels of land, curves, cast shadows. y points down."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Float

Points = NDArray[np.float64]

OBLIQUE = 3 * math.pi / 8
"""Radians: across rows, columns and diagonals of an image."""


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Float:
    """Noise of mean 0 and standard deviation 1 whose blobs are about ``scale`` pixels wide."""
    down, across = (_spline_matrix(n, scale) for n in shape)
    knots = rng.standard_normal((down.shape[1], across.shape[1]), dtype=np.float32)
    spread = np.float32(0.479)  # mean of the sum of squared spline weights, per axis
    return np.asarray(down @ knots @ across.T / spread, dtype=np.float32)


def fractal_noise(rng: np.random.Generator, shape: tuple[int, int], scale: float, octaves: int = 4) -> Float:
    """``smooth_noise`` at ``scale``, ``scale`` / 2, ... pixels, each octave 0.55 as strong as the one before."""
    weights = 0.55 ** np.arange(octaves)
    layers = [w * smooth_noise(rng, shape, scale / 2**i) for i, w in enumerate(weights.astype(np.float32))]
    return np.asarray(sum(layers) / np.sqrt(np.sum(weights**2)), dtype=np.float32)


def _spline_matrix(size: int, scale: float) -> Float:
    """(size, knots): cubic B-spline weights of knots ``scale`` pixels apart."""
    knot, t = np.divmod(np.arange(size) / scale, 1)
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3],
        axis=1,
    )
    columns = knot.astype(int)[:, None] + np.arange(4)
    matrix = np.zeros((size, int(columns.max()) + 1), dtype=np.float32)
    np.put_along_axis(matrix, columns, (weights / 6).astype(np.float32), axis=1)
    return matrix


@dataclass(frozen=True)
class Parcel:
    """A convex piece of land."""

    corners: Points
    """(n, 2) x, y in metres, in order around the parcel."""
    verges: Points
    """(n,) half width in metres of the road or margin along the edge from corner i to the next."""

    @property
    def area(self) -> float:
        """Square metres."""
        x, y = self.corners.T
        return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))

    @property
    def centre(self) -> Points:
        """(2,) mean of the corners."""
        centre: Points = self.corners.mean(axis=0)
        return centre

    def edges(self) -> tuple[Points, Points, Points]:
        """Return normals into the parcel (n, 2), their offsets (n,) and edge lengths (n,).

        The distance of a point from an edge is normal . xy - offset.
        """
        along = np.roll(self.corners, -1, axis=0) - self.corners
        length = np.maximum(np.hypot(*along.T), 1e-9)
        normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / length[:, None]
        offset = np.sum(normal * self.corners, axis=1)
        inward = np.where(normal @ self.centre < offset, -1.0, 1.0)
        return normal * inward[:, None], offset * inward, length

    def cut(self, point: Points, normal: Points, verge: float) -> tuple[Parcel, Parcel]:
        """Return the two sides of the line through ``point`` with ``normal``; ``verge`` runs along the cut."""
        side = (self.corners - point) @ normal
        return self._clip(side, verge), self._clip(-side, verge)

    def _clip(self, side: Points, verge: float) -> Parcel:
        corners, verges = [], []
        for i, s in enumerate(side):
            j = (i + 1) % len(side)
            if s >= 0:
                corners.append(self.corners[i])
                verges.append(self.verges[i])
            if s * side[j] < 0:
                corners.append(self.corners[i] + s / (s - side[j]) * (self.corners[j] - self.corners[i]))
                verges.append(verge if s >= 0 else self.verges[i])
        return Parcel(np.array(corners), np.array(verges))


def divide(rng: np.random.Generator, parcel: Parcel, area: float, verges: tuple[float, ...]) -> Iterator[Parcel]:
    """Cut a parcel into smaller ones of about ``area`` square metres, as land is inherited: mostly across its length.

    ``verges``: half widths of the roads of the first, second, ... generation of cuts; the last one serves all others.
    """
    if parcel.area < area * rng.lognormal(0.45, 0.5):
        yield parcel
        return
    x, y = (parcel.corners - parcel.centre).T
    heading = _principal_axis(x, y)
    spread = [float(np.ptp(x * math.cos(a) + y * math.sin(a))) for a in (heading, heading + math.pi / 2)]
    if spread[1] > 0.4 * spread[0] and rng.random() < 0.3:
        heading += math.pi / 2
        spread.reverse()
    normal_heading = heading + rng.normal(0, 0.05)
    normal = np.array([math.cos(normal_heading), math.sin(normal_heading)])
    point = parcel.centre + rng.uniform(-0.16, 0.16) * spread[0] * normal
    for half in parcel.cut(point, normal, verges[0]):
        yield from divide(rng, half, area, verges[1:] or verges)


def _principal_axis(x: Points, y: Points) -> float:
    """Return radians; OBLIQUE where all axes are alike, as in a square.

    There rounding, which differs by machine, would choose an axis.
    """
    sine, cosine, both = (float(np.sum(moment)) for moment in (2 * x * y, x * x - y * y, x * x + y * y))
    return OBLIQUE if math.hypot(sine, cosine) < 1e-9 * both else 0.5 * math.atan2(sine, cosine)


def meander(rng: np.random.Generator, start: Points, heading: float, length: float, bend: float, wave: float) -> Points:
    """Return a sine-generated curve, (n, 2) x, y in metres every 10 m.

    ``heading``: radians, mean direction; ``bend``: radians, largest deviation from it; ``wave``: metres, mean length of
    a pair of bends along the curve.
    """
    steps = max(2, round(length / 10))
    phase = np.cumsum(2 * np.pi * 10 / wave * rng.uniform(0.6, 1.4, steps // 20 + 2).repeat(20)[:steps])
    strength = np.interp(np.arange(steps) / 50, np.arange(steps // 50 + 2), rng.uniform(0.45, 1, steps // 50 + 2))
    angle = heading + bend * strength * np.sin(phase + rng.uniform(0, 2 * np.pi))
    xy = 10 * np.cumsum(np.stack([np.cos(angle), np.sin(angle)], axis=1), axis=0)
    along = np.array([math.cos(heading), math.sin(heading)])
    across = np.array([-along[1], along[0]])
    return start + np.outer(xy @ along, along) + np.outer(xy @ across - (xy @ across).mean(), across)


def distance_to_curve(shape: tuple[int, int], points: Points, reach: float) -> Float:
    """Distance in pixels of every pixel centre from a polyline of (column, row) points; infinite beyond ``reach``."""
    distance = np.full(shape, np.inf, dtype=np.float32)
    for (x0, y0), (x1, y1) in pairwise(points):
        top, bottom = max(0, math.floor(min(y0, y1) - reach)), min(shape[0], math.ceil(max(y0, y1) + reach) + 1)
        left, right = max(0, math.floor(min(x0, x1) - reach)), min(shape[1], math.ceil(max(x0, x1) + reach) + 1)
        if top >= bottom or left >= right:
            continue
        x = np.arange(left, right, dtype=np.float32) - np.float32(x0)
        y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(y0)
        dx, dy = np.float32(x1 - x0), np.float32(y1 - y0)
        t = np.clip((x * dx + y * dy) / max(dx * dx + dy * dy, np.float32(1e-9)), 0, 1)
        window = distance[top:bottom, left:right]
        np.minimum(window, np.hypot(x - t * dx, y - t * dy), out=window)
    distance[distance > reach] = np.inf
    return distance


def moved(image: Float, rows: int, columns: int) -> Float:
    """Move an image down and right by whole pixels; what comes in over the edge is 0."""
    result = np.zeros_like(image)
    (to_r, from_r), (to_c, from_c) = (
        (slice(max(0, d), max(0, n + min(0, d))), slice(max(0, -d), max(0, n - max(0, d))))
        for d, n in zip((rows, columns), image.shape, strict=True)
    )
    result[to_r, to_c] = image[from_r, from_c]
    return result


def cast_shadow(height: Float, pixel: float, elevation: float, azimuth: float) -> NDArray[np.bool_]:
    """Where the sun does not reach the ground or the canopy.

    Args:
        height: metres above ground.
        pixel: pixel size, metres.
        elevation: of the sun, degrees.
        azimuth: of the sun, degrees clockwise from north (up).
    """
    slope = math.tan(math.radians(elevation))
    away = (math.cos(math.radians(azimuth)), -math.sin(math.radians(azimuth)))  # rows, columns
    dark = np.zeros(height.shape, dtype=bool)
    for step in range(1, math.ceil(float(height.max()) / slope / pixel) + 1):
        occluder = moved(height, round(step * away[0]), round(step * away[1]))
        dark |= occluder - np.float32(step * pixel * slope) > height
    return dark
