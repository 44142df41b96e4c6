"""An estimate of the time, memory and disk space that harmonising a product takes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from l8s2.arrays import windows
from l8s2.files import Paths, as_paths
from l8s2.grid import BLOCK
from l8s2.landsat.scene import open_scene
from l8s2.pipeline.options import DEFAULTS, ProductOptions
from l8s2.pipeline.overpass import aligned, choose_source
from l8s2.predictors.load import load_predictor
from l8s2.predictors.network_predictor import windows_memory
from l8s2.predictors.options import ModelOptions
from l8s2.predictors.protocol import Predictor
from l8s2.radiometry import ZENITH
from l8s2.sensors import N_BANDS
from l8s2.system.machine import cores
from l8s2.target import Target

_WRITING = 2e-8
"""Seconds a processor core needs to encode, compress and copy one sample."""
GDAL_CACHE = 256 << 20
"""Bytes; GDAL itself would take a share of the machine, and gain nothing by it here."""
_N_PLANES, _FLOAT = 17, 4
"""Of the window of a second scene: mean, sigma, true colours and masks; bytes of each sample."""
_LIBRARIES = int(350e6)
"""Bytes, measured on a small scene."""
_TOLERANCE = 1.1
"""An estimate that exceeds what is allowed by less is no reason to warn."""
_READ = 22
"""Bytes of an MS pixel in six bands, QA and pan, as GDAL keeps them."""
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


def plan_product(path: Paths, options: ProductOptions = DEFAULTS, *, pan: Paths | None = None) -> Plan:
    """Make the same checks as harmonize_product, and an estimate, without writing anything.

    Args:
        path: as in harmonize_product.
        options: how it is to be made.
        pan: as in harmonize_product.

    Raises InputError as harmonize_product does.
    """
    from l8s2.product.warp import buffer_bytes
    from l8s2.product.writer import estimate_bytes

    with ExitStack() as stack:
        scenes = [stack.enter_context(open_scene(each, pan, options.declared)) for each in as_paths(path)]
        source = choose_source(scenes, options.area)
        predictor = load_predictor(options.model)
        source, _ = aligned(source, predictor, options.align_pan)
        pan_ids = [scene.pan_id for scene in source.scenes if scene.pan_id]
        each, box, targets = _seconds_each(predictor, with_pan=bool(pan_ids)), source.geobox, source.targets
        sigma = options.sigma is not None
        samples = box.shape[0] * box.shape[1] * (13 if sigma else 7)
        predicting = each * sum(_window_pixels(predictor, target) * _tiles(predictor, target) for target in targets)
        return Plan(
            product_id=source.product_id,
            crs=str(box.crs),
            shape=(box.shape[0], box.shape[1]),
            seconds=round(1.5 + 1.3 * predicting / predictor.streams + _WRITING * samples / cores(), 1),
            memory_bytes=memory_bytes(predictor, targets),
            disk_bytes=estimate_bytes(box, sigma)
            + sum(buffer_bytes(target.native, sigma) for target in targets if target.warped),
            pan=", ".join(pan_ids) or None,
            warnings=[*source.warnings, *memory_warnings(predictor, targets, options.model)],
        )


def _seconds_each(predictor: Predictor, *, with_pan: bool) -> float:
    """Measure on a small window how long an MS pixel takes."""
    side = min(96, predictor.tile) + 2 * predictor.margin
    ms = np.full((N_BANDS, side, side), 0.1, np.float32)
    pan = np.full((2 * side, 2 * side), 0.1, np.float32) if with_pan else None
    for _ in range(2):  # the first time takes longer
        start = time.perf_counter()
        predictor.predict_window(ms, pan, (-predictor.margin, -predictor.margin), sun_elevation=ZENITH)
        taken = time.perf_counter() - start
        if taken > _LONG:
            break
    return taken / side**2


def memory_bytes(predictor: Predictor, targets: Sequence[Target]) -> int:
    """Estimate the memory that a product takes at the peak: libraries, pixels that GDAL keeps, windows at work."""
    read = _READ * sum(int(math.prod(s.stop - s.start for s in (target.rows, target.columns))) for target in targets)
    pixels = max(_window_pixels(predictor, target) for target in targets)
    others = _N_PLANES * _FLOAT * BLOCK**2 * pixels if len(targets) > 1 else 0
    at_work = windows_memory(predictor, pixels, predictor.streams) + predictor.streams * others
    return _LIBRARIES + min(read, GDAL_CACHE) + at_work


def memory_warnings(predictor: Predictor, targets: Sequence[Target], options: ModelOptions) -> list[str]:
    """Say where a product will take more memory than is allowed."""
    needed = memory_bytes(predictor, targets) / 1e9
    if needed <= _TOLERANCE * options.max_memory:
        return []
    return [f"`max_memory` {options.max_memory:g}: cannot be kept, about {needed:.1f} GB are needed even so"]


def _tiles(predictor: Predictor, target: Target) -> int:
    extent = (target.rows.stop - target.rows.start, target.columns.stop - target.columns.start)
    return sum(1 for _ in windows(extent, predictor.tile))


def _window_pixels(predictor: Predictor, target: Target) -> int:
    """Return the MS pixels of the largest window, margin included."""
    rows, columns = (min(predictor.tile, int(s.stop - s.start)) for s in (target.rows, target.columns))
    return (rows + 2 * predictor.margin) * (columns + 2 * predictor.margin)
