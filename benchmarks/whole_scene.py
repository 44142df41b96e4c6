"""Time, memory and the parts of the work for large products, beside the network and GDAL alone and the published UNet.

    python benchmarks/whole_scene.py SCENES/LC08_L2SP_017051_20151205_20200908_02_T1 [--size 2000] [--json FILE]

Tiles the pixels of a small product (with its pan, if it has one) into one of ``size`` x ``size`` MS pixels, harmonises
it in a process of its own, and prints a table. A full Landsat scene is about 7 700 x 7 700 MS pixels. In the same run:
the network alone on as many windows, GDAL alone writing the same samples from memory with its COG driver, and the
published 5-depth UNet (random weights, PyTorch, single precision, 256 x 256 pixels). Seconds of the processor are
given beside those of the clock: on a machine that does other work only they can be compared.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from pathlib import Path
from typing import Any

import click
import numpy as np
import rasterio

from l8s2.deliveries.find import level2_product
from l8s2.deliveries.pan import pan_partner
from l8s2.deliveries.product_files import ProductFiles

Measured = dict[str, Any]


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


def measured(run: Callable[[], object]) -> Measured:
    clock, processor = time.perf_counter(), time.process_time()
    run()
    return {"wall_s": time.perf_counter() - clock, "cpu_s": time.process_time() - processor}


def product_run(folder: str, output: str, model: str) -> Measured:
    """Harmonise, and tell what the threads did: processor seconds of the calling threads, by part."""
    from l8s2.cog.file import CogFile
    from l8s2.landsat.scene import Scene
    from l8s2.pipeline.to_product import harmonize_product
    from l8s2.product.writer import ProductWriter

    spent: Counter[str] = Counter()
    lock, first = threading.Lock(), [0.0]

    def timed(owner: Any, name: str, part: str) -> None:
        inner = getattr(owner, name)

        @wraps(inner)
        def outer(*given: Any, **more: Any) -> Any:
            start = time.thread_time()
            try:
                return inner(*given, **more)
            finally:
                with lock:
                    spent[part] += time.thread_time() - start
                    first[0] = first[0] or (part == "store" and time.perf_counter()) or 0.0

        setattr(owner, name, outer)

    for owner, name, part in (
        (Scene, "read", "read"), (ProductWriter, "write", "store"), (ProductWriter, "write_before", "store"),
        (CogFile, "write", "compress"), (ProductWriter, "finish", "finish"),
    ):  # fmt: skip
        timed(owner, name, part)
    begin = time.perf_counter()
    result = measured(lambda: harmonize_product(folder, output, model=model))
    result["first_window_s"] = first[0] - begin
    result["rss_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    parts = {"read": spent["read"], "encode": spent["store"] - spent["compress"], "compress": spent["compress"],
             "finish": spent["finish"]}  # fmt: skip
    parts["network and the rest"] = result["cpu_s"] - sum(parts.values())
    return result | {"cpu_s_of": parts}


def network_alone(pixels: float, pan: bool, model: str) -> Measured:
    """The predictor on windows of the size that it asks for, as many threads as it takes."""
    from l8s2.predictors.load import load_model

    predictor = load_model(model)
    side = predictor.tile + 2 * predictor.margin
    rng = np.random.default_rng(0)
    ms = (0.2 + 0.02 * rng.standard_normal((6, side, side))).astype(np.float32)
    fine = (0.2 + 0.02 * rng.standard_normal((2 * side, 2 * side))).astype(np.float32) if pan else None
    number = max(2 * predictor.streams, min(round(pixels * 1e6 / (3 * predictor.tile) ** 2), 12))
    number += -number % predictor.streams

    def run(times: int) -> None:
        with ThreadPoolExecutor(predictor.streams) as pool:
            list(pool.map(lambda _: predictor.predict_window(ms, fine, (0, 0)), range(times)))

    run(predictor.streams)
    found = measured(lambda: run(number))
    scale = pixels * 1e6 / (number * (3 * predictor.tile) ** 2)
    return {key: value * scale for key, value in found.items()}


def gdal_alone(folder: str, output: str) -> Measured:
    """The samples of a product, from memory, through GDAL's COG driver."""
    arrays = {}
    for path in Path(folder).glob("*.tif"):
        with rasterio.open(path) as dataset:
            arrays[path.name] = dataset.read(), dataset.profile, dataset.descriptions

    def run() -> None:
        for name, (samples, profile, bands) in arrays.items():
            kept = {key: profile[key] for key in ("dtype", "nodata", "crs", "transform", "height", "width", "count")}
            average = "AVERAGE" if profile["dtype"] == "int16" else "MODE"
            with rasterio.open(
                Path(output) / name, "w", driver="COG", compress="DEFLATE", level=1, predictor=2, blocksize=512,
                num_threads="ALL_CPUS", overview_resampling=average, bigtiff="IF_SAFER", **kept,
            ) as dataset:  # fmt: skip
                dataset.write(samples)
                dataset.descriptions = bands

    return measured(run)


