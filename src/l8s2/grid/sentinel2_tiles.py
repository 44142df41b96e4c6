"""The tiles of Sentinel-2, by their MGRS names, as 10 m grids."""

from __future__ import annotations

import math
import re

from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2.errors import InputError
from l8s2.grid.lattice import FALSE_NORTHING, epsg, is_utm, sentinel2_convention
from l8s2.sensors import OUTPUT_GSD


def mgrs_tile(name: str) -> GeoBox:
    """Return the 10 m grid of a Sentinel-2 tile, for example ``43PHQ`` or ``T43PHQ``: 10 980 pixels to a side.

    The upper left corner is that of the 100 km MGRS square, shifted outwards to a multiple of 60 m from the equator.

    Raises:
        InputError: for a name that is not that of a 100 km square.
    """
    import mgrs

    tile = name.upper().removeprefix("T")
    try:
        if not re.fullmatch(r"\d{1,2}[A-Z]{3}", tile, re.ASCII):
            raise ValueError(tile)
        zone, hemisphere, easting, northing = mgrs.MGRS().MGRSToUTM(tile)  # somewhere within the square
    except Exception:
        raise InputError(f"`mgrs` {name}: not an MGRS 100 km square; give for example 43PHQ") from None
    equator = 0.0 if hemisphere == "N" else FALSE_NORTHING
    west, south = (math.floor(v / 100_000) for v in (easting, northing))
    return _tile(west, south, equator, f"EPSG:{(32600 if hemisphere == 'N' else 32700) + zone}")


def _tile(column: int, row: int, equator: float, crs: str) -> GeoBox:
    """Return the grid of a tile, by the number of its 100 km square from the left and from below."""
    left = 60 * math.floor(100_000 * column / 60)
    top = 60 * math.ceil((100_000 * (row + 1) - equator) / 60) + equator
    return GeoBox((10980, 10980), Affine(OUTPUT_GSD, 0, left, 0, -OUTPUT_GSD, top), crs)


def mgrs_tiles(box: GeoBox) -> list[str]:
    """Return the Sentinel-2 tiles of its own UTM zone that a grid touches, by name; none in other projections."""
    if not is_utm(box.crs):
        return []
    here = sentinel2_convention(box)
    bounds = here.boundingbox
    equator = FALSE_NORTHING if epsg(here.crs) > 32700 else 0.0
    tiles = (
        _tile(column, row, equator, str(here.crs))
        for column in range(math.floor(bounds.left / 100_000) - 1, math.floor(bounds.right / 100_000) + 2)
        for row in range(math.floor(bounds.bottom / 100_000) - 1, math.floor(bounds.top / 100_000) + 2)
    )
    return sorted(name for tile in tiles if _meets(tile, here) and (name := mgrs_tile_of(tile)))


def _meets(one: GeoBox, other: GeoBox) -> bool:
    a, b = one.boundingbox, other.boundingbox
    return bool(a.left < b.right and b.left < a.right and a.bottom < b.top and b.bottom < a.top)


def mgrs_tile_of(geobox: GeoBox) -> str | None:
    """Return the name of the Sentinel-2 tile whose 10 m grid this is; None for any other grid.

    Letters of the 100 km square in the grid's own zone, as MGRS has them: columns repeat every three zones, rows every
    2000 km, five rows further in even zones.
    """
    code = geobox.crs.epsg if geobox.crs is not None else None
    if code is None or code // 100 not in (326, 327) or not 1 <= (zone := code % 100) <= 60:
        return None
    bounds = geobox.boundingbox
    column, row = int((bounds.left + bounds.right) // 200_000), int((bounds.bottom + bounds.top) // 200_000)
    latitude = float(geobox.extent.centroid.to_crs("EPSG:4326").coords[0][1])
    if not (1 <= column <= 8 and -80 <= latitude < 84):
        return None
    columns = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")[(zone - 1) % 3]
    rows = "ABCDEFGHJKLMNPQRSTUV"
    band = "CDEFGHJKLMNPQRSTUVWXX"[int((latitude + 80) // 8)]
    name = f"{zone:02d}{band}{columns[column - 1]}{rows[(row + 5 * (zone % 2 == 0)) % 20]}"
    try:
        return name if mgrs_tile(name) == geobox else None
    except InputError:
        return None
