"""A small picture of a product: the 30 m input beside the 10 m output, in true colour with one stretch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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
        self.step = max(1, math.ceil(shape[1] / ((WIDTH - SEPARATOR) // 2)), math.ceil(shape[0] / WIDTH))
        self.shape = (math.ceil(shape[0] / self.step), math.ceil(shape[1] / self.step))
        self._totals: dict[Side, NDArray[np.int64]] = {}
        self._counts: dict[Side, NDArray[np.int64]] = {}

    def add(self, side: Side, rows: slice, columns: slice, rgb: NDArray[np.int16], known: NDArray[np.bool_]) -> None:
        """Take in a window: red, green, blue (3, h, w) and where they are known (h, w); windows in any order."""
        if side not in self._totals:
            self._totals[side] = np.zeros((3, *self.shape), np.int64)
            self._counts[side] = np.zeros(self.shape, np.int64)
        (at_rows, in_rows), (at_columns, in_columns) = self._cells(rows), self._cells(columns)
        values = np.where(known, rgb, 0).astype(np.int64)
        totals = np.add.reduceat(np.add.reduceat(values, in_rows, axis=1), in_columns, axis=2)
        counts = np.add.reduceat(np.add.reduceat(known.astype(np.int64), in_rows, axis=0), in_columns, axis=1)
        self._totals[side][:, at_rows, at_columns] += totals
        self._counts[side][at_rows, at_columns] += counts

    def _cells(self, window: slice) -> tuple[slice, NDArray[np.intp]]:
        """Return the cells that a window touches, and where each begins in the window."""
        first, last = window.start // self.step, (window.stop - 1) // self.step
        starts = np.arange(first, last + 1) * self.step - window.start
        return slice(first, last + 1), np.maximum(starts, 0)

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
        Image.fromarray(np.ascontiguousarray(image)).save(path, format="PNG")