def published_alone() -> Measured:
    import torch
    from engines import published_unet, seconds

    torch.set_num_threads(1)  # threads that wait for each other would count
    processor = time.process_time()
    rate = 256 * 256 / 1e6 / seconds(published_unet(), 3)
    return {"mpx_s": rate, "mpx_cpu_s": 4 * 256 * 256 / 1e6 / (time.process_time() - processor)}


def child(*given: object) -> Measured:
    """Run one of the functions above in a process of its own."""
    command = [sys.executable, __file__, "--part", json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(done.stderr)
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    return found


PARTS = {f.__name__: f for f in (product_run, network_alone, gdal_alone, published_alone)}


def one_size(level2: ProductFiles, size: int, model: str) -> Measured:
    pan = pan_partner(level2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = enlarge(level2, folder, size, 1)
        if pan is not None:
            enlarge(pan, folder, size, 2)
        pixels = (3 * size) ** 2 / 1e6
        whole = child("product_run", str(large), str(folder / "out"), model)
        network = child("network_alone", pixels, pan is not None, model)
        (folder / "gdal").mkdir()
        made = next((folder / "out").iterdir())
        gdal = child("gdal_alone", str(made), str(folder / "gdal"))
        stored = sum(f.stat().st_size for f in made.glob("*.tif"))
    ratios = {f"ratio_{key}": whole[key] / (network[key] + gdal[key]) for key in ("wall_s", "cpu_s")}
    return {"size": size, "mpx": pixels, "product_gb": stored / 1e9, "whole": whole, "network_alone": network,
            "gdal_alone": gdal, **ratios}  # fmt: skip


def table(rows: list[Measured], published: Measured) -> str:
    lines = [
        "| MS pixels | s | CPU s | Mpx/s | Mpx/CPU s | RSS, GB | first window, s | network alone, CPU s "
        "| GDAL alone, CPU s | over their sum, clock | over their sum, CPU | network over published UNet, CPU |",
        "|---" * 12 + "|",
    ]
    for row in rows:
        whole, network, gdal = row["whole"], row["network_alone"], row["gdal_alone"]
        lines.append(
            f"| {row['size']} x {row['size']} | {whole['wall_s']:.0f} | {whole['cpu_s']:.1f} "
            f"| {row['mpx'] / whole['wall_s']:.2f} | {row['mpx'] / whole['cpu_s']:.2f} | {whole['rss_gb']:.2f} "
            f"| {whole['first_window_s']:.1f} | {network['cpu_s']:.1f} | {gdal['cpu_s']:.1f} "
            f"| {row['ratio_wall_s']:.2f} | {row['ratio_cpu_s']:.2f} "
            f"| {row['mpx'] / network['cpu_s'] / published['mpx_cpu_s']:.1f} |"
        )
    names = list(rows[0]["whole"]["cpu_s_of"])
    lines += ["", "| CPU s | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for row in rows:
        parts = row["whole"]["cpu_s_of"]
        lines.append(f"| {row['size']} x {row['size']} | " + " | ".join(f"{parts[name]:.1f}" for name in names) + " |")
    return "\n".join(lines)


@click.command()
@click.argument("product", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--size", "sizes", default=[2000], multiple=True, show_default=True, help="MS pixels to a side.")
@click.option("--model", default="compact", show_default=True)
@click.option("--json", "report", type=click.Path(path_type=Path), help="Write all figures to this file.")
@click.option("--part", hidden=True)
def main(product: Path | None, sizes: tuple[int, ...], model: str, report: Path | None, part: str | None) -> None:
    if part:
        name, *given = json.loads(part)
        print(json.dumps(PARTS[name](*given)))
        return
    if product is None:
        raise click.UsageError("Give a PRODUCT.")
    published = child("published_alone")
    rows = [one_size(level2_product(product), size, model) for size in sizes]
    if report:
        report.write_text(json.dumps({"published_unet": published, "sizes": rows}, indent=2) + "\n", encoding="utf-8")
    print(table(rows, published))


if __name__ == "__main__":
    main()
