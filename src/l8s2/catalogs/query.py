"""A search: area, time, sensor, clouds. Pure."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from l8s2.errors import InputError

SENSORS = ("landsat", "sentinel-2", "both")
DEFAULT_CATALOGS = ("usgs", "earth-search")
_INSTANT = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d([.]\d+)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Query:
    """A search. Raises InputError for values that no catalogue can answer."""

    datetime: str
    """``2023-05-20``, ``2023-05``, ``2023-05-01/2023-05-31``, open with ``..``: ``2023-05-01/..``."""
    bbox: tuple[float, float, float, float] | None = None
    """West, south, east, north, WGS 84 degrees; west > east crosses the antimeridian."""
    intersects: dict[str, Any] | None = None
    """Or a GeoJSON geometry, cut at the antimeridian."""
    sensor: str = "landsat"
    """``landsat``, ``sentinel-2`` or ``both``."""
    max_cloud: float | None = None
    """Percent; scenes of unknown cloud cover do not pass."""
    limit: int | None = None
    """At most so many scenes of each sensor, in the order of the catalogue, which is the newest first."""
    pan: bool = True
    """Look for the Level-1 product with pan of each Landsat scene."""
    catalogs: tuple[str, ...] = DEFAULT_CATALOGS
    """Names or addresses. Each sensor is searched in the first that has it."""

    def __post_init__(self) -> None:
        if self.sensor not in SENSORS:
            raise InputError(f"sensor {self.sensor!r}: give one of {', '.join(SENSORS)}")
        if (self.bbox is None) == (self.intersects is None):
            raise InputError("a search needs one place: give a bbox or a geometry, not both")
        if self.bbox is not None:
            _check_bbox(self.bbox)
        if self.max_cloud is not None and not 0 <= self.max_cloud <= 100:
            raise InputError(f"cloud limit {self.max_cloud:g}: give percent, 0 to 100")
        if self.limit is not None and self.limit < 1:
            raise InputError(f"limit {self.limit}: give 1 or more")
        if not self.catalogs:
            raise InputError("no catalogue given; the default is " + ", ".join(DEFAULT_CATALOGS))
        _check_interval(self.datetime)

    def areas(self) -> list[dict[str, Any]]:
        """Return the area as parameters of one search, or of two where it crosses the antimeridian."""
        if self.bbox is None:
            return [{"intersects": self.intersects}]
        west, south, east, north = self.bbox
        if west <= east:
            return [{"bbox": self.bbox}]
        halves = [(west, south, 180.0, north), (-180.0, south, east, north)]
        return [{"bbox": half} for half in halves if half[0] < half[2]]


def read_area(path: Path) -> dict[str, Any]:
    """Read the geometry of a GeoJSON file: a geometry, a Feature, or the features of a FeatureCollection together.

    Raises InputError where there is none, or where it is not in longitude and latitude.
    """
    import shapely  # type: ignore[import-untyped]
    from shapely.geometry import mapping, shape  # type: ignore[import-untyped]

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        features = content["features"] if content["type"] == "FeatureCollection" else [content]
        shapes = [shape(feature["geometry"] if feature["type"] == "Feature" else feature) for feature in features]
        whole = shapely.union_all(shapes) if len(shapes) > 1 else shapes[0]
        west, south, east, north = whole.bounds
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a GeoJSON file") from None
    except (
        ArithmeticError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        shapely.errors.ShapelyError,
    ):
        raise InputError(f"{path}: no GeoJSON geometry in it; give a Feature or a geometry") from None
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise InputError(
            f"{path}: reaches from {west:g} {south:g} to {east:g} {north:g}; GeoJSON is in degrees, longitude first,"
            " and cut at the antimeridian"
        )
    return dict(json.loads(json.dumps(mapping(whole))))


def _check_bbox(bbox: tuple[float, float, float, float]) -> None:
    west, south, east, north = bbox
    text = " ".join(f"{value:g}" for value in bbox)
    if not all(map(math.isfinite, bbox)) or max(abs(west), abs(east)) > 180 or max(abs(south), abs(north)) > 90:
        raise InputError(
            f"bbox {text}: give west south east north in degrees, longitude -180 to 180, latitude -90 to 90"
        )
    if south >= north:
        raise InputError(f"bbox {text}: south is not below north; the order is west south east north")
    if west == east:
        raise InputError(f"bbox {text}: west and east are the same; the order is west south east north")


def _check_interval(text: str) -> None:
    ends = text.split("/")
    if len(ends) > 2 or all(end in ("", "..") for end in ends):
        raise InputError(f"datetime {text!r}: give a day, a month, or two of them as from/to; '..' leaves an end open")
    bounds = [_instant(end, text) for end in ends if end not in ("", "..")]
    if len(bounds) == 2 and bounds[0][: len(bounds[1])] > bounds[1]:
        raise InputError(f"datetime {text!r}: ends before it begins; the order is from/to")


def _instant(end: str, text: str) -> str:
    if _INSTANT.fullmatch(end):
        try:
            datetime.fromisoformat({4: f"{end}-01-01", 7: f"{end}-01"}.get(len(end), end))
            return end
        except ValueError:
            pass
    raise InputError(f"datetime {text!r}: {end!r} is no date; write it as 2023-05-20 or 2023-05-20T10:30:00Z")
