"""How far a product, seen by OLI at 30 m, is from the Landsat scenes that it was made from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from l8s2 import grid, masks
from l8s2.arrays import Float, Mask, Values
from l8s2.landsat.native_pixels import Pixels
from l8s2.metrics.no_reference import seen_by_oli
from l8s2.report.landsat_input import Before
from l8s2.sensors import N_BANDS

USUAL_RMS = 0.0036
"""Reflectance, the largest of any band of eight real scenes (docs/results.md)."""


class Differences:
    """Sums over differences per band."""

    def __init__(self) -> None:
        self.n = 0
        self._sum, self._squares = np.zeros(N_BANDS), np.zeros(N_BANDS)

    @classmethod
    def of_all(cls, parts: Sequence[Differences]) -> Differences:
        """Return those of several as one."""
        result = cls()
        for part in parts:
            result.n += part.n
            result._sum += part._sum
            result._squares += part._squares
        return result

    def add(self, values: Float) -> None:
        """Take in (6, n)."""
        exact = values.astype(np.float64)
        self.n += exact.shape[1]
        self._sum += exact.sum(1)
        self._squares += (exact**2).sum(1)

    @property
    def bias(self) -> Values:
        """Mean difference per band, output less input."""
        return self._sum / max(self.n, 1)

    @property
    def rms(self) -> Values:
        """Root mean square per band."""
        return np.asarray(np.sqrt(self._squares / max(self.n, 1)))


def differences(
    scene: Before, place: tuple[slice, slice], pixels: Pixels, reflectance: Float, others: Sequence[Float]
) -> Float:
    """Return the output as OLI would see it less the input, (6, n), of the MS pixels that can be compared.

    Args:
        scene: on the pixels of the product.
        place: rows and columns of the product.
        pixels: of the scene there.
        reflectance: (6, h, w) of the product there.
        others: what the other scenes have there, (6, h, w) each. Where they have something the product may be of them,
            which it does not tell: nothing is compared.
    """
    assert scene.first is not None
    inside = [
        slice(-(-(s.start + first) // grid.BLOCK), (s.stop + first) // grid.BLOCK)
        for s, first in zip(place, scene.first, strict=True)
    ]
    if any(s.stop <= s.start for s in inside):
        return reflectance[:, :0, 0]
    whole = [
        slice(grid.BLOCK * m.start - first - s.start, grid.BLOCK * m.stop - first - s.start)
        for m, s, first in zip(inside, place, scene.first, strict=True)
    ]
    own = tuple(
        slice(m.start - w.start, m.stop - w.start) for m, w in zip(inside, scene.ms_window(*place), strict=True)
    )
    ms = pixels.ms[:, *own]
    usable = masks.usable(pixels.qa)[own]
    for other in others:
        usable = usable & ~_any_of_each(np.isfinite(other[:, *whole]))
    if not usable.any():
        return reflectance[:, :0, 0]
    seen, compared = seen_by_oli(reflectance[:, *whole], ms, usable)
    return (seen - ms)[:, compared]


def _any_of_each(mask: Mask) -> Mask:
    """Return (h, w), whether any value in an MS pixel of ``mask`` (bands, 3h, 3w) is True."""
    h, w = (n // grid.BLOCK for n in mask.shape[1:])
    return np.asarray(mask.reshape(-1, h, grid.BLOCK, w, grid.BLOCK).any(axis=(0, 2, 4)))
