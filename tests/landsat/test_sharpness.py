"""Blur between pan and the visible bands, against blur that is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from l8s2.landsat.clear_windows import ClearWindow
from l8s2.landsat.pan_shift import measure_pan_shift
from l8s2.landsat.sharpness import measure_sharpness, relative_blur
from l8s2.sensors import VISIBLE
from l8s2.simulate import Conditions, RawGrid, observe
from l8s2.simulate.landscape import landscape

FIELDS = landscape(5, (80, 90)).truth
TURNED = RawGrid(rotation=11.0, spacing=(0.99, 1.01), phase=(0.3, 0.8))
RESAMPLING = 10.0
"""What cubic convolution on a turned grid adds to the blur of the 30 m bands against pan, metres."""


def look(truth: np.ndarray = FIELDS, seed: int = 0, **conditions: Any) -> ClearWindow:
    seen = observe(truth, Conditions(**conditions), np.random.default_rng(seed))
    return ClearWindow(ms=seen.ms, pan=seen.pan, clear=np.ones(seen.ms.shape[1:], bool))


def measured(window: ClearWindow) -> dict[str, Any]:
    return measure_sharpness([window], measure_pan_shift([window]))


@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0])
@pytest.mark.parametrize(("band", "pan"), [(11.6, 5.5), (14.8, 7.4), (14.8, 5.5), (16.5, 7.4), (19.0, 8.0)])
def test_a_known_blur_is_found(band: float, pan: float, noise: float) -> None:
    window = look(psf_sigma=(band,) * 6, pan_psf_sigma=pan, noise=noise, pan_gain=0.7, pan_offset=0.05)
    assert measured(window)["blur_m"] == pytest.approx(np.sqrt(band**2 - pan**2), rel=0.06)


@pytest.mark.parametrize(("band", "pan"), [(9.0, 4.5), (11.0, 5.0), (14.8, 7.4)])
def test_resampling_of_the_product_counts_as_blur(band: float, pan: float) -> None:
    window = look(psf_sigma=(band,) * 6, pan_psf_sigma=pan, noise=1.0, raw_grid=TURNED)
    assert measured(window)["blur_m"] == pytest.approx(np.sqrt(band**2 - pan**2 + RESAMPLING**2), rel=0.06)


def test_other_weights_bands_apart_and_a_shift_of_pan_do_no_harm() -> None:
    window = look(noise=1.0, pan_weights=(0.05, 0.25, 0.7), pan_nir=0.03, pan_shift=(9.0, -6.0), platform="S2B")
    found = measured(window)
    assert found["blur_m"] == pytest.approx(12.8, rel=0.05)
    assert found["psf_sigma_m"] == pytest.approx(14.8, rel=0.05)
    assert found["mtf_nyquist"] == pytest.approx(0.30, abs=0.03)
    assert found["explained"] > 0.95


def test_what_one_block_says_of_itself() -> None:
    window = look(noise=2.0)
    assert window.pan is not None
    blur = relative_blur(window.ms[VISIBLE], window.pan, window.clear)
    assert blur is not None
    assert abs(blur.sigma - 12.8) < 0.5
    assert 0 < blur.error < 0.5
    assert relative_blur(window.ms[VISIBLE], window.pan, np.zeros_like(window.clear)) is None


@pytest.mark.parametrize(("sigma", "verdict"), [(11.0, "doubtful"), (13.5, "good"), (14.8, "good"), (19.5, "doubtful")])
def test_sharpness_that_the_networks_do_not_know_is_doubtful(sigma: float, verdict: str) -> None:
    assert measured(look(psf_sigma=(sigma,) * 6, noise=1.0))["verdict"] == verdict


def test_pan_as_blurred_as_the_bands_is_doubtful() -> None:
    found = measured(look(pan_psf_sigma=14.8, noise=1.0))
    assert found["verdict"] == "doubtful"
    assert found["blur_m"] <= 4


def test_clouds_and_fill_are_left_out() -> None:
    window = look(noise=1.0)
    assert window.pan is not None
    ms, pan, clear = window.ms.copy(), window.pan.copy(), window.clear.copy()
    ms[:, 10:30, 10:40] = 0.4
    pan[26:66, 24:88] = 0.4
    clear[8:35, 8:46] = False
    ms[0, :, 80:] = np.nan
    pan[140:] = np.nan
    found = measured(ClearWindow(ms=ms, pan=pan, clear=clear))
    assert found["blur_m"] == pytest.approx(12.8, rel=0.05)


def test_where_nothing_can_be_compared_nothing_is_claimed() -> None:
    rng = np.random.default_rng(0)
    window = look(noise=1.0)
    assert window.pan is not None
    stranger = ClearWindow(ms=window.ms, pan=rng.normal(0.1, 0.02, window.pan.shape).astype("f4"), clear=window.clear)
    known = {"down_m": 0.0, "right_m": 0.0, "length_m": 0.0}
    for windows in ([], [stranger], [ClearWindow(ms=window.ms, pan=None, clear=window.clear)]):
        assert measure_sharpness(windows, known) == {
            "verdict": "unknown",
            "reason": "no ground whose fine structure pan and the visible bands share",
        }
    unknown = {"verdict": "unknown", "reason": "no clear, textured ground under pan"}
    assert measure_sharpness([window], unknown) == unknown
