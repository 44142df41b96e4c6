"""How sharp the visible bands of a scene are: the blur that turns its pan into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from l8s2.arrays import Float, Mask, Values, dilate, fill_missing
from l8s2.arrays import windows as blocks_of
from l8s2.grid import ms_centres_at_15m
from l8s2.landsat.clear_windows import BLOCK, ClearWindow
from l8s2.optics import resample
from l8s2.sensors import MS_GSD, OLI, PAN_BLUR, PAN_GSD, VISIBLE

NOMINAL = PAN_BLUR * PAN_GSD
"""Blur between pan and the visible bands, metres, of the sensor as it is documented."""
SHARPNESS = (0.75, 1.3)
"""Blur in units of ``NOMINAL`` outside of which a scene gets ``warn``.

The first is a band of 12 m (MTF 0.45 at Nyquist, OLI's theoretical one), at which the 20 m bands gain little
(docs/results.md); training draws 0.67 to 1.14. Five real scenes have 1.05 to 1.11 (docs/results-scene.md)."""
_SIGMAS = np.arange(3.0, 24.1, 1.5)
"""Metres that are tried."""
_WIDE = float(MS_GSD)
"""Gaussian sigma, metres, whose residual is compared: coarser structure tells nothing of the blur."""
_REACH = 5
"""MS pixels from missing ones, clouds and the edge within which nothing is compared."""
_ENOUGH = 400
"""Fewest pixels of a block."""
_EXPLAINED = 0.5
"""Least share of pan's fine structure that the bands must explain."""
_LARGEST_ERROR = 0.1
"""Largest standard error of the blur of a block, relative."""
_INDEPENDENT = 4
"""Pixels to an independent one: neighbours share what they show."""


class Blur(NamedTuple):
    """The blur that turns pan into the visible bands."""

    sigma: float
    """Gaussian standard deviation, metres."""
    error: float
    """Its standard error, metres."""
    explained: float
    """Share of the variance of the blurred pan's fine structure that a weighted sum of the bands explains."""


def measure_sharpness(windows: Sequence[ClearWindow], pan_shift: dict[str, Any]) -> dict[str, Any]:
    """Measure the blur between pan and the visible bands.

    Args:
        windows: of the scene.
        pan_shift: as ``measure_pan_shift`` returns it; pan is compared where it lies.

    Returns:
        Plain values, medians over blocks: ``blur_m``; ``nominal_blur_m``; what the visible bands then have, if pan has
        its nominal point spread function, as ``psf_sigma_m`` and ``mtf_nyquist``, all with the resampling of the
        product in it. ``verdict`` is ``good``, ``doubtful`` or ``unknown``.
    """
    if "length_m" not in pan_shift:
        return {"verdict": "unknown", "reason": pan_shift["reason"]}
    shift = pan_shift["down_m"] / PAN_GSD, pan_shift["right_m"] / PAN_GSD
    found = [blur for window in windows for blur in _blurs(window, shift)]
    if not found:
        return {"verdict": "unknown", "reason": "no ground whose fine structure pan and the visible bands share"}
    sigma = float(np.median([blur.sigma for blur in found]))
    psf = float(np.hypot(sigma, OLI.pan_psf_sigma))
    return {
        "blur_m": round(sigma, 2),
        "nominal_blur_m": round(NOMINAL, 2),
        "psf_sigma_m": round(psf, 2),
        "mtf_nyquist": round(float(np.exp(-0.5 * (np.pi * psf / MS_GSD) ** 2)), 3),
        "explained": round(float(np.median([blur.explained for blur in found])), 3),
        "windows": len(found),
        "verdict": "good" if SHARPNESS[0] <= sigma / NOMINAL <= SHARPNESS[1] else "doubtful",
    }


def _blurs(window: ClearWindow, shift: tuple[float, float]) -> list[Blur]:
    """Measure the blocks of a window, as far as they tell."""
    if window.pan is None:
        return []
    h, w = window.clear.shape
    visible = window.ms[VISIBLE]
    missing = np.isnan(visible).any(0) | np.isnan(window.pan).reshape(h, 2, w, 2).any(axis=(1, 3))
    usable = ~dilate(missing | ~window.clear, _REACH)
    visible, pan = fill_missing(visible), fill_missing(window.pan[None])[0]
    found = []
    for rows, columns in blocks_of((h, w), BLOCK):
        fine = slice(2 * rows.start, 2 * rows.stop), slice(2 * columns.start, 2 * columns.stop)
        found.append(relative_blur(visible[:, rows, columns], pan[fine], usable[rows, columns], shift))
    return [blur for blur in found if blur is not None]


def relative_blur(visible: Float, pan: Float, usable: Mask, shift: tuple[float, float] = (0.0, 0.0)) -> Blur | None:
    """Find the Gaussian that turns pan into a weighted sum of the bands.

    The blurred pan is regressed on the bands, fine structure only; the sigma that leaves the least share of its
    variance is sought. By the inequality of Cauchy and Schwarz noise of the bands does not move it.

    Args:
        visible: (3, h, w) reflectance without NaN.
        pan: (2h, 2w) likewise; pan[2r, 2c] is centred on visible[:, r, c].
        usable: (h, w) True = may be compared.
        shift: of the content of pan, down and right, in its pixels.

    Returns:
        The blur; None where pan and bands have too little in common to tell.
    """
    inner = np.zeros_like(usable)
    inner[_REACH:-_REACH, _REACH:-_REACH] = usable[_REACH:-_REACH, _REACH:-_REACH]
    if inner.sum() < _ENOUGH:
        return None
    rows, columns = (np.arange(n) for n in usable.shape)
    bands = _centred(visible - resample(visible, rows, columns, _WIDE / MS_GSD), inner)
    left = np.array([_unexplained(bands, _blurred(pan, usable.shape, shift, sigma, inner)) for sigma in _SIGMAS])
    best = int(np.clip(np.nanargmin(left), 1, len(left) - 2)) if np.isfinite(left).any() else 1
    curve = np.polynomial.Polynomial.fit(_SIGMAS[best - 1 : best + 2] ** 2, left[best - 1 : best + 2], 2).convert()
    if not curve.coef[2] > 0:
        return None
    variance = float(np.clip(-curve.coef[1] / (2 * curve.coef[2]), _SIGMAS[0] ** 2, _SIGMAS[-1] ** 2))
    least, sigma = max(float(curve(variance)), 0.0), float(np.sqrt(variance))
    # least squares: -2 log likelihood is n log(left), whose curvature is the inverse of the variance
    error = float(np.sqrt(least * _INDEPENDENT / (inner.sum() * curve.coef[2]))) / (2 * sigma)
    if 1 - least < _EXPLAINED or error > _LARGEST_ERROR * sigma:
        return None
    return Blur(sigma, error, 1 - least)


def _blurred(pan: Float, shape: tuple[int, ...], shift: tuple[float, float], sigma: float, inner: Mask) -> Values:
    """Return the fine structure of pan blurred by ``sigma`` metres, at the centres of MS pixels, (1, pixels)."""
    at = [ms_centres_at_15m(n) + move for n, move in zip(shape, shift, strict=True)]
    near, far = (resample(pan, at[0], at[1], s / PAN_GSD) for s in (sigma, np.hypot(sigma, _WIDE)))
    return _centred((near - far)[None], inner)


def _centred(images: Float, inner: Mask) -> Values:
    values = images[:, inner].astype(np.float64)
    result: Values = values - values.mean(axis=1, keepdims=True)
    return result


def _unexplained(bands: Values, pan: Values) -> float:
    """Return the share of the variance of pan (1, n) that no weighted sum of ``bands`` (3, n) explains; may be NaN."""
    energy = float((pan**2).sum())
    weights, *_ = np.linalg.lstsq(bands @ bands.T, bands @ pan.T, rcond=None)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(1 - np.float64((weights.T @ (bands @ pan.T)).item()) / energy)
