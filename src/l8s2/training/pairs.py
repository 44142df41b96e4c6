"""Crops of real pairs, turned and mirrored on the lattice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from l8s2.data.adapters import ShardPairs
from l8s2.data.dataset import Pairs, Sample, filled, on_lattice, open_pairs
from l8s2.errors import InputError
from l8s2.training import config
from l8s2.training.imagery import Batch

TIMES = {"ms": 1, "pan": 2, "truth": 3, "valid": 3}
"""Pixels of an image along a side of an MS pixel."""


class PairCrops:
    """A crop of every pair, in an order drawn anew for every epoch, at random places and orientations."""

    def __init__(self, pairs: Pairs, settings: config.Pairs, batch: int, seed: int, *, pan: bool) -> None:
        """``pan``: whether batches have it. Raises InputError where the first pair is too small, or without a wanted pan."""
        self.pairs, self.size, self.seed, self.pan = pairs, batch, seed, pan
        self.settings = settings
        self.epoch = -(-len(pairs) // batch)
        self.fingerprint = fingerprint(pairs, settings.folder)
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
        return batch.within(3 * self.settings.border)

    def _pair(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        sample = self.pairs[index]
        if not self.pan:
            sample = replace(sample, pan=None)
        sample = filled(on_lattice(sample))
        if self.pan and sample.pan is None:
            raise InputError(
                f"{sample.id}: has no pan; train a network without, such as compact-nopan, or leave it out"
            )
        side, shape = self.settings.size + self.settings.augment, sample.ms.shape[1:]
        if min(shape) < side:
            raise InputError(
                f"{sample.id}: {shape[0]} x {shape[1]} MS pixels; set data.pairs.size to {min(shape) - self.settings.augment} or less"
            )
        row, column = (int(rng.integers(n - side + 1)) for n in shape)
        turn = int(rng.integers(8))
        images = cut(sample, row, column, side)
        return {name: turned(x, TIMES[name], turn) for name, x in images.items()} if self.settings.augment else images


def cut(sample: Sample, row: int, column: int, side: int) -> dict[str, NDArray[np.generic]]:
    """The images by name, without a pan that is not there: a window of ``side`` MS pixels from ``row`` and ``column``."""
    images = {name: getattr(sample, name) for name in TIMES}
    return {
        name: image[..., k * row : k * (row + side), k * column : k * (column + side)]
        for name, k in TIMES.items()
        if (image := images[name]) is not None
    }


def turned(image: NDArray[np.generic], times: int, turn: int) -> NDArray[np.generic]:
    """One of the eight orientations of a square, without the MS pixel at the far end of each axis.

    An MS pixel owns 10 m pixels at -5, 5 and 15 m from its centre and pan samples at 0 and 15 m. Mirrored that would be -15, -5, 5
    and -15, 0: the first of them belongs to the MS pixel before, and the last MS pixel lacks one.

    Args:
        image: (..., times * n, times * n).
        times: 1 for MS, 2 for pan, 3 for 10 m.
        turn: 0 to 7; mirrored along rows (1), along columns (2), rows and columns exchanged before (4).

    Returns:
        (..., times * (n - 1), times * (n - 1)), each pixel where the rule wants it.
    """
    if turn & 4:
        image = image.swapaxes(-2, -1)
    for axis, mirrored in ((-2, turn & 1), (-1, turn & 2)):
        count = image.shape[axis]
        at = np.arange(count - times)
        image = image.take(count - 1 - (at + (times > 1)) if mirrored else at, axis)
    return image


def shuffled(count: int, size: int, seed: int, step: int) -> NDArray[np.int64]:
    """(size,) which of ``count`` pairs are in the batch of ``step``: each once an epoch, the last batch filled up."""
    epoch, position = divmod(step, -(-count // size))
    order = np.random.default_rng((seed, epoch)).permutation(count)
    return np.take(order, range(position * size, (position + 1) * size), mode="wrap")


def fingerprint(pairs: Pairs, folder: Path) -> str:
    """Of the pairs of a set that l8s2 has built; of anything else, of the names and sizes of all files in ``folder``."""
    if isinstance(pairs, ShardPairs):
        return pairs.fingerprint
    files = sorted((p.relative_to(folder).as_posix(), p.stat().st_size) for p in folder.rglob("*") if p.is_file())
    return hashlib.sha256(repr(files).encode()).hexdigest()


def open_sides(settings: config.Pairs, *, pan: bool, report: Callable[[str], None]) -> tuple[Pairs, Pairs | None]:
    """The pairs to train on, and those held out.

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
            f"data.pairs: train_side {settings.train_side or 'null'} holds patches of validation_side {settings.validation_side};"
            " give sides that have none in common, or validation_side null"
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


def _common(training: Pairs, held_out: Pairs, settings: config.Pairs) -> bool:
    """Whether a pair is on both sides."""
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
