import numpy as np
import pytest
import skimage.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from l8s2.metrics import scores
from l8s2.metrics.scores import (
    bias,
    correlation,
    ergas,
    index_scores,
    mae,
    normalised_difference,
    psnr,
    rmse,
    sam,
    shifted_rmse,
)
from l8s2.metrics.similarity import ssim, uiqi
from l8s2.sensors import BAND_NAMES
from making.oracles import batch, torchmetrics

pytestmark = pytest.mark.filterwarnings("error")

SCORES = {
    "rmse": rmse,
    "psnr": psnr,
    "mae": mae,
    "bias": bias,
    "correlation": correlation,
    "sam": sam,
    "ergas": ergas,
    "ssim": ssim,
    "uiqi": uiqi,
    "shifted": lambda p, t, m: shifted_rmse(p, t, m).rmse,
    **{
        f"{name}_{what}": lambda p, t, m, name=name, what=what: getattr(index_scores(p, t, m)[name], what)
        for name in scores.INDICES
        for what in ("rmse", "bias", "correlation")
    },
}
IDEAL = {
    name: np.inf if name == "psnr" else 1 if name in ("ssim", "uiqi") or name.endswith("correlation") else 0
    for name in SCORES
}
GARBAGE = [np.nan, np.inf, -np.inf, 1e9, -1e9]


