"""Which grid the product gets: the scene's own, a part of it, a Sentinel-2 tile, or another one by a warp."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from affine import Affine
from odc.geo import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import box

from l8s2 import grid
from l8s2.errors import InputError
from l8s2.sensors import OUTPUT_GSD

_STEP = OUTPUT_GSD * grid.BLOCK


@dataclass(frozen=True, kw_only=True)
class Target:
    """What to compute and where it goes."""

    geobox: GeoBox
    """Grid of the product."""
    native: GeoBox
    """Grid that is computed: the 10 m lattice of the scene; equal to ``geobox`` unless warped."""
    origin: tuple[int, int]
    """(row, column) of ``native`` in the scene's block grid, 10 m pixels; may be negative."""
    rows: slice
    """MS pixels of the scene that are needed."""
    columns: slice
    warped: bool
    notes: list[str]


def choose_target(
    ms: GeoBox,
    *,
    bbox: tuple[float, float, float, float] | None = None,
    mgrs: str | None = None,
    crs: str | None = None,
    like: str | Path | None = None,
) -> Target:
    """Settle the product's grid for a scene whose MS grid is ``ms``; arguments as in harmonize_product.

    Raises InputError for options that exclude each other and for areas outside the scene.
    """
    if sum(x is not None for x in (mgrs, crs, like)) > 1:
        raise InputError("--mgrs, --crs and --like each settle the grid; give one of them")
    if bbox is not None and (mgrs is not None or like is not None):
        raise InputError("--bbox and a full grid (--mgrs, --like) exclude each other; give one of them")
    whole = grid.output_geobox(ms)
    if bbox is not None:
        native = _lattice_window(whole, _bbox_geometry(bbox))
    elif mgrs is not None:
        tile = grid.mgrs_tile(mgrs)
        if tile.crs == whole.crs:
            return _on_lattice(ms, tile)
        return _warped(ms, whole, tile, f"tile {mgrs} lies in {tile.crs}, the scene in {whole.crs}")
    else:
        native = whole
    if like is not None:
        return _warped(ms, native, _grid_of(like), f"grid of {Path(like).name}")
    if crs is not None:
        try:
            wanted = CRS(crs)
        except Exception:
            raise InputError(f"--crs {crs}: not a coordinate reference system; give for example EPSG:3035") from None
        if wanted != native.crs:
            return _warped(ms, native, native.to_crs(wanted), f"--crs {crs}")
    return _on_lattice(ms, native)


def _bbox_geometry(bbox: tuple[float, float, float, float]) -> object:
    west, south, east, north = bbox
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise InputError(f"--bbox {west} {south} {east} {north}: give west < east and south < north in degrees")
    return box(west, south, east, north, "EPSG:4326")


def _lattice_window(whole: GeoBox, area: object) -> GeoBox:
    """The pixels of ``whole`` that cover ``area`` (an odc Geometry)."""
    bounds = area.to_crs(whole.crs, resolution=0.01).boundingbox  # type: ignore[attr-defined]
    a = whole.affine
    r0 = max(0, math.floor((a.f - bounds.top) / OUTPUT_GSD))
    r1 = min(whole.shape[0], math.ceil((a.f - bounds.bottom) / OUTPUT_GSD))
    c0 = max(0, math.floor((bounds.left - a.c) / OUTPUT_GSD))
    c1 = min(whole.shape[1], math.ceil((bounds.right - a.c) / OUTPUT_GSD))
    if r0 >= r1 or c0 >= c1:
        w, s, e, n = whole.geographic_extent.boundingbox
        raise InputError(
            f"--bbox: does not touch the scene, which covers {w:.3f} {s:.3f} {e:.3f} {n:.3f} (west south east north)"
        )
    return whole[r0:r1, c0:c1]


def _on_lattice(ms: GeoBox, native: GeoBox, geobox: GeoBox | None = None, notes: list[str] | None = None) -> Target:
    whole = grid.output_geobox(ms)
    row = round((whole.affine.f - native.affine.f) / OUTPUT_GSD)
    column = round((native.affine.c - whole.affine.c) / OUTPUT_GSD)
    spans = []
    for first, size, limit in zip((row, column), native.shape, ms.shape, strict=True):
        start, stop = max(0, first // grid.BLOCK), min(limit, -(-(first + size) // grid.BLOCK))
        if start >= stop:
            raise InputError("the area asked for does not touch the scene; l8s2 info shows what it covers")
        spans.append(slice(start, stop))
    return Target(
        geobox=geobox or native,
        native=native,
        origin=(row, column),
        rows=spans[0],
        columns=spans[1],
        warped=geobox is not None,
        notes=notes or [],
    )


def _warped(ms: GeoBox, native: GeoBox, geobox: GeoBox, why: str) -> Target:
    """Compute only what the target grid needs, plus a margin for the interpolation."""
    bounds = geobox.extent.to_crs(native.crs, resolution=max(abs(geobox.affine.a) * 64, 1e-6)).boundingbox.buffered(
        20 * OUTPUT_GSD
    )
    a = native.affine
    r0 = max(0, math.floor((a.f - bounds.top) / OUTPUT_GSD))
    r1 = min(native.shape[0], math.ceil((a.f - bounds.bottom) / OUTPUT_GSD))
    c0 = max(0, math.floor((bounds.left - a.c) / OUTPUT_GSD))
    c1 = min(native.shape[1], math.ceil((bounds.right - a.c) / OUTPUT_GSD))
    if r0 >= r1 or c0 >= c1:
        raise InputError(f"{why}: does not touch the scene; l8s2 info shows what it covers")
    note = f"warped once from {native.crs} onto {geobox.crs} ({why}); pixels are interpolated"
    return _on_lattice(ms, native[r0:r1, c0:c1], geobox, [note])


def _grid_of(path: str | Path) -> GeoBox:
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(path) as source:
            if source.crs is None:
                raise InputError(f"--like {path}: has no coordinate reference system")
            return GeoBox((source.height, source.width), Affine(*source.transform[:6]), str(source.crs))
    except RasterioError:
        raise InputError(f"--like {path}: cannot be opened as a raster") from None
