"""What two sensors differ in: each effect against a case that is known exactly."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l8s2 import sensors
from l8s2.optics import blurred, resample
from l8s2.sensors import extra_blur
from l8s2.simulate import Conditions, Observation, RawGrid, observe
from l8s2.simulate.ground import RESPONSE, response, unlike
from l8s2.simulate.level1 import cubic_convolution, level1

BANDS = sensors.BANDS
EDGE = 5
GRIDS = st.builds(
    RawGrid,
    rotation=st.floats(-25, 25),
    spacing=st.tuples(st.floats(0.95, 1.05), st.floats(0.95, 1.05)),
    phase=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
)
TURNED = RawGrid(rotation=11.0, spacing=(0.99, 1.01), phase=(0.3, 0.8))


def look(truth: np.ndarray, seed: int = 0, **conditions: object) -> Observation:
    return observe(truth, Conditions(**conditions), np.random.default_rng(seed))


def constant(value: float, side: int = 60) -> np.ndarray:
    return np.full((6, side, side), value, np.float32)


def landscape(side: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.02, 0.6, (6, side, side)).astype(np.float32)


def keys(x: np.ndarray) -> np.ndarray:
    """Keys (1981), equation 15."""
    x = np.abs(x)
    inner, outer = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, inner, np.where(x < 2, outer, 0))


@given(GRIDS, st.floats(-500, 500), st.floats(-500, 500), st.sampled_from([1.5, 3.0]))
def test_map_and_raw_grid_are_each_others_inverse(grid: RawGrid, down: float, right: float, gsd: float) -> None:
    there = grid.from_map(np.array([down, right]), gsd)
    np.testing.assert_allclose(grid.to_map(there, gsd), (down, right), atol=1e-8)


def test_a_quarter_turn_of_the_raw_grid_is_anticlockwise() -> None:
    """Samples along the track of an upright grid lie down the map, of one turned by 90 degrees to the right."""
    along = np.array([1.0, 0.0])
    np.testing.assert_allclose(RawGrid(rotation=0).to_map(along, 3.0), (3, 0), atol=1e-12)
    np.testing.assert_allclose(RawGrid(rotation=90).to_map(along, 3.0), (0, 3), atol=1e-12)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(2, 16), st.floats(2, 16)), min_size=1, max_size=9))
def test_cubic_convolution_is_that_of_keys(places: list[tuple[float, float]]) -> None:
    images = np.random.default_rng(0).random((3, 20, 19), np.float32)
    found = cubic_convolution(images, np.array(places).T)
    for (row, column), values in zip(places, found.T, strict=True):
        expected = np.einsum("i,bij,j", keys(np.arange(20) - row), images, keys(np.arange(19) - column))
        np.testing.assert_allclose(values, expected, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0, 3))
def test_blurring_a_whole_image_is_resampling_it(down: float, right: float, sigma: float) -> None:
    image = np.random.default_rng(1).random((2, 40, 50), np.float32)
    expected = resample(image, np.arange(40) + down, np.arange(50) + right, sigma)
    np.testing.assert_allclose(blurred(image, sigma**2, (down, right)), expected, atol=2e-6)


@pytest.mark.parametrize("frequency", [0.05, 0.15, 0.25])
def test_a_negative_variance_undoes_the_blur(frequency: float) -> None:
    wave = np.cos(2 * np.pi * frequency * np.arange(120))
    image = np.broadcast_to(wave, (120, 120)).astype(np.float32)
    inner = np.s_[40:-40, 40:-40]
    gain = np.exp(2 * (np.pi * frequency) ** 2 * 0.35)
    np.testing.assert_allclose(blurred(image, -0.35)[inner], gain * image[inner], atol=0.01)
    np.testing.assert_allclose(blurred(blurred(image, 0.35), -0.35)[inner], image[inner], atol=0.02)


@settings(max_examples=25, deadline=None)
@given(GRIDS, st.floats(-0.01, 0.01), st.floats(-0.01, 0.01))
def test_a_ramp_keeps_its_position_on_any_raw_grid(grid: RawGrid, down: float, across: float) -> None:
    """Cubic convolution passes a plane exactly, so nothing may move."""
    plane = (0.3 + down * np.arange(60)[:, None] + across * np.arange(60)).astype(np.float32)
    truth = np.broadcast_to(plane, (6, 60, 60))
    turned, upright = look(truth, raw_grid=grid), look(truth)
    inner = np.s_[..., EDGE:-EDGE, EDGE:-EDGE]
    slack = 0.02 * (abs(down) + abs(across)) + 1e-5  # a fiftieth of a 10 m pixel
    np.testing.assert_allclose(turned.ms[inner], upright.ms[inner], atol=slack)
    inner = np.s_[2 * EDGE : -2 * EDGE, 2 * EDGE : -2 * EDGE]
    np.testing.assert_allclose(turned.pan[inner], upright.pan[inner], atol=slack)


def test_a_raw_grid_on_the_pixels_of_the_map_changes_nothing() -> None:
    """Sampled at the pixels themselves, cubic convolution is the identity."""
    truth = blurred(landscape(), 1.0)  # as sharp as a 20 m band
    middle = (59 / 2 - 0.5) / 3  # of the image, in MS pixels from the first
    aligned = look(truth, raw_grid=RawGrid(rotation=0.0, phase=(middle % 1, middle % 1)))
    np.testing.assert_allclose(aligned.ms[:, 2:-2, 2:-2], look(truth).ms[:, 2:-2, 2:-2], atol=2e-3)


def test_the_raw_grid_blurs_by_its_phase() -> None:
    """Half way between samples a wave at Nyquist loses what Keys' kernel says, on a sample nothing."""
    wave = np.cos(2 * np.pi * np.arange(240) / 8)  # eight 10 m pixels, 2.67 samples
    ground = np.broadcast_to(wave[:, None], (240, 240)).astype(np.float32)[None]
    rows = np.arange(30, 210, 3.0)
    middle = 239 / 2

    def seen(phase: float) -> np.ndarray:
        offset = (rows[0] - middle) / 3  # of the first row, in samples from the middle
        grid = RawGrid(rotation=0.0, phase=((phase - offset) % 1, 0.0))
        return level1(ground, grid, rows, rows, 3.0)[0, :, 30]

    at = np.arange(-1, 3)
    for phase in (0.0, 0.5):
        transfer = np.sum(keys(at - phase) * np.exp(2j * np.pi * (at - phase) * 3 / 8))
        expected = np.real(transfer * np.exp(2j * np.pi * rows / 8))
        np.testing.assert_allclose(seen(phase), expected, atol=0.02)


