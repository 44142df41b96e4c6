"""Write a simulated observation as a Landsat Collection-2 product, laid out as USGS does.

Two folders side by side, as from two downloads: the Level-2 surface reflectance (``L2SP``) and the Level-1
panchromatic band of the same acquisition (``L1TP``). The metadata says that it is simulated.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import sensors
from l8s2.arrays import Mask
from l8s2.grid import epsg, landsat_convention, pan_geobox
from l8s2.simulate.sensor import Observation

TOA_SCALE, TOA_OFFSET = 2.0e-5, -0.1
"""Level-1 reflectance without sun angle correction = DN * TOA_SCALE + TOA_OFFSET."""
ORIGIN = "Simulated by l8s2; not a USGS product"
DN_MAX = 65535

Metadata = dict[str, dict[str, Any]]


class _Bare(str):
    """A text that the MTL's ODL form writes without quotes, such as a date."""


def write_product(
    folder: Path,
    observation: Observation,
    *,
    geobox: GeoBox,
    product_id: str,
    sun_elevation: float,
    sun_azimuth: float = 150.0,
    qa_pixel: NDArray[np.uint16] | None,
    qa_radsat: NDArray[np.uint16] | None = None,
    with_pan: bool = True,
    mtl: Literal["txt", "json", "xml"] | None = "txt",
) -> Path:
    """Write ``observation`` below ``folder`` and return the L2SP folder; files already there are replaced.

    Args:
        folder: where ``<L2SP id>/`` and ``<L1TP id>/`` are made.
        observation: MS (6, h, w) surface reflectance and pan (2h, 2w) top-of-atmosphere reflectance; NaN is fill.
        geobox: native 30 m grid of the MS bands, (h, w). Southern zones are written as Landsat does, in EPSG:326xx.
        product_id: name of the Level-2 product, for example ``LC08_L2SP_192025_20230520_20230530_02_T1``.
        sun_elevation: degrees; pan DN hold the reflectance multiplied by its sine.
        sun_azimuth: degrees clockwise from north; metadata only.
        qa_pixel: (h, w) QA_PIXEL bits, see ``quality``; None leaves the file out.
        qa_radsat: (h, w) QA_RADSAT bits; None leaves the file out.
        with_pan: whether to write the L1TP folder.
        mtl: form of the metadata file; None leaves it out.
    """
    if tuple(geobox.shape) != observation.ms.shape[1:]:
        raise ValueError(
            f"geobox is {tuple(geobox.shape)}, the observation {observation.ms.shape[1:]}; give its MS grid"
        )
    geobox = landsat_convention(geobox)
    level2 = folder / product_id
    level2.mkdir(parents=True, exist_ok=True)
    for band, image in zip(sensors.BANDS, observation.ms, strict=True):
        dn = _digital_numbers(image, sensors.OLI.sr_scale, sensors.OLI.sr_offset)
        _write_band(level2 / f"{product_id}_SR_{band.landsat}.TIF", dn, geobox, nodata=0)
    if qa_pixel is not None:
        _write_band(level2 / f"{product_id}_QA_PIXEL.TIF", qa_pixel, geobox, nodata=1)
    if qa_radsat is not None:
        _write_band(level2 / f"{product_id}_QA_RADSAT.TIF", qa_radsat, geobox, nodata=None)
    sun = {"SUN_AZIMUTH": round(sun_azimuth, 8), "SUN_ELEVATION": round(sun_elevation, 8)}
    _write_mtl(level2, product_id, _metadata(product_id, geobox, sun), mtl)

    if with_pan:
        pan_id = _level1_id(product_id)
        level1 = folder / pan_id
        level1.mkdir(parents=True, exist_ok=True)
        rows, columns = (2 * n - 1 for n in geobox.shape)  # a real pan band ends on the last MS pixel's centre
        grid = pan_geobox(geobox)[:rows, :columns]
        image = observation.pan[:rows, :columns] * np.sin(np.radians(sun_elevation))
        dn = _digital_numbers(image, TOA_SCALE, TOA_OFFSET)
        _write_band(level1 / f"{pan_id}_{sensors.OLI.pan_band}.TIF", dn, grid, nodata=0)
        _write_mtl(level1, pan_id, _metadata(pan_id, geobox, sun), mtl)
    return level2


