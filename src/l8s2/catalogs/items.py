"""Scenes as catalogues describe them, brought into one form: from dictionaries of a STAC API to frozen values. Pure."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from l8s2.catalogs.endpoints import ASSETS, LANDSAT_L2, REQUIRED, SENTINEL2, Collection
from l8s2.catalogs.footprints import Footprint
from l8s2.deliveries.product_name import ProductName
from l8s2.errors import InputError
from l8s2.sensors import OLI
from l8s2.serialization import load, text_of

S2_SCALE, S2_OFFSET = 1e-4, -0.1
OFFSET_SINCE = "04.00"
"""Processing baseline of Sentinel-2 from which reflectance = DN * S2_SCALE + S2_OFFSET; before it the offset is 0."""
SAFE = "SAFE"
"""In place of a catalogue: the scene is described by the metadata of its own SAFE product."""
_SENTINEL2 = re.compile(
    r"(?P<satellite>S2[A-C])_MSIL2A_(?P<datatake>\d{8}T\d{6})(_N(?P<baseline>\d{4}))?_R\d{3}_T(?P<tile>\d\d[A-Z]{3})"
    r"_(?P<processed>\d{8}T\d{6})"
)
_PRODUCT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_DATASTRIP = re.compile(r"_DS_.*_S(\d{8}T\d{6})_|/L2A_T\w{5}_A\d{6}_(\d{8}T\d{6})/")


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file."""

    href: str
    alternate: dict[str, str] = field(default_factory=dict)
    """Other ways to it by name, such as ``s3`` for requester-pays."""
    checksum: str | None = None
    """Multihash in hexadecimal, STAC's ``file:checksum``."""

    def __post_init__(self) -> None:
        """Check the values. Raises TypeError for what is no text."""
        for value in (self.href, *self.alternate.values(), self.checksum or ""):
            if not isinstance(value, str):
                raise TypeError(f"{str(value)[:40]!r} is no address or checksum")


