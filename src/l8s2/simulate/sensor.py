"""What OLI would have seen of a scene that Sentinel-2 saw.

The 10 m truth lies on the block grid of the native Landsat lattice: MS pixel (r, c) is centred between the first
and the second of its three 10 m pixels (position 3 r + 0.5), pan sample k at 1.5 k + 0.5.

Remember when scoring: nir08, swir16 and swir22 are 20 m native (B8A, B11, B12). Their "10 m truth" is the 20 m
image interpolated band-limited, so it holds no detail finer than 20 m.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l8s2 import sensors
from l8s2.arrays import Float
from l8s2.grid import ms_centres_at_10m, pan_centres_at_10m
from l8s2.optics import resample
from l8s2.simulate.ground import response, unlike
from l8s2.simulate.level1 import RawGrid, bands_on_map

_GSD = sensors.OUTPUT_GSD
_TYPICAL = np.array([band.typical_reflectance for band in sensors.BANDS])[:, None, None]
_SNR = np.array([band.snr for band in sensors.BANDS])[:, None, None]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Everything that is not known exactly about an observation. The defaults are the nominal sensor, without noise."""

    platform: sensors.MSI = "S2A"
    """Sentinel-2 platform that took the truth; decides the band-pass."""
    psf_sigma: tuple[float, ...] = tuple(band.oli_psf_sigma for band in sensors.BANDS)
    """OLI point spread function, Gaussian standard deviation in metres, one per band."""
    pan_psf_sigma: float = sensors.OLI.pan_psf_sigma
    """The same for pan."""
    pan_weights: tuple[float, float, float] = sensors.OLI.pan_weights
    """Share of blue, green and red in pan."""
    pan_nir: float = 0.0
    """Share of nir08 in pan: a stand-in for what three bands cannot explain."""
    pan_gain: float = 1.0
    """Contrast of pan (top of atmosphere) against surface reflectance: haze, transmission, sun angle."""
    pan_offset: float = 0.0
    """Path reflectance in pan."""
    noise: float = 0.0
    """Noise in units of the documented one (1 = measured signal-to-noise ratio, 0 = none)."""
    gain: tuple[float, ...] = (1.0,) * sensors.N_BANDS
    """Radiometric disturbance of the MS bands: factors."""
    offset: tuple[float, ...] = (0.0,) * sensors.N_BANDS
    """Radiometric disturbance of the MS bands: reflectance added."""
    tilt: tuple[float, float] = (0.0, 0.0)
    """BRDF-like relative brightness ramp over the image, down and across (value at the far edge)."""
    pan_shift: tuple[float, float] = (0.0, 0.0)
    """Where pan really samples against where it says, metres (down, right)."""
    band_shift: tuple[tuple[float, float], ...] = ((0.0, 0.0),) * sensors.N_BANDS
    """The same for each of the MS bands. Specified are 4.5 m between bands of OLI and 0.3 pixel between bands of MSI;
    on real pairs the shifts of the bands scatter by about 1 m (``benchmarks/unexplained.py``)."""
    raw_grid: RawGrid | None = None
    """Where OLI took its samples before Level 1 resampled them; None: on the map. ``psf_sigma`` and ``pan_psf_sigma``
    are then those of the raw samples, and noise is that of raw samples, correlated by the resampling."""
    response: float = 0.0
    """How far bands follow the spectral response of both sensors (``ground.RESPONSE``) instead of the line ``platform``
    has."""
    texture: tuple[float, ...] = (0.0,) * sensors.N_BANDS
    """Structure that OLI saw and Sentinel-2 did not: standard deviation in cells of 20 m, in units of the contrast of
    the band."""
    unevenness: tuple[float, ...] = (0.0,) * sensors.N_BANDS
    """The same for smooth structure the size of fields: view angle, growth, atmosphere."""

    @classmethod
    def random(cls, rng: np.random.Generator, *, disturbed: bool = False, untidy: bool = False) -> Conditions:
        """Draw conditions within the published bounds.

        Point spread functions scatter about the nominal one (MTF at Nyquist 0.27-0.36, one draw in eight up to the
        theoretical 0.48). ``disturbed`` adds gain (3 %), offset (0.005) and BRDF-like errors (3 %) to MS,
        which no network can undo: leave it off to judge detail. ``untidy`` adds what two real sensors differ in
        (see ``_untidy``).
        """
        wide = rng.random() < 0.125
        shared = rng.uniform(11.6, 15.4) if wide else rng.normal(14.7, 0.35)
        sigma = np.clip(shared + rng.normal(0, 0.25, sensors.N_BANDS), 11.6, 15.6)
        weights = np.array(sensors.OLI.pan_weights) * np.exp(rng.normal(0, 0.35, 3))
        weights /= weights.sum()
        drawn = cls(
            psf_sigma=tuple(map(float, sigma)),
            pan_psf_sigma=float(rng.uniform(5.5, 8.0)),
            pan_weights=(float(weights[0]), float(weights[1]), float(weights[2])),
            pan_nir=float(rng.normal(0, 0.02)),
            pan_gain=float(rng.uniform(0.5, 1.25)),
            pan_offset=float(rng.uniform(0, 0.12)),
            noise=float(rng.uniform(0.5, 1.5)),
            pan_shift=(float(rng.normal(0, 1.2)), float(rng.normal(0, 1.2))),
        )
        if untidy:
            drawn = replace(drawn, **_untidy(rng))
        if not disturbed:
            return drawn
        return replace(
            drawn,
            gain=tuple(map(float, rng.normal(1, 0.03, sensors.N_BANDS))),
            offset=tuple(map(float, rng.normal(0, 0.005, sensors.N_BANDS))),
            tilt=(float(rng.normal(0, 0.03)), float(rng.normal(0, 0.03))),
        )