def test_noise_of_raw_samples_is_correlated_by_the_resampling() -> None:
    truth = constant(0.1, 300)
    raw = look(truth, noise=1.0, raw_grid=TURNED).ms
    white = look(truth, noise=1.0).ms
    for image, independent in zip(raw, white, strict=True):
        a, b = (x - x.mean() for x in (image, independent))
        # mean over phases of the sum of squared weights: 0.80 down times 0.80 across for Keys' kernel
        t = np.linspace(0, 1, 1000, endpoint=False)
        power = np.mean(sum(keys(k - t) ** 2 for k in range(-1, 3))) ** 2
        assert a.std() / b.std() == pytest.approx(np.sqrt(power), rel=0.03)
        neighbours = (a[:, 1:] * a[:, :-1]).mean() / a.var()
        lag = np.mean(sum(keys(k - t) * keys(k - t - 1) for k in range(-1, 4))) / np.sqrt(power)
        assert neighbours == pytest.approx(lag, abs=0.05)
        assert abs((b[:, 1:] * b[:, :-1]).mean() / b.var()) < 0.04


@settings(max_examples=15, deadline=None)
@given(st.floats(-6, 6), st.floats(-6, 6), st.integers(0, 5), st.sampled_from([None, TURNED]))
def test_a_band_is_shifted_by_the_stated_metres(down: float, right: float, band: int, grid: RawGrid | None) -> None:
    slopes = (0.003, 0.007)
    plane = 0.2 + slopes[0] * np.arange(60)[:, None] + slopes[1] * np.arange(60)
    truth = np.broadcast_to(plane, (6, 60, 60)).astype(np.float32)
    shifts = tuple((down, right) if i == band else (0.0, 0.0) for i in range(6))
    still, moved = look(truth, raw_grid=grid), look(truth, raw_grid=grid, band_shift=shifts)
    rise = np.zeros(6)
    rise[band] = BANDS[band].band_pass["S2A"][0] * (slopes[0] * down + slopes[1] * right) / 10
    inner = np.s_[:, EDGE:-EDGE, EDGE:-EDGE]
    expected = np.broadcast_to(rise[:, None, None], still.ms[inner].shape)
    np.testing.assert_allclose((moved.ms - still.ms)[inner], expected, atol=3e-5)
    np.testing.assert_array_equal(moved.pan, still.pan)


