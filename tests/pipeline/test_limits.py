"""Outliers of surface reflectance: kept and flagged, and no ringing around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_cdt, maximum_filter, minimum_filter

from l8s2 import masks
from l8s2.arrays import enlarge
from l8s2.landsat import open_scene
from l8s2.pipeline.limits import ALLOWED, CONTRAST, FLAT, IMPOSSIBLE, REACH, limit_ringing
from l8s2.pipeline.tiles import predict_tiles
from l8s2.predictors.load import load_predictor
from l8s2.predictors.options import ModelOptions
from l8s2.sensors import BANDS
from making.scenes import make, ms_grid, pan_of, part, rewrite

SIDE = 48
MARGIN = 6


def padded(ms: Any) -> Any:
    return np.pad(ms, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)), constant_values=np.nan)


def images(seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    ms = rng.uniform(0, 0.1, (6, SIDE, SIDE)).astype(np.float32)
    ms[:, 10:30, 20:] += 0.7
    ms[3, 40, 5] = -0.19
    ms[:, :4, :9] = np.nan
    return ms, (enlarge(ms) + rng.normal(0, 0.2, (6, 3 * SIDE, 3 * SIDE))).astype(np.float32)


def test_it_is_what_scipy_makes_of_the_rule() -> None:
    ms, mean = images(1)
    found = limit_ringing(mean, padded(ms), MARGIN)
    expected = mean.copy()
    for i, (band, seen) in enumerate(zip(BANDS, ms, strict=True)):
        dark, bright = np.nan_to_num(seen, nan=9), np.nan_to_num(seen, nan=-9)
        low, high = (f(x, 2 * REACH + 1, mode="nearest") for f, x in ((minimum_filter, dark), (maximum_filter, bright)))
        near = minimum_filter(dark, 3, mode="nearest"), maximum_filter(bright, 3, mode="nearest")
        at = ((high - low > CONTRAST) | (low < IMPOSSIBLE)) & (near[1] - near[0] < FLAT * (high - low))
        a, b = band.band_pass["S2A"]
        bottom = np.minimum(near[0], (near[0] - b) / a) - ALLOWED * (high - low)
        top = np.maximum(near[1], (near[1] - b) / a) + ALLOWED * (high - low)
        expected[i] = np.where(enlarge(at), np.clip(mean[i], enlarge(bottom), enlarge(top)), mean[i])
    known = np.isfinite(expected)
    np.testing.assert_allclose(found[known], expected[known], atol=1e-6)
    assert 0.05 < (found != mean)[known].mean() < 0.5
    np.testing.assert_array_equal(np.isnan(found), np.isnan(mean))


def test_an_ordinary_scene_is_left_alone() -> None:
    ms, mean = images(2)
    ms = np.clip(ms, 0, 0.4)
    assert limit_ringing(mean, padded(ms), MARGIN) is mean
    assert limit_ringing(mean, np.full_like(padded(ms), np.nan), MARGIN) is mean


def test_a_network_without_a_margin() -> None:
    ms, mean = images(4)
    assert limit_ringing(mean, ms, 0).shape == mean.shape


@settings(max_examples=20, deadline=None)
@given(st.integers(0, SIDE - 2), st.integers(0, SIDE - 2), st.integers(1, 20), st.integers(1, 20))
def test_tiles_leave_no_trace(top: int, left: int, height: int, width: int) -> None:
    ms, mean = images(3)
    rows, columns = slice(top, min(top + height, SIDE)), slice(left, min(left + width, SIDE))
    whole = limit_ringing(mean, padded(ms), MARGIN)
    fine = slice(3 * rows.start, 3 * rows.stop), slice(3 * columns.start, 3 * columns.stop)
    with_margin = padded(ms)[:, top : rows.stop + 2 * MARGIN, left : columns.stop + 2 * MARGIN]
    np.testing.assert_array_equal(limit_ringing(mean[:, *fine], with_margin, MARGIN), whole[:, *fine])


OUTLIERS = {"DN 65535": (65_535, 1), "DN 1": (1, 1), "snow": (42_000, SIDE)}
"""Digital number, and how many rows and columns of the lower right quarter have it."""


def outlying(folder: Path, number: int, size: int) -> Path:
    """A scene of gentle waves with outliers; pan sees the snow, not single pixels of all bands."""
    product = make(folder, ms_grid(SIDE, SIDE))

    def change(values: NDArray[Any], first: int) -> NDArray[Any]:
        values[:, first : first + size, first : first + size] = number
        return values

    for n in range(2, 8):
        rewrite(part(product, f"SR_B{n}"), lambda values: change(values, SIDE // 2))
    if size > 1:
        rewrite(pan_of(product), lambda values: change(np.pad(values, ((0, 0), (0, 1), (0, 1))), SIDE)[:, :-1, :-1])
    return product


@pytest.mark.parametrize(
    ("model", "engine"), [("compact", "openvino"), ("compact", "torch"), ("compact-nopan", "openvino")]
)
@pytest.mark.parametrize("kind", OUTLIERS)
def test_outliers_are_kept_flagged_and_do_not_ring(tmp_path: Path, kind: str, model: str, engine: Any) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    number, size = OUTLIERS[kind]
    whole = slice(0, SIDE), slice(0, SIDE)
    predictor = load_predictor(ModelOptions(model=model, engine=engine, threads=1))
    with open_scene(outlying(tmp_path, number, size)) as scene:
        (tile,) = predict_tiles(scene, predictor, *whole)
        plain = scene.read(*whole).ms
    value = number * 2.75e-5 - 0.2
    odd = np.isclose(plain, value).all(0)
    assert odd.sum() == min(size, SIDE // 2) ** 2
    flagged = (tile.qa & masks.flag("out_of_range")) > 0
    np.testing.assert_array_equal(flagged, enlarge(odd & (not 0 <= value <= 1)))
    reached = [(band - b) / a for band, (a, b) in zip(plain, (x.band_pass["S2A"] for x in BANDS), strict=True)]
    for band, seen, as_msi in zip(tile.mean, plain, reached, strict=True):
        kept = band[enlarge(odd)] / value
        assert np.abs(kept - 1).min() < 0.3  # what was measured is still there
        low = minimum_filter(np.minimum(seen, as_msi), 3)
        high = maximum_filter(np.maximum(seen, as_msi), 3)
        over = np.maximum(band - enlarge(high), enlarge(low) - band)
        step = np.abs(value - seen[~odd]).max()
        distance = np.where(odd, distance_transform_cdt(odd, "chessboard"), distance_transform_cdt(~odd, "chessboard"))
        far = enlarge(distance) >= 2
        assert over[far].max() <= 1.05 * ALLOWED * step
