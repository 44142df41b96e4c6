"""A scene predicted tile by tile."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from l8s2 import grid, masks
from l8s2.arrays import Float, dilate, enlarge, grow, windows
from l8s2.landsat.scene import Pixels, Scene
from l8s2.pipeline.verdict import too_uncertain
from l8s2.predictors.protocol import ZENITH, Predictor
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
    scene: Scene,
    predictor: Predictor,
    rows: slice,
    columns: slice,
    tile: int | None = None,
    *,
    sigma: SigmaKind = "total",
) -> Generator[Tile]:
    """Predict the MS window rows x columns of a scene tile by tile; the next tile is read meanwhile.

    ``sigma`` is the kind of standard error that the tiles get. A pixel is the same number whatever ``tile`` (default:
    the predictor's), ``rows`` and ``columns`` are: margins are as wide as the receptive field of the network.
    """
    plan = [
        (slice(r.start + rows.start, r.stop + rows.start), slice(c.start + columns.start, c.stop + columns.start))
        for r, c in windows((rows.stop - rows.start, columns.stop - columns.start), tile or predictor.tile)
    ]
    m = predictor.margin
    # pan of a scene without metadata was divided by no sine: as under a sun at the zenith
    sun_elevation = ZENITH if scene.sun_elevation is None else scene.sun_elevation
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(scene.read, *(grow(s, m) for s in plan[0]))
        for i, (r, c) in enumerate(plan):
            pixels = ahead.result()
            if i + 1 < len(plan):
                ahead = reader.submit(scene.read, *(grow(s, m) for s in plan[i + 1]))
            part = _predict(predictor, pixels, r, c, sun_elevation)
            yield replace(part, sigma=total_sigma(part.mean, part.sigma)) if sigma == "total" else part


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
        qa[~with_pan] |= np.uint16(masks.flag("no_pan"))
        qa[(dilate(fill, NEAR_FILL) & ~fill)[inner]] |= np.uint16(masks.flag("near_fill"))
        qa[predictor.out_of_domain(pixels.ms)[inner]] |= np.uint16(masks.flag("do_not_trust"))
    qa[fill[inner]] = masks.flag("fill")
    qa = enlarge(qa)
    qa[np.isnan(mean).any(0)] |= np.uint16(masks.flag("fill"))  # no pan, and a model that needs it
    qa[too_uncertain(mean, sigma)] |= np.uint16(masks.flag("do_not_trust"))
    return Tile(rows=rows, columns=columns, ms=ms, mean=mean, sigma=sigma, qa=qa)


def fine(window: slice) -> slice:
    """Convert a window of MS pixels to pixels of the block grid."""
    return slice(grid.BLOCK * window.start, grid.BLOCK * window.stop)
