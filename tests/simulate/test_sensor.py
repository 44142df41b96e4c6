from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l8s2 import sensors
from l8s2.optics import resample, sampling_matrix
from l8s2.sensors import extra_blur
from l8s2.simulate import Conditions, Observation, observe, sentinel2_stack

BANDS = sensors.BANDS
EDGE = 5
"""MS pixels at the border that see what the simulator repeats beyond it."""


def look(truth: np.ndarray, seed: int = 0, **conditions: object) -> Observation:
    return observe(truth, Conditions(**conditions), np.random.default_rng(seed))


def constant(*values: float, side: int = 60) -> np.ndarray:
    return np.broadcast_to(np.reshape(values, (6, 1, 1)), (6, side, side)).astype(np.float32)


def landscape(side: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.02, 0.6, (6, side, side)).astype(np.float32)


REFLECTANCES = st.tuples(*[st.floats(-0.1, 1.2) for _ in range(6)])


@settings(max_examples=30)
@given(REFLECTANCES, st.sampled_from(["S2A", "S2B", "S2C"]))
def test_a_constant_stays_constant(values: tuple[float, ...], platform: sensors.MSI) -> None:
    seen = look(constant(*values, side=30), platform=platform)
    oli = [a * v + b for v, (a, b) in zip(values, (band.band_pass[platform] for band in BANDS), strict=True)]
    np.testing.assert_allclose(seen.ms, constant(*oli, side=10), atol=1e-6)
    np.testing.assert_allclose(seen.pan, np.full((20, 20), np.dot(sensors.OLI.pan_weights, oli[:3])), atol=1e-6)


