"""Where the content of pan lies against the 30 m bands of a scene."""

from __future__ import annotations

from typing import Any

import numpy as np

from l8s2 import masks
from l8s2.arrays import windows
from l8s2.grid import ms_centres_at_15m
from l8s2.landsat.scene import Scene
from l8s2.optics import resample
from l8s2.registration import measure_shift
from l8s2.sensors import MS_GSD, OLI, PAN_BLUR, VISIBLE

PAN_SHIFT = (3.0, 7.5)
"""Metres between pan and MS from which a scene gets ``warn``, and ``fail``.

Landsat's band-to-band registration is specified to 4.5 m; 7.5 m is half a pixel of pan."""
_PATCH = 256
_PATCHES = 4
_BLOCK = 128
"""MS pixels to a side that are measured at a time, so that clouds without a flag spoil few of them."""


def measure_pan_shift(scene: Scene) -> dict[str, Any] | None:
    """Measure where the content of pan lies against the visible bands, metres (down, right).

    Median over the cloud-free blocks of up to four windows; None without pan. ``verdict`` is ``good``, ``doubtful``,
    ``bad`` or ``unknown`` where there is nothing to compare.
    """
    if scene.pan is None:
        return None
    found = []
    for rows, columns in _windows(scene.shape):
        pixels = scene.read(rows, columns)
        if pixels.pan is None:
            continue
        cloudy = (pixels.qa & (masks.flag("cloud") | masks.flag("dilated_cloud") | masks.flag("cirrus"))) > 0
        bright = np.nan_to_num(pixels.ms[VISIBLE].max(0)) > 0.5
        visible = np.tensordot(np.array(OLI.pan_weights, np.float32), pixels.ms[VISIBLE], axes=1)
        known = np.isfinite(pixels.pan)
        if known.mean() < 0.2:
            continue
        filled = np.where(known, pixels.pan, np.nanmean(pixels.pan))
        rows_at, columns_at = map(ms_centres_at_15m, visible.shape)
        coarse = resample(filled, rows_at, columns_at, PAN_BLUR)
        coarse[~known.reshape(visible.shape[0], 2, -1, 2).all(axis=(1, 3))] = np.nan
        clear = ~(cloudy | bright)
        shifts = [measure_shift(visible[at], coarse[at], clear[at]) for at in windows(visible.shape, _BLOCK)]
        found += [shift for shift in shifts if not shift.reason and shift.correlation > 0.5]
    if not found:
        return {"verdict": "unknown", "reason": "no clear, textured ground under pan"}
    down, right = (float(np.median([getattr(s, axis) for s in found])) * MS_GSD for axis in ("down", "right"))
    length = float(np.hypot(down, right))
    verdict = "good" if length <= PAN_SHIFT[0] else "doubtful" if length <= PAN_SHIFT[1] else "bad"
    return {
        "down_m": round(down, 2),
        "right_m": round(right, 2),
        "length_m": round(length, 2),
        "correlation": round(float(np.median([s.correlation for s in found])), 4),
        "windows": len(found),
        "verdict": verdict,
    }


def _windows(shape: tuple[int, int]) -> list[tuple[slice, slice]]:
    """Choose a few windows along the diagonals of the scene; all of a small scene."""
    if max(shape) <= 2 * _PATCH:
        return [(slice(0, shape[0]), slice(0, shape[1]))]
    centres = ((0.35, 0.4), (0.4, 0.65), (0.65, 0.35), (0.6, 0.6))[:_PATCHES]
    result = []
    for centre in centres:
        window = []
        for n, c in zip(shape, centre, strict=True):
            first = max(0, min(n - _PATCH, int(c * n) - _PATCH // 2))
            window.append(slice(first, min(n, first + _PATCH)))
        result.append((window[0], window[1]))
    return result
