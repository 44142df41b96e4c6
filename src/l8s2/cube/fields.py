"""Points and polygons of a GeoJSON file as weighted pixels of a cube."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from l8s2.arrays import Values
from l8s2.errors import InputError

Kind = Literal["points", "polygons"]
_TYPES = {"points": ("Point",), "polygons": ("Polygon", "MultiPolygon")}
_EDGE = 0.001
"""Degrees, some 100 m: longest edge that is reprojected as a straight line."""
_AREA = 1e-9
"""Square pixels of which a polygon has more."""
_NEEDS = "needs exactextract; install it with: pip install 'l8s2[cube]'"


class Field(NamedTuple):
    """A point or polygon on the grid of a cube."""

    id: str
    rows: NDArray[np.intp]
    """(n,) of the pixels that it covers, within the cube."""
    columns: NDArray[np.intp]
    weights: Values
    """(n,) share of each pixel that is covered, 0 to 1."""
    size: float
    """Pixels that the whole of it covers, also beyond the cube."""
    properties: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    """Of the feature."""


def read_fields(path: Path, kind: Kind, box: GeoBox, id_property: str | None = None) -> list[Field]:
    """Read the features of a GeoJSON file in WGS 84, and lay them on a grid; those outside have no pixels.

    A point is the pixel that it lies in. Edges of polygons are densified before they are reprojected; the weight of a
    pixel is the share of its area that lies inside (exactextract).

    Args:
        path: the file.
        kind: what its features are.
        box: grid of the cube.
        id_property: property that names a feature; by default the feature's ``id``, the property ``id``, or its number.

    Raises:
        InputError: The file is anything else, or an id occurs twice.
    """
    fields: dict[str, Field] = {}
    for number, feature in enumerate(_features(path), 1):
        name = _id(feature, number, id_property, path)
        if name in fields:
            raise InputError(f"{path}: id {name!r} occurs twice; name another property with `id`")
        where = f"{path}: feature {name!r}"
        geometry = _geometry(feature, kind, where).to_crs(box.crs, resolution=_EDGE if kind == "polygons" else math.inf)
        field = (_on_pixel if kind == "points" else _on_pixels)(name, geometry, box, where)
        fields[name] = field._replace(properties=feature.get("properties") or {})
    return list(fields.values())


def _features(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        features = content["features"] if content["type"] == "FeatureCollection" else [content]
        crs = str((content.get("crs") or {}).get("properties", {}).get("name", "CRS84"))
        if not features or not all(feature["type"] == "Feature" for feature in features):
            raise ValueError("no features")
        if not all(isinstance(f.get(key) or {}, dict) for f in features for key in ("geometry", "properties")):
            raise ValueError("a geometry or properties that are no object")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a GeoJSON file") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: no GeoJSON of features ({error}); convert it with ogr2ogr -f GeoJSON") from None
    if not crs.endswith(("CRS84", "4326")):
        raise InputError(f"{path}: is in {crs}; GeoJSON is in WGS 84: ogr2ogr -t_srs EPSG:4326 converts it")
    return list(features)


def _id(feature: dict[str, Any], number: int, id_property: str | None, path: Path) -> str:
    properties = feature.get("properties") or {}
    if id_property is not None:
        if properties.get(id_property) is None:
            raise InputError(f"{path}: feature {number} has no property {id_property!r}; name another with `id`")
        return str(properties[id_property])
    return str(next(name for name in (feature.get("id"), properties.get("id"), number) if name is not None))


def _geometry(feature: dict[str, Any], kind: Kind, where: str) -> Geometry:
    shape = feature.get("geometry") or {}
    if shape.get("type") not in _TYPES[kind]:
        raise InputError(f"{where}: is {shape.get('type')}, not one of {', '.join(_TYPES[kind])}; take it out")
    try:
        geometry = Geometry(shape, "EPSG:4326")
        west, south, east, north = geometry.boundingbox.bbox
        usable = bool(geometry.is_valid) and -180 <= west <= east <= 180 and -90 <= south <= north <= 90
    except Exception:  # shapely has many
        usable = False
    if not usable:
        raise InputError(
            f"{where}: its outline crosses itself, is empty or is not in degrees; ogr2ogr -makevalid may mend it"
        )
    return geometry


def _on_pixel(name: str, point: Geometry, box: GeoBox, where: str) -> Field:
    column, row = ~box.affine @ point.coords[0]
    at = np.array([[math.floor(row)], [math.floor(column)]], np.intp)
    inside = 0 <= at[0, 0] < box.shape[0] and 0 <= at[1, 0] < box.shape[1]
    rows, columns = at if inside else at[:, :0]
    return Field(name, rows, columns, np.ones(int(inside)), 1.0)


def _on_pixels(name: str, polygon: Geometry, box: GeoBox, where: str) -> Field:
    try:
        from exactextract import exact_extract
        from exactextract.raster import NumPyRasterSource
    except ImportError:
        raise InputError(_NEEDS) from None
    size = polygon.area / abs(box.affine.determinant)
    if size < _AREA:
        raise InputError(f"{where}: has no area; take it out")
    left, bottom, right, top = polygon.boundingbox.bbox
    (c0, r0), (c1, r1) = ~box.affine @ (left, top), ~box.affine @ (right, bottom)
    rows = slice(max(math.floor(r0), 0), min(math.ceil(r1), box.shape[0]))
    columns = slice(max(math.floor(c0), 0), min(math.ceil(c1), box.shape[1]))
    none = np.empty(0, np.intp)
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return Field(name, none, none, np.empty(0), size)
    part = box[rows, columns]
    source = NumPyRasterSource(np.broadcast_to(np.int8(0), part.shape).copy(), *part.boundingbox.bbox)
    feature = {"type": "Feature", "properties": {}, "geometry": polygon.json}
    ((found,),) = [exact_extract(source, feature, ["coverage", "cell_id"])]
    cells, weights = found["properties"]["cell_id"], found["properties"]["coverage"]
    covered = weights > 0
    at = np.divmod(np.asarray(cells, np.intp)[covered], part.shape[1])
    return Field(name, at[0] + rows.start, at[1] + columns.start, np.asarray(weights, np.float64)[covered], size)
