"""Where Sentinel-2 lies against Landsat, and whether it is to be moved. Pure numpy.

Landsat's lattice is kept. Sentinel-2 is looked at as Landsat would see it (blurred to OLI's sharpness, sampled at the
30 m centres) in windows spread over a patch or scene; each window is measured by ``registration.measure_shift``; a
robust model of all windows says by how much, how surely, and whether at all, the bands are moved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.arrays import Float, Values
from l8s2.pairs.as_oli import BandImage, as_landsat
from l8s2.registration import Shift, measure_shift
from l8s2.sensors import BAND_NAMES, MS_GSD

WINDOW = 64
"""MS pixels to a side of a window at most: 1.9 km, over which errors of orthorectification hardly change."""
SMALLEST_WINDOW = 40
"""MS pixels to a side down to which a patch is cut into more windows: half clouded, one still holds twice what is
needed."""
MOST = 12
"""Windows along an axis at most: 144 give a scene's shift to centimetres."""
MEASURED = ("red", "nir08", "swir16")
"""Bands compared: together they have contrast on soil, plants and shores, and little haze."""

FEWEST = 3
"""Windows from which their scatter says anything."""
NEGLIGIBLE = 1.0
"""Metres of shift that are left alone: a tenth of a 10 m pixel is not worth an interpolation."""
LARGEST = 30.0
"""Metres of shift beyond which nothing is believed: Landsat's Tier 1 promises 12 m (RMSE), Sentinel-2 20 m (2
sigma)."""
LARGEST_CE90 = 5.0
"""Metres within which 90 % of the windows must agree with the model: half a 10 m pixel."""
LARGEST_ERROR = 1.0
"""Metres of standard error of the shift itself."""
AFFINE_WINDOWS, AFFINE_SHARE = 12, 0.7
"""Windows that an affine model needs, and the share of the translation's error on windows left out to which it must
come."""

_TAIL = 2.4
"""Residuals, in standard deviations, from which a window loses weight (Cauchy)."""
_LEAST_SPREAD = 0.1
"""Metres by which windows are taken to scatter at least."""
_LEVEL = (0.0, 0.0), (0.0, 0.0)


class WindowShift(NamedTuple):
    """What one window says."""

    x: float
    """Centre in Landsat's convention, metres."""
    y: float
    shift: Shift
    """In MS pixels of 30 m, or why there is none."""


@dataclass(frozen=True, kw_only=True)
class Coregistration:
    """Where the content of Sentinel-2 lies against Landsat, and what is done about it."""

    decision: Literal["accept", "correct", "reject"]
    """Left as it is, moved by the shift, or not to be used."""
    reason: str
    """The decision in words."""
    windows: int
    """Windows that could be measured."""
    tried: int
    """Windows looked at."""
    model: str
    """``translation``, ``affine``, or ``none`` where too few windows could be measured; the numbers below are NaN
    then."""
    down: float
    """Metres southwards by which the content lies too far, at ``centre``."""
    right: float
    """Metres eastwards."""
    error: float
    """Standard error of ``down`` and ``right``, the larger one, metres."""
    ce90: float
    """Metres from the model within which 90 % of the measured windows lie, outliers included."""
    centre: tuple[float, float]
    """x, y in Landsat's convention, metres."""
    slopes: tuple[tuple[float, ...], tuple[float, ...]] = _LEVEL
    """Growth of (down, right) in metres per kilometre (east, north)."""
    reach: tuple[float, float] = (0.0, 0.0)
    """Metres east or west, north or south of ``centre`` in which there were windows; beyond, the shift is as at the
    edge."""

    def at(self, box: GeoBox) -> tuple[float, float]:
        """Return the shift (down, right) at the centre of a grid, metres, whatever the decision."""
        x, y = grid.landsat_convention(box).affine @ (box.shape[1] / 2, box.shape[0] / 2)
        offset = [
            min(max(at - middle, -reach), reach) / 1000
            for at, middle, reach in zip((x, y), self.centre, self.reach, strict=True)
        ]
        down, right = (float(np.dot(slope, offset)) for slope in self.slopes)
        return self.down + down, self.right + right


def windows(box: GeoBox) -> list[tuple[slice, slice]]:
    """Rows and columns of windows of one size, evenly spread over a patch or scene."""
    return [(rows, columns) for rows in _spread(box.shape[0]) for columns in _spread(box.shape[1])]


def measure_window(landsat: Float, box: GeoBox, sentinel2: Sequence[BandImage]) -> WindowShift:
    """Measure the shift in one window.

    Args:
        landsat: (6, h, w) reflectance at 30 m, NaN where missing, clouded or shaded. Gains and offsets do not matter.
        box: its grid, on the Landsat lattice.
        sentinel2: the six bands in the order of ``sensors.BANDS``, NaN likewise, with 400 m around the window.
    """
    chosen = [BAND_NAMES.index(name) for name in MEASURED]
    shift = measure_shift(landsat[chosen], as_landsat(sentinel2, box, bands=chosen))
    x, y = grid.landsat_convention(box).affine @ (box.shape[1] / 2, box.shape[0] / 2)
    return WindowShift(x, y, shift)


