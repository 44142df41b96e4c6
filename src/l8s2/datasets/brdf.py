"""Reflectance as seen from nadir: the c-factor. Pure numpy.

``NBAR = c * reflectance``, c being the ratio of the modelled reflectance in the wanted geometry to that in the one
observed (Roy et al. 2016, Remote Sens. Environ. 176, 255-271, for Landsat; Roy et al. 2017, Remote Sens. Environ. 199,
25-38, for Sentinel-2). The model is the MODIS one, f_iso + f_vol K_vol + f_geo K_geo, with one global mean spectrum of
parameters (Roy et al. 2016): it corrects for the sensors' angles, not for what grows in a pixel. Kernels: Ross-thick
and Li-sparse-reciprocal, h/b = 2, b/r = 1 (Lucht, Schaaf & Strahler 2000, IEEE Trans. Geosci. Remote Sens. 38,
977-998).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from l8s2.arrays import Float, Values
from l8s2.errors import InputError
from l8s2.sensors import BAND_NAMES

_BY_BAND = {
    "blue": (0.0774, 0.0372, 0.0079),
    "green": (0.1306, 0.0580, 0.0178),
    "red": (0.1690, 0.0574, 0.0227),
    "nir08": (0.3093, 0.1535, 0.0330),
    "swir16": (0.3430, 0.1154, 0.0453),
    "swir22": (0.2658, 0.0639, 0.0387),
}
PARAMETERS: tuple[tuple[float, float, float], ...] = tuple(_BY_BAND[name] for name in BAND_NAMES)
"""(f_iso, f_vol, f_geo) of each band, in the order of ``sensors.BANDS``."""
STEEPEST = 80.0
"""Degrees from the zenith up to which the kernels mean anything."""


def c_factor(
    sun_zenith: ArrayLike,
    view_zenith: ArrayLike,
    relative_azimuth: ArrayLike,
    wanted_sun_zenith: ArrayLike | None = None,
) -> Values:
    """Return what reflectance is multiplied with to be seen from nadir.

    Args:
        sun_zenith: degrees from the zenith; (h, w) or a single number.
        view_zenith: degrees from the zenith, of a shape that goes together with it.
        relative_azimuth: degrees between the directions to sun and sensor, 0 = the sun behind the sensor.
        wanted_sun_zenith: that of the result; None keeps the one observed. Give both images of a pair the same.

    Returns:
        (6, ...) factors; NaN where an angle is NaN. Raises InputError for angles outside 0 .. STEEPEST.
    """
    wanted = sun_zenith if wanted_sun_zenith is None else wanted_sun_zenith
    for name, angle in (("sun", sun_zenith), ("view", view_zenith), ("wanted sun", wanted)):
        outside = np.asarray(angle)[(np.asarray(angle) < 0) | (np.asarray(angle) > STEEPEST)]
        if outside.size:
            raise InputError(f"{name} zenith {outside[0]:g} degrees; the BRDF model holds from 0 to {STEEPEST:g}")
    return _modelled(wanted, 0.0, 0.0) / _modelled(sun_zenith, view_zenith, relative_azimuth)


def nbar(reflectance: Float, factor: ArrayLike) -> Float:
    """Reflectance (6, h, w) seen from nadir, float32; ``factor`` from ``c_factor``, (6,) or (6, h, w)."""
    factor = np.asarray(factor, np.float32)
    result: Float = reflectance * factor.reshape(factor.shape + (1,) * (reflectance.ndim - factor.ndim))
    return result


def _modelled(sun_zenith: ArrayLike, view_zenith: ArrayLike, relative_azimuth: ArrayLike) -> Values:
    """(6, ...) reflectance of the mean spectrum in a geometry."""
    volume, geometric = kernels(sun_zenith, view_zenith, relative_azimuth)
    return np.stack([iso + f_vol * volume + f_geo * geometric for iso, f_vol, f_geo in PARAMETERS])


def kernels(sun_zenith: ArrayLike, view_zenith: ArrayLike, relative_azimuth: ArrayLike) -> tuple[Values, Values]:
    """Ross-thick and Li-sparse-reciprocal (Lucht et al. 2000); angles in degrees as for ``c_factor``.

    With b/r = 1 the angles primed there are the angles themselves. Both are 0 for sun and sensor at the zenith.
    """
    sun, view, azimuth = (np.radians(np.asarray(x, np.float64)) for x in (sun_zenith, view_zenith, relative_azimuth))
    cos_phase = np.cos(sun) * np.cos(view) + np.sin(sun) * np.sin(view) * np.cos(azimuth)
    phase = np.arccos(np.clip(cos_phase, -1, 1))
    volume = ((np.pi / 2 - phase) * cos_phase + np.sin(phase)) / (np.cos(sun) + np.cos(view)) - np.pi / 4
    tan_sun, tan_view, secants = np.tan(sun), np.tan(view), 1 / np.cos(sun) + 1 / np.cos(view)
    distance2 = tan_sun**2 + tan_view**2 - 2 * tan_sun * tan_view * np.cos(azimuth)
    cos_t = 2 * np.sqrt(np.maximum(distance2, 0) + (tan_sun * tan_view * np.sin(azimuth)) ** 2) / secants
    t = np.arccos(np.clip(cos_t, -1, 1))
    overlap = (t - np.sin(t) * np.cos(t)) * secants / np.pi
    geometric = overlap - secants + (1 + cos_phase) / (2 * np.cos(sun) * np.cos(view))
    return volume, geometric
