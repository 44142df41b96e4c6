"""Digital numbers to reflectance, product names and MTL metadata. Pure: numpy and the standard library.

Source: Landsat 8-9 Collection 2 Level 1 and Level 2 data format control books and product guides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Float
from l8s2.errors import InputError

PLAUSIBLE = (-2.0, 3.0)
"""What surface reflectance can be, generously: Landsat's own encoding ends at -0.2 and 1.6."""
DN_MAX = 65535
SCALE = 1e-4
"""Reflectance of one step of SR and SIGMA."""
NODATA = -32768
"""Of SR and SIGMA."""
_LIMIT = 32767
DN = NDArray[np.uint16] | NDArray[np.int16]
"""Digital numbers; 0 is fill in uint16, -32768 in int16."""


def is_dn(sample: NDArray[Any]) -> bool:
    """Whether a band holds digital numbers rather than reflectance; to be decided once per band, not per window.

    Integers always do. Floating values are taken for reflectance when most of them lie within PLAUSIBLE. Zeros, values
    below PLAUSIBLE and what is not finite decide nothing: they are fill in one form or the other.
    """
    if sample.dtype.kind != "f":
        return True
    with np.errstate(invalid="ignore"):
        telling = sample[np.isfinite(sample) & (sample != 0) & (sample >= PLAUSIBLE[0])]
    return bool(telling.size) and bool(np.median(telling) > PLAUSIBLE[1])


def to_reflectance(values: NDArray[Any], mult: float, add: float, *, is_dn: bool) -> NDArray[np.float32]:
    """Surface reflectance, float32; NaN for fill.

    Args:
        values: any shape. Digital numbers (fill is what is not above 0 and up to DN_MAX), or with ``is_dn`` False
            reflectance (fill is what is not within PLAUSIBLE, such as NaN or -9999).
        mult, add: reflectance = DN * mult + add.
        is_dn: which of the two, from ``is_dn``.
    """
    if not is_dn:
        with np.errstate(invalid="ignore"):
            known = (values >= PLAUSIBLE[0]) & (values <= PLAUSIBLE[1])
        return np.where(known, values, np.nan).astype(np.float32)
    return _scaled(values, mult, add)


def toa_reflectance(dn: NDArray[Any], mult: float, add: float, sun_elevation: float) -> NDArray[np.float32]:
    """Top-of-atmosphere reflectance, float32: (DN * mult + add) / sin(sun elevation in degrees); NaN for fill.

    Raises InputError for a sun that is not above the horizon.
    """
    if not 0 < sun_elevation <= 90:
        raise InputError(f"sun elevation {sun_elevation:g} degrees; l8s2 needs a scene taken in sunlight")
    return (_scaled(dn, mult, add) / np.float32(np.sin(np.radians(sun_elevation)))).astype(np.float32)


def _scaled(dn: NDArray[Any], mult: float, add: float) -> NDArray[np.float32]:
    with np.errstate(invalid="ignore", over="ignore"):
        known = (dn > 0) & (dn <= DN_MAX)
        scaled = dn.astype(np.float32) * np.float32(mult) + np.float32(add)
    return np.where(known, scaled, np.float32(np.nan))


def encoded(reflectance: NDArray[np.float32]) -> NDArray[np.int16]:
    """Reflectance as int16 steps; NODATA for NaN."""
    steps = np.clip(np.rint(reflectance * np.float32(1 / SCALE)), -_LIMIT, _LIMIT)
    return np.where(np.isnan(steps), np.float32(NODATA), steps).astype(np.int16)


def reflectance(dn: DN, scale: float, offset: float) -> Float:
    """Digital numbers as reflectance, NaN where they are fill."""
    fill = 0 if dn.dtype == np.uint16 else np.iinfo(dn.dtype).min
    values: Float = np.where(dn == fill, np.float32(np.nan), dn * np.float32(scale) + np.float32(offset))
    return values


def decoded(samples: NDArray[np.int16]) -> Float:
    """Reflectance from int16 steps; NaN for NODATA."""
    return np.where(samples == NODATA, np.float32(np.nan), samples * np.float32(SCALE))
