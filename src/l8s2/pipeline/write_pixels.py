"""The pixels of a product, window by window: of one scene, or of several of one overpass."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import numpy as np

from l8s2 import grid
from l8s2.arrays import windows
from l8s2.cog import BLOCK
from l8s2.pipeline.layers import Layer, SceneLayer, WarpedLayer, Window
from l8s2.pipeline.mosaic import CELL, Mosaic, Outline
from l8s2.pipeline.overpass import Source
from l8s2.pipeline.tiles import in_order
from l8s2.pipeline.verdict import Count
from l8s2.predictors.protocol import Predictor
from l8s2.product.sink import TileSink
from l8s2.product.warp import WarpBuffer
from l8s2.product.writer import ProductWriter
from l8s2.progress import Progress
from l8s2.radiometry import SigmaKind


def write_pixels(
    source: Source,
    predictor: Predictor,
    writer: ProductWriter,
    sigma: SigmaKind | None,
    progress: Progress | None,
) -> Count:
    """Predict every pixel of a product and give it to its writer.

    What lies in another zone than the product is predicted on its own lattice and warped once. Returns what was
    counted, the valid pixels on the grid of the product.
    """
    with ExitStack() as stack:
        layers: list[Layer] = []
        for scene, target in zip(source.scenes, source.targets, strict=True):
            layer = SceneLayer(scene, predictor, target, sigma or "detail")
            if not target.warped:
                layers.append(layer)
                continue
            buffer = stack.enter_context(
                WarpBuffer(writer.workspace, target.native, sigma=sigma is not None, name=f"{scene.product_id}_warp")
            )
            count = _feed(layer, predictor, target.native.shape, buffer, progress)
            if len(source.scenes) == 1:
                count.valid = buffer.warp_into(writer)
                return count
            layers.append(WarpedLayer(stack.enter_context(buffer.onto(writer.geobox))))
        whole = layers[0]
        if len(layers) > 1:
            whole = Mosaic(layers, [Outline(scene, source.geobox) for scene in source.scenes])
        return _feed(whole, predictor, source.geobox.shape, writer, progress)


def _feed(
    layer: Layer, predictor: Predictor, shape: tuple[int, int], sink: TileSink, progress: Progress | None
) -> Count:
    """Give ``sink`` every window of a product that it does not hold; return what was counted over all of them.

    Windows of nothing but fill are not given: what is never written is fill. ``shape``: rows, columns of the product.
    """
    height, width = shape
    plan = list(windows(shape, output_window(predictor.tile)))
    count = Count()
    with ThreadPoolExecutor(predictor.streams) as pool:
        held = list(pool.map(lambda window: _take_up(layer, sink, window), plan))
    for part in held:
        count.merge(part or Count())
    plan = [window for window, part in zip(plan, held, strict=True) if part is None]
    done = height * width - sum(_size(window) for window in plan)
    if progress:
        progress(done, height * width, "harmonising")
    with closing(in_order(plan, predictor.streams, lambda *window: _make(layer, sink, window))) as all_:
        for window, part in zip(plan, all_, strict=True):
            count.merge(part)
            done += _size(window)
            if progress:
                progress(done, height * width, "harmonising")
    return count


def output_window(tile: int) -> int:
    """Return the 10 m pixels to a side that are made at a time, from at most ``tile`` MS pixels.

    Whole tiles of the file wherever that is possible, so that none waits in memory for its other part; else whole cells
    of a mosaic.
    """
    most = grid.BLOCK * tile - 2  # a window may begin and end within an MS pixel
    return max(most // BLOCK * BLOCK, min(most, BLOCK // 2) // CELL * CELL) or most


def _size(window: Window) -> int:
    rows, columns = window
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def _make(layer: Layer, sink: TileSink, window: Window) -> Count:
    """Make a window and give it to the sink."""
    count = Count()
    part = layer.part(*window)
    if part is None:
        return count
    count.add(part.mean, part.qa)
    count.with_sigma = bool(np.isfinite(part.sigma).any())
    sink.write(*window, part.mean, part.sigma, part.qa)
    sink.write_before(*window, part.before)
    return count


def _take_up(layer: Layer, sink: TileSink, window: Window) -> Count | None:
    """Count a window that the sink holds from an earlier run; None where it does not."""
    stored = sink.stored(*window)
    if stored is None:
        return None
    count = Count(with_sigma=stored.with_sigma)
    count.add(stored.mean, stored.qa)
    before = layer.before(*window)
    if before is not None:
        sink.write_before(*window, before)
    return count
