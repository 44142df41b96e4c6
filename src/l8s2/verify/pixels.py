"""The rasters of a product, pixel by pixel: one grid, one nodata, known bits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from l8s2.arrays import windows
from l8s2.masks import QA_BITS, flag
from l8s2.radiometry import NODATA
from l8s2.sensors import N_BANDS, RGB

_BLOCK = 512
GDAL_CACHE = 64 << 20
"""Bytes; every tile is read once."""
_FORMS = {"surface_reflectance": ("int16", N_BANDS, NODATA), "sigma": ("int16", N_BANDS, NODATA),
          "qa": ("uint16", 1, None)}  # fmt: skip
"""Asset -> type of samples, number of bands, nodata."""
_UNKNOWN_BITS = np.uint16(~sum(1 << bit.bit for bit in QA_BITS) & 0xFFFF)

_CHORD = 0.002
"""Degrees by which the straight sides of a geometry may miss pixels, also near the poles and in odd projections."""

Finding = tuple[str, str]
"""Asset, and what is wrong with it."""


def faults_of_pixels(rasters: Mapping[str, Path], item: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the rasters of a product: asset and sentence.

    Args:
        rasters: asset key to file; those that ``_FORMS`` does not name are left out.
        item: the Item.
    """
    import rasterio
    from rasterio.errors import CRSError, RasterioError

    from l8s2.raster import open_dataset

    properties = item["properties"]
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE))
        opened = {}
        for key in _FORMS.keys() & rasters.keys():
            try:
                opened[key] = stack.enter_context(open_dataset(rasters[key]))
            except (RasterioError, CRSError):
                yield key, "cannot be opened as a GeoTIFF"
        forms = [(key, fault) for key, dataset in sorted(opened.items()) for fault in _form(key, dataset, properties)]
        yield from forms
        if not forms and "qa" in opened and "surface_reflectance" in opened:
            yield from _faults(opened, item)


def _form(key: str, dataset: Any, properties: Mapping[str, Any]) -> Iterator[str]:
    kind, count, nodata = _FORMS[key]
    if (dataset.count, set(dataset.dtypes)) != (count, {kind}):
        yield f"holds {dataset.count} x {'/'.join(sorted(set(dataset.dtypes)))}, not {count} x {kind}"
    if dataset.nodata != nodata:
        yield f"nodata is {dataset.nodata}, not {nodata}"
    if list(dataset.shape) != properties["proj:shape"]:
        yield f"has {dataset.height} x {dataset.width} pixels, the Item says {properties['proj:shape']}"
    if not np.allclose(dataset.transform[:6], properties["proj:transform"], rtol=0, atol=1e-9):
        yield f"lies at {list(dataset.transform[:6])}, the Item says {properties['proj:transform']}"
    code = dataset.crs.to_string() if dataset.crs else "no coordinate reference system"
    if properties["proj:code"] not in (None, code):
        yield f"is in {code}, the Item says {properties['proj:code']}"


def _faults(opened: Mapping[str, Any], item: Mapping[str, Any]) -> Iterator[Finding]:
    """Compare the rasters window by window; a fault is told once, with the number of pixels."""
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    counts: dict[Finding, int] = {}
    outermost: list[tuple[int, int]] = []
    for rows, columns in windows(opened["qa"].shape, _BLOCK):
        window = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        part = {}
        for key, dataset in opened.items():
            try:
                part[key] = dataset.read(window=window)
            except RasterioError:
                yield key, f"the tile at row {rows.start}, column {columns.start} cannot be read"
        if len(part) == len(opened):
            for finding, wrong in _compared(part, item["properties"]):
                counts[finding] = counts.get(finding, 0) + int(wrong.sum())
            outermost += _outermost(part["surface_reflectance"], rows.start, columns.start)
    yield from (("surface_reflectance", fault) for fault in _place(opened["surface_reflectance"], outermost, item))
    yield from ((key, f"{text} ({n} pixels)") for (key, text), n in counts.items() if n)


def _outermost(reflectance: Any, top: int, left: int) -> list[tuple[int, int]]:
    """Return row and column of the known pixels that lie farthest up, down, left and right in a window."""
    known = (reflectance[RGB] != NODATA).all(0)
    rows, columns = np.flatnonzero(known.any(1)), np.flatnonzero(known.any(0))
    if not rows.size:
        return []
    ends = [(row, known[row].argmax()) for row in (rows[0], rows[-1])]
    ends += [(known[:, column].argmax(), column) for column in (columns[0], columns[-1])]
    return [(top + int(row), left + int(column)) for row, column in ends]


def _place(dataset: Any, pixels: list[tuple[int, int]], item: Mapping[str, Any]) -> Iterator[str]:
    """Hold pixels, row and column, to the geometry of the Item."""
    import shapely  # type: ignore[import-untyped]
    from pyproj import Transformer

    if not pixels:
        return
    rows, columns = np.array(pixels).T
    to_degrees = Transformer.from_crs(dataset.crs.to_wkt(), "EPSG:4326", always_xy=True)
    points = shapely.points(*to_degrees.transform(*(dataset.transform @ (columns + 0.5, rows + 0.5))))
    try:
        outline = shapely.from_geojson(json.dumps(item["geometry"])).buffer(_CHORD)
        inside = shapely.covers(outline, points)
    except shapely.errors.ShapelyError:
        yield "the geometry of its Item is no closed polygon"
        return
    if not inside.all():
        row, column = pixels[int(inside.argmin())]
        yield f"has pixels outside of the geometry of its Item, such as that at row {row}, column {column}"


def _compared(part: Mapping[str, Any], properties: Mapping[str, Any]) -> Iterator[tuple[Finding, Any]]:
    """Yield every rule with where it is broken."""
    unknown, bits = part["surface_reflectance"] == NODATA, part["qa"][0]
    native = properties.get("l8s2:warped") is False  # a warp interpolates each file in its own way at the edges
    yield ("qa", "has bits that have no meaning"), bits & _UNKNOWN_BITS != 0
    if native:
        yield ("qa", "says fill where every band is known"), (bits & flag("fill") != 0) & ~unknown.any(0)
    explained = flag("fill") | flag("no_pan")
    yield ("qa", "says nothing of a band that is not known"), (bits & explained == 0) & unknown.any(0)
    if "sigma" not in part:
        return
    without = part["sigma"] == NODATA
    yield ("sigma", "is known where reflectance is not"), (unknown & ~without).any(0)
    yield ("sigma", "is below one step"), ((part["sigma"] < 1) & ~without).any(0)
    sigma = properties.get("l8s2:sigma")
    if native and not (isinstance(sigma, dict) and sigma.get("kind") == "none"):
        yield ("sigma", "is not known where reflectance is"), (without & ~unknown).any(0)
