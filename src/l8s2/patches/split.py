"""Which patches are trained on, and which are held out, so that no ground is on two sides. Pure.

Patches belong together that lie in one MGRS tile or in tiles that overlap, come from one WRS path and row, or show the
same ground. (Path/rows overlap too, but what patches show of them lies within their tiles.) Ground is told by cells of
a tenth of a degree that a patch or tile touches: two that overlap touch a common one. Dates do not matter: ground is on
one side for good.

What is once on a side stays there. New patches follow the ones they belong to; one that would join two sides is on
neither.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from l8s2.errors import InputError
from l8s2.grid import mgrs_tile
from l8s2.patches.patch import outline

EXCLUDED = "Excluded"
"""The side of patches that are on none."""
_Spot = tuple[str, str, tuple[str, ...]]
"""Tile, path/row and cells: what patches have in common that cannot be told apart here."""
SHARES = {"Train": 0.8, "Validation": 0.1, "Test": 0.1}
"""Sides and their shares of all patches."""
_CELL = 0.1
"""Degrees."""


class PatchExtent(NamedTuple):
    """The ground of a patch."""

    patch_id: str
    location: str
    """MGRS tile; anything else stands for itself alone."""
    path_row: str
    bounds: tuple[float, ...]
    """West, south, east, north of its outline, WGS 84 degrees; may reach beyond 180."""


class Side(NamedTuple):
    """The side of a patch."""

    pair_type: str
    """A side, or ``Excluded``."""
    reason: str = ""
    """Why it is excluded."""


def assign(extents: Iterable[PatchExtent], frozen: Mapping[str, Side], shares: Mapping[str, float]) -> dict[str, Side]:
    """Return a side for every patch; the order of ``extents`` does not matter.

    Args:
        extents: every patch, the frozen ones too.
        frozen: patch id -> side from earlier; comes back unchanged.
        shares: side -> share of all patches, in any unit.

    Groups of patches that belong together are dealt out, the largest first (of equals in the order of a hash), each to
    the side that lacks most of its share; while a side has nothing, the last groups are kept for such sides. Raises
    InputError for shares that are none.
    """
    check_shares(shares)
    result: dict[str, Side] = {}
    held: set[tuple[_Spot, str]] = set()
    new: dict[_Spot, list[str]] = defaultdict(list)
    for extent in extents:
        spot = extent.location, extent.path_row, tuple(_cells(*extent.bounds))
        side = frozen.get(extent.patch_id)
        if side is None:
            new[spot].append(extent.patch_id)
        else:
            result[extent.patch_id] = side
            held.add((spot, side.pair_type))
    owned: dict[str, set[str]] = defaultdict(set)
    for spot, name in held:
        if name != EXCLUDED:
            for key in _keys(*spot):
                owned[key].add(name)

    def touched(spot: _Spot) -> set[str]:
        return {side for key in _keys(*spot) for side in owned.get(key, ())}

    groups, bridges = _Groups(), [spot for spot in new if len(touched(spot)) > 1]
    for spot in bridges:
        result |= dict.fromkeys(new.pop(spot), _neither(touched(spot)))
    for spot in new:
        groups.join([str(spot), *(key for key in _keys(*spot) if key not in owned)])
    members: dict[str, list[_Spot]] = defaultdict(list)
    for spot in new:
        members[groups.of(str(spot))].append(spot)
    fresh: dict[str, list[str]] = {}
    for name, spots in members.items():
        sides, ids = set().union(*map(touched, spots)), [i for spot in spots for i in new[spot]]
        if sides:
            result |= dict.fromkeys(ids, Side(*sides) if len(sides) == 1 else _neither(sides))
        else:
            fresh[name] = ids
    sizes = Counter(side.pair_type for side in result.values())
    for name, to in _dealt({name: len(ids) for name, ids in fresh.items()}, sizes, shares).items():
        result |= dict.fromkeys(fresh[name], Side(to))
    return result


def check_shares(shares: Mapping[str, float]) -> None:
    """Check the shares. Raises InputError."""
    if not shares or EXCLUDED in shares or "" in shares:
        raise InputError(f"sides {', '.join(shares) or 'none'}: name at least one, and none of them {EXCLUDED}")
    if not all(0 <= share < math.inf for share in shares.values()) or not sum(shares.values()):
        raise InputError(f"shares {', '.join(f'{s:g}' for s in shares.values())}: give numbers of 0 or more, not all 0")


def _neither(sides: set[str]) -> Side:
    return Side(EXCLUDED, f"joins {' and '.join(sorted(sides))}")


@lru_cache(maxsize=65536)
def _keys(location: str, path_row: str, cells: tuple[str, ...]) -> frozenset[str]:
    """Return the keys that a spot shares with all spots that belong to it."""
    tile = _tile(location) if location else frozenset()
    return tile.union(cells, [f"path/row {path_row}"] if path_row else [])


@lru_cache(maxsize=4096)
def _tile(name: str) -> frozenset[str]:
    """Return the key of a tile, and the cells it covers."""
    try:
        around = outline(mgrs_tile(name), to_a_side=8)
    except InputError:
        return frozenset([f"tile {name}"])
    return frozenset([f"tile {name}", *_cells(*around.min(0), *around.max(0))])


def _cells(west: float, south: float, east: float, north: float) -> list[str]:
    (left, right), (bottom, top) = (
        (math.floor(low / _CELL), math.floor(high / _CELL)) for low, high in ((west, east), (south, north))
    )
    around = round(360 / _CELL)
    return [f"{x % around} {y}" for x in range(left, right + 1) for y in range(bottom, top + 1)]


class _Groups:
    """Disjoint sets of names; a set is called by its first name in the alphabet."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def of(self, name: str) -> str:
        root = name
        while (above := self._parent.setdefault(root, root)) != root:
            root = above
        while name != root:
            self._parent[name], name = root, self._parent[name]
        return root

    def join(self, names: list[str]) -> None:
        roots = {self.of(name) for name in names}
        first = min(roots)
        for root in roots:
            self._parent[root] = first


def _dealt(groups: Mapping[str, int], sizes: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, str]:
    """Group -> side. ``groups``: patches in each; ``sizes``: patches that a side has already."""
    wanted = [side for side, share in shares.items() if share > 0]
    counts = {side: sizes.get(side, 0) for side in wanted}
    total = sum(counts.values()) + sum(groups.values())
    scale = total / sum(shares.values())
    result = {}
    order = sorted(groups, key=lambda name: (-groups[name], hashlib.sha256(name.encode()).digest()))
    for left, name in zip(range(len(order), 0, -1), order, strict=True):
        empty = [side for side in wanted if not counts[side]]
        among = empty if left <= len(empty) else wanted
        result[name] = side = max(among, key=lambda s: shares[s] * scale - counts[s])
        counts[side] += groups[name]
    return result
