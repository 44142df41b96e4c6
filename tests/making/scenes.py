"""Small Landsat products with known content, written by the simulator's own writer, and ways to damage them."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2.arrays import enlarge
from l8s2.simulate.product_folder import write_product
from l8s2.simulate.sensor import Conditions, Observation

ID = "LC09_L2SP_192025_20230520_20230530_02_T1"
PAN_ID = ID.replace("L2SP", "L1TP")
SUN = 52.5
_PERIOD = 181
"""Pan pixels after which the position code repeats."""


def ms_grid(
    rows: int = 24, columns: int = 31, *, centre: tuple[int, int] = (450_000, 5_660_010), zone: int = 33
) -> GeoBox:
    """A native 30 m grid in Landsat's naming; ``centre``: of the upper left pixel, multiples of 30."""
    x, y = centre
    return GeoBox((rows, columns), Affine(30, 0, x - 15, 0, -30, y + 15), f"EPSG:{32600 + zone}")


def centres(geobox: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x and y of every pixel centre, each (h, w)."""
    c, r = np.meshgrid(np.arange(geobox.shape[1]) + 0.5, np.arange(geobox.shape[0]) + 0.5)
    a = geobox.affine
    return a.c + a.a * c + a.b * r, a.f + a.d * c + a.e * r


def position_code(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """A digital number 1 .. 32761 that tells a multiple of 15 m from every other one within 2.7 km."""
    return 1 + np.rint(y / 15).astype(np.int64) % _PERIOD * _PERIOD + np.rint(x / 15).astype(np.int64) % _PERIOD


def coordinates_as_pixels(ms: GeoBox) -> Observation:
    """Every MS and pan pixel holds the code of its own position."""
    x, y = centres(ms)
    fine = GeoBox(
        (2 * ms.shape[0], 2 * ms.shape[1]), ms.affine * Affine.translation(0.25, 0.25) * Affine.scale(0.5), ms.crs
    )
    ms_values = np.stack([position_code(x, y) * 2.75e-5 - 0.2] * 6)
    pan_values = (position_code(*centres(fine)) * 2.0e-5 - 0.1) / np.sin(np.radians(SUN))
    return Observation(ms=ms_values, pan=pan_values, conditions=Conditions())


def smooth(ms: GeoBox) -> Observation:
    """Gentle waves of 0.02 .. 0.2 reflectance that pan sees as the bands do."""
    x, y = centres(ms)
    pan_x, pan_y = (enlarge(v, 2) for v in (x, y))

    def waves(x: Any, y: Any, phase: float) -> Any:
        return 0.11 + 0.05 * np.sin(x / 90 + phase) + 0.04 * np.cos(y / 120 + phase)

    bands = np.stack([waves(x, y, 0.3 * i) for i in range(6)]).astype(np.float32)
    return Observation(ms=bands, pan=waves(pan_x, pan_y, 0.3).astype(np.float32), conditions=Conditions())


def make(folder: Path, ms: GeoBox | None = None, observation: Observation | None = None, **changes: Any) -> Path:
    """Write a product with clear QA and its pan partner; returns the L2SP folder."""
    ms = ms_grid() if ms is None else ms
    options: dict[str, Any] = {
        "geobox": ms,
        "product_id": ID,
        "sun_elevation": SUN,
        "qa_pixel": np.full(ms.shape, 21824, np.uint16),
    }
    return write_product(folder, observation or smooth(ms), **(options | changes))


def part(product: Path, name: str) -> Path:
    """A file of a product folder, such as ``SR_B4`` or ``MTL``."""
    (found,) = product.glob(f"*_{name}.*")
    return found


def pan_of(product: Path) -> Path:
    """The pan band beside a product."""
    return part(product.with_name(product.name.replace("L2SP", "L1TP")), "B8")


def rewrite(path: Path, change: Callable[[NDArray[Any]], NDArray[Any]] = lambda x: x, **profile: Any) -> None:
    """Replace a raster: ``change`` gets its (bands, h, w); ``profile`` is what rasterio takes."""
    with rasterio.open(path) as source:
        values, kept = change(source.read()), source.profile
    shape = {"count": values.shape[0], "height": values.shape[1], "width": values.shape[2], "dtype": values.dtype.name}
    path.unlink()
    with rasterio.open(path, "w", **(kept | shape | profile)) as target:
        target.write(values)


def crop(path: Path, rows: slice, columns: slice) -> None:
    """Cut a raster to a window, in its own pixels."""
    with rasterio.open(path) as source:
        transform = source.transform * Affine.translation(columns.start, rows.start)
    rewrite(path, lambda x: x[:, rows, columns], transform=transform)


def move(path: Path, right: float, up: float) -> None:
    """Shift a raster by metres."""
    with rasterio.open(path, "r+") as target:
        target.transform = Affine.translation(right, up) * target.transform


def archive(product: Path, path: Path, *, prefix: str = "", mode: str = "w") -> Path:
    """Pack a product folder into a tar."""
    with tarfile.open(path, mode) as target:  # type: ignore[call-overload]
        for file in sorted(product.iterdir()):
            target.add(file, prefix + file.name)
    return path


class Copying:
    """A predictor that gives every 10 m pixel the value of its MS pixel: pure geometry, in no time."""

    name, sha256, margin, tile, uses_pan, no_pan_model, streams = "copying", "00" * 32, 2, 512, True, None, 2

    def memory(self, pixels: int) -> int:
        return 0

    def out_of_domain(self, ms: np.ndarray) -> np.ndarray:
        return np.zeros(ms.shape[1:], dtype=bool)

    def predict_window(self, ms: Any, pan: Any, origin: Any, *, sun_elevation: Any = None) -> tuple[Any, Any, Any]:
        mean = enlarge(ms[:, 2:-2, 2:-2])
        sigma = np.where(np.isnan(mean), np.nan, 0.01).astype(np.float32)
        with_pan = np.zeros(ms.shape[1:], bool) if pan is None else ~np.isnan(pan[::2, ::2])
        return mean, sigma, with_pan[2:-2, 2:-2]
