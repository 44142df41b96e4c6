"""An image pair in the one form that training, validation, calibration and evaluation take, whatever its source."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
from odc.geo.geobox import GeoBox

from l8s2.arrays import Float, Mask, dilate, fill_missing
from l8s2.errors import InputError
from l8s2.optics import sampling_matrix
from l8s2.sensors import OUTPUT_GSD, PAN_GSD

MARGIN = 4
"""10 m pixels around missing ones and within the border that are invalid once an image has been interpolated."""


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """Where the three arrays of a pair lie."""

    ms: GeoBox | None = None
    """Grid of ``ms``; None where the pair has no position on the ground, as simulated ones."""
    truth_off: tuple[float, float] = (0.0, 0.0)
    """Metres (down, right) by which ``truth`` lies off the lattice: its first pixel belongs 5 m above and left of the
    centre of the first MS pixel. Arrays that share their upper left corner are (-5, -5) off."""
    pan_off: tuple[float, float] = (0.0, 0.0)
    """Metres (down, right) by which ``pan`` lies off the lattice: its first sample belongs at the centre of the first
    MS pixel. Arrays that share their upper left corner are (-7.5, -7.5) off."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagePair:
    """One Landsat image and the Sentinel-2 image that is its truth.

    Native, or all three arrays already at 10 m with one height and width (``at_10m``).
    """

    ms: Float
    """(6, h, w) reflectance at 30 m; NaN is fill, and all of a band that the source does not have."""
    pan: Float | None
    """(2h, 2w) reflectance at 15 m, NaN is fill; None without pan."""
    truth: Float
    """(6, 3h, 3w) reflectance at 10 m, never NaN where ``valid``."""
    valid: Mask
    """(6, 3h, 3w), True = usable: both sensors saw the ground there."""
    bands_known: tuple[bool, ...]
    """One for each band; False where the source does not have it, and then none of it is valid."""
    id: str
    """Name that is unique within the source and stable."""
    lattice: Lattice | None
    """Position of the arrays to each other; None where it is not known, see ``on_lattice``."""
    site: str = ""
    """MGRS tile, area or archive; '' where it is not known."""
    date: str = ""
    """Date of the Landsat image, ISO 8601; '' where it is not known."""
    sun_elevation: float | None = None
    """Elevation of the sun by whose sine pan was divided, degrees; None where it is not known."""

    @property
    def at_10m(self) -> bool:
        """Whether all arrays are at 10 m already."""
        return self.ms.shape == self.truth.shape


class Pairs(Protocol):
    """A source of image pairs. The same index is always the same pair, in any process."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> ImagePair:
        """Return one pair. Raises InputError for a pair that cannot be read."""
        ...


def fill_gaps(pair: ImagePair) -> ImagePair:
    """Return the pair without NaN: gaps of ms and pan are guessed (``arrays.fill_missing``), invalid truth is 0."""
    return replace(
        pair,
        ms=fill_missing(fill_unknown_bands(pair.ms)),
        pan=None if pair.pan is None else fill_missing(pair.pan[None])[0],
        truth=np.where(pair.valid, pair.truth, np.float32(0)),
    )


def fill_unknown_bands(ms: Float) -> Float:
    """Return ms (6, h, w) with the mean of the known bands in those that are NaN throughout."""
    unknown = np.isnan(ms).all(axis=(1, 2))
    if unknown.any() and not unknown.all():
        ms = ms.copy()
        ms[unknown] = ms[~unknown].mean(0)
    return ms


def on_lattice(pair: ImagePair) -> ImagePair:
    """Return the pair with truth and pan on the lattice of ``ms``.

    They are moved by one band-limited interpolation where they lie off it.

    Raises InputError where the position of its arrays is not known.
    """
    at = pair.lattice
    if at is None:
        raise InputError(f"{pair.id}: the position of its images is not known; give files with a geotransform")
    truth, valid, pan = pair.truth, pair.valid, pair.pan
    if any(at.truth_off):
        down, right = (-metres / OUTPUT_GSD for metres in at.truth_off)
        truth, valid = shift(truth, down, right), erode_valid(valid, down, right)
    if pan is not None and any(at.pan_off):
        down, right = (-metres / PAN_GSD for metres in at.pan_off)
        lost = ~erode_valid(np.isfinite(pan), down, right)
        pan = shift(pan[None], down, right)[0]
        pan[lost] = np.nan
    return replace(pair, truth=truth, valid=valid, pan=pan, lattice=Lattice(ms=at.ms))


def shift(image: Float, down: float, right: float, *, step: float = 1.0) -> Float:
    """Sample an image (bands, h, w) at rows ``step * k + down`` and columns ``step * k + right``, band-limited.

    NaN is guessed first; ``erode_valid`` tells what is free of guesses.

    Returns:
        (bands, h / step, w / step).
    """
    rows, columns = (_matrix(n, step, offset) for n, offset in zip(image.shape[1:], (down, right), strict=True))
    result: Float = rows @ (fill_missing(image) @ columns.T)
    return result


@lru_cache(maxsize=64)
def _matrix(size: int, step: float, offset: float) -> Float:
    return sampling_matrix(size, np.arange(round(size / step)) * step + offset, 0.0)


def all_bands_valid(image: Float) -> Mask:
    """Return a mask (h, w) of an image (bands, h, w), True where every band has a value."""
    return np.asarray(np.isfinite(image).all(axis=0))


def erode_valid(valid: Mask, down: float = 0.0, right: float = 0.0) -> Mask:
    """Return where everything within MARGIN pixels of row k + ``down``, column k + ``right`` is valid.

    Args:
        valid: (..., h, w), True = usable; everything outside is not.
        down: rows by which the image is sampled further down.
        right: columns by which the image is sampled further right.
    """
    pad = MARGIN + math.ceil(max(abs(down), abs(right)))
    at = np.ix_(
        *(np.arange(n) + pad + round(offset) for n, offset in zip(valid.shape[-2:], (down, right), strict=True))
    )
    result = np.empty_like(valid)
    for index in np.ndindex(valid.shape[:-2]):
        result[index] = ~dilate(np.pad(~valid[index], pad, constant_values=True), MARGIN)[at]
    return result
