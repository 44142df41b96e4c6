"""The 30 m input of a product as one raster that the page can read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from l8s2.cog import BLOCK, CogFile, Encoding
from l8s2.deliveries.declared import NOTHING, Declared
from l8s2.deliveries.find import named_in
from l8s2.grid import sentinel2_convention
from l8s2.landsat.scene import open_scene
from l8s2.pipeline.provenance import OPTIONS
from l8s2.product.reader import items_in
from l8s2.product.writer import SUFFIX
from l8s2.progress import Progress
from l8s2.radiometry import NODATA, SCALE, encoded
from l8s2.sensors import BAND_NAMES


def landsat_inputs(landsat: Path, products: Sequence[Path]) -> dict[Path, Declared]:
    """Return the Level-2 products in a folder that ``products`` were made from, each with what was declared of it.

    Where there is none it is what was given itself, declared as for the first product.
    """
    found = {named_in(landsat, folder.name.removesuffix(SUFFIX)): folder for folder in products}
    return {path: _declared(folder) for path, folder in found.items() if path} or {landsat: _declared(products[0])}


def _declared(folder: Path) -> Declared:
    options = next((item["properties"].get(OPTIONS) for _, item in items_in(folder)), None)
    return Declared.noted(options) if isinstance(options, dict) else NOTHING


def write_landsat_image(product: Path, folder: Path, progress: Progress, declared: Declared = NOTHING) -> Path:
    """Write the six bands of a Landsat Level-2 product, not resampled, as ``<product id>.tif`` into ``folder``.

    int16 steps of 0.0001 reflectance in the CRS that the product of l8s2 has. Raises InputError as ``open_scene`` does.
    """
    with open_scene(product, declared=declared) as scene:
        rows, columns = scene.shape
        encoding = Encoding(dtype="int16", fill=NODATA, nodata=NODATA, scale=SCALE, overviews="average")
        path = folder / f"{scene.product_id}.tif"
        image = CogFile(path, sentinel2_convention(scene.geobox), BAND_NAMES, encoding)
        try:
            for top in range(0, rows, BLOCK):
                strip = slice(top, min(top + BLOCK, rows)), slice(0, columns)
                image.write(*strip, encoded(scene.read(*strip).ms))
                progress(strip[0].stop * columns, rows * columns, "reading Landsat")
            image.finish()
        finally:
            image.close()
    return path
