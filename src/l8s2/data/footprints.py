"""Footprints on the globe: how much two have in common, across the antimeridian as anywhere else. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely  # type: ignore[import-untyped]
from shapely.geometry import shape  # type: ignore[import-untyped]

from l8s2.errors import InputError

EARTH_KM2 = 4 * np.pi * 6371.0088**2


@dataclass(frozen=True)
class Footprint:
    """A GeoJSON polygon or several, WGS 84; cut at the antimeridian, running across it, or with longitudes beyond 180.

    Raises InputError for what is none.
    """

    geometry: Mapping[str, Any]

    @cached_property
    def plane(self) -> Any:
        """A shapely geometry in one piece, longitudes continuous, on the equal-area cylinder (degrees, sin(latitude))."""
        try:
            whole = shape(self.geometry)
            parts = [_unwrapped(part) for part in getattr(whole, "geoms", [whole])]
            west, _, east, _ = shapely.total_bounds(parts)
            if east - west > 180:
                parts = [_shifted(part, 360) if part.bounds[2] <= 0 else part for part in parts]
            plane = shapely.make_valid(shapely.union_all(shapely.transform(parts, _equal_area)))
        except (KeyError, TypeError, ValueError, AttributeError, shapely.errors.ShapelyError) as error:
            raise InputError(f"{str(self.geometry)[:60]}: not a GeoJSON polygon ({error})") from None
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
        (west, _, east, _), (other_west, _, other_east, _) = self.plane.bounds, other.plane.bounds
        turns = [turn for turn in (-360, 0, 360) if other_west + turn < east and west < other_east + turn]
        return float(_km2(sum(self.plane.intersection(_shifted(other.plane, turn)).area for turn in turns)))


def _km2(area: float) -> float:
    return area / 720 * EARTH_KM2  # the whole cylinder: 360 degrees by 2


def _unwrapped(part: Any) -> Any:
    west, _, east, _ = part.bounds
    if east - west <= 180:
        return part
    return shapely.transform(part, lambda xy: np.stack([np.where(xy[:, 0] < 0, xy[:, 0] + 360, xy[:, 0]), xy[:, 1]], 1))


def _shifted(part: Any, degrees: float) -> Any:
    return shapely.transform(part, lambda xy: xy + np.array([degrees, 0.0])) if degrees else part


def _equal_area(xy: Any) -> Any:
    return np.stack([xy[:, 0], np.sin(np.radians(xy[:, 1]))], 1)
