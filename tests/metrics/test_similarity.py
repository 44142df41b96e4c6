"""Masks, counts and ideal values of these scores are tested in ``test_metrics`` with all the others."""

import numpy as np
import pytest
import skimage.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from l8s2.metrics.similarity import ssim, uiqi
from making.oracles import batch, torchmetrics

pytestmark = pytest.mark.filterwarnings("error")


def images(seed: int = 0, shape: tuple[int, ...] = (2, 30, 33)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = ndimage.gaussian_filter(rng.random(shape), 1, axes=(-2, -1))
    return truth * 0.9 + 0.05 + 0.03 * rng.standard_normal(shape), truth


def map_of_wang(x: np.ndarray, y: np.ndarray, data_range: float) -> np.ndarray:
    """scikit-image's SSIM of every pixel whose window is inside the image."""
    _, full = skimage.metrics.structural_similarity(
        x, y, data_range=data_range, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    return full[5:-5, 5:-5]


@pytest.mark.parametrize("data_range", [1.0, 0.3])
def test_ssim_agrees_with_scikit_image(data_range: float) -> None:
    prediction, truth = images()
    expected = np.mean([map_of_wang(x, y, data_range) for x, y in zip(prediction, truth, strict=True)])
    score = ssim(prediction, truth, np.ones((30, 33), bool), data_range=data_range)
    assert score == (pytest.approx(expected, abs=1e-12), 2 * 20 * 23)
    assert 0.3 < score.value < 0.98


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_only_windows_without_an_unusable_pixel_count(seed: int) -> None:
    prediction, truth = images(seed)
    mask = np.random.default_rng(seed).random((30, 33)) > 0.003
    whole = ndimage.binary_erosion(mask, np.ones((11, 11)))[5:-5, 5:-5]
    maps = [map_of_wang(x, y, 1)[whole] for x, y in zip(prediction, truth, strict=True)]
    score = ssim(prediction, truth, mask)
    assert score.n == 2 * whole.sum()
    if score.n:
        assert score.value == pytest.approx(np.mean(maps), abs=1e-12)


def test_ssim_agrees_with_torchmetrics_inside() -> None:
    oracle = torchmetrics()
    prediction, truth = images()
    _, full = oracle.structural_similarity_index_measure(
        batch(prediction), batch(truth), data_range=1.0, return_full_image=True
    )
    expected = full[..., 5:-5, 5:-5].mean().item()
    assert ssim(prediction, truth, np.ones((30, 33), bool)).value == pytest.approx(expected, abs=1e-9)


def test_uiqi_is_ssim_without_constants_in_a_square_window() -> None:
    prediction, truth = images()
    expected = []
    for x, y in zip(prediction, truth, strict=True):
        _, full = skimage.metrics.structural_similarity(x, y, data_range=1, win_size=7, K1=0, K2=0, full=True)
        expected.append(full[3:-3, 3:-3])
    assert uiqi(prediction, truth, np.ones((30, 33), bool), window=7) == (
        pytest.approx(np.mean(expected), abs=1e-9),
        2 * 24 * 27,
    )


def test_uiqi_is_the_formula_of_wang_and_bovik_in_every_window_of_eight() -> None:
    prediction, truth = images(shape=(11, 12))
    values = []
    for row in range(4):
        for column in range(5):
            x, y = (a[row : row + 8, column : column + 8].ravel() for a in (prediction, truth))
            covariance = np.cov(x, y)
            values.append(4 * covariance[0, 1] * x.mean() * y.mean())
            values[-1] /= np.trace(covariance) * (x.mean() ** 2 + y.mean() ** 2)
    assert uiqi(prediction, truth, np.ones((11, 12), bool)) == (pytest.approx(np.mean(values)), 20)


def test_uiqi_of_flat_windows() -> None:
    mask = np.ones((8, 8), bool)
    flat, rough = np.full((8, 8), 0.1), 0.1 + 0.01 * np.random.default_rng(3).standard_normal((8, 8))
    assert uiqi(3 * flat, flat, mask).value == pytest.approx(2 * 3 / 10)  # luminance alone
    assert uiqi(rough, flat, mask).value == pytest.approx(0, abs=1e-12)
    assert uiqi(0 * flat, 0 * flat, mask).value == 1
    assert uiqi(-rough, rough, mask).value == pytest.approx(1)  # -1 in luminance times -1 in structure


def test_an_image_smaller_than_the_window_has_no_score() -> None:
    prediction, truth = images(shape=(10, 40))
    assert ssim(prediction, truth, np.ones((10, 40), bool)).n == 0
    assert uiqi(prediction, truth, np.ones((10, 40), bool)).n == 3 * 33
