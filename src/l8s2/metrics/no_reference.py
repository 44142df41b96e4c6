"""Quality of a product without truth: agreement with the 30 m input and with pan. Pure functions.

``prediction`` is (6, 3h, 3w) reflectance on the 10 m block grid, ``ms`` (6, h, w) the input at 30 m, ``pan`` (2h, 2w)
at 15 m with pan[2r, 2c] centred on ms[:, r, c]. The mask is (h, w), MS pixels, True = usable; an MS pixel with a
non-finite value in any band, or in any of its 10 m or pan pixels, is not usable either. Values of unusable pixels never
count: ``arrays.fill_missing`` replaces them before anything is blurred.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from l8s2.arrays import Array, Float, Mask, dilate, enlarge, fill_missing
from l8s2.grid import ms_centres_at_10m, ms_centres_at_15m, pan_centres_at_10m
from l8s2.metrics.detail import high_pass
from l8s2.metrics.scores import Score, correlation, rmse
from l8s2.metrics.similarity import uiqi
from l8s2.optics import resample
from l8s2.sensors import BANDS, OLI, OUTPUT_GSD, PAN_GSD, VISIBLE, extra_blur

REACH = 3
"""MS pixels that OLI's point spread function reaches; closer to the border or an unusable pixel nothing is compared."""
WINDOW = 8
"""MS pixels to a side of the windows of QNR."""


class Qnr(NamedTuple):
    """Quality with no reference; n counts the windows at 30 m behind each Q."""

    qnr: Score
    """``(1 - d_lambda) (1 - d_s)``, 1 is ideal."""
    d_lambda: Score
    """Spectral distortion, 0 is ideal."""
    d_s: Score
    """Spatial distortion, 0 is ideal."""


def consistency(prediction: Array, ms: Array, mask: Mask) -> tuple[Score, ...]:
    """Return the RMS difference of the input and the output as ``seen_by_oli``, one score per band."""
    seen, compared = seen_by_oli(prediction, ms, mask)
    return tuple(rmse(image, coarse, compared) for image, coarse in zip(seen, ms, strict=True))


def seen_by_oli(prediction: Array, ms: Array, mask: Mask) -> tuple[Float, Mask]:
    """Return the output as OLI would see it at 30 m, (6, h, w), and where it can be compared with ``ms``, (h, w).

    The Sentinel-2A band-pass and a Gaussian that turns MSI's point spread function into OLI's, both from
    ``sensors.BANDS``, are applied to the output, which is then sampled at the MS centres. MS pixels within REACH of an
    unusable one or of the border are not to be compared.
    """
    usable = _usable(prediction, ms, mask)
    fine = _as_oli(_fill_unusable(prediction, usable))
    away = ~dilate(~usable, REACH)
    away[:REACH] = away[-REACH:] = away[:, :REACH] = away[:, -REACH:] = False
    rows, columns = map(ms_centres_at_10m, mask.shape)
    images = (
        resample(image, rows, columns, extra_blur(band.oli_psf_sigma, band.msi_psf_sigma))
        for band, image in zip(BANDS, fine, strict=True)
    )
    return np.stack(list(images)), away


def pan_correlation(prediction: Array, pan: Array, mask: Mask) -> Score:
    """Return the correlation of the fine detail of the visible output with that of pan; n counts pan pixels.

    The output is mixed by ``OLI.pan_weights`` and sampled at the centres of pan; both then pass ``detail.high_pass``.
    """
    visible = prediction[VISIBLE]
    usable = mask & _whole(visible, mask.shape) & _whole(pan[None], mask.shape)
    mixed = np.tensordot(np.array(OLI.pan_weights), _fill_unusable(visible, usable), axes=1)
    ok = enlarge(usable, 2)
    ours, theirs = (high_pass(image, ok, gsd=PAN_GSD) for image in (_at_pan(mixed, pan.shape), pan))
    return correlation(ours, theirs, ok)


def qnr(prediction: Array, ms: Array, pan: Array, mask: Mask) -> Qnr:
    """Return quality with no reference of blue, green and red (Alparone et al. 2008; all exponents 1).

    ``d_lambda`` is the mean, over pairs of bands, of the difference of their Q between output and input; ``d_s`` the
    mean, over bands, of the difference of the Q of band and pan between the scale of pan and that of the input. Q is
    ``similarity.uiqi`` in windows of WINDOW MS pixels, the same ground at 30, 15 and 10 m. The Sentinel-2A band-pass is
    applied to the output first; it is compared with pan at pan's centres; pan is brought to 30 m with OLI's point
    spread function.
    """
    visible, coarse = prediction[VISIBLE], ms[VISIBLE]
    usable = _usable(visible, coarse, mask) & _whole(pan[None], mask.shape)
    fine = _as_oli(_fill_unusable(visible, usable))
    at_pan = _at_pan(fine, pan.shape)
    blur = extra_blur(float(np.mean([band.oli_psf_sigma for band in BANDS[VISIBLE]])), OLI.pan_psf_sigma)
    rows, columns = map(ms_centres_at_15m, mask.shape)
    coarse_pan = resample(_fill_unusable(pan[None], usable)[0], rows, columns, blur * OUTPUT_GSD / PAN_GSD)

    def q(a: Array, b: Array) -> Score:
        finer = a.shape[-1] // mask.shape[1]
        return uiqi(a, b, enlarge(usable, finer), window=WINDOW * finer)

    pairs = list(combinations(range(len(coarse)), 2))
    n = q(coarse[0], coarse_pan).n
    spectral = np.mean([abs(q(fine[i], fine[j]).value - q(coarse[i], coarse[j]).value) for i, j in pairs])
    spatial = np.mean([abs(q(x, pan).value - q(y, coarse_pan).value) for x, y in zip(at_pan, coarse, strict=True)])
    return Qnr(*(Score(float(x), n) for x in ((1 - spectral) * (1 - spatial), spectral, spatial)))


def _usable(prediction: Array, ms: Array, mask: Mask) -> Mask:
    return np.asarray(mask & np.isfinite(ms).all(axis=0) & _whole(prediction, mask.shape))


def _whole(image: Array, shape: tuple[int, ...]) -> Mask:
    """Return (h, w) = ``shape``, True for MS pixels in which every value of ``image`` (bands, f h, f w) is finite."""
    h, w = shape
    return np.asarray(np.isfinite(image).reshape(len(image), h, image.shape[1] // h, w, -1).all(axis=(0, 2, 4)))


def _fill_unusable(image: Array, usable: Mask) -> Float:
    """Return the image with the values of unusable MS pixels replaced by ``fill_missing``."""
    known = enlarge(usable, image.shape[-1] // usable.shape[-1])
    return fill_missing(np.where(known, image, np.nan).astype(np.float32))


def _as_oli(fine: Float) -> Float:
    """Apply the band-pass from Sentinel-2A to OLI; ``fine`` holds the first one or more of ``BANDS``."""
    a, b = np.array([band.band_pass["S2A"] for band in BANDS[: len(fine)]], dtype=np.float32).T[:, :, None, None]
    result: Float = fine * a + b
    return result


def _at_pan(fine: Array, shape: tuple[int, ...]) -> Float:
    """Sample the 10 m grid at the centres of pan, without blur."""
    rows, columns = map(pan_centres_at_10m, shape)
    return resample(fine.astype(np.float32), rows, columns, 0.0)
