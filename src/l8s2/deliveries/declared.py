"""What a user says of input that does not tell it itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any, Literal, get_args

from l8s2.deliveries.file_name import SURFACE, part_in
from l8s2.errors import InputError
from l8s2.sensors import BANDS, OLI

Scale = Literal["collection2", "reflectance", "1e-4"]
"""How reflectance is stored: as the digital numbers of Collection 2, as it is, or in steps of 0.0001."""
SCALES: tuple[Scale, ...] = get_args(Scale)
PLATFORMS = tuple(OLI.platform(satellite) for satellite in OLI.satellites)
EXAMPLE = ",".join(f"{band.name}={n}" for n, band in enumerate(BANDS, 1))


@dataclass(frozen=True, kw_only=True)
class Declared:
    """Facts of the input; where its files tell them too, both must agree."""

    bands: Mapping[str, int] = field(default_factory=dict)
    """Part (``SR_B2`` .., ``QA_PIXEL``) -> number of the band in a file of several, from 1."""
    scale: Scale | None = None
    acquired: date | None = None
    platform: str | None = None
    """``landsat-8`` or ``landsat-9``."""

    @classmethod
    def parse(
        cls, *, bands: str | None = None, scale: str | None = None, acquired: str | None = None,
        platform: str | None = None,
    ) -> Declared:  # fmt: skip
        """Take the texts of options.

        Args:
            bands: ``blue=1,green=2,...``, or names in the order of the file: ``blue,green,...``; ``-`` skips one.
            scale: one of ``SCALES``.
            acquired: the date of the scene, for example ``2023-05-20``.
            platform: ``landsat-8`` or ``landsat-9``.

        Raises InputError for what is none of these.
        """
        if scale is not None and scale not in SCALES:
            raise InputError(f"`scale` {scale}: unknown; give {', '.join(SCALES)}")
        if platform is not None and platform not in PLATFORMS:
            raise InputError(f"`platform` {platform}: unknown; give {' or '.join(PLATFORMS)}")
        try:
            day = date.fromisoformat(acquired) if acquired else None
        except ValueError:
            raise InputError(f"`acquired` {acquired}: not a date; give for example 2023-05-20") from None
        found = next((each for each in SCALES if each == scale), None)
        return cls(bands=_bands(bands) if bands else {}, scale=found, acquired=day, platform=platform)

    @classmethod
    def noted(cls, options: Mapping[str, Any]) -> Declared:
        """Take what ``l8s2:options`` of an Item say, as ``texts`` gave it; raises InputError as ``parse`` does."""
        return cls.parse(**{each.name: str(options[each.name]) for each in fields(cls) if each.name in options})

    def texts(self) -> dict[str, str]:
        """Return what is declared, as ``parse`` takes it."""
        given = {
            "bands": ",".join(f"{part.removeprefix('SR_')}={number}" for part, number in self.bands.items()),
            "scale": self.scale,
            "acquired": None if self.acquired is None else str(self.acquired),
            "platform": self.platform,
        }
        return {name: text for name, text in given.items() if text}


NOTHING = Declared()


def _bands(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for position, each in enumerate(text.split(","), 1):
        name, _, number = each.partition("=")
        if name.strip() == "-":
            continue
        part = part_in(name.strip())[0]
        part = f"SR_{part}" if f"SR_{part}" in SURFACE else part
        if part is None or part in found or (number and not re.fullmatch(r"0*[1-9]\d{0,4}", number.strip())):
            raise InputError(f"`bands` {each.strip()}: not a band and its number, once each; give {EXAMPLE}")
        found[part] = int(number) if number else position
    missing = [name for part, name in SURFACE.items() if part not in found]
    if missing:
        raise InputError(f"`bands` {text}: lacks {', '.join(missing)}; give {EXAMPLE}")
    return found
