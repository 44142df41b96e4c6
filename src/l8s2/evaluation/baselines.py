"""What any product must beat: interpolation of the 30 m bands, and classical pan-sharpening. Pure numpy.

Every baseline is ``f(ms, pan) -> (6, 3h, 3w) float32``, reflectance on the 10 m block grid:

* ms: (6, h, w) surface reflectance at 30 m, bands in the order of ``sensors.BANDS``;
* pan: (2h, 2w) top-of-atmosphere reflectance at 15 m, pan[2r, 2c] centred on ms[:, r, c]; None where there is none.

NaN spreads as far as interpolation and blur reach and no further: means, variances and regressions leave it out, so
hand in what is missing as NaN, not as a guess.

The pan methods first give the bands Sentinel-2's band-pass: what sets them apart from ``band_pass_bicubic`` is the
detail they add. Into a band that is less sharp on Sentinel-2 than pan (nir08, swir16, swir22) ``gram_schmidt`` and
``mtf_glp`` put pan of that band's sharpness; with pan as it is they would lose to interpolation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from l8s2.arrays import Array, Float, Values
from l8s2.metrics.resampling import cubic, filter_both_axes, pan_at_10m, pan_at_30m
from l8s2.metrics.resampling import nearest as nearest_pixel
from l8s2.sensors import BANDS, OLI, VISIBLE

WINDOW = 5
"""MS pixels to the side of the window in which ``mtf_glp`` regresses the bands on pan. Wider windows scored lower on
the training sites, narrower ones rest on few pixels."""
DARKEST = 0.01
"""Reflectance; ``brovey`` divides by no intensity below it."""
FLATTEST = 1e-5
"""Standard deviation, as a fraction of the root mean square, up to which an image counts as flat: nothing is regressed
on it, the gain is 0. float32 rounds a value by up to 2^-24, 6e-8 of it, and the filters add up a few dozen roundings;
the steps of Landsat's own integers (2.75e-5 in reflectance) are above it for all but the brightest ground."""

_VISIBLE_SIGMA = float(np.mean([band.oli_psf_sigma for band in BANDS[VISIBLE]]))


def nearest(ms: Array, pan: Array | None = None) -> Float:
    """Return the nearest MS pixel, the mean of two where they are equally near (``resampling.nearest``).

    Args:
        ms: (6, h, w) reflectance at 30 m, or any (..., h, w).
        pan: not looked at.

    Returns:
        (..., 3h, 3w) float32.
    """
    return nearest_pixel(ms)


def bicubic(ms: Array, pan: Array | None = None) -> Float:
    """Cubic convolution (Keys 1981, a = -0.5) of the MS bands onto the 10 m block grid.

    Args:
        ms: (6, h, w) reflectance at 30 m, or any (..., h, w). Beyond the edges the last pixel repeats; NaN spreads.
        pan: not looked at.

    Returns:
        (..., 3h, 3w) float32; pixel (3r + i, 3c + j) belongs to MS pixel (r, c).
    """
    return cubic(ms)


def band_pass_bicubic(ms: Array, pan: Array | None = None) -> Float:
    """Sentinel-2A's band-pass, ``(ms - b) / a`` (HLS v2, Claverie et al. 2018; ``sensors.BANDS``), then ``bicubic``.

    Args:
        ms: (6, h, w) reflectance at 30 m.
        pan: not looked at.

    Returns:
        (6, 3h, 3w) float32 reflectance.
    """
    return cubic(_band_pass(ms))


def brovey(ms: Array, pan: Array | None) -> Float:
    """Brovey transform (Gillespie, Kahle & Walker 1987): visible bands times pan by intensity, the others interpolated.

    Intensity is the mixture of blue, green and red by OLI.pan_weights; pan is given its mean and variance, of the whole
    image at 30 m. Written as ``band + band / max(intensity, DARKEST) * (pan - intensity)``: the ratio, but harmless
    over water.

    Args:
        ms: (6, h, w) reflectance at 30 m.
        pan: (2h, 2w) top-of-atmosphere reflectance at 15 m; gain (positive) and offset do not matter.

    Returns:
        (6, 3h, 3w) float32 reflectance.

    Raises:
        ValueError: pan is None or does not fit ms.
    """
    pan = _checked(ms, pan)
    coarse = np.tensordot(np.array(OLI.pan_weights), ms[VISIBLE], axes=1)
    mean, covariance = _moments(coarse[None], pan_at_30m(pan, _VISIBLE_SIGMA))
    gain = np.sqrt(_slope(covariance[0, 0], covariance[1, 1], covariance[1, 1] + mean[1] ** 2))
    intensity = cubic(coarse)
    detail = mean[0] + gain * (pan_at_10m(pan) - mean[1]) - intensity
    fine = band_pass_bicubic(ms)
    fine[VISIBLE] += fine[VISIBLE] / np.maximum(intensity, DARKEST) * detail
    return fine


