"""Where the content of pan lies against the 30 m bands of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from l8s2.arrays import Values
from l8s2.arrays import windows as blocks_of
from l8s2.grid import ms_centres_at_15m
from l8s2.landsat.clear_windows import BLOCK, ClearWindow
from l8s2.optics import resample
from l8s2.registration import Shift, measure_shift
from l8s2.sensors import MS_GSD, OLI, PAN_BLUR, VISIBLE

PAN_SHIFT = (3.0, 7.5)
"""Metres between pan and MS from which a scene gets ``warn``, and ``fail``.

Landsat's band-to-band registration is specified to 4.5 m; 7.5 m is half a pixel of pan."""

PAN_CORRELATION = 0.92
"""Correlation of contours, of pan and the visible bands where pan lies, below which a scene gets ``warn``.

Five real scenes with their own pan, as it is or displaced by up to 25 m, have 0.944 to 0.991; three dates of one of
them with the pan of another date 0.831 to 0.902 (docs/product.md)."""
ALIGN = 2.25
"""Metres from which pan is moved: 0.15 of its pixels. On five real scenes it lies within 0.5 m, and the networks were
trained with a standard deviation of 1.2 m along each axis."""
AGREE = 2 / 3
"""Share of the windows that must lie within PAN_SHIFT[0] of their median for pan to be moved."""
_FEW = 4
"""Windows of BLOCK below which agreement is judged on windows of half that side."""
_FEWEST = 3
"""Windows that can be said to agree."""


def measure_pan_shift(windows: Sequence[ClearWindow]) -> dict[str, Any]:
    """Measure where the content of pan lies against the visible bands, metres (down, right).

    Median over the cloud-free blocks; ``agreeing`` is the share of them that lies within PAN_SHIFT[0] of it, None where
    they are too few. ``verdict`` is ``good``, ``doubtful`` (also by PAN_CORRELATION), ``bad``, or ``unknown`` where
    there is nothing to compare.
    """
    found = [shift for window in windows for shift in _shifts(window, BLOCK)]
    if not found:
        return {"verdict": "unknown", "reason": "no clear, textured ground under pan"}
    each = _metres(found)
    down, right = map(float, np.median(each, axis=0))
    if len(each) < _FEW:
        each = _metres([shift for window in windows for shift in _shifts(window, BLOCK // 2)])
    distance = np.hypot(*(each - (down, right)).T)
    length = float(np.hypot(down, right))
    correlation = round(float(np.median([s.correlation for s in found])), 4)
    good = length <= PAN_SHIFT[0] and correlation >= PAN_CORRELATION
    return {
        "down_m": round(down, 2),
        "right_m": round(right, 2),
        "length_m": round(length, 2),
        "correlation": correlation,
        "windows": len(found),
        "agreeing": round(float((distance <= PAN_SHIFT[0]).mean()), 2) if len(each) >= _FEWEST else None,
        "verdict": "good" if good else "doubtful" if length <= PAN_SHIFT[1] else "bad",
    }


def to_move(shift: dict[str, Any] | None) -> tuple[tuple[float, float] | None, str]:
    """Decide by what ``measure_pan_shift`` tells whether pan is to be moved, and say it in words.

    Returns:
        Metres (down, right) by which the content of pan lies too far and is to be moved back; None: it stays.
    """
    if shift is None or shift["verdict"] == "unknown" or shift["length_m"] < ALIGN:
        return None, "pan stays as it is"
    down, right, agreeing = shift["down_m"], shift["right_m"], shift["agreeing"]
    where = f"pan lies {shift['length_m']:.1f} m off the 30 m bands (down {down:.1f}, right {right:.1f})"
    if agreeing is not None and agreeing >= AGREE:
        return (down, right), f"{where} and is moved back by as much, once"
    why = "too few windows tell" if agreeing is None else f"only {100 * agreeing:.0f} % of the windows agree"
    return None, f"{where}, but {why}; it is not moved: get the pan of USGS, or take `model` compact-nopan"


def _metres(shifts: Sequence[Shift]) -> Values:
    """Return (n, 2) metres down and right."""
    return np.reshape([(shift.down, shift.right) for shift in shifts], (-1, 2)) * MS_GSD


def _shifts(window: ClearWindow, block: int) -> list[Shift]:
    """Measure the blocks of a window, as far as they tell."""
    if window.pan is None:
        return []
    known = np.isfinite(window.pan)
    filled = np.where(known, window.pan, np.nanmean(window.pan))
    visible = np.tensordot(np.array(OLI.pan_weights, np.float32), window.ms[VISIBLE], axes=1)
    rows, columns = map(ms_centres_at_15m, visible.shape)
    coarse = resample(filled, rows, columns, PAN_BLUR)
    coarse[~known.reshape(visible.shape[0], 2, -1, 2).all(axis=(1, 3))] = np.nan
    found = [measure_shift(visible[at], coarse[at], window.clear[at]) for at in blocks_of(visible.shape, block)]
    return [shift for shift in found if not shift.reason and shift.correlation > 0.5]
