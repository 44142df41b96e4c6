"""A Sentinel-2 scene of Level 2A: six bands and the scene classification, digital numbers on their own grids."""

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
from l8s2.deliveries.product_files import Unpacked
from l8s2.errors import InputError
from l8s2.pairs.as_oli import BandImage
from l8s2.pairs.item_folder import has_images, item_files
from l8s2.pairs.jpeg2000 import check_code_stream
from l8s2.pairs.safe import is_safe, safe_files
from l8s2.pairs.safe_metadata import safe_item
from l8s2.radiometry import reflectance
from l8s2.raster import Raster, open_raster
from l8s2.sensors import BANDS, OUTPUT_GSD

COARSE_GSD = 2 * OUTPUT_GSD
"""Metres to a pixel of B8A, B11, B12 and SCL."""
_AGAIN = "fetch or download it again"
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

    def __init__(self, item: SceneItem, bands: list[Raster], scl: Raster, unpacked: Unpacked | None = None) -> None:
        self.item = item
        """The scene as its catalogue or its metadata describe it."""
        self.bands, self.scl = bands, scl
        """The six in the order of ``sensors.BANDS``, and the scene classification; digital numbers on their own
        grids."""
        self._unpacked = unpacked
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
        """Close every file, and remove what was taken out of an archive."""
        for raster in (*self.bands, self.scl):
            raster.dataset.close()
        if self._unpacked is not None:
            self._unpacked.cleanup()

    def __enter__(self) -> Sentinel2Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_sentinel2(path: Path) -> Sentinel2Scene:
    """Open a scene of Level 2A.

    Args:
        path: ``.SAFE`` folder or its ``.zip`` (``safe``); folder as ``l8s2 fetch`` makes it, ``B02.tif`` .. ``SCL.tif``
            (or ``.jp2``) and ``scene.json``; or images beside their STAC Item (``item_folder``).

    Raises:
        InputError: A file is missing or cut, has another pixel size, or is off Sentinel-2's lattice.
    """
    if is_safe(path) or path.suffix.lower() == ".zip":
        scene = _open_safe(path)
    elif path.is_dir():
        scene = _open_folder(path)
    else:
        raise InputError(f"{path}: no Sentinel-2 image; give a .SAFE folder, its .zip, or a folder of l8s2 fetch")
    zone, item = grid.epsg(scene.crs) % 100, scene.item
    if item.zone not in (None, zone):
        scene.close()
        raise InputError(
            f"{path}: images of UTM zone {zone}, described as tile {item.location}; one is of another scene"
        )
    return scene


def _open_folder(path: Path) -> Sentinel2Scene:
    names = {file.name for file in path.iterdir()}
    if names & {"scene.json", "window.json"} or not has_images(names):
        item = read_item(path / "scene.json")
        images = {band: _fetched(path, band) for band in (*(band.sentinel2 for band in BANDS), "SCL")}
    else:
        item, images = item_files(path)
    return Sentinel2Scene(item, *_rasters({band: (str(file), str(file)) for band, file in images.items()}))


def _open_safe(path: Path) -> Sentinel2Scene:
    members, metadata, images = safe_files(path)
    bands, scl = _rasters({band: (image.path, f"{path.name}: {image.name}") for band, image in images.items()})
    names = {ours: images[band].name for ours, band in [*((b.name, b.sentinel2) for b in BANDS), ("scl", "SCL")]}
    item = safe_item(metadata, path.name, scl.geobox.geographic_extent.json, names)
    return Sentinel2Scene(item, bands, scl, members.unpacked)


def _rasters(files: dict[str, tuple[str, str]]) -> tuple[list[Raster], Raster]:
    """Open the six bands and SCL, given the path and the name of each."""
    scl = _open(*files["SCL"], COARSE_GSD)
    rasters = [_open(*files[band.sentinel2], band.sentinel2_gsd) for band in BANDS]
    for raster in rasters:
        if grid.landsat_convention(raster.geobox).crs != grid.landsat_convention(scl.geobox).crs:
            raise InputError(f"{raster.name}: in {raster.geobox.crs}, SCL in {scl.geobox.crs}; {_AGAIN}")
    return rasters, scl


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
    return GeoBox((2 * height, 2 * width), box.affine @ Affine.scale(0.5), box.crs)


def _first(whole: GeoBox, part: GeoBox) -> tuple[int, int]:
    """Row and column in ``whole`` of the first pixel of ``part``; grids of one lattice."""
    column, row = ~grid.landsat_convention(whole).affine @ (part.affine.c, part.affine.f)
    return round(row), round(column)


def _read(raster: Raster, box: GeoBox) -> NDArray[np.uint16]:
    (top, left), (height, width) = _first(raster.geobox, box), box.shape
    values, known = raster.read(slice(top, top + height), slice(left, left + width))
    return np.where(known, values, 0).astype(np.uint16)


def _fetched(folder: Path, band: str) -> Path:
    path = next((path for path in (folder / f"{band}.tif", folder / f"{band}.jp2") if path.exists()), None)
    if path is None:
        raise InputError(f"{folder / band}.tif: no such file; delete the folder and fetch the scene again")
    return path


def _open(path: str, name: str, gsd: int) -> Raster:
    is_jp2 = name.lower().endswith(".jp2")
    raster = open_raster(path, name, "JP2OpenJPEG" if is_jp2 else "GTiff")
    if is_jp2:
        check_code_stream(path, name)
    else:
        raster.check_complete()
    a = grid.landsat_convention(raster.geobox).affine
    if not grid.is_utm(raster.geobox.crs) or (a.a, a.b, a.d, a.e) != (gsd, 0, 0, -gsd) or a.c % gsd or a.f % gsd:
        raise InputError(
            f"{name}: pixels of {a.a:g} m at {a.c:g}, {a.f:g}, not on Sentinel-2's {gsd} m lattice; {_AGAIN}"
        )
    if raster.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{name}: holds {raster.dtype}; Sentinel-2's digital numbers are uint16, {_AGAIN}")
    return raster
