"""Seconds until the viewer's page has drawn a product, and until it has drawn other bands.

    python benchmarks/viewer.py OUT [--rounds 5]      (needs playwright, of the extra `test`, and Chromium)

OUT is a folder of products, as `l8s2 view` takes it. Each round opens the page in a new browser without a cache; WebGL
is drawn in software. A picture counts as drawn when the map says that no tile is missing.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from playwright.sync_api import sync_playwright

from l8s2.viewer.server import open_server

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from making.browser import launch

DRAWN = """new Promise(done => requestAnimationFrame(() => requestAnimationFrame(function check() {
    document.querySelector('#stage').ariaBusy === 'false' ? done() : requestAnimationFrame(check);
})))"""


def seconds(page: Any, act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    page.evaluate(DRAWN)
    return time.perf_counter() - start


def one_round(browser: Any, url: str) -> dict[str, float]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})

    def load() -> None:
        page.goto(url)
        page.wait_for_selector("body[data-ready]", timeout=60_000)

    found = {"first picture": seconds(page, load)}
    found["other bands"] = seconds(page, lambda: page.select_option("#show", "infrared"))
    found["index of bands"] = seconds(page, lambda: page.select_option("#show", "ndvi"))
    found["sigma over it"] = seconds(page, lambda: page.select_option("#over", "sigma"))
    found["a spectrum"] = seconds(page, lambda: page.click("#middle"))
    page.close()
    return found


@click.command()
@click.argument("out", type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=5, show_default=True)
def main(out: Path, rounds: int) -> None:
    with open_server(out, port=0) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        found = []
        for _ in range(rounds):
            browser = launch(playwright)
            found.append(one_round(browser, server.url))
            browser.close()
        server.shutdown()
    click.echo("| | s, least | s, median |\n|---|---|---|")
    for name in found[0]:
        times = [one[name] for one in found]
        click.echo(f"| {name} | {min(times):.2f} | {statistics.median(times):.2f} |")


if __name__ == "__main__":
    main()
