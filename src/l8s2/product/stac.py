"""The STAC Item of a product: its content, extent, sources and model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from l8s2.deliveries.product_name import ProductName
from l8s2.product.uncertainty import ARTEFACT_FREE, uncertainty_of
from l8s2.radiometry import SigmaKind
from l8s2.raster import checksum
from l8s2.sensors import BANDS, OUTPUT_GSD

_SCHEMAS = (
    "eo/v2.0.0", "raster/v2.0.0", "projection/v2.0.0", "file/v2.1.0", "classification/v2.0.0", "processing/v1.2.0",
)  # fmt: skip
_WITH = {"view:": "view/v1.1.0", "accuracy:": "accuracy/v1.0.0-beta.1"}
"""Not valid without one of their fields."""
_LEVEL1, _LEVEL2 = "https://doi.org/10.5066/P975CC9B", "https://doi.org/10.5066/P9OGBGM6"
"""Landing pages of Landsat 8-9 Collection 2; they name algorithms, auxiliary data, calibration and access."""
_USGS_ITEMS = "https://landsatlook.usgs.gov/stac-server/collections"
_DESCRIPTION = (
    "Surface reflectance of one Landsat-8/9 scene, or of several of one overpass, at 10 m, predicted by a model that "
    "imitates the spectral bands and the sharpness of Sentinel-2A. It is not a Sentinel-2 product: Sentinel-2 did not "
    "observe this scene."
)
_ATTRIBUTION = (
    "Landsat data courtesy of the U.S. Geological Survey. The model was trained on modified Copernicus Sentinel data."
)


@dataclass(frozen=True, kw_only=True)
class ItemInfo:
    """Metadata of the Item beyond the pixels."""

    datetime: dt.datetime
    """When the scene was observed, with time zone."""
    sun_elevation: float | None
    """Degrees above the horizon."""
    sun_azimuth: float | None
    """Degrees clockwise from north."""
    off_nadir: float | None = None
    """Degrees between straight down and the centre of the Landsat scene."""
    geometric_rmse: float | None = None
    """Of Level 1 against its ground control points, metres."""
    uncertainty: SigmaKind | None = "total"
    """What SIGMA holds; None where the model gives nothing."""
    platform: str
    """``landsat-8`` or ``landsat-9``."""
    inputs: Sequence[tuple[str, str | None]]
    """Of each scene the USGS product ids of the Level-2 product, and of the Level-1 product that pan came from; None
    without pan."""
    l2_collection: str = "landsat-c2l2-sr"
    """Collection of the Level-2 input in the catalogue of USGS."""
    model: str
    model_sha256: str
    version: str
    """Version of l8s2."""
    warnings: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    """Further Item properties."""


def build_item(
    item_id: str, geobox: GeoBox, place: tuple[dict[str, Any], list[float]], info: ItemInfo,
    files: Mapping[str, tuple[Path, str]], encoding: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Build the STAC 1.1 Item as a dictionary.

    Args:
        item_id: name of the product.
        geobox: its grid.
        place: GeoJSON geometry and bbox of its pixels that are known, as ``grid.footprint`` gives them.
        info: its origin.
        files: asset key (``surface_reflectance``, ``sigma``, ``qa``, ``preview``) to the file and its final name.
        encoding: fields on the samples of reflectance and sigma: ``data_type``, ``nodata``, ``raster:scale`` ...
    """
    import pystac

    geometry, bbox = place
    properties = _properties(item_id.removesuffix("_S2L"), geobox, info)
    schemas = (
        *_SCHEMAS,
        *(uri for prefix, uri in _WITH.items() if any(name.startswith(prefix) for name in properties)),
    )
    item = pystac.Item(
        id=item_id,
        geometry=geometry,
        bbox=bbox,
        datetime=info.datetime.astimezone(dt.UTC),
        properties=properties,
        stac_extensions=[f"https://stac-extensions.github.io/{schema}/schema.json" for schema in schemas],
    )
    for key, (path, name) in files.items():
        fields = {
            "file:size": path.stat().st_size,
            "file:checksum": checksum(path),
            **_asset_fields(key, encoding, info),
        }
        media = pystac.MediaType.PNG if key == "preview" else pystac.MediaType.COG
        title, roles = _ASSETS[key]
        asset = pystac.Asset(f"./{name}", title=title, media_type=media, roles=list(roles), extra_fields=fields)
        item.add_asset(key, asset)
    for l2, l1 in info.inputs:
        of_l2 = f"{info.l2_collection}/items/{l2}_SR"
        if ProductName.parse(l2):  # files of others have no Item at USGS
            item.add_link(_source(of_l2, "Landsat Collection 2 Level-2 surface reflectance"))
        if l1 and l1 != l2 and ProductName.parse(l1):  # pan of ARD is of the same tile
            item.add_link(_source(f"landsat-c2l1/items/{l1}", "Landsat Collection 2 Level-1 (panchromatic band)"))
    if info.l2_collection == "landsat-c2l2-sr":
        item.add_link(_described(_LEVEL2, "Landsat 8-9 Collection 2 Level-2: atmospheric correction, quality, access"))
        item.add_link(_described(_LEVEL1, "Landsat 8-9 Collection 2 Level-1: geometry, radiometry, calibration"))
    result: dict[str, Any] = item.to_dict(include_self_link=False, transform_hrefs=False)
    return result


