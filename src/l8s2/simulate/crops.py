"""Sentinel-2 imagery in memory, and endless simulated crops of it.

A file is an ``.npz`` with ``x10`` int16 [N, 4, H, W] = B02, B03, B04, B08 and ``x20`` int16 [N, 3, h, w] = B8A, B11,
B12 (reflectance x 10^4, -32768 nodata, offset removed), or ``x`` int16 [N, 6, H, W] of one ground sampling distance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from l8s2.arrays import Float
from l8s2.optics import resample
from l8s2.sensors import N_BANDS, NATIVE_10M, NATIVE_20M
from l8s2.simulate import Conditions, observe
from l8s2.simulate.archives import _MSI_SIGMA, Image
from l8s2.simulate.augmentation import other_world, random_veil, with_stranger


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Pairs, NaN-free; float32. Either native, or ms and pan already at 10 m like the truth."""

    ms: Float
    """(B, 6, h, w) reflectance."""
    pan: Float | None
    """(B, 1, 2h, 2w) reflectance; at 10 m (B, 1, h, w); None where the network wants none."""
    truth: Float
    """(B, 6, 3h, 3w) reflectance; at 10 m (B, 6, h, w)."""
    valid: np.ndarray
    """Of the truth's shape, bool, True = counts in the loss."""

    def within(self, border: int) -> Batch:
        """The same, of which ``border`` 10 m pixels on every side do not count."""
        counts = np.zeros_like(self.valid)
        inner = np.s_[..., border : counts.shape[-2] - border, border : counts.shape[-1] - border]
        counts[inner] = self.valid[inner]
        return replace(self, valid=counts)


class Crops:
    """Endless simulated crops; the batch of step n depends on (seed, n) alone, so training can resume anywhere."""

    def __init__(
        self, images: list[Image], *, size: int, batch: int, seed: int, disturbed: bool = False, untidy: bool = False
    ) -> None:
        """``size``: MS pixels to a side of a crop."""
        self.images = [image for image in images if min(image.stack.shape[1:]) >= 3 * size * image.smallest_scale]
        self.size, self.batch, self.seed = size, batch, seed
        self.disturbed, self.untidy = disturbed, untidy
        # a place counts by the root of its ground, an image of a place by an equal share
        area = {i.place: i.stack[0].size for i in self.images}
        count = {p: sum(i.place == p for i in self.images) for p in area}
        weight = np.array([np.sqrt(area[i.place] * min(count[i.place], 12)) / count[i.place] for i in self.images])
        self.weight = weight / weight.sum()

    def __call__(self, step: int, part: slice = slice(None)) -> Batch:
        """Pairs ``part`` of the batch of ``step``; each depends on the seed, the step and its number alone."""
        rngs = [np.random.default_rng((self.seed, step, number)) for number in range(self.batch)[part]]
        pairs = [self._pair(self.images[rng.choice(len(self.images), p=self.weight)], rng) for rng in rngs]
        ms, pan, truth, valid = (np.stack(parts) for parts in zip(*pairs, strict=True))
        return Batch(ms=ms, pan=pan[:, None], truth=truth, valid=valid)

    def _pair(self, image: Image, rng: np.random.Generator) -> tuple[Float, Float, Float, np.ndarray]:
        truth, finite = self._world(image, rng)
        if rng.random() < 0.25:
            stranger, _ = self._world(self.images[rng.choice(len(self.images), p=self.weight)], rng)
            truth = with_stranger(truth, stranger, rng)
        conditions = Conditions.random(rng, disturbed=self.disturbed, untidy=self.untidy)
        veil = random_veil(truth.shape, rng) if rng.random() < 0.3 else None
        if veil is not None:
            truth = truth + veil
        seen = observe(truth, conditions, rng, veil=veil)
        valid = finite & np.array(image.known_bands)[:, None, None]
        return seen.ms, seen.pan, truth, valid

    def _world(self, image: Image, rng: np.random.Generator) -> tuple[Float, np.ndarray]:
        """A (6, 3 size, 3 size) truth cut from ``image``, half the time with coarser pixels playing finer ones."""
        side = 3 * self.size
        largest = min(min(image.stack.shape[1:]) / side, 3.0)
        scale = image.smallest_scale
        if rng.random() < 0.5 and largest > 1.15:
            scale = rng.uniform(max(1.15, scale), largest)
        span = int(np.ceil(scale * side))
        row, column = (int(rng.integers(0, n - span + 1)) for n in image.stack.shape[1:])
        cut = image.stack[:, row : row + span, column : column + span]
        finite = np.isfinite(cut)
        if not finite.all():
            mean = np.where(finite, cut, 0).sum((1, 2)) / np.maximum(finite.sum((1, 2)), 1)
            cut = np.where(finite, cut, mean[:, None, None]).astype(np.float32)
        positions = (np.arange(side) + 0.5) * scale - 0.5
        blurs = [
            np.sqrt(max((new * scale) ** 2 - old**2, 0.0)) for new, old in zip(_MSI_SIGMA, image.sigma, strict=True)
        ]
        if scale == 1.0 and max(blurs) == 0:
            world = cut
        else:
            world = np.concatenate(
                [
                    resample(cut[NATIVE_10M], positions, positions, blurs[0]),
                    resample(cut[NATIVE_20M], positions, positions, blurs[1]),
                ]
            )
        nearest = np.clip(np.round(positions).astype(int), 0, span - 1)
        finite = finite[:, nearest][:, :, nearest]
        if not finite.all():
            finite = _shrink(finite, 8)
        world = np.rot90(world, k := int(rng.integers(4)), axes=(1, 2))
        finite = np.rot90(finite, k, axes=(1, 2))
        if rng.random() < 0.5:
            world, finite = world[:, :, ::-1], finite[:, :, ::-1]
        # brightness of the whole world, the same in every band to first order
        gain = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.05, (N_BANDS, 1, 1)))
        world = world * gain
        if rng.random() < 0.35:
            world = other_world(world, rng)
        return np.ascontiguousarray(world, dtype=np.float32), np.ascontiguousarray(finite)


def _shrink(mask: np.ndarray, radius: int) -> np.ndarray:
    """Erode (6, H, W) by ``radius`` pixels so that nothing guessed is near a target."""
    window = np.ones(2 * radius + 1)
    bad = ~mask
    for axis in (1, 2):
        bad = np.apply_along_axis(lambda v: np.convolve(v, window, "same") > 0, axis, bad)
    return ~bad
