"""What the metadata of a Sentinel-2 product in SAFE format say: MTD_MSIL2A.xml of the product, MTD_TL.xml of the tile.

Elements are those of ESA's product specification (S2-PDGS-TAS-DI-PSD). Baselines up to 02.09 write ``L2A_`` before or
``_2A`` behind some names; both are taken off, so one reading does for all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from l8s2.catalogs.endpoints import SENTINEL2, Collection
from l8s2.catalogs.items import OFFSET_SINCE, S2_SCALE, SAFE, SceneItem, scene_item
from l8s2.deliveries.metadata_xml import parse_xml
from l8s2.errors import InputError
from l8s2.sensors import BANDS

_PRODUCT = re.compile(r"S2[A-C]_MSIL2A_\d{8}T\d{6}_N\d{4}_R\d{3}_T\d\d[A-Z]{3}_\d{8}T\d{6}")
_BAND_IDS = {"B02": 1, "B03": 2, "B04": 3, "B8A": 8, "B11": 11, "B12": 12}
"""Band of ours -> ``band_id`` in the metadata, which counts B01 .. B08, B8A, B09 .. B12 from 0."""
_ROOTS = {"MTD_MSIL2A.xml": "Level-2A_User_Product", "MTD_TL.xml": "Level-2A_Tile_ID"}
_STEPS = 10_000
"""Digital numbers to a reflectance of 1; all of Level 2A so far."""
_OFFSETS = {0: 0.0, -1000: -0.1}


class SafeMetadata(NamedTuple):
    """The two files, as they are."""

    product: bytes
    tile: bytes


def safe_item(files: SafeMetadata, name: str, footprint: dict[str, Any], paths: dict[str, str]) -> SceneItem:
    """Return what the metadata say of a product, in the form of a catalogue's item.

    Args:
        files: what was read.
        name: of the folder or archive, for messages, and where the metadata lack the id.
        footprint: GeoJSON geometry, WGS 84.
        paths: our names of bands and ``scl`` -> path.

    The time is that of the tile (SENSING_TIME), not the start of the datatake; view angles are means over the six
    bands. The offset is BOA_ADD_OFFSET, of baselines before 04.00 zero; None where a product that ESA has not
    processed (baseline 99.99) has no list of it.

    Raises:
        InputError: for what is not such metadata, contradicts itself, or has another scale or offset.
    """
    product, tile = (
        _root(content, f"{name}: {file}", tag) for content, (file, tag) in zip(files, _ROOTS.items(), strict=True)
    )
    ids = [_PRODUCT.search(text) for text in (_text(product, "PRODUCT_URI") or "", name)]
    found = next((match[0] for match in ids if match), None)
    if found is None:
        raise InputError(
            f"{name}: neither MTD_MSIL2A.xml nor the name says which product of Sentinel-2A, B or C it is;"
            " give it as Copernicus delivers it"
        )
    zenith, azimuth = _view(tile)
    sun = next(_every(tile, "Mean_Sun_Angle"), None)
    properties = {
        "datetime": _text(tile, "SENSING_TIME") or _text(product, "PRODUCT_START_TIME"),
        "s2:product_uri": found,
        "s2:generation_time": _text(product, "GENERATION_TIME"),
        "s2:datastrip_id": _text(tile, "DATASTRIP_ID"),
        "eo:cloud_cover": _number(_text(product, "Cloud_Coverage_Assessment")),
        "s2:mean_solar_zenith": None if sun is None else _number(_text(sun, "ZENITH_ANGLE")),
        "view:sun_azimuth": None if sun is None else _number(_text(sun, "AZIMUTH_ANGLE")),
        "view:incidence_angle": zenith,
        "view:azimuth": azimuth,
    }
    assets = {ours: {"href": path} for ours, path in paths.items()}
    raw = {"id": found, "geometry": footprint, "properties": properties, "assets": assets}
    try:
        item = scene_item(raw, SAFE, Collection(id=SAFE, kind=SENTINEL2))
    except InputError:
        raise InputError(f"{name}: its metadata do not say when it was acquired; download it again") from None
    stated = _text(product, "PROCESSING_BASELINE") or ""
    if item.baseline is not None and stated != item.baseline:
        raise InputError(
            f"{name}: processing baseline {stated[:20]!r} in MTD_MSIL2A.xml, {item.baseline} in its name; download it"
            " again"
        )
    return replace(item, raw={}, scale=S2_SCALE, offset=_offset(product, item.baseline, name))


def _root(content: bytes, name: str, tag: str) -> Element:
    try:
        root = parse_xml(content.decode("utf-8-sig"), name)
        if not root.tag.endswith(tag):
            raise ValueError(root.tag)
        return root
    except (ValueError, RecursionError):
        raise InputError(f"{name}: cut, or not the metadata of a product; download it again") from None


def _offset(product: Element, baseline: str | None, name: str) -> float | None:
    """Return the reflectance to add, the same for all bands of ours."""
    steps = _number(_text(product, "BOA_QUANTIFICATION_VALUE"))
    if steps != _STEPS:
        raise InputError(
            f"{name}: BOA_QUANTIFICATION_VALUE is {steps}, and of Level 2A {_STEPS} is known; download it again"
        )
    listed = {element.get("band_id"): _number(element.text) for element in _every(product, "BOA_ADD_OFFSET")}
    if not listed:
        if baseline is None:
            return None
        if baseline >= OFFSET_SINCE:
            raise InputError(
                f"{name}: processing baseline {baseline} without BOA_ADD_OFFSET in MTD_MSIL2A.xml; download it again"
            )
        return 0.0
    ours = {listed.get(str(_BAND_IDS[band.sentinel2])) for band in BANDS}
    value = next(iter(ours))
    if len(ours) != 1 or value not in _OFFSETS:
        raise InputError(
            f"{name}: BOA_ADD_OFFSET of its bands is {', '.join(sorted(map(str, ours)))}; 0 or -1000 of all is known,"
            " take the image from another archive"
        )
    return _OFFSETS[int(value or 0)]


def _view(tile: Element) -> tuple[float | None, float | None]:
    """Zenith and azimuth of the sensor, degrees: means over the bands of ours; None where they are not told."""
    wanted = {str(number) for number in _BAND_IDS.values()}
    angles = [
        (_number(_text(band, "ZENITH_ANGLE")), _number(_text(band, "AZIMUTH_ANGLE")))
        for band in _every(tile, "Mean_Viewing_Incidence_Angle")
        if band.get("bandId") in wanted
    ]
    known = [
        (zenith, math.radians(azimuth)) for zenith, azimuth in angles if zenith is not None and azimuth is not None
    ]
    if not known:
        return None, None
    zeniths, azimuths = np.array(known).T
    azimuth = math.degrees(math.atan2(np.sin(azimuths).mean(), np.cos(azimuths).mean())) % 360
    return float(zeniths.mean()), azimuth


def _every(root: Element, name: str) -> Iterator[Element]:
    """Elements of a name, whatever their namespace, in the spelling of any baseline."""
    for element in root.iter():
        if element.tag.rpartition("}")[2].removeprefix("L2A_").removesuffix("_2A") == name:
            yield element


def _text(root: Element, name: str) -> str | None:
    element = next(_every(root, name), None)
    return None if element is None or not element.text else element.text.strip()


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
