"""The pixels of a product: of one scene, or of several of one overpass."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from l8s2.pipeline.feed import feed
from l8s2.pipeline.layers import Layer, SceneLayer, WarpedLayer
from l8s2.pipeline.mosaic import Mosaic, Outline
from l8s2.pipeline.overpass import Source
from l8s2.pipeline.verdict import Count
from l8s2.predictors.protocol import Predictor
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
) -> tuple[Count, NDArray[np.int64]]:
    """Predict every pixel of a product and give it to its writer.

    What lies in another zone than the product is predicted on its own lattice and warped once. Returns what was
    counted, and the number of valid pixels of each band.
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
            count = feed(layer, predictor, target.native.shape, buffer, progress)
            if len(source.scenes) == 1:
                return count, buffer.warp_into(writer)
            layers.append(WarpedLayer(stack.enter_context(buffer.onto(writer.geobox))))
        whole = layers[0]
        if len(layers) > 1:
            whole = Mosaic(layers, [Outline(scene, source.geobox) for scene in source.scenes])
        count = feed(whole, predictor, source.geobox.shape, writer, progress)
        return count, count.valid
