"""The c-factor against values worked by hand, symmetries, and published magnitudes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l8s2.datasets.brdf import PARAMETERS, c_factor, kernels, nbar
from l8s2.errors import InputError
from l8s2.sensors import BANDS

ZENITH = st.floats(0, 70)
AZIMUTH = st.floats(0, 360)


@pytest.mark.parametrize(
    ("sun", "view", "azimuth", "volume", "geometric"),
    [
        (0, 0, 0, 0.0, 0.0),
        # hot spot: phase 0, shadows hidden: K_vol = pi/4 (sec - 1), K_geo = sec^2 - sec
        (60, 60, 0, math.pi / 4, 4 - 2),
        (45, 45, 0, math.pi / 4 * (math.sqrt(2) - 1), 2 - math.sqrt(2)),
        # opposite to the sun at 45: phase 90 degrees, cos t = 2 * 2 / (2 sqrt 2) > 1, so no overlap
        (45, 45, 180, 1 / math.sqrt(2) - math.pi / 4, 1 - 2 * math.sqrt(2)),
        # nadir view, sun at 45: cos phase = 1 / sqrt 2, cos t = 2 / (1 + sqrt 2), t = 0.59450, overlap
        # (0.59450 - 0.56006 * 0.82843) 2.41421 / pi
        (45, 0, 0, (math.pi / 4 + 1) / (1 + math.sqrt(2)) - math.pi / 4, -1.10682),
        (45, 0, 137, (math.pi / 4 + 1) / (1 + math.sqrt(2)) - math.pi / 4, -1.10682),
    ],
)  # fmt: skip
def test_kernels_by_hand(sun: float, view: float, azimuth: float, volume: float, geometric: float) -> None:
    found = kernels(sun, view, azimuth)
    assert found == pytest.approx((volume, geometric), abs=1e-4)


@given(ZENITH, ZENITH, AZIMUTH)
def test_kernels_are_reciprocal_and_mirror_symmetric(sun: float, view: float, azimuth: float) -> None:
    expected = kernels(sun, view, azimuth)
    for other in ((view, sun, azimuth), (sun, view, -azimuth), (sun, view, azimuth + 360)):
        assert kernels(*other) == pytest.approx(expected, abs=1e-9)


@given(ZENITH, AZIMUTH)
def test_nothing_changes_at_nadir(sun: float, azimuth: float) -> None:
    np.testing.assert_array_equal(c_factor(sun, 0.0, azimuth), c_factor(sun, 0.0, 0.0))
    np.testing.assert_allclose(c_factor(sun, 0.0, azimuth), 1, atol=1e-12)
    np.testing.assert_allclose(c_factor(sun, 0.0, azimuth, sun), 1, atol=1e-12)


@given(ZENITH, st.floats(0, 12), AZIMUTH, ZENITH)
def test_there_and_back_is_no_change(sun: float, view: float, azimuth: float, wanted: float) -> None:
    """To another sun and from there, both at nadir; and view and sun corrected at once or one after the other."""
    np.testing.assert_allclose(c_factor(sun, 0, 0, wanted) * c_factor(wanted, 0, 0, sun), 1, rtol=1e-9)
    step = c_factor(sun, view, azimuth) * c_factor(sun, 0, 0, wanted)
    np.testing.assert_allclose(c_factor(sun, view, azimuth, wanted), step, rtol=1e-9)


def test_magnitudes_are_those_published() -> None:
    """Backscatter is brighter and is darkened; within the swath of Landsat by a few per cent (Roy et al. 2016)."""
    backward, forward = c_factor(40, 7.5, 0), c_factor(40, 7.5, 180)
    assert (backward < 1).all()
    assert (forward > 1).all()
    assert (abs(np.concatenate([backward, forward]) - 1) < 0.09).all()
    assert (abs(np.concatenate([backward, forward]) - 1) > 0.01).all()


def test_parameters_are_in_the_order_of_the_bands() -> None:
    assert [f[0] for f in PARAMETERS] == [0.0774, 0.1306, 0.1690, 0.3093, 0.3430, 0.2658]
    assert len(PARAMETERS) == len(BANDS)
    assert all(iso > volume > geometric for iso, volume, geometric in PARAMETERS)


def test_red_by_hand() -> None:
    """Sun at 45, seen from 45 opposite, wanted at nadir: (0.1690 + 0.0574 K_vol + 0.0227 K_geo) above and below."""
    nadir = 0.1690 + 0.0574 * -0.04591 + 0.0227 * -1.10682
    slant = 0.1690 + 0.0574 * -0.07829 + 0.0227 * -1.82843
    assert c_factor(45, 45, 180)[2] == pytest.approx(nadir / slant, abs=1e-4)


def test_angles_of_every_pixel() -> None:
    sun, view = np.full((3, 4), 35.0), np.linspace(0, 10, 12).reshape(3, 4)
    view[2, 3] = np.nan
    factor = c_factor(sun, view, 120.0)
    assert factor.shape == (6, 3, 4)
    assert np.isnan(factor[:, 2, 3]).all()
    assert np.isfinite(factor).sum() == 6 * 11
    reflectance = np.full((6, 3, 4), 0.2, np.float32)
    assert nbar(reflectance, factor).dtype == np.float32
    np.testing.assert_allclose(nbar(reflectance, factor), 0.2 * factor, rtol=1e-6)
    np.testing.assert_allclose(nbar(reflectance, factor[:, 0, 0]), reflectance, rtol=1e-6)


@pytest.mark.parametrize(
    ("angles", "says"),
    [((80.5, 5, 0), "^sun zenith 80.5"), ((30, -1, 0), "^view zenith -1 "), ((30, 5, 0, 90), "^wanted sun zenith 90 ")],
)  # fmt: skip
def test_angles_beyond_the_model_are_refused(angles: tuple[float, ...], says: str) -> None:
    with pytest.raises(InputError, match=says + r".*holds from 0 to 80$") as caught:
        c_factor(*angles)
    assert "\n" not in str(caught.value)
