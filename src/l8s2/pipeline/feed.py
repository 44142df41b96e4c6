"""The windows of a product: planned, predicted, and given to what stores them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np

from l8s2 import grid
from l8s2.arrays import Float, enlarge, windows
from l8s2.cog import BLOCK
from l8s2.landsat.scene import Scene
from l8s2.pipeline.tiles import Tile, predict_windows
from l8s2.pipeline.verdict import Count
from l8s2.predictors.protocol import Predictor
from l8s2.product.sink import TileSink
from l8s2.progress import Progress
from l8s2.radiometry import SigmaKind
from l8s2.sensors import RGB
from l8s2.target import Target

Window = tuple[slice, slice]
"""Rows and columns."""


def feed(
    scene: Scene,
    predictor: Predictor,
    target: Target,
    sink: TileSink,
    progress: Progress | None,
    *,
    sigma: SigmaKind = "total",
) -> Count:
    """Give ``sink`` every window of the target that it does not hold; return what was counted over all of them.

    Windows of nothing but fill are not given: what is never written is fill. ``sigma``: see ``predict_windows``.
    """
    height, width = target.native.shape
    plan = list(windows((height, width), output_window(predictor.tile)))
    count = Count()
    with ThreadPoolExecutor(predictor.streams) as pool:
        held = list(pool.map(lambda window: _take_up(scene, target, sink, window), plan))
    for part in held:
        count.merge(part or Count())
    plan = [window for window, part in zip(plan, held, strict=True) if part is None]
    needed = [_covering(target, window) for window in plan]
    done = height * width - sum(_size(window) for window in plan)
    if progress:
        progress(done, height * width, "harmonising")
    with closing(
        predict_windows(scene, predictor, needed, lambda tile, i: _store(target, sink, plan[i], tile), sigma=sigma)
    ) as all_:
        for window, part in zip(plan, all_, strict=True):
            count.merge(part)
            done += _size(window)
            if progress:
                progress(done, height * width, "harmonising")
    return count


def output_window(tile: int) -> int:
    """Return the 10 m pixels to a side that are made at a time, from at most ``tile`` MS pixels.

    Whole tiles of the file wherever that is possible, so that none waits in memory for its other part.
    """
    most = grid.BLOCK * tile - 2  # a window may begin and end within an MS pixel
    return max(most // BLOCK * BLOCK, min(most, BLOCK // 2), 1)


def _size(window: Window) -> int:
    rows, columns = window
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def _covering(target: Target, window: Window) -> Window:
    """Return the MS pixels of the scene that own a window of the target."""
    rows, columns = (
        slice((s.start + first) // grid.BLOCK, -(-(s.stop + first) // grid.BLOCK))
        for s, first in zip(window, target.origin, strict=True)
    )
    return rows, columns


def _inside(target: Target, window: Window) -> Window:
    """Return where a window lies in the 10 m pixels of the MS pixels that cover it."""
    rows, columns = (
        slice(s.start + first - grid.BLOCK * ms.start, s.stop + first - grid.BLOCK * ms.start)
        for s, first, ms in zip(window, target.origin, _covering(target, window), strict=True)
    )
    return rows, columns


def _store(target: Target, sink: TileSink, window: Window, tile: Tile) -> Count:
    """Give a window of the target to the sink, from the tile that covers it."""
    count = Count()
    if np.isnan(tile.ms).all():
        return count
    inside = _inside(target, window)
    mean, sigma, qa = tile.mean[:, *inside], tile.sigma[:, *inside], tile.qa[inside]
    count.add(mean, qa)
    count.with_sigma = bool(np.isfinite(sigma).any())
    sink.write(*window, mean, sigma, qa)
    _show(target, sink, window, tile.ms)
    return count


def _take_up(scene: Scene, target: Target, sink: TileSink, window: Window) -> Count | None:
    """Count a window that the sink holds from an earlier run; None where it does not."""
    stored = sink.stored(*window)
    if stored is None:
        return None
    count = Count(with_sigma=stored.with_sigma)
    count.add(stored.mean, stored.qa)
    _show(target, sink, window, scene.read(*_covering(target, window)).ms)
    return count


def _show(target: Target, sink: TileSink, window: Window, ms: Float) -> None:
    """Give the true colours of the MS pixels that cover a window to the preview."""
    sink.write_before(*window, enlarge(ms[RGB])[:, *_inside(target, window)])
