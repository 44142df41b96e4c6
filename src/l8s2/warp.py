"""The one warp at the end, for products outside the scene's own zone."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import masks
from l8s2.tiling import Float, windows

if TYPE_CHECKING:
    from l8s2.product import ProductWriter

_TILE = 1024


class WarpBuffer:
    """Keeps the native result in temporary files beside the output until it is warped; takes tiles like a writer."""

    def __init__(self, output: Path, geobox: GeoBox, *, sigma: bool) -> None:
        self.geobox, self.with_sigma = geobox, sigma
        self._output = output
        self._files: dict[str, Any] = {}

    def __enter__(self) -> WarpBuffer:
        import rasterio

        self._folder = Path(tempfile.mkdtemp(prefix=".l8s2-warp-", dir=self._output))
        profile: dict[str, Any] = {
            "driver": "GTiff", "crs": str(self.geobox.crs), "transform": self.geobox.affine, "tiled": True,
            "blockxsize": 512, "blockysize": 512, "interleave": "band", "bigtiff": "IF_SAFER", "sparse_ok": True,
            "height": self.geobox.shape[0], "width": self.geobox.shape[1],
        }  # fmt: skip
        for name, count, dtype, nodata in (
            ("mean", 6, "float32", np.nan), ("sigma", 6, "float32", np.nan), ("qa", 1, "uint16", None), ("before", 3, "float32", np.nan),
        ):  # fmt: skip
            if name != "sigma" or self.with_sigma:
                self._files[name] = rasterio.open(
                    self._folder / f"{name}.tif", "w+", count=count, dtype=dtype, nodata=nodata, **profile
                )
        return self

    def write(self, rows: slice, columns: slice, mean: Float, sigma: Float | None, qa: NDArray[np.uint16]) -> None:
        """Take a tile of the native grid."""
        self._put("mean", rows, columns, mean)
        if self.with_sigma and sigma is not None:
            self._put("sigma", rows, columns, sigma)
        self._put("qa", rows, columns, qa[None])

    def write_before(self, rows: slice, columns: slice, rgb: Float) -> None:
        """Take the true-colour input of a tile."""
        self._put("before", rows, columns, rgb)

    def _put(self, name: str, rows: slice, columns: slice, values: NDArray[Any]) -> None:
        from rasterio.windows import Window

        window = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        self._files[name].write(values, window=window)

    def warp_into(self, writer: ProductWriter) -> None:
        """Warp everything onto the grid of ``writer``: reflectance cubic, sigma bilinear, QA nearest."""
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT
        from rasterio.windows import Window

        target = writer.geobox
        ways = {
            "mean": Resampling.cubic,
            "sigma": Resampling.bilinear,
            "qa": Resampling.nearest,
            "before": Resampling.nearest,
        }
        views = {
            name: WarpedVRT(
                file, crs=str(target.crs), transform=target.affine, height=target.shape[0], width=target.shape[1],
                resampling=ways[name],
            )
            for name, file in self._files.items()
        }  # fmt: skip
        fill = np.uint16(masks.flag("fill"))
        for rows, columns in windows((target.shape[0], target.shape[1]), _TILE):
            window = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
            part = {name: view.read(window=window) for name, view in views.items()}
            mean, qa = part["mean"], part["qa"][0]
            qa[np.isnan(mean).any(0)] |= fill
            sigma = part.get("sigma")
            if sigma is not None:
                sigma[np.isnan(mean)] = np.nan
            writer.write(rows, columns, mean, sigma, qa)
            writer.write_before(rows, columns, part["before"])
        for view in views.values():
            view.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)