@dataclass(frozen=True, kw_only=True)
class SceneItem:
    """One scene; None is what its catalogue does not say."""

    id: str
    """In its catalogue."""
    kind: str
    """``landsat-l2``, ``landsat-l1`` or ``sentinel-2-l2a``."""
    catalog: str
    """Name of the catalogue, or its address."""
    collection: str
    product: str
    """Product id of USGS or ESA as far as it is known, else ``id``."""
    scene: str
    """The observation: satellite, path and row or tile, and when. All versions of it, of any level, share this."""
    acquired: datetime
    """UTC. With some catalogues of Sentinel-2 the start of the datatake, up to half an hour early."""
    platform: str
    """``landsat-8``, ``landsat-9``, ``sentinel-2a`` .. ``sentinel-2c``."""
    location: str
    """Path and row, ``047027``, or MGRS tile, ``06VVN``."""
    zone: int | None
    """UTM zone of the images. North or south does not matter: Landsat writes the south with negative northings."""
    footprint: dict[str, Any]
    """GeoJSON geometry, WGS 84, as the catalogue gives it."""
    cloud_cover: float | None
    """Percent."""
    sun_elevation: float | None
    """Degrees above the horizon."""
    sun_azimuth: float | None
    """Degrees clockwise from north."""
    view_zenith: float | None
    """Degrees off the vertical, of the scene as a whole."""
    view_azimuth: float | None
    tier: str | None
    """Landsat: ``T1``, ``T2``, ``RT``."""
    correction: str | None
    """Landsat: ``L2SP``, ``L1TP`` and so on."""
    baseline: str | None
    """Sentinel-2: processing baseline, ``05.09``."""
    processed: str | None
    """When this version was made: date or UTC time in ISO form."""
    datastrip: str | None
    """Sentinel-2: start of the datastrip. A tile cut in two has two of them; they are no versions of each other."""
    scale: float | None
    offset: float | None
    """Reflectance = DN * scale + offset, as the catalogue has it; None for pan (the MTL says it) and where the baseline
    is not known. Catalogues err about Sentinel-2: to be checked against the pixels."""
    offset_removed: bool
    """Sentinel-2: the copier claims to have taken the offset off."""
    assets: dict[str, Asset]
    """By our names: bands, ``qa_pixel``, ``qa_radsat``, ``mtl``, ``pan``, ``scl``, ``metadata``."""
    raw: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The item as it came; empty in what was read from a recipe."""

    def __post_init__(self) -> None:
        """Check that the product can be the name of a folder, which it becomes. Raises InputError."""
        if not isinstance(self.id, str):
            raise InputError(f"id {str(self.id)[:80]}: is no text")
        if not _PRODUCT.fullmatch(self.product):
            raise InputError(f"product {self.product[:80]!r}: an id consists of letters, digits and . _ -")


def scene_item(raw: Mapping[str, Any], catalog: str, collection: Collection) -> SceneItem:
    """Convert an item of a catalogue.

    Raises:
        InputError: The item cannot be used (another satellite, bands missing); the line begins with its id.
    """
    name = " ".join(str(raw.get("id") or "an item without id").split())[:80]
    try:
        common = _common(raw, catalog, collection)
        special = _sentinel2 if collection.kind == SENTINEL2 else _landsat
        item = SceneItem(**common, **special(raw, collection, common))
    except InputError as error:
        raise InputError(f"{name}: {error}; it is left out") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"{name}: not a STAC item of {collection.id} ({error}); it is left out") from None
    missing = [asset for asset in REQUIRED[collection.kind] if asset not in item.assets]
    if missing:
        raise InputError(f"{name}: without {', '.join(missing)}; it is left out")
    return item


def from_afar(item: SceneItem) -> SceneItem:
    """Check an item sent by a server. Raises InputError where it points at files of this machine."""
    for name, asset in item.assets.items():
        if os.path.isabs(asset.href):
            raise InputError(f"{item.id}: {name} is {asset.href[:80]}, a file of this machine; it is left out")
    return item


def _common(raw: Mapping[str, Any], catalog: str, collection: Collection) -> dict[str, Any]:
    properties, listed = raw["properties"], raw["assets"]
    assets = {}
    for ours in ASSETS[collection.kind]:
        found = next((listed[name] for name in collection.names(ours) if name in listed), None)
        if found is not None:
            ways = {key: way["href"] for key, way in (found.get("alternate") or {}).items() if "href" in way}
            assets[ours] = Asset(href=found["href"], alternate=ways, checksum=found.get("file:checksum"))
    zenith, cloud = _number(properties, "s2:mean_solar_zenith"), _number(properties, "eo:cloud_cover")
    elevation = _number(properties, "view:sun_elevation", "eo:sun_elevation")
    return {
        "id": raw["id"],
        "kind": collection.kind,
        "catalog": catalog,
        "collection": collection.id,
        "acquired": _time(properties.get("datetime") or properties["start_datetime"]),
        "footprint": _footprint(raw),
        "cloud_cover": None if cloud is None or cloud < 0 else cloud,
        "sun_elevation": 90 - zenith if elevation is None and zenith is not None else elevation,
        "sun_azimuth": _number(properties, "view:sun_azimuth", "eo:sun_azimuth", "s2:mean_solar_azimuth"),
        "assets": assets,
        "raw": raw,
    }


def _landsat(raw: Mapping[str, Any], collection: Collection, common: dict[str, Any]) -> dict[str, Any]:
    properties = raw["properties"]
    names = [raw["id"], *(asset.href for _, asset in sorted(common["assets"].items()))]
    found = [product for name in names if (product := ProductName.find(name))]
    if not found:
        raise InputError("no Landsat Collection-2 product id")
    product = next((p for p in found if p.processed), found[0])
    if product.satellite not in OLI.satellites or product.sensor != OLI.letter or product.collection != 2:
        what = f"L{product.sensor}{product.satellite:02d} of Collection {product.collection:02d}"
        raise InputError(f"{what}, l8s2 reads LC08 and LC09 of Collection 2")
    path_row, platform = product.location, OLI.platform(product.satellite)
    level2 = collection.kind == LANDSAT_L2
    return {
        "product": product.id,
        "scene": f"{platform} {path_row} {product.acquired.isoformat()}",
        "platform": platform,
        "location": path_row,
        "zone": _zone(properties),
        "view_zenith": _number(properties, "view:off_nadir", "eo:off_nadir"),
        "view_azimuth": None,
        "tier": product.tier,
        "correction": product.level,
        "baseline": None,
        "processed": product.processed.isoformat() if product.processed else None,
        "datastrip": None,
        "scale": OLI.sr_scale if level2 else None,
        "offset": OLI.sr_offset if level2 else None,
        "offset_removed": False,
    }


def _sentinel2(raw: Mapping[str, Any], collection: Collection, common: dict[str, Any]) -> dict[str, Any]:
    properties = raw["properties"]
    names = [properties.get(key) for key in ("s2:product_uri", "sentinel:product_id")] + [raw["id"]]
    match = next((m for name in names if name and (m := _SENTINEL2.search(name))), None)
    if match:
        tile, platform, datatake = match["tile"], f"sentinel-{match['satellite'][1:].lower()}", match["datatake"]
    else:
        tile = str(properties.get("s2:mgrs_tile") or properties.get("grid:code")).removeprefix("MGRS-")
        platform = str(properties.get("platform")).lower()
        take = re.search(
            r"_(\d{8}T\d{6})_", str(properties.get("s2:datatake_id") or properties.get("eopf:datatake_id"))
        )
        datatake = take[1] if take else f"{common['acquired']:%Y%m%dT%H%M%S}"
    if not re.fullmatch(r"sentinel-2[abc]", platform) or not re.fullmatch(r"\d\d[A-Z]{3}", tile):
        raise InputError("no Sentinel-2A, B or C and tile in its properties")
    made = properties.get("s2:generation_time") or properties.get("processing:datetime")
    if made is None and match:
        made = datetime.strptime(match["processed"], "%Y%m%dT%H%M%S").isoformat()
    datastrip = _DATASTRIP.search(str(properties.get("s2:datastrip_id") or properties.get("eopf:datastrip_id")))
    datastrip = datastrip or _DATASTRIP.search(common["assets"]["blue"].href if "blue" in common["assets"] else "")
    flagged = any(properties.get(f"{prefix}:boa_offset_applied") for prefix in ("earthsearch", "sentinel"))
    removed = collection.offset_removed or flagged
    baseline = _baseline(match, properties)
    known = None if baseline is None else S2_OFFSET if baseline >= OFFSET_SINCE else 0.0
    return {
        "product": match[0] if match else raw["id"],
        "scene": f"{platform} {tile} {datatake}",
        "platform": platform,
        "location": tile,
        "zone": int(tile[:2]),
        "view_zenith": _number(properties, "view:incidence_angle"),
        "view_azimuth": _number(properties, "view:azimuth"),
        "tier": None,
        "correction": None,
        "baseline": baseline,
        "processed": None if made is None else _time(made).isoformat(),
        "datastrip": (datastrip[1] or datastrip[2]) if datastrip else None,
        "scale": S2_SCALE,
        "offset": 0.0 if removed else known,
        "offset_removed": removed,
    }


def _baseline(match: re.Match[str] | None, properties: Mapping[str, Any]) -> str | None:
    """Return the baseline as ``05.09``; None for 99.99, images not processed by ESA."""
    text = match["baseline"] if match else None
    if text is None:
        text = str(properties.get("s2:processing_baseline") or properties.get("processing:version")).replace(".", "")
    return f"{text[:2]}.{text[2:]}" if re.fullmatch(r"(?!99)\d{4}", text) else None


def _number(properties: Mapping[str, Any], *names: str) -> float | None:
    for name in names:
        value = properties.get(name)
        if isinstance(value, (int, float)) and math.isfinite(value):
            return float(value)
    return None


def _time(text: str) -> datetime:
    value = datetime.fromisoformat(re.sub(r"([.]\d{6})\d*", r"\1", text))
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


def _zone(properties: Mapping[str, Any]) -> int | None:
    """UTM zone from proj:code or proj:epsg; None for other projections, such as the Antarctic's."""
    code = str(properties.get("proj:code") or properties.get("proj:epsg") or "").removeprefix("EPSG:")
    return int(code[3:]) if re.fullmatch(r"32[67]\d\d", code) else None


def _footprint(raw: Mapping[str, Any]) -> dict[str, Any]:
    geometry = raw.get("geometry")
    if not geometry:
        box = raw["bbox"]
        west, south, east, north = box if len(box) == 4 else (*box[:2], *box[3:5])
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
    _ = Footprint(geometry).plane
    return dict(geometry)


SCENE_SCHEMA = "l8s2-scene/1"


def item_text(item: SceneItem) -> str:
    """Return a scene as JSON, as recipes hold it, without the raw item: the ``scene.json`` beside its files."""
    return text_of(item, SCENE_SCHEMA)


def read_item(path: Path) -> SceneItem:
    """Read a scene from a file written with ``item_text``. Raises InputError for anything else."""
    item: SceneItem = load(path, SceneItem, SCENE_SCHEMA, "scene.json", "delete the folder and fetch the scene again")
    return item
