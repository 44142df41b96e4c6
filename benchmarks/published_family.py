"""Time and memory of the published networks on real scenes with pan, from the command line.

    python benchmarks/published_family.py SCENES/LC08_L2SP_{143054,204023,017051}*     (needs the extra torch)

Speed does not depend on the weights, so these are random ones. Each network runs in a process of its own; the ensemble
of all four holds one of them in memory at a time.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import torch

from l8s2.models.folder import save_model_folder
from l8s2.networks import build

FAMILY = {
    f"{depth}depth-{mode}": {"depth": depth, "up_mode": mode} for depth in (5, 6) for mode in ("upsample", "shuffle")
}


def measured(product: Path, model: str, folder: Path) -> tuple[float, float, float]:
    """(10 m megapixels, seconds, gigabytes at the peak) of l8s2 harmonize in a process of its own."""
    code = (
        "import resource, sys; from l8s2.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.__stderr__)"
    )
    arguments = ["harmonize", str(product), "-o", str(folder / "out"), "--model", model, "--overwrite"]
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode:
        raise click.ClickException(done.stderr)
    import rasterio

    with rasterio.open(next(Path(done.stdout.strip()).glob("*_SR.tif"))) as raster:
        pixels = raster.width * raster.height / 1e6
    peak = re.search(r"peak (\d+)", done.stderr)
    assert peak
    return pixels, seconds, int(peak[1]) * (1 if sys.platform == "darwin" else 1024) / 1e9


@click.command()
@click.argument("products", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def main(products: tuple[Path, ...]) -> None:
    print("| scene | output, Mpx | model | parameters | seconds | memory, GB |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder, made, sizes = Path(name), [], []
        for kind, config in FAMILY.items():
            torch.manual_seed(0)
            network = build("UNet", config)
            sizes.append(sum(p.numel() for p in network.parameters()))
            save_model_folder(network, "UNet", config, folder / kind, f"# {kind}, random weights\n")
            made.append(str(folder / kind))
            del network
        rows = [
            ("compact", None, "compact"),
            *zip(FAMILY, sizes, made, strict=True),
            ("all four, an ensemble", sum(sizes), ",".join(made)),
        ]
        for product in products:
            for label, parameters, model in rows:
                pixels, seconds, memory = measured(product, model, folder)
                scene = "_".join(product.name.split("_")[2:4])
                count = "" if parameters is None else f"{parameters:,}"
                print(f"| {scene} | {pixels:.2f} | {label} | {count} | {seconds:.0f} | {memory:.1f} |", flush=True)


if __name__ == "__main__":
    main()