def test_the_response_adds_what_covers_differ_in() -> None:
    vegetation = np.reshape([0.03, 0.06, 0.04, 0.4, 0.2, 0.1], (6, 1, 1)) * np.ones((6, 30, 30), np.float32)
    plain, added = look(vegetation), look(vegetation, response=0.5)
    expected = 0.5 * (RESPONSE[:, :6] @ vegetation[:, 0, 0] + RESPONSE[:, 6])
    np.testing.assert_allclose((added.ms - plain.ms)[:, 5, 5], expected, atol=1e-5)
    np.testing.assert_allclose(response(vegetation, 1.0)[:, 3, 3], 2 * expected, atol=1e-5)
    assert abs(RESPONSE[3]).max() < 0.003  # B8A is the twin of B5


def test_differences_have_the_stated_strength() -> None:
    truth = landscape(240)
    contrast = truth.std((1, 2))
    texture, unevenness = (0.1, 0.2, 0.3, 0.4, 0.0, 0.1), (0.2, 0.0, 0.1, 0.1, 0.3, 0.0)
    nothing = (0.0,) * 6
    fine = unlike(truth, texture, nothing, np.random.default_rng(0))
    np.testing.assert_allclose(fine.std((1, 2)), contrast * texture, rtol=0.05)
    assert np.array_equal(fine[:, ::2, ::2], fine[:, 1::2, 1::2])  # cells of 20 m
    broad = unlike(truth, nothing, unevenness, np.random.default_rng(0))
    np.testing.assert_allclose(np.sqrt((broad**2).mean((1, 2))), contrast * unevenness, rtol=1e-4)
    assert np.abs(np.diff(broad[0], axis=1)).max() < 0.3 * contrast[0] * unevenness[0]


def test_bands_of_a_group_differ_alike() -> None:
    truth = landscape(300)
    found = unlike(truth, (0.1,) * 6, (0.0,) * 6, np.random.default_rng(1)).reshape(6, -1)
    correlation = np.corrcoef(found)
    for a, b in ((0, 1), (1, 2), (4, 5)):
        assert correlation[a, b] == pytest.approx(0.8, abs=0.02)
    for a, b in ((0, 3), (3, 4), (2, 5)):
        assert abs(correlation[a, b]) < 0.03


def test_differences_of_the_ground_show_in_pan_as_in_the_bands() -> None:
    truth = landscape()
    plain, other = look(truth), look(truth, unevenness=(0.3,) * 6)
    rise = (other.ms - plain.ms)[:3, EDGE:-EDGE, EDGE:-EDGE]
    mixed = np.tensordot(sensors.OLI.pan_weights, rise, axes=1)
    seen = (other.pan - plain.pan)[::2, ::2][EDGE:-EDGE, EDGE:-EDGE]
    assert np.corrcoef(mixed.ravel(), seen.ravel())[0, 1] > 0.95


