"""Scaling of sigma: the intervals hold what they say, every site counts alike, and none is assessed by itself."""

from dataclasses import replace

import numpy as np
import pytest

from l8s2.datasets.simulated_pairs import RandomlySimulatedPairs
from l8s2.evaluation.calibration import error_ratios, factors
from l8s2.evaluation.image_scores import score_pair
from l8s2.simulate.archives import Image


def normal(scale: float, n: int = 200_000) -> list[np.ndarray]:
    return [np.abs(scale * np.random.default_rng(b).standard_normal(n)).astype(np.float32) for b in range(6)]


def test_factors_make_the_90_percent_interval_hold_90_percent() -> None:
    np.testing.assert_allclose(factors({"here": normal(2.5)}), 2.5, rtol=0.01)


def test_a_site_can_be_left_out() -> None:
    ratios = {"here": normal(2.0), "there": normal(0.5)}
    np.testing.assert_allclose(factors(ratios, without="there"), 2.0, rtol=0.01)
    np.testing.assert_allclose(factors(ratios, without="here"), 0.5, rtol=0.01)
    assert (factors(ratios) > 1).all()


class Known:
    """A model that interpolates nothing and claims a sigma of its own."""

    def __init__(self, truth: np.ndarray, error: float, sigma: float, sun: float = 90.0) -> None:
        self.truth, self.error, self.sigma, self.sun = truth, error, sigma, sun

    def predict(
        self, ms: np.ndarray, pan: np.ndarray | None, *, sun_elevation: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        assert sun_elevation == self.sun
        assert pan is not None
        assert pan.shape == (2 * ms.shape[1], 2 * ms.shape[2])
        noise = np.random.default_rng(1).standard_normal(self.truth.shape).astype(np.float32)
        return self.truth + self.error * noise, np.full_like(self.truth, self.sigma)


def test_ratios_are_errors_over_sigma_where_the_band_is_known() -> None:
    stack = np.full((6, 90, 96), 0.2, np.float32)
    small = Image(site="small", stack=stack, known_bands=(True,) * 3 + (False,) * 3)
    large = Image(site="large", stack=stack, known_bands=(True,) * 6)
    ratios = error_ratios(Known(stack, 0.03, 0.01), RandomlySimulatedPairs([small, large, large]))
    assert list(ratios) == ["small", "large"]
    assert [len(band) for band in ratios["small"]] == [100_000] * 3 + [0] * 3
    assert [len(band) for band in ratios["large"]] == [100_000] * 6  # however many images it has
    np.testing.assert_allclose(factors(ratios), 3.0, rtol=0.05)
    assert factors(ratios, without="small")[3] == pytest.approx(3.0, rel=0.05)


def test_a_model_is_told_the_sun_of_a_pair() -> None:
    """Otherwise a network trained on uncorrected pan is refused, or worse."""
    stack = np.full((6, 90, 96), 0.2, np.float32)
    (simulated, *_) = RandomlySimulatedPairs([Image(site="here", stack=stack, known_bands=(True,) * 6)])
    pair = replace(simulated, sun_elevation=42.0)
    model = Known(stack, 0.03, 0.01, sun=42.0)
    assert factors(error_ratios(model, [pair])) == pytest.approx(3.0, rel=0.1)
    assert score_pair(model, pair).rmse == pytest.approx(0.03, rel=0.1)