def _spread(size: int) -> list[slice]:
    """Windows along an axis of ``size`` MS pixels."""
    count = min(max(size // SMALLEST_WINDOW, 1), MOST)
    width = min(size // count, WINDOW)
    starts = (round((i + 0.5) * size / count - width / 2) for i in range(count))
    return [slice(start, start + width) for start in starts]


def decide(measured: Sequence[WindowShift]) -> Coregistration:
    """Fit the model of all windows, and decide whether Sentinel-2 is shifted by it."""
    sure = [m for m in measured if not m.shift.reason]
    if len(sure) < FEWEST:
        reasons = Counter(m.shift.reason for m in measured if m.shift.reason).most_common(1)
        usual = f" (most often: {reasons[0][0]})" if reasons else ""
        nan = float("nan")
        return Coregistration(
            decision="reject",
            reason=f"{len(sure)} of {len(measured)} windows could be measured, {FEWEST} are needed{usual}",
            windows=len(sure),
            tried=len(measured),
            model="none",
            down=nan,
            right=nan,
            error=nan,
            ce90=nan,
            centre=(nan, nan),
        )
    places = np.array([(m.x, m.y) for m in sure])
    centre = places.mean(0)
    shifts = np.array([(m.shift.down, m.shift.right) for m in sure]) * MS_GSD
    errors = np.array([(m.shift.down_error, m.shift.right_error) for m in sure]) * MS_GSD
    design = np.column_stack([np.ones(len(sure)), (places - centre) / 1000])
    fit, model = _fit(design[:, :1], shifts, errors), "translation"
    if len(sure) >= AFFINE_WINDOWS:
        affine = _fit(design, shifts, errors)
        if affine.left_out < AFFINE_SHARE * fit.left_out:
            fit, model = affine, "affine"
    longest = float(np.hypot(*(shifts - fit.residual).T).max())
    error = float(fit.error.max())
    ce90 = float(np.percentile(np.hypot(*fit.residual.T), 90))
    decision, reason = _verdict(longest, error, ce90)
    reach = np.abs(places - centre).max(0).tolist()
    (down, *down_slopes), (right, *right_slopes) = fit.coefficients.T.tolist()
    return Coregistration(
        decision=decision,
        reason=reason,
        windows=len(sure),
        tried=len(measured),
        model=model,
        down=down,
        right=right,
        error=error,
        ce90=ce90,
        centre=(float(centre[0]), float(centre[1])),
        slopes=(tuple(down_slopes), tuple(right_slopes)) if model == "affine" else _LEVEL,
        reach=(reach[0], reach[1]),
    )


def _verdict(longest: float, error: float, ce90: float) -> tuple[Literal["accept", "correct", "reject"], str]:
    """Decision and reason from the longest shift of the model, its standard error, and the scatter about it, metres."""
    if longest > LARGEST:
        return "reject", f"a shift of {longest:.1f} m; more than {LARGEST:g} m is no misregistration of these sensors"
    if error > LARGEST_ERROR:
        return "reject", f"the shift is known to {error:.1f} m only; {LARGEST_ERROR:g} m are needed"
    if ce90 > LARGEST_CE90:
        return "reject", f"windows disagree by {ce90:.1f} m (CE90); {LARGEST_CE90:g} m are allowed"
    if longest <= NEGLIGIBLE:
        return "accept", f"a shift of {longest:.2f} m; up to {NEGLIGIBLE:g} m is left alone"
    return "correct", f"a shift of up to {longest:.2f} m is undone"


class _Fit(NamedTuple):
    coefficients: Values
    """(k, 2): for each column of the design, metres down and right."""
    residual: Values
    """(n, 2) metres."""
    error: Values
    """(2,) standard errors of the first coefficients, metres."""
    left_out: float
    """Median distance of windows from the model of all others, metres."""


def _fit(design: Values, shifts: Values, errors: Values) -> _Fit:
    """M-estimate (Huber 1967): weights from each window's standard errors, the common scatter, and Cauchy's tail.

    Args:
        design: (n, k), first column 1.
        shifts: (n, 2) metres down and right.
        errors: (n, 2) their standard errors, metres.
    """
    residual = shifts - np.median(shifts, axis=0)
    count = max(len(design) - design.shape[1], 1) / len(design)
    for _ in range(20):
        squares = (residual**2).sum(1)
        scatter = np.median(squares) / (2 * np.log(2) * count) + _LEAST_SPREAD**2  # of a circular normal
        variance = errors**2 + scatter
        weights = 1 / variance / (1 + squares / (2 * _TAIL**2 * variance.mean(1)))[:, None]
        normal = np.einsum("ni,na,nj->aij", design, weights, design)
        inverse = np.linalg.pinv(normal)  # windows in one row tell nothing across it
        coefficients = np.einsum("aij,nj,na,na->ia", inverse, design, weights, shifts)
        residual = shifts - design @ coefficients
    pull = np.einsum("aij,nj,na->nai", inverse, design, weights)  # change of coefficient i by the shift of window n
    leverage = np.einsum("ni,nai->na", design, pull)
    scattered = np.sqrt(((pull[..., 0] * residual) ** 2).sum(0) / count)
    stated = 1 / np.sqrt((1 / (errors**2 + _LEAST_SPREAD**2)).sum(0))  # few windows may agree by chance
    error = np.maximum(scattered, stated)
    left_out = residual / np.maximum(1 - leverage, 1e-6)
    return _Fit(coefficients, residual, error, float(np.median(np.hypot(*left_out.T))))
