"""Products of l8s2 and Sentinel-2 images of known values, small, as a cube takes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import grid, masks
from l8s2.cube.build import build_cube
from l8s2.cube.inputs import find_sources
from l8s2.product.stac import ItemInfo
from l8s2.product.writer import ProductWriter
from l8s2.radiometry import describe_sigma, total_sigma
from l8s2.target import Area
from making.patches import box_at
from making.products import sentinel2_item, write_sentinel2

MS = box_at(-133333 // 2 * 2 + 1, 16667, 16)
"""Landsat's pixels; their blocks begin on Sentinel-2's 20 m pixels."""
BOX = grid.output_geobox(MS)
SHAPE = (BOX.shape[0], BOX.shape[1])
NOON = datetime(2023, 5, 20, 10, 2, 3, tzinfo=UTC)


def ramp(shape: tuple[int, int] = SHAPE) -> NDArray[np.float32]:
    """(6, h, w) reflectance that tells band, row and column, in whole steps of 0.0001."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.stack([(1000 + 300 * b + 3 * rows + 7 * columns) * 1e-4 for b in range(6)]).astype(np.float32)


def landsat(
    folder: Path, when: datetime = NOON, *, mean: NDArray[np.float32] | None = None, detail: float = 0.01,
    qa: NDArray[np.uint16] | None = None, total: bool = True, box: GeoBox = BOX, row: int = 25,
) -> Path:  # fmt: skip
    """A product; returns its folder."""
    mean = ramp((box.shape[0], box.shape[1])) if mean is None else mean
    sigma = np.full_like(mean, detail)
    name = f"LC09_L2SP_192{row:03d}_{when:%Y%m%d}_20230630_02_T1"
    info = ItemInfo(
        datetime=when, sun_elevation=52.5, sun_azimuth=150.0, platform="landsat-9", inputs=[(name, None)],
        model="made", model_sha256="0", version="0",
        extra={"l8s2:sigma": describe_sigma("total" if total else "detail")},
    )  # fmt: skip
    with ProductWriter(folder, name, box) as writer:
        whole = slice(0, box.shape[0]), slice(0, box.shape[1])
        bits = np.zeros(box.shape, np.uint16) if qa is None else qa
        writer.write(*whole, mean, total_sigma(mean, sigma) if total else sigma, bits)
        return writer.finish(info)


def sentinel2(
    folder: Path, when: datetime = NOON, *, mean: NDArray[np.float32] | None = None, baseline: str = "05.09",
    scl: NDArray[np.uint8] | None = None, added: int = 1000, tile: str = "33UVS",
) -> Path:  # fmt: skip
    """An image whose 20 m pixels are means; returns its folder."""
    mean = ramp() if mean is None else mean
    dn = np.rint(mean * 1e4).astype(int) + added
    height, width = SHAPE
    coarse = np.rint(dn[3:].reshape(3, height // 2, 2, width // 2, 2).mean((2, 4)))
    item = sentinel2_item(MS, when, tile, baseline)
    return write_sentinel2(folder, item, MS, dn[:3].astype(np.uint16), coarse.astype(np.uint16), scl)


def both_sensors(folder: Path) -> Path:
    """Write a cube with Landsat, a cloud on its columns 30 and more, and Sentinel-2 a day later; returns it."""
    qa = np.zeros(SHAPE, np.uint16)
    qa[:, 30:] = masks.flag("cloud")
    landsat(folder / "in", qa=qa)
    sentinel2(folder / "in", NOON + timedelta(days=1))
    build_cube(find_sources([folder / "in"]), folder / "c.zarr", Area())
    return folder / "c.zarr"
