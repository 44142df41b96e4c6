"""The metadata file (MTL) of a Landsat Collection-2 product, as text, JSON or XML."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from l8s2.deliveries.metadata_xml import parse_xml
from l8s2.deliveries.product_name import ProductName
from l8s2.errors import InputError
from l8s2.landsat.band import Scaling
from l8s2.sensors import OLI

SR_SCALING = Scaling(OLI.sr_scale, OLI.sr_offset)
"""Of every surface reflectance band of Collection 2, as documented."""

_LARGEST_MTL = 5 << 20


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What l8s2 uses of an MTL; None is what the MTL does not say."""

    product_id: str
    spacecraft: str
    """``LANDSAT_8`` or ``LANDSAT_9`` (older ones parse too, callers refuse them)."""
    sensor: str | None
    """For example ``OLI_TIRS``."""
    processing_level: str
    """For example ``L2SP`` or ``L1TP``."""
    collection_number: int
    wrs_path: int
    wrs_row: int
    date_acquired: date
    acquired: datetime | None
    """Scene centre time, UTC."""
    sun_elevation: float | None
    """Degrees above the horizon at the scene centre."""
    sun_azimuth: float | None
    """Degrees clockwise from north."""
    off_nadir: float | None = None
    """Degrees between straight down and the scene centre, as the spacecraft was rolled."""
    geometric_rmse: float | None = None
    """Radial root mean square error of the fit of Level 1 to its ground control points, metres."""
    reflective_shape: tuple[int, int] | None
    """Lines, samples of the 30 m bands."""
    panchromatic_shape: tuple[int, int] | None
    """Lines, samples of pan."""
    corner_ul: tuple[float, float] | None
    """Projected x, y of the centre of the upper left MS pixel, metres."""
    pan_mult: float | None
    pan_add: float | None
    """Top-of-atmosphere reflectance of pan, not yet divided by sin(sun elevation) = DN * mult + add."""
    surface_reflectance: dict[int, Scaling] = field(default_factory=dict)
    """Landsat band number -> scaling."""

    def surface_reflectance_scaling(self, band: int) -> Scaling:
        """Return the scaling of a Landsat band number; the documented constants where the MTL is silent."""
        return self.surface_reflectance.get(band, SR_SCALING)


def parse_mtl(content: bytes, name: str) -> Metadata:
    """Read an MTL in any of its three forms (text, JSON, XML), told apart by content.

    Raises InputError, one line that begins with ``name``, for anything else.
    """
    if not content.strip():
        raise InputError(f"{name}: empty file; download it again")
    if len(content) > _LARGEST_MTL:
        raise InputError(
            f"{name}: {len(content) / 1e6:.0f} MB is no MTL file (they are about 15 kB); download it again"
        )
    try:
        groups = _groups(content.decode("utf-8-sig"), name)
        return _metadata(groups, name)
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        raise InputError(f"{name}: not a Landsat Collection-2 MTL file; download it again") from None


_Groups = dict[str, dict[str, str]]


def _groups(text: str, name: str) -> _Groups:
    """Group name -> key -> value, whatever the form; nested groups are flattened."""
    start = text.lstrip()[:200].lower()
    if start.startswith("{"):
        return _from_tree(json.loads(text))
    if start.startswith("<"):
        root = parse_xml(text, name)
        return {
            group.tag: {item.tag: (item.text or "").strip() for item in group} for group in root.iter() if len(group)
        }
    groups: _Groups = {}
    stack: list[str] = []
    for line in text.splitlines():
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            continue
        if key == "GROUP":
            stack.append(value)
            groups.setdefault(value, {})
        elif key == "END_GROUP":
            if stack:
                stack.pop()
        elif stack:
            groups[stack[-1]][key] = value.strip('"')
    if stack:
        raise InputError(f"{name}: breaks off in the group {stack[-1][:60]}; download it again")
    return groups


def _from_tree(tree: Any, group: str = "", groups: _Groups | None = None) -> _Groups:
    groups = {} if groups is None else groups
    for key, value in tree.items():
        if isinstance(value, dict):
            _from_tree(value, key, groups)
        else:
            groups.setdefault(group, {})[key] = str(value)
    return groups


