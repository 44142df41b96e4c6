"""Image pairs of a set that l8s2 has built."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import enlarge
from l8s2.datasets.brdf import c_factor, nbar
from l8s2.datasets.image_pair import ImagePair, Lattice, all_bands_valid, erode_valid, shift
from l8s2.errors import InputError
from l8s2.patches.patch import Facts, Patch
from l8s2.patches.patch_set import PatchSet
from l8s2.radiometry import reflectance
from l8s2.sensors import N_BANDS, NATIVE_10M, OUTPUT_GSD


class ShardPairs:
    """Patches of a set that l8s2 has built, all of them or those on one side, in the order of their ids."""

    nbar = False
    """Whether both images are given as seen from nadir, see ``adjust_to_nadir``."""

    def __init__(self, folder: Path, side: str | None = None) -> None:
        """Read the index.

        Args:
            folder: of the set.
            side: as the set was split; None takes all patches.

        Raises InputError where there is no set, or nothing in it or on that side.
        """
        self.patches = PatchSet(folder)
        names = self.patches.facts["patch_id"]
        self.indices = np.arange(len(names))
        where, remedy = "", "build some, and put them on sides with l8s2 dataset split"
        if side is not None:
            sides = self.patches.sides()
            of = [sides[name].pair_type if name in sides else "" for name in names]
            self.indices = np.flatnonzero([name == side for name in of])
            where = f" on side {side}"
            if there := sorted({name for name in of if name}):
                remedy = f"it has patches on {', '.join(there)}"
        if not self.indices.size:
            raise InputError(f"{folder}: no patches{where}; {remedy}")

    def column(self, name: str) -> NDArray[np.float64]:
        """Return the numbers of a column of the index, one for each patch; NaN where not known.

        Raises InputError where there is no such column.
        """
        facts = self.patches.facts
        numbers = [n for n in facts.dtype.names or () if facts.dtype[n] == np.float64]
        if name not in numbers:
            raise InputError(f"{self.patches.folder}: no column {name} of numbers; it has {', '.join(numbers)}")
        values: NDArray[np.float64] = facts[name][self.indices]
        return values

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Leave out the patches where ``kept`` (len(self),) is False."""
        self.indices = self.indices[kept]

    @property
    def fingerprint(self) -> str:
        """Checksum of the ids in order, and of names and sizes of the files that hold them."""
        rows = self.patches.facts[self.indices]
        files = {pair: (self.patches.shards / f"{pair}.h5").stat().st_size for pair in sorted(set(rows["pair"]))}
        return hashlib.sha256(repr([list(rows["patch_id"]), files]).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> ImagePair:
        patch = self.patches.read(int(self.indices[index]))
        pair = image_pair_of(patch)
        return adjust_to_nadir(pair, patch.facts) if self.nbar else pair


def image_pair_of(patch: Patch) -> ImagePair:
    """Return a patch as reflectance on the lattice of its MS pixels.

    Sentinel-2's 20 m bands are interpolated; all of it is moved by the shift measured where the decision is to correct
    it. What has been interpolated does not count within 40 m of clouds, fill and the border.
    """
    facts = patch.facts
    correct = facts.decision == "correct"
    down, right = (facts.shift_down_m, facts.shift_right_m) if correct else (0.0, 0.0)
    fine, coarse = (reflectance(dn, facts.s2_scale, facts.s2_offset) for dn in (patch.s2_10m[NATIVE_10M], patch.s2_20m))
    known = np.stack([all_bands_valid(fine), enlarge(all_bands_valid(coarse), 2)]) & patch.s2_usable
    down, right = down / OUTPUT_GSD, right / OUTPUT_GSD
    known[1] = erode_valid(known[1], down, right)
    if correct:
        fine, known[0] = shift(fine, down, right), erode_valid(known[0], down, right)
    coarse = shift(coarse, down / 2 - 0.25, right / 2 - 0.25, step=0.5)
    ms = reflectance(patch.ms, facts.ms_scale, facts.ms_offset)
    return ImagePair(
        ms=ms,
        pan=None if patch.pan is None else reflectance(patch.pan, facts.pan_scale, facts.pan_offset),
        truth=np.concatenate([fine, coarse]),
        valid=np.repeat(known & enlarge(patch.landsat_usable & all_bands_valid(ms)), 3, axis=0),
        bands_known=(True,) * N_BANDS,
        id=patch.id,
        lattice=Lattice(ms=patch.box),
        site=facts.location,
        date=facts.landsat_time,
        sun_elevation=facts.landsat_sun_elevation if np.isfinite(facts.landsat_sun_elevation) else None,
    )


def adjust_to_nadir(pair: ImagePair, facts: Facts) -> ImagePair:
    """Return both images as seen from nadir under Landsat's sun.

    By the c-factors of ``brdf`` for the scenes' mean directions.

    Raises InputError where a direction is not known.
    """
    factors = []
    for name in ("landsat", "sentinel2"):
        elevation, sun, zenith, view = (
            float(getattr(facts, f"{name}_{angle}"))
            for angle in ("sun_elevation", "sun_azimuth", "view_zenith", "view_azimuth")
        )
        apart = 0.0 if zenith == 0 else sun - view
        if not np.isfinite([elevation, zenith, apart]).all():
            raise InputError(
                f"{pair.id}: its catalogue does not say where {name} looked from; leave nbar out, or build from another"
            )
        factors.append(c_factor(90 - elevation, zenith, apart, 90 - facts.landsat_sun_elevation))
    return replace(pair, ms=nbar(pair.ms, factors[0]), truth=nbar(pair.truth, factors[1]))
