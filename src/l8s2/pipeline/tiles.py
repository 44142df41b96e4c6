"""A scene predicted tile by tile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from l8s2 import grid, masks
from l8s2.arrays import FILL_REACH, Float, Mask, dilate, enlarge, grow, windows
from l8s2.landsat.native_pixels import NativePixels, Pixels
from l8s2.models.domain import REACH
from l8s2.pipeline.limits import limit_ringing
from l8s2.pipeline.verdict import too_uncertain
from l8s2.predictors.protocol import Predictor
from l8s2.radiometry import SigmaKind, total_sigma
from l8s2.sensors import N_BANDS

NEAR_FILL = 5
"""MS pixels around fill whose context was partly guessed (QA bit near_fill)."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One finished piece of the 10 m block grid of a scene."""

    rows: slice
    """In MS pixels of the scene."""
    columns: slice
    ms: Float
    """(6, h, w) the input, reflectance; NaN where missing."""
    mean: Float
    """(6, 3h, 3w) reflectance; NaN where missing."""
    sigma: Float
    """(6, 3h, 3w) standard error of ``mean``; NaN where missing, and everywhere from a model without."""
    qa: NDArray[np.uint16]
    """(3h, 3w) bits of masks.QA_BITS."""


def predict_tiles(
    scene: NativePixels,
    predictor: Predictor,
    rows: slice,
    columns: slice,
    tile: int | None = None,
    *,
    sigma: SigmaKind = "total",
) -> Generator[Tile]:
    """Predict the MS window rows x columns of a scene tile by tile.

    ``sigma`` is the kind of standard error that the tiles get. A pixel is the same number whatever ``tile`` (default:
    the predictor's), ``rows`` and ``columns`` are: margins are as wide as the receptive field of the network.
    """
    plan = [
        (slice(r.start + rows.start, r.stop + rows.start), slice(c.start + columns.start, c.stop + columns.start))
        for r, c in windows((rows.stop - rows.start, columns.stop - columns.start), tile or predictor.tile)
    ]
    return in_order(plan, predictor.streams, lambda *window: predict_window(scene, predictor, *window, sigma=sigma))


_Result = TypeVar("_Result")


def in_order(
    plan: Iterable[tuple[slice, slice]], streams: int, work: Callable[[slice, slice], _Result]
) -> Generator[_Result]:
    """Yield what ``work`` makes of each window, rows and columns, in their order.

    Each window is read, predicted and stored by one thread, so that while one thread reads or stores others predict. No
    more windows are in memory than there are threads, which are ``streams``, at least two.
    """
    workers = max(2, streams)
    with ThreadPoolExecutor(workers) as pool:
        running: deque[Future[_Result]] = deque()
        try:
            for window in plan:
                running.append(pool.submit(work, *window))
                if len(running) > workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def predict_window(
    scene: NativePixels, predictor: Predictor, rows: slice, columns: slice, *, sigma: SigmaKind = "total"
) -> Tile:
    """Predict a window of MS pixels, which may reach beyond the scene; ``sigma`` is the kind of standard error."""
    pixels = scene.read(grow(rows, predictor.margin), grow(columns, predictor.margin))
    tile = _predict(predictor, pixels, rows, columns, scene.pan_sun_elevation)
    return replace(tile, sigma=total_sigma(tile.mean, tile.sigma)) if sigma == "total" else tile


def _predict(predictor: Predictor, pixels: Pixels, rows: slice, columns: slice, sun_elevation: float) -> Tile:
    m = predictor.margin
    inner = slice(m, m + rows.stop - rows.start), slice(m, m + columns.stop - columns.start)
    ms = pixels.ms[:, *inner]
    fill = (pixels.qa & masks.flag("fill")) > 0
    qa = pixels.qa[inner].copy()
    if np.isnan(ms).all():
        shape = (N_BANDS, 3 * ms.shape[1], 3 * ms.shape[2])
        mean = sigma = np.full(shape, np.nan, np.float32)
    else:
        origin = rows.start - m, columns.start - m
        mean, sigma, with_pan = predictor.predict_window(pixels.ms, pixels.pan, origin, sun_elevation=sun_elevation)
        mean = limit_ringing(mean, pixels.ms, m)
        qa[~with_pan] |= np.uint16(masks.flag("no_pan"))
        if fill.any():
            qa[(dilate(fill, NEAR_FILL) & ~fill)[inner]] |= np.uint16(masks.flag("near_fill"))
        qa[_out_of_domain(predictor, pixels.ms)] |= np.uint16(masks.flag("do_not_trust"))
    qa[fill[inner]] = masks.flag("fill")
    qa = enlarge(qa)
    if np.isnan(mean.sum()):  # no pan, and a model that needs it
        qa[np.isnan(mean).any(0)] |= np.uint16(masks.flag("fill"))
    qa[too_uncertain(mean, sigma)] |= np.uint16(masks.flag("do_not_trust"))
    return Tile(rows=rows, columns=columns, ms=ms, mean=mean, sigma=sigma, qa=qa)


def _out_of_domain(predictor: Predictor, ms: Float) -> Mask:
    """Tell it of the window without its margin, from no more of the margin than it takes."""
    spare = max(0, predictor.margin - REACH - FILL_REACH)
    rows, columns = (slice(spare, n - spare) for n in ms.shape[1:])
    far = predictor.out_of_domain(ms[:, rows, columns])
    m = predictor.margin - spare
    return far[m : far.shape[0] - m, m : far.shape[1] - m]


def fine(window: slice) -> slice:
    """Convert a window of MS pixels to pixels of the block grid."""
    return slice(grid.BLOCK * window.start, grid.BLOCK * window.stop)
