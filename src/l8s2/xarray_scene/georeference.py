"""Where the pixels of an array lie: by coordinates and a CF grid mapping, as odc-geo and rioxarray write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2.errors import InputError

if TYPE_CHECKING:
    import pyproj
    import xarray


def north_up(array: xarray.DataArray, name: str) -> xarray.DataArray:
    """Return (y, x) with north at the top. Raises InputError for other dimensions, or without coordinates.

    A dimension ``band`` of one, which rioxarray gives to the only band of a file, is taken away.
    """
    if array.sizes.get("band") == 1:
        array = array.squeeze("band", drop=True)
    if set(array.dims) != {"y", "x"}:
        raise InputError(
            f"{name}: has dimensions {', '.join(map(str, array.dims))}; it must have y and x, in metres of a UTM zone"
        )
    if not array.size or not {"y", "x"} <= array.coords.keys():
        raise InputError(f"{name}: its coordinates y and x do not tell where its pixels lie; give those of the centres")
    array = array.transpose("y", "x")
    return array[::-1] if array.y[0] < array.y[-1] else array


def geobox_of(array: xarray.DataArray, name: str) -> GeoBox:
    """Return the grid of ``north_up`` pixels; the step of a single row or column is that of its ``GeoTransform``.

    Raises InputError without coordinates at even steps, or without a CRS.
    """
    crs, first, step = _crs(array, name), {}, {}
    for axis in ("x", "y"):
        at = array[axis].values.astype(float)
        size = (at[-1] - at[0]) / (len(at) - 1) if len(at) > 1 else _step(array, axis, name)
        if not np.allclose(np.diff(at), size, rtol=0, atol=1e-3 * abs(size)):
            raise InputError(f"{name}: the steps of its coordinate {axis} are uneven; give every pixel of a grid")
        step[axis] = round(size, 6)
        first[axis] = round(at[0] - step[axis] / 2, 3)
    code = crs.to_epsg()
    transform = Affine(step["x"], 0, first["x"], 0, step["y"], first["y"])
    return GeoBox(array.shape, transform, f"EPSG:{code}" if code else crs.to_wkt())


def _step(array: xarray.DataArray, axis: str, name: str) -> float:
    """Return the step of a coordinate of one value, by what GDAL, odc-geo and rioxarray write in the grid mapping."""
    mapping = array.coords.get(_mapping(array))
    said = str(mapping.attrs.get("GeoTransform", "") if mapping is not None else "").split()
    try:
        _, right, _, _, _, down = map(float, said)
    except ValueError:
        raise InputError(
            f"{name}: one pixel along {axis} does not tell how large pixels are, and its grid mapping has no"
            " GeoTransform; give two pixels a side, or write it (.rio.write_transform())"
        ) from None
    return right if axis == "x" else -abs(down)


def _mapping(array: xarray.DataArray) -> str:
    return str(array.encoding.get("grid_mapping") or array.attrs.get("grid_mapping") or "spatial_ref")


def _crs(array: xarray.DataArray, name: str) -> pyproj.CRS:
    import pyproj
    from pyproj.exceptions import CRSError

    mapping = _mapping(array)
    try:
        if mapping in array.coords and array.coords[mapping].attrs:
            return pyproj.CRS.from_cf(array.coords[mapping].attrs)
        if "crs" in array.attrs:
            return pyproj.CRS.from_user_input(array.attrs["crs"])
    except (CRSError, KeyError) as error:
        raise InputError(f"{name}: its grid mapping {mapping} tells no coordinate reference system ({error})") from None
    raise InputError(
        f"{name}: has no coordinate reference system (coordinate {mapping}); assign that of the scene, for example with"
        " .rio.write_crs(32644) or .odc.assign_crs(32644)"
    )
