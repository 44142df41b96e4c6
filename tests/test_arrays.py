import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from l8s2.arrays import FILL_REACH, FILL_VALUE, dilate, enlarge, fill_missing, grow, windows


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40))
def test_windows_cover_every_pixel_once(height: int, width: int, tile: int) -> None:
    count = np.zeros((height, width), int)
    for rows, columns in windows((height, width), tile):
        assert rows.stop - rows.start <= tile
        assert columns.stop - columns.start <= tile
        count[rows, columns] += 1
    assert (count == 1).all()


def test_a_tile_of_no_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="tile=0"):
        list(windows((3, 3), 0))


def test_grow_may_leave_the_image() -> None:
    assert grow(slice(2, 5), 4) == slice(-2, 9)


@given(arrays(bool, st.tuples(st.integers(1, 25), st.integers(1, 25))), st.integers(0, 6))
def test_dilate_agrees_with_scipy(mask: np.ndarray, radius: int) -> None:
    expected = ndimage.maximum_filter(mask, size=2 * radius + 1, mode="constant", cval=0)
    np.testing.assert_array_equal(dilate(mask, radius), expected)


def test_enlarge_gives_the_block_the_value_of_its_owner() -> None:
    values = np.arange(6).reshape(2, 3)
    big = enlarge(values)
    assert big.shape == (6, 9)
    assert all(big[r, c] == values[r // 3, c // 3] for r in range(6) for c in range(9))


def holes(height: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.random((2, height, width), dtype=np.float32)
    rough = ndimage.gaussian_filter(rng.standard_normal((2, height, width)), (0, 4, 4))
    values[rough > 0.05] = np.nan
    return values


def test_known_values_are_never_touched_and_nothing_stays_missing() -> None:
    values = holes(60, 70, 1)
    filled = fill_missing(values)
    known = np.isfinite(values)
    np.testing.assert_array_equal(filled[known], values[known])
    assert np.isfinite(filled).all()
    assert filled.min() >= 0
    assert filled.max() <= 1


def test_far_from_anything_known_a_constant_stands_in() -> None:
    values = np.full((1, 50, 50), np.nan, np.float32)
    values[0, 25, 25] = 0.7
    filled = fill_missing(values)[0]
    near = slice(25 - FILL_REACH, 26 + FILL_REACH)
    assert (filled[near, near] == np.float32(0.7)).all()
    filled[near, near] = FILL_VALUE
    assert (filled == np.float32(FILL_VALUE)).all()


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(0, 30), st.integers(20, 45))
def test_the_guess_does_not_depend_on_the_window(seed: int, row: int, column: int, size: int) -> None:
    values = holes(75, 75, seed)
    whole = fill_missing(values)
    part = fill_missing(values[:, row : row + size, column : column + size])
    inner = slice(FILL_REACH, size - FILL_REACH)
    expected = whole[:, row : row + size, column : column + size]
    np.testing.assert_array_equal(part[:, inner, inner], expected[:, inner, inner])


def test_the_order_in_memory_is_no_matter() -> None:
    values = np.random.default_rng(1).random((2, 30, 20), dtype=np.float32)
    values[:, 5:12, 3:9] = np.nan
    turned = values.swapaxes(1, 2).copy().swapaxes(1, 2)
    np.testing.assert_array_equal(fill_missing(turned), fill_missing(values))
