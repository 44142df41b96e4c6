"""What should not be trusted: too large a sigma, strange ground, and the verdict on a scene."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter
from scipy.spatial.distance import cdist

from l8s2 import masks
from l8s2.models.domain import REACH, Domain, local_mean
from l8s2.pipeline.verdict import Count, assess, too_uncertain
from l8s2.predictors.load import load_model
from l8s2.simulate import Conditions, observe
from l8s2.simulate.landscape import landscape


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    """Colours of a world of two kinds of ground and everything between them."""
    rng = np.random.default_rng(0)
    field, water = np.array([0.04, 0.07, 0.06, 0.35, 0.2, 0.1]), np.array([0.05, 0.05, 0.03, 0.02, 0.01, 0.01])
    share = rng.random((5000, 1))
    return ((share * field + (1 - share) * water) * np.exp(rng.normal(0, 0.05, (5000, 6)))).astype(np.float32)


def test_every_training_colour_is_within_the_domain(colours: np.ndarray) -> None:
    domain = Domain.fit(colours)
    distance = domain.distance(colours.T.reshape(6, 50, 100))
    assert (
        not domain.out_of_domain(colours.T.reshape(6, 50, 100)).mean() > 0.02
    )  # neighbours of the random order are averaged
    flat = np.repeat(np.repeat(colours[:20].T[:, :, None], 9, 1).reshape(6, 180, 1), 9, 2)
    assert not domain.out_of_domain(flat)[4::9, 4].any()
    assert distance.max() < np.inf


def test_distance_is_that_from_the_nearest_exemplar(colours: np.ndarray) -> None:
    domain = Domain.fit(colours)
    ms = np.random.default_rng(1).random((6, 23, 31), np.float32) * 0.5
    logarithms = np.log(uniform_filter(ms.astype(np.float64), (0, 2 * REACH + 1, 2 * REACH + 1), mode="nearest") + 0.02)
    points = (logarithms.reshape(6, -1).T - domain.mean) @ domain.whitening.T
    expected = cdist(points, domain.exemplars).min(1).reshape(23, 31)
    np.testing.assert_allclose(domain.distance(ms), expected, rtol=2e-3)


def test_wrong_input_is_strange(colours: np.ndarray) -> None:
    domain = Domain.from_json(Domain.fit(colours).to_json())
    ms = np.broadcast_to(colours[:40].mean(0)[:, None, None], (6, 12, 12)).astype(np.float32)
    assert not domain.out_of_domain(ms).any()
    for wrong in (ms * 10, ms - 0.1, ms[::-1], np.full_like(ms, 0.9)):
        assert domain.out_of_domain(np.ascontiguousarray(wrong)).all()


def test_the_domain_survives_its_file(colours: np.ndarray) -> None:
    domain = Domain.fit(colours)
    again = Domain.from_json(domain.to_json())
    ms = colours[:300].T.reshape(6, 15, 20)
    np.testing.assert_allclose(again.distance(ms), domain.distance(ms), atol=2e-3)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
def test_local_mean_is_a_uniform_filter(height: int, width: int, seed: int) -> None:
    x = np.random.default_rng(seed).random((2, height, width), np.float32)
    expected = uniform_filter(x, (0, 2 * REACH + 1, 2 * REACH + 1), mode="nearest")
    np.testing.assert_allclose(local_mean(x), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("mean", "half_width", "expected"),
    [
        (0.1, 0.04, False),
        (0.1, 0.06, True),
        (0.3, 0.14, False),
        (0.3, 0.16, True),
        (-0.3, 0.14, False),
        (0.0, 0.051, True),
    ],
)  # fmt: skip
def test_useless_is_wide_for_itself_and_for_the_ground(mean: float, half_width: float, expected: bool) -> None:
    means = np.full((6, 1, 2), 0.2, np.float32)
    sigmas = np.full((6, 1, 2), 0.001, np.float32)
    means[4, 0, 1], sigmas[4, 0, 1] = mean, half_width / 1.645
    assert too_uncertain(means, sigmas).tolist() == [[False, expected]]


def test_what_is_missing_is_not_useless() -> None:
    nothing = np.full((6, 2, 2), np.nan, np.float32)
    assert not too_uncertain(nothing, nothing).any()


@pytest.mark.parametrize(
    ("untrusted", "clear", "about_scene", "level", "reasons"),
    [
        (0, 1000, [], "pass", 0),
        (50, 1000, [], "pass", 0),
        (51, 1000, [], "warn", 1),
        (251, 1000, [], "fail", 1),
        (0, 99, [], "warn", 1),
        (0, 1000, [(False, "noisy")], "warn", 1),
        (0, 1000, [(False, "noisy"), (True, "pan lies elsewhere")], "fail", 2),
        (60, 99, [(False, "noisy")], "fail", 3),
        (0, 0, [], "warn", 1),
    ],
)
def test_verdict(untrusted: int, clear: int, about_scene: list[tuple[bool, str]], level: str, reasons: int) -> None:
    verdict = assess(Count(known=1000, clear=clear, untrusted=untrusted), about_scene)
    assert (verdict.level, len(verdict.reasons)) == (level, reasons)
    assert verdict.reasons[reasons - len(about_scene) :] == tuple(text for _, text in about_scene)


def test_count_takes_what_is_clear() -> None:
    kinds = list(product((False, True), repeat=3))
    qa = np.array(
        [[f * masks.flag("fill") | c * masks.flag("cloud") | u * masks.flag("do_not_trust") for f, c, u in kinds]],
        np.uint16,
    )
    mean = np.where(qa & masks.flag("fill"), np.nan, 0.1)[None].repeat(6, 0).astype(np.float32)
    count = Count()
    count.add(mean, qa)
    count.add(mean, qa)
    assert (count.valid.tolist(), count.known, count.clear, count.untrusted) == ([8] * 6, 8, 4, 2)


@pytest.mark.parametrize("name", ["compact", "compact-nopan"])
def test_embedded_models_know_their_ground(name: str) -> None:
    ms = observe(landscape(4, (100, 100)).truth, Conditions(), np.random.default_rng(0)).ms
    model = load_model(name)
    assert model.out_of_domain(ms).mean() < 0.02
    assert model.out_of_domain(ms * 10).mean() > 0.9
    assert model.out_of_domain(ms - 0.15).mean() > 0.9
    ms[:, :20] = np.nan
    assert model.out_of_domain(ms).shape == ms.shape[1:]