def quality(*, fill: Mask, cloud: Mask, dilated_cloud: Mask, shadow: Mask, water: Mask) -> NDArray[np.uint16]:
    """QA_PIXEL of Collection 2 from five (h, w) masks, True = is so: flags, and the confidences that go with them."""
    bits = np.full(fill.shape, 0b01_01_01_01 << 8, dtype=np.uint16)  # cloud, shadow, snow, cirrus: low confidence
    bits[cloud] |= (1 << 3) | (0b11 << 8)
    bits[dilated_cloud & ~cloud] |= 1 << 1
    bits[shadow] |= (1 << 4) | (0b11 << 10)
    bits[water] |= 1 << 7
    bits[~(cloud | dilated_cloud)] |= 1 << 6
    bits[fill] = 1
    return bits


def _digital_numbers(reflectance: NDArray[np.floating], scale: float, offset: float) -> NDArray[np.uint16]:
    dn = np.rint((reflectance.astype(np.float64) - offset) / scale)
    return np.where(np.isfinite(dn), np.clip(dn, 1, DN_MAX), 0).astype(np.uint16)


def _write_band(path: Path, image: NDArray[np.uint16], geobox: GeoBox, *, nodata: int | None) -> None:
    import rasterio

    height, width = image.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype="uint16", nodata=nodata,
        crs=f"EPSG:{epsg(geobox.crs)}", transform=geobox.affine,
        tiled=True, blockxsize=256, blockysize=256, compress="deflate",
    ) as dataset:  # fmt: skip
        dataset.update_tags(AREA_OR_POINT="Point")  # as USGS; GDAL keeps the geotransform that of the pixel edges
        dataset.write(image, 1)


def _level1_id(product_id: str) -> str:
    parts = product_id.split("_")
    return "_".join([parts[0], "L1TP", *parts[2:]])


def _metadata(product_id: str, geobox: GeoBox, sun: dict[str, float]) -> Metadata:
    """Return the groups of an MTL file that say what readers need; ``geobox``: the 30 m grid."""
    platform, level, path_row, acquired, processed, collection, tier = product_id.split("_")
    level2 = level.startswith("L2")
    sr_names = {f"FILE_NAME_BAND_{band.landsat[1:]}": f"{product_id}_SR_{band.landsat}.TIF" for band in sensors.BANDS}
    level1_record = {
        "ORIGIN": ORIGIN,
        "LANDSAT_PRODUCT_ID": _level1_id(product_id),
        "PROCESSING_LEVEL": "L1TP",
        "COLLECTION_CATEGORY": tier,
        "OUTPUT_FORMAT": "GEOTIFF",
        "DATE_PRODUCT_GENERATED": _Bare(f"{_date(processed)}T00:00:00Z"),
        "FILE_NAME_BAND_8": f"{_level1_id(product_id)}_B8.TIF",
    }
    groups: Metadata = {
        "PRODUCT_CONTENTS": {
            "ORIGIN": ORIGIN,
            "LANDSAT_PRODUCT_ID": product_id,
            "PROCESSING_LEVEL": level,
            "COLLECTION_NUMBER": _Bare(collection),
            "COLLECTION_CATEGORY": tier,
            "OUTPUT_FORMAT": "GEOTIFF",
            **(sr_names if level2 else {"FILE_NAME_BAND_8": f"{product_id}_B8.TIF"}),
        },
        "IMAGE_ATTRIBUTES": {
            "SPACECRAFT_ID": f"LANDSAT_{int(platform[2:])}",
            "SENSOR_ID": {"C": "OLI_TIRS", "O": "OLI"}[platform[1]],
            "WRS_TYPE": 2,
            "WRS_PATH": int(path_row[:3]),
            "WRS_ROW": int(path_row[3:]),
            "DATE_ACQUIRED": _Bare(_date(acquired)),
            "SCENE_CENTER_TIME": "10:02:30.0000000Z",
            **sun,
        },
        "PROJECTION_ATTRIBUTES": _projection(geobox, with_pan=not level2),
    }
    if level2:
        groups["LEVEL2_PROCESSING_RECORD"] = {
            "ORIGIN": ORIGIN,
            "LANDSAT_PRODUCT_ID": product_id,
            "PROCESSING_LEVEL": level,
            "OUTPUT_FORMAT": "GEOTIFF",
            "DATE_PRODUCT_GENERATED": _Bare(f"{_date(processed)}T00:00:00Z"),
        }
        groups["LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"] = _rescaling(range(1, 8), "2.75e-05", "-0.2")
    groups["LEVEL1_PROCESSING_RECORD"] = level1_record
    groups["LEVEL1_RADIOMETRIC_RESCALING"] = _rescaling(range(1, 10), "2.0000E-05", "-0.100000")
    return groups


