"""What the name of a file tells: of which product it is, which part of it, and what its owner has added."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from l8s2.deliveries.product_name import FLAGS, ProductName
from l8s2.sensors import BANDS, OLI

_NUMBERS = "".join(band.landsat[1:] for band in BANDS)
_SURFACE_BANDS = {band.landsat for band in BANDS}
_OTHER_NAMES = {"nir": "nir08", "swir1": "swir16", "swir2": "swir22"}
SURFACE = {f"SR_{band.landsat}": band.name for band in BANDS}
"""Part -> name of its band, in the order of the bands."""
_WORDS = {name: part for part, name in SURFACE.items()} | {"pan": OLI.pan_band}
_BY_WORD = _WORDS | {other: _WORDS[name] for other, name in _OTHER_NAMES.items()}
_PARTS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(rf"SR[_. -]?B0?([{_NUMBERS}])", FLAGS), lambda m: f"SR_B{m[1]}"),
    (re.compile(r"QA[_. -]?(PIXEL|RADSAT)", FLAGS), lambda m: f"QA_{m[1].upper()}"),
    (re.compile(r"MTL", FLAGS), lambda m: "MTL"),
    (re.compile(rf"(?:TOA[_. -]?)?B0?([{_NUMBERS}8])", FLAGS), lambda m: f"B{m[1]}"),
    (re.compile("|".join(sorted(_BY_WORD, key=len, reverse=True)), FLAGS), lambda m: _BY_WORD[m[0].lower()]),
)
"""Ways to name a part, those that cannot mean anything else first."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_KINDS = {"MTL": ("txt", "json", "xml")}
_IMAGES = ("tif", "tiff")


class FileName(NamedTuple):
    """The name of a file, taken apart."""

    product: ProductName | None
    part: str | None
    """``SR_B2`` .. ``SR_B7``, ``QA_PIXEL``, ``QA_RADSAT``, ``MTL``, ``B8``; ``B2`` .. ``B7`` where the name alone does
    not tell whether it is surface reflectance; None for what is of no use."""
    added: str
    """What else is in the name, in small letters; empty for the names of USGS."""


def read_file_name(name: str) -> FileName:
    """Take the name of a file apart, whatever letters, endings and additions it has."""
    stem, _, kind = name.rpartition(".")
    product = ProductName.find(stem) or ProductName.find_scene(stem)
    rest = stem if product is None else re.sub(product.id, "|", stem, count=1, flags=FLAGS)
    part, added = part_in(rest)
    if part is not None and kind.lower() not in _KINDS.get(part, _IMAGES):
        part = None
    return FileName(product, part, added)


def part_in(text: str) -> tuple[str | None, str]:
    """Return which part a text names, None for none or for two, and what else it says."""
    found: str | None = None
    words = re.split(r"[\W_]+", text.lower())
    for pattern, part_of in _PARTS:
        whole = re.compile(rf"(?<![A-Za-z0-9])(?:{pattern.pattern})(?![A-Za-z0-9])", FLAGS)
        parts = {part_of(match) for match in whole.finditer(text)}
        if found is None and len(parts) > 1:
            return None, ""
        found = found or next(iter(parts), None)
        if parts and {_number(part) for part in parts} == {_number(found)}:
            text = whole.sub(" ", text)  # what is said twice is said once
            found = max(found or "", *parts, key=len)
    if "toa" in words and (found or "").removeprefix("SR_") in _SURFACE_BANDS:
        return None, ""  # bands at the top of the atmosphere, of which only pan is used
    return found, "_".join(re.findall(r"[^\W_]+", text.lower()))


def fit_for_a_file(text: str) -> str:
    """Return of a text what is fit for the name of a file, and for an id."""
    return _UNSAFE.sub("-", text).strip("-.") or "image"


def _number(part: str | None) -> str:
    return (part or "").removeprefix("SR_")
