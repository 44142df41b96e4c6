"""A newcomer's path, timed: install in a new virtual environment, demo, a real scene, the viewer, a spectrum.

    python benchmarks/newcomer.py SCENES/LC08_L2SP_143054_20230520_20230524_02_T1     (needs playwright and Chromium)

The commands are those of README.md, run in a clone of this repository. Only the
click into the map is made by a program.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from playwright.sync_api import sync_playwright

from viewer import DRAWN, launch

ROOT = Path(__file__).parents[1]
Times = list[tuple[str, float]]


@contextmanager
def timed(times: Times, what: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    times.append((what, time.perf_counter() - start))


def run(command: list[str], where: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{' '.join(command)}: {done.stderr[-500:]}")


def look(command: list[str], where: Path, environment: dict[str, str], times: Times) -> None:
    """Open the viewer, and read the spectrum of the pixel in the middle."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        with timed(times, f"`{' '.join(command)}`, until the page is drawn"):
            server = subprocess.Popen(
                [*command, "--no-browser", "--port", "0"],
                cwd=where, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            assert server.stdout
            page.goto(server.stdout.readline().split()[-1])
            page.wait_for_selector("body[data-ready]", timeout=60_000)
            page.evaluate(DRAWN)
        with timed(times, "a click: six bands with their standard errors"):
            page.click("#middle")
            page.wait_for_selector("#reading tbody tr")
        browser.close()
        server.terminate()
        server.wait()


@click.command()
@click.argument("scene", type=click.Path(exists=True, path_type=Path))
def main(scene: Path) -> None:
    times: Times = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clone = folder / "l8s2"
        run(["git", "clone", "-q", str(ROOT), str(clone)], folder, dict(os.environ))
        run([sys.executable, "-m", "venv", "venv"], folder, dict(os.environ))
        environment = os.environ | {"PATH": f"{folder}/venv/bin{os.pathsep}{os.environ['PATH']}"}
        environment.pop("PYTHONPATH", None)
        harmonize = ["l8s2", "harmonize", str(scene.resolve()), "-o", "out"]
        for command in (["pip", "install", "."], ["l8s2", "demo"], harmonize):
            shown = " ".join(command).replace(str(scene.resolve().parent), "SCENES")
            with timed(times, f"`{shown}`"):
                run(command, clone, environment)
        look(["l8s2", "view", "out"], clone, environment, times)
    click.echo("| | s |\n|---|---|")
    for what, seconds in times:
        click.echo(f"| {what} | {seconds:.1f} |")
    click.echo(f"| all | {sum(seconds for _, seconds in times):.0f} |")


if __name__ == "__main__":
    main()
