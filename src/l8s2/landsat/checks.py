"""Checks that the files of a product belong together, made when it is opened."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.errors import InputError
from l8s2.landsat.mtl import Metadata
from l8s2.raster import Raster
from l8s2.sensors import MS_GSD


def same_grid(bands: list[Raster]) -> None:
    """Check that all bands share a grid. Raises InputError that names the band that differs from most."""
    (common, votes), *_ = Counter(
        (str(b.geobox.crs), tuple(b.geobox.affine), tuple(b.geobox.shape)) for b in bands
    ).most_common()
    if votes == len(bands):
        return
    for band in bands:
        crs, transform, shape = str(band.geobox.crs), tuple(band.geobox.affine), tuple(band.geobox.shape)
        if (crs, transform, shape) != common:
            what = "size" if shape != common[2] else "coordinate reference system" if crs != common[0] else "position"
            raise InputError(f"{band.name}: its {what} differs from that of the other bands; use files of one product")


def disagreements(shape: tuple[int, int] | None, corner: tuple[float, float] | None, raster: Raster) -> list[str]:
    """Word the warning where MTL and TIFF disagree; the TIFF is used."""
    actual = raster.geobox.shape[0], raster.geobox.shape[1]
    x, y = raster.geobox.affine @ (0.5, 0.5)
    if shape is not None and tuple(shape) != actual:
        return [
            f"{raster.name}: {actual[0]} x {actual[1]} pixels, its MTL says {shape[0]} x {shape[1]} (a crop?);"
            " the TIFF is believed"
        ]
    if corner is not None and max(abs(corner[0] - x), abs(corner[1] - y)) > 1:
        return [
            f"{raster.name}: upper left centre at {x:.0f}, {y:.0f}, its MTL says {corner[0]:.0f}, {corner[1]:.0f};"
            " the TIFF is believed"
        ]
    return []


def check_place(name: str, metadata: Metadata, raster: Raster) -> None:
    """Check that files which only an MTL names lie on the ground that it describes. Raises InputError.

    What lies in another projection than UTM is not checked.
    """
    corner, shape = metadata.corner_ul, metadata.reflective_shape
    if corner is None or shape is None or not grid.is_utm(raster.geobox.crs):
        return
    bounds = grid.landsat_convention(raster.geobox).boundingbox
    left, top = corner[0] - MS_GSD / 2, corner[1] + MS_GSD / 2
    inside = left < bounds.right and bounds.left < left + MS_GSD * shape[1]
    if not (inside and bounds.bottom < top and top - MS_GSD * shape[0] < bounds.top):
        raise InputError(f"{name}: its MTL describes other ground than {raster.name} shows; use files of one product")


def off_lattice(name: str, misfit: float, target: GeoBox) -> str:
    """Word the warning for a raster off the lattice; ``misfit`` in pixels as ``grid.lattice_misfit`` gives it."""
    how = "another grid" if not np.isfinite(misfit) else f"{misfit:.2f} pixels off"
    cost = f"warped once onto {grid.crs_name(target.crs)}, Lanczos, which costs sharpness"
    return f"{name}: not on the native Landsat lattice ({how}); {cost}"


def check_overlap(ms: Raster, pan: Raster) -> None:
    """Check that two rasters have ground in common. Raises InputError where they have none."""
    here, there = (grid.landsat_convention(raster.geobox) for raster in (ms, pan))
    try:
        common = there.extent.to_crs(here.crs, resolution=math.inf).intersection(here.extent).area
    except Exception:  # where one projection cannot express the other's ground
        common = 0
    if not common > 0:
        raise InputError(f"{pan.name}: does not touch the Level-2 bands; give the pan of the same acquisition")


def doubts_about_pan(pan: Raster, sun_elevation: float | None, is_dn: bool) -> list[str]:
    """Word the warnings about pan; ``sun_elevation`` in degrees. Raises InputError for a scene taken at night."""
    if not is_dn:
        return [f"{pan.name}: holds reflectance, not digital numbers; taken as top-of-atmosphere, sun angle corrected"]
    if sun_elevation is None:
        return [f"{pan.name}: no MTL tells the sun's elevation; pan is read without it and may be too dark"]
    if sun_elevation <= 0:
        raise InputError(
            f"{pan.name}: its MTL says sun elevation {sun_elevation:g} degrees; l8s2 needs a scene taken in sunlight"
        )
    return []
