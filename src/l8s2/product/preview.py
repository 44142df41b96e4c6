"""A small picture of a product: the 30 m input beside the 10 m output, in true colour with one stretch."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from l8s2.grid import Known

WIDTH = 1600
"""Largest width of the whole picture, and largest height, pixels."""
SEPARATOR = 4
_PERCENTILES = (1.0, 98.5)
_GAMMA = 1.4

Side = Literal["before", "after"]


class Preview:
    """Averages true colour into cells of a few pixels, window by window, so that a scene never lies in memory."""

    def __init__(self, shape: tuple[int, int]) -> None:
        """``shape``: rows, columns of the product."""
        step = max(1, math.ceil(shape[1] / ((WIDTH - SEPARATOR) // 2)), math.ceil(shape[0] / WIDTH))
        self.level = max(step.bit_length() - 2, 0)
        """The output is best given reduced so many times by two."""
        self.step = math.ceil(step / (1 << self.level)) << self.level
        self.shape = (math.ceil(shape[0] / self.step), math.ceil(shape[1] / self.step))
        self._totals: dict[Side, NDArray[np.int64]] = {}
        self._counts: dict[Side, NDArray[np.int64]] = {}
        self._lock = threading.Lock()

    def add(
        self, side: Side, top: int, left: int, pixel: int, rgb: NDArray[np.int16], known: NDArray[np.bool_]
    ) -> None:
        """Take in a window, in any order.

        Args:
            side: of the picture.
            top: first row, in pixels of the product.
            left: first column, in pixels of the product.
            pixel: pixels of the product from one sample to the next.
            rgb: red, green, blue (3, h, w).
            known: where they are known (h, w).
        """
        at_rows, in_rows = self._cells(top, pixel, known.shape[0])
        at_columns, in_columns = self._cells(left, pixel, known.shape[1])
        values = np.where(known, rgb, 0).astype(np.int64)
        totals = np.add.reduceat(np.add.reduceat(values, in_rows, axis=1), in_columns, axis=2)
        counts = np.add.reduceat(np.add.reduceat(known.astype(np.int64), in_rows, axis=0), in_columns, axis=1)
        with self._lock:
            if side not in self._totals:
                self._totals[side] = np.zeros((3, *self.shape), np.int64)
                self._counts[side] = np.zeros(self.shape, np.int64)
            self._totals[side][:, at_rows, at_columns] += totals
            self._counts[side][at_rows, at_columns] += counts

    def _cells(self, start: int, pixel: int, number: int) -> tuple[slice, NDArray[np.intp]]:
        """Return the cells that samples touch, and where each begins among the samples."""
        cells = (start + pixel * np.arange(number)) // self.step
        return slice(int(cells[0]), int(cells[-1]) + 1), np.flatnonzero(np.diff(cells, prepend=-1))

    @property
    def known(self) -> Known:
        """Where the output is known, in cells of the picture."""
        counts = self._counts.get("after")
        return Known(np.zeros(self.shape, bool) if counts is None else counts > 0, self.step)

    def save(self, path: Path) -> None:
        """Write a PNG, transparent where nothing is known: before | after, or the output alone."""
        from PIL import Image

        sides: list[Side] = [side for side in ("before", "after") if side in self._totals]
        pictures = [self._totals[side] / np.maximum(self._counts[side], 1) for side in sides]
        known = [self._counts[side] > 0 for side in sides]
        samples = [picture[:, mask].ravel() for picture, mask in zip(pictures, known, strict=True) if mask.any()]
        low, high = np.percentile(np.concatenate(samples), _PERCENTILES) if samples else (0.0, 1.0)
        low = max(low, 0.0)
        separator = np.full((self.shape[0], SEPARATOR, 4), 255, np.uint8)
        row: list[NDArray[np.uint8]] = []
        for picture, mask in zip(pictures, known, strict=True):
            light = np.clip((picture - low) / max(high - low, 1), 0, 1) ** (1 / _GAMMA)
            rgba = np.concatenate([light * mask, mask[None]])
            row += [separator, np.rint(255 * rgba).astype(np.uint8).transpose(1, 2, 0)]
        image = np.concatenate(row[1:] or [np.zeros((*self.shape, 4), np.uint8)], axis=1)
        Image.fromarray(np.ascontiguousarray(image)).save(path, format="PNG", compress_level=3)
