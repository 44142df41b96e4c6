import time
from functools import cache

import numpy as np
import pytest

from l8s2.simulate.drawing import Parcel, cast_shadow, distance_to_curve, divide, moved, smooth_noise
from l8s2.simulate.landscape import Landscape, landscape
from l8s2.simulate.sensor import Conditions, observe


@cache
def scene() -> Landscape:
    return landscape(3, (150, 150))


def test_shapes_types_and_range():
    truth, *masks = landscape(0, (20, 27))  # odd numbers of 20 m pixels too
    assert truth.shape == (6, 60, 81)
    assert truth.dtype == np.float32
    assert all(mask.shape == (60, 81) and mask.dtype == bool for mask in masks)
    truth = scene().truth
    assert np.isfinite(truth).all()
    assert truth.min() > -0.02  # the 20 m bands ring a little beside clouds
    assert truth.max() < 1


def test_the_seed_decides():
    first, again, other = (landscape(seed, (30, 30)) for seed in (5, 5, 6))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.truth, other.truth)


@pytest.mark.parametrize("seed", range(4))
def test_every_seed_shows_all_there_is(seed):
    _, cloud, shadow, water = landscape(seed, (100, 120))
    assert 0.002 < cloud.mean() < 0.12
    assert 0.01 < water.mean() < 0.15
    assert shadow.any()
    assert not (cloud & shadow).any()


def test_spectra_are_those_of_what_is_there():
    truth, cloud, shadow, water = scene()
    blue, _, red, nir, swir16, _ = truth
    clear = ~(cloud | shadow)
    ndvi = (nir - red) / (nir + red)
    assert np.median(ndvi[clear & ~water]) > 0.4
    assert np.median(nir[water & clear]) < 0.04
    assert np.median(swir16[water & clear]) < 0.03
    assert np.percentile(nir[clear & ~water], 95) > 0.3
    assert np.percentile(blue[cloud], 90) > 0.5
    assert truth[:, shadow].mean() < 0.75 * truth[:, clear].mean()


def detail(band: np.ndarray) -> float:
    """Share of the spectrum's power at more than 0.25 cycles per 10 m pixel, what 20 m pixels cannot hold."""
    window = np.hanning(band.shape[0])[:, None] * np.hanning(band.shape[1])
    power = np.abs(np.fft.fft2((band - band.mean()) * window)) ** 2
    fine = [np.abs(np.fft.fftfreq(n)) > 0.27 for n in band.shape]
    return float(power[fine[0][:, None] | fine[1]].sum() / power.sum())


def test_only_the_10_m_bands_hold_10_m_detail():
    shares = [detail(band) for band in scene().truth.astype(float)]
    assert min(shares[:3]) > 30 * max(shares[3:])


def test_it_is_drawn_in_seconds():
    def took() -> float:
        start = time.process_time()
        landscape(1, (150, 150))
        return time.process_time() - start

    assert min(took() for _ in range(2)) < 5  # 1.2 s on a laptop core; room for slow machines


def test_landsat_can_look_at_it():
    seen = observe(landscape(2, (20, 24)).truth, Conditions(), np.random.default_rng(0))
    assert seen.ms.shape == (6, 20, 24)
    assert np.isfinite(seen.ms).all()


def test_noise_is_standard():
    noise = smooth_noise(np.random.default_rng(0), (600, 500), 6.0)
    assert noise.shape == (600, 500)
    assert noise.mean() == pytest.approx(0, abs=0.05)
    assert noise.std() == pytest.approx(1, abs=0.05)
    assert np.abs(np.diff(noise, axis=0)).max() < 1


def test_cutting_land_loses_none_of_it():
    square = Parcel(np.array([[0, 0], [900, 0], [900, 900], [0, 900]], float), np.zeros(4))
    parcels = list(divide(np.random.default_rng(1), square, 20_000, (5.0, 2.0, 1.0)))
    assert len(parcels) > 15
    assert sum(parcel.area for parcel in parcels) == pytest.approx(900**2)
    points = np.random.default_rng(2).uniform(0, 900, (500, 2))
    owners = np.zeros(500, int)
    for parcel in parcels:
        normals, offsets, _ = parcel.edges()
        owners += (points @ normals.T > offsets).all(axis=1)
    np.testing.assert_array_equal(owners, 1)


@pytest.mark.parametrize("turn", [0.0, 0.3, 1.1, 2.5])
def test_rounding_does_not_choose_how_a_square_is_cut(turn):
    """All axes of a square are principal ones; on another machine its corners may lie a last digit elsewhere."""
    angles = turn + np.arange(4) * np.pi / 2
    corners = 5000 + 3000 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    sides = (1, 1 + 1e-15, 1 - 1e-15)
    cut = [
        [p.corners for p in divide(np.random.default_rng(1), Parcel(corners * side, np.zeros(4)), 2e6, (4.0,))]
        for side in sides
    ]
    for other in cut[1:]:
        for a, b in zip(cut[0], other, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-9)


def test_distance_to_a_line():
    distance = distance_to_curve((20, 30), np.array([[5.0, 4.0], [25.0, 4.0]]), 3.0)
    assert distance[4, 5:26].max() == 0
    assert distance[7, 12] == 3
    assert distance[6, 26] == pytest.approx(5**0.5)
    assert np.isinf(distance[8, 12])


def test_shadow_falls_away_from_the_sun():
    height = np.zeros((21, 21), np.float32)
    height[10, 10] = 10
    dark = cast_shadow(height, pixel=2.5, elevation=45, azimuth=180)
    assert np.argwhere(dark).tolist() == [[7, 10], [8, 10], [9, 10]]
    dark = cast_shadow(height, pixel=2.5, elevation=45, azimuth=90)
    assert np.argwhere(dark).tolist() == [[10, 7], [10, 8], [10, 9]]


def test_moving_brings_in_nothing():
    image = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
    assert moved(image, 1, -1).tolist() == [[0, 0, 0], [2, 3, 0]]
    assert moved(image, -5, 0).tolist() == [[0, 0, 0], [0, 0, 0]]
