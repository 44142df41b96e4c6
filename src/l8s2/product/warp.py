"""The one warp at the end, for products outside the scene's own zone."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import masks
from l8s2.arrays import Float, windows
from l8s2.cog import CogFile, Encoding
from l8s2.product.sink import Stored, disk_errors_explained
from l8s2.radiometry import NODATA, decoded, encoded
from l8s2.raster import open_dataset
from l8s2.sensors import BAND_NAMES, N_BANDS, RGB

if TYPE_CHECKING:
    from l8s2.product.writer import ProductWriter

_TILE = 1024
_TOLERANCE = 0.01
"""Output pixels by which GDAL may place a pixel wrongly to save time."""
_REFLECTANCE = Encoding(dtype="int16", fill=NODATA, nodata=NODATA, scale=None, overviews="average")
_QA = Encoding(dtype="uint16", fill=0, nodata=None, scale=None, overviews="mode")
_PARTS = {"mean": (BAND_NAMES, _REFLECTANCE), "sigma": (BAND_NAMES, _REFLECTANCE),
          "before": (BAND_NAMES[RGB], _REFLECTANCE), "qa": (("qa",), _QA)}  # fmt: skip
"""Bands and encoding of each file."""


def buffer_bytes(native: GeoBox, sigma: bool) -> int:
    """Disk space that a WarpBuffer takes at most: files and their drafts, each compressed no larger than plain."""
    rows, columns = native.shape
    return int(4 * rows * columns * (16 if sigma else 10))


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

    It is stored as the product stores it, so that what is warped are the product's own numbers. Drafts of its files
    stay in the folder: who begins the same buffer there anew goes on from them.
    """

    def __init__(self, folder: Path, geobox: GeoBox, *, sigma: bool, name: str = "warp") -> None:
        """``folder``: gets the files; ``name``: with which theirs begin."""
        self.geobox, self.with_sigma = geobox, sigma
        self._folder, self._name = folder, name
        self._files: dict[str, CogFile] = {}

    def __enter__(self) -> WarpBuffer:
        with self._disk():
            need = buffer_bytes(self.geobox, self.with_sigma)
            if shutil.disk_usage(self._folder).free < need / 2:  # half: a scene may be mostly nodata
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            for part, (bands, encoding) in _PARTS.items():
                if part != "sigma" or self.with_sigma:
                    path = self._folder / f"{self._name}_{part}.tif"
                    self._files[part] = CogFile(path, self.geobox, bands, encoding)
        return self

    def write(self, rows: slice, columns: slice, mean: Float, sigma: Float | None, qa: NDArray[np.uint16]) -> None:
        """Take a tile of the native grid."""
        with self._disk():
            self._files["mean"].write(rows, columns, encoded(mean))
            if self.with_sigma and sigma is not None:
                self._files["sigma"].write(rows, columns, encoded(sigma))
            self._files["qa"].write(rows, columns, qa[None])

    def stored(self, rows: slice, columns: slice) -> Stored | None:
        """See TileSink."""
        if not all(file.holds(rows, columns) for part, file in self._files.items() if part != "before"):
            return None
        mean, qa = (self._files[part].stored(rows, columns) for part in ("mean", "qa"))
        known = not self.with_sigma or bool((self._files["sigma"].stored(rows, columns) != NODATA).any())
        return Stored(decoded(mean), qa[0], known)

    def write_before(self, rows: slice, columns: slice, rgb: Float) -> None:
        """Take the true-colour input of a tile."""
        with self._disk():
            self._files["before"].write(rows, columns, encoded(rgb))

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
        with ExitStack() as stack:
            with self._disk():
                for name, file in self._files.items():
                    file.finish()
                    view = WarpedVRT(
                        stack.enter_context(open_dataset(file.path)), crs=str(target.crs), transform=target.affine,
                        height=target.shape[0], width=target.shape[1], resampling=ways[name], tolerance=_TOLERANCE,
                        UNIFIED_SRC_NODATA="NO",
                    )  # fmt: skip
                    views[name] = stack.enter_context(view)
            yield Warped(views, self._disk)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
            file.path.unlink(missing_ok=True)

    def _disk(self) -> AbstractContextManager[None]:
        return disk_errors_explained(self._full)

    def _full(self, reason: str) -> str:
        free, need = shutil.disk_usage(self._folder).free, buffer_bytes(self.geobox, self.with_sigma)
        return (
            f"{self._folder.parent}: no room for the warp ({reason}; {free / 1e6:.0f} MB free, up to {need / 1e6:.0f}"
            " MB needed); free some space or give another output folder"
        )
