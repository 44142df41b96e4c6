"""The six bands, the pan band and their sensor: names, order, ground sampling distance, optics and noise.

Order everywhere in l8s2: blue, green, red, nir08, swir16, swir22.

Sources: Landsat 8-9 Collection 2 Level 2 guide (scale, offset); HLS v2 user guide (band-pass regression over 500
Hyperion spectra); Sentinel-2 L1C data quality report (MTF at Nyquist of MSI); Irons et al. 2012 and on-orbit
assessments (OLI signal-to-noise ratio).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

MSI = Literal["S2A", "S2B", "S2C"]


@dataclass(frozen=True, kw_only=True)
class Band:
    """One band as Landsat-8/9 OLI and Sentinel-2 MSI see it."""

    name: str
    """STAC common name."""
    landsat: str
    """Landsat band number as in USGS file names, for example ``B2``."""
    sentinel2: str
    """Sentinel-2 band whose band-pass corresponds to that of the Landsat band."""
    sentinel2_gsd: int
    """Native pixel size of the Sentinel-2 band, metres (10 or 20)."""
    wavelength: float
    """Centre wavelength of the Sentinel-2 band, micrometres."""
    bandwidth: float
    """Full width at half maximum of the Sentinel-2 band, micrometres."""
    oli_psf_sigma: float
    """Gaussian-equivalent standard deviation of the OLI point spread function, metres."""
    msi_psf_sigma: float
    """Gaussian-equivalent standard deviation of the MSI point spread function, metres."""
    typical_reflectance: float
    """Reflectance at the radiance for which ``snr`` is stated."""
    snr: float
    """OLI signal-to-noise ratio at ``typical_reflectance``, as measured on orbit."""
    band_pass: dict[MSI, tuple[float, float]]
    """(a, b) with OLI = a * MSI + b, reflectance, for each Sentinel-2 platform."""


def _band(
    name: str,
    landsat: str,
    sentinel2: str,
    gsd: int,
    optics: tuple[float, float, float, float],
    noise: tuple[float, float],
    a: tuple[float, float],
    b: tuple[float, float],
    c: tuple[float, float],
) -> Band:
    wavelength, bandwidth, oli, msi = optics
    return Band(
        name=name,
        landsat=landsat,
        sentinel2=sentinel2,
        sentinel2_gsd=gsd,
        wavelength=wavelength,
        bandwidth=bandwidth,
        oli_psf_sigma=oli,
        msi_psf_sigma=msi,
        typical_reflectance=noise[0],
        snr=noise[1],
        band_pass={"S2A": a, "S2B": b, "S2C": c},
    )


BANDS: tuple[Band, ...] = (
    _band("blue", "B2", "B02", 10, (0.4927, 0.065, 14.8, 5.2), (0.061, 360),
          (0.9778, -0.0040), (0.9778, -0.0040), (0.9851, -0.0027)),
    _band("green", "B3", "B03", 10, (0.5598, 0.035, 14.8, 5.1), (0.050, 300),
          (1.0053, -0.0009), (1.0075, -0.0008), (1.0038, -0.0009)),
    _band("red", "B4", "B04", 10, (0.6646, 0.030, 14.8, 5.4), (0.043, 225),
          (0.9765, 0.0009), (0.9761, 0.0010), (0.9718, 0.0011)),
    _band("nir08", "B5", "B8A", 20, (0.8647, 0.021, 14.8, 9.5), (0.045, 200),
          (0.9983, -0.0001), (0.9966, 0.0000), (0.9995, -0.0003)),
    _band("swir16", "B6", "B11", 20, (1.6137, 0.091, 14.8, 11.1), (0.051, 265),
          (0.9987, -0.0011), (1.0000, -0.0003), (0.9994, -0.0007)),
    _band("swir22", "B7", "B12", 20, (2.2024, 0.175, 14.8, 10.9), (0.067, 250),
          (1.0030, -0.0012), (0.9867, 0.0004), (0.9910, 0.0004)),
)  # fmt: skip
"""The six bands of every array with a band axis, in this order."""

BAND_NAMES: tuple[str, ...] = tuple(band.name for band in BANDS)
N_BANDS = len(BANDS)


def _native(gsd: int) -> slice:
    """Return the run of bands whose Sentinel-2 pixels measure ``gsd`` metres."""
    found = [index for index, band in enumerate(BANDS) if band.sentinel2_gsd == gsd]
    run = slice(found[0], found[-1] + 1)
    assert found == list(range(N_BANDS))[run], f"the {gsd} m bands are not neighbours in BANDS"
    return run


NATIVE_10M, NATIVE_20M = _native(10), _native(20)
"""Bands that Sentinel-2 takes at 10 m and at 20 m, as slices of the band axis."""
VISIBLE = slice(BAND_NAMES.index("blue"), BAND_NAMES.index("red") + 1)
"""Blue, green and red: the bands of which pan is a mixture."""
RGB = slice(BAND_NAMES.index("red"), None, -1)
"""Red, green and blue in the order of a picture."""
NIR = BAND_NAMES.index("nir08")


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """The instrument whose products are read: what its file names, numbers and pan band are like."""

    satellites: tuple[int, ...]
    """Numbers of the Landsat satellites that carry it."""
    letter: str
    """Sensor letter in USGS product ids; ``C`` is OLI with TIRS."""
    pan_band: str
    """Landsat band number of pan as in USGS file names."""
    pan_psf_sigma: float
    """Gaussian-equivalent standard deviation of the pan point spread function, metres."""
    pan_typical_reflectance: float
    """Reflectance at the radiance for which ``pan_snr`` is stated."""
    pan_snr: float
    """Signal-to-noise ratio of pan at ``pan_typical_reflectance``, as measured on orbit."""
    pan_weights: tuple[float, float, float]
    """Shares of blue, green and red in pan."""
    sr_scale: float
    sr_offset: float
    """Collection-2 Level-2 surface reflectance = DN * ``sr_scale`` + ``sr_offset``; DN 0 is fill."""

    def platform(self, satellite: int) -> str:
        """Return the STAC name of one of ``satellites``, for example ``landsat-8``."""
        return f"landsat-{satellite}"


OLI = Sensor(
    satellites=(8, 9),
    letter="C",
    pan_band="B8",
    pan_psf_sigma=7.4,  # MTF 0.30 at Nyquist
    pan_typical_reflectance=0.0425,
    pan_snr=145.0,
    pan_weights=(0.28, 0.37, 0.35),  # mean of fits on two real Level-1 scenes (R2 0.98-0.99)
    sr_scale=0.0000275,
    sr_offset=-0.2,
)
"""The Operational Land Imager of Landsat-8 and Landsat-9."""

MS_GSD = 30
PAN_GSD = 15
OUTPUT_GSD = 10
PAN_BLUR = math.sqrt(BANDS[1].oli_psf_sigma ** 2 - OLI.pan_psf_sigma**2) / PAN_GSD
"""Gaussian sigma that blurs pan to the sharpness of the MS bands, 15 m pixels."""


def extra_blur(oli_sigma: float, msi_sigma: float) -> float:
    """Return the blur, in 10 m pixels, that turns a Sentinel-2 point spread function into OLI's; sigmas in metres."""
    return math.sqrt(max(oli_sigma**2 - msi_sigma**2, 0.0)) / OUTPUT_GSD
