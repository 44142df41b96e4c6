"""No ground on two sides, whatever the order, and nothing moves once it is somewhere."""

import random
from collections import Counter
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l8s2.errors import InputError
from l8s2.grid import mgrs_tile
from l8s2.patches.patch import outline
from l8s2.patches.split import EXCLUDED, SHARES, PatchExtent, Side, assign
from l8s2.patches.split_strips import assign_strips, in_strips

TILES = ("33UUP", "33UVP", "33UUQ", "32UQU", "43PHQ", "19HCD", "60KYF", "01KAB", "31UFT", "10TET", "")
"""The first four overlap in a chain, across a zone's border; 60KYF and 01KAB do across the antimeridian."""
PATH_ROWS = ("192025", "191025", "143054", "233090", "073072", "")


@lru_cache
def ground(tile: str) -> tuple[float, ...]:
    if not tile:
        return (10.0, 40.0, 12.0, 42.0)
    around = outline(mgrs_tile(tile), 8)
    return (*around.min(0).tolist(), *around.max(0).tolist())


@st.composite
def places(draw: st.DrawFn, largest: int = 25) -> list[PatchExtent]:
    """Patches of 2 km or so anywhere in their tiles, some of them on the same spot."""
    found = []
    for number in range(draw(st.integers(1, largest))):
        tile = draw(st.sampled_from(TILES))
        west, south, east, north = ground(tile)
        x = west + draw(st.integers(0, 40)) / 40 * (east - west - 0.03)
        y = south + draw(st.integers(0, 40)) / 40 * (north - south - 0.02)
        found.append(PatchExtent(f"p{number}", tile, draw(st.sampled_from(PATH_ROWS)), (x, y, x + 0.03, y + 0.02)))
    return found


def overlap(a: PatchExtent, b: PatchExtent) -> bool:
    (west, south, east, north), (left, bottom, right, top) = a.bounds, b.bounds
    return south <= top and bottom <= north and any(west <= right + t and left + t <= east for t in (-360, 0, 360))


def check_no_leak(found: list[PatchExtent], sides: dict[str, Side]) -> None:
    for i, a in enumerate(found):
        for b in found[:i]:
            on = {sides[a.patch_id].pair_type, sides[b.patch_id].pair_type} - {EXCLUDED}
            if len(on) == 2:
                assert not overlap(a, b)
                assert a.location != b.location or not a.location
                assert a.path_row != b.path_row or not a.path_row


@given(places(), st.randoms(use_true_random=False))
def test_nothing_leaks_and_order_is_nothing(found: list[PatchExtent], rng: random.Random) -> None:
    sides = assign(found, {}, SHARES)
    assert {s.pair_type for s in sides.values()} <= set(SHARES)
    check_no_leak(found, sides)
    shuffled = found.copy()
    rng.shuffle(shuffled)
    assert assign(shuffled, {}, SHARES) == sides


@given(places(40), st.lists(st.integers(0, 40), max_size=4))
def test_growth_moves_nothing_and_leaks_nothing(found: list[PatchExtent], cuts: list[int]) -> None:
    frozen: dict[str, Side] = {}
    for cut in [*sorted(cuts), len(found)]:
        grown = assign(found[:cut], frozen, SHARES)
        assert all(grown[name] == side for name, side in frozen.items())
        frozen = grown
        check_no_leak(found[:cut], frozen)
    assert set(frozen) == {place.patch_id for place in found}


def at(name: str, tile: str, path_row: str, dx: float = 0.3, dy: float = 0.3) -> PatchExtent:
    west, south, *_ = ground(tile)
    return PatchExtent(name, tile, path_row, (west + dx, south + dy, west + dx + 0.03, south + dy + 0.02))


def test_overlapping_tiles_are_one_place_even_across_zones() -> None:
    chain = [at("a", "33UUP", "1"), at("b", "33UVP", "2"), at("c", "60KYF", "3"), at("d", "01KAB", "4")]
    sides = assign(chain, {}, {"Train": 1, "Test": 1})
    assert sides["a"] == sides["b"]
    assert sides["c"] == sides["d"]
    assert sides["a"] != sides["c"]


def test_a_patch_between_two_sides_is_on_neither_and_its_neighbours_follow() -> None:
    old = [at("train", "33UUP", "192025"), at("test", "43PHQ", "143054")]
    frozen = {"train": Side("Train"), "test": Side("Test")}
    new = [
        at("bridge", "33UUP", "143054"),
        at("follows", "33UUP", "192025", 0.7),
        at("other date", "43PHQ", "143054"),
        at("chain a", "33UUP", "999999"),  # two patches of one new path/row, one on either side
        at("chain b", "43PHQ", "999999"),
    ]
    sides = assign([*old, *new], frozen, SHARES)
    assert sides["follows"] == Side("Train")
    assert sides["other date"] == Side("Test")
    for name in ("bridge", "chain a", "chain b"):
        assert sides[name] == Side(EXCLUDED, "joins Test and Train")
    again = assign([*old, *new, at("late", "33UUP", "143054", 0.5)], sides, SHARES)
    assert again["late"].pair_type == EXCLUDED


def test_ground_counts_without_tiles_too_and_across_the_antimeridian() -> None:
    spots = [(10.0, 10.02), (10.01, 10.03), (179.96, 180.03), (-180.01, -179.99), (179.995, 180.0), (50.0, 50.02)]
    found = [PatchExtent(f"p{i}", "", "", (west, 4.01, east, 4.02)) for i, (west, east) in enumerate(spots)]
    wrong = PatchExtent("p6", "43PHQ", "", (10.01, 4.0, 10.02, 4.01))  # not in its tile
    sides = assign([*found, wrong], {}, dict.fromkeys("ABCDEFG", 1.0))  # every group on a side of its own
    assert sides["p0"] == sides["p1"] == sides["p6"]
    assert sides["p2"] == sides["p3"] == sides["p4"]
    assert len(set(sides.values())) == 3


