import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from l8s2.evaluation.baselines import bicubic
from l8s2.metrics import no_reference
from l8s2.metrics.no_reference import consistency, pan_correlation, qnr
from l8s2.metrics.scores import Score
from l8s2.optics import resample
from l8s2.sensors import BANDS, OLI
from l8s2.simulate import Conditions, observe
from making.oracles import batch, torchmetrics

pytestmark = pytest.mark.filterwarnings("error")

SIZE = (20, 22)
EVERYWHERE = np.ones(SIZE, bool)


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth at 10 m and what a nominal, noiseless sensor makes of it: ms, pan."""
    rng = np.random.default_rng(seed)
    shared = ndimage.gaussian_filter(rng.standard_normal((60, 66)), 1.5)
    own = ndimage.gaussian_filter(rng.standard_normal((6, 60, 66)), 1.5, axes=(-2, -1))
    truth = (0.2 + 0.1 * shared + 0.05 * own).astype(np.float32)
    seen = observe(truth, Conditions(), rng)
    return truth, seen.ms, seen.pan


def seen_by_oli(fine: np.ndarray, band) -> np.ndarray:
    """A Gaussian summed over every 10 m pixel, at the corner (0.5, 0.5) of each block of 3 x 3."""
    a, b = band.band_pass["S2A"]
    sigma = np.sqrt(band.oli_psf_sigma**2 - band.msi_psf_sigma**2) / 10
    down, right = (
        np.exp(-0.5 * ((np.arange(n)[None] - 3 * np.arange(n // 3)[:, None] - 0.5) / sigma) ** 2) for n in fine.shape
    )
    weights = down.sum(1)[:, None] * right.sum(1)
    return (down @ (fine.astype(float) * a + b) @ right.T) / weights


def test_truth_is_consistent_with_what_was_seen_of_it() -> None:
    truth, ms, _ = scene()
    scores = consistency(truth, ms, EVERYWHERE)
    assert len(scores) == 6
    for score in scores:
        assert score == (pytest.approx(0, abs=1e-6), (20 - 6) * (22 - 6))


def test_consistency_is_the_rms_against_a_gaussian_written_out() -> None:
    truth, ms, _ = scene()
    prediction = (truth + 0.02 * np.random.default_rng(1).standard_normal(truth.shape)).astype(np.float32)
    inner = (slice(3, -3), slice(3, -3))
    for score, band, fine, coarse in zip(consistency(prediction, ms, EVERYWHERE), BANDS, prediction, ms, strict=True):
        difference = (seen_by_oli(fine, band) - coarse)[inner]
        assert score.value == pytest.approx(np.sqrt(np.mean(difference**2)), rel=1e-3)


def test_a_lost_pixel_takes_its_neighbourhood_in_all_bands() -> None:
    truth, ms, pan = scene()
    expected = 14 * 16 - 49
    for which in ("mask", "ms", "prediction"):
        mask, coarse, fine = EVERYWHERE.copy(), ms.copy(), truth.copy()
        if which == "mask":
            mask[10, 11] = False
        elif which == "ms":
            coarse[4, 10, 11] = np.nan
        else:
            fine[4, 32, 33] = np.inf  # the last row and first column of the block of (10, 11)
        assert [score.n for score in consistency(fine, coarse, mask)] == [expected] * 6
    mask = EVERYWHERE.copy()
    mask[10, 11] = False
    assert pan_correlation(truth, pan, mask).n == 4 * (20 * 22 - 1)
    assert qnr(truth, ms, pan, mask).qnr.n == 13 * 15 - 8 * 8


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from([np.nan, np.inf, -np.inf, 1e9, -1e9]))
def test_garbage_under_the_mask_changes_nothing(seed: int, garbage: float) -> None:
    truth, ms, pan = scene(seed)
    rng = np.random.default_rng(seed)
    mask = EVERYWHERE.copy()
    mask[rng.integers(20), rng.integers(22)] = False
    mask[:2, :1] = False
    fine, coarse, sharp = (
        np.where(mask.repeat(k, 0).repeat(k, 1), x, np.float32(garbage)) for k, x in ((3, truth), (1, ms), (2, pan))
    )
    assert consistency(fine, coarse, mask) == consistency(truth, ms, mask)
    assert pan_correlation(fine, sharp, mask) == pan_correlation(truth, pan, mask)
    expected = qnr(truth, ms, pan, mask)
    assert expected.qnr.n > 0
    assert qnr(fine, coarse, sharp, mask) == expected
    if not np.isfinite(garbage):
        assert consistency(fine, ms, EVERYWHERE) == consistency(truth, ms, mask)
        assert pan_correlation(truth, sharp, EVERYWHERE) == pan_correlation(truth, pan, mask)
        assert qnr(truth, coarse, pan, EVERYWHERE) == expected


def test_nothing_usable() -> None:
    truth, ms, pan = scene()
    for score in (*consistency(truth, ms, ~EVERYWHERE), pan_correlation(truth, pan, ~EVERYWHERE)):
        assert (np.isnan(score.value), score.n) == (True, 0)
    for score in qnr(truth, ms, pan, ~EVERYWHERE):
        assert (np.isnan(score.value), score.n) == (True, 0)


def waves(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Periods of 50 to 90 m at positions in 10 m pixels."""
    return 0.3 + 0.1 * np.sin(1.1 * down)[:, None] * np.cos(0.9 * right) + 0.05 * np.cos(0.7 * right)


