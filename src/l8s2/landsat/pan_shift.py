"""Where the content of pan lies against the 30 m bands of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from l8s2.arrays import windows as blocks_of
from l8s2.grid import ms_centres_at_15m
from l8s2.landsat.clear_windows import BLOCK, ClearWindow
from l8s2.optics import resample
from l8s2.registration import Shift, measure_shift
from l8s2.sensors import MS_GSD, OLI, PAN_BLUR, VISIBLE

PAN_SHIFT = (3.0, 7.5)
"""Metres between pan and MS from which a scene gets ``warn``, and ``fail``.

Landsat's band-to-band registration is specified to 4.5 m; 7.5 m is half a pixel of pan."""


def measure_pan_shift(windows: Sequence[ClearWindow]) -> dict[str, Any]:
    """Measure where the content of pan lies against the visible bands, metres (down, right).

    Median over the cloud-free blocks. ``verdict`` is ``good``, ``doubtful``, ``bad`` or ``unknown`` where there is
    nothing to compare.
    """
    found = [shift for window in windows for shift in _shifts(window)]
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


def _shifts(window: ClearWindow) -> list[Shift]:
    """Measure the blocks of a window, as far as they tell."""
    if window.pan is None:
        return []
    known = np.isfinite(window.pan)
    filled = np.where(known, window.pan, np.nanmean(window.pan))
    visible = np.tensordot(np.array(OLI.pan_weights, np.float32), window.ms[VISIBLE], axes=1)
    rows, columns = map(ms_centres_at_15m, visible.shape)
    coarse = resample(filled, rows, columns, PAN_BLUR)
    coarse[~known.reshape(visible.shape[0], 2, -1, 2).all(axis=(1, 3))] = np.nan
    found = [measure_shift(visible[at], coarse[at], window.clear[at]) for at in blocks_of(visible.shape, BLOCK)]
    return [shift for shift in found if not shift.reason and shift.correlation > 0.5]