def test_a_bridge_does_not_take_its_neighbours_along() -> None:
    frozen = {"train": Side("Train"), "test": Side("Test")}
    old = [at("train", "33UUP", "192025"), at("test", "43PHQ", "143054")]
    sides = assign([*old, at("bridge", "33UVP", "143054"), at("neighbour", "33UVP", "999998")], frozen, SHARES)
    assert sides["bridge"].pair_type == EXCLUDED
    assert sides["neighbour"] == Side("Train")  # 33UVP overlaps 33UUP


def test_shares_are_approached_and_no_side_stays_empty() -> None:
    def alone(number: int) -> PatchExtent:
        x, y = 3.0 * (number % 100), 3.0 * (number // 100) - 30
        return PatchExtent(f"p{number}", f"place {number}", "", (x, y, x + 0.02, y + 0.02))

    counts = Counter(s.pair_type for s in assign(map(alone, range(1000)), {}, SHARES).values())
    assert counts == {"Train": 800, "Validation": 100, "Test": 100}
    assert {s.pair_type for s in assign(map(alone, range(3)), {}, SHARES).values()} == set(SHARES)
    uneven = [
        at_place._replace(patch_id=f"{at_place.patch_id} {k}")
        for n in (3, 30, 6)
        for at_place in [alone(n)]
        for k in range(n)
    ]
    assert Counter(s.pair_type for s in assign(uneven, {}, SHARES).values()) == {
        "Train": 30,
        "Validation": 6,
        "Test": 3,
    }
    few = assign(map(alone, range(30)), {}, SHARES)
    more = Counter(
        s.pair_type for s in assign(map(alone, range(100)), few, {"Train": 1, "Test": 1, "None": 0}).values()
    )
    assert more["Validation"] == 3
    assert {more["Train"], more["Test"]} == {48, 49}
    assert "None" not in more


@pytest.mark.parametrize("shares", [{}, {"Train": 0}, {"Train": -1, "Test": 2}, {EXCLUDED: 1}, {"Train": float("nan")}])
def test_shares_that_are_none(shares: dict[str, float]) -> None:
    with pytest.raises(InputError):
        assign([], {}, shares)


@st.composite
def region(draw: st.DrawFn) -> list[PatchExtent]:
    """Patches of one tile on a grid that is a little askew, several dates of some of them."""
    found, tilt = [], draw(st.floats(-0.004, 0.004))
    for number in range(draw(st.integers(1, 60))):
        row, column = draw(st.integers(0, 30)), draw(st.integers(0, 30))
        x, y = 15.0 + 0.036 * column, 50.0 + 0.023 * row + tilt * column
        found.append(PatchExtent(f"p{number}", "33UVR", "192025", (x, y, x + 0.036, y + 0.023)))
    return found


def check_strips(found: list[PatchExtent], sides: dict[str, Side]) -> None:
    on = [(place, sides[place.patch_id].pair_type) for place in found]
    for a, side in on:
        for b, other in on:
            if EXCLUDED not in (side, other) and side != other:
                assert a.bounds[3] < b.bounds[1] or b.bounds[3] < a.bounds[1]


@given(region(), st.randoms(use_true_random=False))
def test_strips_share_no_ground_whatever_the_order(found: list[PatchExtent], rng: random.Random) -> None:
    sides = assign_strips(found, {}, SHARES)
    assert "Train" in {side.pair_type for side in sides.values()} <= {*SHARES, EXCLUDED}
    assert all(side.reason for side in sides.values() if side.pair_type == EXCLUDED)
    check_strips(found, sides)
    shuffled = rng.sample(found, len(found))
    assert assign_strips(shuffled, {}, SHARES) == sides


@given(region(), st.integers(1, 60))
def test_strips_stay_where_they_are(found: list[PatchExtent], first: int) -> None:
    before = assign_strips(found[:first], {}, SHARES)
    if not in_strips(found, before):
        return
    after = assign_strips(found, before, SHARES)
    assert {name: after[name] for name in before} == before
    check_strips(found, after)


def test_strips_are_as_large_as_wanted_and_a_patch_apart() -> None:
    found = [
        PatchExtent(
            f"p{row} {column}", "33UVR", "192025", (15 + column, 50 + 0.02 * row, 16 + column, 50.02 + 0.02 * row)
        )
        for row in range(100)
        for column in range(5)
    ]
    assert {side.pair_type for side in assign(found, {}, SHARES).values()} == {"Train"}
    sides = assign_strips(found, {}, SHARES)
    counts = Counter(side.pair_type for side in sides.values())
    assert counts["Train"] == pytest.approx(400, abs=10)
    assert counts["Validation"] == pytest.approx(50, abs=10)
    assert counts["Test"] == pytest.approx(50, abs=10)
    assert counts[EXCLUDED] <= 20
    assert sides["p99 0"] == Side("Train")
    assert sides["p0 0"] == Side("Test")
    for rows, held_out in ((1, set()), (2, set()), (3, {"Test"}), (4, {"Test"}), (5, {"Validation", "Test"})):
        few = {side.pair_type for side in assign_strips(found[: 5 * rows], {}, SHARES).values()}
        assert few - {EXCLUDED} == {"Train"} | held_out
    assert assign_strips([], {}, SHARES) == {}
    with pytest.raises(InputError, match="not dealt in strips before; give `anew`"):
        assign_strips(found, dict.fromkeys(sides, Side("Train")), SHARES)
