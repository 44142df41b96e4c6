"""What a cube of a whole Sentinel-2 tile costs to write and to look at, with its overviews.

python benchmarks/whole_cube.py [SIDE]    pixels to a side, 10980 by default; made data, in a temporary folder
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xarray
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2.arrays import windows
from l8s2.cube import build
from l8s2.cube.inputs import find_sources
from l8s2.product.stac import ItemInfo
from l8s2.product.writer import ProductWriter
from l8s2.radiometry import describe_sigma, total_sigma
from l8s2.simulate.landscape import landscape
from l8s2.target import Area

WINDOW = 1536
SIDE = 10980


def product(folder: Path, side: int) -> None:
    """Write a product of side x side pixels: one drawn landscape again and again, with noise."""
    box = GeoBox((side, side), Affine(10, 0, 499_980, 0, -10, 5_700_000), "EPSG:32633")
    drawn, rng = landscape(0, (WINDOW // 3, WINDOW // 3)).truth, np.random.default_rng(0)
    info = ItemInfo(
        datetime=datetime(2023, 5, 20, 10, tzinfo=UTC), sun_elevation=52.5, sun_azimuth=150.0, platform="landsat-9",
        inputs=[("made", None)], model="made", model_sha256="0", version="0",
        extra={"l8s2:sigma": describe_sigma("total")},
    )  # fmt: skip
    with ProductWriter(folder, "LC09_L2SP_192025_20230520_20230630_02_T1", box) as writer:
        for rows, columns in windows(box.shape, WINDOW):
            mean = drawn[:, : rows.stop - rows.start, : columns.stop - columns.start]
            mean = (mean + rng.normal(0, 0.002, mean.shape)).astype(np.float32)
            sigma = total_sigma(mean, np.full_like(mean, 0.01))
            writer.write(rows, columns, mean, sigma, np.zeros(mean.shape[1:], np.uint16))
        writer.finish(info)


def timed(what: str, work: Callable[[], object]) -> None:
    """Print the seconds that something takes, by the clock and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    print(f"{what}: {time.perf_counter() - wall:.2f} s, {time.process_time() - cpu:.2f} s of the processor")


def stored(paths: list[Path]) -> str:
    """Tell how many files, and how large."""
    files = [path for top in paths for path in top.rglob("*") if path.is_file()]
    return f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.0f} MB"


def look(cube: Path, group: str | None, step: int) -> np.ndarray:
    """(3, h, w): the visible bands, every so many pixels of a group, or means of so many."""
    found = xarray.open_zarr(cube, group=group, chunks=None)[["red", "green", "blue"]].isel(time=0)
    side = dict.fromkeys("yx", step)
    return (found.coarsen(side, boundary="trim").mean() if step > 1 else found).to_array().to_numpy()


def main(side: int) -> None:
    """Write a cube and look at it."""
    write = build.write_overviews
    build.write_overviews = lambda *how: timed("  of these overviews", lambda: write(*how))
    with tempfile.TemporaryDirectory() as work:
        cube = Path(work) / "c.zarr"
        product(Path(work) / "in", side)
        timed(f"{side} x {side} pixels", lambda: build.build_cube(find_sources([Path(work) / "in"]), cube, Area()))
        smaller = sorted(cube.glob("ovr_*"), key=lambda path: int(path.name[4:-1]))
        print(f"cube: {stored([cube])}; of these overviews: {stored(smaller)}")
        coarsest = smaller[-1].name
        timed(f"visible bands of {coarsest}", lambda: look(cube, coarsest, 1))
        timed("the same from all pixels", lambda: look(cube, None, int(coarsest[4:-1])))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SIDE)
