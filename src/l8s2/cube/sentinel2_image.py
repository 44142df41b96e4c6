"""Sentinel-2 images of Level 2A as observations of a cube."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import grid, masks
from l8s2.arrays import Float, enlarge
from l8s2.catalogs.items import S2_SCALE
from l8s2.cube.observation import About, Layers, Opened, check_lattice, first_pixel, overlap, with_fill
from l8s2.errors import InputError
from l8s2.pairs import offset
from l8s2.pairs.as_oli import BandImage, sample
from l8s2.pairs.measure import dark_sample
from l8s2.pairs.sentinel2 import COARSE_GSD, Sentinel2Scene, grid_10m, open_sentinel2
from l8s2.radiometry import reflectance
from l8s2.raster import Raster
from l8s2.sensors import BANDS, OUTPUT_GSD

_MARGIN = 20
"""20 m pixels around a window: as far as interpolation looks, and the missing pixels that it fills."""


@dataclass(frozen=True)
class Sentinel2Image:
    """An image in a form that ``open_sentinel2`` takes."""

    about: About
    path: Path

    @contextmanager
    def open(self, area: GeoBox) -> Iterator[Opened]:
        """See ``Source``; the offset is decided on what the image shows of ``area``."""
        with open_sentinel2(self.path) as scene:
            found = _offset(scene, area)
            assert found.offset is not None
            yield Opened(_Reader(scene, found.offset).read, found.offset, found.why)


def sentinel2_image(path: Path) -> Sentinel2Image:
    """Describe an image in a form that ``open_sentinel2`` takes. Raises InputError for one that cannot be used."""
    with open_sentinel2(path) as scene:
        item, box = scene.item, grid.sentinel2_convention(scene.bands[0].geobox)
    check_lattice(str(path), box)
    orbit = re.search(r"_R(\d{3})_", item.product)
    about = About(
        item_id=item.product, time=item.acquired.astimezone(UTC).replace(microsecond=0), sensor="msi",
        platform=item.platform, orbit=int(orbit[1]) if orbit else -1, box=box,
        sun=(item.sun_elevation, item.sun_azimuth), view=(item.view_zenith, item.view_azimuth),
    )  # fmt: skip
    return Sentinel2Image(about, path)


def _offset(scene: Sentinel2Scene, area: GeoBox) -> offset.Evidence:
    claim, seen = offset.claimed(scene.item), []
    shown = overlap(area, grid.sentinel2_convention(scene.bands[0].geobox))
    if shown is not None:
        ms = grid.snap(scene.bands[0].geobox[shown])
        seen.append(offset.from_dark_objects(dark_sample(scene, ms)))
    try:
        found = offset.settle(claim, seen)
    except InputError as error:
        raise InputError(f"{scene.item.product}: {error}") from None
    said = "; ".join(evidence.why for evidence in seen)
    return found if found in seen else offset.Evidence(found.offset, f"{found.why}; pixels do not tell ({said})")


@dataclass(frozen=True)
class _Reader:
    scene: Sentinel2Scene
    offset: float

    def read(self, window: GeoBox) -> Layers:
        """10 m bands as they are, 20 m bands interpolated, bits of the 20 m pixel that holds the pixel."""
        ours = grid.landsat_convention(window)
        coarse = _covering(ours)
        bands: list[Float] = []
        for band, raster in zip(BANDS, self.scene.bands, strict=True):
            box = ours if band.sentinel2_gsd == OUTPUT_GSD else coarse.pad(_MARGIN)
            values = reflectance(_read(raster, box), S2_SCALE, self.offset)
            bands.append(values if box is ours else sample(BandImage(values, box), ours))
        top, left = first_pixel(ours, grid_10m(coarse))
        bits = enlarge(masks.scl_to_bits(_read(self.scene.scl, coarse)), 2)
        bits = bits[top : top + window.shape[0], left : left + window.shape[1]]
        image = np.stack(bands)
        return Layers(image, np.full_like(image, np.nan), with_fill(image, bits))


def _covering(box: GeoBox) -> GeoBox:
    """Return the grid of 20 m pixels that covers a 10 m grid, both in Landsat's naming."""
    (height, width), a = box.shape, box.affine
    left, top = a.c // COARSE_GSD * COARSE_GSD, -(-a.f // COARSE_GSD) * COARSE_GSD
    columns = -(-(a.c + OUTPUT_GSD * width - left) // COARSE_GSD)
    rows = -(-(top - a.f + OUTPUT_GSD * height) // COARSE_GSD)
    return GeoBox((int(rows), int(columns)), type(a)(COARSE_GSD, 0, left, 0, -COARSE_GSD, top), box.crs)


def _read(raster: Raster, box: GeoBox) -> NDArray[np.uint16]:
    (top, left), (height, width) = first_pixel(box, raster.geobox), box.shape
    values, known = raster.read(slice(top, top + height), slice(left, left + width))
    return np.where(known, values, 0).astype(np.uint16)
