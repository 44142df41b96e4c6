"""Every number against the published tables, typed in a second time."""

import math
from dataclasses import FrozenInstanceError, fields

import pytest

from l8s2 import sensors
from l8s2.sensors import BAND_NAMES, BANDS

ORDER = ["blue", "green", "red", "nir08", "swir16", "swir22"]
LANDSAT = ["B2", "B3", "B4", "B5", "B6", "B7"]
SENTINEL2 = ["B02", "B03", "B04", "B8A", "B11", "B12"]
MSI_MTF = [0.26, 0.28, 0.24, 0.33, 0.22, 0.23]
OLI_MTF = 0.30
WAVELENGTH_NM = [(492.7, 65), (559.8, 35), (664.6, 30), (864.7, 21), (1613.7, 91), (2202.4, 175)]
SNR = [(360, 360), (300, 300), (225, 225), (200, 200), (265, 265), (180, 330)]
HLS = {  # band-pass of the HLS v2 user guide
    "S2A": [
        (0.9778, -0.0040), (1.0053, -0.0009), (0.9765, 0.0009),
        (0.9983, -0.0001), (0.9987, -0.0011), (1.0030, -0.0012),
    ],
    "S2B": [
        (0.9778, -0.0040), (1.0075, -0.0008), (0.9761, 0.0010),
        (0.9966, 0.0000), (1.0000, -0.0003), (0.9867, 0.0004),
    ],
    "S2C": [
        (0.9851, -0.0027), (1.0038, -0.0009), (0.9718, 0.0011),
        (0.9995, -0.0003), (0.9994, -0.0007), (0.9910, 0.0004),
    ],
}  # fmt: skip


def sigma_of(mtf: float, gsd: float) -> float:
    """Gaussian whose transfer function is ``mtf`` at the Nyquist frequency of ``gsd``."""
    return gsd / math.pi * math.sqrt(-2 * math.log(mtf))


def test_order_and_names() -> None:
    assert [band.name for band in BANDS] == ORDER
    assert list(BAND_NAMES) == ORDER
    assert [band.landsat for band in BANDS] == LANDSAT
    assert [band.sentinel2 for band in BANDS] == SENTINEL2
    assert sensors.OLI.pan_band not in LANDSAT


def test_slices_of_the_band_axis_pick_the_bands_they_name() -> None:
    assert sensors.N_BANDS == 6
    assert BAND_NAMES[sensors.VISIBLE] == ("blue", "green", "red")
    assert BAND_NAMES[sensors.RGB] == ("red", "green", "blue")
    assert BAND_NAMES[sensors.NATIVE_10M] == ("blue", "green", "red")
    assert BAND_NAMES[sensors.NATIVE_20M] == ("nir08", "swir16", "swir22")
    assert BAND_NAMES[sensors.NIR] == "nir08"
    assert [band.sentinel2_gsd for band in BANDS] == [10] * 3 + [20] * 3


def test_the_sensor_is_that_of_landsat_8_and_9() -> None:
    assert (sensors.OLI.satellites, sensors.OLI.letter, sensors.OLI.pan_band) == ((8, 9), "C", "B8")
    assert [sensors.OLI.platform(n) for n in sensors.OLI.satellites] == ["landsat-8", "landsat-9"]


def test_wavelengths_rise_and_agree_with_the_instrument() -> None:
    found = [(round(1000 * band.wavelength, 1), round(1000 * band.bandwidth, 1)) for band in BANDS]
    assert found == WAVELENGTH_NM
    assert found == sorted(found)


def test_pixel_sizes() -> None:
    assert [band.sentinel2_gsd for band in BANDS] == [10, 10, 10, 20, 20, 20]
    assert (sensors.MS_GSD, sensors.PAN_GSD, sensors.OUTPUT_GSD) == (30, 15, 10)


@pytest.mark.parametrize(("band", "mtf"), list(zip(BANDS, MSI_MTF, strict=True)), ids=ORDER)
def test_sharpness_follows_from_the_published_mtf(band: sensors.Band, mtf: float) -> None:
    assert band.msi_psf_sigma == pytest.approx(sigma_of(mtf, band.sentinel2_gsd), abs=0.05)
    assert band.oli_psf_sigma == pytest.approx(sigma_of(OLI_MTF, 30), abs=0.05)
    assert band.oli_psf_sigma > band.msi_psf_sigma


def test_pan_is_sharper_than_ms() -> None:
    assert pytest.approx(sigma_of(OLI_MTF, 15), abs=0.05) == sensors.OLI.pan_psf_sigma
    assert max(band.msi_psf_sigma for band in BANDS[:3]) < sensors.OLI.pan_psf_sigma < BANDS[0].oli_psf_sigma


@pytest.mark.parametrize(("band", "bounds"), list(zip(BANDS, SNR, strict=True)), ids=ORDER)
def test_noise_is_as_measured_on_orbit(band: sensors.Band, bounds: tuple[int, int]) -> None:
    assert bounds[0] <= band.snr <= bounds[1]
    assert 0.03 < band.typical_reflectance < 0.1


def test_pan_noise() -> None:
    assert sensors.OLI.pan_snr == 145
    assert 0.03 < sensors.OLI.pan_typical_reflectance < 0.1


@pytest.mark.parametrize("platform", HLS)
def test_band_pass(platform: sensors.MSI) -> None:
    assert [band.band_pass[platform] for band in BANDS] == HLS[platform]
    assert all(set(band.band_pass) == set(HLS) for band in BANDS)


def test_pan_weights_lie_between_the_two_fits() -> None:
    assert sum(sensors.OLI.pan_weights) == pytest.approx(1)
    for weight, fits in zip(sensors.OLI.pan_weights, ((0.27, 0.28), (0.28, 0.45), (0.32, 0.45)), strict=True):
        assert fits[0] <= weight <= fits[1]


def test_collection_2_scaling() -> None:
    assert (sensors.OLI.sr_scale, sensors.OLI.sr_offset) == (0.0000275, -0.2)
    assert 7272 * sensors.OLI.sr_scale + sensors.OLI.sr_offset < 0 < 7273 * sensors.OLI.sr_scale + sensors.OLI.sr_offset


def test_bands_cannot_be_changed() -> None:
    for field in fields(sensors.Band):
        with pytest.raises(FrozenInstanceError):
            setattr(BANDS[0], field.name, None)
