"""USGS product ids of Landsat Collection 2."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

PATTERN = (
    r"L(?P<sensor>[A-Z])(?P<satellite>\d\d)_(?P<level>[A-Z0-9]{4})_(?P<path>\d{3})(?P<row>\d{3})_(?P<acquired>\d{8})"
    r"(?:_(?P<processed>\d{8}))?_(?P<collection>\d\d)_(?P<tier>RT|T1|T2|A1|A2)"
)
"""Regular expression of a product id; to be used with FLAGS. Some catalogues leave the date of processing out."""
FLAGS = re.IGNORECASE | re.ASCII
_NAME = re.compile(PATTERN, FLAGS)


@dataclass(frozen=True, kw_only=True)
class ProductName:
    """A USGS product id, taken apart."""

    id: str
    """The id itself, in capitals."""
    sensor: str
    """``C`` OLI and TIRS, ``O`` OLI, ``T`` TIRS or TM, ``E`` ETM+."""
    satellite: int
    level: str
    """For example ``L2SP`` or ``L1TP``."""
    path: int
    row: int
    acquired: date
    processed: date | None
    """Date of this version; None where ``find`` met an id without it."""
    collection: int
    tier: str

    @classmethod
    def parse(cls, text: str) -> ProductName | None:
        """Take a product id apart; None for anything else."""
        found = cls._of(_NAME.fullmatch(text))
        return found if found and found.processed else None

    @classmethod
    def find(cls, text: str) -> ProductName | None:
        """Take apart the first product id within a text, such as an address, with or without its date of processing."""
        return cls._of(_NAME.search(text))

    @classmethod
    def _of(cls, match: re.Match[str] | None) -> ProductName | None:
        if match is None:
            return None
        try:
            acquired, processed = (
                datetime.strptime(text, "%Y%m%d").date() if text else None
                for text in (match["acquired"], match["processed"])
            )
        except ValueError:
            return None
        assert acquired is not None
        return cls(
            id=match[0].upper(),
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
    """Tell whether satellite, path/row and date are the same; processing date and level may differ."""
    return (a.satellite, a.path, a.row, a.acquired) == (b.satellite, b.path, b.row, b.acquired)
