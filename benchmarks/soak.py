"""Many small products in one process: memory and open files stay as they are.

    python benchmarks/soak.py 200 [--model compact-nopan] [--json]

Each product is made of a scene of its own, opened by the viewer's index, verified and read back. Resident memory and
open files of the process are told at 10, 50 and 100 % of the way.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def facts() -> dict[str, Any]:
    """Resident memory and open files."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"rss_mb": round(pages * os.sysconf("SC_PAGESIZE") / 1e6, 1), "open_files": len(os.listdir("/proc/self/fd"))}


def soak(count: int, folder: Path, model: str) -> list[dict[str, Any]]:
    """Make and read so many products; facts on the way."""
    from l8s2.pipeline.to_product import harmonize_product
    from l8s2.product.reader import open_product
    from l8s2.verify.product import verify_product
    from making.scenes import make, ms_grid

    told = []
    for number in range(1, count + 1):
        here = folder / str(number)
        scene = make(here / "in", ms_grid(24 + number % 5, 31), with_pan=number % 2 == 0)
        made = harmonize_product(scene, here / "out", model=model, threads=1)
        assert not verify_product(made)
        open_product(made)
        shutil.rmtree(here)
        if number in {max(1, count // 10), count // 2, count}:
            told.append({"products": number, **facts()})
    return told


@click.command()
@click.argument("count", type=int)
@click.option("--model", default="compact", show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(count: int, model: str, as_json: bool) -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as made:
        told = soak(count, Path(made), model)
    if as_json:
        click.echo(json.dumps(told, indent=1))
        return
    click.echo("| products | resident memory, MB | open files |\n|---|---|---|")
    for row in told:
        click.echo(f"| {row['products']} | {row['rss_mb']} | {row['open_files']} |")
    click.echo(f"{(time.monotonic() - began) / count:.2f} s for a product")


if __name__ == "__main__":
    main()