def test_missing_ground_is_missing_on_a_raw_grid_too() -> None:
    truth = landscape()
    whole = look(truth, raw_grid=TURNED)
    truth[2, 27:33, 30:36] = np.nan
    seen = look(truth, raw_grid=TURNED)
    missing = np.isnan(seen.ms)
    assert not missing[[0, 1, 3, 4, 5]].any()
    assert missing[2, 9:11, 10:12].all()
    far = np.ones((20, 20), bool)
    far[3:17, 4:18] = False
    np.testing.assert_allclose(seen.ms[2][far], whole.ms[2][far], atol=1e-5)
    assert np.isfinite(seen.pan).all()


def test_the_tidy_world_stays_as_it_is_unless_asked() -> None:
    plain = Conditions()
    for drawn in (plain, Conditions.random(np.random.default_rng(0), disturbed=True)):
        assert drawn.raw_grid is None
        assert drawn.response == 0
        assert drawn.band_shift == plain.band_shift
        assert drawn.texture == drawn.unevenness == (0.0,) * 6


def test_untidy_draws_stay_within_their_bounds() -> None:
    rng = np.random.default_rng(0)
    drawn = [Conditions.random(rng, disturbed=i % 2 == 0, untidy=True) for i in range(1000)]
    assert all(c.raw_grid is not None and 8 <= abs(c.raw_grid.rotation) <= 14 for c in drawn)
    shifts = np.array([c.band_shift for c in drawn])
    assert (shifts - shifts.mean(1, keepdims=True)).std() == pytest.approx(1.5 * np.sqrt(5 / 6), rel=0.05)
    texture = np.median([c.texture for c in drawn], axis=0)
    assert texture == pytest.approx((0.04, 0.04, 0.03, 0.05, 0.075, 0.09), rel=0.1)
    assert all(0.7 <= c.noise <= 2.5 and 4 <= c.pan_psf_sigma <= 6 for c in drawn)
    for i, c in enumerate(drawn):
        assert (replace(c, gain=(1.0,) * 6, offset=(0.0,) * 6, tilt=(0.0, 0.0)) != c) is (i % 2 == 0)


def test_untidy_oli_is_as_sharp_as_on_real_pairs() -> None:
    """The blur that fits best between the sensors at 30 m: medians of real pairs, within a metre."""
    rng = np.random.default_rng(2)
    sharp = {index: [] for index in (1, 3, 4)}
    # structure as natural ground has it, power falling with the square of the frequency, as sharp as a 20 m band
    frequencies = np.hypot(np.fft.fftfreq(240)[:, None], np.fft.rfftfreq(240))
    white = np.fft.rfft2(rng.standard_normal((6, 240, 240)))
    natural = np.fft.irfft2(white / np.maximum(frequencies, 1 / 240)).astype(np.float32)
    ground = 0.3 + 0.05 * blurred(natural / natural.std(), 1.2)
    rows = np.arange(80) * 3 + 0.5
    for _ in range(12):
        drawn = Conditions.random(rng, untidy=True)
        drawn = replace(
            drawn, band_shift=Conditions().band_shift, texture=(0.0,) * 6, unevenness=(0.0,) * 6, response=0
        )
        ms = observe(ground, drawn, rng).ms
        for index, found in sharp.items():
            fits = [
                np.corrcoef(
                    resample(ground[index], rows, rows, s / 10)[4:-4, 4:-4].ravel(), ms[index, 4:-4, 4:-4].ravel()
                )
                for s in np.arange(5, 19)
            ]
            found.append(5 + int(np.argmax([f[0, 1] for f in fits])))
    for index, wanted in ((1, 12.2), (3, 10.4), (4, 9.0)):
        assert np.mean(sharp[index]) == pytest.approx(wanted, abs=1.0)
    nominal = extra_blur(BANDS[1].oli_psf_sigma, BANDS[1].msi_psf_sigma) * 10
    assert nominal > 13.5  # what the tidy world supposes
