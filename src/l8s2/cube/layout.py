"""What is in a cube: its arrays, their encodings, and the attributes that CF and the Zarr conventions want.

Conventions: CF 1.11; ``spatial:``, ``proj:`` and ``multiscales`` of zarr-conventions, declared in ``zarr_conventions``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2.masks import QA_BITS, flag
from l8s2.radiometry import NODATA, SCALE
from l8s2.sensors import BAND_NAMES, N_BANDS

CHUNK = 1024
"""Pixels to a side of a chunk, which holds one observation."""
TIMES = 4096
"""Observations in a chunk of what has one value for each."""
SCHEMA = "l8s2-cube/1"
SIGMA = "sigma_detail_{}"
"""Name of the array with the standard error of a band."""
LAYERS = (*BAND_NAMES, *(SIGMA.format(name) for name in BAND_NAMES), "qa")
"""Arrays of (time, y, x)."""
OVERVIEW_LAYERS = (*BAND_NAMES, "qa")
"""Layers of an overview; a mean of standard errors is not the standard error of a mean."""
SINCE = "seconds since 1970-01-01T00:00:00"
_CONVENTIONS = [
    {
        "uuid": uuid, "name": name, "description": description,
        "schema_url": f"https://raw.githubusercontent.com/{place}/refs/tags/v1/schema.json",
        "spec_url": f"https://github.com/{place}/blob/v1/README.md",
    }
    for uuid, name, place, description in (
        ("689b58e2-cf7b-45e0-9fff-9cfc0883d6b4", "spatial:", "zarr-conventions/spatial",
         "Spatial coordinate information"),
        ("f17cb550-5864-4468-aeb7-f3180cfb622f", "proj:", "zarr-experimental/geo-proj",
         "Coordinate reference system information for geospatial data"),
        ("d35379db-88df-4056-af3a-620245f8e347", "multiscales", "zarr-conventions/multiscales",
         "Multiscale layout of zarr datasets"),
    )
]  # fmt: skip


class Column(NamedTuple):
    """An array with a value for each observation, or one for each observation and band."""

    dtype: str
    attributes: dict[str, Any]
    by_band: bool = False


COLUMNS = {
    "time": Column("int64", {"standard_name": "time", "long_name": "time of observation, UTC", "axis": "T",
                             "units": SINCE, "calendar": "proleptic_gregorian"}),
    "sensor": Column("string", {"long_name": "sensor: oli (through a model that imitates Sentinel-2A) or msi"}),
    "platform": Column("string", {"standard_name": "platform_id"}),
    "item_id": Column("string", {"long_name": "id of the STAC Item of the observation"}),
    "orbit": Column("int16", {"long_name": "WRS-2 path of Landsat, relative orbit of Sentinel-2; -1 is unknown"}),
    "solar_day": Column("int32", {"long_name": "day by the sun at the middle of the cube",
                                  "units": "days since 1970-01-01", "calendar": "proleptic_gregorian"}),
    "boa_offset": Column("float32", {"long_name": "reflectance = digital number / 10000 + boa_offset; of Sentinel-2",
                                     "units": "1"}),
    "boa_offset_why": Column("string", {"long_name": "how the offset was decided"}),
    "nbar_factor": Column("float32", {"long_name": "c-factor, contained in reflectance", "units": "1"}, True),
    "sigma_level_absolute": Column("float32", {
        "long_name": "a of the standard error of level, sqrt(a^2 + (g * reflectance)^2), alike over a scene",
        "units": "1"}, True),
    "sigma_level_relative": Column("float32", {"long_name": "g of the standard error of level", "units": "1"}, True),
}  # fmt: skip
"""Coordinates of time. NaN or empty is: does not apply."""


def group_attributes(box: GeoBox, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of the cube; ``settings`` are those that every later call must share."""
    multiscales = {"multiscales": _multiscales(box)} if overviews(box) else {}
    return {
        "Conventions": "CF-1.11",
        "title": "Surface reflectance of Landsat-8/9 at 10 m and of Sentinel-2, side by side",
        "comment": "Observations are never fused: each has a time, sensor and platform of its own.",
        "l8s2:schema": SCHEMA,
        "l8s2:settings": settings,
        "zarr_conventions": _CONVENTIONS if multiscales else _CONVENTIONS[:2],
        **multiscales,
        **_place(box),
    }


