"""Sets of real pairs to train on, made up."""

from pathlib import Path
from typing import Any

import numpy as np

from l8s2.patches.patch import Patch
from l8s2.patches.patch_set import PatchSet
from making.patches import box_at, made_facts


def made(folder: Path, count: int = 5, side: int = 20, pan: bool = True, **facts: Any) -> PatchSet:
    """A set of smooth made-up patches of as many places far from each other, r from 0.5 up."""
    patches = PatchSet(folder)
    for number in range(count):
        rng = np.random.default_rng(number)
        box = box_at(187_001, 11_001 + 2000 * number, side)
        ground = 800 + 90 * rng.standard_normal((30 * side + 60, 30 * side + 60)).cumsum(0).cumsum(1) / side

        def seen(gsd: int, bands: int, first: int, n: int, ground: Any = ground, rng: Any = rng) -> Any:
            centres = first + gsd * np.arange(n)
            light = ground[np.ix_(centres, centres)] + 20 * rng.random((bands, n, n))
            return np.clip(np.rint(light * np.arange(1, bands + 1)[:, None, None]), 1, 20000).astype(np.uint16)

        known = {"location": f"place{number}", "path_row": f"{192 + number}025", "r": 0.5 + 0.1 * number, **facts}
        known |= {f"{name}_scale": 1e-4 for name in ("ms", "s2")} | {"pan_scale": 1e-4 if pan else float("nan")}
        patch = Patch(
            ms=seen(30, 6, 15, side), pan=seen(15, 1, 15, 2 * side)[0] if pan else None,
            s2_10m=seen(10, 3, 10, 3 * side), s2_20m=seen(20, 3, 15, 3 * side // 2),
            landsat_usable=np.ones((side, side), bool), s2_usable=rng.random((3 * side, 3 * side)) > 0.001,
            box=box, facts=made_facts(**known),
        )  # fmt: skip
        patches.add(f"{'pan' if pan else 'nopan'}{number}", [patch])
    patches.split({"Train": 0.6, "Validation": 0.2, "Test": 0.2})
    return PatchSet(folder)
