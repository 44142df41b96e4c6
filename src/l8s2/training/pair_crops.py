"""Crops of stored image pairs, turned and mirrored on the lattice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from l8s2.datasets.image_pair import ImagePair, Pairs, fill_gaps, on_lattice
from l8s2.datasets.open import open_pairs
from l8s2.datasets.set_pairs import ShardPairs
from l8s2.errors import InputError
from l8s2.simulate.crops import Batch
from l8s2.training.config import PairsConfig

TIMES = {"ms": 1, "pan": 2, "truth": 3, "valid": 3}
"""Pixels of an image along a side of an MS pixel."""


class PairCrops:
    """Crops of image pairs, or whole ones, shuffled for every epoch, turned and mirrored."""

    def __init__(
        self,
        pairs: Pairs,
        batch: int,
        seed: int,
        *,
        crop: tuple[int, int] | None = None,
        augment: bool,
        pan: bool = True,
        fingerprint: str,
    ) -> None:
        """Try the first pair.

        Args:
            pairs: to cut from.
            batch: crops to a batch.
            seed: of everything that is drawn.
            crop: MS pixels to a side of a crop, and at its border that do not count; None takes pairs whole, which must
                then be at 10 m and of one size.
            augment: turn and mirror; a native pair must then have one MS pixel more than the crop.
            pan: whether batches have it.
            fingerprint: see ``sources.Source``.

        Raises InputError where the first pair is too small, or has no pan although ``pan``.
        """
        self.pairs, self.size, self.seed, self.pan, self.augment = pairs, batch, seed, pan, augment
        self.crop = crop
        self.epoch = -(-len(pairs) // batch)
        self.fingerprint = fingerprint
        self._pair(0, np.random.default_rng(0))

    def __call__(self, step: int, part: slice = slice(None)) -> Batch:
        """See ``sources.Source``. The last batch of an epoch is filled up from its beginning."""
        chosen = shuffled(len(self.pairs), self.size, self.seed, step)
        pairs = [
            self._pair(int(chosen[number]), np.random.default_rng((self.seed, step, number)))
            for number in range(self.size)[part]
        ]
        arrays = {name: np.stack([pair[name] for pair in pairs]) for name in pairs[0]}
        pan = arrays["pan"][:, None] if self.pan else None
        batch = Batch(ms=arrays["ms"], pan=pan, truth=arrays["truth"], valid=arrays["valid"])
        return batch.within(3 * self.crop[1]) if self.crop else batch

    def _pair(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        pair = self.pairs[index]
        if not self.pan:
            pair = replace(pair, pan=None)
        elif pair.pan is None:
            raise InputError(f"{pair.id}: has no pan; train a network without, such as compact-nopan, or leave it out")
        if self.crop is None:
            images = {name: getattr(pair, name) for name in TIMES if getattr(pair, name) is not None}
            times = dict.fromkeys(TIMES, 0)
        else:
            side = self.crop[0] + self.augment
            images, times = self._cut(fill_gaps(on_lattice(pair)), side, rng), TIMES
        if not self.augment:
            return images
        turn = int(rng.integers(8))
        return {name: turned(image, times[name], turn) for name, image in images.items()}

    def _cut(self, pair: ImagePair, side: int, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """Cut a window of ``side`` MS pixels at a random position, as images by name; no pan where there is none."""
        shape = pair.ms.shape[1:]
        if min(shape) < side:
            largest = min(shape) - self.augment
            raise InputError(f"{pair.id}: {shape[0]} x {shape[1]} MS pixels; set data.pairs.size to {largest} or less")
        row, column = (int(rng.integers(n - side + 1)) for n in shape)
        images = {name: getattr(pair, name) for name in TIMES}
        return {
            name: image[..., k * row : k * (row + side), k * column : k * (column + side)]
            for name, k in TIMES.items()
            if (image := images[name]) is not None
        }


def turned(image: NDArray[np.generic], times: int, turn: int) -> NDArray[np.generic]:
    """Return one of the eight orientations of a square, without the MS pixel at the far end of each axis.

    An MS pixel owns 10 m pixels at -5, 5 and 15 m from its centre and pan samples at 0 and 15 m. Mirrored that would be
    -15, -5, 5 and -15, 0: the first of them belongs to the MS pixel before, and the last MS pixel lacks one.

    Args:
        image: (..., times * n, times * n).
        times: 1 for MS, 2 for pan, 3 for 10 m; 0 where all arrays of a pair have the same pixels, so that none is given
            up.
        turn: 0 to 7; mirrored along rows (1), along columns (2), rows and columns exchanged before (4).

    Returns:
        (..., times * (n - 1), times * (n - 1)), each pixel at its position on the lattice; of ``image``'s shape where
        ``times`` is 0.
    """
    if turn & 4:
        image = image.swapaxes(-2, -1)
    for axis, mirrored in ((-2, turn & 1), (-1, turn & 2)):
        count = image.shape[axis]
        at = np.arange(count - times)
        image = image.take(count - 1 - (at + (times > 1)) if mirrored else at, axis)
    return image


def shuffled(count: int, size: int, seed: int, step: int) -> NDArray[np.int64]:
    """Return (size,) which of ``count`` pairs are in the batch of ``step``: each once an epoch, the last filled up."""
    epoch, position = divmod(step, -(-count // size))
    order = np.random.default_rng((seed, epoch)).permutation(count)
    return np.take(order, range(position * size, (position + 1) * size), mode="wrap")


def fingerprint(pairs: Pairs, folder: Path) -> str:
    """Return a checksum of what is trained on.

    It is of the patches of a set that l8s2 has built, else of names and sizes of all files in ``folder``.
    """
    if isinstance(pairs, ShardPairs):
        return pairs.fingerprint
    files = sorted((p.relative_to(folder).as_posix(), p.stat().st_size) for p in folder.rglob("*") if p.is_file())
    return hashlib.sha256(repr(files).encode()).hexdigest()


def open_sides(settings: PairsConfig, *, pan: bool, report: Callable[[str], None]) -> tuple[Pairs, Pairs | None]:
    """Open the pairs to train on, and those held out.

    Args:
        settings: ``data.pairs`` of the configuration.
        pan: leave out patches without pan, where the index tells.
        report: told how many were left out.

    Raises InputError for a side or column that is not there, and where no pair is left.
    """
    training = open_pairs(settings.folder, settings.train_side)
    held_out = None if settings.validation_side is None else open_pairs(settings.folder, settings.validation_side)
    if held_out is not None and _common(training, held_out, settings):
        raise InputError(
            f"data.pairs: train_side {settings.train_side or 'null'} holds patches of validation_side "
            f"{settings.validation_side}; give sides that have none in common, or validation_side null"
        )
    for pairs in (training, held_out):
        if settings.nbar and pairs is not None:
            if not isinstance(pairs, ShardPairs):
                raise InputError("data.pairs.nbar: needs the directions of a set that l8s2 has built; leave it out")
            pairs.nbar = True
        if pan and isinstance(pairs, ShardPairs):
            _leave_out(pairs, np.isfinite(pairs.column("pan_scale")), "without pan", report)
    for kind, limits, within in (
        ("at_least", settings.at_least, np.greater_equal),
        ("at_most", settings.at_most, np.less_equal),
    ):
        for name, limit in limits.items():
            if not isinstance(training, ShardPairs):
                raise InputError(
                    f"data.pairs.{kind} {name}: needs the index of a set that l8s2 has built; leave the limit out"
                )
            _leave_out(training, within(training.column(name), limit), f"outside {kind} {name} {limit:g}", report)
    return training, held_out


def _common(training: Pairs, held_out: Pairs, settings: PairsConfig) -> bool:
    """Return whether a pair is on both sides."""
    if isinstance(training, ShardPairs) and isinstance(held_out, ShardPairs):
        return bool(np.isin(training.indices, held_out.indices).any())
    return settings.train_side in (None, settings.validation_side)


def _leave_out(pairs: ShardPairs, kept: NDArray[np.bool_], why: str, report: Callable[[str], None]) -> None:
    if not kept.any():
        raise InputError(
            f"{pairs.patches.folder}: every patch is {why}, so nothing is left; change that in the configuration"
        )
    if not kept.all():
        report(f"{np.count_nonzero(~kept)} of {len(kept)} patches {why}: left out")
    pairs.keep(kept)
