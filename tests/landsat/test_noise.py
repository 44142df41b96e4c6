"""Noise measured on flat ground, against noise that is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from l8s2.landsat.clear_windows import ClearWindow
from l8s2.landsat.noise import SIDE, measure_noise, residuals, unrelated
from l8s2.sensors import BANDS, OLI
from l8s2.simulate import Conditions, Observation, RawGrid, observe
from l8s2.simulate.landscape import landscape

TURNED = RawGrid(rotation=11.0, spacing=(0.99, 1.01), phase=(0.3, 0.8))
FIELDS = landscape(3, (90, 100)).truth
DESERT = np.array([0.1, 0.15, 0.2, 0.25, 0.3, 0.28], np.float32)[:, None, None]
SEA = np.array([0.07, 0.06, 0.045, 0.01, 0.005, 0.004], np.float32)[:, None, None]


def half_flat(level: np.ndarray) -> np.ndarray:
    """Fields on the left; on the right ground that changes only slowly, 10 % from end to end."""
    truth = FIELDS.copy()
    across = np.linspace(0, np.pi, truth.shape[2] // 2, dtype=np.float32)
    truth[:, :, -len(across) :] = level * (1 + 0.1 * np.sin(across))
    return truth


def window(observation: Observation) -> ClearWindow:
    shape = observation.ms.shape[1:]
    return ClearWindow(ms=observation.ms, pan=observation.pan, clear=np.ones(shape, bool))


@pytest.mark.parametrize("level", [DESERT, SEA], ids=["desert", "sea"])
@pytest.mark.parametrize("grid", [None, TURNED], ids=["tidy", "untidy"])
@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_known_noise_is_found(level: np.ndarray, grid: RawGrid | None, factor: float) -> None:
    """Within 10 %, the reference being the difference of two observations with and without noise."""
    conditions, truth = Conditions(noise=factor, raw_grid=grid), half_flat(level)
    noisy, clean = (observe(truth, c, np.random.default_rng(8)) for c in (conditions, replace(conditions, noise=0.0)))
    found = measure_noise([window(noisy)])
    assert found["windows"] > 100
    flat = np.s_[..., 60:-5]
    for i, band in enumerate(BANDS):
        noise = found["bands"][band.name]
        assert noise["std"] == pytest.approx((noisy.ms - clean.ms)[i][flat].std(), rel=0.1)
        assert noise["reflectance"] == pytest.approx(np.median(clean.ms[i][flat]), rel=0.03)
    pan = np.s_[..., 120:-10]
    assert found["bands"]["pan"]["std"] == pytest.approx((noisy.pan - clean.pan)[pan].std(), rel=0.1)


def test_the_ratio_to_what_is_documented() -> None:
    """Whatever the brightness, for a tidy sensor on ground no darker than typical; resampling takes a fifth away."""
    for level in (DESERT, 0.5 * DESERT):
        for grid, share in ((None, 1.0), (TURNED, 0.81)):
            seen = observe(half_flat(level), Conditions(noise=2.0, raw_grid=grid), np.random.default_rng(0))
            bands = measure_noise([window(seen)])["bands"]
            ratios = [bands[band.name]["documented_snr"] / bands[band.name]["snr"] for band in BANDS]
            assert ratios == pytest.approx([2.0 * share] * 6, rel=0.2)
            assert bands["blue"]["documented_snr"] == 360
            assert bands["pan"]["documented_snr"] == OLI.pan_snr


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "good"), (2.4, "good"), (3.8, "doubtful")])
def test_more_noise_than_the_networks_were_tried_with_is_doubtful(factor: float, verdict: str) -> None:
    seen = observe(half_flat(DESERT), Conditions(noise=factor), np.random.default_rng(1))
    assert measure_noise([window(seen)])["verdict"] == verdict


def test_structure_is_not_taken_for_noise() -> None:
    seen = window(observe(FIELDS, Conditions(noise=1.0), np.random.default_rng(2)))
    assert measure_noise([seen]) == {
        "verdict": "unknown",
        "reason": "no ground is flat enough to tell noise from structure",
    }
    for still in (np.full_like(seen.ms, 0.1), np.full_like(seen.ms, np.nan)):
        assert measure_noise([ClearWindow(ms=still, pan=None, clear=seen.clear)])["verdict"] == "unknown"


def test_what_is_missing_or_cloudy_does_not_count() -> None:
    seen = window(observe(half_flat(SEA), Conditions(noise=1.0), np.random.default_rng(3)))
    whole = measure_noise([seen])
    clear, ms, pan = seen.clear.copy(), seen.ms.copy(), seen.pan.copy()
    clear[:40] = False
    ms[:, :40] += np.random.default_rng(0).normal(0, 0.01, ms[:, :40].shape)
    ms[2, 60:] = np.nan
    pan[120:] = np.nan
    part = measure_noise([ClearWindow(ms=ms, pan=pan, clear=clear)])
    assert 20 < part["windows"] < whole["windows"] / 3
    for name, noise in part["bands"].items():
        assert noise["std"] == pytest.approx(whole["bands"][name]["std"], rel=0.15)
    without = measure_noise([ClearWindow(ms=ms, pan=None, clear=clear)])
    assert "pan" not in without["bands"]


def test_residuals_are_those_of_least_squares() -> None:
    images = np.random.default_rng(0).normal(0.2, 0.1, (2, 13, 11))
    found = residuals(images)
    y, x = (v.ravel() for v in np.mgrid[:SIDE, :SIDE])
    surface = np.stack([np.ones(SIDE**2), x, y, x * x, x * y, y * y], 1)
    for r in range(2):
        for c in range(2):
            pixels = images[:, 5 * r : 5 * r + 5, 5 * c : 5 * c + 5].reshape(2, -1)
            left = pixels.T - surface @ np.linalg.lstsq(surface, pixels.T, rcond=None)[0]
            np.testing.assert_allclose(found.covariance[r, c], left.T @ left / 19, rtol=1e-6, atol=1e-12)
            np.testing.assert_allclose(found.mean[r, c], pixels.mean(1))
    assert found.mean.shape == (2, 2, 2)


def test_bartletts_statistic_keeps_95_percent_of_unrelated_bands() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((8000, 6, 19)) * np.array([1, 2, 3, 4, 5, 600])[:, None]
    assert unrelated(noise @ noise.swapaxes(1, 2)).mean() == pytest.approx(0.95, abs=0.02)
    ground = noise + 3 * rng.standard_normal((8000, 1, 19)) * np.array([1, 2, 3, 4, 5, 600])[:, None]
    assert not unrelated(ground @ ground.swapaxes(1, 2)).any()
    assert chi2.ppf(0.95, 15) == pytest.approx(25.0, abs=0.01)
