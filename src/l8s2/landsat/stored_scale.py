"""How reflectance is stored in a band, proved from its pixels where the files are not those of USGS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l8s2.deliveries.declared import SCALES, Scale
from l8s2.errors import InputError

_DIGITAL = 6500
"""Digital number of reflectance -0.02: no median of a band of Collection 2 is lower.

As steps of 0.0001 it is 0.65, which cloud, snow and salt do not reach in all bands: not in the short-wave infrared."""
_STEPS = 5500
"""Digital number of reflectance -0.05. A band whose median is lower is not of Collection 2."""
_HIGHEST = 1.6
"""Reflectance at which the encoding of Collection 2 ends."""
_BRIGHTEST = 0.03
"""Least reflectance that the brightest percents of the brightest band have in any scene."""
_GIVE = f"give `scale` ({', '.join(SCALES)})"
PAN_LOWEST = 4500
"""Digital number of reflectance -0.01 of Level 1; no median of pan is lower."""


def prove_scale(name: str, samples: Sequence[NDArray[Any]]) -> tuple[Scale, str]:
    """Return the one scale under which all bands are surface reflectance of the Earth, and the proof in words.

    Args:
        name: of the product, for messages.
        samples: known values of each band, without fill.

    Raises InputError where no scale fits, or more than one.
    """
    telling = [sample[np.isfinite(sample) & (sample != 0) & (sample > -9000)] for sample in samples]
    telling = [sample for sample in telling if sample.size]
    if not telling:
        raise InputError(f"{name}: no pixel has a value, which leaves its scale open; {_GIVE}")
    if all(sample.dtype == np.uint8 for sample in telling):
        raise InputError(f"{name}: holds 8-bit numbers, a picture and no reflectance; export it with its own values")
    medians = [float(np.median(sample)) for sample in telling]
    low, high = min(medians), max(medians)
    top = max(float(np.percentile(sample, 98)) for sample in telling)
    seen = f"the medians of its bands run from {low:g} to {high:g}"
    if low >= _DIGITAL and high <= 65535:
        return "collection2", seen
    floating = all(sample.dtype.kind == "f" for sample in telling)
    if floating and low >= -0.2 and high <= _HIGHEST and top >= _BRIGHTEST:
        return "reflectance", seen
    if -2000 <= low <= _STEPS and high <= _HIGHEST * 1e4 and top >= _BRIGHTEST * 1e4:
        return "1e-4", seen
    raise InputError(f"{name}: {seen}, which leaves its scale open; {_GIVE}")


def doubts_about_scale(name: str, samples: Iterable[NDArray[Any]]) -> list[str]:
    """Word the warning where every band is too dark for Collection 2, as reflectance x 10 000 named by USGS is.

    ``samples`` are taken as far as they are needed: one, where the first band is bright enough.
    """
    medians: list[float] = []
    for sample in samples:
        known = sample[(sample != 0) & (sample > -9000)]
        if known.size:
            medians.append(float(np.median(known)))
            if medians[-1] > _STEPS:
                return []
    if not medians:
        return []
    return [
        f"{name}: the medians of its bands run from {min(medians):g} to {max(medians):g}, too low for Collection 2,"
        " where 7273 is reflectance 0; if they are reflectance x 10 000, give `scale` 1e-4"
    ]


def check_pan(name: str, sample: NDArray[Any]) -> None:
    """Check that integers of a pan of unknown origin are digital numbers of Level 1. Raises InputError."""
    known = sample[sample > 0]
    if sample.dtype.kind != "f" and known.size and (median := float(np.median(known))) < PAN_LOWEST:
        raise InputError(
            f"{name}: its median is {median:g}, no digital number of Level 1; give the L1TP product, or reflectance as"
            " floating point"
        )
