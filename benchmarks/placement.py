"""Where products lie: the shift of the output against its own 30 m input, measured without any code of l8s2.

    python benchmarks/placement.py SCENES

Each Level-2 product of the folder is harmonised as it is; warped into degrees at the end; and with all of its files
displaced by 10 m to the right and up, so that the input has to be warped. The output is blurred by a Gaussian, read at
the centres of the 30 m pixels, and moved until it fits the band (gain, offset, blur and shift by least squares; the
middle 240 x 240 pixels, outer 8 left out). Metres by which content lies right of and below its place: the median over
bands, and the largest of any band. Clouds that move between pan and the other bands count.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click
import numpy as np
import rasterio
from pyproj import Transformer
from scipy.ndimage import binary_erosion, gaussian_filter, map_coordinates

import l8s2

EDGE, MOST, STEPS = 8, 240, np.array([1.0, 1.0, 0.3])


def input_bands(product: Path) -> tuple[np.ndarray, rasterio.Affine, str]:
    """Return (6, h, w) digital numbers of the middle, NaN where fill, and where they lie."""
    bands = []
    for number in range(2, 8):
        with rasterio.open(next(product.glob(f"*_SR_B{number}.TIF"))) as file:
            bands.append(np.where((dn := file.read(1)) == 0, np.nan, dn))
            transform, crs = file.transform, str(file.crs)
    top, left = (max(0, (n - MOST) // 2) for n in bands[0].shape)
    middle = np.stack(bands)[:, top : top + MOST, left : left + MOST]
    return middle, transform * rasterio.Affine.translation(left, top), crs


def shift(image: np.ndarray, band: np.ndarray, row: np.ndarray, column: np.ndarray, metres: list[float]) -> np.ndarray:
    """Return (right, down) metres by Gauss and Newton; ``metres``: size of a pixel of ``image``, down and right."""
    place = np.array([0.0, 0.0, 10.0])  # right, down, blur: metres

    def left(at: np.ndarray) -> np.ndarray:
        blurred = gaussian_filter(image, [max(at[2], 1) / size for size in metres])
        moved = map_coordinates(blurred, [row + at[1] / metres[0], column + at[0] / metres[1]], order=5)
        design = np.stack([moved, np.ones_like(moved)], 1)
        return band - design @ np.linalg.lstsq(design, band)[0]

    for _ in range(5):
        slopes = [(left(place + s) - left(place - s)) / (2 * s.sum()) for s in np.diag(STEPS)]
        place -= np.clip(np.linalg.lstsq(np.stack(slopes, 1), left(place))[0], -5, 5)
    return place[:2]


def shifts(product: Path, made: Path) -> np.ndarray:
    """Return (6, 2): right, down in metres for each band of the product ``made`` of ``product``."""
    bands, transform, crs = input_bands(product)
    with rasterio.open(next(made.glob("*_SR.tif"))) as file:
        output = np.where((stored := file.read()) == file.nodata, np.nan, stored)
        inverse, target = ~file.transform, str(file.crs)
    y, x = np.mgrid[: bands.shape[1], : bands.shape[2]] + 0.5
    ground = transform.c + transform.a * x, transform.f + transform.e * y
    column, row = inverse * np.stack(Transformer.from_crs(crs, target, always_xy=True).transform(*ground))
    top, left = (max(0, int(line.min()) - 3 * EDGE) for line in (row, column))
    output = output[:, top : int(row.max()) + 3 * EDGE, left : int(column.max()) + 3 * EDGE]
    row, column = row - 0.5 - top, column - 0.5 - left
    middle = row.shape[0] // 2, row.shape[1] // 2
    metres = [30 / abs(np.gradient(line, axis=axis)[middle]) for axis, line in enumerate((row, column))]
    known = binary_erosion(np.isfinite(output).all(0), iterations=3 * EDGE)
    inside = map_coordinates(known.astype(np.uint8), [row, column], order=0).astype(bool)
    inside &= binary_erosion(np.isfinite(bands).all(0), iterations=EDGE)
    filled = [np.where(np.isfinite(image), image, np.nanmean(image)) for image in output]
    where = row[inside], column[inside]
    return np.array([shift(image, band[inside], *where, metres) for image, band in zip(filled, bands, strict=True)])


def displaced(product: Path, folder: Path) -> Path:
    """Copy the Level-2 product and the pan beside it, 10 m further right and up."""
    for part in {product, Path(str(product).replace("L2SP", "L1TP"))}:
        if part.exists():
            shutil.copytree(part, folder / part.name)
    for path in folder.rglob("*.TIF"):
        with rasterio.open(path, "r+") as file:
            file.transform = rasterio.Affine.translation(10, 10) * file.transform
    return folder / product.name


@click.command(help=__doc__)
@click.argument("scenes", type=click.Path(exists=True, path_type=Path))
def main(scenes: Path) -> None:
    print("| scene | | right, m | down, m | largest of a band, m |\n|---|---|---|---|---|")
    for product in sorted(scenes.glob("*L2SP*")):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            moved = displaced(product, folder)
            for kind, given, crs in (("as it is", product, None), ("in degrees", product, "EPSG:4326"),
                                     ("displaced input", moved, None)):  # fmt: skip
                found = shifts(given, Path(l8s2.harmonize_product(given, folder / kind, crs=crs)))
                right, down = np.median(found, axis=0)
                print(
                    f"| {product.name[:25]} | {kind} | {right:+.2f} | {down:+.2f} | {abs(found).max():.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