def gram_schmidt(ms: Array, pan: Array | None) -> Float:
    """Adaptive Gram-Schmidt, GSA (Aiazzi, Baronti & Selva 2007): what pan holds beyond an intensity fitted to it.

    Intensity is the affine mixture of blue, green and red that is nearest to pan at 30 m by least squares. Each of the
    six bands gets ``cov(band, intensity) / var(intensity) * (pan - intensity)``; one gain per band, of the whole image
    at 30 m.

    Where the three bands are alike, many mixtures are equally near. Pan is therefore regressed on the principal
    components of the bands, without those that are flat (FLATTEST, of the root mean square of the bands together).
    What is left is well conditioned: no component's variance is below FLATTEST**2 = 1e-10 of that mean square, float64
    rounds covariances to 1e-16 of it.

    Args:
        ms: (6, h, w) reflectance at 30 m.
        pan: (2h, 2w) top-of-atmosphere reflectance at 15 m; gain and offset do not matter.

    Returns:
        (6, 3h, 3w) float32 reflectance.

    Raises:
        ValueError: pan is None or does not fit ms.
    """
    pan = _checked(ms, pan)
    bands = _band_pass(ms)
    mean, covariance = _moments(bands, pan_at_30m(pan, _VISIBLE_SIGMA))
    squares = np.diag(covariance) + mean**2
    variances, components = np.linalg.eigh(covariance[VISIBLE, VISIBLE])
    slopes = _slope(components.T @ covariance[VISIBLE, -1], variances, squares[VISIBLE].sum())
    weights = np.zeros(len(mean))
    weights[VISIBLE] = components @ slopes
    gains = _slope(covariance @ weights, weights @ covariance @ weights, squares[-1])[: len(BANDS)]
    fine = cubic(bands)
    intensity = mean[-1] + np.tensordot(weights[VISIBLE], fine[VISIBLE] - mean[VISIBLE, None, None], axes=1)
    for band, gain, out in zip(BANDS, gains, fine, strict=True):
        out += gain * (pan_at_10m(pan, band.msi_psf_sigma) - intensity)
    return fine


def mtf_glp(ms: Array, pan: Array | None) -> Float:
    """Generalised Laplacian pyramid with matched MTF, gains by regression (Aiazzi et al. 2006; Vivone et al. 2015).

    Each of the six bands gets ``gain * (pan - bicubic(pan at 30 m))``, where pan goes to 30 m with the sharpness that
    the band has on OLI; the gain is ``cov(band, pan) / var(pan)`` at 30 m, in a window of WINDOW MS pixels about each.

    Args:
        ms: (6, h, w) reflectance at 30 m.
        pan: (2h, 2w) top-of-atmosphere reflectance at 15 m; gain and offset do not matter.

    Returns:
        (6, 3h, 3w) float32 reflectance.

    Raises:
        ValueError: pan is None or does not fit ms.
    """
    pan = _checked(ms, pan)
    bands = _band_pass(ms)
    fine = cubic(bands)
    for band, coarse, out in zip(BANDS, bands, fine, strict=True):
        coarse_pan = pan_at_30m(pan, band.oli_psf_sigma)
        gain = cubic(_local_slope(coarse, coarse_pan))
        out += gain * (pan_at_10m(pan, band.msi_psf_sigma) - cubic(coarse_pan))
    return fine


BASELINES: dict[str, Callable[[Array, Array | None], Float]] = {
    "nearest": nearest,
    "bicubic": bicubic,
    "band-pass + bicubic": band_pass_bicubic,
    "Brovey": brovey,
    "Gram-Schmidt": gram_schmidt,
    "MTF-GLP": mtf_glp,
}
"""Every baseline by the name it has in tables, the simplest first."""

NEED_PAN = frozenset({"Brovey", "Gram-Schmidt", "MTF-GLP"})
"""Names of those that raise ValueError without pan."""


def _checked(ms: Array, pan: Array | None) -> Array:
    """``pan``, when it is there and fits."""
    if pan is None:
        raise ValueError(f"pan=None; {', '.join(sorted(NEED_PAN))} need the 15 m band, the other baselines do without")
    if ms.ndim != 3 or len(ms) != len(BANDS) or pan.shape != (2 * ms.shape[1], 2 * ms.shape[2]):
        raise ValueError(f"ms has shape {ms.shape} and pan {pan.shape}; they must be (6, h, w) and (2h, 2w)")
    return pan


def _band_pass(ms: Array) -> Float:
    """Landsat's bands, (6, h, w), as Sentinel-2A's."""
    a, b = np.array([band.band_pass["S2A"] for band in BANDS]).T[:, :, None, None]
    return np.asarray((ms - b) / a, dtype=np.float32)


def _moments(bands: Array, pan: Array) -> tuple[Values, Values]:
    """Mean (n + 1,) and covariance of ``bands`` (n, h, w) and ``pan`` (h, w), of the pixels where none is NaN."""
    images = np.concatenate([bands, pan[None]]).astype(np.float64)
    values = images[:, np.isfinite(images).all(axis=0)]
    if not values.size:
        return np.zeros(len(images)), np.zeros((len(images), len(images)))
    return values.mean(axis=1), np.cov(values, bias=True)


def _local_slope(band: Array, reference: Array) -> Values:
    """Slope of ``band`` on ``reference``, both (h, w), in the window about each pixel, NaN left out; never NaN."""
    known = np.isfinite(band) & np.isfinite(reference)
    box = np.ones((1, WINDOW)) / WINDOW
    share = filter_both_axes(known.astype(np.float64), box)

    def mean(values: Values) -> Values:
        return np.divide(filter_both_axes(values, box), share, out=np.zeros(values.shape), where=share > 0)

    y, x = (np.where(known, image, 0).astype(np.float64) for image in (band, reference))
    return _slope(mean(x * y) - mean(x) * mean(y), mean(x * x) - mean(x) ** 2, mean(x * x))


def _slope(covariance: Values, variance: Values, mean_square: Values) -> Values:
    """``covariance / variance`` of what is regressed on an image, and 0 where the image is flat (FLATTEST).

    ``variance`` and ``mean_square`` are those of the image; all three broadcast.
    """
    covariance, variance, mean_square = np.broadcast_arrays(covariance, variance, mean_square)
    varied = variance > FLATTEST**2 * mean_square
    result: Values = np.divide(covariance, variance, out=np.zeros(covariance.shape), where=varied)
    return result
