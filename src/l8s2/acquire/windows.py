"""Windows of remote rasters, on their own grid, pixel for pixel, retried like whole files."""

from __future__ import annotations

import errno
import math
import warnings
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.acquire.download import Address, FetchProgress, Transient, probe, retry
from l8s2.catalogs import http_policy
from l8s2.errors import InputError, OutsideError
from l8s2.files import whole_file
from l8s2.raster import ALONE, open_raster

BBox = tuple[float, float, float, float]
"""West, south, east, north, WGS 84 degrees; west > east crosses the antimeridian."""
Pixels = NDArray[np.generic]
_GDAL = {
    **ALONE,
    "GDAL_NUM_THREADS": "1",  # with more, JP2OpenJPEG passes over blocks that cannot be read
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_LOW_SPEED_TIME": "60",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",  # bytes per second: a slow line is no failure
    "GDAL_HTTP_MAX_RETRY": "2",
    "GDAL_HTTP_RETRY_DELAY": "0.2",
    "GDAL_HTTP_NETRC": "NO",
    "GDAL_HTTP_USERAGENT": http_policy.USER_AGENT,
    "CPL_VSIL_CURL_USE_HEAD": "NO",  # an address is signed for GET alone
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/",  # what failed may go well another time
}
_BLOCK = 256
"""Pixels to a side of a block of what is written."""


class CatalogWindow(NamedTuple):
    """The part of a scene to fetch."""

    bbox: BBox
    margin: float
    """Metres around it."""


def download_window(
    address: Address, path: Path, window: CatalogWindow | None, watch: FetchProgress | None = None
) -> None:
    """Write what a window covers of a raster as a GeoTIFF on the raster's own grid, unless the file is there.

    Args:
        address: gives the address of a GeoTIFF or JPEG 2000 with one band.
        path: the final file.
        window: the window; None takes the whole raster.
        watch: gets the bytes of pixels; may stop the download.

    Raises:
        OutsideError: The raster has no pixel in the window.
        InputError: The raster cannot be had, or has no position on the ground.
    """
    if path.exists():
        return
    from rasterio.errors import RasterioError

    watch = watch or FetchProgress()
    reader = _Reader(path.name, window, watch)

    def attempt(fresh: bool) -> None:
        url, before = address(fresh), reader.done
        try:
            reader.go_on(url)
        except RasterioError:
            why = Transient("no raster, or damaged where it is from", once="://" not in url)
            try:
                if "://" in url:
                    probe(url, path.name)
            except Transient as error:
                why = error
            why.made_progress = reader.done > before
            raise why from None

    retry(path.name, attempt, watch)
    try:
        with whole_file(path) as draft:
            _write(draft, reader.values, reader.profile)
    except OSError as error:
        raise InputError(
            f"{path.name}: {error.strerror or error} ({path.parent}); mend that, then run it again"
        ) from error


class _Reader:
    """Reads a window, one row of blocks after the other, and continues there after a failure."""

    def __init__(self, name: str, window: CatalogWindow | None, watch: FetchProgress) -> None:
        self._name, self._window, self._watch = name, window, watch
        self.values: Pixels = np.empty((0, 0))
        self.profile: dict[str, Any] = {}
        """Arguments of rasterio for the file to write."""
        self.done = 0
        """Rows read so far."""

    def go_on(self, url: str) -> None:
        """Read the rows that are missing. Raises RasterioError."""
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning

        # no driver that leads to other files
        driver = "JP2OpenJPEG" if urlsplit(url).path.lower().endswith(".jp2") else "GTiff"
        with warnings.catch_warnings(), rasterio.Env(**_GDAL):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(f"/vsicurl/{url}" if "://" in url else url, driver=driver) as source:
                self._read(source)

    def _read(self, source: Any) -> None:
        from rasterio.windows import Window

        if source.count != 1 or source.crs is None or source.transform.is_identity:
            raise InputError(
                f"{self._name}: {source.count} bands, {source.crs}; one band with a position on the ground is needed"
            )
        whole = (0, 0, *source.shape)
        top, left, bottom, right = whole if self._window is None else _covered(source, self._name, self._window)
        shape = bottom - top, right - left
        transform = source.window_transform(Window(left, top, *shape[::-1]))
        if (self.profile.get("transform"), self.values.shape) != (transform, shape):  # or it is another file by now
            self.done, self.profile = 0, {"crs": source.crs, "transform": transform, "nodata": source.nodata}
            self.values = np.empty(shape, source.dtypes[0])
            self._watch.advance(0, self.values.nbytes)
        high = source.block_shapes[0][0] * max(_BLOCK // source.block_shapes[0][0], 1)
        while (first := top + self.done) < bottom:
            end = min(first - first % high + high, bottom)
            part = self.values[self.done : end - top]
            source.read(1, window=Window(left, first, right - left, end - first), out=part)
            self.done = end - top
            self._watch.advance(part.nbytes)


def _write(path: Path, values: Pixels, profile: dict[str, Any]) -> None:
    """Write a tiled GeoTIFF. Raises OSError."""
    import rasterio
    from rasterio.errors import RasterioError

    height, width = values.shape
    try:
        with rasterio.open(
            path, "w", driver="GTiff", count=1, height=height, width=width, dtype=values.dtype, tiled=True,
            blockxsize=_BLOCK, blockysize=_BLOCK, compress="deflate",
            predictor=2 if values.dtype.kind in "iu" else 1, **profile,
        ) as target:  # fmt: skip
            target.write(values, 1)
        check_decodes(path, path.name)  # GDAL does not report every failed write
    except (RasterioError, InputError):
        raise OSError(errno.EIO, "cannot be written (disk full?)") from None


def check_decodes(path: Path, name: str) -> None:
    """Refuse a raster with a block that cannot be read; ``name`` is for messages. Raises InputError."""
    raster = open_raster(str(path), name)
    try:
        raster.check_complete(decode=True)
    finally:
        raster.dataset.close()


def _covered(source: Any, name: str, window: CatalogWindow) -> tuple[int, int, int, int]:
    """First row and column, end row and column, of the pixels that a window touches."""
    from rasterio.warp import transform_bounds

    west, south, east, north = window.bbox
    outside = OutsideError(name, window.bbox)
    longitude, latitude = grid.ring(GeoBox(source.shape, source.transform, str(source.crs)), 16)
    width = (east - west) % 360 or 360.0
    turns = [longitude.min()] if width == 360 else [west + 360 * turn for turn in (-1, 0, 1)]
    left, right = max(
        ((max(w, longitude.min()), min(w + width, longitude.max())) for w in turns), key=lambda ends: ends[1] - ends[0]
    )
    bottom, top = max(south, latitude.min()), min(north, latitude.max())
    if left > right or bottom > top:
        raise outside
    left, bottom, right, top = transform_bounds("EPSG:4326", source.crs, left, bottom, right, top, densify_pts=21)
    inverse = ~source.transform
    column, row = inverse @ (left - window.margin, top + window.margin)
    end_column, end_row = inverse @ (right + window.margin, bottom - window.margin)
    first = max(math.floor(row), 0), max(math.floor(column), 0)
    end = min(math.ceil(end_row), source.height), min(math.ceil(end_column), source.width)
    if first[0] >= end[0] or first[1] >= end[1]:
        raise outside
    return *first, *end
