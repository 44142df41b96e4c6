"""The static STAC Collection over the products of a batch, and the Catalog that tools look for first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

_TITLE = "Landsat-8/9 at 10 m"
_DESCRIPTION = (
    "Surface reflectance of Landsat-8/9 scenes at 10 m with a standard error for every pixel, predicted by a model that"
    " imitates Sentinel-2A. Landsat data courtesy of the U.S. Geological Survey."
)


def collection_of(rows: Sequence[dict[str, Any]], address: str) -> dict[str, Any]:
    """Build the STAC 1.1 Collection as a dictionary; links are relative to its file.

    Args:
        rows: records of products, at least one, with ``product`` (key of the Item), ``bbox``, ``datetime`` and more.
        address: of the output; its last part becomes the id.
    """
    import pystac

    times = sorted(datetime.fromisoformat(row["datetime"]) for row in rows)
    extent = pystac.Extent(
        pystac.SpatialExtent([_around([row["bbox"] for row in rows])]), pystac.TemporalExtent([[times[0], times[-1]]])
    )
    collection = pystac.Collection(
        id=_id(address),
        title=_TITLE,
        description=_DESCRIPTION,
        extent=extent,
        license="other",
        providers=[
            pystac.Provider("USGS", url="https://www.usgs.gov/landsat-missions", roles=["producer", "licensor"])
        ],
    )
    for name in ("platform", "gsd"):
        if found := sorted({row[name] for row in rows if row.get(name) is not None}):
            collection.summaries.add(name, found)
    return _linked(collection, rows)


def catalog_of(rows: Sequence[dict[str, Any]], address: str) -> dict[str, Any]:
    """Build the STAC 1.1 Catalog as a dictionary, with a link to every Item; for arguments see ``collection_of``.

    Platforms that run application packages look for it at the root of an output (OGC 20-089r1).
    """
    import pystac

    return _linked(pystac.Catalog(id=_id(address), title=_TITLE, description=_DESCRIPTION), rows)


def _id(address: str) -> str:
    return address.rstrip("/").replace("\\", "/").rpartition("/")[2] or "l8s2"


def _linked(to: Any, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a Collection or Catalog as a dictionary, with a link to the Item of each row."""
    import pystac

    for row in sorted(rows, key=lambda row: (row["datetime"], row["id"])):
        to.add_link(pystac.Link(pystac.RelType.ITEM, f"./{row['product']}", media_type=pystac.MediaType.GEOJSON))
    result: dict[str, Any] = to.to_dict(include_self_link=False, transform_hrefs=False)
    result["links"] = [link for link in result["links"] if link["rel"] != "root"]
    return result


def _around(boxes: list[list[float]]) -> list[float]:
    """Return the bounds of boxes; all longitudes where one of them crosses the antimeridian."""
    crosses = any(west > east for west, _, east, _ in boxes)
    west, east = (-180.0, 180.0) if crosses else (min(b[0] for b in boxes), max(b[2] for b in boxes))
    return [west, min(b[1] for b in boxes), east, max(b[3] for b in boxes)]
