"""A Sentinel-2 scene as it was fetched: six bands and the scene classification, digital numbers on their own grids."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo import CRS
from odc.geo.geobox import GeoBox

from l8s2 import grid, masks
from l8s2.arrays import Mask, enlarge
from l8s2.catalogs.items import S2_SCALE, SceneItem, read_item
from l8s2.errors import InputError
from l8s2.pairs.as_oli import BandImage
from l8s2.radiometry import reflectance
from l8s2.raster import Raster, open_raster
from l8s2.sensors import BANDS, OUTPUT_GSD

COARSE_GSD = 2 * OUTPUT_GSD
"""Metres to a pixel of B8A, B11, B12 and SCL."""
FINE_BANDS = 3
"""Bands of ``sensors.BANDS`` that Sentinel-2 takes at 10 m, the first ones."""


class Sentinel2Window(NamedTuple):
    """A window of a scene, whole 20 m pixels."""

    fine: NDArray[np.uint16]
    """(3, 2h, 2w) digital numbers of B02, B03, B04 at 10 m; 0 is fill."""
    coarse: NDArray[np.uint16]
    """(3, h, w) of B8A, B11, B12 at 20 m."""
    bits: masks.Bits
    """(h, w) bits of ``masks.QA_BITS`` at 20 m, from SCL."""
    box: GeoBox
    """Grid of ``coarse``, Landsat's naming."""

    def part(self, ms: GeoBox, margin: int = 0) -> Sentinel2Window:
        """Cut the 20 m pixels that cover the 3 x 3 blocks of an MS grid, and ``margin`` more; they must lie within."""
        wanted = covering_20m(ms).pad(margin)
        (top, left), (height, width) = _first(self.box, wanted), wanted.shape
        rows, columns = slice(top, top + height), slice(left, left + width)
        fine = self.fine[:, 2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop]
        return Sentinel2Window(fine, self.coarse[:, rows, columns], self.bits[rows, columns], wanted)

    def rasters(self, seen: Mask) -> list[BandImage]:
        """Return the six bands as DN / 10000, NaN where fill or where ``seen`` (h, w) is False."""
        return [
            BandImage(np.where(mask, reflectance(band, S2_SCALE, 0.0), np.float32(np.nan)), box)
            for image, mask, box in ((self.fine, enlarge(seen, 2), grid_10m(self.box)), (self.coarse, seen, self.box))
            for band in image
        ]


class Sentinel2Scene:
    """An opened scene. Close it, or use it as a context manager. Not to be shared between threads."""

    def __init__(self, item: SceneItem, bands: list[Raster], scl: Raster) -> None:
        self.item = item
        """The scene as its catalogue describes it."""
        self.bands, self.scl = bands, scl
        """The six in the order of ``sensors.BANDS``, and the scene classification; digital numbers on their own
        grids."""
        self.crs: CRS = grid.landsat_convention(scl.geobox).crs
        """Landsat's naming."""

    def read(self, ms: GeoBox, margin: int = 0) -> Sentinel2Window:
        """Read the 20 m pixels that cover the 3 x 3 blocks of an MS grid, and ``margin`` more; fill beyond the files.

        Raises InputError for a grid of another zone and for unreadable blocks.
        """
        if grid.landsat_convention(ms).crs != self.crs:
            raise InputError(f"{self.item.id}: in {self.crs}, Landsat in {ms.crs}; choose a tile of the same UTM zone")
        box = covering_20m(ms).pad(margin)
        fine, coarse = (
            np.stack([_read(band, at) for band in chosen])
            for chosen, at in ((self.bands[:FINE_BANDS], grid_10m(box)), (self.bands[FINE_BANDS:], box))
        )
        return Sentinel2Window(fine, coarse, masks.scl_to_bits(_read(self.scl, box)), box)

    def classification(self, ms: GeoBox) -> tuple[NDArray[np.uint16], GeoBox]:
        """SCL as ``read`` reads it, as it is in the file, and its grid."""
        box = covering_20m(ms)
        return _read(self.scl, box), box

    def close(self) -> None:
        """Close every file."""
        for raster in (*self.bands, self.scl):
            raster.dataset.close()

    def __enter__(self) -> Sentinel2Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_sentinel2(folder: Path) -> Sentinel2Scene:
    """Open a scene as ``l8s2 fetch`` makes it: bands, ``SCL.tif`` (or ``.jp2``), and ``scene.json``.

    Raises:
        InputError: A file is missing, has another pixel size, or is off Sentinel-2's lattice.
    """
    item = read_item(folder / "scene.json")
    rasters = [_open(folder, band.sentinel2, band.sentinel2_gsd) for band in BANDS]
    scl = _open(folder, "SCL", COARSE_GSD)
    for raster in rasters:
        if grid.landsat_convention(raster.geobox).crs != grid.landsat_convention(scl.geobox).crs:
            raise InputError(f"{raster.name}: in {raster.geobox.crs}, SCL in {scl.geobox.crs}; fetch the scene again")
    return Sentinel2Scene(item, rasters, scl)


def covering_20m(ms: GeoBox) -> GeoBox:
    """Return the grid of 20 m pixels that covers the 3 x 3 blocks of an MS grid, Landsat's naming."""
    onto = grid.landsat_convention(grid.output_geobox(ms))
    (height, width), a = onto.shape, onto.affine
    left, top = math.floor(a.c / COARSE_GSD), math.floor(-a.f / COARSE_GSD)
    right, bottom = math.ceil((a.c + a.a * width) / COARSE_GSD), math.ceil((-a.f - a.e * height) / COARSE_GSD)
    transform = Affine(COARSE_GSD, 0, COARSE_GSD * left, 0, -COARSE_GSD, -COARSE_GSD * top)
    return GeoBox((bottom - top, right - left), transform, onto.crs)


def grid_10m(box: GeoBox) -> GeoBox:
    """Return the grid of 10 m pixels that divides a grid of 20 m pixels."""
    height, width = box.shape
    return GeoBox((2 * height, 2 * width), box.affine * Affine.scale(0.5), box.crs)


def _first(whole: GeoBox, part: GeoBox) -> tuple[int, int]:
    """Row and column in ``whole`` of the first pixel of ``part``; grids of one lattice."""
    column, row = ~grid.landsat_convention(whole).affine * (part.affine.c, part.affine.f)
    return round(row), round(column)


def _read(raster: Raster, box: GeoBox) -> NDArray[np.uint16]:
    (top, left), (height, width) = _first(raster.geobox, box), box.shape
    values, known = raster.read(slice(top, top + height), slice(left, left + width))
    return np.where(known, values, 0).astype(np.uint16)


def _open(folder: Path, band: str, gsd: int) -> Raster:
    path = next((path for path in (folder / f"{band}.tif", folder / f"{band}.jp2") if path.exists()), None)
    if path is None:
        raise InputError(f"{folder / band}.tif: no such file; delete the folder and fetch the scene again")
    raster = open_raster(str(path), str(path), "JP2OpenJPEG" if path.suffix == ".jp2" else "GTiff")
    raster.check_complete()
    a = grid.landsat_convention(raster.geobox).affine
    if not grid.is_utm(raster.geobox.crs) or (a.a, a.b, a.d, a.e) != (gsd, 0, 0, -gsd) or a.c % gsd or a.f % gsd:
        raise InputError(
            f"{path}: pixels of {a.a:g} m at {a.c:g}, {a.f:g}, not on Sentinel-2's {gsd} m lattice; fetch it again"
        )
    if raster.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path}: holds {raster.dtype}; Sentinel-2's digital numbers are uint16, fetch it again")
    return raster
