"""USGS product ids of Landsat Collection 2: scenes by path and row, and tiles of the U.S. Analysis Ready Data (ARD)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

PATTERN = (
    r"L(?P<sensor>[A-Z])(?P<satellite>\d\d)_(?:(?P<region>CU|AK|HI)|(?P<level>[A-Z0-9]{4}))_(?P<path>\d{3})(?P<row>\d{3})"
    r"_(?P<acquired>\d{8})(?:_(?P<processed>\d{8}))?_(?P<collection>\d\d)(?(region)|_(?P<tier>RT|T1|T2|A1|A2))"
)
"""Regular expression of a product id; to be used with FLAGS. Some catalogues leave the date of processing out."""
FLAGS = re.IGNORECASE | re.ASCII
_NAME = re.compile(PATTERN, FLAGS)
_SCENE = re.compile(
    r"(?<![A-Z0-9])LC(?P<satellite>\d\d)_(?P<path>\d{3})(?P<row>\d{3})_(?P<acquired>\d{8})(?!\d)", FLAGS
)
"""Id of a scene in Google Earth Engine, for example ``LC08_143054_20230520``."""
ARD = "ARD"
"""What stands for the level of a tile of ARD."""
OURS = "_S2L"
"""What the folders of l8s2's own products end in."""
LEVEL2 = ("L2SP", "L2SR", ARD)
"""Levels with surface reflectance."""


@dataclass(frozen=True, kw_only=True)
class ProductName:
    """A USGS product id, taken apart."""

    id: str
    """The id itself, in capitals."""
    sensor: str
    """``C`` OLI and TIRS, ``O`` OLI, ``T`` TIRS or TM, ``E`` ETM+."""
    satellite: int
    level: str
    """For example ``L2SP`` or ``L1TP``; ``ARD`` for a tile, of whatever level its files are."""
    region: str
    """``CU`` (conterminous U.S.), ``AK`` or ``HI`` of a tile of ARD, whose path is h and whose row is v; else empty."""
    path: int
    row: int
    """Of the WRS-2 grid; 0 where ``of_image`` was not told them."""
    acquired: date
    processed: date | None
    """Date of this version; None where ``find`` met an id without it."""
    collection: int
    tier: str
    """For example ``T1``; empty for a tile of ARD."""

    @property
    def location(self) -> str:
        """The place: ``192025`` for path 192, row 25; ``CU003010`` for h 3, v 10; empty where it is not known."""
        if not self.region and not self.path:
            return ""
        return f"{self.region}{self.path:03d}{self.row:03d}"

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
    def find_scene(cls, text: str) -> ProductName | None:
        """Take apart the first id of Google Earth Engine within a text."""
        match = _SCENE.search(text)
        try:
            day = datetime.strptime(match["acquired"], "%Y%m%d").date() if match else None
        except ValueError:
            return None
        if match is None or day is None:
            return None
        return cls.of_image(match[0].upper(), int(match["satellite"]), day, int(match["path"]), int(match["row"]))

    @classmethod
    def of_image(cls, text: str, satellite: int, acquired: date, path: int = 0, row: int = 0) -> ProductName:
        """Name what others have made of the surface reflectance of a scene of Collection 2, by what is known of it."""
        return cls(
            id=text, sensor="C", satellite=satellite, level="L2SR", region="", path=path, row=row, acquired=acquired,
            processed=None, collection=2, tier="",
        )  # fmt: skip

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
            level=(match["level"] or ARD).upper(),
            region=(match["region"] or "").upper(),
            path=int(match["path"]),
            row=int(match["row"]),
            acquired=acquired,
            processed=processed,
            collection=int(match["collection"]),
            tier=(match["tier"] or "").upper(),
        )


def same_acquisition(a: ProductName, b: ProductName) -> bool:
    """Tell whether satellite, place and date are the same; processing date and level may differ."""
    return bool(a.location) and (a.satellite, a.location, a.acquired) == (b.satellite, b.location, b.acquired)
