"""Pairs to train on, from wherever: one form for all of them, and a view of it for PyTorch's DataLoader."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2.arrays import Float, Mask, dilate, fill_missing
from l8s2.errors import InputError
from l8s2.optics import sampling_matrix
from l8s2.sensors import OUTPUT_GSD, PAN_GSD

MARGIN = 4
"""10 m pixels around missing ones and within the border that do not count once an image has been interpolated."""


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """Where the three arrays of a pair lie."""

    ms: GeoBox | None = None
    """Grid of ``ms``; None where it is nowhere on the ground, simulated."""
    truth_off: tuple[float, float] = (0.0, 0.0)
    """Metres (down, right) by which ``truth`` lies off the blocks of ``ms``, whose first pixel is centred 5 m above and left
    of the first of ``ms``. Arrays that share their upper left corner, as the published patches do, are (-5, -5) off."""
    pan_off: tuple[float, float] = (0.0, 0.0)
    """The same for ``pan``, whose first sample is to be centred on the first of ``ms``; sharing the corner is (-7.5, -7.5)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One pair. Native, or where its source has no lattice all three already at 10 m, of one height and width."""

    ms: Float
    """(6, h, w) reflectance; NaN is fill, and all of a band that the source does not have."""
    pan: Float | None
    """(2h, 2w) reflectance, NaN is fill; None without pan."""
    truth: Float
    """(6, 3h, 3w) reflectance, never NaN where ``valid``."""
    valid: Mask
    """(6, 3h, 3w) True = counts: both sensors saw the ground there."""
    bands_known: tuple[bool, ...]
    """For each of the six: False where the source does not have a band; nothing of it is valid then."""
    id: str
    """Unique within its source, and always the same."""
    lattice: Lattice | None
    """None where nothing tells; see ``on_lattice``."""
    place: str = ""
    """MGRS tile or area; '' where nothing tells."""
    date: str = ""
    """Of Landsat, ISO 8601; '' where nothing tells."""
    sun_elevation: float | None = None
    """Of Landsat, degrees; None where nothing tells."""


class Pairs(Protocol):
    """What every source offers. The same index is always the same pair, in any process."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Raises InputError for a pair that cannot be read."""
        ...


class TorchView:
    """A source as PyTorch's DataLoader takes it; it is one without torch being loaded. Workers open their own files."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Tensors ``ms`` (6, h, w), ``pan`` (1, 2h, 2w) if there is one, ``truth``, ``valid``, ``bands_known`` (6,); and ``id``.

        Free of NaN, see ``filled``.
        """
        import torch

        sample = filled(self.pairs[index])
        arrays: dict[str, NDArray[Any]] = {
            "ms": sample.ms,
            "truth": sample.truth,
            "valid": sample.valid,
            "bands_known": np.array(sample.bands_known),
        }
        if sample.pan is not None:
            arrays["pan"] = sample.pan[None]
        return {**{name: torch.from_numpy(array) for name, array in arrays.items()}, "id": sample.id}


def filled(sample: Sample) -> Sample:
    """The pair free of NaN: what is missing of ms and pan is guessed (``tiling.fill_missing``), truth is 0 where it does not count."""
    return replace(
        sample,
        ms=fill_missing(stood_in(sample.ms)),
        pan=None if sample.pan is None else fill_missing(sample.pan[None])[0],
        truth=np.where(sample.valid, sample.truth, np.float32(0)),
    )


def stood_in(ms: Float) -> Float:
    """(6, h, w) whose bands that are NaN throughout, not known to a source, hold the mean of the others instead."""
    unknown = np.isnan(ms).all(axis=(1, 2))
    if unknown.any() and not unknown.all():
        ms = ms.copy()
        ms[unknown] = ms[~unknown].mean(0)
    return ms


def on_lattice(sample: Sample) -> Sample:
    """The pair with truth and pan brought onto the lattice of ``ms`` by one band-limited interpolation, where they lie off it.

    Raises InputError where nothing tells how they lie.
    """
    at = sample.lattice
    if at is None:
        raise InputError(f"{sample.id}: nothing tells how its images lie; give files with a geotransform")
    truth, valid, pan = sample.truth, sample.valid, sample.pan
    if any(at.truth_off):
        down, right = (-metres / OUTPUT_GSD for metres in at.truth_off)
        truth, valid = moved(truth, down, right), inner(valid, down, right)
    if pan is not None and any(at.pan_off):
        down, right = (-metres / PAN_GSD for metres in at.pan_off)
        lost = ~inner(np.isfinite(pan), down, right)
        pan = moved(pan[None], down, right)[0]
        pan[lost] = np.nan
    return replace(sample, truth=truth, valid=valid, pan=pan, lattice=Lattice(ms=at.ms))


def moved(image: Float, down: float, right: float, *, step: float = 1.0) -> Float:
    """(bands, h, w) seen at rows ``step * k + down`` and columns ``step * k + right``, (bands, h / step, w / step), band-limited.

    NaN is guessed first; ``inner`` tells what is free of guesses.
    """
    rows, columns = (_matrix(n, step, offset) for n, offset in zip(image.shape[1:], (down, right), strict=True))
    result: Float = rows @ (fill_missing(image) @ columns.T)
    return result


@lru_cache(maxsize=64)
def _matrix(size: int, step: float, offset: float) -> Float:
    return sampling_matrix(size, np.arange(round(size / step)) * step + offset, 0.0)


def complete(image: Float) -> Mask:
    """(bands, h, w) -> (h, w), True where every band has a value."""
    return np.asarray(np.isfinite(image).all(axis=0))


def inner(known: Mask, down: float = 0.0, right: float = 0.0) -> Mask:
    """(..., h, w) where everything within MARGIN pixels of row k + ``down``, column k + ``right`` is known; nothing is outside."""
    pad = MARGIN + math.ceil(max(abs(down), abs(right)))
    at = np.ix_(
        *(np.arange(n) + pad + round(offset) for n, offset in zip(known.shape[-2:], (down, right), strict=True))
    )
    result = np.empty_like(known)
    for index in np.ndindex(known.shape[:-2]):
        result[index] = ~dilate(np.pad(~known[index], pad, constant_values=True), MARGIN)[at]
    return result
