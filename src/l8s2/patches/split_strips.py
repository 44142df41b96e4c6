"""Sides within one region: rows of ground from north to south, a patch apart. Pure.

For a set whose patches all belong together, of which ``split.assign`` could hold nothing out. No ground is on two
sides, but scenes and dates are: what is learned of one day's air helps on the other side too.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

from l8s2.errors import InputError
from l8s2.patches.split import EXCLUDED, PatchExtent, Side, check_shares

_APART = 0.9
"""Heights of a patch that lie between two strips at least: not 1, so that rounding costs no row."""


def in_strips(extents: Iterable[PatchExtent], frozen: Mapping[str, Side]) -> bool:
    """Whether sides were dealt in strips before: then one tile is on several."""
    sides = defaultdict(set)
    for extent in extents:
        side = frozen.get(extent.patch_id, Side(EXCLUDED)).pair_type
        if side != EXCLUDED and extent.location:
            sides[extent.location].add(side)
    return any(len(found) > 1 for found in sides.values())


def assign_strips(
    extents: Iterable[PatchExtent], frozen: Mapping[str, Side], shares: Mapping[str, float]
) -> dict[str, Side]:
    """Return a side for every patch by its latitude; the order of ``extents`` does not matter.

    Args:
        extents: every patch, the frozen ones too.
        frozen: patch id -> side, dealt in strips earlier; comes back unchanged, and new patches lie in the same strips.
        shares: side -> share of all patches, in any unit, from north to south; without meaning where something is
            frozen.

    What lies between two strips is on neither side. Where there is little ground a side may stay empty, never the
    first. Raises InputError for shares that are none, and where the frozen sides are no strips.
    """
    check_shares(shares)
    known = list(extents)
    height = max((extent.bounds[3] - extent.bounds[1] for extent in known), default=0.0)
    names, borders = _frozen(known, frozen) if frozen else _new(known, shares, height)
    half = _APART / 2 * height

    def side(extent: PatchExtent) -> Side:
        south, north = extent.bounds[1], extent.bounds[3]
        above = next((k for k, border in enumerate(borders) if north > border - half), len(borders))
        below = next((k for k, border in enumerate(borders) if south >= border + half), len(borders))
        if above == below:
            return Side(names[above])
        return Side(EXCLUDED, f"between {names[above]} and {names[below]}")

    return {extent.patch_id: frozen.get(extent.patch_id) or side(extent) for extent in known}


def _new(extents: list[PatchExtent], shares: Mapping[str, float], height: float) -> tuple[list[str], list[float]]:
    """Return the sides from north to south, and the latitudes between them.

    From the south each side gets its share; the first one gets the rest.
    """
    first, *others = [name for name, share in shares.items() if share > 0]
    left, names, borders = extents, [first], list[float]()
    for name in reversed(others):
        count = min(math.ceil(shares[name] / sum(shares.values()) * len(extents)), len(left))
        edge = sorted(extent.bounds[3] for extent in left)[count - 1] if left else 0.0
        beyond = [extent for extent in left if extent.bounds[1] >= edge + (1 + _APART) / 2 * height]
        if beyond:
            left, names, borders = beyond, [first, name, *names[1:]], [edge + height / 2, *borders]
    return names, borders


def _frozen(extents: list[PatchExtent], frozen: Mapping[str, Side]) -> tuple[list[str], list[float]]:
    """Derive names and borders from the patches that are on a side already."""
    reach: dict[str, list[float]] = defaultdict(list)
    for extent in extents:
        if (side := frozen.get(extent.patch_id)) is not None and side.pair_type != EXCLUDED:
            reach[side.pair_type] += [extent.bounds[1], extent.bounds[3]]
    names = sorted(reach, key=lambda name: -max(reach[name]))
    edges = [(min(reach[upper]), max(reach[lower])) for upper, lower in pairwise(names)]
    if len(names) < 2 or any(north < south for north, south in edges):
        raise InputError("sides were not dealt in strips before; give `anew` to forget them")
    return names, [(north + south) / 2 for north, south in edges]
