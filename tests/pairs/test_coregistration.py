"""Windows, their model, the decision, and the resampling, on drawn and real pairs with a known shift."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.errors import InputError
from l8s2.pairs.as_oli import BandImage, as_landsat, sample
from l8s2.pairs.coregistration import (
    AFFINE_WINDOWS,
    LARGEST,
    LARGEST_CE90,
    NEGLIGIBLE,
    Coregistration,
    WindowShift,
    decide,
    measure_window,
)
from l8s2.pairs.coregistration import windows as spread_windows
from l8s2.registration import Shift
from l8s2.simulate.landscape import landscape
from making.planted import LEFT, REAL, TOP, Planted, plant, real_bands, shrunk

BOX = GeoBox((12, 14), Affine(30, 0, LEFT - 5, 0, -30, TOP + 5), "EPSG:32633")
NOTHING = Shift(
    **dict.fromkeys(("down", "right", "down_error", "right_error", "correlation"), np.nan),
    pixels=0,
    reason="no contrast",
)


@cache
def ground(seed: int) -> np.ndarray:
    return landscape(seed, (110, 110)).truth


def drawn(shift: tuple[float, float], seed: int = 1, **how: float) -> Planted:
    truth = ground(seed)
    return plant(truth[:3], truth[3:], shift, seed, side=90, first=(8, 8), **how)  # type: ignore[arg-type]


def measured_in(landsat: np.ndarray, box: GeoBox, sentinel2: list[BandImage]) -> list[WindowShift]:
    return [
        measure_window(landsat[:, rows, columns], box[rows, columns], sentinel2)
        for rows, columns in spread_windows(box)
    ]


def coregister(landsat: np.ndarray, box: GeoBox, sentinel2: list[BandImage]) -> Coregistration:
    return decide(measured_in(landsat, box, sentinel2))


def aligned(planted: Planted, found: Coregistration) -> np.ndarray:
    """The bands on the 10 m block grid, moved by the shift found where it is to be undone."""
    onto = grid.output_geobox(planted.box)
    down, right = found.at(onto) if found.decision == "correct" else (0.0, 0.0)
    return np.stack([sample(band, onto, down=down, right=right) for band in planted.sentinel2])


def windows(count: int, model: object, scatter: float = 0.0, error: float = 0.2, seed: int = 0) -> list[WindowShift]:
    """On a square of places, metres: ``model(east km, north km)`` plus noise."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(count)))
    result = []
    for k in range(count):
        east, north = 2.0 * (k % side), 2.0 * (k // side)
        down, right = np.add(model(east, north), rng.normal(0, scatter or 1e-9, 2))  # type: ignore[operator]
        shift = Shift(
            down=down / 30, right=right / 30, down_error=error / 30, right_error=error / 30, correlation=0.9, pixels=999
        )
        result.append(WindowShift(LEFT + 1000 * east, TOP + 1000 * north, shift))
    return result


def ramp(box: GeoBox, axis: int) -> BandImage:
    """Every pixel tells how far right (1) or down (0) of the corner its centre lies, in km."""
    rows, columns = np.indices(box.shape) + 0.5
    a = box.affine
    values = (a.c + a.a * columns - LEFT) if axis else (TOP - a.f - a.e * rows)
    return BandImage((values / 1000).astype(np.float32), box)


def of(gsd: int, margin: int = 40) -> GeoBox:
    """A Sentinel-2 grid that reaches ``margin`` pixels beyond BOX."""
    size = [30 * n // gsd + 2 * margin for n in BOX.shape]
    return GeoBox(size, Affine(gsd, 0, LEFT - margin * gsd, 0, -gsd, TOP + margin * gsd), "EPSG:32633")


@pytest.mark.parametrize("gsd", [10, 20])
@pytest.mark.parametrize("metres", [(0.0, 0.0), (3.7, -11.2)])
@pytest.mark.parametrize("sigma", [0.0, 14.8])
def test_coordinates_stay_coordinates(gsd: int, metres: tuple[float, float], sigma: float) -> None:
    """10 and 20 m bands on the block grid and on the MS grid, moved by what they are told."""
    for onto in (BOX, grid.output_geobox(BOX)):
        for axis in (0, 1):
            found = sample(ramp(of(gsd), axis), onto, down=metres[0], right=metres[1], sigma=sigma)
            expected = ramp(onto, axis).values + metres[axis] / 1000
            np.testing.assert_allclose(found, expected, atol=2e-4)  # 0.2 m


def test_both_names_of_a_southern_zone_are_one() -> None:
    south = GeoBox((12, 14), Affine(30, 0, LEFT - 5, 0, -30, 5 - 2_000_010), "EPSG:32633")
    band = BandImage(np.arange(42 * 36, dtype=np.float32).reshape(36, 42), grid.output_geobox(south))
    assert "EPSG:32733" in str(band.box.crs)
    np.testing.assert_array_equal(
        sample(band, GeoBox((36, 42), Affine(10, 0, LEFT, 0, -10, -2_000_010), "EPSG:32633")), band.values
    )


def test_another_zone_is_refused_in_one_line() -> None:
    other = BandImage(np.zeros((20, 20), np.float32), GeoBox((20, 20), of(10).affine, "EPSG:32634"))
    with pytest.raises(InputError, match=r"EPSG:32634, Landsat in EPSG:32633; choose a tile") as caught:
        sample(other, BOX)
    assert "\n" not in str(caught.value)


@settings(max_examples=25)
@given(st.integers(-60, 60), st.integers(-60, 60), st.integers(0, 99))
def test_pixels_that_fall_on_pixels_are_copied(row: int, column: int, seed: int) -> None:
    """Holes and all; nothing is known outside."""
    values = np.random.default_rng(seed).random((40, 50), np.float32)
    values[values < 0.1] = np.nan
    band = BandImage(values, GeoBox(values.shape, Affine(10, 0, LEFT, 0, -10, TOP), "EPSG:32633"))
    found = sample(band, GeoBox((30, 30), Affine(10, 0, LEFT + 10 * column, 0, -10, TOP - 10 * row), "EPSG:32633"))
    expected = np.full((160, 170), np.nan, np.float32)
    expected[60:100, 60:110] = values
    np.testing.assert_array_equal(found, expected[60 + row : 90 + row, 60 + column : 90 + column])


def test_a_hole_stays_a_hole_and_harms_nothing_around() -> None:
    band = ramp(of(10), 1)
    whole = sample(band, grid.output_geobox(BOX), right=3.0)
    band.values[50:54, 60:70] = np.nan
    holed = sample(band, grid.output_geobox(BOX), right=3.0)
    assert np.isnan(holed[10:14, 20:29]).all()
    assert 40 < np.isnan(holed).sum() < 140
    known = np.isfinite(holed)
    np.testing.assert_allclose(holed[known], whole[known], atol=2e-3)


@pytest.mark.parametrize("shift", [(0.3, -0.4), (7.3, -12.1), (-22.0, 15.5)])
def test_a_drawn_pair_is_measured_and_brought_together(shift: tuple[float, float]) -> None:
    planted = drawn(shift)
    found = coregister(planted.ms, planted.box, planted.sentinel2)
    assert (found.down, found.right) == pytest.approx(shift, abs=0.1)
    assert found.windows >= 3
    assert found.error < 0.2
    assert found.ce90 < 0.5
    assert found.decision == ("accept" if np.hypot(*shift) < NEGLIGIBLE else "correct")
    together = aligned(planted, found)
    inner = shrunk(np.ones(together.shape[1:], bool), 3)
    apart = np.sqrt(np.mean((together - planted.truth)[:, inner] ** 2, axis=1))
    assert apart.max() < (
        0.01 if found.decision == "accept" else 0.001
    )  # reflectance; moved by 10 m it is 0.02 to 0.06


def test_what_is_accepted_is_not_touched() -> None:
    planted = drawn((0.4, 0.2))
    found = coregister(planted.ms, planted.box, planted.sentinel2)
    assert found.decision == "accept"
    copied = aligned(planted, found)
    np.testing.assert_array_equal(copied[0], planted.sentinel2[0].values[24 : 24 + 270, 24 : 24 + 270])


def test_clouds_in_both_are_left_out() -> None:
    planted = drawn((6.0, -9.0), clouds=0.1)
    found = coregister(planted.ms, planted.box, planted.sentinel2)
    assert (found.down, found.right) == pytest.approx((6.0, -9.0), abs=0.3)
    assert np.isnan(aligned(planted, found)).mean() < 0.35


@pytest.mark.parametrize("case", ["other ground", "clouded", "no overlap", "empty"])
def test_what_does_not_fit_is_rejected(case: str) -> None:
    one, other = drawn((0, 0), 1), drawn((0, 0), 2)
    ms, box, sentinel2 = one.ms.copy(), one.box, list(one.sentinel2)
    if case == "other ground":
        sentinel2 = other.sentinel2
    elif case == "clouded":
        ms[:, 5:] = np.nan
    elif case == "no overlap":
        box = GeoBox(box.shape, Affine.translation(30_000, 0) * box.affine, box.crs)
    else:
        ms[:] = np.nan
    found = coregister(ms, box, sentinel2)
    assert found.decision == "reject"
    assert "windows could be measured, 3 are needed (most often:" in found.reason
    assert (found.model, found.windows) == ("none", 0)
    assert np.isnan([found.down, found.right, found.error, found.ce90]).all()


def test_windows_lie_side_by_side_and_cover_a_patch() -> None:
    planted = drawn((0, 0))
    measured = measured_in(planted.ms, planted.box, planted.sentinel2)
    assert len(measured) == 4
    centre = planted.box.affine * (45, 45)
    assert np.mean([(m.x, m.y) for m in measured], axis=0) == pytest.approx(centre)
    assert {m.shift.pixels > 1500 for m in measured} == {True}


def decided(count: int, model: object, **how: float) -> Coregistration:
    return decide(windows(count, model, **how))  # type: ignore[arg-type]


def constant(down: float, right: float) -> object:
    return lambda east, north: (down, right)


@pytest.mark.parametrize(
    ("found", "decision", "reason"),
    [
        (decided(9, constant(0.5, 0.5)), "accept", "left alone"),
        (decided(9, constant(0.9, 0.9)), "correct", "is undone"),
        (decided(9, constant(LARGEST, 3.0)), "reject", "no misregistration"),
        (decided(9, constant(3.0, 3.0), scatter=4.0), "reject", "known to|disagree"),
        (decided(100, constant(3.0, 3.0), scatter=4.0), "reject", "windows disagree by .* 5 m are allowed"),
        (decided(2, constant(3.0, 3.0)), "reject", "2 of 2 windows .* 3 are needed$"),
        (decide([]), "reject", "0 of 0 windows"),
        (decide([WindowShift(0, 0, NOTHING)] * 5), "reject", "0 of 5 windows .*most often: no contrast"),
    ],
)  # fmt: skip
def test_every_decision_states_its_numbers(found: Coregistration, decision: str, reason: str) -> None:
    assert found.decision == decision
    assert re.search(reason, found.reason), found.reason


def test_windows_that_cannot_be_measured_change_nothing() -> None:
    sure = windows(9, constant(4.0, -3.0), scatter=0.3)
    with_unsure = decide([*sure, WindowShift(LEFT, TOP, NOTHING)])
    assert (with_unsure.windows, with_unsure.tried) == (9, 10)
    assert with_unsure.down == decide(sure).down


@pytest.mark.parametrize("seed", range(4))
def test_outlying_windows_do_not_count_but_show(seed: int) -> None:
    right = windows(20, constant(4.0, -3.0), scatter=0.3, seed=seed)
    wrong = windows(5, constant(25.0, 25.0), scatter=3.0, seed=seed)
    found = decide([*right, *wrong])
    assert (found.down, found.right) == pytest.approx((4.0, -3.0), abs=0.4)
    assert found.ce90 > LARGEST_CE90
    assert found.decision == "reject"


@pytest.mark.parametrize(("error", "decision"), [(1.0, "correct"), (3.0, "reject")])
def test_few_windows_that_agree_by_chance_know_no_more_than_each_says(error: float, decision: str) -> None:
    found = decide(windows(3, lambda east, north: (5.0, -4.0), error=error))
    assert found.decision == decision
    assert found.error == pytest.approx(error / np.sqrt(3), rel=0.05)


def test_the_stated_error_is_that_of_the_shift() -> None:
    found = [decided(16, constant(4.0, -3.0), scatter=1.0, seed=s) for s in range(60)]
    deviations = [(f.down - 4.0) / f.error for f in found]
    assert 0.7 < np.std(deviations) < 1.3


def test_affine_only_where_it_is_clearly_so() -> None:
    def turned(east: float, north: float) -> tuple[float, float]:
        return 2.0 + 0.6 * east, -1.0 + 0.2 * east - 0.5 * north

    found = decided(49, turned, scatter=0.3)
    assert found.model == "affine"
    assert found.ce90 < 1
    assert np.array(found.slopes) == pytest.approx(np.array([[0.6, 0], [0.2, -0.5]]), abs=0.05)
    here = GeoBox((2, 2), Affine(30, 0, LEFT + 3_000 - 30, 0, -30, TOP + 5_000 + 30), "EPSG:32633")
    assert found.at(here) == pytest.approx(turned(3, 5), abs=0.2)
    east, north = found.reach
    far, edge = (
        GeoBox((2, 2), Affine(30, 0, found.centre[0] + x - 30, 0, -30, found.centre[1] + y + 30), "EPSG:32633")
        for x, y in ((100_000, -90_000), (east, -north))
    )
    assert found.at(far) == pytest.approx(found.at(edge))  # nobody has measured there
    plain = [decided(n, constant(2.0, -1.0), scatter=0.5, seed=s) for n in (AFFINE_WINDOWS, 25) for s in range(40)]
    assert sum(f.model == "affine" for f in plain) <= 1


def test_windows_in_one_row_are_enough() -> None:
    row = [
        w._replace(y=float(TOP), x=LEFT + 2000.0 * k)
        for k, w in enumerate(windows(15, constant(4.0, -3.0), scatter=0.3))
    ]
    found = decide(row)
    assert (found.down, found.right) == pytest.approx((4.0, -3.0), abs=0.4)
    assert np.hypot(*found.slopes).max() < 0.1


@pytest.mark.parametrize("name", REAL)
def test_shifts_planted_in_real_imagery_are_found_and_undone(data: Path, name: str) -> None:
    """Patches of 85 MS pixels (2.6 km): to 0.5 m, a twentieth of a 10 m pixel."""
    rng = np.random.default_rng(len(name))
    shift = tuple(rng.uniform(-20, 20, 2))
    planted = plant(*real_bands(data, name), shift, len(name), side=85, first=(6, 6))
    found = coregister(planted.ms, planted.box, planted.sentinel2)
    assert found.decision == "correct", found.reason
    assert np.hypot(found.down - shift[0], found.right - shift[1]) < 0.2
    assert np.hypot(found.down - shift[0], found.right - shift[1]) < 5 * max(found.error, 0.02)
    assert found.ce90 < 0.5
    together = aligned(planted, found)
    before = sample(planted.sentinel2[2], grid.output_geobox(planted.box))
    usable = np.isfinite(together[2]) & np.isfinite(before)
    usable = shrunk(usable, 3)
    errors = [np.sqrt(np.mean((x - planted.truth[2])[usable] ** 2)) for x in (together[2], before)]
    assert errors[0] < 0.1 * errors[1]


def test_real_pairs_of_different_places_are_rejected(data: Path) -> None:
    one, other = (
        plant(*real_bands(data, name), (0.0, 0.0), 0, side=85) for name in ("dsen2_T33UUB_L1C", "dsen2_T49JGM_L1C")
    )
    assert coregister(one.ms, one.box, other.sentinel2).decision == "reject"


def test_sentinel2_seen_as_landsat_is_what_the_simulator_sees(data: Path) -> None:
    """Up to its band-pass, noise, gain, offset and a ramp: little but a line lies between them."""
    planted = plant(*real_bands(data, "dsen2_T33UUB_L1C"), (4.0, 8.0), 3, side=85)
    seen = as_landsat(planted.sentinel2, planted.box, down=4.0, right=8.0)
    for ours, theirs in zip(seen, planted.ms, strict=True):
        assert np.corrcoef(ours[3:-3, 3:-3].ravel(), theirs[3:-3, 3:-3].ravel())[0, 1] > 0.99