RELATIVE_BLUR = (12.2, 12.2, 12.2, 10.4, 9.0, 9.5)
"""Blur that turns Sentinel-2 into OLI, metres: medians of fits on seven real pairs."""
_BLUR_SCATTER = (1.1, 1.1, 1.1, 0.55, 0.8, 0.9)
"""Their standard deviations."""
_RESAMPLING_BLUR = 10.0
"""Share of Level 1's cubic convolution in a fitted blur, metres (variances add): measured on simulated pairs of
fields."""
_TEXTURE = (0.04, 0.04, 0.03, 0.05, 0.075, 0.09)
"""Medians of ``Conditions.texture`` and ``unevenness``: with them about as much is left unexplained at 30 m, of the
same spectrum, as on real pairs (``benchmarks/unexplained.py``)."""
_UNEVENNESS = (0.15, 0.11, 0.09, 0.11, 0.08, 0.08)


def _untidy(rng: np.random.Generator) -> dict[str, Any]:
    """Fields of Conditions that differ as two real sensors do; each has its source in its docstring."""
    whole, single = rng.normal(0, 0.7), rng.normal(0, 0.7, sensors.N_BANDS)
    wanted = np.array(RELATIVE_BLUR) + np.array(_BLUR_SCATTER) * np.clip(whole + single, -2, 2)
    variance = wanted**2 - _RESAMPLING_BLUR**2
    sigma = np.sqrt(variance + np.array([band.msi_psf_sigma for band in sensors.BANDS]) ** 2)
    shift = rng.normal(0, 1.5, 2) + rng.normal(0, 1.5, (sensors.N_BANDS, 2))
    strength = np.exp(rng.normal(0, 0.35)) * np.exp(rng.normal(0, 0.2, sensors.N_BANDS))
    rotation = float(rng.uniform(8, 14) * rng.choice((-1, 1)))
    spacing, phase = rng.normal(1, 0.01, 2), rng.uniform(0, 1, 2)
    return {
        "psf_sigma": tuple(map(float, sigma)),
        "pan_psf_sigma": float(0.75 * rng.uniform(5.5, 8.0)),
        "noise": float(rng.uniform(0.7, 2.5)),
        "band_shift": tuple((float(down), float(right)) for down, right in shift),
        "raw_grid": RawGrid(
            rotation=rotation,
            spacing=(float(spacing[0]), float(spacing[1])),
            phase=(float(phase[0]), float(phase[1])),
        ),
        "response": float(rng.normal(1, 0.4)),
        "texture": tuple(map(float, strength * _TEXTURE)),
        "unevenness": tuple(map(float, strength * _UNEVENNESS)),
    }


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A simulated Landsat acquisition on the native lattice."""

    ms: Float
    """(6, h, w) surface reflectance at 30 m; NaN where the truth was missing."""
    pan: Float
    """(2h, 2w) top-of-atmosphere reflectance at 15 m; pan[2r, 2c] is centred on ms[:, r, c]."""
    conditions: Conditions = field(repr=False)


def sentinel2_stack(visible_10m: Float, nir_swir: Float) -> Float:
    """One (6, H, W) stack at 10 m from B02, B03, B04 at 10 m and B8A, B11, B12 at 20 m (or already at 10 m).

    Args:
        visible_10m: (3, H, W).
        nir_swir: (3, H/2, W/2), interpolated band-limited on the true phase, or (3, H, W), taken as it is.
    """
    height, width = visible_10m.shape[-2:]
    if nir_swir.shape[-2:] != (height, width):
        half = nir_swir.shape[-2:]
        if not (height - 1 <= 2 * half[0] <= height + 1 and width - 1 <= 2 * half[1] <= width + 1):
            raise ValueError(f"20 m bands are {half}, 10 m bands {(height, width)}; they must be half the size")
        rows, columns = (np.arange(n) / 2 - 0.25 for n in (height, width))
        nir_swir = resample(nir_swir, rows, columns, 0.0)
    return np.concatenate([visible_10m, nir_swir]).astype(np.float32)


def observe(
    truth: Float, conditions: Conditions, rng: np.random.Generator, *, veil: Float | None = None
) -> Observation:
    """Let OLI look at ``truth``.

    Args:
        truth: (6, 3h, 3w) Sentinel-2 surface reflectance at 10 m; NaN is missing.
        conditions: the state of sensor and atmosphere; the same conditions and ``rng`` give the same pixels.
        rng: source of the noise.
        veil: (6, 3h, 3w) reflectance in ``truth`` that pan does not see: what the atmospheric correction of
            Level 2 put there, around clouds for example.

    Returns:
        The MS and pan arrays. An MS pixel is NaN where more than 2 % of what it sees is missing; pan never
        is (missing ground shows the mean).
    """
    bands, height, width = truth.shape
    if bands != sensors.N_BANDS or height % 3 or width % 3 or not (height and width):
        raise ValueError(f"truth has shape {truth.shape}; it must be (6, 3h, 3w), whole MS pixels")
    known = np.isfinite(truth)
    if not known.all():
        with np.errstate(invalid="ignore"):
            mean = np.where(known, truth, 0).sum((1, 2)) / np.maximum(known.sum((1, 2)), 1)
        truth = np.where(known, truth, mean[:, None, None].astype(np.float32))

    ab = np.array([band.band_pass[conditions.platform] for band in sensors.BANDS], dtype=np.float32)
    oli = truth * ab[:, :1, None] + ab[:, 1:, None]
    if conditions.response:
        oli = oli + response(truth, conditions.response)
    if any(conditions.texture) or any(conditions.unevenness):
        oli = oli + unlike(truth, conditions.texture, conditions.unevenness, rng)
    grid = conditions.raw_grid
    rows, columns = (ms_centres_at_10m(n // 3) for n in (height, width))
    sigmas = [
        (oli_sigma, band.msi_psf_sigma) for oli_sigma, band in zip(conditions.psf_sigma, sensors.BANDS, strict=True)
    ]
    noisy = partial(_with_noise, factor=conditions.noise, typical=_TYPICAL, snr=_SNR, rng=rng)
    ms = bands_on_map(oli, sigmas, conditions.band_shift, grid, rows, columns, 3.0, noisy)
    if not known.all():
        ms[bands_on_map(known.astype(np.float32), sigmas, conditions.band_shift, grid, rows, columns, 3.0) < 0.98] = (
            np.nan
        )
    tilt = 1 + sum(
        t * np.linspace(-1, 1, n).reshape(shape)
        for t, n, shape in zip(conditions.tilt, ms.shape[1:], ((1, -1, 1), (1, 1, -1)), strict=True)
    )
    ms = (ms * np.reshape(conditions.gain, (-1, 1, 1)) + np.reshape(conditions.offset, (-1, 1, 1))) * tilt

    top = oli if veil is None else oli - veil * ab[:, :1, None]
    panchromatic = np.tensordot(np.array(conditions.pan_weights, dtype=np.float32), top[sensors.VISIBLE], axes=1)
    panchromatic = (panchromatic + conditions.pan_nir * top[sensors.NIR]) * conditions.pan_gain + conditions.pan_offset
    rows, columns = (
        pan_centres_at_10m(2 * n // 3) + shift / _GSD
        for n, shift in zip((height, width), conditions.pan_shift, strict=True)
    )
    msi_visible = float(np.mean([band.msi_psf_sigma for band in sensors.BANDS[sensors.VISIBLE]]))
    pan_sigmas = [(conditions.pan_psf_sigma, msi_visible)]
    noisy_pan = partial(
        _with_noise,
        factor=conditions.noise,
        typical=sensors.OLI.pan_typical_reflectance,
        snr=sensors.OLI.pan_snr,
        rng=rng,
    )
    pan = bands_on_map(panchromatic[None], pan_sigmas, ((0.0, 0.0),), grid, rows, columns, 1.5, noisy_pan)[0]
    if grid is None:
        ms, pan = noisy(ms), noisy_pan(pan)
    return Observation(ms=ms.astype(np.float32), pan=pan.astype(np.float32), conditions=conditions)


def _with_noise(
    reflectance: NDArray[np.floating],
    *,
    factor: float,
    typical: NDArray[np.floating] | float,
    snr: NDArray[np.floating] | float,
    rng: np.random.Generator,
) -> Float:
    result: Float = reflectance + factor * _noise(reflectance, typical, snr, rng)
    return result


def _noise(
    reflectance: NDArray[np.floating],
    typical: NDArray[np.floating] | float,
    snr: NDArray[np.floating] | float,
    rng: np.random.Generator,
) -> NDArray[np.floating]:
    """Shot-noise-limited: the standard deviation grows with the root of the signal from ``typical / snr``.

    Ground darker than typical is as bright to the sensor, by the light of the atmosphere: real noise does not fall
    there (docs/results-scene.md).
    """
    signal = np.sqrt(np.maximum(np.nan_to_num(reflectance), typical) / typical)
    noise: NDArray[np.floating] = rng.standard_normal(reflectance.shape) * typical / snr * signal
    return noise
