"""A Sentinel-2 image as one raster of six bands at 10 m, which ``evaluate`` and ``view`` take."""

from __future__ import annotations

from pathlib import Path

from l8s2.arrays import windows
from l8s2.cog import BLOCK, CogFile, Encoding
from l8s2.cube.inputs import find_sources
from l8s2.errors import InputError
from l8s2.grid import snap
from l8s2.masks import flag
from l8s2.progress import Progress
from l8s2.radiometry import NODATA, SCALE, encoded
from l8s2.sensors import BAND_NAMES
from l8s2.target import Area, BBox, choose_target

_GDAL_CACHE = 256 << 20
"""Bytes: two rows of decoded JPEG 2000 tiles of six bands."""


def write_sentinel2_raster(path: Path, folder: Path, progress: Progress, bbox: BBox | None = None) -> Path:
    """Write ``<id>_SR.tif`` and, with the bits of ``masks.QA_BITS`` from SCL, ``<id>_QA.tif``; returns the first.

    Reflectance is that of a cube: the offset taken off, 20 m bands interpolated; int16 steps of 0.0001.

    Args:
        path: an image in a form that ``pairs.sentinel2.open_sentinel2`` takes, or a folder that holds one.
        folder: gets the files.
        progress: gets pixels.
        bbox: only this area: west, south, east, north, WGS 84 degrees.

    Raises InputError for what is no such image, or several, and for an area outside of it.
    """
    import rasterio

    images = [source for source in find_sources([path]) if source.about.sensor == "msi"]
    if len(images) != 1:
        raise InputError(f"`sentinel2` {path}: holds {len(images)} images of Sentinel-2; give one")
    about = images[0].about
    box = about.box if bbox is None else choose_target(snap(about.box.pad(3)), Area(bbox=bbox)).geobox
    shape, total = (box.shape[0], box.shape[1]), box.shape[0] * box.shape[1]
    reflectance = Encoding(dtype="int16", fill=NODATA, nodata=NODATA, scale=SCALE, overviews="average")
    bits = Encoding(dtype="uint16", fill=flag("fill"), nodata=None, scale=None, overviews="mode")
    files = (
        CogFile(folder / f"{about.item_id}_SR.tif", box, BAND_NAMES, reflectance),
        CogFile(folder / f"{about.item_id}_QA.tif", box, ["qa"], bits),
    )
    try:
        with rasterio.Env(GDAL_CACHEMAX=_GDAL_CACHE), images[0].open(box) as opened:
            for rows, columns in windows(shape, 2 * BLOCK):
                layers = opened.read(box[rows, columns])
                for file, samples in zip(files, (encoded(layers.reflectance), layers.qa[None]), strict=True):
                    file.write(rows, columns, samples)
                progress(rows.start * shape[1] + (rows.stop - rows.start) * columns.stop, total, "reading Sentinel-2")
        for file in files:
            file.finish()
    finally:
        for file in files:
            file.close()
    return files[0].path
