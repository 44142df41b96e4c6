import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate, special, stats

from l8s2.metrics import uncertainty
from l8s2.metrics.uncertainty import (
    LEVELS,
    ause,
    coverage,
    crps,
    ence,
    erf,
    error_correlation,
    error_rank_correlation,
    nll,
)

pytestmark = pytest.mark.filterwarnings("error")

SCORES = {f.__name__: f for f in (coverage, ence, crps, nll, ause, error_correlation, error_rank_correlation)}


def images(seed: int = 0, shape: tuple[int, ...] = (2, 15, 20)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, sigma and truth; the errors are normal with that sigma."""
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(0.01, 0.05, shape).astype(np.float32)
    truth = rng.uniform(0, 0.5, shape).astype(np.float32)
    return (truth + sigma * rng.standard_normal(shape)).astype(np.float32), sigma, truth


def everywhere(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape[-2:], bool)


@pytest.mark.parametrize("score", SCORES.values())
@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), garbage=st.sampled_from([np.nan, np.inf, -np.inf, 1e9, -1e9]))
def test_garbage_under_the_mask_changes_nothing(score, seed: int, garbage: float) -> None:
    clean = images(seed)
    mask = np.random.default_rng(seed).random(clean[0].shape) < 0.8
    expected = score(*clean, mask)
    assert expected.n == mask.sum()
    for which in range(3):
        dirty = [np.where(mask | (k != which), x, np.float32(garbage)) for k, x in enumerate(clean)]
        assert score(*dirty, mask) == expected
        if not np.isfinite(garbage):
            assert score(*dirty, np.ones_like(mask)) == expected


@pytest.mark.parametrize("name", SCORES)
def test_nothing_usable(name: str) -> None:
    p, s, t = images()
    value, n = SCORES[name](p, s, t, np.zeros(p.shape[-2:], bool))
    assert (np.isnan(value), n) == (True, 0)
    assert SCORES[name](p, -s, t, everywhere(p)).n == 0


def test_coverage_worked_by_hand() -> None:
    prediction, truth = np.array([[0.1, 0.1], [0.3, 0.9]]), np.zeros((2, 2))
    sigma = np.array([[0.1, 0.05], [0.3, 0.1]])
    mask = np.array([[True, True], [True, False]])
    assert coverage(prediction, sigma, truth, mask) == (pytest.approx(2 / 3), 3)
    assert coverage(prediction, sigma, truth, mask, z=0.99) == (0, 3)
    assert coverage(truth, 0 * sigma, truth, mask) == (1, 3)  # certain, and right
    assert coverage(prediction, 0 * sigma, truth, mask) == (0, 3)  # certain, and wrong


def test_coverage_is_that_between_the_quantiles_of_the_normal_distribution() -> None:
    p, s, t = images(shape=(100, 100))
    for level in (*LEVELS, 0.3):
        observed, n = coverage(p, s, t, everywhere(p), z=stats.norm.ppf((1 + level) / 2))
        assert n == 10_000
        assert observed == pytest.approx(level, abs=4 * 0.5 / 100)  # four standard errors of a share
        low, high = stats.norm.interval(level, p.astype(float), s.astype(float))
        assert observed == np.mean((low <= t) & (t <= high))


def test_ence_worked_by_hand() -> None:
    sigma = np.array([[0.4, 0.1], [0.4, 0.1]])
    error = np.array([[0.2, 0.1], [0.2, 0.3]])
    low, high = abs(0.1 - np.sqrt(0.05)) / 0.1, 0.5
    mask = np.ones((2, 2), bool)
    assert ence(error, sigma, np.zeros((2, 2)), mask, bins=2) == (pytest.approx((low + high) / 2), 4)
    assert ence(sigma, sigma, np.zeros((2, 2)), mask) == (0, 4)  # more bins than values
    assert ence(error, 0 * sigma, np.zeros((2, 2)), mask).value == np.inf
    assert ence(error, 0 * sigma, error, mask).value == 0


@pytest.mark.parametrize("factor", [0.5, 1, 2])
def test_ence_of_sigmas_that_are_wrong_by_a_factor(factor: float) -> None:
    p, s, t = images(shape=(200, 200))
    assert ence(p, s * np.float32(factor), t, everywhere(p)).value == pytest.approx(abs(1 - 1 / factor), abs=0.03)


def test_crps_is_the_integral_over_both_distributions() -> None:
    for mean, sigma, truth in ((0.2, 0.05, 0.31), (0.3, 0.02, 0.3), (0.1, 0.04, -0.2)):
        left, _ = integrate.quad(lambda x: stats.norm.cdf(x, mean, sigma) ** 2, -2, truth, points=[mean])  # noqa: B023
        right, _ = integrate.quad(lambda x: stats.norm.sf(x, mean, sigma) ** 2, truth, 2, points=[mean])  # noqa: B023
        score = crps(*(np.full((1, 1), x) for x in (mean, sigma, truth)), np.ones((1, 1), bool))
        assert score == (pytest.approx(left + right, rel=1e-6), 1)


def test_crps_agrees_with_scipy() -> None:
    p, s, t = images()
    p, s, t = (x.astype(float) for x in (p, s, t))
    z = (t - p) / s
    expected = s * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert crps(p, s, t, everywhere(p)) == (pytest.approx(expected.mean(), rel=1e-9), p.size)


def test_crps_of_certainty_is_the_absolute_error() -> None:
    p, s, t = images()
    assert crps(p, 0 * s, t, everywhere(p)).value == pytest.approx(np.abs(p - t).mean(), rel=1e-6)
    assert crps(p, 1e-9 * s, t, everywhere(p)).value == pytest.approx(np.abs(p - t).mean(), rel=1e-6)


def test_nll_agrees_with_scipy() -> None:
    p, s, t = images()
    expected = -stats.norm.logpdf(t.astype(float), p.astype(float), s.astype(float)).mean()
    assert nll(p, s, t, everywhere(p)) == (pytest.approx(expected, rel=1e-9), p.size)
    s[0, 0, 0] = 0
    assert nll(p, s, t, everywhere(p)) == (np.inf, p.size)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_ause_takes_values_away_one_by_one(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    error, sigma = rng.exponential(size=size), rng.permutation(size) / 10.0
    order = {"sigma": np.argsort(sigma), "oracle": np.argsort(error)}
    curves = {name: [error[at[: size - k]].mean() / error.mean() for k in range(size)] for name, at in order.items()}
    expected = np.mean(np.subtract(curves["sigma"], curves["oracle"]))
    score = ause(error[None], sigma[None], np.zeros((1, size)), np.ones((1, size), bool))
    assert score == (pytest.approx(expected, abs=1e-12), size)


def test_ause_of_perfect_and_of_useless_sigmas() -> None:
    p, s, t = images(shape=(60, 60))
    mask = everywhere(p)
    error = np.abs(p.astype(float) - t)
    assert ause(p, error, t.astype(float), mask).value == pytest.approx(0, abs=1e-12)
    assert ause(t, s, t, mask) == (0, p.size)
    constant = ause(p, np.full_like(s, 0.1), t, mask).value
    assert ause(p, s, t, mask).value < constant < ause(p, 1 - error, t.astype(float), mask).value
    # half-normal errors: those below the quantile q have a mean of 1 - exp(-x^2 / 2), by that of all and q
    normal = np.random.default_rng(5).standard_normal((200, 200))
    share = (np.arange(1, 10_000) - 0.5) / 9_999
    best = -np.expm1(-(stats.halfnorm.ppf(share) ** 2) / 2) / share
    score = ause(normal, np.ones_like(normal), np.zeros_like(normal), everywhere(normal))
    assert score.value == pytest.approx(1 - best.mean(), abs=0.01)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_the_order_of_equal_sigmas_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    error, sigma = rng.exponential(size=40), rng.integers(1, 4, 40) / 10
    shuffled = rng.permutation(40)
    for score in (ause, ence):
        one, other = (
            score(e[None], s[None], 0 * e[None], e[None] > 0)
            for e, s in ((error, sigma), (error[shuffled], sigma[shuffled]))
        )
        assert one.value == pytest.approx(other.value, abs=1e-12)


def test_correlations_agree_with_scipy() -> None:
    p, s, t = images()
    s = s.round(2)  # ties
    error = np.abs(p.astype(float) - t).ravel()
    sigma = s.astype(float).ravel()
    assert error_correlation(p, s, t, everywhere(p)) == (pytest.approx(stats.pearsonr(sigma, error)[0]), p.size)
    assert error_rank_correlation(p, s, t, everywhere(p)) == (pytest.approx(stats.spearmanr(sigma, error)[0]), p.size)
    assert np.isnan(error_correlation(p, np.ones_like(s), t, everywhere(p)).value)


def test_correlations_of_sigmas_that_know_the_error() -> None:
    p, _, t = images()
    error = np.abs(p.astype(float) - t)
    assert error_correlation(p, 2 * error + 1, t.astype(float), everywhere(p)).value == pytest.approx(1)
    assert error_rank_correlation(p, error**3, t.astype(float), everywhere(p)).value == pytest.approx(1)


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(-40, 40)))
def test_erf_agrees_with_scipy(x: np.ndarray) -> None:
    np.testing.assert_allclose(erf(x), special.erf(x), rtol=0, atol=1e-11)


def test_erf_between_all_nodes() -> None:
    x = np.linspace(-7, 7, 50_001)
    np.testing.assert_allclose(erf(x), special.erf(x), rtol=0, atol=1e-11)
    assert np.abs(uncertainty.erf(np.array([0.0, 1e-8])) / [1, special.erf(1e-8)] - [0, 1]).max() < 1e-6
