"""Conversion between digital numbers and reflectance, and how far two sensors disagree in level. Pure numpy.

Source: Landsat 8-9 Collection 2 Level 1 and Level 2 data format control books and product guides; of the level
``docs/decisions/0015-total-sigma.md``: two sensors that look at the same ground on the same day differ in atmospheric
correction, view and sun angle, and in covers whose band-pass is not the mean one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Array, Float
from l8s2.errors import InputError

PLAUSIBLE = (-2.0, 3.0)
"""Lowest and highest value taken for surface reflectance; Landsat's own encoding ends at -0.2 and 1.6."""
DN_MAX = 65535
"""Largest digital number of Landsat."""
SCALE = 1e-4
"""Reflectance of one step of the product files SR and SIGMA."""
NODATA = -32768
"""Value of SR and SIGMA that stands for nodata."""
ZENITH = 90.0
"""Elevation of the sun, degrees, of pan that was divided by no sine: that of the zenith is one."""
_LIMIT = 32767
_CHUNK = 1 << 16
"""Samples that are encoded at a time, so that they stay in the processor's cache."""
DN = NDArray[np.uint16] | NDArray[np.int16]
"""Digital numbers; 0 is fill in uint16, -32768 in int16."""
SigmaKind = Literal["total", "detail"]
"""``detail``: what the network says of itself; ``total``: of what Sentinel-2 would measure, with the level."""
LEVEL_ABSOLUTE = (0.014, 0.010, 0.007, 0.007, 0.007, 0.007)
"""Standard deviation of the disagreement in level at no reflectance, per band."""
LEVEL_RELATIVE = (0.05, 0.05, 0.05, 0.05, 0.087, 0.122)
"""The same as a share of reflectance, per band; independent of ``LEVEL_ABSOLUTE``."""


def is_dn(sample: NDArray[Any]) -> bool:
    """Return whether a band holds digital numbers rather than reflectance; decide once per band, not per window.

    Integers always are digital numbers. Floating values are taken for reflectance if their median does not exceed the
    upper end of PLAUSIBLE. Zeros, values below PLAUSIBLE and non-finite values are left out: they are fill in one form
    or the other.
    """
    if sample.dtype.kind != "f":
        return True
    with np.errstate(invalid="ignore"):
        telling = sample[np.isfinite(sample) & (sample != 0) & (sample >= PLAUSIBLE[0])]
    return bool(telling.size) and bool(np.median(telling) > PLAUSIBLE[1])


def to_reflectance(values: NDArray[Any], mult: float, add: float, *, is_dn: bool) -> Float:
    """Return surface reflectance, float32; NaN for fill.

    Args:
        values: any shape. Digital numbers, of which those outside 1 .. DN_MAX are fill; or with ``is_dn`` False
            reflectance, of which values outside PLAUSIBLE, such as NaN or -9999, are fill.
        mult: reflectance = DN * mult + add.
        add: see ``mult``.
        is_dn: whether ``values`` are digital numbers, as the function ``is_dn`` tells.
    """
    if not is_dn:
        with np.errstate(invalid="ignore"):
            known = (values >= PLAUSIBLE[0]) & (values <= PLAUSIBLE[1])
        return np.where(known, values, np.nan).astype(np.float32)
    return _scaled(values, mult, add)


def toa_reflectance(dn: NDArray[Any], mult: float, add: float, sun_elevation: float) -> Float:
    """Return top-of-atmosphere reflectance, (DN * mult + add) / sin(sun_elevation), float32; NaN for fill.

    ``sun_elevation`` in degrees.

    Raises:
        InputError: for a sun that is not above the horizon.
    """
    if not 0 < sun_elevation <= 90:
        raise InputError(f"sun elevation {sun_elevation:g} degrees; l8s2 needs a scene taken in sunlight")
    return (_scaled(dn, mult, add) / np.float32(np.sin(np.radians(sun_elevation)))).astype(np.float32)


def _scaled(dn: NDArray[Any], mult: float, add: float) -> Float:
    with np.errstate(invalid="ignore", over="ignore"):
        known = (dn > 0) & (dn <= DN_MAX)
        scaled = dn.astype(np.float32) * np.float32(mult) + np.float32(add)
    return np.where(known, scaled, np.float32(np.nan))


def encoded(reflectance: Float) -> NDArray[np.int16]:
    """Return reflectance as int16 steps of SCALE; NODATA for NaN."""
    samples = np.empty(reflectance.shape, np.int16)
    if reflectance.ndim < 2 or not reflectance.size:
        samples[...] = _steps(reflectance)
        return samples
    rows = max(1, _CHUNK // max(1, reflectance.shape[-1]))
    for band, result in zip(_images(reflectance), _images(samples), strict=True):
        for top in range(0, band.shape[0], rows):
            result[top : top + rows] = _steps(band[top : top + rows])
    return samples


def _images(values: NDArray[Any]) -> NDArray[Any]:
    """Return (..., h, w) as (n, h, w), without a copy of what is contiguous enough."""
    return values.reshape(-1, *values.shape[-2:])


def _steps(part: Float) -> Float:
    steps: Float = np.rint(part * np.float32(1 / SCALE))
    np.clip(steps, -_LIMIT, _LIMIT, out=steps)
    steps[np.isnan(steps)] = NODATA
    return steps


def reflectance(dn: DN, scale: float, offset: float) -> Float:
    """Return digital numbers as reflectance, NaN where they are fill."""
    fill = 0 if dn.dtype == np.uint16 else np.iinfo(dn.dtype).min
    values: Float = np.where(dn == fill, np.float32(np.nan), dn * np.float32(scale) + np.float32(offset))
    return values


def decoded(samples: NDArray[np.int16]) -> Float:
    """Return reflectance from int16 steps of SCALE; NaN for NODATA."""
    return np.where(samples == NODATA, np.float32(np.nan), samples * np.float32(SCALE))


def level_sigma(
    reflectance: Array, absolute: Sequence[float] = LEVEL_ABSOLUTE, relative: Sequence[float] = LEVEL_RELATIVE
) -> Float:
    """Return the standard error of level, in the shape of ``reflectance`` (6, H, W), by its constants for each band.

    It is alike over a whole scene: averaging over pixels does not make it smaller.
    """
    a, g = (np.array(x, np.float32).reshape(-1, 1, 1) for x in (absolute, relative))
    result: Float = np.sqrt(a**2 + (g * reflectance) ** 2)
    return result


def total_sigma(reflectance: Array, detail: Array) -> Float:
    """Return the standard error with both parts, sqrt(detail^2 + level^2).

    Args:
        reflectance: (6, H, W) of the output.
        detail: (6, H, W) standard error by the network; NaN stays NaN.
    """
    result: Float = np.hypot(detail, level_sigma(reflectance))
    return result


def detail_sigma(
    reflectance: Array,
    total: Array,
    absolute: Sequence[float] = LEVEL_ABSOLUTE,
    relative: Sequence[float] = LEVEL_RELATIVE,
) -> Float:
    """Return the network's part of ``total_sigma``, 0 where ``total`` is no more than the level; (6, H, W) each."""
    result: Float = np.sqrt(np.maximum(total**2 - level_sigma(reflectance, absolute, relative) ** 2, 0))
    return result


def describe_sigma(kind: SigmaKind) -> dict[str, object]:
    """Return what an Item or a Dataset says of its standard errors."""
    if kind == "detail":
        return {"kind": kind}
    return {"kind": kind, "level_absolute": list(LEVEL_ABSOLUTE), "level_relative": list(LEVEL_RELATIVE)}