def _metadata(groups: _Groups, name: str) -> Metadata:
    def get(group: str, key: str) -> str | None:
        return groups.get(group, {}).get(key)

    def number(group: str, key: str) -> float | None:
        text = get(group, key)
        value = None if text is None else float(text)
        if value is not None and not np.isfinite(value):
            raise ValueError(key)
        return value

    def pair(group: str, first: str, second: str) -> tuple[float, float] | None:
        a, b = number(group, first), number(group, second)
        return None if a is None or b is None else (a, b)

    def shape(lines: str, samples: str) -> tuple[int, int] | None:
        values = pair(projection, lines, samples)
        if values is not None and not (0 < values[0] < 1 << 31 and 0 < values[1] < 1 << 31):
            raise ValueError(lines)
        return None if values is None else (int(values[0]), int(values[1]))

    def within(group: str, key: str, most: float) -> float | None:
        """Return the size of a number that is told to people only, where it can be meant."""
        value = number(group, key)
        return abs(value) if value is not None and abs(value) <= most else None

    contents, image, projection = "PRODUCT_CONTENTS", "IMAGE_ATTRIBUTES", "PROJECTION_ATTRIBUTES"
    product_id = get(contents, "LANDSAT_PRODUCT_ID")
    collection = number(contents, "COLLECTION_NUMBER")
    if product_id is None or collection is None:
        if any("COLLECTION_NUMBER" in group for group in groups.values()) or "METADATA_FILE_INFO" in groups:
            raise InputError(f"{name}: not of Collection 2, which l8s2 needs; order the scene anew")
        missing = "LANDSAT_PRODUCT_ID" if product_id is None else "COLLECTION_NUMBER"
        raise InputError(f"{name}: no {missing}; not a Landsat Collection-2 MTL file, download it again")
    if collection != 2:
        raise InputError(f"{name}: Collection {collection:g}; l8s2 reads Collection 2, order the scene anew")
    identity = ProductName.parse(product_id)
    if identity is None:
        raise InputError(f"{name}: LANDSAT_PRODUCT_ID is {product_id[:60]!r}, no USGS product id; download it again")
    day, time = get(image, "DATE_ACQUIRED"), get(image, "SCENE_CENTER_TIME")
    if day is None:
        raise InputError(f"{name}: no DATE_ACQUIRED; download it again")
    date_acquired = date.fromisoformat(day)
    acquired = None
    if time is not None:
        to_microseconds = re.sub(r"([.]\d{6})\d*", r"\1", time.rstrip("Zz"))
        acquired = datetime.fromisoformat(f"{day}T{to_microseconds}").replace(tzinfo=UTC)
    level2, level1 = "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS", "LEVEL1_RADIOMETRIC_RESCALING"
    scaling = {n: pair(level2, f"REFLECTANCE_MULT_BAND_{n}", f"REFLECTANCE_ADD_BAND_{n}") for n in range(1, 8)}
    path, row = number(image, "WRS_PATH"), number(image, "WRS_ROW")
    elevation = number(image, "SUN_ELEVATION")
    if elevation is not None and abs(elevation) > 90:
        raise ValueError("SUN_ELEVATION")
    return Metadata(
        product_id=product_id,
        spacecraft=get(image, "SPACECRAFT_ID") or f"LANDSAT_{identity.satellite}",
        sensor=get(image, "SENSOR_ID"),
        processing_level=get(contents, "PROCESSING_LEVEL") or identity.level,
        collection_number=int(collection),
        wrs_path=identity.path if path is None else int(path),
        wrs_row=identity.row if row is None else int(row),
        date_acquired=date_acquired,
        acquired=acquired,
        sun_elevation=elevation,
        sun_azimuth=number(image, "SUN_AZIMUTH"),
        off_nadir=within(image, "ROLL_ANGLE", 90),
        geometric_rmse=within("LEVEL1_PROCESSING_RECORD", "GEOMETRIC_RMSE_MODEL", 10_000),
        reflective_shape=shape("REFLECTIVE_LINES", "REFLECTIVE_SAMPLES"),
        panchromatic_shape=shape("PANCHROMATIC_LINES", "PANCHROMATIC_SAMPLES"),
        corner_ul=pair(projection, "CORNER_UL_PROJECTION_X_PRODUCT", "CORNER_UL_PROJECTION_Y_PRODUCT"),
        pan_mult=number(level1, "REFLECTANCE_MULT_BAND_8"),
        pan_add=number(level1, "REFLECTANCE_ADD_BAND_8"),
        surface_reflectance={n: Scaling(*s) for n, s in scaling.items() if s is not None},
    )
