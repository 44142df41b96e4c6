"""Sources of pairs behind ``data.dataset.Pairs``: our own sets, simulated and published pairs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Float, Mask, enlarge
from l8s2.datasets.brdf import c_factor, nbar
from l8s2.datasets.sample import Lattice, Sample, complete, inner, moved
from l8s2.errors import InputError
from l8s2.patches.patch import Facts, Patch
from l8s2.patches.patch_set import PatchSet
from l8s2.radiometry import reflectance
from l8s2.sensors import OUTPUT_GSD

if TYPE_CHECKING:
    from l8s2.datasets.published import Patches
    from l8s2.simulate.crops import Crops


class ShardPairs:
    """Patches of a set that l8s2 has built, all of them or those on one side, in the order of their ids."""

    nbar = False
    """Whether both images are given as seen from nadir, see ``seen_from_nadir``."""

    def __init__(self, folder: Path, side: str | None = None) -> None:
        """Raises InputError where there is no set, or nothing in it or on that side."""
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
        """Numbers of a column of the index, one for each patch; NaN where not known. Raises InputError where there is no such."""
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
        """Of the ids in order, and of names and sizes of the files that hold them."""
        rows = self.patches.facts[self.indices]
        files = {pair: (self.patches.shards / f"{pair}.h5").stat().st_size for pair in sorted(set(rows["pair"]))}
        return hashlib.sha256(repr([list(rows["patch_id"]), files]).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        patch = self.patches.read(int(self.indices[index]))
        sample = sample_of(patch)
        return seen_from_nadir(sample, patch.facts) if self.nbar else sample


def sample_of(patch: Patch) -> Sample:
    """A patch as reflectance on the lattice of its MS pixels.

    Sentinel-2's 20 m bands are interpolated; all of it is moved by the shift measured where the decision is to correct it.
    What has been interpolated does not count within 40 m of clouds, fill and the border.
    """
    facts = patch.facts
    correct = facts.decision == "correct"
    down, right = (facts.shift_down_m, facts.shift_right_m) if correct else (0.0, 0.0)
    fine, coarse = (reflectance(dn, facts.s2_scale, facts.s2_offset) for dn in (patch.s2_10m[:3], patch.s2_20m))
    known = np.stack([complete(fine), enlarge(complete(coarse), 2)]) & patch.s2_usable
    down, right = down / OUTPUT_GSD, right / OUTPUT_GSD
    known[1] = inner(known[1], down, right)
    if correct:
        fine, known[0] = moved(fine, down, right), inner(known[0], down, right)
    coarse = moved(coarse, down / 2 - 0.25, right / 2 - 0.25, step=0.5)
    ms = reflectance(patch.ms, facts.ms_scale, facts.ms_offset)
    return Sample(
        ms=ms,
        pan=None if patch.pan is None else reflectance(patch.pan, facts.pan_scale, facts.pan_offset),
        truth=np.concatenate([fine, coarse]),
        valid=np.repeat(known & enlarge(patch.landsat_usable & complete(ms)), 3, axis=0),
        bands_known=(True,) * 6,
        id=patch.id,
        lattice=Lattice(ms=patch.box),
        place=facts.location,
        date=facts.landsat_time,
        sun_elevation=facts.landsat_sun_elevation if np.isfinite(facts.landsat_sun_elevation) else None,
    )


def seen_from_nadir(sample: Sample, facts: Facts) -> Sample:
    """Both images as seen from nadir under Landsat's sun, by the c-factors of ``brdf`` for the scenes' mean directions.

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
                f"{sample.id}: its catalogue does not say where {name} looked from; leave nbar out, or build from another"
            )
        factors.append(c_factor(90 - elevation, zenith, apart, 90 - facts.landsat_sun_elevation))
    return replace(sample, ms=nbar(sample.ms, factors[0]), truth=nbar(sample.truth, factors[1]))


class SimulatedPairs:
    """A fixed number of simulated pairs; the same index is always the same pair."""

    def __init__(self, crops: Crops, count: int) -> None:
        self.crops, self.count = crops, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        step, number = divmod(range(self.count)[index], self.crops.batch)
        batch = self.crops(step, slice(number, number + 1))
        assert batch.pan is not None
        arrays = batch.ms[0], batch.pan[0, 0], batch.truth[0], batch.valid[0]
        return _of_arrays(*arrays, f"simulated_{index:06d}", Lattice())


class PublishedPairs:
    """The patches of the published system as ``data.published`` reads them: all three arrays at 10 m."""

    def __init__(self, patches: Patches) -> None:
        self.patches = patches

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: int) -> Sample:
        patch = self.patches[index]
        return _of_arrays(patch.ms, patch.pan[0], patch.truth, patch.valid, self.patches.ids[index], None)


def _of_arrays(ms: Float, pan: Float, truth: Float, valid: Mask, name: str, lattice: Lattice | None) -> Sample:
    known = tuple(bool(band.any()) for band in valid)
    return Sample(ms=ms, pan=pan, truth=truth, valid=valid, bands_known=known, id=name, lattice=lattice)
