"""The line between two sensors, against planted ones and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from l8s2.pairs.regression import ENOUGH, BandFit, fit_band, fit_bands


def noisy(
    slope: float, intercept: float, seed: int = 0, n: int = 4000, noise: float = 0.01, wrong: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both sensors err; a share of the pixels has changed altogether."""
    rng = np.random.default_rng(seed)
    ground = rng.gamma(2.0, 0.08, n)
    x, y = ground + rng.normal(0, noise, n), slope * ground + intercept + rng.normal(0, slope * noise, n)
    changed = rng.random(n) < wrong
    y[changed] = rng.uniform(0.3, 0.9, changed.sum())
    return x, y


@settings(max_examples=40)
@given(st.floats(0.7, 1.4), st.floats(-0.1, 0.1), st.sampled_from([0.0, 0.1, 0.2]), st.integers(0, 999))
def test_a_planted_line_is_found(slope: float, intercept: float, wrong: float, seed: int) -> None:
    fit = fit_band(*noisy(slope, intercept, seed, wrong=wrong))
    assert fit.slope == pytest.approx(slope, rel=0.03)
    assert fit.intercept == pytest.approx(intercept, abs=0.006)
    assert fit.n == 4000


@settings(max_examples=40)
@given(st.floats(0.7, 1.4), st.floats(-0.1, 0.1), st.sampled_from([0.0, 0.15]), st.integers(0, 999))
def test_exchanged_sensors_give_the_inverse_line(slope: float, intercept: float, wrong: float, seed: int) -> None:
    x, y = noisy(slope, intercept, seed, wrong=wrong)
    one, other = fit_band(x, y), fit_band(y, x)
    assert one.slope * other.slope == pytest.approx(1)
    assert one.intercept == pytest.approx(-one.slope * other.intercept)
    assert one.r == pytest.approx(other.r)


@settings(max_examples=20)
@given(st.floats(0.2, 5), st.floats(-1, 1), st.integers(0, 99))
def test_units_do_not_matter(scale: float, shift: float, seed: int) -> None:
    x, y = noisy(1.1, 0.02, seed, wrong=0.1)
    plain, changed = fit_band(x, y), fit_band(x, scale * y + shift)
    assert changed.slope == pytest.approx(scale * plain.slope)
    assert changed.intercept == pytest.approx(scale * plain.intercept + shift, abs=1e-6)
    assert changed.rmse == pytest.approx(scale * plain.rmse)


def test_noise_in_both_does_not_flatten_the_line_as_least_squares_would() -> None:
    stats = pytest.importorskip("scipy.stats")
    x, y = noisy(1.0, 0.0, n=1500, noise=0.05)
    assert stats.linregress(x, y).slope < 0.85
    assert stats.theilslopes(y, x).slope < 0.85
    fit = fit_band(x, y)
    assert fit.slope == pytest.approx(1, abs=0.03)
    assert fit.r == pytest.approx(stats.pearsonr(x, y).statistic)
    assert fit.rmse == pytest.approx(np.sqrt(np.mean((y - fit.slope * x - fit.intercept) ** 2)))


def test_without_outliers_it_is_the_reduced_major_axis() -> None:
    x, y = noisy(1.2, 0.01, noise=0.002)
    fit = fit_band(x, y)
    assert fit.slope == pytest.approx(y.std() / x.std(), rel=0.003)


def test_land_and_water_make_one_line() -> None:
    """Two heaps, the larger one nearly constant."""
    rng = np.random.default_rng(0)
    ground = np.concatenate([rng.normal(0.01, 0.002, 700), rng.normal(0.3, 0.05, 300)])
    fit = fit_band(ground + rng.normal(0, 0.003, 1000), 1.1 * ground - 0.02 + rng.normal(0, 0.003, 1000))
    assert (fit.slope, fit.intercept) == pytest.approx((1.1, -0.02), abs=0.015)


def assert_no_line(fit: BandFit, n: int) -> None:
    assert np.isnan([fit.slope, fit.intercept, fit.rmse]).all()
    assert fit.n == n


@pytest.mark.filterwarnings("error")
def test_where_there_is_no_line_none_is_drawn() -> None:
    x, y = noisy(1.0, 0.0, n=ENOUGH)
    missing = x.copy()
    missing[0] = np.nan
    assert_no_line(fit_band(missing, y), ENOUGH - 1)
    assert np.isfinite(fit_band(x, y).slope)
    assert_no_line(fit_band(np.full_like(x, 0.1), y), ENOUGH)
    assert_no_line(fit_band(x, -y), ENOUGH)
    assert_no_line(fit_band(np.full_like(x, np.nan), y), 0)
    mostly_constant = np.full(1000, 0.02)
    mostly_constant[:50] = np.linspace(0, 1, 50)
    assert_no_line(fit_band(mostly_constant, mostly_constant + 0.1), 1000)


def test_bands_are_fitted_one_by_one_where_both_are_known() -> None:
    lines = [(1.0, 0.0), (1.1, 0.01), (0.9, -0.02)]
    pairs = [noisy(*line, seed=i, n=2500) for i, line in enumerate(lines)]
    sentinel2, landsat = (np.stack([pair[k] for pair in pairs]).reshape(3, 50, 50) for k in (0, 1))
    sentinel2[:, :5], landsat[:, 10:20], landsat[1, 30:] = np.nan, np.nan, np.nan
    fits = fit_bands(sentinel2, landsat)
    assert [fit.n for fit in fits] == [1750, 750, 1750]
    assert [(fit.slope, fit.intercept) for fit in fits] == [pytest.approx(line, abs=0.04) for line in lines]


@pytest.mark.parametrize("seed", range(4))
def test_what_has_nothing_in_common_has_no_line(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(0.3, 0.05, (2, 60, 60)).astype(np.float32)
    found = fit_band(one, other)
    assert np.isnan([found.slope, found.intercept, found.rmse]).all()
    assert abs(found.r) < 0.1
