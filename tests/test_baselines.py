import numpy as np
import pytest
import rasterio.warp
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2.evaluation.baselines import bicubic
from l8s2.evaluation.metrics import coverage, psnr, rmse
from l8s2.grid import output_geobox

MS_GRID = GeoBox((16, 18), Affine(30, 0, 499_995 - 150, 0, -30, 5_600_025 + 120), "EPSG:32633")


def pixel_centres(grid: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.indices(grid.shape)
    a = grid.affine
    return a.c + a.a * (columns + 0.5), a.f + a.e * (rows + 0.5)


def test_bicubic_places_a_ramp_where_it_is():
    """The value of every MS pixel is its own coordinate; so must be that of every 10 m pixel."""
    ms = np.stack(pixel_centres(MS_GRID)) - np.array([499_845.0, 5_600_145.0])[:, None, None]
    fine = output_geobox(MS_GRID)
    expected = np.stack(pixel_centres(fine)) - np.array([499_845.0, 5_600_145.0])[:, None, None]
    inside = (slice(None), slice(6, -6), slice(6, -6))
    np.testing.assert_allclose(bicubic(ms)[inside], expected[inside], atol=0.01)  # metres: a thousandth of a pixel


def test_bicubic_is_what_gdal_makes_of_the_two_grids():
    ms = np.random.default_rng(1).normal(0.2, 0.1, (6, *MS_GRID.shape)).astype(np.float32)
    fine = output_geobox(MS_GRID)
    expected = np.zeros((6, *fine.shape), np.float32)
    rasterio.warp.reproject(
        ms,
        expected,
        src_transform=MS_GRID.affine,
        src_crs="EPSG:32633",
        dst_transform=fine.affine,
        dst_crs="EPSG:32633",
        resampling=rasterio.warp.Resampling.cubic,
        tolerance=0,
    )
    inside = (slice(None), slice(9, -9), slice(9, -9))
    np.testing.assert_allclose(bicubic(ms)[inside], expected[inside], atol=2e-6)


def test_bicubic_keeps_constants_and_shapes():
    result = bicubic(np.full((6, 4, 5), 0.3))
    assert result.shape == (6, 12, 15)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, 0.3, rtol=1e-6)


def test_bicubic_spreads_nan_no_further_than_the_kernel():
    ms = np.zeros((1, 9, 9))
    ms[0, 4, 4] = np.nan
    lost = np.isnan(bicubic(ms)[0])
    rows = np.flatnonzero(lost.any(1))
    positions = (np.arange(27) - 1) / 3 + 1 / 6  # centre of each 10 m pixel, MS pixels
    np.testing.assert_array_equal(rows, np.flatnonzero(np.abs(positions - 4) < 2))


def test_scores_count_only_usable_values():
    truth = np.zeros((2, 2, 3))
    prediction = np.full((2, 2, 3), 0.1)
    prediction[0, 0, 0] = np.nan
    prediction[:, 1, 2] = 9
    mask = np.array([[True, True, True], [True, True, False]])
    assert rmse(prediction, truth, mask) == (pytest.approx(0.1), 9)
    assert psnr(prediction, truth, mask) == (pytest.approx(20), 9)
    sigma = np.full_like(truth, 0.05)
    sigma[1] = 0.1
    assert coverage(prediction, sigma, truth, mask) == (pytest.approx(5 / 9), 9)
    assert np.isnan(rmse(prediction, truth, np.zeros_like(mask)).value)
    assert psnr(truth, truth, mask).value == np.inf


def test_ninety_percent_of_normal_errors_are_covered():
    rng = np.random.default_rng(2)
    sigma = rng.uniform(0.01, 0.05, (50, 60))
    share, n = coverage(rng.normal(0, sigma), sigma, np.zeros((50, 60)), np.ones((50, 60), bool))
    assert n == 3000
    assert share == pytest.approx(0.9, abs=0.02)