def test_pan_and_output_are_compared_where_pan_was_sampled() -> None:
    fine = waves(np.arange(60), np.arange(66)).astype(np.float32)
    at = [1.5 * np.arange(2 * n) + 0.5 for n in SIZE]
    mask = EVERYWHERE.copy()
    mask[:3] = mask[-3:] = mask[:, :3] = mask[:, -3:] = False  # beyond the border the last pixel repeats
    prediction = np.stack([fine] * 6)
    score = pan_correlation(prediction, 0.7 * waves(*at).astype(np.float32) + 0.2, mask)
    assert score == (pytest.approx(1, abs=1e-3), 4 * 14 * 16)
    for late in (0.5, 1.5):
        shifted = waves(at[0] + late, at[1]).astype(np.float32)
        assert pan_correlation(prediction, shifted, mask).value < 0.95
    assert pan_correlation(prediction, -waves(*at).astype(np.float32), mask).value == pytest.approx(-1, abs=1e-3)


def test_pan_sees_blue_green_and_red_by_their_weights() -> None:
    truth, _, pan = scene()
    truth[3:] = np.nan
    assert pan_correlation(truth, pan, EVERYWHERE).value > 0.95
    at = [1.5 * np.arange(2 * n) + 0.5 for n in SIZE]
    mixed = sum(w * x for w, x in zip(OLI.pan_weights, truth, strict=False))
    assert pan_correlation(truth, resample(mixed, *at, 0.0), EVERYWHERE).value == pytest.approx(1, abs=1e-5)


def test_bicubic_holds_less_of_pans_detail_than_the_truth() -> None:
    truth, ms, pan = scene()
    assert pan_correlation(bicubic(ms), pan, EVERYWHERE).value < pan_correlation(truth, pan, EVERYWHERE).value - 0.02
    assert qnr(truth, ms, pan, EVERYWHERE).qnr.value > qnr(bicubic(ms), ms, pan, EVERYWHERE).qnr.value + 0.02


def as_oli(prediction: np.ndarray) -> np.ndarray:
    a, b = np.array([band.band_pass["S2A"] for band in BANDS[:3]]).T
    return prediction[:3] * a[:, None, None] + b[:, None, None]


def ideal() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three equal bands, pan one of them, and an input that is pan blurred."""
    shown = scene()[0][0].astype(float)
    a, b = np.array([band.band_pass["S2A"] for band in BANDS]).T
    prediction = (shown - b[:, None, None]) / a[:, None, None]
    pan = resample(shown, *(1.5 * np.arange(2 * n) + 0.5 for n in SIZE), 0.0)
    ms = resample(pan, *(2 * np.arange(n) for n in SIZE), np.sqrt(14.8**2 - 7.4**2) / 15)
    return prediction.astype(np.float32), np.stack([ms] * 6), pan


def test_qnr_of_a_product_without_distortion_is_one() -> None:
    score = qnr(*ideal(), EVERYWHERE)
    assert score.d_lambda == (pytest.approx(0, abs=1e-5), 13 * 15)
    assert score.d_s == (pytest.approx(0, abs=1e-5), 13 * 15)
    assert score.qnr.value == pytest.approx(1, abs=1e-5)


def test_qnr_sees_which_distortion_it_is() -> None:
    prediction, ms, pan = ideal()
    spectral = prediction.copy()
    spectral[1] = 0.3 - spectral[1]
    assert qnr(spectral, ms, pan, EVERYWHERE).d_lambda.value > 0.5
    spatial = ndimage.gaussian_filter(prediction, 3, axes=(-2, -1))
    score = qnr(spatial, ms, pan, EVERYWHERE)
    assert score.d_s.value > 0.1
    assert score.d_lambda.value < 0.01
    assert score.qnr.value == pytest.approx((1 - score.d_s.value) * (1 - score.d_lambda.value))


def test_distortions_are_put_together_as_in_torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its Q, which has a Gaussian window of one size in pixels, in the place of ours."""
    oracle = torchmetrics()
    truth, ms, pan = scene()
    prediction = (truth + 0.02 * np.random.default_rng(1).standard_normal(truth.shape)).astype(np.float32)

    def q(a: np.ndarray, b: np.ndarray, mask: np.ndarray, *, window: int) -> Score:
        assert mask.all()
        assert window == 8 * a.shape[0] // 20
        return Score(oracle.universal_image_quality_index(batch(a[None]), batch(b[None])).item(), a.size)

    monkeypatch.setattr(no_reference, "uiqi", q)
    score = qnr(prediction, ms, pan, EVERYWHERE)
    fine = as_oli(prediction)
    assert score.d_lambda.value == pytest.approx(
        oracle.spectral_distortion_index(batch(ms[:3]), batch(fine)).item(), rel=1e-4
    )
    at_pan = resample(fine, *(1.5 * np.arange(2 * n) + 0.5 for n in SIZE), 0.0)
    coarse_pan = resample(pan, *(2 * np.arange(n) for n in SIZE), np.sqrt(14.8**2 - 7.4**2) / 15)
    expected = oracle.spatial_distortion_index(
        batch(at_pan), batch(ms[:3]), batch(np.stack([pan] * 3)), batch(np.stack([coarse_pan] * 3))
    )
    assert score.d_s.value == pytest.approx(expected.item(), rel=1e-4)
    assert min(score.d_lambda.value, score.d_s.value) > 0.001
