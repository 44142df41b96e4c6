"""Whether an array holds digital numbers of Collection 2 or reflectance: proved by what it says and by its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from l8s2.errors import InputError
from l8s2.landsat.band import Scaling
from l8s2.raster import Raster

if TYPE_CHECKING:
    import xarray

Scale = Literal["collection2", "reflectance"]
"""As ``deliveries.declared.Scale``: digital numbers of Landsat Collection 2, or reflectance of 0 to 1."""
_REFLECTANCE = (-0.1, 1.6)
"""Within which the median of every band lies that holds reflectance; 1.6 is the end of Landsat's encoding."""
_DARKEST = -0.035
"""Reflectance below which no median of a band of digital numbers lies."""


class Encoding(NamedTuple):
    """What the pixels are."""

    is_dn: bool
    words: str


def encoding_of(arrays: Sequence[xarray.DataArray], rasters: Sequence[Raster], scaling: Scaling, name: str) -> Encoding:
    """Tell digital numbers of ``scaling`` from reflectance, for bands that are stored alike.

    Raises InputError for what is neither, or may be both.
    """
    for array in arrays:
        told = array.attrs.get("scale_factor", 1.0), array.attrs.get("add_offset", 0.0)
        if told == (1.0, 0.0):
            continue
        if not np.allclose(told, (scaling.mult, scaling.add), rtol=1e-6, atol=0):
            raise InputError(
                f"{name}: its scale_factor {told[0]:g} and add_offset {told[1]:g} are not those of Collection 2"
                f" ({scaling.mult:g}, {scaling.add:g}); apply them, and give reflectance"
            )
        return Encoding(True, f"{name}: digital numbers of Collection 2, by their scale_factor")
    integer = all(array.dtype.kind != "f" for array in arrays)
    medians = _medians(rasters)
    if not medians:
        return Encoding(integer, f"{name}: nothing but fill")
    low, high = min(medians), max(medians)
    said = f"{name}: median of {low:.5g}"
    if len(medians) > 1:
        said = f"{name}: medians of {low:.5g} to {high:.5g} by band"
    if low >= (_DARKEST - scaling.add) / scaling.mult:
        return Encoding(True, f"{said}, taken for digital numbers of Collection 2")
    if not integer and _REFLECTANCE[0] <= low and high <= _REFLECTANCE[1]:
        return Encoding(False, f"{said}, taken for reflectance")
    zero, one = ((x - scaling.add) / scaling.mult for x in (0, 1))
    raise InputError(
        f"{said}, which is neither reflectance (0 to 1, floating-point) nor digital numbers of Collection 2 (0 is"
        f" {zero:.0f}, 1 is {one:.0f})"
    )


def as_said(scale: Scale, rasters: Sequence[Raster], scaling: Scaling, name: str) -> Encoding:
    """Return what ``scale`` says. Raises InputError where the pixels would be no reflectance then."""
    is_dn = scale == "collection2"
    made = [scaling.mult * median + scaling.add if is_dn else median for median in _medians(rasters)]
    if made and (min(made) < _REFLECTANCE[0] or max(made) > _REFLECTANCE[1]):
        raise InputError(
            f"{name}: by scale {scale} the medians of its bands are reflectance of {min(made):.4g} to"
            f" {max(made):.4g}; leave scale out, or scale the pixels"
        )
    return Encoding(is_dn, f"{name}: {scale}, as scale says")


def _medians(rasters: Sequence[Raster]) -> list[float]:
    return [float(np.median(sample)) for raster in rasters if (sample := raster.sample()).size]
