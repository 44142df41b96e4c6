"""Where batches come from. The batch of a step depends on the seed and the step alone, so training can resume anywhere."""

from __future__ import annotations

import hashlib
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np

from l8s2.datasets.published import Patch, Patches
from l8s2.datasets.sample import Pairs
from l8s2.errors import InputError
from l8s2.simulate.archives import Image, load, load_folder
from l8s2.simulate.crops import Batch, Crops
from l8s2.training.config import Data, Published, Simulated
from l8s2.training.pair_crops import PairCrops, open_sides, shuffled

HELD_OUT = 0.25
"""Share of the rows of a place, the lowest ones, that ``strips`` holds out."""
GAP = 0.05
"""Share of the rows above them that is used for nothing, and at least GAP_PIXELS."""
GAP_PIXELS = 30
STRIP_PIXELS = 90
"""Smallest height of a held-out strip, 10 m pixels: a border of 18 at both ends never counts."""


class Source(Protocol):
    """What the loop asks of data."""

    @property
    def size(self) -> int:
        """Pairs to a batch."""
        ...

    @property
    def epoch(self) -> int | None:
        """Steps in which every pair is seen once; None where there is no end."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of the data, so that a run is not resumed on others."""
        ...

    def __call__(self, step: int, part: slice = slice(None)) -> Batch:
        """Pairs ``part`` of the batch of ``step``."""
        ...


class SimulatedCrops:
    """Endless simulated crops whose border does not count."""

    epoch = None

    def __init__(self, images: list[Image], config: Simulated, batch: int, seed: int) -> None:
        self.crops = Crops(
            images, size=config.size, batch=batch, seed=seed, disturbed=config.disturbed, untidy=config.untidy
        )
        if not self.crops.images:
            raise InputError(
                f"{config.folder}: no image is {3 * config.size} pixels to a side; set data.simulated.size to less than "
                f"{config.size}"
            )
        self.size, self.border = batch, 3 * config.border
        self.fingerprint = fingerprint(config.folder)

    def __call__(self, step: int, part: slice = slice(None)) -> Batch:
        """See Source."""
        return self.crops(step, part).within(self.border)


class ShuffledPatches:
    """Patches in an order drawn anew for every epoch, turned and mirrored at random."""

    def __init__(self, patches: Patches, batch: int, seed: int, *, augment: bool) -> None:
        self.patches, self.size, self.seed, self.augment = patches, batch, seed, augment
        self.epoch = -(-len(patches) // batch)
        self.fingerprint = patches.fingerprint

    def __call__(self, step: int, part: slice = slice(None)) -> Batch:
        """See Source. The last batch of an epoch is filled up from its beginning."""
        chosen = shuffled(len(self.patches), self.size, self.seed, step)
        turns = np.random.default_rng((self.seed, step, 1)).integers(8, size=self.size)
        pairs = [
            turned(self.patches[int(i)], int(turn) if self.augment else 0)
            for i, turn in zip(chosen[part], turns[part], strict=True)
        ]
        ms, pan, truth, valid = (np.stack([getattr(p, k) for p in pairs]) for k in ("ms", "pan", "truth", "valid"))
        return Batch(ms=ms, pan=pan, truth=truth, valid=valid)


def turned(patch: Patch, turn: int) -> Patch:
    """One of the eight orientations of a square; 0 is as it is."""

    def moved(image: np.ndarray) -> np.ndarray:
        image = np.rot90(image, turn % 4, axes=(1, 2))
        return np.ascontiguousarray(image[:, :, ::-1] if turn >= 4 else image)

    return Patch(ms=moved(patch.ms), pan=moved(patch.pan), truth=moved(patch.truth), valid=moved(patch.valid))


@dataclass(frozen=True)
class Prepared:
    """The data of a run: what is trained on, and what is held out."""

    training: Source
    images: list[Image]
    """Held out: images to simulate from ..."""
    patches: Patches | None
    """... or published patches ..."""
    pairs: Pairs | None = None
    """... or real pairs."""
    untidy: bool = False
    """What is trained on is simulated with sensors that differ as real ones do."""


def prepare(data: Data, seed: int, *, pan: bool = True, report: Callable[[str], None] = lambda line: None) -> Prepared:
    """Open the data. Raises InputError where there is nothing to train on.

    ``pan``: whether the network wants pan; real pairs without are then left out. ``report``: told how many, and why.
    """
    if data.simulated is not None:
        training, held_out = split(data.simulated)
        return Prepared(
            SimulatedCrops(training, data.simulated, data.batch, seed), held_out, None, untidy=data.simulated.untidy
        )
    if data.pairs is not None:
        real, of_validation = open_sides(data.pairs, pan=pan, report=report)
        return Prepared(PairCrops(real, data.pairs, data.batch, seed, pan=pan), [], None, of_validation)
    assert data.published is not None
    published: Published = data.published
    where = published.csv_path, published.patch_path
    patches = Patches(*where, published.train_key, published.size, published.min_ssim, published.min_psnr)
    held_out_patches = Patches(*where, published.validation_key, published.size)
    return Prepared(ShuffledPatches(patches, data.batch, seed, augment=published.augment), [], held_out_patches)


def split(config: Simulated) -> tuple[list[Image], list[Image]]:
    """Images to train on and images held out, as ``config.split`` says. Raises InputError for what cannot be read."""
    folder = config.folder
    try:
        if config.split == "strips":
            return strips([image for path in sorted(folder.glob("*.npz")) for image in load(path)], str(folder))
        training, _, validation = load_folder(folder)
        return training, validation
    except FileNotFoundError as error:
        raise InputError(str(error)) from None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{folder}: holds an .npz that is no imagery ({error}); docs/training.md says what is"
        ) from None


