"""An estimate of the time, memory and disk space that harmonising a product takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from l8s2.arrays import windows
from l8s2.landsat.scene import open_scene
from l8s2.pipeline.overpass import as_paths, choose_source
from l8s2.predictors.load import load_predictor
from l8s2.predictors.options import COMPACT, ModelOptions
from l8s2.predictors.protocol import Predictor
from l8s2.radiometry import ZENITH
from l8s2.sensors import N_BANDS
from l8s2.system.machine import cores
from l8s2.target import WHOLE, Area, Target

WRITING = 2e-8
"""Seconds a processor core needs to encode, compress and copy one sample."""
N_PLANES, FLOAT = 17, 4
"""Of the window of a second scene: mean, sigma, true colours and masks; bytes of each sample."""
_LONG = 3.0
"""Seconds after which a measurement is not repeated."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An estimate, and the warnings of the checks."""

    product_id: str
    crs: str
    shape: tuple[int, int]
    """Rows, columns at 10 m."""
    seconds: float
    """Measured on one small tile of this machine and scaled up; writing from measured rates."""
    memory_bytes: int
    disk_bytes: int
    """Largest need while writing; the product itself is smaller."""
    pan: str | None
    warnings: list[str]


def plan_product(
    path: str | Path | Sequence[str | Path],
    area: Area = WHOLE,
    options: ModelOptions = COMPACT,
    *,
    sigma: bool = True,
    pan: str | Path | None = None,
) -> Plan:
    """Make the same checks as harmonize_product, and an estimate, without writing anything.

    Args:
        path: as in harmonize_product.
        area: the part of the scene, and the grid of the product.
        options: the model and how it is run.
        sigma: whether there is to be a SIGMA file.
        pan: as in harmonize_product.

    Raises InputError as harmonize_product does.
    """
    from l8s2.product.warp import buffer_bytes
    from l8s2.product.writer import estimate_bytes

    with ExitStack() as stack:
        source = choose_source([stack.enter_context(open_scene(each, pan)) for each in as_paths(path)], area)
        predictor = load_predictor(options)
        pan_ids = [scene.pan_id for scene in source.scenes if scene.pan_id]
        side = 96
        ms = np.full((N_BANDS, side, side), 0.1, np.float32)
        pan_array = None if not pan_ids else np.full((2 * side, 2 * side), 0.1, np.float32)
        for _ in range(2):  # the first time takes longer
            start = time.perf_counter()
            predictor.predict(ms, pan_array, sun_elevation=ZENITH)
            taken = time.perf_counter() - start
            if taken > _LONG:
                break
        each = taken / (side + 2 * predictor.margin) ** 2
        tiles = [_tiles(target, predictor) for target in source.targets]
        box = source.geobox
        samples = box.shape[0] * box.shape[1] * (13 if sigma else 7)
        predicting = each * sum(grown * number for grown, number in tiles) / predictor.streams
        several = N_PLANES * FLOAT * (3 * predictor.tile) ** 2 if len(tiles) > 1 else 0
        return Plan(
            product_id=source.product_id,
            crs=str(box.crs),
            shape=(box.shape[0], box.shape[1]),
            seconds=round(1.5 + 1.3 * predicting + WRITING * samples / cores(), 1),
            memory_bytes=int(350e6)
            + predictor.streams * (predictor.memory(max(grown for grown, _ in tiles)) + several),
            disk_bytes=estimate_bytes(box, sigma)
            + sum(buffer_bytes(target.native, sigma) for target in source.targets if target.warped),
            pan=", ".join(pan_ids) or None,
            warnings=source.warnings,
        )


def _tiles(target: Target, predictor: Predictor) -> tuple[int, int]:
    """Return the MS pixels of a tile of a scene, margins included, and how many tiles there are."""
    extent = (target.rows.stop - target.rows.start, target.columns.stop - target.columns.start)
    rows, columns = (min(predictor.tile, n) + 2 * predictor.margin for n in extent)
    return rows * columns, sum(1 for _ in windows(extent, predictor.tile))
