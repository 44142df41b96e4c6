"""Sources of batches. The batch of a step depends on the seed and the step alone, so training can resume anywhere."""

from __future__ import annotations

import hashlib
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from l8s2.datasets.deep_harmonization import DeepHarmonizationPatches
from l8s2.datasets.image_pair import Pairs
from l8s2.datasets.simulated_pairs import RandomlySimulatedPairs, SimulatedPairs
from l8s2.errors import InputError
from l8s2.simulate.archives import Image
from l8s2.simulate.crops import Batch, Crops
from l8s2.training.archive_split import images_of, read_split
from l8s2.training.config import Data, SimulatedConfig
from l8s2.training.pair_crops import PairCrops, fingerprint, open_sides


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
        """Checksum of the data, so that a run is not resumed on others."""
        ...

    @property
    def pairs(self) -> Pairs:
        """Whole images of what is trained on."""
        ...

    def __call__(self, step: int, part: slice = slice(None)) -> Batch:
        """Return pairs ``part`` of the batch of ``step``."""
        ...


class SimulatedCrops:
    """Endless simulated crops whose border does not count."""

    epoch = None

    def __init__(self, images: list[Image], config: SimulatedConfig, batch: int, seed: int) -> None:
        self.crops = Crops(
            images, size=config.size, batch=batch, seed=seed, disturbed=config.disturbed, untidy=config.untidy
        )
        if not self.crops.images:
            raise InputError(
                f"{config.folder}: no image is {3 * config.size} pixels to a side; "
                f"set data.simulated.size to less than {config.size}"
            )
        self.pairs = RandomlySimulatedPairs(images, untidy=config.untidy > 0)
        self.size, self.border = batch, 3 * config.border
        self.fingerprint = _fingerprint(config)

    def __call__(self, step: int, part: slice = slice(None)) -> Batch:
        """See Source."""
        return self.crops(step, part).within(self.border)


@dataclass(frozen=True)
class Prepared:
    """The data of a run."""

    training: Source
    held_out: Pairs
    """Pairs to validate on; none where nothing is held out."""
    untidy: Pairs | None = None
    """The same images simulated with sensors that differ as real ones do, where such pairs are trained on."""


def prepare(data: Data, seed: int, *, pan: bool = True, report: Callable[[str], None] = lambda line: None) -> Prepared:
    """Open the data.

    Args:
        data: section of the configuration.
        seed: of the batches.
        pan: whether the network uses pan; real pairs without are then left out.
        report: told how many were left out, and why.

    Raises InputError where there is nothing to train on.
    """
    if data.simulated is not None:
        training, held_out = images_of(data.simulated)
        return Prepared(
            SimulatedCrops(training, data.simulated, data.batch, seed),
            SimulatedPairs(held_out),
            SimulatedPairs(held_out, untidy=True) if data.simulated.untidy else None,
        )
    if data.pairs is not None:
        real, of_validation = open_sides(data.pairs, pan=pan, report=report)
        crop = data.pairs.size, data.pairs.border
        crops = PairCrops(
            real, data.batch, seed, crop=crop, augment=data.pairs.augment, pan=pan,
            fingerprint=fingerprint(real, data.pairs.folder),
        )  # fmt: skip
        return Prepared(crops, of_validation or SimulatedPairs([]))
    assert data.deep_harmonization is not None
    theirs = data.deep_harmonization
    where = theirs.csv_path, theirs.patch_path
    patches = DeepHarmonizationPatches(*where, theirs.train_key, theirs.size, theirs.min_ssim, theirs.min_psnr)
    whole = PairCrops(patches, data.batch, seed, augment=theirs.augment, fingerprint=patches.fingerprint)
    return Prepared(whole, DeepHarmonizationPatches(*where, theirs.validation_key, theirs.size))


def _fingerprint(config: SimulatedConfig) -> str:
    """Return a checksum of names and contents of the archives, by the checksums that they carry, and of the split."""
    lines = [] if config.split is None else [read_split(config.split).model_dump_json()]
    for path in sorted(config.folder.glob("*.npz")):
        with zipfile.ZipFile(path) as archive:
            lines += [f"{path.name} {member.filename} {member.CRC:08x}" for member in archive.infolist()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def parts(size: int, shares: int) -> list[slice]:
    """Share out ``size`` pairs as evenly as can be."""
    edges = [size * i // shares for i in range(shares + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def prefetched(
    source: Source, first: int, last: int, pieces: list[slice], workers: int = 1
) -> Iterator[tuple[int, list[Batch]]]:
    """Yield (step, its pieces) from ``first`` to before ``last``, prepared in threads meanwhile.

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