def strips(images: list[Image], name: str) -> tuple[list[Image], list[Image]]:
    """Hold out the lowest rows of every image that is high enough, with a gap above; smaller images are trained on whole.

    The images of a file (dates, chips) are cut at the same rows, so ground seen on several dates stays on one side. Where
    no image is high enough, the last place is held out whole. Raises InputError where there is only one such place.
    """
    if not images:
        raise InputError(f"{name}: no .npz imagery to train on; give the folder that holds x10/x20 archives")
    cut, held_out = [], []
    for image in images:
        rows = image.stack.shape[1]
        first = min(int((1 - HELD_OUT) * rows), rows - STRIP_PIXELS)
        last = first - max(GAP_PIXELS, int(GAP * rows))
        if last < STRIP_PIXELS:
            cut.append(image)
            continue
        cut.append(replace(image, stack=image.stack[:, :last]))
        held_out.append(replace(image, stack=image.stack[:, first:]))
    if held_out:
        return cut, held_out
    places = sorted({image.place for image in images})
    if len(places) < 2:
        raise InputError(
            f"{name}: one place of less than {2 * STRIP_PIXELS + GAP_PIXELS} pixels, so nothing can be held out; give a second place"
        )
    return [i for i in images if i.place != places[-1]], [i for i in images if i.place == places[-1]]


def fingerprint(folder: Path) -> str:
    """Of the names and contents of the archives in ``folder``, by the checksums that an archive carries."""
    lines = []
    for path in sorted(folder.glob("*.npz")):
        with zipfile.ZipFile(path) as archive:
            lines += [f"{path.name} {member.filename} {member.CRC:08x}" for member in archive.infolist()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def parts(size: int, shares: int) -> list[slice]:
    """``size`` pairs shared out as evenly as can be."""
    edges = [size * i // shares for i in range(shares + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def prefetched(
    source: Source, first: int, last: int, pieces: list[slice], workers: int = 1
) -> Iterator[tuple[int, list[Batch]]]:
    """(step, its pieces) from ``first`` to before ``last``, prepared in threads meanwhile.

    Threads, not processes: a forked worker would inherit the engines' dead threads.
    """

    def made(step: int) -> list[Batch]:
        return [source(step, piece) for piece in pieces]

    ahead = 2 * workers + 2
    pool = ThreadPoolExecutor(workers)
    try:
        waiting = deque(pool.submit(made, step) for step in range(first, min(first + ahead, last)))
        for step in range(first, last):
            batch = waiting.popleft().result()
            if step + ahead < last:
                waiting.append(pool.submit(made, step + ahead))
            yield step, batch
    finally:
        pool.shutdown(cancel_futures=True)
