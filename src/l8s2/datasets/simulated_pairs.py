"""Image pairs simulated from whole Sentinel-2 images: under the conditions of validation, or under random ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from l8s2.datasets.image_pair import ImagePair, Lattice
from l8s2.radiometry import ZENITH
from l8s2.simulate import Conditions, observe
from l8s2.simulate.archives import Image


def validation_conditions(*, disturbed: bool, seed: int, untidy: bool = False) -> Conditions:
    """Return the nominal sensor with noise and a hazy pan.

    Args:
        disturbed: add the radiometric errors that no network can undo.
        seed: of these errors.
        untidy: draw everything instead, as two real sensors differ.
    """
    if untidy:
        return Conditions.random(np.random.default_rng(seed), disturbed=disturbed, untidy=True)
    nominal = Conditions(noise=1.0, pan_gain=0.8, pan_offset=0.04)
    if not disturbed:
        return nominal
    drawn = Conditions.random(np.random.default_rng(seed), disturbed=True)
    return replace(nominal, gain=drawn.gain, offset=drawn.offset, tilt=drawn.tilt)


def simulate_pair(image: Image, conditions: Conditions, seed: int) -> ImagePair:
    """Return an image, cut to whole MS pixels, as truth of what Landsat would see of it.

    Args:
        image: of an archive. Bands that it does not have are input, and never valid.
        conditions: of the observation.
        seed: of noise and everything else that is drawn.
    """
    height, width = (3 * (n // 3) for n in image.stack.shape[1:])
    truth = image.stack[:, :height, :width]
    seen = observe(truth, conditions, np.random.default_rng(seed))
    return ImagePair(
        ms=seen.ms,
        pan=seen.pan,
        truth=truth,
        valid=np.isfinite(truth) & np.array(image.known_bands)[:, None, None],
        bands_known=image.known_bands,
        id=image.name or f"{image.site}_{image.index:03d}",
        lattice=Lattice(),
        site=image.site,
        sun_elevation=ZENITH,
    )


class SimulatedPairs:
    """One pair of each image under the conditions of validation; the index is the seed."""

    def __init__(self, images: Sequence[Image], *, disturbed: bool = False, untidy: bool = False) -> None:
        self.images, self.disturbed, self.untidy = images, disturbed, untidy

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> ImagePair:
        conditions = validation_conditions(disturbed=self.disturbed, seed=index, untidy=self.untidy)
        return simulate_pair(self.images[index], conditions, index)


class RandomlySimulatedPairs:
    """Three pairs of each image under random conditions: noise, haze, optics, jitter.

    ``untidy``: as ``Conditions.random``.
    """

    DRAWS = 3

    def __init__(self, images: Sequence[Image], *, untidy: bool = False) -> None:
        self.images, self.untidy = images, untidy

    def __len__(self) -> int:
        return self.DRAWS * len(self.images)

    def __getitem__(self, index: int) -> ImagePair:
        number, draw = divmod(range(len(self))[index], self.DRAWS)
        conditions = Conditions.random(np.random.default_rng((number, draw)), untidy=self.untidy)
        return simulate_pair(self.images[number], conditions, draw)
