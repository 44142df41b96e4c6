"""Batches of image pairs, and endless crops simulated from Sentinel-2 imagery."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from l8s2.arrays import Float
from l8s2.optics import resample
from l8s2.sensors import N_BANDS, NATIVE_10M, NATIVE_20M
from l8s2.simulate import Conditions, observe
from l8s2.simulate.archives import MSI_SIGMA, Image
from l8s2.simulate.augmentation import add_foreign_detail, random_haze, vary_band_contrast


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Image pairs stacked, float32, without NaN. Either native, or ms and pan already at 10 m like the truth."""

    ms: Float
    """(B, 6, h, w) reflectance."""
    pan: Float | None
    """(B, 1, 2h, 2w) reflectance; at 10 m (B, 1, h, w); None where the network uses none."""
    truth: Float
    """(B, 6, 3h, 3w) reflectance; at 10 m (B, 6, h, w)."""
    valid: np.ndarray
    """Mask of the truth's shape, bool, True = usable: it counts in the loss."""

    def within(self, border: int) -> Batch:
        """Return the batch with ``border`` 10 m pixels on every side invalid."""
        counts = np.zeros_like(self.valid)
        inner = np.s_[..., border : counts.shape[-2] - border, border : counts.shape[-1] - border]
        counts[inner] = self.valid[inner]
        return replace(self, valid=counts)


class Crops:
    """Endless simulated crops; the batch of step n depends on (seed, n) alone, so training can resume anywhere."""

    def __init__(
        self, images: list[Image], *, size: int, batch: int, seed: int, disturbed: bool = False, untidy: float = 0
    ) -> None:
        """Weigh the images.

        Args:
            images: to cut from; those that are too small are left out.
            size: MS pixels to a side of a crop.
            batch: crops to a batch.
            seed: of everything that is drawn.
            disturbed: add radiometric errors, see ``Conditions.random``.
            untidy: share of the crops in which the sensors differ as real ones do, see ``Conditions.random``.
        """
        self.images = [image for image in images if min(image.stack.shape[1:]) >= 3 * size * image.smallest_scale]
        self.size, self.batch, self.seed = size, batch, seed
        self.disturbed, self.untidy = disturbed, untidy
        # a site counts by the root of its ground, an image of a site by an equal share
        area = {i.site: i.stack[0].size for i in self.images}
        count = {site: sum(i.site == site for i in self.images) for site in area}
        weight = np.array([np.sqrt(area[i.site] * min(count[i.site], 12)) / count[i.site] for i in self.images])
        self.weight = weight / weight.sum()

    def __call__(self, step: int, part: slice = slice(None)) -> Batch:
        """Return pairs ``part`` of the batch of ``step``; each depends on the seed, the step and its number alone."""
        rngs = [np.random.default_rng((self.seed, step, number)) for number in range(self.batch)[part]]
        pairs = [self._pair(self.images[rng.choice(len(self.images), p=self.weight)], rng) for rng in rngs]
        ms, pan, truth, valid = (np.stack(parts) for parts in zip(*pairs, strict=True))
        return Batch(ms=ms, pan=pan[:, None], truth=truth, valid=valid)

    def _pair(self, image: Image, rng: np.random.Generator) -> tuple[Float, Float, Float, np.ndarray]:
        truth, finite = self._truth(image, rng)
        if rng.random() < 0.25:
            foreign, _ = self._truth(self.images[rng.choice(len(self.images), p=self.weight)], rng)
            truth = add_foreign_detail(truth, foreign, rng)
        conditions = Conditions.random(rng, disturbed=self.disturbed, untidy=rng.random() < self.untidy)
        haze = random_haze(truth.shape, rng) if rng.random() < 0.3 else None
        if haze is not None:
            truth = truth + haze
        seen = observe(truth, conditions, rng, veil=haze)
        valid = finite & np.array(image.known_bands)[:, None, None]
        return seen.ms, seen.pan, truth, valid

    def _truth(self, image: Image, rng: np.random.Generator) -> tuple[Float, np.ndarray]:
        """Cut a truth (6, 3 size, 3 size) and its mask, half the time with coarser pixels playing finer ones."""
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
            np.sqrt(max((new * scale) ** 2 - old**2, 0.0)) for new, old in zip(MSI_SIGMA, image.sigma, strict=True)
        ]
        if scale == 1.0 and max(blurs) == 0:
            truth = cut
        else:
            truth = np.concatenate(
                [
                    resample(cut[NATIVE_10M], positions, positions, blurs[0]),
                    resample(cut[NATIVE_20M], positions, positions, blurs[1]),
                ]
            )
        nearest = np.clip(np.round(positions).astype(int), 0, span - 1)
        finite = finite[:, nearest][:, :, nearest]
        if not finite.all():
            finite = _shrink(finite, 8)
        truth = np.rot90(truth, k := int(rng.integers(4)), axes=(1, 2))
        finite = np.rot90(finite, k, axes=(1, 2))
        if rng.random() < 0.5:
            truth, finite = truth[:, :, ::-1], finite[:, :, ::-1]
        # brightness of the whole crop, the same in every band to first order
        gain = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.05, (N_BANDS, 1, 1)))
        truth = truth * gain
        if rng.random() < 0.35:
            truth = vary_band_contrast(truth, rng)
        return np.ascontiguousarray(truth, dtype=np.float32), np.ascontiguousarray(finite)


def _shrink(mask: np.ndarray, radius: int) -> np.ndarray:
    """Erode (6, H, W) by ``radius`` pixels so that nothing guessed is near a target."""
    window = np.ones(2 * radius + 1)
    bad = ~mask
    for axis in (1, 2):
        bad = np.apply_along_axis(lambda v: np.convolve(v, window, "same") > 0, axis, bad)
    return ~bad
