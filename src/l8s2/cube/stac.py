"""The STAC Collection beside a cube."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from l8s2.cube.layout import LAYERS
from l8s2.cube.store import Cube
from l8s2.files import write_whole
from l8s2.grid import footprint
from l8s2.sensors import BANDS, OUTPUT_GSD

_ZARR = "application/vnd.zarr; version=3"
_SCHEMAS = ("datacube/v2.2.0", "eo/v2.0.0", "projection/v2.0.0")
_DESCRIPTION = (
    "Surface reflectance of Landsat-8/9 at 10 m, predicted by a model that imitates Sentinel-2A, and of Sentinel-2"
    " itself, side by side and never fused. Landsat data courtesy of the U.S. Geological Survey; contains modified"
    " Copernicus Sentinel data."
)


def collection_file(cube: Path) -> Path:
    """Return the file that the Collection of a cube gets, ``<name>.json`` beside it."""
    return cube.with_name(f"{cube.name.removesuffix('.zarr')}.json")


def write_collection(cube: Cube) -> Path:
    """Write the Collection of a cube beside it, and return that file. Raises InputError."""
    path = collection_file(cube.path)
    write_whole(path, json.dumps(collection_of(cube), indent=2, allow_nan=False) + "\n")
    return path


def collection_of(cube: Cube) -> dict[str, Any]:
    """Build the STAC 1.1 Collection as a dictionary; links are relative to its file."""
    import pystac

    times: list[datetime | None] = [min(cube.times), max(cube.times)] if len(cube) else [None, None]
    href, bounds = f"./{cube.path.name}", cube.box.boundingbox
    west, south, east, north = footprint(cube.box)[1]
    dimensions = {
        "time": {"type": "temporal", "extent": [time and time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in times]},
        **{
            name: {"type": "spatial", "axis": name, "extent": list(extent), "step": OUTPUT_GSD,
                   "reference_system": cube.box.crs.epsg if cube.box.crs else None}
            for name, extent in (("x", (bounds.left, bounds.right)), ("y", (bounds.bottom, bounds.top)))
        },
    }  # fmt: skip
    collection = pystac.Collection(
        id=cube.path.name.removesuffix(".zarr"),
        title="Landsat-8/9 at 10 m and Sentinel-2",
        description=_DESCRIPTION,
        extent=pystac.Extent(pystac.SpatialExtent([[west, south, east, north]]), pystac.TemporalExtent([times])),
        license="other",
        stac_extensions=[f"https://stac-extensions.github.io/{schema}/schema.json" for schema in _SCHEMAS],
        extra_fields={
            "cube:dimensions": dimensions,
            "cube:variables": {name: {"type": "data", "dimensions": ["time", "y", "x"]} for name in LAYERS},
        },
    )
    collection.summaries.add("gsd", [OUTPUT_GSD])
    collection.summaries.add("proj:code", [str(cube.box.crs)])
    for name, key in (("platform", "platform"), ("instruments", "sensor")):
        if found := sorted(set(cube.columns[key].tolist())):
            collection.summaries.add(name, found)
    bands = [
        {"name": b.name, "eo:common_name": b.name, "eo:center_wavelength": b.wavelength,
         "eo:full_width_half_max": b.bandwidth}
        for b in BANDS
    ]  # fmt: skip
    collection.add_asset(
        "zarr", pystac.Asset(href, title="The cube", media_type=_ZARR, roles=["data"], extra_fields={"bands": bands})
    )
    collection.add_link(pystac.Link("store", href, media_type=_ZARR, title="Zarr store of all observations"))
    result: dict[str, Any] = collection.to_dict(include_self_link=False, transform_hrefs=False)
    result["links"] = [link for link in result["links"] if link["rel"] != "root"]
    return result
