"""Scores on a real pair, against cases whose answer is known."""

import numpy as np
import pytest

from l8s2.evaluation.pair_scores import fit_level, score_pair_band

RNG = np.random.default_rng(7)
BICUBIC = RNG.random((15, 15)).repeat(4, 0).repeat(4, 1)
DETAIL = RNG.normal(0, 0.1, BICUBIC.shape)
DETAIL -= DETAIL.mean()
ALL = np.ones(BICUBIC.shape, bool)


@pytest.mark.parametrize("share", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("level", [(1.0, 0.0), (0.8, 0.05)])
def test_the_best_multiple_is_what_the_detail_must_be_scaled_by(share: float, level: tuple[float, float]) -> None:
    truth = level[0] * (BICUBIC + DETAIL) + level[1]
    found = score_pair_band(BICUBIC + share * DETAIL, BICUBIC, truth, ALL)
    assert found.best_multiple == pytest.approx(1 / share, rel=1e-6)
    assert found.pixels == ALL.size


def test_the_truth_itself_leaves_no_error_whatever_its_level() -> None:
    found = score_pair_band(0.7 * (BICUBIC + DETAIL) - 0.02, BICUBIC, BICUBIC + DETAIL, ALL)
    assert found.rmse_ratio == pytest.approx(0, abs=1e-9)
    assert found.detail_energy == pytest.approx(1, rel=1e-6)


def test_bicubic_against_itself_is_one() -> None:
    truth = BICUBIC + DETAIL
    found = score_pair_band(BICUBIC + 1e-9 * DETAIL, BICUBIC, truth, ALL)
    assert found.rmse_ratio == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("noise", [0, 1e-8])
def test_flat_ground_has_no_ratios(noise: float) -> None:
    flat = np.full(BICUBIC.shape, 0.2)
    seen = [flat + noise * DETAIL, flat - noise * DETAIL.T, flat + noise * DETAIL[::-1]]
    found = score_pair_band(*seen, ALL, flat / 10)
    assert np.isnan([found.rmse_ratio, found.detail_energy, found.best_multiple]).all()
    assert (found.coverage, found.pixels) == (1, ALL.size)


def test_invented_detail_costs_and_shows() -> None:
    invented = RNG.normal(0, 0.1, BICUBIC.shape)
    found = score_pair_band(BICUBIC + invented, BICUBIC, BICUBIC + DETAIL, ALL)
    assert found.rmse_ratio > 1.2
    assert abs(found.best_multiple) < 0.1


def test_coverage_is_that_of_a_normal_distribution() -> None:
    truth = np.linspace(0, 1, 90_000).reshape(300, 300)
    prediction = truth + RNG.normal(0.02, 0.01, truth.shape)
    sigma = np.full(truth.shape, 0.01)
    found = score_pair_band(prediction, truth + 1e-6, truth, np.ones(truth.shape, bool), 3 * sigma, sigma)
    assert found.fitted_coverage == pytest.approx(0.90, abs=0.005)
    assert found.coverage == pytest.approx(0.9984, abs=0.001)  # Phi(2.935) - Phi(-6.935)


def test_pixels_that_are_not_usable_never_count() -> None:
    truth, usable = BICUBIC + DETAIL, ALL.copy()
    usable[:20] = False
    spoiled = truth.copy()
    spoiled[:20] = 7
    spoiled[30, 30] = np.nan
    found = score_pair_band(BICUBIC + 2 * DETAIL, BICUBIC, spoiled, usable)
    assert found.best_multiple == pytest.approx(0.5, rel=1e-6)
    assert found.pixels == usable.sum() - 1


def test_the_level_is_numpys_line() -> None:
    truth = 0.9 * BICUBIC + 0.03 + RNG.normal(0, 0.01, BICUBIC.shape)
    assert fit_level(BICUBIC, truth, ALL) == pytest.approx(np.polyfit(BICUBIC.ravel(), truth.ravel(), 1), rel=1e-6)


def test_where_nothing_is_added_or_known_there_is_no_figure() -> None:
    truth = BICUBIC + DETAIL
    same = score_pair_band(1.02 * BICUBIC - 0.01, BICUBIC, truth, ALL)
    assert same.rmse_ratio == pytest.approx(1)
    assert np.isnan(same.best_multiple)
    nothing = score_pair_band(truth, BICUBIC, truth, ~ALL)
    assert np.isnan(nothing[:-1]).all()
    assert nothing.pixels == 0