def images(seed: int = 0, shape: tuple[int, ...] = (6, 24, 27)) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and truth: structure in every band, and errors of a tenth of it."""
    rng = np.random.default_rng(seed)
    truth = 0.2 + 0.05 * rng.standard_normal(shape)
    return (truth + 0.01 + 0.005 * rng.standard_normal(shape)).astype(np.float32), truth.astype(np.float32)


def everywhere(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape[-2:], bool)


@pytest.mark.parametrize("name", SCORES)
def test_perfect_prediction(name: str) -> None:
    _, truth = images()
    value, n = SCORES[name](truth, truth, everywhere(truth))
    assert n > 0
    assert value == pytest.approx(IDEAL[name], abs=1e-12)


@pytest.mark.parametrize("name", SCORES)
def test_nothing_usable(name: str) -> None:
    prediction, truth = images()
    value, n = SCORES[name](prediction, truth, np.zeros(truth.shape[-2:], bool))
    assert (np.isnan(value), n) == (True, 0)
    assert SCORES[name](prediction * np.nan, truth, everywhere(truth)).n == 0


@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6), where=st.sampled_from(["pixels", "values", "corner"]), garbage=st.sampled_from(GARBAGE)
)
def test_garbage_under_the_mask_changes_nothing(name: str, seed: int, where: str, garbage: float) -> None:
    prediction, truth = images(seed)
    mask = everywhere(truth) if where != "values" else np.ones(truth.shape, bool)
    if where == "corner":
        mask[:9, :5] = False
    else:
        mask[np.random.default_rng(seed).random(mask.shape) < 0.004] = False
    clean = SCORES[name](prediction, truth, mask)
    bad = ~np.broadcast_to(mask, truth.shape)
    for dirty in ((np.where(bad, garbage, prediction), truth), (prediction, np.where(bad, garbage, truth))):
        np.testing.assert_equal(SCORES[name](*(x.astype(np.float32) for x in dirty), mask), clean)
    assert clean.n > 0
    if not np.isfinite(garbage):  # without any mask, what is not finite does not count either
        dirty = np.where(bad, garbage, prediction).astype(np.float32)
        np.testing.assert_equal(SCORES[name](dirty, truth, np.ones_like(mask)), clean)


def test_arrays_and_masks_must_agree() -> None:
    prediction, truth = images()
    with pytest.raises(ValueError, match="one shape"):
        rmse(prediction[0], truth, everywhere(truth))
    with pytest.raises(ValueError, match="mask has shape"):
        rmse(prediction, truth, np.ones((1, 24, 27), bool))


def test_errors_of_values_worked_by_hand() -> None:
    truth, prediction = np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([[0.2, 0.1], [0.6, 9.0]])
    mask = np.array([[True, True], [True, False]])
    assert mae(prediction, truth, mask) == (pytest.approx(0.5 / 3), 3)
    assert bias(prediction, truth, mask) == (pytest.approx(0.1), 3)
    assert rmse(prediction, truth, mask) == (pytest.approx(np.sqrt(0.11 / 3)), 3)
    assert psnr(prediction, truth, mask, data_range=2) == (pytest.approx(10 * np.log10(4 / (0.11 / 3))), 3)


def test_pooled_errors_agree_with_scikit_image() -> None:
    prediction, truth = images()
    mask = everywhere(truth)
    mse = skimage.metrics.mean_squared_error(truth, prediction)
    assert rmse(prediction, truth, mask) == (pytest.approx(np.sqrt(mse), rel=1e-6), truth.size)
    expected = skimage.metrics.peak_signal_noise_ratio(truth, prediction, data_range=1)
    assert psnr(prediction, truth, mask).value == pytest.approx(expected, rel=1e-6)


def test_correlation_agrees_with_scipy() -> None:
    prediction, truth = images()
    mask = np.random.default_rng(1).random(truth.shape) < 0.7
    expected = stats.pearsonr(prediction[mask].astype(float), truth[mask].astype(float))[0]
    assert correlation(prediction, truth, mask) == (pytest.approx(expected, abs=1e-12), mask.sum())
    assert correlation(-truth, truth, mask).value == -1


def test_correlation_with_a_constant_has_no_value_but_a_count() -> None:
    _, truth = images()
    value, n = correlation(np.full_like(truth, 0.1), truth, everywhere(truth))
    assert (np.isnan(value), n) == (True, truth.size)


def test_sam_worked_by_hand() -> None:
    truth = np.zeros((2, 2, 2))
    truth[0] = 0.3
    prediction = truth.copy()
    prediction[:, 0, 1] = [0.2, 0.2]  # 45 degrees
    prediction[:, 1, 0] = [0.0, 0.7]  # 90 degrees
    prediction[:, 1, 1] = 0.0  # no direction: does not count
    assert sam(prediction, truth, np.ones((2, 2), bool)) == (pytest.approx(45), 3)
    mask = np.ones((2, 2, 2), bool)
    mask[1, 1, 0] = False  # one band is enough to lose the pixel
    assert sam(prediction, truth, mask) == (pytest.approx(22.5), 2)
    assert sam(truth * 3, truth, np.ones((2, 2), bool)).value == 0


def test_sam_sees_angles_too_small_for_an_arc_cosine() -> None:
    truth = np.stack([np.ones((3, 3)), np.zeros((3, 3))])
    prediction = truth.copy()
    prediction[1] = 1e-9
    assert sam(prediction, truth, np.ones((3, 3), bool)).value == pytest.approx(np.degrees(1e-9), rel=1e-9)


def test_ergas_worked_by_hand() -> None:
    truth = np.stack([np.full((2, 2), 0.1), np.full((2, 2), 0.4), np.full((2, 2), np.nan)])
    prediction = truth + np.array([0.01, 0.08, 5])[:, None, None]
    mask = np.array([[True, True], [True, False]])
    expected = 100 / 3 * np.sqrt((0.1**2 + 0.2**2) / 2)
    assert ergas(prediction, truth, mask) == (pytest.approx(expected), 6)
    assert ergas(prediction, truth, mask, ratio=1).value == pytest.approx(3 * expected)
    assert ergas(prediction, truth * [[[1]], [[0]], [[1]]], mask).value == np.inf


def test_spectral_scores_agree_with_torchmetrics() -> None:
    oracle = torchmetrics()
    prediction, truth = images()
    p, t = batch(prediction), batch(truth)
    mask = everywhere(truth)
    assert sam(prediction, truth, mask).value == pytest.approx(np.degrees(oracle.spectral_angle_mapper(p, t).item()))
    expected = oracle.error_relative_global_dimensionless_synthesis(p, t, ratio=3).item()
    assert ergas(prediction, truth, mask).value == pytest.approx(expected)


def test_indices_worked_by_hand() -> None:
    image = np.full((6, 1, 3), 0.5)
    image[:, 0, 0] = [9, 9, 0.1, 0.3, 0.2, 0.6]
    image[:, 0, 1] = [9, 9, -0.1, 0.3, 0.3, -0.2]
    image[:, 0, 2] = [9, 9, 0.0, -0.1, 0.1, np.nan]
    np.testing.assert_allclose(normalised_difference(image, "ndvi"), [[0.5, 1, np.nan]])
    np.testing.assert_allclose(normalised_difference(image, "ndwi"), [[0.2, 0, -1]])
    np.testing.assert_allclose(normalised_difference(image, "nbr"), [[-1 / 3, 1, np.nan]])


def test_errors_of_indices_are_those_of_the_index_images() -> None:
    prediction, truth = images()
    mask = np.ones(truth.shape, bool)
    mask[BAND_NAMES.index("red"), :5] = False
    scores = index_scores(prediction, truth, mask)
    assert [scores[name].rmse.n for name in ("ndvi", "ndwi", "nbr")] == [19 * 27, 24 * 27, 24 * 27]
    for name, a, b, rows in (("ndvi", 3, 2, 5), ("ndwi", 3, 4, 0), ("nbr", 3, 5, 0)):
        p, t = (
            (x[a] - x[b]) / (x[a] + x[b]) for x in (prediction[:, rows:].astype(float), truth[:, rows:].astype(float))
        )
        assert scores[name].rmse.value == pytest.approx(np.sqrt(np.mean((p - t) ** 2)))
        assert scores[name].bias.value == pytest.approx(np.mean(p - t))
        assert scores[name].correlation.value == pytest.approx(stats.pearsonr(p.ravel(), t.ravel())[0])


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (-1, 1), (0, -1), (1, 1)])
def test_a_shift_of_one_pixel_is_found_and_forgiven(shift: tuple[int, int]) -> None:
    _, truth = images()
    prediction = np.roll(truth, [-s for s in shift], axis=(1, 2)) + np.float32(0.01)
    score, found = shifted_rmse(prediction, truth, everywhere(truth))
    assert found == shift
    assert score == (pytest.approx(0.01, rel=1e-4), 6 * 22 * 25)


def test_no_shift_wins_a_tie_and_tiny_images_have_no_inside() -> None:
    flat = np.zeros((5, 5))
    assert shifted_rmse(flat + 0.1, flat, flat == 0) == ((pytest.approx(0.1), 9), (0, 0))
    for size in (1, 2):
        assert shifted_rmse(flat[:size], flat[:size], flat[:size] == 0).rmse.n == 0


def test_one_lost_pixel_takes_its_neighbourhood_from_every_shift() -> None:
    prediction, truth = images(shape=(9, 9))
    mask = everywhere(truth)
    mask[4, 4] = False
    assert shifted_rmse(prediction, truth, mask).rmse.n == 7 * 7 - 9