_ASSETS: dict[str, tuple[str, Sequence[str]]] = {
    "surface_reflectance": ("Surface reflectance, 10 m", ("data", "reflectance")),
    "sigma": ("Standard error of the surface reflectance", ("data", "uncertainty")),
    "qa": (
        "Quality bits",
        (
            "metadata",
            "data-mask",
            "saturation",
            "cloud",
            "cloud-shadow",
            "snow-ice",
            "land-water",
            "incomplete-testing",
        ),
    ),
    "preview": ("30 m input (left) and 10 m output (right), true colour", ("overview",)),
}


def _source(path: str, title: str) -> Any:
    import pystac

    href = f"{_USGS_ITEMS}/{path}"
    return pystac.Link(pystac.RelType.DERIVED_FROM, href, media_type=pystac.MediaType.GEOJSON, title=title)


def _described(href: str, title: str) -> Any:
    import pystac

    return pystac.Link("describedby", href, media_type="text/html", title=title)


def _lineage(info: ItemInfo) -> str:
    """Return the steps as an ordered list, as the extension and CEOS-ARD ask."""
    inputs = [
        f"{l2} (USGS, LaSRC), "
        + (f"and top-of-atmosphere reflectance of the panchromatic band of {l1}" if l1 else "without panchromatic band")
        for l2, l1 in info.inputs
    ]
    told = info.extra, *info.extra.get("l8s2:scenes", ())
    is_moved = any("l8s2:pan_aligned_m" in facts for facts in told)
    moved = ["The panchromatic band is moved onto the 30 m bands"] if is_moved else []
    steps = [
        f"Surface reflectance at 30 m of {'; of '.join(inputs)}",
        *moved,
        "Reflectance in the bands of Sentinel-2A at 10 m"
        f"{', and its standard error,' if info.uncertainty else ''} by the model {info.model}",
    ]
    if info.uncertainty == "total":
        steps.append("The part of the standard error that is common to a scene is added, as l8s2:sigma says")
    if info.extra.get("l8s2:warped"):
        steps.append("One resampling onto the grid asked for: reflectance cubic, sigma bilinear, quality bits nearest")
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))


def _properties(name: str, geobox: GeoBox, info: ItemInfo) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "title": f"{name} at 10 m",
        "description": _DESCRIPTION,
        "platform": info.platform,
        "instruments": ["oli"],
        "constellation": "landsat",
        "gsd": _gsd(geobox),
        "providers": [
            {"name": "USGS", "roles": ["producer", "licensor"], "url": "https://www.usgs.gov/landsat-missions"}
        ],
        **grid_fields(geobox),
        "processing:level": "L2",
        "processing:software": {"l8s2": info.version},
        "processing:lineage": _lineage(info),
        "processing:datetime": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "l8s2:model": info.model,
        "l8s2:model_sha256": info.model_sha256,
        "l8s2:imitates": "sentinel-2a",
        "l8s2:attribution": _ATTRIBUTION,
    }  # fmt: skip
    if info.warnings:
        properties["l8s2:warnings"] = list(info.warnings)
    told = {
        "view:sun_elevation": info.sun_elevation,
        "view:sun_azimuth": None if info.sun_azimuth is None else info.sun_azimuth % 360,
        "view:off_nadir": info.off_nadir,
        "accuracy:geometric_rmse": info.geometric_rmse,
    }
    return properties | {name: value for name, value in told.items() if value is not None} | info.extra


def grid_fields(geobox: GeoBox) -> dict[str, Any]:
    """Return what the properties of an Item say of its grid."""
    bounds = geobox.boundingbox
    code = geobox.crs.epsg if geobox.crs is not None else None
    return {
        "proj:code": f"EPSG:{code}" if code else None,
        **({} if code else {"proj:wkt2": geobox.crs.to_wkt() if geobox.crs is not None else None}),
        "proj:shape": [int(size) for size in geobox.shape],
        "proj:transform": [float(v) for v in geobox.affine[:6]],
        "proj:bbox": [bounds.left, bounds.bottom, bounds.right, bounds.top],
    }


def _gsd(geobox: GeoBox) -> float:
    """Pixel size in metres; that of the model where the grid is not in metres."""
    if geobox.crs is None or not geobox.crs.projected or geobox.crs.units[0] not in ("metre", "meter"):
        return OUTPUT_GSD
    return round(float(np.sqrt(abs(geobox.affine.determinant))), 3)


def bit_field(bit: int, name: str, description: str) -> dict[str, Any]:
    """Return what ``classification:bitfields`` says of one bit."""
    classes = [{"value": 0, "name": f"not_{name}"}, {"value": 1, "name": name}]
    return {"name": name, "description": description, "offset": bit, "length": 1, "classes": classes}


def _asset_fields(key: str, encoding: Mapping[str, Any], info: ItemInfo) -> dict[str, Any]:
    if key == "preview":
        return {}
    if key == "qa":
        from l8s2.masks import QA_BITS

        return {
            "data_type": "uint16",
            "bands": [{"name": "qa"}],
            "l8s2:artefact_free": ARTEFACT_FREE,
            "classification:bitfields": [bit_field(bit.bit, bit.name, bit.description) for bit in QA_BITS],
        }
    return {
        **({"l8s2:uncertainty": uncertainty_of(info.uncertainty)} if key == "sigma" else {}),
        "bands": [
            {
                "name": band.name,
                "eo:common_name": band.name,
                "eo:center_wavelength": band.wavelength,
                "eo:full_width_half_max": band.bandwidth,
                **encoding,
            }
            for band in BANDS
        ],
    }
