"""The metadata that others keep in the tags of one file."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from l8s2.deliveries.product_files import ProductFiles
from l8s2.landsat.mtl import Metadata
from l8s2.sensors import OLI


def metadata_in_tags(product: ProductFiles) -> Metadata | None:
    """Return what the tags of a file tell of its scene; None where they tell neither time nor sun."""
    tags, name = product.tags, product.name
    acquired, elevation = _time(tags), _number(tags, "SUN_ELEVATION")
    if acquired is None and elevation is None:
        return None
    return Metadata(
        product_id=product.product_id, spacecraft=f"LANDSAT_{name.satellite}", sensor=None, processing_level=name.level,
        collection_number=name.collection, wrs_path=name.path, wrs_row=name.row, date_acquired=name.acquired,
        acquired=acquired if acquired and acquired.date() == name.acquired else None,
        sun_elevation=elevation if elevation is not None and abs(elevation) <= 90 else None,
        sun_azimuth=_number(tags, "SUN_AZIMUTH"), reflective_shape=None, panchromatic_shape=None, corner_ul=None,
        pan_mult=_number(tags, f"REFLECTANCE_MULT_BAND_{OLI.pan_band[1:]}"),
        pan_add=_number(tags, f"REFLECTANCE_ADD_BAND_{OLI.pan_band[1:]}"),
    )  # fmt: skip


def _number(tags: dict[str, str], key: str) -> float | None:
    try:
        value = float(tags[key])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _time(tags: dict[str, str]) -> datetime | None:
    """Return when the scene was taken: milliseconds since 1970 in Earth Engine, or date and time of its MTL."""
    start = _number(tags, "SYSTEM:TIME_START")
    if start is not None and 0 < start < 1e14:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=start)
    try:
        text = f"{tags['DATE_ACQUIRED']}T{tags['SCENE_CENTER_TIME'].rstrip('Zz')[:15]}"
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except (KeyError, ValueError):
        return None
