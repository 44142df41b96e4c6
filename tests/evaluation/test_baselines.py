import numpy as np
import pytest
import rasterio.warp
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2.evaluation.baselines import BASELINES, DARKEST, NEED_PAN, WINDOW, bicubic
from l8s2.grid import output_geobox
from l8s2.metrics.resampling import pan_at_10m, pan_at_30m
from l8s2.metrics.scores import psnr, rmse
from l8s2.metrics.uncertainty import coverage
from l8s2.sensors import BANDS, OLI
from l8s2.simulate import Conditions, observe
from l8s2.simulate.landscape import landscape

MS_GRID = GeoBox((16, 18), Affine(30, 0, 499_995 - 150, 0, -30, 5_600_025 + 120), "EPSG:32633")
EVERY = pytest.mark.parametrize("name", BASELINES)
WITH_PAN = pytest.mark.parametrize("name", sorted(NEED_PAN))
A, B = np.array([band.band_pass["S2A"] for band in BANDS]).T[:, :, None, None]


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


@pytest.fixture(scope="module")
def scene():
    """(truth, ms, pan) of a landscape, seen by the nominal sensor with noise and a hazy pan."""
    truth = landscape(3, (48, 52)).truth
    seen = observe(truth, Conditions(noise=1.0, pan_gain=0.8, pan_offset=0.04), np.random.default_rng(0))
    return truth, seen.ms, seen.pan


def inner(image: np.ndarray, border: int = 12) -> np.ndarray:
    return image[..., border:-border, border:-border]


def band_passed(ms: np.ndarray) -> np.ndarray:
    return (ms - B) / A


def mixed(truth: np.ndarray) -> np.ndarray:
    """Pan of the visible bands of (6, h, w) Sentinel-2 reflectance."""
    return np.tensordot(OLI.pan_weights, (truth * A + B)[:3], axes=1)


