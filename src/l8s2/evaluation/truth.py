"""A Sentinel-2 image on the 10 m lattice of a Landsat scene: the truth of a real pair."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2 import grid, masks
from l8s2.arrays import Float
from l8s2.errors import InputError
from l8s2.raster import FORMATS, STRICT, open_dataset
from l8s2.sensors import BAND_NAMES, N_BANDS, OUTPUT_GSD

_SCALE = 1e-4
"""Reflectance of one step of an integer raster that does not say."""


class Truth:
    """An opened raster of six bands. Close it, or use it as a context manager."""

    rows: slice
    """MS pixels of the scene whose 3 x 3 blocks lie in the raster."""
    columns: slice

    def __init__(self, path: Path, ms: GeoBox) -> None:
        """Open and check a raster.

        Args:
            path: GeoTIFF or JPEG 2000, bands in the order of ``sensors.BANDS``. Integers are reflectance x 10^4
                unless the file has its own scale and offset; the offset of Sentinel-2's processing since 2022 must have
                been removed. Beside ``*_SR.tif`` of l8s2 its ``*_QA.tif`` is looked for: what is cloud there does not
                count.
            ms: the 30 m grid of the Landsat scene.

        Raises InputError for what is no such raster, and for one that does not lie on the scene's 10 m lattice.
        """
        self.name = path.name
        self._files = [_open(path)]
        try:
            dataset = self._files[0]
            if dataset.count != len(BAND_NAMES):
                raise InputError(f"{self.name}: {dataset.count} bands; six are needed: {', '.join(BAND_NAMES)}")
            self._offset = self._place(ms)
            qa = path.with_name(path.name.removesuffix("_SR.tif") + "_QA.tif")
            if path.name.endswith("_SR.tif") and qa.exists():
                self._files.append(_open(qa))
                if (self._files[1].shape, self._files[1].transform) != (dataset.shape, dataset.transform):
                    raise InputError(f"{qa.name}: its grid differs from that of {self.name}; use files of one product")
        except BaseException:
            self.close()
            raise

    def _place(self, ms: GeoBox) -> tuple[int, int]:
        """(row, column) of the raster in the block grid of the scene."""
        dataset = self._files[0]
        if dataset.crs is None or dataset.transform.is_identity:
            raise InputError(f"{self.name}: has no position on the ground; give a georeferenced raster")
        theirs = grid.landsat_convention(GeoBox(dataset.shape, Affine(*dataset.transform[:6]), str(dataset.crs)))
        ours = grid.landsat_convention(grid.output_geobox(ms))
        remedy = f"warp it yourself first: gdalwarp -t_srs {grid.output_geobox(ms).crs} -tr 10 10 -tap -r cubic"
        if theirs.crs != ours.crs:
            raise InputError(f"{self.name}: in {dataset.crs}, the Landsat scene in {ours.crs}; {remedy}")
        a = theirs.affine
        right, down = (a.c - ours.affine.c) / OUTPUT_GSD, (ours.affine.f - a.f) / OUTPUT_GSD
        turned = max(abs(a.a - OUTPUT_GSD), abs(a.e + OUTPUT_GSD), abs(a.b), abs(a.d)) > 1e-6
        if turned or max(abs(v - round(v)) for v in (right, down)) > grid.TOLERANCE:
            raise InputError(f"{self.name}: not on the scene's 10 m lattice (edges at multiples of 10 m); {remedy}")
        spans = []
        for first, size, limit in zip((round(down), round(right)), dataset.shape, ms.shape, strict=True):
            start, stop = max(0, -(-first // grid.BLOCK)), min(limit, (first + size) // grid.BLOCK)
            if start >= stop:
                raise InputError(f"{self.name}: does not touch the Landsat scene; give an image of the same ground")
            spans.append(slice(start, stop))
        self.rows, self.columns = spans
        return round(down), round(right)

    def read(self, rows: slice, columns: slice) -> Float:
        """(6, 3h, 3w) reflectance of a window of MS pixels; NaN where nothing is known, as beyond the raster."""
        import rasterio
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        dataset = self._files[0]
        window = [
            slice(grid.BLOCK * s.start - o, grid.BLOCK * s.stop - o)
            for s, o in zip((rows, columns), self._offset, strict=True)
        ]
        result = np.full((len(BAND_NAMES), *(s.stop - s.start for s in window)), np.nan, np.float32)
        part = [slice(max(s.start, 0), min(s.stop, n)) for s, n in zip(window, dataset.shape, strict=True)]
        if any(p.start >= p.stop for p in part):
            return result
        at = Window(part[1].start, part[0].start, part[1].stop - part[1].start, part[0].stop - part[0].start)
        try:
            with rasterio.Env(**STRICT):
                values = dataset.read(window=at, masked=True)
                hidden = [~masks.usable(file.read(1, window=at)) for file in self._files[1:]]
        except RasterioError:
            raise InputError(f"{self.name}: cannot be read; it may be damaged") from None
        plain = (
            np.dtype(dataset.dtypes[0]).kind in "iu" and set(dataset.scales) == {1.0} and set(dataset.offsets) == {0.0}
        )
        scales, offsets = ((_SCALE,) * N_BANDS, (0.0,) * N_BANDS) if plain else (dataset.scales, dataset.offsets)
        image = values.astype(np.float64) * np.reshape(scales, (-1, 1, 1)) + np.reshape(offsets, (-1, 1, 1))
        image = image.filled(np.nan)
        for mask in hidden:
            image[:, mask] = np.nan
        inside = [slice(p.start - s.start, p.stop - s.start) for p, s in zip(part, window, strict=True)]
        result[:, inside[0], inside[1]] = image
        return result

    def close(self) -> None:
        """Close every file."""
        for file in self._files:
            file.close()

    def __enter__(self) -> Truth:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(path: Path) -> Any:
    from rasterio.errors import CRSError, RasterioError

    try:
        return open_dataset(path, *FORMATS)
    except (RasterioError, CRSError):
        raise InputError(
            f"{path}: cannot be opened as a raster; give a GeoTIFF of six bands on the 10 m lattice (gdal_translate"
            " makes one)"
        ) from None
