"""Quality bits: Landsat's and Sentinel-2's flags as one documented uint16 bitmask. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Mask

Bits = NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class QaBit:
    """One bit of the QA file."""

    bit: int
    name: str
    description: str


QA_BITS: tuple[QaBit, ...] = tuple(
    QaBit(bit=bit, name=name, description=description)
    for bit, (name, description) in enumerate(
        (
            ("fill", "no reflectance in at least one band"),
            ("dilated_cloud", "close to a cloud (QA_PIXEL)"),
            ("cirrus", "cirrus, high confidence (QA_PIXEL)"),
            ("cloud", "cloud, high confidence (QA_PIXEL)"),
            ("cloud_shadow", "cloud shadow, high confidence (QA_PIXEL)"),
            ("snow", "snow or ice, high confidence (QA_PIXEL)"),
            ("water", "water (QA_PIXEL)"),
            ("saturated", "sensor saturated in at least one of the bands used (QA_RADSAT)"),
            ("out_of_range", "input reflectance below 0 or above 1 in at least one band"),
            ("no_pan", "predicted without pan by at least one network, or nodata because pan is missing"),
            ("no_qa", "no QA_PIXEL, or none that is known here: clouds are not flagged"),
            ("near_fill", "close to fill: part of the network's context was estimated"),
            ("do_not_trust", "standard error too large, or ground unlike any the model was trained on"),
        )
    )
)
"""Bits of the output bitmask; 1 means that the description holds."""

_FLAGS = {bit.name: 1 << bit.bit for bit in QA_BITS}
_QA_PIXEL = (
    (0, "fill"),
    (1, "dilated_cloud"),
    (2, "cirrus"),
    (3, "cloud"),
    (4, "cloud_shadow"),
    (5, "snow"),
    (7, "water"),
)
_PIXEL_QA = ((0, "fill"), (2, "water"), (3, "cloud_shadow"), (4, "snow"), (5, "cloud"))
_HIGH_CIRRUS = 3 << 8
_SCL = {0: "fill", 1: "saturated", 3: "cloud_shadow", 6: "water", 8: "cloud", 9: "cloud", 10: "cirrus", 11: "snow"}


def flag(name: str) -> int:
    """Return the value of a bit by its name.

    Raises:
        KeyError: for a name that is not in QA_BITS.
    """
    return _FLAGS[name]


def from_qa_pixel(qa_pixel: NDArray[np.unsignedinteger]) -> Bits:
    """Return the bits that correspond to Landsat Collection-2 QA_PIXEL, (h, w)."""
    bits = np.zeros(qa_pixel.shape, np.uint16)
    for bit, name in _QA_PIXEL:
        bits |= np.where(qa_pixel >> bit & 1, flag(name), 0).astype(np.uint16)
    return bits


def from_pixel_qa(pixel_qa: NDArray[np.unsignedinteger]) -> Bits:
    """Return the bits that correspond to Landsat-8 Collection-1 pixel_qa, (h, w); it has no dilated clouds.

    Bits by the Landsat 8 Collection 1 Land Surface Reflectance Code Product Guide (USGS LSDS-1368): 5 is cloud, 8-9 the
    confidence of cirrus, where 3 is high.
    """
    bits = np.zeros(pixel_qa.shape, np.uint16)
    for bit, name in _PIXEL_QA:
        bits |= np.where(pixel_qa >> bit & 1, flag(name), 0).astype(np.uint16)
    bits |= np.where(pixel_qa & _HIGH_CIRRUS == _HIGH_CIRRUS, flag("cirrus"), 0).astype(np.uint16)
    return bits


def saturated_bits(qa_radsat: NDArray[np.unsignedinteger], bands: Sequence[int]) -> Bits:
    """Return the bit ``saturated`` where QA_RADSAT (h, w) has it for any of the Landsat band numbers ``bands``.

    Bit n - 1 of QA_RADSAT stands for band n.
    """
    selected = sum(1 << (band - 1) for band in set(bands))
    return np.where(qa_radsat & selected, flag("saturated"), 0).astype(np.uint16)


def scl_to_bits(scl: NDArray[np.unsignedinteger]) -> Bits:
    """Return the bits that correspond to Sentinel-2's scene classification (SCL), (h, w)."""
    table = np.zeros(256, np.uint16)
    for value, name in _SCL.items():
        table[value] = flag(name)
    bits: Bits = table[scl]
    return bits


def usable(bits: Bits) -> Mask:
    """Return True where the ground is visible: no fill, cloud, dilated cloud, cirrus or cloud shadow."""
    hidden = sum(flag(name) for name in ("fill", "dilated_cloud", "cirrus", "cloud", "cloud_shadow"))
    seen: Mask = (bits & hidden) == 0
    return seen
