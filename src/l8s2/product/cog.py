"""One cloud-optimised GeoTIFF from windows that come in any order, read back before it is trusted."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2.files import flush_or_raise

BLOCK = 512
"""Tile of the file, pixels to a side."""
_CHUNK = 1 << 18
"""Samples whose squares still sum exactly in float64, and fit into a processor's cache."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How samples are stored."""

    dtype: str
    fill: int
    """Value of pixels that nobody writes."""
    nodata: int | None
    scale: float | None
    """Physical value = scale * sample; None for bit masks and classes."""
    overviews: str
    """GDAL resampling of the reduced images."""


@dataclass
class Statistics:
    """Exact figures of the samples of one band, the same whatever the order they come in."""

    nodata: int | None
    count: int = 0
    total: int = 0
    squares: int = 0
    minimum: int = 1 << 31
    maximum: int = -(1 << 31)

    def add(self, samples: NDArray[Any]) -> None:
        """Take in an integer array of any shape."""
        flat = samples.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            part = flat[start : start + _CHUNK]
            if self.nodata is not None:
                known = part != self.nodata
                part = part if known.all() else part[known]
            if part.size:
                exact = part.astype(np.float64)
                self._merge(part.size, int(exact.sum()), int(np.einsum("i,i->", exact, exact)), part.min(), part.max())

    def add_constant(self, value: int, count: int) -> None:
        """Take in ``count`` samples that all equal ``value``."""
        if count and value != self.nodata:
            self._merge(count, count * value, count * value * value, value, value)

    def _merge(self, count: int, total: int, squares: int, minimum: int, maximum: int) -> None:
        self.count += count
        self.total += total
        self.squares += squares
        self.minimum = min(self.minimum, int(minimum))
        self.maximum = max(self.maximum, int(maximum))

    def tags(self, pixels: int) -> dict[str, str]:
        """GDAL's metadata items; none where no sample is valid. ``pixels``: size of the raster."""
        if not self.count:
            return {}
        deviation = math.sqrt(self.count * self.squares - self.total**2) / self.count
        return {
            "STATISTICS_MINIMUM": str(self.minimum),
            "STATISTICS_MAXIMUM": str(self.maximum),
            "STATISTICS_MEAN": repr(self.total / self.count),
            "STATISTICS_STDDEV": repr(deviation),
            "STATISTICS_VALID_PERCENT": f"{100 * self.count / pixels:.4g}",
        }


