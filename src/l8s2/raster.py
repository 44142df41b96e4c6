"""Opening one raster, and saying in one line what is wrong with it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2.errors import InputError

logging.getLogger("rasterio").addHandler(logging.NullHandler())  # we report what matters, in one line


@dataclass(eq=False)
class Raster:
    """One single-band raster on its grid; reads by window, anywhere."""

    name: str
    path: str
    geobox: GeoBox
    dtype: np.dtype[Any]
    nodata: float | None
    dataset: Any

    def read(self, rows: slice, columns: slice) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Values and (h, w) bool, True = known. The window may reach beyond the raster; there nothing is known."""
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        shape = (rows.stop - rows.start, columns.stop - columns.start)
        values, known = np.zeros(shape, self.dtype), np.zeros(shape, bool)
        r0, r1 = max(rows.start, 0), min(rows.stop, self.geobox.shape[0])
        c0, c1 = max(columns.start, 0), min(columns.stop, self.geobox.shape[1])
        if r0 >= r1 or c0 >= c1:
            return values, known
        inside = slice(r0 - rows.start, r1 - rows.start), slice(c0 - columns.start, c1 - columns.start)
        try:
            part = self.dataset.read(1, window=Window(c0, r0, c1 - c0, r1 - r0))
        except (RasterioError, MemoryError):
            raise InputError(self._damage() or f"{self.name}: cannot be read; download it again") from None
        values[inside] = part
        good = np.ones(part.shape, bool) if part.dtype.kind != "f" else np.isfinite(part)
        if self.nodata is not None and np.isfinite(self.nodata):
            good &= part != self.nodata
        known[inside] = good
        return values, known

    def warped(self, geobox: GeoBox, *, smooth: bool) -> Raster:
        """The raster seen on another grid, warped on reading: cubic if ``smooth``, else nearest."""
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT

        dataset = WarpedVRT(
            self.dataset,
            crs=str(geobox.crs),
            transform=geobox.affine,
            width=geobox.shape[1],
            height=geobox.shape[0],
            resampling=Resampling.cubic if smooth else Resampling.nearest,
            src_nodata=0 if self.nodata is None else self.nodata,
            nodata=0 if self.nodata is None else self.nodata,
        )
        return Raster(self.name, self.path, geobox, self.dtype, 0 if self.nodata is None else self.nodata, dataset)

    def check_complete(self) -> None:
        """Refuse a file that ends before its last block, without decoding anything. Raises InputError."""
        message = self._damage(decode=False)
        if message:
            raise InputError(message)

    def _damage(self, decode: bool = True) -> str | None:
        """What is wrong with the blocks, in one line."""
        from rasterio.errors import RasterioError

        size = _size(self.path)
        bad = total = 0
        for (row, column), window in self.dataset.block_windows(1):
            total += 1
            if size is not None:
                offset = self.dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=1)
                length = self.dataset.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", bidx=1)
                if offset is not None and length is not None and int(offset) + int(length) > size:
                    bad += 1
                    continue
            if decode:
                try:
                    self.dataset.read(1, window=window)
                except RasterioError:
                    bad += 1
        if not bad:
            return None
        where = f" (the file ends at {size / 1e6:.1f} MB)" if size is not None else ""
        return f"{self.name}: {bad} of {total} blocks unreadable{where}; download it again"


def _size(path: str) -> int | None:
    """Bytes of a local file; None for anything GDAL reads through a virtual path."""
    return Path(path).stat().st_size if not path.startswith("/vsi") else None


def open_raster(path: str, name: str) -> Raster:
    """Open ``path``; ``name`` is what messages call it. Raises InputError for anything that is not a georeferenced raster."""
    import rasterio
    from rasterio.errors import RasterioError

    try:
        dataset = rasterio.open(path)
    except RasterioError:
        raise InputError(f"{name}: {_not_a_raster(path)}") from None
    if dataset.crs is None:
        raise InputError(f"{name}: has no coordinate reference system; use the file as USGS delivers it")
    geobox = GeoBox((dataset.height, dataset.width), dataset.transform, str(dataset.crs))
    return Raster(name, path, geobox, np.dtype(dataset.dtypes[0]), dataset.nodata, dataset)


def _not_a_raster(path: str) -> str:
    if path.startswith("/vsi"):
        return "cannot be opened as a raster; download it again"
    try:
        with open(path, "rb") as file:
            head = file.read(512).lstrip().lower()
    except OSError as error:
        return f"{error.strerror}; check its permissions"
    if not head:
        return "empty file (0 bytes); download it again"
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"{")):
        return "a web page or error message saved as TIFF; download it again (the link or the login may have expired)"
    return "not a readable TIFF; download it again"
