"""Measured shifts against images that were made with a known one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from l8s2.registration import measure_shift


def waves(rows: Any, columns: Any, seed: int = 0) -> NDArray[np.float32]:
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


def pair(
    down: float, right: float, shape: tuple[int, int] = (90, 110)
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A reference, and an image whose content lies further down and right."""
    r, c = np.arange(shape[0])[:, None], np.arange(shape[1])[None]
    return waves(r, c), waves(r - down, c - right)


SHIFTS = [(0, 0), (0.5, 0), (0.25, -0.5), (-1.3, 0.8), (2.0, -3.0), (-3.6, 3.4)]


@pytest.mark.parametrize(("down", "right"), SHIFTS)
def test_a_known_shift_is_found(down: float, right: float) -> None:
    reference, image = pair(down, right)
    shift = measure_shift(reference, image)
    assert shift is not None
    assert (shift.down, shift.right) == pytest.approx((down, right), abs=0.005)
    assert shift.correlation > 0.999
    assert 6000 < shift.pixels < 90 * 110


def test_fine_texture_far_away_is_found() -> None:
    """Several wave lengths: whole pixels must be searched first."""
    rng = np.random.default_rng(8)
    noise = rng.normal(0.2, 0.02, (100, 120)).astype(np.float32)
    shift = measure_shift(noise[5:95, 5:115], noise[8:98, 1:111])
    assert shift is not None
    assert (shift.down, shift.right) == pytest.approx((-3, 4), abs=0.02)


def test_gain_offset_and_noise_do_not_matter() -> None:
    rng = np.random.default_rng(5)
    reference, image = pair(0.4, -0.7)
    image = 0.5 * image - 0.3 + rng.normal(0, 0.002, image.shape).astype(np.float32)
    shift = measure_shift(reference, image)
    assert shift is not None
    assert (shift.down, shift.right) == pytest.approx((0.4, -0.7), abs=0.02)


def test_clouds_and_holes_are_left_out() -> None:
    reference, image = pair(0.4, -0.7)
    usable = np.ones(reference.shape, bool)
    usable[20:45, 30:70] = False
    image[20:45, 34:66] = 0.9  # a cloud that stands elsewhere in the other image
    reference[26:40, 30:62] = 0.9
    reference[70:75, 80:90] = np.nan
    image[10, 10] = np.inf
    shift = measure_shift(reference, image, usable)
    assert shift is not None
    assert (shift.down, shift.right) == pytest.approx((0.4, -0.7), abs=0.03)


@pytest.mark.parametrize(
    "image",
    [
        np.full((60, 60), 0.3, np.float32),
        np.full((60, 60), np.nan, np.float32),
        np.full((1, 1), 0.3, np.float32),
        np.zeros((3, 200), np.float32),
        pair(0, 0, (24, 24))[0],
    ],
    ids=["flat", "unknown", "one pixel", "a strip", "too small"],
)
def test_nothing_is_made_of_nothing(image: NDArray[np.float32], recwarn: pytest.WarningsRecorder) -> None:
    assert measure_shift(image, image.copy()) is None
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


def test_unrelated_images_correlate_badly() -> None:
    r, c = np.arange(90)[:, None], np.arange(110)[None]
    shift = measure_shift(waves(r, c, 1), waves(r, c, 2))
    assert shift is None or shift.correlation < 0.4
