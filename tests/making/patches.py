"""Small patches whose pixels tell where they are, and a builder that can be run as a process and killed.

python made_patches.py FOLDER UNITS SECONDS    builds units u00 .. of three patches, SECONDS a patch
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.patches.patch import Facts, Patch
from l8s2.patches.patch_set import PatchSet

STEP = 0.1
"""Metres that a digital number stands for."""
START = 1000
"""Digital number of the upper left corner of the MS pixels."""


def box_at(row: int, column: int, side: int = 8, epsg: int = 32633) -> GeoBox:
    """MS grid whose first pixel is centred at (30 column, -30 row), Landsat's naming."""
    return GeoBox((side, side), Affine(30, 0, 30 * column - 15, 0, -30, 15 - 30 * row), f"EPSG:{epsg}")


def coded(box: GeoBox, at: GeoBox, axis: int) -> NDArray[np.uint16]:
    """(h, w) of grid ``at``: how far right (axis 1) or down (0) of the corner of ``box`` each pixel's centre lies."""
    box, at = grid.landsat_convention(box), grid.landsat_convention(at)
    c, r = np.meshgrid(np.arange(at.shape[1]) + 0.5, np.arange(at.shape[0]) + 0.5)
    a = at.affine
    metres = a.c + a.a * c - box.affine.c if axis else box.affine.f - (a.f + a.e * r)
    return np.rint(metres / STEP + START).astype(np.uint16)


def s2_grids(box: GeoBox) -> tuple[GeoBox, GeoBox]:
    """Sentinel-2's 10 m and 20 m pixels under a patch, in its own naming."""
    fine = grid.output_geobox(box)
    a = fine.affine
    shape = fine.shape[0] // 2, fine.shape[1] // 2
    return fine, GeoBox(shape, Affine(20, 0, a.c, 0, -20, a.f), fine.crs)


def coordinates(box: GeoBox, **facts: object) -> Patch:
    """Even bands tell how far right a pixel is, odd ones how far down; pan how far right."""
    fine, coarse = s2_grids(box)

    def bands(at: GeoBox, count: int) -> NDArray[np.uint16]:
        return np.stack([coded(box, at, 1 - b % 2) for b in range(count)])

    pan = grid.pan_geobox(box)
    return Patch(
        ms=bands(box, 6), pan=coded(box, pan, 1), s2_10m=bands(fine, 3), s2_20m=bands(coarse, 3),
        landsat_usable=np.ones(box.shape, bool), s2_usable=np.ones(fine.shape, bool), box=box,
        facts=made_facts(**facts),
    )  # fmt: skip


def made_facts(**facts: object) -> Facts:
    """Of a pair with offsets that make reflectance the number of STEPs."""
    known = {
        "landsat_id": "LC09_L2SP_192025_20230520_20230530_02_T1",
        "sentinel2_id": "S2A_MSIL2A_20230520T101031_N0509_R022_T33UVS_20230520T160000",
        "landsat_time": "2023-05-20T10:02:03+00:00", "sentinel2_time": "2023-05-20T10:10:31+00:00",
        "location": "33UVS", "path_row": "192025", "ms_scale": 1.0, "ms_offset": 0.0, "pan_scale": 1.0,
        "pan_offset": 0.0, "s2_scale": 1.0, "s2_offset": 0.0, "decision": "accept", "shift_down_m": 0.4,
        "shift_right_m": -0.2, "ce90_m": 1.5,
        "slope": (1.0, 1.01, 1.02, 1.03, 1.04, 1.05), "landsat_cloud": 0.0, "ssim": 0.9, "psnr": float("inf"),
    }  # fmt: skip
    return Facts(**{**known, **facts})  # type: ignore[arg-type]


def of_unit(number: int, seconds: float = 0.0) -> Iterator[Patch]:
    """Three patches of made-up pixels, always the same ones."""
    rng = np.random.default_rng(number)
    for k in range(3):
        time.sleep(seconds)
        box = box_at(187_001 + 8 * k, 15_001 + 8 * number)
        arrays = {"ms": (6, 8, 8), "pan": (16, 16), "s2_10m": (4, 24, 24), "s2_20m": (3, 12, 12)}
        pixels = {name: rng.integers(1, 9000, shape).astype(np.uint16) for name, shape in arrays.items()}
        masks = {name: rng.random(shape) > 0.2 for name, shape in (("landsat_usable", (8, 8)), ("s2_usable", (24, 24)))}
        facts = made_facts(sentinel2_id=f"S2A_{number:02d}", ssim=float(rng.random()), s2_scale=1e-4)
        yield Patch(**pixels, **masks, box=box, facts=facts)


def build(folder: Path, units: list[int]) -> bytes:
    """The index of a set of these units."""
    patches = PatchSet(folder)
    for unit in units:
        assert patches.add(f"u{unit:02d}", of_unit(unit))
    return patches.write_index().read_bytes()


if __name__ == "__main__":
    patches = PatchSet(Path(sys.argv[1]))
    for unit in range(int(sys.argv[2])):
        if patches.add(f"u{unit:02d}", of_unit(unit, float(sys.argv[3]))):
            print(unit, flush=True)
    patches.write_index()