def overviews(box: GeoBox) -> dict[str, GeoBox]:
    """Return the grids of the overviews of a cube by the names of their groups, which are those that GDAL gives.

    Each has half the pixels of the next finer one to a side, rounded up; the coarsest fits into a chunk.
    """
    found: dict[str, GeoBox] = {}
    while max(box.shape) > CHUNK:
        box = GeoBox((-(-box.shape[0] // 2), -(-box.shape[1] // 2)), box.affine @ Affine.scale(2), box.crs)
        found[f"ovr_{2 ** (len(found) + 1)}x"] = box
    return found


def overview_attributes(box: GeoBox) -> dict[str, Any]:
    """Return the attributes of the group of an overview."""
    return {"Conventions": "CF-1.11", "zarr_conventions": _CONVENTIONS[:2], **_place(box)}


def _multiscales(box: GeoBox) -> dict[str, Any]:
    """Return the layout: the cube itself, then each overview and how it follows from the one before, by time, y, x."""
    layout: list[dict[str, Any]] = [{"asset": ".", "transform": {"scale": [1.0, 1.0, 1.0]}, **_extent(box)}]
    for name, coarser in overviews(box).items():
        made = {"derived_from": layout[-1]["asset"], "transform": {"scale": [1.0, 2.0, 2.0]}}
        layout.append({"asset": name, **made, "resampling_method": "average", **_extent(coarser)})
    return {"layout": layout}


def _extent(box: GeoBox) -> dict[str, Any]:
    return {key: value for key, value in _place(box).items() if key in ("spatial:shape", "spatial:transform")}


def _place(box: GeoBox) -> dict[str, Any]:
    bounds = box.boundingbox
    return {
        "proj:code": str(box.crs),
        "spatial:dimensions": ["y", "x"],
        "spatial:transform": [float(v) for v in box.affine[:6]],
        "spatial:bbox": [bounds.left, bounds.bottom, bounds.right, bounds.top],
        "spatial:shape": [int(n) for n in box.shape],
        "spatial:registration": "pixel",
    }


def make_arrays(group: Any, box: GeoBox, columns: dict[str, NDArray[Any]], layers: Sequence[str] = LAYERS) -> None:
    """Make every array in a Zarr group and fill all but the layers.

    Args:
        group: empty.
        box: grid of the cube, or of an overview.
        columns: the values of COLUMNS, (n,) or (n, 6).
        layers: LAYERS or OVERVIEW_LAYERS.
    """
    import pyproj
    from zarr.codecs import BloscCodec

    n, (height, width), a = len(columns["time"]), box.shape, box.affine
    chunks = (1, min(CHUNK, height), min(CHUNK, width))
    codec = BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")
    for name in layers:
        group.create_array(
            name, shape=(n, height, width), chunks=chunks, dtype="uint16" if name == "qa" else "int16",
            fill_value=flag("fill") if name == "qa" else NODATA, compressors=codec,
            dimension_names=("time", "y", "x"), attributes=_layer_attributes(name, layers) | _place(box),
        )  # fmt: skip
    mapping = pyproj.CRS(str(box.crs)).to_cf() | {"GeoTransform": " ".join(map(str, a.to_gdal()))}
    _add(group, "spatial_ref", np.zeros((), np.int64), (), mapping)
    for name, first, step, size in (("y", a.f, a.e, height), ("x", a.c, a.a, width)):
        attributes = {"standard_name": f"projection_{name}_coordinate", "units": "metre", "axis": name.upper()}
        _add(group, name, first + step * (np.arange(size) + 0.5), (name,), attributes)
    _add(group, "band", np.array(BAND_NAMES, np.dtypes.StringDType()), ("band",), {"long_name": "name of the band"})
    for name, column in COLUMNS.items():
        dimensions = ("time", "band") if column.by_band else ("time",)
        _add(group, name, columns[name], dimensions, column.attributes, (TIMES, N_BANDS)[: len(dimensions)])


def _add(
    group: Any,
    name: str,
    values: NDArray[Any],
    dimensions: Sequence[str],
    attributes: dict[str, Any],
    chunks: Sequence[int] | None = None,
) -> None:
    array = group.create_array(
        name, shape=values.shape, dtype=str if values.dtype.kind == "T" else values.dtype,
        chunks=tuple(chunks or (max(n, 1) for n in values.shape)), dimension_names=tuple(dimensions),
        attributes=attributes,
        fill_value=np.nan if values.dtype.kind == "f" else None,
    )  # fmt: skip
    if values.size:
        array[...] = values


def _layer_attributes(name: str, layers: Sequence[str]) -> dict[str, Any]:
    common: dict[str, Any] = {
        "grid_mapping": "spatial_ref",
        "coordinates": " ".join(["spatial_ref", *(name for name in COLUMNS if name != "time")]),
    }
    if name == "qa":
        return {
            "standard_name": "quality_flag", "long_name": "quality bits; 0 is clean",
            "flag_masks": [1 << bit.bit for bit in QA_BITS], "flag_meanings": " ".join(bit.name for bit in QA_BITS),
            **common,
        }  # fmt: skip
    stored = {"units": "1", "scale_factor": SCALE, "_FillValue": NODATA}
    if name in BAND_NAMES:
        about = {
            "standard_name": "surface_bidirectional_reflectance", "long_name": f"surface reflectance, {name}",
            "ancillary_variables": " ".join(other for other in (SIGMA.format(name), "qa") if other in layers),
        }  # fmt: skip
    else:
        about = {
            "standard_name": "surface_bidirectional_reflectance standard_error",
            "long_name": f"standard error of the detail of {name.removeprefix(SIGMA.format(''))}, k = 1;"
            " nodata for Sentinel-2",
        }
    return {**about, **stored, **common}