def _projection(geobox: GeoBox, *, with_pan: bool) -> dict[str, Any]:
    lines, samples = geobox.shape
    a = geobox.affine
    left, right = a.c + a.a * 0.5, a.c + a.a * (samples - 0.5)  # centres of the outermost pixels
    top, bottom = a.f + a.e * 0.5, a.f + a.e * (lines - 0.5)
    pan = {
        "GRID_CELL_SIZE_PANCHROMATIC": _Bare("15.00"),
        "PANCHROMATIC_LINES": 2 * lines - 1,
        "PANCHROMATIC_SAMPLES": 2 * samples - 1,
    }
    corners = {"UL": (left, top), "UR": (right, top), "LL": (left, bottom), "LR": (right, bottom)}
    return {
        "MAP_PROJECTION": "UTM",
        "DATUM": "WGS84",
        "ELLIPSOID": "WGS84",
        "UTM_ZONE": epsg(geobox.crs) % 100,
        "GRID_CELL_SIZE_REFLECTIVE": _Bare("30.00"),
        **(pan if with_pan else {}),
        "REFLECTIVE_LINES": lines,
        "REFLECTIVE_SAMPLES": samples,
        "ORIENTATION": "NORTH_UP",
        **{
            f"CORNER_{corner}_PROJECTION_{axis}_PRODUCT": _Bare(f"{value:.3f}")
            for corner, xy in corners.items()
            for axis, value in zip("XY", xy, strict=True)
        },
    }


def _rescaling(bands: range, factor: str, summand: str) -> dict[str, str]:
    factors = {f"REFLECTANCE_MULT_BAND_{band}": _Bare(factor) for band in bands}
    return {**factors, **{f"REFLECTANCE_ADD_BAND_{band}": _Bare(summand) for band in bands}}


def _date(compact: str) -> str:
    return f"{compact[:4]}-{compact[4:6]}-{compact[6:]}"


def _write_mtl(folder: Path, product_id: str, groups: Metadata, form: Literal["txt", "json", "xml"] | None) -> None:
    if form is not None:
        text = {"txt": _odl, "json": _json, "xml": _xml}[form](groups)
        (folder / f"{product_id}_MTL.{form}").write_text(text, encoding="utf-8")


def _odl(groups: Metadata) -> str:
    lines = ["GROUP = LANDSAT_METADATA_FILE"]
    for name, entries in groups.items():
        lines.append(f"  GROUP = {name}")
        for key, value in entries.items():
            quoted = isinstance(value, str) and not isinstance(value, _Bare)
            lines.append(f'    {key} = "{value}"' if quoted else f"    {key} = {value}")
        lines.append(f"  END_GROUP = {name}")
    return "\n".join([*lines, "END_GROUP = LANDSAT_METADATA_FILE", "END", ""])


def _json(groups: Metadata) -> str:
    texts = {name: {key: str(value) for key, value in entries.items()} for name, entries in groups.items()}
    return json.dumps({"LANDSAT_METADATA_FILE": texts}, indent=4)


def _xml(groups: Metadata) -> str:
    lines = ['<?xml version="1.0" encoding="UTF-8" standalone="no" ?>', "<LANDSAT_METADATA_FILE>"]
    for name, entries in groups.items():
        lines.append(f"  <{name}>")
        lines += [f"    <{key}>{escape(str(value))}</{key}>" for key, value in entries.items()]
        lines.append(f"  </{name}>")
    return "\n".join([*lines, "</LANDSAT_METADATA_FILE>", ""])
