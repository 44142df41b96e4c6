"""Kill the real command line at random moments, resume it, and compare the rasters with those of an undisturbed run.

    python benchmarks/kills.py N SCENES/LC08_L2SP_017051_20151205_20200908_02_T1 [--size 1000] [--options "--no-sigma"]

Tiles the pixels of a product into one of ``size`` x ``size`` MS pixels (0: takes it as it is). Each of N runs of
``l8s2 harmonize`` is killed (SIGKILL) at a moment drawn from the time that an undisturbed run takes; the next one, with
``--resume``, goes on in the same output and is killed again, until one ends by itself. Then the output begins anew.
Exit code 1 where a raster or the preview differs, a run fails, or anything but the product is left.
"""

from __future__ import annotations

import hashlib
import random
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from whole_scene import enlarge

from l8s2.deliveries.find import level2_product
from l8s2.deliveries.pan import pan_partner


def sums(output: Path) -> dict[str, str]:
    """Name of each file of the product, without its Item, and its sha256."""
    files = [path for folder in output.glob("*_S2L") for path in folder.iterdir() if path.suffix != ".json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def killed(command: list[str], after: float) -> bool:
    """Run a command; whether it was killed before its end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        said = process.communicate(timeout=after)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    if process.returncode:
        raise click.ClickException(f"a run failed: {said.strip().splitlines()[-1]}")
    return False


@click.command()
@click.argument("number", type=int)
@click.argument("product", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--size", default=1000, show_default=True, help="MS pixels to a side; 0: the product as it is.")
@click.option("--options", default="", help="Further options of l8s2 harmonize.")
@click.option("--seed", default=0, show_default=True)
def main(number: int, product: Path, size: int, options: str, seed: int) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if size:
            level2 = level2_product(product)
            product = enlarge(level2, folder, size, 1)
            if pan := pan_partner(level2):
                enlarge(pan, folder, size, 2)
        harmonize = [sys.executable, "-m", "l8s2.cli", "harmonize", str(product), *shlex.split(options), "-o"]
        begin = time.monotonic()
        killed([*harmonize, str(folder / "whole")], 3600)
        whole, seconds = sums(folder / "whole"), time.monotonic() - begin
        kills = rounds = wrong = late = 0
        while kills < number:
            output = folder / f"out{rounds}"
            while kills < number and killed([*harmonize, str(output), "--resume"], chance.uniform(0.3, seconds)):
                kills += 1
                late += bool(list(output.glob(".*/*.tif.part")))
            killed([*harmonize, str(output), "--resume"], 3600)
            rounds += 1
            wrong += sums(output) != whole or [path.name[0] for path in output.iterdir()] != ["L"]
    print(
        f"{kills} kills, {late} of them while files were joined, in {rounds} products ({seconds:.1f} s undisturbed): ",
        end="",
    )
    print(f"{wrong} differ")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
