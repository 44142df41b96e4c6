"""The lattice rules that tie Landsat pixels to Sentinel-2 pixels, on immutable odc-geo GeoBox values. Pure.

* Landsat MS pixel centres are multiples of 30 m (edges at 15 mod 30), pan centres multiples of 15 m.
* Sentinel-2 10 m pixel edges are multiples of 10 m.
* So the MS pixel centred at (X, Y) owns the 3x3 block of 10 m pixels centred at X + {-5, 5, 15}, Y - {-5, 5, 15}.

Landsat writes every UTM scene in the northern zone's CRS, with negative northings in the south; Sentinel-2 uses
EPSG:327xx there. The two differ by exactly 10 000 000 m: a change of name, not of pixels."""

from l8s2.grid.lattice import (
    BLOCK,
    FALSE_NORTHING,
    TOLERANCE,
    crs_name,
    epsg,
    is_utm,
    landsat_convention,
    lattice_misfit,
    misfit_of_pan,
    misfit_of_scene,
    ms_centres_at_10m,
    ms_centres_at_15m,
    on_sentinel2_lattice,
    output_centres_at_30m,
    output_geobox,
    pan_centres_at_10m,
    pan_geobox,
    pan_offset,
    sentinel2_convention,
    snap,
    zone_for,
)
from l8s2.grid.outline import Known, footprint, ring
from l8s2.grid.sentinel2_tiles import mgrs_tile, mgrs_tile_of, mgrs_tiles

__all__ = [
    "BLOCK",
    "FALSE_NORTHING",
    "TOLERANCE",
    "Known",
    "crs_name",
    "epsg",
    "footprint",
    "is_utm",
    "landsat_convention",
    "lattice_misfit",
    "mgrs_tile",
    "mgrs_tile_of",
    "mgrs_tiles",
    "misfit_of_pan",
    "misfit_of_scene",
    "ms_centres_at_10m",
    "ms_centres_at_15m",
    "on_sentinel2_lattice",
    "output_centres_at_30m",
    "output_geobox",
    "pan_centres_at_10m",
    "pan_geobox",
    "pan_offset",
    "ring",
    "sentinel2_convention",
    "snap",
    "zone_for",
]
