"""Measured shifts against images that were made with a known one, and images that have none."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2.optics import resample
from l8s2.pairs.as_oli import as_landsat
from l8s2.registration import ENOUGH, LARGEST_ERROR, SEARCH, Shift, measure_shift
from making.planted import REAL, filled, plant, real_bands

Image = NDArray[np.float32]
VISIBLE_AND_INFRARED = [2, 3, 4]


def waves(rows: Any, columns: Any, seed: int = 0) -> Image:
    """A sum of 80 plane waves of 5 to 40 pixels, known at any position."""
    rng = np.random.default_rng(seed)
    result = np.zeros(np.broadcast_shapes(rows.shape, columns.shape))
    for length, angle, phase in zip(
        rng.uniform(5, 40, 80), rng.uniform(0, np.pi, 80), rng.uniform(0, 6, 80), strict=True
    ):
        result += np.sqrt(length) * np.sin(
            2 * np.pi * (rows * np.sin(angle) + columns * np.cos(angle)) / length + phase
        )
    return (0.2 + 0.003 * result).astype(np.float32)


def pair(down: float, right: float, shape: tuple[int, int] = (90, 110), seed: int = 0) -> tuple[Image, Image]:
    """A reference, and an image whose content lies further down and right."""
    r, c = np.arange(shape[0])[:, None], np.arange(shape[1])[None]
    return waves(r, c, seed), waves(r - down, c - right, seed)


def noise(seed: int, shape: tuple[int, int] = (80, 80), sigma: float = 0.0) -> Image:
    image = np.random.default_rng(seed).normal(0.2, 0.02, shape).astype(np.float32)
    return resample(image, np.arange(shape[0]), np.arange(shape[1]), sigma) if sigma else image


def found(shift: Shift) -> tuple[float, float]:
    assert shift.reason == ""
    return shift.down, shift.right


@pytest.mark.parametrize(
    "down_right", [(0, 0), (0.5, 0), (0.25, -0.5), (-1.3, 0.8), (2.0, -3.0), (-3.6, 3.4), (5.4, 0)]
)
def test_a_known_shift_is_found(down_right: tuple[float, float]) -> None:
    shift = measure_shift(*pair(*down_right))
    assert found(shift) == pytest.approx(down_right, abs=0.005)
    assert shift.correlation > 0.999
    assert 6000 < shift.pixels < 90 * 110


@settings(max_examples=15)
@given(
    down=st.floats(-3, 3),
    right=st.floats(-3, 3),
    seed=st.integers(0, 99),
    gain=st.floats(0.3, 3),
    offset=st.floats(-0.3, 0.3),
)
def test_any_shift_is_found_whatever_gain_offset_and_holes(
    down: float, right: float, seed: int, gain: float, offset: float
) -> None:
    rng = np.random.default_rng(seed)
    reference, image = pair(down, right, (70, 64), seed)
    image = gain * (image + rng.normal(0, 0.001, image.shape)).astype(np.float32) + np.float32(offset)
    for x in (reference, image):
        row, column = rng.integers(0, 50, 2)
        x[row : row + 12, column : column + 12] = np.nan
    shift = measure_shift(reference, image)
    assert found(shift) == pytest.approx((down, right), abs=0.03)
    assert max(shift.down_error, shift.right_error) < 0.02


def test_exchanged_images_are_shifted_the_other_way() -> None:
    reference, image = pair(0.7, -1.2)
    image += noise(3, image.shape) * 0.05
    one, other = measure_shift(reference, image), measure_shift(image, reference)
    assert found(one) == pytest.approx([-v for v in found(other)], abs=0.01)


def test_fine_texture_far_away_is_found() -> None:
    """Several wave lengths: whole pixels must be searched first."""
    image = noise(8, (100, 120))
    assert found(measure_shift(image[5:95, 5:115], image[8:98, 1:111])) == pytest.approx((-3, 4), abs=0.02)


def test_gain_offset_and_noise_do_not_matter() -> None:
    rng = np.random.default_rng(5)
    reference, image = pair(0.4, -0.7)
    image = 0.5 * image - 0.3 + rng.normal(0, 0.002, image.shape).astype(np.float32)
    assert found(measure_shift(reference, image)) == pytest.approx((0.4, -0.7), abs=0.02)


def test_clouds_and_holes_are_left_out() -> None:
    reference, image = pair(0.4, -0.7)
    usable = np.ones(reference.shape, bool)
    usable[20:45, 30:70] = False
    image[20:45, 34:66] = 0.9  # a cloud that stands elsewhere in the other image
    reference[26:40, 30:62] = 0.9
    reference[70:75, 80:90] = np.nan
    image[10, 10] = np.inf
    assert found(measure_shift(reference, image, usable)) == pytest.approx((0.4, -0.7), abs=0.01)


def test_a_small_cloud_that_no_mask_knows_does_little_harm() -> None:
    reference, image = pair(0.4, -0.7)
    reference[20:28, 30:42] = 0.7
    image[50:60, 70:78] = 0.5
    assert found(measure_shift(reference, image)) == pytest.approx((0.4, -0.7), abs=0.03)


def test_bands_are_measured_together() -> None:
    """One has a gain of its own, one no contrast, one nothing in common."""
    reference, image = pair(0.4, -0.7)
    flat, one, other = np.full_like(image, 0.1), noise(1, image.shape), noise(2, image.shape)
    shift = measure_shift(np.stack([reference, flat, one]), np.stack([3 * image, flat, other]))
    assert found(shift) == pytest.approx((0.4, -0.7), abs=0.02)
    assert shift.correlation == pytest.approx(0.5, abs=0.05)


def test_errors_are_as_large_as_stated() -> None:
    deviations = []
    for seed in range(24):
        reference, image = pair(0.3, -0.4, (48, 48), seed)
        rng = np.random.default_rng(seed)
        grain = resample(rng.normal(0, 0.02, (48, 48)).astype(np.float32), np.arange(48), np.arange(48), 1.2)
        shift = measure_shift(reference, image + grain)
        down, right = found(shift)
        deviations += [(down - 0.3) / shift.down_error, (right + 0.4) / shift.right_error]
    assert 0.7 < np.sqrt(np.mean(np.square(deviations))) < 1.5
    assert np.mean(np.abs(deviations) < 2) > 0.85


def holes(image: Image, keep: slice) -> Image:
    result = np.full_like(image, np.nan)
    result[keep] = image[keep]
    return result


TEXTURE = pair(0, 0)[0]
ORCHARD = (0.2 + 0.05 * np.sin(np.arange(80) * 2 * np.pi / 5)[:, None] * np.sin(np.arange(80) * 2 * np.pi / 5)).astype(
    np.float32
)
FURROWS = np.broadcast_to(noise(2)[:, :1], (80, 80)).astype(np.float32)


@pytest.mark.parametrize(
    ("reference", "image", "reason"),
    [
        (np.full((60, 60), 0.3, np.float32),) * 2 + ("no contrast",),
        (np.full((60, 60), np.nan, np.float32),) * 2 + ("fewer than 400",),
        (np.full((1, 1), 0.3, np.float32),) * 2 + ("fewer than 400",),
        (np.zeros((3, 200), np.float32),) * 2 + ("fewer than 400",),
        (pair(0, 0, (22, 22))[0],) * 2 + ("fewer than 400",),
        (holes(TEXTURE, np.s_[:40]), holes(TEXTURE, np.s_[50:]), "fewer than 400"),
        (noise(0), noise(1), "look alike|beyond|away|no single"),
        (0.1 + noise(0) * 0.001, 0.1 + noise(1) * 0.001, "contrast|look alike|away|no single"),
        (noise(0, sigma=2), noise(1, sigma=2), "look alike|away|no single|error"),
        (ORCHARD, ORCHARD + 0.01 * noise(3), "repeats itself|away"),
        (FURROWS, FURROWS + 0.001 * noise(3), "error|single|repeats"),
        (*pair(9, 2), "6 pixels away|look alike"),
    ],
    ids=["flat", "unknown", "one pixel", "a strip", "too small", "no overlap", "unrelated", "water",
         "unrelated and smooth",
         "orchard", "furrows", "beyond the search"],
)  # fmt: skip
def test_what_cannot_be_known_is_not_claimed(
    reference: Image, image: Image, reason: str, recwarn: pytest.WarningsRecorder
) -> None:
    shift = measure_shift(reference, image.copy())
    assert any(word in shift.reason for word in reason.split("|")), shift
    assert "\n" not in shift.reason
    assert all(np.isnan(getattr(shift, f.name)) for f in fields(shift) if f.name not in ("pixels", "reason"))
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


def test_images_of_two_shapes_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="one shape"):
        measure_shift(np.zeros((40, 40), np.float32), np.zeros((40, 41), np.float32))


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 1.0, 2.5]), st.integers(26, 60))
def test_unrelated_images_never_have_a_shift(seed: int, sigma: float, side: int) -> None:
    assert measure_shift(noise(seed, (side, side), sigma), noise(seed + 10_000, (side, side), sigma)).reason


# Real imagery. MS pixels of 30 m throughout: 0.5 m, a twentieth of a 10 m pixel, is 1/60 of one.


@pytest.fixture(scope="module")
def windows(data: Path) -> dict[str, Image]:
    """A window of 48 MS pixels of each real place as OLI would see it, and of real Landsat scenes."""
    result = {}
    for name in REAL:
        if (data / "patches" / f"{name}.npz").exists():
            planted = plant(*real_bands(data, name), (0.0, 0.0), 0, side=48)
            result[name] = planted.ms[VISIBLE_AND_INFRARED]
    for path in sorted(data.glob("scenes/*_L2SP_*")):
        result[path.name] = landsat(path)[0][:, 20:68, 60:108]
    if not result:
        pytest.skip("no patches and no scenes in the folder that L8S2_TEST_DATA names")
    return result


def landsat(path: Path) -> tuple[Image, GeoBox]:
    bands = []
    for band in ("B4", "B5", "B6"):
        with rasterio.open(path / f"{path.name}_SR_{band}.TIF") as file:
            bands.append(np.where(file.read(1) > 0, file.read(1) * 2.75e-5 - 0.2, np.nan))
            box = GeoBox(file.shape, file.transform, str(file.crs))
    return np.stack(bands).astype(np.float32), box


@pytest.mark.parametrize("clouds", [0.0, 0.15])
def test_shifts_planted_in_real_imagery_are_found(data: Path, clouds: float) -> None:
    """0.1 to 3 pixels, two sharpnesses, noise, gains, offsets, clouds: found to 0.5 m, at worst to 1 m."""
    errors, deviations = [], []
    for seed, name in enumerate(REAL):
        rng = np.random.default_rng(seed)
        size = 10 ** rng.uniform(0, np.log10(90))  # metres: 0.1 pixel of 10 m to 3 of 30 m
        angle = rng.uniform(0, 2 * np.pi)
        shift = size * np.sin(angle), size * np.cos(angle)
        planted = plant(*real_bands(data, name), shift, seed, side=64, first=(12, 12), clouds=clouds)
        seen = as_landsat(planted.sentinel2, planted.box, bands=VISIBLE_AND_INFRARED)
        result = measure_shift(planted.ms[VISIBLE_AND_INFRARED], seen)
        down, right = found(result)
        error = down - shift[0] / 30, right - shift[1] / 30
        errors.append(30 * np.hypot(*error))
        deviations += [error[0] / result.down_error, error[1] / result.right_error]
    assert np.median(errors) < 0.1 + clouds
    assert max(errors) < (1.0 if clouds else 0.5)
    assert np.sqrt(np.mean(np.square(deviations))) < 2


def test_it_beats_upsampled_cross_correlation_on_real_imagery(data: Path) -> None:
    """Guizar-Sicairos, Thurman & Fienup 2008, as scikit-image has it, on the same high-passed and windowed images."""
    oracle = pytest.importorskip("skimage.registration").phase_cross_correlation
    window = np.hanning(64)[:, None] * np.hanning(64)
    ours, theirs = [], []
    for seed, name in enumerate(REAL):
        shift = np.random.default_rng(seed).uniform(-45, 45, 2)
        planted = plant(*real_bands(data, name), tuple(shift), seed, side=64, first=(12, 12))
        seen = as_landsat(planted.sentinel2, planted.box, bands=[2])
        if planted.ms.shape[1:] != (64, 64):
            continue
        a, b = ((x - resample(x, np.arange(64), np.arange(64), 3.0)) * window for x in (planted.ms[2], filled(seen)[0]))
        apart = [-s for s in oracle(a, b, upsample_factor=100, normalization=None)[0]]
        result = measure_shift(planted.ms[2], seen[0])
        ours.append(np.hypot(*(np.array(found(result)) * 30 - shift)))
        theirs.append(np.hypot(*(np.array(apart) * 30 - shift)))
    assert np.median(ours) < 0.4 * np.median(theirs)


def test_real_dates_of_one_place_close(data: Path) -> None:
    """A shift planted between two real Landsat dates adds to their own, clouds, harvests and a dam break included."""
    dates = [
        ("218074_20190114", "218074_20190130"),
        ("143054_20230213", "143054_20230418"),
        ("143054_20230418", "143054_20230520"),
    ]
    for one, other in dates:
        paths = [next(data.glob(f"scenes/*_L2SP_{when}_*"), None) for when in (one, other)]
        if None in paths:
            pytest.skip(f"no scenes {one} and {other}")
        (a, box_a), (b, box_b) = (landsat(path) for path in paths)
        step = round((box_b.affine.c - box_a.affine.c) / 30)
        a, b = a[:, :168, step:], b[:, : min(168, b.shape[1]), : b.shape[2] - step]
        planted = np.array([1.37, -2.21])
        moved = resample(filled(b), *(np.arange(n) - s for n, s in zip(b.shape[1:], planted, strict=True)), 0.0)
        closure, apart = [], []
        for row in range(0, 168 - 55, 56):
            for column in range(0, min(a.shape[2], 168) - 55, 56):
                at = np.s_[:, row : row + 56, column : column + 56]
                before, after = measure_shift(a[at], b[at]), measure_shift(a[at], moved[at])
                if not before.reason and not after.reason:
                    closure.append(np.hypot(*(np.array(found(after)) - found(before) - planted)))
                    apart.append(found(before))
        assert len(closure) >= 5
        assert 30 * np.median(closure) < 0.6
        assert 30 * np.hypot(*np.median(apart, axis=0)) < 4
        assert 30 * np.median(np.hypot(*(np.array(apart) - np.median(apart, axis=0)).T)) < 3


def test_real_windows_of_different_places_have_no_shift(windows: dict[str, Image]) -> None:
    names, claimed = sorted(windows), []
    places = {name: name.split("_")[2] if "L2SP" in name else name for name in names}
    pairs = [(one, other) for i, one in enumerate(names) for other in names[i + 1 :] if places[one] != places[other]]
    for one, other in pairs[::2]:
        if not (shift := measure_shift(windows[one], windows[other])).reason:
            claimed.append((one, other, shift))
    assert not claimed


def test_the_limits_fit_together() -> None:
    assert SEARCH >= 2 * 3
    assert ENOUGH >= 6 * 8**2  # blocks of errors
    assert LARGEST_ERROR * 30 < 10
