import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from l8s2.metrics.detail import detail_energy_ratio, fourier_curves, high_pass, largest_rectangle

pytestmark = pytest.mark.filterwarnings("error")

GARBAGE = st.sampled_from([np.nan, np.inf, -np.inf, 1e9, -1e9])


def noise(seed: int, shape: tuple[int, ...] = (2, 40, 45), scale: float = 0.05) -> np.ndarray:
    return (0.2 + scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def wave(period: float, shape: tuple[int, int] = (60, 64)) -> np.ndarray:
    """Along rows, amplitude 0.1; ``period`` in pixels."""
    return (0.3 + 0.1 * np.sin(2 * np.pi * np.arange(shape[1]) / period) * np.ones(shape)).astype(np.float32)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from([10.0, 15.0]))
def test_high_pass_agrees_with_scipy_on_usable_pixels_alone(seed: int, gsd: float) -> None:
    image = noise(seed)
    mask = np.random.default_rng(seed).random((40, 45)) < 0.9
    total, weight = (
        ndimage.gaussian_filter(x, 30 / gsd, mode="nearest", truncate=5, axes=(-2, -1))
        for x in (np.where(mask, image, 0).astype(float), mask.astype(float))
    )
    expected = np.where(mask, image - total / weight, np.nan)
    np.testing.assert_allclose(high_pass(image, mask, gsd=gsd), expected, atol=1e-5)


@pytest.mark.parametrize(("gsd", "period", "left"), [(10, 16, 0.5), (10, 8, 0.938), (15, 64 / 6, 0.5), (10, 64, 0.042)])
def test_high_pass_keeps_what_the_gaussian_takes(gsd: float, period: float, left: float) -> None:
    """The Gaussian of 30 m keeps exp(-2 (30 pi f)^2): half at a period of 160 m."""
    kept = high_pass(wave(period), np.ones((60, 64), bool), gsd=gsd)[:, 16:-16]
    assert 1 - np.exp(-2 * (np.pi * 30 / (period * gsd)) ** 2) == pytest.approx(left, abs=0.01)
    assert np.ptp(kept) / 0.2 == pytest.approx(left, abs=0.02)


def test_energy_ratio_is_that_of_the_squared_amplitudes() -> None:
    truth, mask = noise(1), np.ones((40, 45), bool)
    flat = 0.5 + 0.5 * (truth - 0.2)
    assert detail_energy_ratio(flat, truth, mask) == (pytest.approx(0.25, rel=1e-4), truth.size)
    assert detail_energy_ratio(truth, truth, mask) == (1, truth.size)
    smooth = ndimage.gaussian_filter(truth, 1, axes=(-2, -1))
    assert detail_energy_ratio(smooth, truth, mask).value < 0.2
    assert detail_energy_ratio(truth, smooth, mask).value > 5


def test_energy_ratio_without_pixels_or_without_detail() -> None:
    image, mask = noise(1), np.ones((40, 45), bool)
    value, n = detail_energy_ratio(image, image, ~mask)
    assert (np.isnan(value), n) == (True, 0)
    value, n = detail_energy_ratio(image, np.full_like(image, 0.1), mask)
    assert (np.isnan(value), n) == (True, image.size)


@settings(max_examples=15)
@given(st.integers(0, 10**6), GARBAGE)
def test_garbage_under_the_mask_changes_nothing(seed: int, garbage: float) -> None:
    p, t = noise(seed), noise(seed + 1)
    mask = np.ones((40, 45), bool)
    mask[np.random.default_rng(seed).random(mask.shape) < 0.01] = False
    dirty = [np.where(mask, x, np.float32(garbage)) for x in (p, t)]
    assert detail_energy_ratio(*dirty, mask) == detail_energy_ratio(p, t, mask)
    assert detail_energy_ratio(p, t, mask).n == 2 * mask.sum()
    clean, other = fourier_curves(p[0], t[0], mask), fourier_curves(dirty[0][0], dirty[1][0], mask)
    for one, two in zip(clean, other, strict=True):
        np.testing.assert_equal(one, two)
    if not np.isfinite(garbage):
        assert detail_energy_ratio(dirty[0], t, np.ones_like(mask)) == detail_energy_ratio(p, t, mask)
        assert fourier_curves(dirty[0][0], t[0], np.ones_like(mask)).rectangle == clean.rectangle


@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_no_rectangle_is_larger(usable: np.ndarray) -> None:
    h, w = usable.shape
    areas = [
        (b - a) * (d - c)
        for a in range(h)
        for b in range(a + 1, h + 1)
        for c in range(w)
        for d in range(c + 1, w + 1)
        if usable[a:b, c:d].all()
    ]
    found = usable[largest_rectangle(usable)]
    assert found.all()
    assert found.size == max(areas, default=0)