@pytest.mark.parametrize("sigma", [0.9, 1.14, 1.39, 2.0, 3.7])
def test_a_point_becomes_the_point_spread_function(sigma: float) -> None:
    positions = np.arange(20) * 3 + 0.5
    kernel = sampling_matrix(60, positions, sigma)[:, 31]
    gauss = np.exp(-0.5 * ((positions - 31) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(kernel, gauss, atol=0.002 * gauss.max())


@pytest.mark.parametrize("index", range(6))
def test_a_point_on_the_ground_spreads_as_oli_against_msi(index: int) -> None:
    truth = constant(*[0.1] * 6).copy()
    truth[index, 31, 28] += 1
    band = BANDS[index]
    sigma = np.sqrt(band.oli_psf_sigma**2 - band.msi_psf_sigma**2) / 10
    centres = np.arange(20) * 3 + 0.5
    rows, columns = (np.exp(-0.5 * ((centres - at) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi)) for at in (31, 28))
    rise = (look(truth).ms - look(constant(*[0.1] * 6)).ms)[index] / band.band_pass["S2A"][0]
    np.testing.assert_allclose(rise, np.outer(rows, columns), atol=5e-4)


@settings(max_examples=25)
@given(st.floats(-0.01, 0.01), st.floats(-0.01, 0.01))
def test_a_ramp_keeps_its_position(down: float, across: float) -> None:
    side = 60
    plane = 0.3 + down * np.arange(side)[:, None] + across * np.arange(side)
    seen = look(np.broadcast_to(plane, (6, side, side)).astype(np.float32))
    inner = slice(EDGE, -EDGE)
    centres = np.arange(20) * 3 + 0.5
    expected = 0.3 + down * centres[:, None] + across * centres
    slack = 0.01 * (abs(down) + abs(across)) + 1e-6  # a hundredth of a 10 m pixel
    for band, image in zip(BANDS, seen.ms, strict=True):
        a, b = band.band_pass["S2A"]
        np.testing.assert_allclose(image[inner, inner], a * expected[inner, inner] + b, atol=slack)
    centres = np.arange(40) * 1.5 + 0.5
    expected = 0.3 + down * centres[:, None] + across * centres
    a, b = np.dot(sensors.OLI.pan_weights, [band.band_pass["S2A"] for band in BANDS[:3]])
    inner = slice(2 * EDGE, -2 * EDGE)
    np.testing.assert_allclose(seen.pan[inner, inner], a * expected[inner, inner] + b, atol=slack)


@settings(max_examples=60)
@given(st.floats(0.02, 0.38), st.floats(0, 2 * np.pi), st.floats(0, 2.5))
def test_a_sine_passes_with_the_transfer_asked_for(frequency: float, phase: float, sigma: float) -> None:
    """``frequency`` in cycles per pixel; the phase must not move either."""
    size = 120
    positions = np.arange(30, 90, 0.7)
    seen = sampling_matrix(size, positions, sigma) @ np.cos(2 * np.pi * frequency * np.arange(size) + phase)
    transfer = np.exp(-2 * (np.pi * sigma * frequency) ** 2)
    aliased = np.exp(-2 * (np.pi * sigma * (1 - frequency)) ** 2)  # a sampled Gaussian lets this much through
    slack = 0.002 + 2 * aliased if sigma >= 0.9 else 0.025  # the window of 8 pixels smears the spectrum
    np.testing.assert_allclose(seen, transfer * np.cos(2 * np.pi * frequency * positions + phase), atol=slack)


@pytest.mark.parametrize("band", BANDS, ids=sensors.BAND_NAMES)
def test_sentinel_2_blurred_further_is_as_sharp_as_oli(band: sensors.Band) -> None:
    """MTF of MSI times that of the simulator = MTF of OLI at its Nyquist frequency, one cycle in 60 m."""
    blur = extra_blur(band.oli_psf_sigma, band.msi_psf_sigma)
    size, frequency = 240, 1 / 6
    positions = np.arange(60, 180, 0.5)
    wave = np.exp(2j * np.pi * frequency * np.arange(size))
    simulator = np.abs(
        np.mean(sampling_matrix(size, positions, blur) @ wave * np.exp(-2j * np.pi * frequency * positions))
    )
    msi = np.exp(-2 * (np.pi * band.msi_psf_sigma / 60) ** 2)
    assert msi * simulator == pytest.approx(0.30, abs=0.003)


def test_no_blur_where_msi_is_the_softer_one() -> None:
    assert extra_blur(9.0, 11.0) == 0


@given(st.integers(1, 40), st.lists(st.floats(-30, 70), min_size=1, max_size=8), st.floats(0, 4))
def test_every_row_sums_to_one(size: int, positions: list[float], sigma: float) -> None:
    matrix = sampling_matrix(size, np.array(positions), sigma)
    assert matrix.shape == (len(positions), size)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-5)


def test_without_blur_the_pixels_themselves_come_back() -> None:
    image = landscape(40)
    np.testing.assert_allclose(resample(image, np.arange(40), np.arange(40), 0.0), image, atol=1e-6)


def test_a_negative_sigma_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sigma=-0\.1"):
        sampling_matrix(10, np.arange(3), -0.1)


@pytest.mark.parametrize("level", [1.0, 4.0, 0.2])
@pytest.mark.parametrize("noise", [1.0, 0.5])
def test_noise_is_the_documented_one(level: float, noise: float) -> None:
    """typical / snr at the typical reflectance, growing with the root of the signal, never below."""
    values = [level * band.typical_reflectance for band in BANDS]
    oli = [(v - b) / a for v, (a, b) in zip(values, (band.band_pass["S2A"] for band in BANDS), strict=True)]
    seen = look(constant(*oli, side=300), noise=noise)
    for band, image in zip(BANDS, seen.ms, strict=True):
        expected = noise * band.typical_reflectance / band.snr * np.sqrt(max(level, 1.0))
        assert image.std() == pytest.approx(expected, rel=0.03)
        assert image.mean() == pytest.approx(level * band.typical_reflectance, abs=5 * expected / 100)


def test_noise_of_pan_is_the_documented_one() -> None:
    target = sensors.OLI.pan_typical_reflectance
    a, b = np.dot(sensors.OLI.pan_weights, [band.band_pass["S2A"] for band in BANDS[:3]])
    seen = look(constant(*[(target - b) / a] * 6, side=300), noise=1.0)
    assert seen.pan.std() == pytest.approx(target / sensors.OLI.pan_snr, rel=0.02)


def test_noise_is_independent_from_pixel_to_pixel_and_band_to_band() -> None:
    seen = look(constant(*[0.1] * 6, side=300), noise=1.0).ms
    flat = (seen - seen.mean((1, 2), keepdims=True)) / seen.std((1, 2), keepdims=True)
    between = np.corrcoef(flat.reshape(6, -1)) - np.eye(6)
    neighbours = [(image[:, 1:] * image[:, :-1]).mean() for image in flat]
    assert np.abs(between).max() < 0.05
    assert np.abs(neighbours).max() < 0.05


def test_missing_ground_is_missing_in_ms_and_nothing_else_changes() -> None:
    truth = landscape()
    whole = look(truth)
    truth[2, 27:33, 30:36] = np.nan
    seen = look(truth)
    missing = np.isnan(seen.ms)
    assert not missing[[0, 1, 3, 4, 5]].any()
    assert missing[2, 9:11, 10:12].all()
    np.testing.assert_array_equal(seen.ms[[0, 1, 3, 4, 5]], whole.ms[[0, 1, 3, 4, 5]])
    far = np.ones((20, 20), bool)
    far[9 - EDGE : 11 + EDGE, 10 - EDGE : 12 + EDGE] = False
    assert not missing[2][far].any()
    np.testing.assert_allclose(seen.ms[2][far], whole.ms[2][far], atol=1e-6)
    assert np.isfinite(seen.pan).all()


def test_one_lost_pixel_is_missing_only_where_it_matters() -> None:
    truth = landscape()
    truth[0, 31, 31] = np.nan
    missing = np.isnan(look(truth).ms[0])
    assert missing[10, 10]
    assert 1 <= missing.sum() <= 9


@pytest.mark.filterwarnings("error")
def test_nothing_known_is_all_missing() -> None:
    seen = look(np.full((6, 30, 30), np.nan, np.float32), noise=1.0)
    assert np.isnan(seen.ms).all()
    assert np.isfinite(seen.pan).all()


def test_a_seed_gives_the_same_pixels() -> None:
    truth, conditions = landscape(), Conditions.random(np.random.default_rng(3), disturbed=True)
    one, two, other = (observe(truth, conditions, np.random.default_rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.ms, two.ms)
    np.testing.assert_array_equal(one.pan, two.pan)
    assert (one.ms != other.ms).mean() > 0.9
    assert one.conditions is conditions
    assert Conditions.random(np.random.default_rng(3), disturbed=True) == conditions


@settings(max_examples=25)
@given(st.floats(-15, 15), st.floats(-15, 15))
def test_pan_is_shifted_by_the_stated_metres(down: float, right: float) -> None:
    side, slopes = 60, (0.003, 0.007)
    plane = 0.2 + slopes[0] * np.arange(side)[:, None] + slopes[1] * np.arange(side)
    truth = np.broadcast_to(plane, (6, side, side)).astype(np.float32)
    still, moved = look(truth), look(truth, pan_shift=(down, right))
    gain = np.dot(sensors.OLI.pan_weights, [band.band_pass["S2A"][0] for band in BANDS[:3]])
    inner = slice(2 * EDGE, -2 * EDGE)
    rise = gain * (slopes[0] * down + slopes[1] * right) / 10
    np.testing.assert_allclose((moved.pan - still.pan)[inner, inner], rise, atol=1e-5)
    np.testing.assert_array_equal(moved.ms, still.ms)


def test_pan_is_the_stated_mixture() -> None:
    values = [0.1, 0.2, 0.3, 0.5, 0.05, 0.01]
    oli = [a * v + b for v, (a, b) in zip(values, (band.band_pass["S2A"] for band in BANDS), strict=True)]
    weights = (0.5, 0.3, 0.2)
    seen = look(constant(*values, side=30), pan_weights=weights, pan_nir=0.1, pan_gain=0.7, pan_offset=0.05)
    expected = 0.7 * (np.dot(weights, oli[:3]) + 0.1 * oli[3]) + 0.05
    np.testing.assert_allclose(seen.pan, np.full((20, 20), expected), atol=1e-6)


def test_disturbances_are_the_stated_ones() -> None:
    truth = constant(*[0.2] * 6, side=30)
    gain, offset = (1.03, 0.98, 1.0, 1.01, 0.95, 1.0), (0.01, -0.005, 0.0, 0.0, 0.002, 0.0)
    plain, changed = look(truth).ms, look(truth, gain=gain, offset=offset).ms
    np.testing.assert_allclose(changed, plain * np.reshape(gain, (6, 1, 1)) + np.reshape(offset, (6, 1, 1)), atol=1e-6)
    tilted = look(truth, tilt=(0.04, -0.02)).ms / plain
    corners = tilted[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(corners, [[0.98, 0.94, 1.06, 1.02]] * 6, atol=1e-5)


def test_drawn_conditions_stay_within_their_bounds() -> None:
    rng = np.random.default_rng(0)
    drawn = [Conditions.random(rng, disturbed=i % 2 == 0) for i in range(2000)]
    sigma = np.array([c.psf_sigma for c in drawn])
    assert sigma.min() >= 11.6
    assert sigma.max() <= 15.6
    assert np.median(sigma) == pytest.approx(14.7, abs=0.2)
    assert all(sum(c.pan_weights) == pytest.approx(1) and min(c.pan_weights) > 0 for c in drawn)
    assert all(5.5 <= c.pan_psf_sigma <= 8 and 0.5 <= c.noise <= 1.5 and 0 <= c.pan_offset <= 0.12 for c in drawn)
    for i, c in enumerate(drawn):
        changed = replace(c, gain=(1.0,) * 6, offset=(0.0,) * 6, tilt=(0.0, 0.0)) != c
        assert changed is (i % 2 == 0)


@pytest.mark.parametrize("shape", [(6, 30, 31), (6, 29, 30), (5, 30, 30), (6, 0, 30), (6, 30, 0)])
def test_ground_of_the_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(6, 3h, 3w\)"):
        look(np.zeros(shape, np.float32))


@pytest.mark.parametrize("size", [(60, 60), (59, 61), (61, 60)])
def test_20_m_bands_are_put_onto_the_10_m_grid_in_phase(size: tuple[int, int]) -> None:
    def plane(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:  # metres from the corner that both grids share
        return np.stack([0.1 + 2e-4 * rows[:, None] + 3e-4 * columns] * 3).astype(np.float32)

    def centres(n: int, gsd: float) -> np.ndarray:
        return (np.arange(n) + 0.5) * gsd

    half = [-(-n // 2) for n in size]
    fine = plane(*(centres(n, 10) for n in size))
    stack = sentinel2_stack(fine, plane(*(centres(n, 20) for n in half)))
    assert stack.shape == (6, *size)
    assert stack.dtype == np.float32
    np.testing.assert_array_equal(stack[:3], fine)
    np.testing.assert_allclose(stack[3:, 20:-20, 20:-20], fine[:, 20:-20, 20:-20], atol=5e-4 * 0.1)


def test_10_m_bands_are_taken_as_they_are() -> None:
    truth = landscape(30)
    np.testing.assert_array_equal(sentinel2_stack(truth[:3], truth[3:]), truth)


def test_20_m_bands_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="half the size"):
        sentinel2_stack(np.zeros((3, 60, 60), np.float32), np.zeros((3, 20, 30), np.float32))


def test_both_axes_are_treated_alike() -> None:
    truth = landscape()
    one, two = look(truth), look(truth.swapaxes(1, 2))
    np.testing.assert_allclose(one.ms.swapaxes(1, 2), two.ms, atol=1e-6)
    np.testing.assert_allclose(one.pan.T, two.pan, atol=1e-6)


def test_a_veil_shows_in_ms_and_not_in_pan() -> None:
    rng = np.random.default_rng(4)
    truth = rng.random((6, 30, 30), np.float32) * 0.3
    veil = np.full_like(truth, 0.05)
    plain = observe(truth, Conditions(), np.random.default_rng(0))
    veiled = observe(truth + veil, Conditions(), np.random.default_rng(0), veil=veil)
    slopes = np.array([band.band_pass["S2A"][0] for band in sensors.BANDS])[:, None, None]
    np.testing.assert_allclose(veiled.ms - plain.ms, np.broadcast_to(0.05 * slopes, plain.ms.shape), atol=1e-5)
    np.testing.assert_allclose(veiled.pan, plain.pan, atol=1e-6)
