"""What is read of a product at full resolution: up to 36 blocks, evenly spread, so that no scene takes long."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as product_of
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from l8s2 import grid, masks
from l8s2.arrays import Float, Mask, Values
from l8s2.cog import BLOCK
from l8s2.masks import Bits
from l8s2.progress import Progress
from l8s2.radiometry import LEVEL_ABSOLUTE, LEVEL_RELATIVE, NODATA, decoded
from l8s2.report.consistency import Differences, differences
from l8s2.report.counts import Counts
from l8s2.report.finished import Finished, number
from l8s2.report.landsat_input import Before, joined
from l8s2.sensors import BAND_NAMES, N_BANDS

A_SIDE = 6
"""Blocks along each axis at most."""
DETAIL = 180
"""10 m pixels to a side of the detail that is shown; whole MS pixels."""
_STRONGEST = 0.02
"""Reflectance from one pixel to the next beyond which a contour counts no more: one roof is no texture."""
_BRIGHTEST = 0.3
"""Red reflectance above which ground may be a cloud that has no flag."""
_TEXTURE = [BAND_NAMES.index(name) for name in ("red", "swir16")]
_NO_TEXTURE = masks.flag("do_not_trust") | masks.flag("out_of_range") | masks.flag("near_fill")


class Place(NamedTuple):
    """A window of the product."""

    rows: slice
    columns: slice


class Sampled:
    """Everything that is counted over the blocks."""

    def __init__(self, product: Finished, before: Sequence[Before], progress: Progress) -> None:
        """Read the blocks. Raises InputError where a file is damaged.

        ``before``: every scene of the product; empty where the input is not at hand.
        """
        self.output, self.input = Counts(), Counts()
        """Reflectance of the clear pixels; of the input of the same pixels."""
        self.total, self.level, self.detail = Counts(), Counts(), Counts()
        """Standard error of the same pixels, and its parts."""
        self.in_all, self.blocks = _places(product)
        """Blocks with data, and those of them that are read."""
        self.differences = [Differences() for _ in before]
        """Of each scene, where no other one has data: elsewhere the product does not tell of which scene it is."""
        self.best: Place | None = None
        """The clearest textured place; None where nothing is clear."""
        self._score = 0.0
        self._product, self._before = product, before
        self._levels = _levels(product)
        for done, place in enumerate(self.blocks, 1):
            self._take(place)
            progress(done * BLOCK**2, len(self.blocks) * BLOCK**2, "measuring")

    @property
    def has_input(self) -> bool:
        """Whether any pixel of the input was counted."""
        return self.input.n > 0

    def _take(self, place: Place) -> None:
        samples = self._product.read("surface_reflectance", *place)
        bits = self._product.read("qa", *place)[0]
        reflectance = decoded(samples)
        clear = masks.usable(bits) & np.isfinite(reflectance).all(0)
        self._look_for_texture(place, reflectance, clear & ((bits & _NO_TEXTURE) == 0))
        if not clear.any():
            return
        self.output.add(reflectance[:, clear])
        if self._product.sigma_kind != "none":
            self._take_sigma(place, reflectance, clear)
        if self._before:
            self._compare(place, reflectance, clear)

    def _take_sigma(self, place: Place, reflectance: Float, clear: Mask) -> None:
        sigma = decoded(self._product.read("sigma", *place))[:, clear]
        if self._levels is None:
            self.total.add(sigma)
            return
        absolute, relative = self._levels
        level = np.hypot(absolute, relative * reflectance[:, clear])
        is_detail = self._product.sigma_kind == "detail"
        self.level.add(level)
        self.detail.add(sigma if is_detail else np.sqrt(np.maximum(sigma**2 - level**2, 0)))
        self.total.add(np.hypot(sigma, level) if is_detail else sigma)

    def _compare(self, place: Place, reflectance: Float, clear: Mask) -> None:
        read = [scene.read(*place) for scene in self._before]
        self.input.add(joined([under for under, _ in read])[:, clear])
        for i, (scene, (_, pixels)) in enumerate(zip(self._before, read, strict=True)):
            if pixels is not None:
                others = [under for j, (under, _) in enumerate(read) if j != i]
                self.differences[i].add(differences(scene, place, pixels, reflectance, others))

    def _look_for_texture(self, place: Place, reflectance: Float, clear: Mask) -> None:
        """Note the square with the strongest contours; a pixel that is not ``clear`` outweighs three contours.

        Of red and swir16 the weaker contour counts: haze has none in swir16.
        """
        side = tuple(min(DETAIL, n) for n in self._product.shape)
        if any(n < m for n, m in zip(clear.shape, side, strict=True)):
            return
        image = np.nan_to_num(reflectance[_TEXTURE])
        down, right = (np.diff(image, axis=axis, append=image.take([-1], axis)) for axis in (1, 2))
        contours = np.minimum(np.hypot(down, right).min(0), _STRONGEST)
        seen = clear & (image[0] < _BRIGHTEST)
        sums = _sums(np.where(seen, contours, -3 * _STRONGEST), side)
        first = next((scene.first for scene in self._before if scene.first is not None), (0, 0))
        top, left = ((-(s.start + f)) % grid.BLOCK for s, f in zip(place, first, strict=True))
        starts = sums[top :: grid.BLOCK, left :: grid.BLOCK]
        if starts.size and starts.max() > self._score:
            row, column = np.unravel_index(int(starts.argmax()), starts.shape)
            at = (place.rows.start + top + grid.BLOCK * int(row), place.columns.start + left + grid.BLOCK * int(column))
            self._score = float(starts.max())
            self.best = Place(*(slice(n, n + m) for n, m in zip(at, side, strict=True)))


def _sums(values: Float, side: tuple[int, ...]) -> Values:
    """Return the sums over every window of ``side`` that lies inside."""
    height, width = side
    total = np.pad(values.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    return np.asarray(
        total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    )


def _places(product: Finished) -> tuple[int, list[Place]]:
    """Count the blocks of the files that hold data, and choose some of them, evenly spread."""
    grid_of_blocks = tuple(-(-n // BLOCK) for n in product.shape)
    known = product.reduced("surface_reflectance", [0], (grid_of_blocks[0], grid_of_blocks[1]))[0] != NODATA
    places = [
        Place(*(slice(BLOCK * i, min(BLOCK * (i + 1), n)) for i, n in zip(at, product.shape, strict=True)))
        for at in product_of(*(_spread(np.flatnonzero(known.any(axis))) for axis in (1, 0)))
        if known[at]
    ]
    return int(known.sum()), places


def _spread(blocks: NDArray[np.intp]) -> list[int]:
    """Choose at most ``A_SIDE``, evenly."""
    parts = min(A_SIDE, len(blocks))
    return [int(blocks[int((i + 0.5) * len(blocks) / parts)]) for i in range(parts)]


def _levels(product: Finished) -> tuple[Float, Float] | None:
    """Return the disagreement in level that the Item states, absolute and relative (6, 1); None where it does not."""
    if product.sigma_kind == "detail":
        said: list[object] = [list(LEVEL_ABSOLUTE), list(LEVEL_RELATIVE)]
    else:
        said = [product.item.facts("l8s2:sigma").get(name) for name in ("level_absolute", "level_relative")]
    parts = [[number(v) for v in part] if isinstance(part, list) else [] for part in said]
    if any(len(part) != N_BANDS or None in part for part in parts):
        return None
    absolute, relative = (np.array(part, np.float32)[:, None] for part in parts)
    return absolute, relative


def count_bits(product: Finished, progress: Progress) -> tuple[dict[str, int], int, int]:
    """Count all pixels with each bit, those with none, and those that ``masks.usable`` calls clear."""
    height, width = product.shape
    counts = np.zeros(1 << 16, np.int64)
    for top in range(0, height, BLOCK):
        rows = slice(top, min(top + BLOCK, height))
        bits: Bits = product.read("qa", rows, slice(0, width))
        counts += np.bincount(bits.ravel(), minlength=1 << 16)
        progress(rows.stop * width, height * width, "counting quality bits")
    values = np.arange(1 << 16, dtype=np.uint16)
    each = {bit.name: int(counts[values & (1 << bit.bit) > 0].sum()) for bit in masks.QA_BITS}
    return each, int(counts[0]), int(counts[masks.usable(values)].sum())
