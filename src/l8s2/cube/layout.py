"""What is in a cube: its arrays, their encodings, and the attributes that CF and the Zarr conventions want.

Conventions: CF 1.11; ``spatial:`` and ``proj:`` of zarr-conventions, declared in ``zarr_conventions``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
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
    return {
        "Conventions": "CF-1.11",
        "title": "Surface reflectance of Landsat-8/9 at 10 m and of Sentinel-2, side by side",
        "comment": "Observations are never fused: each has a time, sensor and platform of its own.",
        "l8s2:schema": SCHEMA,
        "l8s2:settings": settings,
        "zarr_conventions": _CONVENTIONS,
        **_place(box),
    }


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


def make_arrays(group: Any, box: GeoBox, columns: dict[str, NDArray[Any]]) -> None:
    """Make every array in a Zarr group and fill all but the layers.

    Args:
        group: empty.
        box: grid of the cube.
        columns: the values of COLUMNS, (n,) or (n, 6).
    """
    import pyproj
    from zarr.codecs import BloscCodec

    n, (height, width), a = len(columns["time"]), box.shape, box.affine
    chunks = (1, min(CHUNK, height), min(CHUNK, width))
    codec = BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")
    for name in LAYERS:
        group.create_array(
            name, shape=(n, height, width), chunks=chunks, dtype="uint16" if name == "qa" else "int16",
            fill_value=flag("fill") if name == "qa" else NODATA, compressors=codec,
            dimension_names=("time", "y", "x"), attributes=_layer_attributes(name) | _place(box),
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


def _layer_attributes(name: str) -> dict[str, Any]:
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
            "ancillary_variables": f"{SIGMA.format(name)} qa",
        }  # fmt: skip
    else:
        about = {
            "standard_name": "surface_bidirectional_reflectance standard_error",
            "long_name": f"standard error of the detail of {name.removeprefix(SIGMA.format(''))}, k = 1;"
            " nodata for Sentinel-2",
        }
    return {**about, **stored, **common}
