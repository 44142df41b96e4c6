"""Programs that are killed, interrupted or run out of disk at random moments, and run again.

    python benchmarks/faults.py [--rounds 10] [--seed 0] [--json]

After the last run the result is that of a run without faults, byte for byte; files that were whole before are
untouched, and nothing half-written has a name. A full disk is a tmpfs (needs root), or else a limit on file sizes.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))
SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent / "src"), os.environ.get("PYTHONPATH", "")]),
    "OMP_NUM_THREADS": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Program:
    """What is disturbed."""

    make: Callable[[Path], object]
    """Its input, in ``in`` of a folder, and what was there before."""
    command: Callable[[Path], list[str]]
    other: tuple[str, ...] = ()
    """Parts of names of files that differ from run to run: times, random bytes, numbers of attempts."""
    grows: tuple[str, ...] = ()
    """Parts of names of files that are replaced by others as more is there."""


def l8s2(*words: object) -> list[str]:
    return [sys.executable, "-m", "l8s2.cli", *map(str, words)]


def product(folder: Path) -> None:
    from making.cubes import landsat, sentinel2

    landsat(folder / "in" / "l")
    sentinel2(folder / "in" / "s")


def scenes(folder: Path) -> None:
    from making.batches import make_scenes

    make_scenes(folder / "in", *["slow 0.2"] * 6)


def pairs(folder: Path) -> None:
    (folder / "in").mkdir()


def product_of(folder: Path) -> Path:
    return next((folder / "in" / "l").glob("*_S2L"))


PROGRAMS = {
    "report": Program(product, lambda f: l8s2("report", product_of(f), "-o", f / "out/page.html", "--overwrite")),
    "cube": Program(
        product, lambda f: l8s2("cube", f / "in", "-o", f / "out/c.zarr"), other=("c.stac.json",), grows=("",)
    ),
    "batch": Program(
        scenes,
        lambda f: [sys.executable, "-m", "making.batches", str(f / "out"), str(f / "in"), "2", "2"],
        other=("_SR.tif", "results.", "ledger", "collection", "batch.json"),
    ),
    "patches": Program(
        pairs, lambda f: [sys.executable, "-m", "making.patches", str(f / "out/set"), "8", "0.03"], grows=("index.csv",)
    ),
}


def contents(folder: Path, other: tuple[str, ...]) -> dict[str, str]:
    """Checksums of what has a name; of some files the name alone."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/"))
        if path.is_file() and not hidden and not any(word in name for word in other):
            found[name] = hashlib.sha256(pixels(path) if path.suffix == ".h5" else path.read_bytes()).hexdigest()
    return found


def pixels(path: Path) -> bytes:
    """What is in an HDF5 file, whose bytes differ from run to run."""
    import h5py

    with h5py.File(path) as file:
        return repr([(name, file[name][()].tolist()) for name in sorted(file)]).encode()


def disturbed(command: list[str], how: str, after: float, room: int) -> bool:
    """Run, and disturb; whether it was still running, or had no room."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    process = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        preexec_fn=limited if how == "file size" else None,
    )  # fmt: skip
    if how in SIGNALS:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            (os.killpg if how == "SIGKILL" else os.kill)(process.pid, SIGNALS[how])
            process.wait(60)
            return True
        return False
    return process.wait(120) != 0


class Disk:
    """A small disk for the output: a tmpfs where this process may mount one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def mount(self, size: int) -> bool:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", self.folder], capture_output=True)
        return done.returncode == 0

    def remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", self.folder], check=True, capture_output=True)

    def unmount(self) -> None:
        subprocess.run(["umount", self.folder], check=True, capture_output=True)


def one_round(
    program: Program, how: str, rng: random.Random, work: Path, expected: dict[str, str], seconds: float
) -> tuple[int, str]:
    """How often it was disturbed, and what was lost."""
    disk = Disk(work / "out")
    size = sum(path.stat().st_size for path in (work / "whole").rglob("*") if path.is_file())
    mounted = how in ("full disk", "read-only") and disk.mount(64 << 20)
    if how in ("full disk", "read-only") and not mounted:
        how = "file size"
    kept = work / "out" / "kept.txt"
    kept.write_text("was here before")
    if mounted and how == "full disk":
        disk.remount(f"size={4096 * 4 + int(rng.random() * (size + 8192))}")
    if mounted and how == "read-only":
        disk.remount("ro")
    hits = 0
    try:
        for _ in range(rng.randint(1, 3) if how in SIGNALS else 1):
            hits += disturbed(program.command(work), how, rng.uniform(0.1, 0.9) * seconds, int(rng.random() * size / 2))
            before = contents(work / "out", program.other)
            half = [
                name
                for name, value in before.items()
                if value != expected.get(name)
                and name != "kept.txt"
                and not any(part in name for part in program.grows)
            ]
            if half:
                return hits, f"half-written: {half[:3]}"
            if kept.read_text() != "was here before":
                return hits, "a file that was there is another"
        if mounted:
            disk.remount("rw,size=64M")
        if how != "read-only":
            for path in (work / "out").rglob("*"):  # the clock jumped back
                if rng.random() < 0.3:
                    os.utime(path, (time.time() + 86400,) * 2, follow_symlinks=False)
        last = subprocess.run(program.command(work), env=ENVIRONMENT, capture_output=True, text=True)
        found = contents(work / "out", program.other)
        found.pop("kept.txt")
        if last.returncode:
            return hits, f"the last run failed: {last.stderr[-200:]}"
        wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        return hits, f"other than without faults: {wrong[:3]}" if wrong else ""
    finally:
        if mounted:
            disk.unmount()


@click.command()
@click.option("--rounds", default=10, show_default=True, help="Of each fault, for each program.")
@click.option("--program", "names", multiple=True, type=click.Choice(list(PROGRAMS)))
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(rounds: int, names: tuple[str, ...], seed: int, as_json: bool) -> None:
    rng = random.Random(seed)
    rows, lost = [], []
    for name in names or PROGRAMS:
        program = PROGRAMS[name]
        with tempfile.TemporaryDirectory() as made:
            work = Path(made)
            program.make(work)
            began = time.monotonic()
            (work / "out").mkdir()
            subprocess.run(program.command(work), check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
            seconds = time.monotonic() - began
            expected = contents(work / "out", program.other)
            (work / "out").rename(work / "whole")
            counts: Counter[str] = Counter()
            for how in (*SIGNALS, "full disk", "file size", "read-only"):
                for number in range(rounds):
                    hits, what = one_round(program, how, rng, work, expected, seconds)
                    counts[how] += hits
                    if what:
                        lost.append(f"{name}, {how} {number}: {what}")
                    shutil.rmtree(work / "out")
            rows.append({"program": name, **counts, "lost": sum(line.startswith(f"{name},") for line in lost)})
            click.echo(f"{name}: {dict(counts)}", err=True)
    if as_json:
        click.echo(json.dumps({"faults": rows, "lost": lost}, indent=1))
    else:
        heads = ["program", *SIGNALS, "full disk", "file size", "read-only", "lost"]
        click.echo("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        for row in rows:
            click.echo("| " + " | ".join(str(row.get(head, 0)) for head in heads) + " |")
        for line in lost:
            click.echo(line)
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
