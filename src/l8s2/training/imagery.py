"""Sentinel-2 imagery in memory, and endless simulated crops of it.

A file is an ``.npz`` with ``x10`` int16 [N, 4, H, W] = B02, B03, B04, B08 and ``x20`` int16 [N, 3, h, w] = B8A, B11,
B12 (reflectance x 10^4, -32768 nodata, offset removed), or ``x`` int16 [N, 6, H, W] of one ground sampling distance.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from l8s2 import sensors
from l8s2.simulate import Conditions, observe, resample, sentinel2_stack
from l8s2.simulate.optics import Float
from l8s2.training.augmentation import other_world, random_veil, with_stranger

VALIDATION = ("dsen2_T33UUB", "dsen2_mock", "pampas", "bigearthnet6", "sundarbans")
"""Places no network is trained on."""
CALIBRATION = {"stest_virginia": (0.82, 1.0), "aberystwyth": (0.72, 1.0), "okavango": (0.8, 1.0)}
"""Strips (fractions of the height) kept out of training to scale sigma; a gap of 5 % is used for nothing."""
UNUSED = ("barkbeetle", "berlin_krull")
"""Chips too small to crop; a nearest-neighbour staircase."""

_NODATA = -32768
_MSI_SIGMA = (0.52, 1.03)
"""Sharpness of Sentinel-2's 10 m and 20 m bands, Gaussian sigma in 10 m pixels."""
_NATIVE_SIGMA = {
    # sharpness of files whose pixels are not Sentinel-2's own, sigma in pixels of the file (10 m bands, 20 m bands)
    "aquileia": (0.52, 0.74),
    "sachrang": (0.90, 1.54),
    "hls_water": (0.50, 0.50),
}
_SMALLEST_SCALE = {"sachrang": 1.5}


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image as a stack of the six bands on one grid."""

    place: str
    stack: Float
    """(6, H, W) reflectance; NaN is nodata. Missing bands hold a stand-in."""
    known_bands: tuple[bool, ...]
    """False where the band is only a stand-in: input, but never a target."""
    sigma: tuple[float, float] = _MSI_SIGMA
    """Sharpness of the 10 m and of the 20 m bands, Gaussian sigma in pixels."""
    smallest_scale: float = 1.0
    index: int = 0
    """Number of the image in its file."""


def load(path: Path) -> list[Image]:
    """Every image of one file."""
    place = path.stem.removesuffix("_L1C").removesuffix("_L2A").removesuffix("_30m")
    key = next((k for k in _NATIVE_SIGMA if place.startswith(k)), "")
    with np.load(path, allow_pickle=False) as archive:
        meta = json.loads(str(archive["meta"]))
        missing = set(meta.get("missing", []))
        known = tuple(band.sentinel2 not in missing for band in sensors.BANDS)
        if "x" in archive:
            stacks = [_reflectance(x) for x in archive["x"]]
        else:
            stacks = [_stack(*pair, known) for pair in zip(archive["x10"], archive["x20"], strict=True)]
    return [
        Image(
            place=place,
            stack=stack,
            known_bands=known,
            sigma=_NATIVE_SIGMA.get(key, _MSI_SIGMA),
            smallest_scale=_SMALLEST_SCALE.get(key, 1.0),
            index=index,
        )
        for index, stack in enumerate(stacks)
        if np.isfinite(stack).all(0).mean() > 0.3
    ]


def _reflectance(dn: np.ndarray) -> Float:
    return np.where(dn == _NODATA, np.nan, dn * np.float32(1e-4)).astype(np.float32)


def _stack(x10: np.ndarray, x20: np.ndarray, known: tuple[bool, ...]) -> Float:
    """Visible bands, then nir08, swir16, swir22 at 10 m, missing ones replaced by something plausible."""
    fine, coarse = _reflectance(x10), _reflectance(x20)
    if coarse.shape[-2:] != fine.shape[-2:]:
        height, width = (min(f // 2, c) for f, c in zip(fine.shape[-2:], coarse.shape[-2:], strict=True))
        fine, coarse = fine[:, : 2 * height, : 2 * width], coarse[:, :height, :width]
    stand_in = (fine[3], 0.5 * (fine[3] + fine[2]), 0.3 * fine[3] + 0.7 * fine[2])
    rows, columns = (np.arange(n, dtype=np.float64) for n in fine.shape[-2:])
    if all(known[3:]) and np.isfinite(coarse).all():
        return sentinel2_stack(fine[:3], coarse)
    late = coarse
    if coarse.shape[-2:] != fine.shape[-2:]:  # nodata or missing bands forbid interpolation
        late = np.repeat(np.repeat(coarse, 2, 1), 2, 2)
    late = np.stack(
        [b if ok else resample(s, rows, columns, 0.9) for b, s, ok in zip(late, stand_in, known[3:], strict=True)]
    )
    return np.concatenate([fine[:3], late]).astype(np.float32)


def load_folder(folder: Path) -> tuple[list[Image], list[Image], list[Image]]:
    """All images of a folder as (training, calibration, validation), split by place."""
    training: list[Image] = []
    calibration: list[Image] = []
    validation: list[Image] = []
    for path in sorted(folder.glob("*.npz")):
        if path.name.startswith(UNUSED):
            continue
        for image in load(path):
            strip = next((s for k, s in CALIBRATION.items() if image.place.startswith(k)), None)
            if image.place.startswith(VALIDATION):
                validation.append(image)
            elif strip is None:
                training.append(image)
            else:
                first, last = (int(f * image.stack.shape[1]) for f in (strip[0], strip[1]))
                gap = int(0.05 * image.stack.shape[1])
                calibration.append(_rows(image, first, last))
                training.append(_rows(image, 0, first - gap))
    if not training:
        raise FileNotFoundError(f"{folder}: no .npz imagery to train on; give the folder that holds x10/x20 archives")
    return training, calibration, validation


def _rows(image: Image, first: int, last: int) -> Image:
    return replace(image, stack=image.stack[:, first:last])


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
                [resample(cut[:3], positions, positions, blurs[0]), resample(cut[3:], positions, positions, blurs[1])]
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
        gain = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.05, (6, 1, 1)))
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
