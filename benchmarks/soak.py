"""Many small products in one process, or many small scenes in one batch: memory and open files stay as they are.

    python benchmarks/soak.py 1000 [--model compact-nopan] [--json]
    python benchmarks/soak.py 1000 --batch

Each product is made of a scene of its own, verified and read back. With ``--batch`` the scenes lie in one folder and
`l8s2 batch` makes their products with two workers, each in a process of its own. Resident memory and open files of the
process that is soaked are told at 10, 50 and 90 to 100 % of the way.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def facts(process: str = "self") -> dict[str, Any]:
    """Resident memory and open files of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    files = len(os.listdir(f"/proc/{process}/fd"))
    return {"rss_mb": round(pages * os.sysconf("SC_PAGESIZE") / 1e6, 1), "open_files": files}


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


def soak_batch(count: int, folder: Path) -> list[dict[str, Any]]:
    """Make so many products by one `l8s2 batch`; facts of it on the way."""
    from making.scenes import make, ms_grid

    for number in range(count):
        day = date(2021, 1, 1) + timedelta(days=number)
        make(folder / "in", ms_grid(8, 8), product_id=f"LC09_L2SP_192025_{day:%Y%m%d}_20230530_02_T1", with_pan=False)
    out, told = folder / "out", []
    command = ["batch", folder / "in", "-o", out, "--workers", "2", "--threads", "1", "--model", "compact-nopan"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-m", "l8s2.cli", *map(str, command)], **quiet) as process:  # type: ignore[call-overload]
        marks = [max(1, count // 10), count // 2, count * 9 // 10]
        while process.poll() is None:
            done = len(list(out.glob("*_S2L")))
            if marks and done >= marks[0]:
                told.append({"products": done, **facts(str(process.pid))})
                marks.pop(0)
            time.sleep(0.5)
    made = len(list(out.glob("*_S2L")))
    if process.returncode or made != count:
        raise click.ClickException(f"exit code {process.returncode}, {made} of {count} products made")
    return told


@click.command()
@click.argument("count", type=int)
@click.option("--batch", is_flag=True, help="By one `l8s2 batch`, not in one process.")
@click.option("--model", default="compact", show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(count: int, batch: bool, model: str, as_json: bool) -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as made:
        told = soak_batch(count, Path(made)) if batch else soak(count, Path(made), model)
    if as_json:
        click.echo(json.dumps(told, indent=1))
        return
    click.echo("| products | resident memory, MB | open files |\n|---|---|---|")
    for row in told:
        click.echo(f"| {row['products']} | {row['rss_mb']} | {row['open_files']} |")
    click.echo(f"{(time.monotonic() - began) / count:.2f} s for a product")


if __name__ == "__main__":
    main()