def test_curves_are_sums_over_rings_of_a_windowed_transform() -> None:
    p, t = noise(3, (12, 9)).astype(float), noise(4, (12, 9)).astype(float)
    hann = np.outer(*(0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(n) + 0.5) / n) for n in (12, 9)))
    sums = {k: np.zeros(4) for k in range(1, 5)}  # rings of 1/9, centred on 1/9 .. 4/9
    y, x = np.indices((12, 9))
    for v in range(12):
        for u in range(9):
            fy, fx = (v if v <= 6 else v - 12) / 12, (u if u <= 4 else u - 9) / 9
            k = int(np.floor(np.hypot(fy, fx) * 9 + 0.5))
            f, g = (((a - a.mean()) * hann * np.exp(-2j * np.pi * (fy * y + fx * x))).sum() for a in (p, t))
            if k in sums:
                sums[k] += abs(f) ** 2, abs(g) ** 2, (f * np.conj(g)).real, 1
    ours, true, common, n = np.array(list(sums.values())).T
    curves = fourier_curves(p, t, np.ones((12, 9), bool))
    np.testing.assert_allclose(curves.frequency, np.arange(1, 5) / 9)
    np.testing.assert_allclose(curves.correlation, common / np.sqrt(ours * true), atol=1e-12)
    np.testing.assert_allclose(curves.amplitude_ratio, np.sqrt(ours / true), rtol=1e-9)
    np.testing.assert_array_equal(curves.n, n)
    assert curves.rectangle == (slice(0, 12), slice(0, 9))


def test_perfect_prediction() -> None:
    curves = fourier_curves(noise(1)[0], noise(1)[0], np.ones((40, 45), bool))
    np.testing.assert_allclose(curves.frequency, np.arange(1, 21) / 40)
    np.testing.assert_allclose(curves.correlation, 1)
    np.testing.assert_allclose(curves.amplitude_ratio, 1)
    assert curves.resolution == 0.5
    assert (curves.n > 0).all()


def test_large_images_have_rings_of_two_hundredths() -> None:
    curves = fourier_curves(noise(1)[0].repeat(3, 0), noise(1)[0].repeat(3, 0), np.ones((120, 45), bool))
    assert curves.frequency[0] == pytest.approx(1 / 45)
    image = noise(2, (80, 90))
    np.testing.assert_allclose(fourier_curves(image, image, image > -9).frequency, np.arange(1, 26) * 0.02)


def test_amplitude_ratio_of_a_blurred_image_is_the_transfer_function() -> None:
    truth = noise(5, (160, 160))
    blurred = ndimage.gaussian_filter(truth, 0.8, truncate=8)
    curves = fourier_curves(blurred, truth, np.ones((160, 160), bool))
    inner = curves.frequency < 0.4
    expected = np.exp(-2 * (np.pi * 0.8 * curves.frequency) ** 2)
    np.testing.assert_allclose(curves.amplitude_ratio[inner], expected[inner], rtol=0.05)
    assert (curves.correlation[inner] > 0.98).all()


@pytest.mark.parametrize("share", [0.5, 1.0, 2.0])
def test_correlation_of_a_signal_in_noise_tells_their_ratio(share: float) -> None:
    truth = noise(6, (160, 160))
    curves = fourier_curves(truth + share * (noise(7, (160, 160)) - 0.2), truth, truth > -9)
    assert np.average(curves.correlation, weights=curves.n) == pytest.approx(1 / np.sqrt(1 + share**2), abs=0.03)


def test_resolution_is_where_right_detail_ends() -> None:
    truth, other = noise(8, (120, 120)), noise(9, (120, 120))
    f = np.hypot(np.fft.fftfreq(120)[:, None], np.fft.fftfreq(120))
    mixed = np.fft.ifft2(np.where(f < 0.25, np.fft.fft2(truth), np.fft.fft2(other))).real
    assert fourier_curves(mixed, truth, truth > -9).resolution == pytest.approx(0.25, abs=0.015)
    assert fourier_curves(-truth, truth, truth > -9).resolution < 0.01


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.3, 3))
def test_resolution_is_the_first_crossing_of_one_half(seed: int, share: float) -> None:
    truth = noise(seed)[0]
    curves = fourier_curves(truth + share * (noise(seed + 1)[0] - 0.2), truth, truth > -9)
    frequency, correlation = np.append(0, curves.frequency), np.append(1, curves.correlation)
    assert (correlation[frequency < curves.resolution] >= 0.5).all()
    if curves.resolution < 0.5:
        assert np.interp(curves.resolution, frequency, correlation) == pytest.approx(0.5)


def test_curves_without_pixels_or_without_detail() -> None:
    image = noise(1)[0]
    for mask in (np.zeros((40, 45), bool), np.arange(45) % 2 * np.ones((40, 1)) > 0):
        curves = fourier_curves(image, image, mask)
        assert curves.frequency.size == curves.correlation.size == curves.amplitude_ratio.size == curves.n.size == 0
        assert np.isnan(curves.resolution)
    flat = fourier_curves(image, np.full_like(image, 0.1), np.ones((40, 45), bool))
    assert np.isnan(flat.correlation).all()
    assert np.isnan(flat.resolution)
    with pytest.raises(ValueError, match="one band"):
        fourier_curves(noise(1), noise(1), np.ones((40, 45), bool))
