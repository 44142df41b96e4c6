import numpy as np
import pytest
import rasterio.warp
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2.grid import output_geobox
from l8s2.metrics.resampling import BLUR_RADIUS, cubic, nearest, pan_at_10m, pan_at_30m
from l8s2.sensors import OLI
from l8s2.simulate import Conditions, observe
from l8s2.simulate.landscape import landscape

MS_GRID = GeoBox((16, 18), Affine(30, 0, 499_995 - 150, 0, -30, 5_600_025 + 120), "EPSG:32633")
PAN_GRID = GeoBox((32, 36), Affine(15, 0, 499_995 - 150 + 7.5, 0, -15, 5_600_025 + 120 - 7.5), "EPSG:32633")
ORIGIN = np.array([499_845.0, 5_600_145.0])[:, None, None]
INSIDE = (slice(None), slice(6, -6), slice(6, -6))


def coordinates(grid: GeoBox) -> np.ndarray:
    """(2, h, w): x and y of every pixel centre, metres from the corner of the MS grid."""
    rows, columns = np.indices(grid.shape)
    a = grid.affine
    return np.stack([a.c + a.a * (columns + 0.5), a.f + a.e * (rows + 0.5)]) - ORIGIN


def test_pan_and_ms_centres_coincide_in_this_test():
    np.testing.assert_array_equal(coordinates(PAN_GRID)[:, ::2, ::2], coordinates(MS_GRID))


def test_interpolated_coordinates_stay_coordinates():
    expected = coordinates(output_geobox(MS_GRID))[INSIDE]
    np.testing.assert_allclose(cubic(coordinates(MS_GRID))[INSIDE], expected, atol=1e-3)  # metres
    np.testing.assert_allclose(pan_at_10m(coordinates(PAN_GRID))[INSIDE], expected, atol=1e-3)
    np.testing.assert_allclose(pan_at_10m(coordinates(PAN_GRID), 11.0)[INSIDE], expected, atol=1e-3)


def test_nearest_errs_to_no_side():
    error = (nearest(coordinates(MS_GRID)) - coordinates(output_geobox(MS_GRID)))[INSIDE]
    blocks = error.reshape(2, error.shape[1] // 3, 3, -1, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(blocks, 0, atol=1e-3)


def test_nearest_is_the_mean_of_every_way_to_break_its_ties():
    ms = np.random.default_rng(1).normal(0.2, 0.1, (2, *MS_GRID.shape)).astype(np.float32)
    fine = output_geobox(MS_GRID)
    ways = []
    for dx, dy in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        moved = Affine.translation(dx, dy) * fine.affine
        way = np.zeros((2, *fine.shape), np.float32)
        rasterio.warp.reproject(
            ms,
            way,
            src_transform=MS_GRID.affine,
            src_crs="EPSG:32633",
            dst_transform=moved,
            dst_crs="EPSG:32633",
            resampling=rasterio.warp.Resampling.nearest,
            tolerance=0,
        )
        ways.append(way)
    np.testing.assert_allclose(nearest(ms)[INSIDE], np.mean(ways, axis=0)[INSIDE], atol=1e-6)


def test_pan_at_10m_is_what_gdal_makes_of_it():
    pan = np.random.default_rng(2).normal(0.2, 0.1, (1, *PAN_GRID.shape)).astype(np.float32)
    fine = output_geobox(MS_GRID)
    expected = np.zeros((1, *fine.shape), np.float32)
    # GDAL widens its kernel when it shrinks an image; to 10 m it does not, so both are the same cubic convolution
    rasterio.warp.reproject(
        pan,
        expected,
        src_transform=PAN_GRID.affine,
        src_crs="EPSG:32633",
        dst_transform=fine.affine,
        dst_crs="EPSG:32633",
        resampling=rasterio.warp.Resampling.cubic,
        tolerance=0,
    )
    np.testing.assert_allclose(pan_at_10m(pan)[INSIDE], expected[INSIDE], atol=2e-6)


def test_pan_at_30m_keeps_coordinates():
    """To the very edge."""
    for pan, expected in zip(coordinates(PAN_GRID), coordinates(MS_GRID), strict=True):
        np.testing.assert_allclose(pan_at_30m(pan, 14.8), expected, atol=1e-3)


@pytest.mark.parametrize("period", [60.0, 90.0, 150.0, 600.0])
def test_pan_at_30m_has_the_mtf_of_the_band(period):
    """A wave is damped by the ratio of two Gaussian transfer functions; 60 m is the Nyquist period of the bands."""
    wave = np.cos(2 * np.pi * 15 * np.arange(40) / period)
    damping = np.exp(-2 * (np.pi / period) ** 2 * (14.8**2 - OLI.pan_psf_sigma**2))
    seen = pan_at_30m(np.tile(wave, (40, 1)), 14.8)[3:-3, 3:-3]
    np.testing.assert_allclose(seen, np.tile(damping * wave[::2], (20, 1))[3:-3, 3:-3], atol=0.005)


def test_blurred_pan_is_what_a_less_sharp_pan_would_have_seen():
    truth = landscape(4, (40, 40)).truth
    sharp, dull = (
        observe(truth, Conditions(pan_psf_sigma=sigma), np.random.default_rng(0)).pan
        for sigma in (OLI.pan_psf_sigma, 11.0)
    )
    expected = pan_at_10m(dull)[6:-6, 6:-6]
    blurred, untouched = (np.std(pan_at_10m(sharp, sigma)[6:-6, 6:-6] - expected) for sigma in (11.0, 0.0))
    assert blurred < 0.1 * untouched


def test_a_band_sharper_than_pan_gets_pan_as_it_is():
    pan = np.random.default_rng(4).normal(0.2, 0.1, (12, 14))
    np.testing.assert_array_equal(pan_at_10m(pan, OLI.pan_psf_sigma - 1), pan_at_10m(pan))


def test_nan_spreads_no_further_than_the_weights():
    pan = np.zeros((24, 24))
    pan[12, 12] = np.nan
    fine = np.flatnonzero(np.isnan(pan_at_10m(pan)).any(axis=1))
    positions = (np.arange(36) - 0.5) / 1.5  # of the 10 m pixels, in pan pixels
    at_samples = positions % 1 == 0  # there interpolation looks at no neighbour
    expected = np.where(at_samples, positions == 12, np.abs(positions - 12) < 2)
    np.testing.assert_array_equal(fine, np.flatnonzero(expected))
    coarse = np.flatnonzero(np.isnan(pan_at_30m(pan, 14.8)).any(axis=1))
    np.testing.assert_array_equal(coarse, np.flatnonzero(np.abs(2 * np.arange(12) - 12) <= BLUR_RADIUS))
