"""The one warp at the end, for products outside the scene's own zone."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import masks
from l8s2.arrays import Float, windows
from l8s2.files import flush_or_raise
from l8s2.product.sink import disk_errors_explained
from l8s2.radiometry import NODATA, decoded, encoded
from l8s2.raster import open_dataset
from l8s2.sensors import N_BANDS

if TYPE_CHECKING:
    from l8s2.product.writer import ProductWriter

_TILE = 1024
_TOLERANCE = 0.01
"""Output pixels by which GDAL may place a pixel wrongly to save time."""


def buffer_bytes(native: GeoBox, sigma: bool) -> int:
    """Disk space that a WarpBuffer takes at most."""
    rows, columns = native.shape
    return int(2 * rows * columns * (16 if sigma else 10))


class Warped:
    """Windows of what a WarpBuffer holds, on another grid; from several threads."""

    def __init__(self, views: dict[str, Any], disk: Callable[[], AbstractContextManager[None]]) -> None:
        self._views, self._disk, self._lock = views, disk, threading.Lock()

    def read(self, rows: slice, columns: slice) -> tuple[Float, Float, Float | None, NDArray[np.uint16]]:
        """Return true colours of the input, reflectance, standard error (None without) and QA of a window."""
        from rasterio.windows import Window

        window = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        with self._disk(), self._lock:
            part = {name: view.read(window=window) for name, view in self._views.items()}
        mean, qa = decoded(part["mean"]), part["qa"][0]
        qa[np.isnan(mean).any(0)] = masks.flag("fill")
        return decoded(part["before"]), mean, decoded(part["sigma"]) if "sigma" in part else None, qa


class WarpBuffer:
    """Keeps the native result in temporary files until it is warped; takes tiles like a writer.

    It is stored as the product stores it, so that what is warped are the product's own numbers.
    """

    def __init__(self, folder: Path, geobox: GeoBox, *, sigma: bool) -> None:
        """``folder``: gets the files, which are removed at the end."""
        self.geobox, self.with_sigma = geobox, sigma
        self._parent = folder
        self._files: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> WarpBuffer:
        import rasterio

        profile: dict[str, Any] = {
            "driver": "GTiff", "crs": str(self.geobox.crs), "transform": self.geobox.affine, "tiled": True,
            "blockxsize": 512, "blockysize": 512, "interleave": "band", "bigtiff": "IF_SAFER", "sparse_ok": True,
            "height": self.geobox.shape[0], "width": self.geobox.shape[1], "compress": "zstd", "zstd_level": 1,
        }  # fmt: skip
        with self._disk():
            if (
                shutil.disk_usage(self._parent).free < buffer_bytes(self.geobox, self.with_sigma) / 2
            ):  # it is compressed
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._folder = Path(tempfile.mkdtemp(prefix="warp-", dir=self._parent))
            try:
                for name, count in (("mean", N_BANDS), ("sigma", N_BANDS), ("before", 3), ("qa", 1)):
                    if name != "sigma" or self.with_sigma:
                        kind = {"dtype": "uint16"} if name == "qa" else {"dtype": "int16", "nodata": NODATA}
                        self._files[name] = rasterio.open(
                            self._folder / f"{name}.tif", "w", count=count, **kind, **profile
                        )
            except BaseException:
                self.__exit__(None, None, None)
                raise
        return self

    def write(self, rows: slice, columns: slice, mean: Float, sigma: Float | None, qa: NDArray[np.uint16]) -> None:
        """Take a tile of the native grid."""
        self._put("mean", rows, columns, encoded(mean))
        if self.with_sigma and sigma is not None:
            self._put("sigma", rows, columns, encoded(sigma))
        self._put("qa", rows, columns, qa[None])

    def stored(self, rows: slice, columns: slice) -> None:
        """See TileSink; an earlier run leaves nothing."""

    def write_before(self, rows: slice, columns: slice, rgb: Float) -> None:
        """Take the true-colour input of a tile."""
        self._put("before", rows, columns, encoded(rgb))

    def _put(self, name: str, rows: slice, columns: slice, values: NDArray[Any]) -> None:
        from rasterio.windows import Window

        window = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        with self._disk(), self._lock:
            self._files[name].write(values, window=window)

    def warp_into(self, writer: ProductWriter) -> NDArray[np.int64]:
        """Warp everything onto the grid of ``writer``; returns the number of valid pixels of each band.

        Nothing can be written afterwards.
        """
        target = writer.geobox
        valid = np.zeros(N_BANDS, np.int64)
        with self.onto(target) as warped:
            for rows, columns in windows((target.shape[0], target.shape[1]), _TILE):
                before, mean, sigma, qa = warped.read(rows, columns)
                valid += np.isfinite(mean).sum((1, 2))
                writer.write(rows, columns, mean, sigma, qa)
                writer.write_before(rows, columns, before)
        return valid

    @contextmanager
    def onto(self, target: GeoBox) -> Iterator[Warped]:
        """Give everything on another grid: reflectance cubic, sigma bilinear, QA nearest.

        Nothing can be written afterwards.
        """
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT

        ways = {
            "mean": Resampling.cubic,
            "sigma": Resampling.bilinear,
            "qa": Resampling.nearest,
            "before": Resampling.nearest,
        }
        views = {}
        with self._disk():
            for name, file in self._files.items():
                file.close()
                flush_or_raise(Path(file.name), sync=True)
                self._files[name] = open_dataset(file.name)
                views[name] = WarpedVRT(
                    self._files[name], crs=str(target.crs), transform=target.affine, height=target.shape[0],
                    width=target.shape[1], resampling=ways[name], tolerance=_TOLERANCE, UNIFIED_SRC_NODATA="NO",
                )  # fmt: skip
        yield Warped(views, self._disk)
        for view in views.values():
            view.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _disk(self) -> AbstractContextManager[None]:
        return disk_errors_explained(self._full)

    def _full(self, reason: str) -> str:
        free, need = shutil.disk_usage(self._parent).free, buffer_bytes(self.geobox, self.with_sigma)
        return (
            f"{self._parent.parent}: no room for the warp ({reason}; {free / 1e6:.0f} MB free, up to {need / 1e6:.0f}"
            " MB needed); free some space or give another output folder"
        )