class CogFile:
    """A raster that is written by window into a draft and becomes a cloud-optimised GeoTIFF at the end.

    Raises OSError, or one of rasterio's errors, where the file system does not take what is written.
    """

    def __init__(self, path: Path, geobox: GeoBox, bands: Sequence[str], encoding: Encoding) -> None:
        import rasterio
        from rasterio.enums import ColorInterp

        self.path, self.encoding = path, encoding
        self.shape: tuple[int, int] = (geobox.shape[0], geobox.shape[1])
        self._statistics = [Statistics(encoding.nodata) for _ in bands]
        self._windows: list[tuple[int, int, int, int]] = []
        self._draft = path.with_name(f"{path.name}.draft")
        profile: dict[str, Any] = {
            "driver": "GTiff", "dtype": encoding.dtype, "count": len(bands), "crs": str(geobox.crs),
            "transform": geobox.affine, "height": self.shape[0], "width": self.shape[1], "tiled": True,
            "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "pixel", "compress": "zstd", "zstd_level": 1,
            "predictor": 2, "bigtiff": "IF_SAFER", "num_threads": "ALL_CPUS",
        }  # fmt: skip
        # As long as it is a draft, its nodata is the fill: GDAL writes that wherever nobody else writes.
        self._dataset = rasterio.open(self._draft, "w", nodata=encoding.fill, **profile)
        self._dataset.descriptions = tuple(bands)
        if encoding.scale is not None:
            colours = {"red": ColorInterp.red, "green": ColorInterp.green, "blue": ColorInterp.blue}
            self._dataset.colorinterp = [colours.get(band, ColorInterp.undefined) for band in bands]
            self._dataset.scales = (encoding.scale,) * len(bands)
            self._dataset.offsets = (0.0,) * len(bands)

    @property
    def samples(self) -> int:
        """Pixels times bands."""
        return self.shape[0] * self.shape[1] * len(self._statistics)

    def write(self, rows: slice, columns: slice, samples: NDArray[Any]) -> None:
        """Write ``samples`` (bands, h, w), already encoded. No pixel is written twice."""
        from rasterio.windows import Window

        top, bottom, left, right = rows.start, rows.stop, columns.start, columns.stop
        if not (0 <= top < bottom <= self.shape[0] and 0 <= left < right <= self.shape[1]):
            raise ValueError(f"rows {top}:{bottom}, columns {left}:{right} do not lie in the raster of {self.shape}")
        if samples.shape != (len(self._statistics), bottom - top, right - left):
            raise ValueError(f"{samples.shape} samples for rows {top}:{bottom}, columns {left}:{right}")
        if any(t < bottom and top < b and le < right and left < r for t, b, le, r in self._windows):
            raise ValueError(f"rows {top}:{bottom}, columns {left}:{right} overlap what was written before")
        self._windows.append((top, bottom, left, right))
        self._dataset.write(samples, window=Window(left, top, right - left, bottom - top))
        for statistics, band in zip(self._statistics, samples, strict=True):
            statistics.add(band)

    def finish(self, report: Callable[[float], None] = lambda _: None) -> None:
        """Turn the draft into the cloud-optimised file at ``path``, and read that back.

        ``report`` is told now and then what share of that is done.
        """
        import rasterio
        from rasterio.enums import Resampling
        from rasterio.shutil import copy

        pixels = self.shape[0] * self.shape[1]
        written = sum((bottom - top) * (right - left) for top, bottom, left, right in self._windows)
        for index, statistics in enumerate(self._statistics, 1):
            statistics.add_constant(self.encoding.fill, pixels - written)
            if self.encoding.scale is not None:
                self._dataset.update_tags(index, **statistics.tags(pixels))
        self.close()
        flush_or_raise(self._draft)
        if self.encoding.nodata is None:
            with rasterio.open(self._draft, "r+") as draft:
                draft.nodata = None
        factors = [1 << k for k in range(1, 32) if max(self.shape) > BLOCK << (k - 1)]
        if factors:
            # Before the copy: GDAL's COG driver takes several times longer to make its own.
            options = {"COMPRESS_OVERVIEW": "ZSTD", "ZSTD_LEVEL_OVERVIEW": 1, "PREDICTOR_OVERVIEW": 2}
            with (
                rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS", GDAL_TIFF_OVR_BLOCKSIZE=BLOCK, **options),
                rasterio.open(self._draft, "r+") as draft,
            ):
                draft.build_overviews(factors, Resampling[self.encoding.overviews])
            flush_or_raise(self._draft)
        report(0.2)
        try:
            copy(
                self._draft, self.path, driver="COG", COMPRESS="DEFLATE", PREDICTOR="2", BLOCKSIZE=str(BLOCK),
                LEVEL="1", OVERVIEWS="FORCE_USE_EXISTING", BIGTIFF="IF_SAFER", NUM_THREADS="ALL_CPUS",
            )  # fmt: skip
        except SystemError as error:  # rasterio's, where GDAL fails without saying why
            raise OSError(errno.EIO, "GDAL could not write") from error
        flush_or_raise(self.path)
        for path in (self._draft, self._draft.with_name(f"{self._draft.name}.aux.xml")):
            path.unlink(missing_ok=True)
        report(0.8)
        self._read_back()
        report(1.0)

    def _read_back(self) -> None:
        """Compare what is in the file with what was written; decode every overview tile."""
        import rasterio

        found = [Statistics(self.encoding.nodata) for _ in self._statistics]
        with rasterio.open(self.path, num_threads="ALL_CPUS") as dataset:
            levels = len(dataset.overviews(1))
            for samples in _strips(dataset):
                for statistics, band in zip(found, samples, strict=True):
                    statistics.add(band)
        for level in range(levels):
            with rasterio.open(self.path, overview_level=level, num_threads="ALL_CPUS") as dataset:
                for _ in _strips(dataset):
                    pass
        if found != self._statistics:
            raise OSError(errno.EIO, "the file does not hold what was written")

    def close(self) -> None:
        """Close the draft; nothing happens where it is closed already."""
        import rasterio

        with rasterio.Env():  # what GDAL has to say goes to the log, not to the terminal
            self._dataset.close()


def _strips(dataset: Any) -> Iterator[NDArray[Any]]:
    """Every pixel of an open raster, (bands, h, w) at a time, a few tiles each."""
    from rasterio.windows import Window

    for top in range(0, dataset.height, BLOCK):
        for left in range(0, dataset.width, 8 * BLOCK):
            size = min(8 * BLOCK, dataset.width - left), min(BLOCK, dataset.height - top)
            yield dataset.read(window=Window(left, top, *size))
