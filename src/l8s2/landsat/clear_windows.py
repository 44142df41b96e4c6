"""The few windows of a scene on which it is measured: read once for every measure, whatever the size of the scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from l8s2 import masks
from l8s2.arrays import Float, Mask
from l8s2.landsat.native_pixels import NativePixels
from l8s2.sensors import VISIBLE

BLOCK = 128
"""MS pixels to a side that pan is compared in at a time, so that clouds without a flag spoil few of them."""
_WINDOW = 256
_CENTRES = ((0.35, 0.4), (0.4, 0.65), (0.65, 0.35), (0.6, 0.6))
_CLOUDY = masks.flag("cloud") | masks.flag("dilated_cloud") | masks.flag("cirrus")
_BRIGHT = 0.5
"""Reflectance of a visible band above which a pixel counts as cloud, flagged or not."""


@dataclass(frozen=True, kw_only=True)
class ClearWindow:
    """Pixels of a scene, and which of them are clear."""

    ms: Float
    """(6, h, w) surface reflectance; NaN where missing."""
    pan: Float | None
    """(2h, 2w) top-of-atmosphere reflectance; NaN where missing. None where most of it is."""
    clear: Mask
    """(h, w) True = no cloud."""


def clear_windows(scene: NativePixels) -> list[ClearWindow]:
    """Read up to four windows of 256 MS pixels along the diagonals of the scene; all of a small scene."""
    result = []
    for rows, columns in _places(scene.shape):
        pixels = scene.read(rows, columns)
        bright = np.nan_to_num(pixels.ms[VISIBLE].max(0)) > _BRIGHT
        has_pan = pixels.pan is not None and np.isfinite(pixels.pan).mean() >= 0.2
        clear = ((pixels.qa & _CLOUDY) == 0) & ~bright
        result.append(ClearWindow(ms=pixels.ms, pan=pixels.pan if has_pan else None, clear=clear))
    return result


def _places(shape: tuple[int, int]) -> list[tuple[slice, slice]]:
    if max(shape) <= 2 * _WINDOW:
        return [(slice(0, shape[0]), slice(0, shape[1]))]
    result = []
    for centre in _CENTRES:
        window = []
        for n, c in zip(shape, centre, strict=True):
            first = max(0, min(n - _WINDOW, int(c * n) - _WINDOW // 2))
            window.append(slice(first, min(n, first + _WINDOW)))
        result.append((window[0], window[1]))
    return result
