"""USGS product ids of Landsat Collection 2."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

_NAME = re.compile(
    r"L(?P<sensor>[A-Z])(?P<satellite>\d\d)_(?P<level>[A-Z0-9]{4})_(?P<path>\d{3})(?P<row>\d{3})_(?P<acquired>\d{8})_"
    r"(?P<processed>\d{8})_(?P<collection>\d\d)_(?P<tier>RT|T1|T2|A1|A2)",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, kw_only=True)
class ProductName:
    """A USGS product id, taken apart."""

    sensor: str
    """``C`` OLI and TIRS, ``O`` OLI, ``T`` TIRS or TM, ``E`` ETM+."""
    satellite: int
    level: str
    """For example ``L2SP`` or ``L1TP``."""
    path: int
    row: int
    acquired: date
    processed: date
    collection: int
    tier: str


def parse_product_name(name: str) -> ProductName | None:
    """Take a product id apart; None for anything else."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        acquired, processed = (datetime.strptime(match[k], "%Y%m%d").date() for k in ("acquired", "processed"))
    except ValueError:
        return None
    return ProductName(
        sensor=match["sensor"].upper(),
        satellite=int(match["satellite"]),
        level=match["level"].upper(),
        path=int(match["path"]),
        row=int(match["row"]),
        acquired=acquired,
        processed=processed,
        collection=int(match["collection"]),
        tier=match["tier"].upper(),
    )


def same_acquisition(a: ProductName, b: ProductName) -> bool:
    """Same satellite, path/row and date; processing date and level may differ."""
    return (a.satellite, a.path, a.row, a.acquired) == (b.satellite, b.path, b.row, b.acquired)
