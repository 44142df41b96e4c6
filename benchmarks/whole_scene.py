"""Time and memory of one large product.

    python benchmarks/whole_scene.py ../shared/scenes/LC08_L2SP_017051_20151205_20200908_02_T1 [--size 3000]

Tiles the pixels of a small product (with its pan, if it has one) into one of ``size`` x ``size`` MS pixels, harmonises
it from the command line, and prints seconds, output megapixels per second and the peak of resident memory. A full
Landsat scene is about 7 700 x 7 700 MS pixels.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
import rasterio

from l8s2.landsat.layout import ProductFiles, level2_product, pan_partner


def enlarge(product: ProductFiles, folder: Path, size: int, unit: int) -> Path:
    """Copy a product with every raster repeated to ``size`` MS pixels; ``unit``: samples per MS pixel."""
    target = folder / product.product_id
    target.mkdir()
    for part, path in product.parts.items():
        copy = target / Path(path).name
        if part == "MTL":
            copy.write_bytes(Path(path).read_bytes())
            continue
        with rasterio.open(path) as source:
            values, profile = source.read(1), source.profile
        even = values[: values.shape[0] // unit * unit, : values.shape[1] // unit * unit]
        repeats = [-(-size * unit // n) for n in even.shape]
        large = np.tile(even, repeats)[: size * unit, : size * unit]
        profile.update(height=large.shape[0], width=large.shape[1], tiled=True, blockxsize=256, blockysize=256)
        with rasterio.open(copy, "w", **profile) as out:
            out.write(large, 1)
    return target


@click.command()
@click.argument("product", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--size", default=3000, show_default=True, help="MS pixels to a side.")
def main(product: Path, size: int) -> None:
    level2 = level2_product(product)
    pan = pan_partner(level2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = enlarge(level2, folder, size, 1)
        if pan is not None:
            enlarge(pan, folder, size, 2)
        command = [sys.executable, "-m", "l8s2.cli", "harmonize", str(large), "-o", str(folder / "out"), "--json"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise click.ClickException(result.stderr)
        seconds = json.loads(result.stdout)["seconds"]
        stored = sum(f.stat().st_size for f in (folder / "out").rglob("*.tif"))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    pixels = (3 * size) ** 2 / 1e6
    print(
        f"{size} x {size} MS pixels, {'with' if pan else 'without'} pan: {seconds:.0f} s, {pixels / seconds:.2f} Mpx/s,"
    )
    print(f"{peak:.2f} GB resident at the peak, {stored / 1e9:.2f} GB of product")


if __name__ == "__main__":
    main()