def ramps(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(6, h, w) reflectance that rises by a different amount per band and direction; positions in 10 m pixels."""
    down, across = np.array([[1, 2, 1, -1, 2, 1], [2, 1, 1, 2, -1, 1]])[:, :, None, None] * 1e-4
    return 0.1 + down * rows[:, None] + across * columns


@EVERY
def test_every_baseline_keeps_the_shape_and_the_type(name):
    rng = np.random.default_rng(1)
    for h, w in ((1, 1), (2, 3), (7, 4)):
        ms, pan = rng.uniform(0.05, 0.4, (6, h, w)), rng.uniform(0.05, 0.4, (2 * h, 2 * w))
        result = BASELINES[name](ms, pan)
        assert result.shape == (6, 3 * h, 3 * w)
        assert result.dtype == np.float32
        assert np.isfinite(result).all()


@EVERY
def test_every_baseline_puts_a_ramp_where_it_is(name):
    h, w = 60, 64
    ms = ramps(3 * np.arange(h) + 0.5, 3 * np.arange(w) + 0.5) * A + B
    pan = 0.5 * mixed(ramps(1.5 * np.arange(2 * h) + 0.5, 1.5 * np.arange(2 * w) + 0.5)) + 0.1
    truth = ramps(np.arange(3 * h), np.arange(3 * w))
    if name in ("nearest", "bicubic"):
        truth = truth * A + B
    error = inner(BASELINES[name](ms, pan) - truth)
    if name == "nearest":  # a staircase: in the mean over each MS pixel it is where the ramp is
        error = error.reshape(6, error.shape[1] // 3, 3, -1, 3).mean(axis=(2, 4))
    assert np.abs(error / 1e-4).max() < 0.02  # 10 m pixels


@EVERY
def test_no_baseline_shifts_the_detail(name, scene):
    """The error does not follow the gradient of the truth, as it would by 1 for each 10 m pixel of shift."""
    truth, ms, pan = scene
    for image, true in zip(BASELINES[name](ms, pan)[:3], truth[:3], strict=True):
        unknowns = [*(inner(g).ravel() for g in np.gradient(true)), np.ones(inner(true).size)]
        shift = np.linalg.lstsq(np.stack(unknowns, axis=1), inner(image - true).ravel(), rcond=None)[0][:2]
        assert np.abs(shift).max() < 0.02


@EVERY
def test_every_baseline_keeps_constants(name):
    ms, pan = np.broadcast_to(0.1 * np.arange(1, 7)[:, None, None], (6, 9, 8)), np.full((18, 16), 0.23)
    expected = ms if name in ("nearest", "bicubic") else band_passed(ms)
    result = BASELINES[name](ms, pan)
    np.testing.assert_allclose(result, np.broadcast_to(expected[:, :1, :1], result.shape), atol=1e-6)


@WITH_PAN
def test_gain_and_offset_of_pan_do_not_matter(name, scene):
    _, ms, pan = scene
    np.testing.assert_allclose(BASELINES[name](ms, 0.5 * pan + 0.1), BASELINES[name](ms, pan), atol=2e-5)


@WITH_PAN
def test_pan_improves_the_visible_bands(name, scene):
    truth, ms, pan = scene
    usable = np.zeros(truth.shape[1:], bool)
    inner(usable)[:] = True
    ours, plain = BASELINES[name](ms, pan), BASELINES["band-pass + bicubic"](ms, None)
    for band in range(3):
        assert psnr(ours[band], truth[band], usable).value > psnr(plain[band], truth[band], usable).value + 5


def test_regression_improves_the_short_wave_infrared_and_brovey_leaves_it_alone(scene):
    truth, ms, pan = scene
    plain = BASELINES["band-pass + bicubic"](ms, None)
    np.testing.assert_array_equal(BASELINES["Brovey"](ms, pan)[3:], plain[3:])
    before = np.std(inner(plain - truth), axis=(1, 2))
    for name in ("Gram-Schmidt", "MTF-GLP"):
        after = np.std(inner(BASELINES[name](ms, pan) - truth), axis=(1, 2))
        assert after[5] < 0.85 * before[5]


@pytest.mark.parametrize("name", [name for name in BASELINES if name not in NEED_PAN])
def test_the_others_do_not_look_at_pan(name, scene):
    _, ms, pan = scene
    np.testing.assert_array_equal(BASELINES[name](ms, pan), BASELINES[name](ms, None))


@WITH_PAN
def test_pan_that_is_missing_or_does_not_fit_is_refused(name):
    ms = np.full((6, 4, 5), 0.2)
    with pytest.raises(ValueError, match="pan=None"):
        BASELINES[name](ms, None)
    with pytest.raises(ValueError, match=r"\(7, 10\)"):
        BASELINES[name](ms, np.full((7, 10), 0.2))
    with pytest.raises(ValueError, match=r"\(3, 4, 5\)"):
        BASELINES[name](ms[:3], np.full((8, 10), 0.2))


def test_band_pass_is_that_of_the_table(scene):
    truth = scene[0][:, :30, :33]
    oli = truth * A + B
    np.testing.assert_allclose(BASELINES["band-pass + bicubic"](oli, None), bicubic(truth), atol=1e-6)


def test_brovey_keeps_the_ratios_of_the_visible_bands_and_follows_pan(scene):
    _, ms, pan = scene
    plain, sharp = BASELINES["band-pass + bicubic"](ms, None)[:3], BASELINES["Brovey"](ms, pan)[:3]
    intensity = bicubic(np.tensordot(OLI.pan_weights, ms[:3], axes=1))
    bright = intensity > DARKEST
    factor = sharp[:, bright] / plain[:, bright]
    np.testing.assert_allclose(factor, np.broadcast_to(factor[0], factor.shape), rtol=1e-4)
    coarse, low = np.tensordot(OLI.pan_weights, ms[:3], axes=1), pan_at_30m(pan, 14.8)
    matched = (pan_at_10m(pan) - low.mean()) / low.std() * coarse.std() + coarse.mean()
    np.testing.assert_allclose(factor[0] * intensity[bright], matched[bright], rtol=1e-4)


def test_brovey_is_harmless_where_there_is_next_to_no_light(scene):
    """Over clear water single bands may be negative and intensity 0; the ratio to it would be anything."""
    _, ms, pan = scene
    ms = ms.copy()
    ms[:3, 10:20, 10:20] = np.array([0.02 * OLI.pan_weights[1], -0.02 * OLI.pan_weights[0], 0])[:, None, None]
    plain, sharp = BASELINES["band-pass + bicubic"](ms, None), BASELINES["Brovey"](ms, pan)
    dark = (slice(0, 3), slice(39, 51), slice(39, 51))
    assert np.abs(sharp[dark] - plain[dark]).max() < 0.1


def test_gram_schmidt_against_plain_least_squares(scene):
    _, ms, pan = scene
    bands, low = band_passed(ms).astype(np.float64), pan_at_30m(pan, 14.8)
    ones = np.ones(low.size)
    design = np.stack([*bands[:3].reshape(3, -1), ones], axis=1)
    coefficients = np.linalg.lstsq(design, low.ravel(), rcond=None)[0]
    fitted = design @ coefficients
    fine = bicubic(bands)
    intensity = np.tensordot(coefficients[:3], fine[:3], axes=1) + coefficients[3]
    for band, coarse, up, result in zip(BANDS, bands, fine, BASELINES["Gram-Schmidt"](ms, pan), strict=True):
        gain = np.polyfit(fitted, coarse.ravel(), 1)[0]
        expected = up + gain * (pan_at_10m(pan, band.msi_psf_sigma) - intensity)
        np.testing.assert_allclose(result, expected, atol=2e-5)


def test_mtf_glp_against_a_line_through_each_window(scene):
    _, ms, pan = scene
    bands, low = band_passed(ms), pan_at_30m(pan, 14.8)  # all bands are equally sharp
    half = WINDOW // 2
    gains = np.zeros(bands.shape)
    for r, c in np.ndindex(*low[half:-half, half:-half].shape):
        window = (slice(r, r + WINDOW), slice(c, c + WINDOW))
        for band in range(6):
            gains[band, r + half, c + half] = np.polyfit(low[window].ravel(), bands[band][window].ravel(), 1)[0]
    detail = np.stack([pan_at_10m(pan, band.msi_psf_sigma) - bicubic(low) for band in BANDS])
    expected = bicubic(bands) + bicubic(gains) * detail
    np.testing.assert_allclose(inner(BASELINES["MTF-GLP"](ms, pan)), inner(expected), atol=2e-5)


def test_rounding_errors_of_a_flat_pan_are_not_regressed_on(scene):
    _, ms, pan = scene
    pan = pan.copy()
    pan[:, :52] = 0.2 + np.random.default_rng(5).choice([0, 1.5e-8], pan[:, :52].shape)
    result = BASELINES["MTF-GLP"](ms, pan)
    assert np.abs(result - BASELINES["band-pass + bicubic"](ms, None)).max() < 0.5


def test_bands_that_are_all_alike_do_not_upset_the_regression(scene):
    truth, _, _ = scene
    truth = np.broadcast_to(truth[1], truth.shape)
    seen = observe(truth, Conditions(), np.random.default_rng(0))
    result = BASELINES["Gram-Schmidt"](seen.ms, seen.pan)
    plain = BASELINES["band-pass + bicubic"](seen.ms, None)
    assert np.std(inner(result - truth)[:3]) < 0.5 * np.std(inner(plain - truth)[:3])


def collinear(ms: np.ndarray, pan: np.ndarray) -> None:
    ms[2] = 0.3 * ms[0] + 0.6 * ms[1] + 0.01


def one_band_is_constant(ms: np.ndarray, pan: np.ndarray) -> None:
    ms[1] = 0.07


def only_one_band_varies(ms: np.ndarray, pan: np.ndarray) -> None:
    ms[:2] = 0.07


def all_alike(ms: np.ndarray, pan: np.ndarray) -> None:
    ms[:] = ms[1]


def two_ramps(ms: np.ndarray, pan: np.ndarray) -> None:
    """Six bands that are mixtures of two images."""
    ms[:] = ramps(3 * np.arange(ms.shape[1]), 3 * np.arange(ms.shape[2])) * A + B


def flat_bands(ms: np.ndarray, pan: np.ndarray) -> None:
    ms[:3] = 0.07


def flat_pan(ms: np.ndarray, pan: np.ndarray) -> None:
    pan[:] = 0.2


def half_of_pan_is_flat(ms: np.ndarray, pan: np.ndarray) -> None:
    pan[:, : pan.shape[1] // 2] = 0.2


DEGENERATE = (
    collinear, one_band_is_constant, only_one_band_varies, all_alike, two_ramps, flat_bands, flat_pan,
    half_of_pan_is_flat,
)  # fmt: skip


@WITH_PAN
@pytest.mark.parametrize("spoil", DEGENERATE)
def test_rounding_decides_nothing(name, spoil, scene):
    """A last digit of float32 more or less in the input changes the result by less than Landsat's own step, 2.75e-5."""
    ms, pan = (image.astype(np.float64) for image in scene[1:])
    spoil(ms, pan)
    result = BASELINES[name](ms, pan)
    rng = np.random.default_rng(6)
    noisy = [(image + rng.normal(0, 1e-7, image.shape)).astype(np.float32) for image in (ms, pan)]
    np.testing.assert_allclose(BASELINES[name](*noisy), result, atol=2e-5)
    np.testing.assert_allclose(BASELINES[name](ms * (1 + 1e-7), pan * (1 - 1e-7)), result, atol=2e-5)
    for gain in (1e-4, 1e4):  # other units of pan
        np.testing.assert_allclose(BASELINES[name](ms, gain * pan), result, atol=2e-5)


@EVERY
def test_missing_pixels_spread_no_further_than_the_weights(name, scene):
    _, ms, pan = scene
    ms, pan = ms.copy(), pan.copy()
    whole = BASELINES[name](ms, pan)
    ms[:, 20, 20] = np.nan
    holed = BASELINES[name](ms, pan)
    lost = np.isnan(holed)
    assert not (lost & ~np.isnan(bicubic(ms))).any()
    assert lost[:, 60:62, 60:62].all()
    far = np.ones(lost.shape, bool)
    far[:, 45:78, 45:78] = False
    np.testing.assert_allclose(holed[far], whole[far], atol=1e-3)

    pan[80, 60] = np.nan  # at 10 m (120.5, 90.5)
    lost = np.isnan(BASELINES[name](ms, pan)) & far
    rows, columns = np.nonzero(lost.any(0))
    assert bool(rows.size) == (name in NEED_PAN)
    assert (np.abs(rows - 120.5) <= 12).all()
    assert (np.abs(columns - 90.5) <= 12).all()


@WITH_PAN
def test_without_any_usable_pixel_nothing_is_made_up(name):
    nothing = np.full((6, 5, 4), np.nan)
    assert np.isnan(BASELINES[name](nothing, np.full((10, 8), 0.2))).all()
    assert np.isnan(BASELINES[name](np.full((6, 5, 4), 0.2), np.full((10, 8), np.nan))[:3]).all()
