"""One cloud-optimised GeoTIFF from windows that come in any order, and from several threads."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2.cog.deflate import compress_tile, decompress_tile
from l8s2.cog.header import gdal_tags, header
from l8s2.cog.layout import BLOCK, Encoding, levels
from l8s2.cog.reduce import average, mode
from l8s2.cog.spool import Key, Spool
from l8s2.cog.statistics import Statistics

Watch = Callable[[int, int, int, NDArray[Any]], None]
"""Takes the level of a tile, its first row and column in that level, and its samples (bands, h, w)."""


DRAFT = ".draft"
"""Ending of the temporary file beside the file; who begins the same file again goes on from it."""


def _tiles(window: slice) -> range:
    """Return the rows, or columns, of tiles that a window touches."""
    return range(window.start // BLOCK, -(-window.stop // BLOCK))


class _Partial:
    """A tile of which not every pixel has come."""

    def __init__(self, bands: int, size: tuple[int, int], encoding: Encoding) -> None:
        self.samples = np.full((bands, *size), encoding.fill, encoding.dtype)
        self.missing = np.ones(size, bool)
        self.left = self.missing.size

    def take(self, rows: slice, columns: slice, samples: NDArray[Any]) -> None:
        """Take some pixels, none of which was there."""
        if not self.missing[rows, columns].all():
            raise ValueError("rows and columns overlap what was written before")
        self.samples[:, rows, columns] = samples
        self.missing[rows, columns] = False
        self.left -= samples[0].size


class CogFile:
    """A raster that is written by window and becomes a cloud-optimised GeoTIFF at the end.

    A tile is compressed once, in the thread that brings its last pixel, and put aside in a temporary file; its reduced
    image goes into the tile of the next level. At the end the tiles are put behind a header in the order of the
    format. What is in the file does not depend on the order of windows, nor on threads.

    The temporary file stays until the caller removes it: a process that begins the file anew beside one that a killed
    process left goes on from there.

    Raises OSError where the file system does not take what is written.
    """

    def __init__(
        self, path: Path, geobox: GeoBox, bands: Sequence[str], encoding: Encoding, watch: Watch | None = None
    ) -> None:
        """Begin a file.

        Args:
            path: the file.
            geobox: its grid.
            bands: their descriptions; ``red``, ``green`` and ``blue`` are shown so.
            encoding: how samples are stored.
            watch: told of every tile with anything but fill in it.
        """
        self._watch = watch
        self.path, self.encoding = path, encoding
        self.shape: tuple[int, int] = (geobox.shape[0], geobox.shape[1])
        self._geobox, self._bands = geobox, tuple(bands)
        self._levels = levels(*self.shape)
        self._lock = threading.Lock()
        self._partial: dict[Key, _Partial] = {}
        self._done: set[Key] = set()
        self._statistics = [Statistics(encoding.nodata) for _ in bands]
        self._empty: bytes | None = None
        self._spool = Spool(path.with_name(f"{path.name}{DRAFT}"))
        kept = self._spool.sorted()
        self._kept = frozenset(kept)
        self._done |= self._kept
        for key in kept:
            self._take_up(key)

    def _take_up(self, key: Key) -> None:
        """Do with a tile that an earlier process has put aside what was not put aside with it."""
        level, row, column = key
        above = level + 1 < len(self._levels) and (level + 1, row // 2, column // 2) not in self._kept
        if level and not above and not self._watch:
            return
        samples = self._stored(key)
        if (samples == self.encoding.fill).all():
            self._empty = self._spool.read(key)
        else:
            self._note(key, samples)
        if above:
            reduced = self._reduced(samples)
            self._take(level + 1, row * BLOCK // 2, column * BLOCK // 2, reduced)

    def _stored(self, key: Key) -> NDArray[Any]:
        height, width = self._levels[key[0]].size(*key[1:])
        tile = decompress_tile(self._spool.read(key), len(self._bands), self.encoding.dtype)
        return tile[:, :height, :width]

    def holds(self, rows: slice, columns: slice) -> bool:
        """Tell whether an earlier process has put aside all of a window; what is written into it is not needed."""
        return all((0, row, column) in self._kept for row in _tiles(rows) for column in _tiles(columns))

    def stored(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the samples (bands, h, w) of a window that it ``holds``."""
        tiles = [[self._stored((0, row, column)) for column in _tiles(columns)] for row in _tiles(rows)]
        top, left = rows.start % BLOCK, columns.start % BLOCK
        image = np.concatenate([np.concatenate(row, axis=2) for row in tiles], axis=1)
        return image[:, top : top + rows.stop - rows.start, left : left + columns.stop - columns.start]

    @property
    def any_known(self) -> bool:
        """Whether any sample so far is known; of files with statistics."""
        return any(statistics.count for statistics in self._statistics)

    @property
    def samples(self) -> int:
        """Pixels times bands."""
        return self.shape[0] * self.shape[1] * len(self._bands)

    def write(self, rows: slice, columns: slice, samples: NDArray[Any]) -> None:
        """Write ``samples`` (bands, h, w), already encoded. No pixel is written twice."""
        top, bottom, left, right = rows.start, rows.stop, columns.start, columns.stop
        if not (0 <= top < bottom <= self.shape[0] and 0 <= left < right <= self.shape[1]):
            raise ValueError(f"rows {top}:{bottom}, columns {left}:{right} do not lie in the raster of {self.shape}")
        if samples.shape != (len(self._bands), bottom - top, right - left):
            raise ValueError(f"{samples.shape} samples for rows {top}:{bottom}, columns {left}:{right}")
        self._take(0, top, left, samples)

    def _take(self, level: int, top: int, left: int, samples: NDArray[Any]) -> None:
        """Put a window of a level into its tiles, and finish those that are then complete."""
        height, width = samples.shape[1:]
        for row in _tiles(slice(top, top + height)):
            for column in _tiles(slice(left, left + width)):
                r0, c0 = max(row * BLOCK, top), max(column * BLOCK, left)
                r1, c1 = min((row + 1) * BLOCK, top + height), min((column + 1) * BLOCK, left + width)
                part = samples[:, r0 - top : r1 - top, c0 - left : c1 - left]
                whole = self._whole((level, row, column), r0 % BLOCK, c0 % BLOCK, part)
                if whole is not None:
                    self._finish_tile((level, row, column), whole)

    def _whole(self, key: Key, top: int, left: int, part: NDArray[Any]) -> NDArray[Any] | None:
        """Return a tile if this part makes it complete, else keep the part."""
        level, row, column = key
        size = self._levels[level].size(row, column)
        with self._lock:
            if key in self._kept:
                return None
            if key in self._done:
                raise ValueError(f"rows and columns of tile {row}, {column} overlap what was written before")
            partial = self._partial.get(key)
            if partial is None:
                if part.shape[1:] == size:
                    self._done.add(key)
                    return part
                partial = self._partial[key] = _Partial(len(self._bands), size, self.encoding)
            partial.take(slice(top, top + part.shape[1]), slice(left, left + part.shape[2]), part)
            if partial.left:
                return None
            self._done.add(key)
            return self._partial.pop(key).samples

    def _finish_tile(self, key: Key, samples: NDArray[Any]) -> None:
        level, row, column = key
        fill = self.encoding.fill
        if (samples == fill).all():
            self._add_empty(key)
            reduced = np.full((len(samples), *(-(-n // 2) for n in samples.shape[1:])), fill, samples.dtype)
        else:
            self._spool.append(key, compress_tile(samples, fill))
            self._note(key, samples)
            reduced = self._reduced(samples) if level + 1 < len(self._levels) else samples
        if level + 1 < len(self._levels):
            self._take(level + 1, row * BLOCK // 2, column * BLOCK // 2, reduced)

    def _add_empty(self, key: Key) -> None:
        """Keep a tile of nothing but fill. That has statistics only where fill is nodata, and then none."""
        if self._empty is None:
            nothing = np.full((len(self._bands), 1, 1), self.encoding.fill, self.encoding.dtype)
            self._empty = compress_tile(nothing, self.encoding.fill)
        self._spool.append(key, self._empty)

    def _note(self, key: Key, samples: NDArray[Any]) -> None:
        level, row, column = key
        if self._watch:
            self._watch(level, row * BLOCK, column * BLOCK, samples)
        if level == 0 and self.encoding.scale is not None:
            self._count(samples)

    def _count(self, samples: NDArray[Any]) -> None:
        for total, band in zip(self._statistics, samples, strict=True):
            found = Statistics(self.encoding.nodata)
            found.add(band)
            with self._lock:
                total.merge(found)

    def _reduced(self, samples: NDArray[Any]) -> NDArray[Any]:
        if self.encoding.overviews == "average":
            assert self.encoding.nodata is not None
            return average(samples, self.encoding.nodata)
        return mode(samples)

    def finish(self, report: Callable[[float], None] = lambda _: None, about: Mapping[str, str] | None = None) -> None:
        """Make the file at ``path`` whole.

        Args:
            report: told now and then what share of that is done.
            about: metadata of the file.
        """
        for level, image in enumerate(self._levels):
            for row, column in image.tiles():
                key = level, row, column
                partial = self._partial.pop(key, None)
                if partial is not None:
                    self._done.add(key)
                    self._finish_tile(key, partial.samples)
                elif key not in self._done:
                    self._done.add(key)
                    self._add_empty(key)
        self._spool.flush()
        self._join(report, about)
        self.close()

    def _join(self, report: Callable[[float], None], about: Mapping[str, str] | None) -> None:
        """Write the header, then the tiles as the format wants them: the smallest image first, row by row."""
        keys = [[(level, *tile) for tile in image.tiles()] for level, image in enumerate(self._levels)]
        sizes = [[self._spool.size(key) for key in of_level] for of_level in keys]
        pixels = self.shape[0] * self.shape[1]
        items = [statistics.tags(pixels) for statistics in self._statistics]
        tags = gdal_tags(self._geobox, self._bands, self.encoding, items, about)
        done, total = 0, sum(map(len, keys))
        with self.path.open("wb") as file:
            file.write(header(tags, self._levels, sizes))
            for of_level in reversed(keys):
                for key in of_level:
                    data = self._spool.read(key)
                    file.write(struct.pack("<I", len(data)))
                    file.write(data)
                    file.write(data[-4:])
                    done += 1
                    report(done / total)

    def close(self) -> None:
        """Close the temporary file; nothing happens where it is closed already."""
        self._spool.close()
