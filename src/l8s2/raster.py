"""One band of a raster: opening it, reading windows, and saying in one line what is wrong with it."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2.arrays import Mask
from l8s2.errors import InputError

logging.getLogger("rasterio").addHandler(logging.NullHandler())

_LARGEST = 1 << 17
"""Most pixels to a side; pan has 17 000."""
_MOST = 1 << 30
"""Most pixels; pan has 300 million."""
_INSIDE = re.compile(r"/vsisubfile/(?P<offset>\d+)_(?P<size>\d+),(?P<file>.*)", re.DOTALL)


def inside(file: str, offset: int, size: int) -> str:
    """Return the path by which GDAL opens ``size`` bytes of a file, such as a member of an archive."""
    return f"/vsisubfile/{offset}_{size},{file}"


def _taken_apart(path: str) -> tuple[str, int, int | None]:
    """Return file, offset and size of a path made by ``inside``; of a file itself the size is None."""
    match = _INSIDE.fullmatch(path)
    return (match["file"], int(match["offset"]), int(match["size"])) if match else (path, 0, None)


def first_bytes(path: str, most: int) -> bytes:
    """Return the first bytes, at most ``most``, of a file or of a path made by ``inside``.

    Raises:
        OSError: for a file that cannot be read.
    """
    name, offset, size = _taken_apart(path)
    with open(name, "rb") as file:
        file.seek(offset)
        return file.read(most if size is None else min(most, size))


def checksum(path: str | Path) -> str:
    """Return the SHA-256 of a file, or of a path made by ``inside``, as a hexadecimal multihash. Raises OSError."""
    digest = hashlib.sha256()
    for block in _blocks(str(path)):
        digest.update(block)
    return "1220" + digest.hexdigest()


def _blocks(path: str) -> Iterator[bytes]:
    left = file_size(path)
    name, offset, _ = _taken_apart(path)
    with open(name, "rb") as file:
        file.seek(offset)
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            left -= len(block)
            yield block


def file_size(path: str) -> int:
    """Return the bytes of a file, or of a path made by ``inside``. Raises OSError."""
    file, _, size = _taken_apart(path)
    return Path(file).stat().st_size if size is None else size


@dataclass(eq=False)
class Raster:
    """One band of a raster on its grid; reads by window, anywhere."""

    name: str
    path: str
    geobox: GeoBox
    dtype: np.dtype[Any]
    nodata: float | None
    dataset: Any
    is_native: bool = True
    """Whether pixels are read as they lie in the file, not warped."""
    band: int = 1
    """Number of the band in its file, from 1."""

    def read(self, rows: slice, columns: slice) -> tuple[NDArray[Any], Mask]:
        """Return values (h, w) and where they are known (h, w), True = known.

        The window may reach beyond the raster, where no value is known.

        Raises:
            InputError: for blocks that cannot be read.
        """
        from rasterio.windows import Window

        shape = (rows.stop - rows.start, columns.stop - columns.start)
        values, known = np.zeros(shape, self.dtype), np.zeros(shape, bool)
        r0, r1 = max(rows.start, 0), min(rows.stop, self.geobox.shape[0])
        c0, c1 = max(columns.start, 0), min(columns.stop, self.geobox.shape[1])
        if r0 >= r1 or c0 >= c1:
            return values, known
        at = slice(r0 - rows.start, r1 - rows.start), slice(c0 - columns.start, c1 - columns.start)
        part = self._read(window=Window(c0, r0, c1 - c0, r1 - r0))
        values[at], known[at] = part, self._known(part)
        return values, known

    def sample(self, most: int = 512) -> NDArray[Any]:
        """Return the known values of the whole raster, thinned to at most ``most`` rows and columns; 1-D."""
        values, known = self.thinned(most)
        return values[known]

    def thinned(self, most: int) -> tuple[NDArray[Any], Mask]:
        """Return what ``read`` does of the whole raster, thinned evenly to at most ``most`` rows and columns."""
        values = self._read(out_shape=tuple(min(most, n) for n in self.geobox.shape))
        return values, self._known(values)

    def _read(self, **how: Any) -> NDArray[Any]:
        import rasterio
        from rasterio.errors import RasterioError

        try:
            with rasterio.Env(**STRICT):
                values: NDArray[Any] = self.dataset.read(self.band, **how)
        except (RasterioError, MemoryError):
            raise InputError(self._damage() or f"{self.name}: cannot be read; download it again") from None
        return values

    def _known(self, values: NDArray[Any]) -> Mask:
        known: Mask = np.isfinite(values)
        if self.nodata is not None and np.isfinite(self.nodata):
            known &= values != self.nodata
        return known

    def warped(self, geobox: GeoBox, *, smooth: bool) -> Raster:
        """Return the raster on another grid, warped on reading: Lanczos if ``smooth``, else nearest."""
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT

        nodata = 0 if self.nodata is None else self.nodata
        dataset = WarpedVRT(
            self.dataset,
            crs=str(geobox.crs),
            transform=geobox.affine,
            width=geobox.shape[1],
            height=geobox.shape[0],
            resampling=Resampling.lanczos if smooth else Resampling.nearest,
            src_nodata=nodata,
            nodata=nodata,
        )
        return replace(self, geobox=geobox, nodata=nodata, dataset=dataset, is_native=False)

    def check_complete(self, *, decode: bool = False) -> None:
        """Check that the file is complete.

        Raises:
            InputError: for a file that ends before its last block; with ``decode`` also for an unreadable block.
        """
        message = self._damage(decode=decode)
        if message:
            raise InputError(message)

    def _damage(self, decode: bool = True) -> str | None:
        """Return in one line what is wrong with the blocks, None if nothing is."""
        from rasterio.errors import RasterioError

        size = file_size(self.path)
        bad = total = 0
        for (row, column), window in self.dataset.block_windows(self.band):
            total += 1
            offset = self.dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=self.band)
            length = self.dataset.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", bidx=self.band)
            if offset is not None and length is not None and int(offset) + int(length) > size:
                bad += 1
                continue
            if decode:
                try:
                    self.dataset.read(self.band, window=window)
                except RasterioError:
                    bad += 1
        if not bad:
            return None
        return f"{self.name}: {bad} of {total} blocks unreadable (the file has {size:,} bytes); download it again"


FORMATS = ("GTiff", "JP2OpenJPEG")
"""GDAL's names of the formats in which a user may give a raster that is no Landsat file."""
STRICT = {"GDAL_NUM_THREADS": "1"}
"""Option of GDAL by which a damaged JPEG 2000 file is an error; its threads would leave zeros where they fail."""
ALONE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}
"""Options of GDAL by which a file is read without those beside it: .aux.xml, .ovr and .msk can lead anywhere."""


