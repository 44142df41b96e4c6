"""Footprints on the globe: how much two have in common, across the antimeridian as anywhere else. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import shapely  # type: ignore[import-untyped]
from shapely.geometry import shape  # type: ignore[import-untyped]

from l8s2.errors import InputError

EARTH_KM2 = 4 * np.pi * 6371.0088**2


class PlaneGeometry(Protocol):
    """A shapely geometry in one piece, longitudes continuous, on the equal-area cylinder (degrees, sin(latitude))."""

    @property
    def area(self) -> float:
        """Area on the cylinder, of 720 for the whole Earth."""
        ...

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, low, east, high, in coordinates of the cylinder."""
        ...

    @property
    def centroid(self) -> Any:
        """The centre of mass, a shapely point."""
        ...

    @property
    def is_empty(self) -> bool:
        """Whether the geometry has no point."""
        ...

    def intersection(self, other: PlaneGeometry) -> PlaneGeometry:
        """Return what two geometries have in common, without turning either around the Earth."""
        ...


@dataclass(frozen=True)
class Footprint:
    """One or several GeoJSON polygons, WGS 84: cut at the antimeridian, across it, or with longitudes beyond 180.

    Raises InputError for any other geometry.
    """

    geometry: Mapping[str, Any]

    @cached_property
    def plane(self) -> PlaneGeometry:
        """The footprint on the equal-area cylinder."""
        plane = on_plane(self.geometry)
        if not plane.area > 0:
            raise InputError(f"{str(self.geometry)[:60]}: a footprint without area; it needs a polygon")
        return plane

    @property
    def km2(self) -> float:
        """Area."""
        return float(_km2(self.plane.area))

    @property
    def longitude(self) -> float:
        """Of the middle, degrees, -180 to 180."""
        return float((self.plane.centroid.x + 180) % 360 - 180)

    def common_km2(self, other: Footprint) -> float:
        """Area that two footprints have in common."""
        return float(_km2(common(self.plane, other.plane).area))


def on_plane(geometry: Mapping[str, Any]) -> PlaneGeometry:
    """Project any GeoJSON geometry, points and lines too. Raises InputError for anything else."""
    try:
        whole = shape(geometry)
        if whole.is_empty:
            raise ValueError("no coordinates")
        parts = [_unwrapped(part) for part in getattr(whole, "geoms", [whole])]
        west, _, east, _ = shapely.total_bounds(parts)
        if east - west > 180:
            parts = [_shifted(part, 360) if part.bounds[2] <= 0 else part for part in parts]
        plane: PlaneGeometry = shapely.make_valid(shapely.union_all(shapely.transform(parts, _equal_area)))
        return plane
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, shapely.errors.ShapelyError) as error:
        raise InputError(f"{str(geometry)[:60]}: not a GeoJSON polygon ({error})") from None


def rectangle(bbox: tuple[float, float, float, float]) -> PlaneGeometry:
    """Project west, south, east, north in degrees; west > east crosses the antimeridian."""
    west, south, east, north = bbox
    box = shapely.box(west, south, east if west <= east else east + 360, north)
    plane: PlaneGeometry = shapely.transform(box, _equal_area)
    return plane


def common(one: PlaneGeometry, other: PlaneGeometry) -> PlaneGeometry:
    """Return what two geometries have in common, with the longitudes of ``one``."""
    (west, _, east, _), (other_west, _, other_east, _) = one.bounds, other.bounds
    turns = [turn for turn in (-360, 0, 360) if other_west + turn <= east and west <= other_east + turn]
    shared: PlaneGeometry = shapely.union_all([one.intersection(_shifted(other, turn)) for turn in turns])
    return shared


def widened(plane: PlaneGeometry, degrees: float) -> PlaneGeometry:
    """Grow a geometry on all sides, so that points and lines have an area."""
    grown: PlaneGeometry = shapely.transform(shapely.transform(plane, _geographic).buffer(degrees), _equal_area)
    return grown


def bbox_of(plane: PlaneGeometry) -> tuple[float, float, float, float]:
    """Return west, south, east, north in degrees; west > east where the geometry crosses the antimeridian."""
    (west, low), (east, high) = _geographic(np.reshape(plane.bounds, (2, 2))).tolist()
    return (west + 180) % 360 - 180, low, (east + 180) % 360 - 180 if east > 180 or west < -180 else east, high


def _km2(area: float) -> float:
    return area / 720 * EARTH_KM2  # the whole cylinder: 360 degrees by 2


def _unwrapped(part: Any) -> Any:
    west, south, east, north = part.bounds
    if east - west <= 180 or max(-south, north) >= 90:  # what holds a pole has every longitude
        return part
    return shapely.transform(part, lambda xy: np.stack([np.where(xy[:, 0] < 0, xy[:, 0] + 360, xy[:, 0]), xy[:, 1]], 1))


def _shifted(part: Any, degrees: float) -> Any:
    return shapely.transform(part, lambda xy: xy + np.array([degrees, 0.0])) if degrees else part


def _equal_area(xy: Any) -> Any:
    return np.stack([xy[:, 0], np.sin(np.radians(np.clip(xy[:, 1], -90, 90)))], 1)


def _geographic(xy: Any) -> Any:
    return np.stack([xy[:, 0], np.degrees(np.arcsin(np.clip(xy[:, 1], -1, 1)))], 1)
