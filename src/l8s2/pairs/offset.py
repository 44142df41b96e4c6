"""Whether Sentinel-2's offset of -1000 is still to be applied: decided from pixels, compared with what is claimed.

From processing baseline 04.00 (25 January 2022) reflectance is (DN - 1000) / 10000, before it was DN / 10000. Some
archives have taken the 1000 off already (and write 0 below), and their flags are not always true. 0.1 of reflectance is
more than most of the Earth reflects in red, so it is never guessed. Only nir08, swir16 and swir22 are asked: in them
clean air reflects nothing, so it holds at the top of the atmosphere (L1C) as it does on the ground (L2A). Pure numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Array
from l8s2.catalogs.items import S2_OFFSET, SAFE, SceneItem
from l8s2.errors import InputError
from l8s2.pairs.regression import fit_band
from l8s2.sensors import BAND_NAMES

_ASKED = ("nir08", "swir16", "swir22")
_PIXELS = 200
"""Pixels without which nothing is said."""
_FEW = 0.005
"""Share of the pixels that may be anything: defects, sun glint, edges of detectors."""
_BELOW = 600
"""Digital number that no ground falls below while the 1000 are in it: reflectance -0.04."""
_BLACK = (940, 1120)
"""Digital numbers of water in swir16 and swir22 while the 1000 are in them: reflectance -0.006 .. 0.012."""
_SMOOTH = 30
"""Digital numbers, robust standard deviation, that they scatter by at most; sun glint of 0.1 scatters more."""
_LAND = 0.1
"""Share of the image that is something else, and no darker: a sea of sun glint may well be smooth."""
_GREEN = (50, 2200)
"""Digital numbers by which water is at least brighter in green than in nir08, which soil, asphalt and ash are not; and
what it reaches at most in green, which snow exceeds."""
_NONE, _ALL = (-0.04, 0.04), (0.06, 0.15)
"""Sentinel-2 minus Landsat, reflectance, without and with the 0.1."""
_SLOPES = (0.75, 1.33)
_ALIKE = 0.75
"""Correlation with Landsat from which a line says anything."""
_BANDS_APART = 0.04
"""Reflectance by which intercepts of bands may differ: an offset is the same in all, haze and cirrus are not."""


class Evidence(NamedTuple):
    """What one source says of the offset."""

    offset: float | None
    """Reflectance = DN / 10000 + offset: -0.1 or 0; None where it cannot be known."""
    why: str
    """In a few words, with numbers."""


def claimed(item: SceneItem) -> Evidence:
    """Return what catalogue or metadata claim, by the processing baseline and by flags that the offset was removed."""
    if item.offset_removed:
        return Evidence(item.offset, "the catalogue (offset removed)")
    who = "its metadata" if item.catalog == SAFE else "the catalogue"
    return Evidence(item.offset, f"{who} (processing baseline {item.baseline or 'not stated'})")


def from_dark_objects(dn: NDArray[Any]) -> Evidence:
    """Decide from the darkest pixels.

    Ground below _BELOW cannot be while the 1000 are in. That they are in is believed of water alone: black in both swir
    bands, smooth, brighter in green than in nir08, beside land, and nothing in the image darker.

    Args:
        dn: (6, h, w) digital numbers in the order of ``sensors.BANDS`` on one grid, native 20 m at best; not above 0 is
            nodata. Clouds do no harm.
    """
    known = (dn > 0).all(0)
    if known.sum() < _PIXELS:
        return Evidence(None, f"only {known.sum()} pixels are known")
    asked = np.stack([dn[BAND_NAMES.index(name)][known] for name in _ASKED]).astype(np.float64)
    lowest = np.quantile(asked, _FEW, axis=1)
    darkest = f"darkest pixels at DN {lowest.min():.0f} in {_ASKED[int(lowest.argmin())]}"
    if lowest.min() < _BELOW:
        return Evidence(0.0, darkest)
    green, nir, swir = dn[BAND_NAMES.index("green")][known], asked[0], asked[1:]
    water = ((swir > _BLACK[0]) & (swir < _BLACK[1])).all(0) & (green > nir + _GREEN[0]) & (green < _GREEN[1])
    if lowest.min() > _BLACK[0] and _PIXELS <= water.sum() <= (1 - _LAND) * water.size:
        median = np.median(swir[:, water], axis=1)
        if 1.4826 * np.median(np.abs(swir[:, water] - median[:, None]), axis=1).max() < _SMOOTH:
            return Evidence(S2_OFFSET, f"water at DN {median[0]:.0f} in swir16, {median[1]:.0f} in swir22")
    return Evidence(None, darkest)


def from_landsat(sentinel2: Array, landsat: Array) -> Evidence:
    """Decide from a Landsat image of about the same day, by a robust line for each band.

    Args:
        sentinel2: (6, h, w) DN / 10000 as OLI would see it at 30 m (``as_oli.as_landsat``); NaN is not used.
        landsat: (6, h, w) surface reflectance, likewise.
    """
    steps, said = [], []
    for name in _ASKED:
        s, t = sentinel2[BAND_NAMES.index(name)], landsat[BAND_NAMES.index(name)]
        line = fit_band(t, s)
        if not (line.r >= _ALIKE and _SLOPES[0] < line.slope < _SLOPES[1]):
            continue
        both = np.isfinite(s) & np.isfinite(t)
        steps.append((line.intercept, float(np.median(s[both] - t[both]))))
        said.append(f"{line.intercept:+.3f} in {name}")
    if len(steps) < 2:
        return Evidence(None, "no likeness with Landsat")
    why = f"against Landsat {', '.join(said)}"
    intercepts = [i for i, _ in steps]
    if max(intercepts) - min(intercepts) < _BANDS_APART:
        for offset, (low, high) in ((0.0, _NONE), (S2_OFFSET, _ALL)):
            if all(low < value < high for step in steps for value in step):
                return Evidence(offset, why)
    return Evidence(None, why)


def settle(claim: Evidence, seen: Sequence[Evidence]) -> Evidence:
    """Return the offset to work with, and why: what pixels say, else what is claimed.

    Raises:
        InputError: They contradict the claim or each other, or the offset is unknown.
    """
    sure = [evidence for evidence in (*seen, claim) if evidence.offset is not None]
    if not sure:
        tried = "; ".join(evidence.why for evidence in seen)
        raise InputError(
            f"Sentinel-2 offset: unknown to {claim.why}, and pixels do not tell ({tried}); "
            "take the image from an archive that states its processing baseline"
        )
    for other in sure[1:]:
        if other.offset != sure[0].offset:
            raise InputError(
                f"Sentinel-2 offset: {sure[0].offset:g} by {sure[0].why}, but {other.offset:g} by {other.why}; "
                "leave this image out or take it from another archive"
            )
    return sure[0]