def open_dataset(path: str | Path, driver: str = "GTiff", *others: str) -> Any:
    """Open a local raster and nothing else: the only way in which files of others are opened.

    Args:
        path: a file, or a path made by ``inside``. Never what GDAL would fetch or make by itself.
        driver: GDAL's name of the format that it must be of; a VRT, for example, refers to other files.
        others: further formats that it may be of.

    Returns what ``rasterio.open`` returns.

    Raises:
        RasterioError: for what is no such file, and for one that names another file as its reduced images.
        CRSError: for a coordinate reference system that GDAL does not know.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

    text = str(path)
    file, _, size = _taken_apart(text)
    if not Path(file).is_file():  # also /vsicurl/..., http://..., GTIFF_DIR:..., XML
        raise RasterioIOError(f"{text}: not a local file")
    if size is None:
        text = os.path.abspath(text)  # which is no address, whatever the name of the file
    with warnings.catch_warnings(), rasterio.Env(**ALONE):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            dataset = rasterio.open(text, driver=driver)
        except RasterioIOError:
            if not others:
                raise
            return open_dataset(path, *others)
        if dataset.tags(ns="OVERVIEWS"):
            dataset.close()
            raise RasterioIOError(f"{text}: leads to another file")
    return dataset


def open_raster(path: str, name: str, driver: str = "GTiff", band: int | None = None) -> Raster:
    """Open ``path``; ``name`` is what messages call it, ``driver`` GDAL's name of its format.

    With ``band`` the file may hold several, of which this one is opened, counted from 1.

    Raises:
        InputError: for anything but a georeferenced raster of real numbers, and without ``band`` of several bands.
    """
    from rasterio.errors import CRSError, RasterioError

    try:
        dataset = open_dataset(path, driver)
        crs, transform = dataset.crs, dataset.transform
    except UnicodeError:
        raise InputError(f"{name}: lies in a folder whose name is not valid UTF-8; rename the folder") from None
    except (RasterioError, CRSError):
        raise InputError(f"{name}: {_not_a_raster(path, driver)}") from None
    if crs is None or transform.is_identity or not np.isfinite(transform).all():
        raise InputError(f"{name}: has no position on the ground; use the file as USGS delivers it")
    if max(dataset.shape) > _LARGEST or dataset.height * dataset.width > _MOST:
        raise InputError(f"{name}: {dataset.height} x {dataset.width} pixels; no Landsat scene is that large")
    number = band or 1
    dtype = np.dtype(dataset.dtypes[number - 1])
    if (band is None and dataset.count != 1) or dtype.kind not in "uif":
        raise InputError(
            f"{name}: holds {dataset.count} x {dtype}; a Landsat file holds one band of real numbers,"
            " use the file as USGS delivers it"
        )
    geobox = GeoBox((dataset.height, dataset.width), _tidied(transform), str(crs))
    return Raster(name, path, geobox, dtype, dataset.nodatavals[number - 1], dataset, band=number)


def _tidied(transform: Affine) -> Affine:
    """Round pixels within 1 um of whole metres to that size, and their origin to 1 mm; other software leaves errors."""
    a, b, c, d, e, f = transform[:6]
    if max(abs(a - round(a)), abs(e - round(e)), abs(b), abs(d)) > 1e-6 or not (round(a) and round(e)):
        return transform
    return Affine(round(a), 0, round(c, 3), 0, round(e), round(f, 3))


def _not_a_raster(path: str, driver: str) -> str:
    form = "TIFF" if driver == "GTiff" else "JPEG 2000"
    try:
        head = first_bytes(path, 512).lstrip().lower()
    except OSError as error:
        return f"{error.strerror}; check its permissions"
    if not head:
        return "empty file (0 bytes); download it again"
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"{")):
        return f"a web page or error message saved as {form}; download it again (the link or login may have expired)"
    return f"not a readable {form} file; download it again"
