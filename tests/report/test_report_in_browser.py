"""The page in a real browser: it fits a phone, and the browser has nothing to complain of."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from l8s2.cli.shell import as_options
from l8s2.demo import PRODUCT_ID, run_demo
from l8s2.report.make import make_reports
from making.browser import launch

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra `test`")

PICTURE = Path(__file__).parents[2] / "docs/pictures/report.png"
SIZE = (1000, 1560)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> str:
    folder = tmp_path_factory.mktemp("browser")
    side = 160 if request.config.getoption("--write-pictures") else 64
    run_demo(folder, report=lambda _: None, size_ms=(side, side))
    product, input_ = folder / f"{PRODUCT_ID}_S2L", folder / "input"
    made = make_reports(product, None, landsat=input_, overwrite=False, progress=lambda *_: None, say=as_options)
    return Path(made["report"]).as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        try:
            browser = launch(playwright)
        except sync_api.Error as error:
            pytest.skip(f"no Chromium: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
def test_it_fits_and_asks_for_nothing(browser: Any, address: str, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url.partition(",")[0]))
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert not said
    assert asked[0] == address
    assert all(one.startswith("data:image/") for one in asked[1:])
    page.close()


def test_it_prints_dark_on_white_and_nothing_is_cut(browser: Any, address: str) -> None:
    """A4 is 210 mm wide, less the margins; backgrounds are not printed, so light text would be lost."""
    page = browser.new_page(viewport={"width": round(184 / 25.4 * 96), "height": 1000}, color_scheme="dark")
    page.emulate_media(media="print")
    page.goto(address)
    colours = "[document.body, ...document.querySelectorAll('h1, p, td, th, a, figcaption')].map("
    found = page.evaluate(colours + "one => getComputedStyle(one).color.match(/[0-9]+/g).map(Number))")
    assert max(sum(colour[:3]) / 3 for colour in found) < 110
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]
    page.close()


def test_picture_of_the_documentation(browser: Any, address: str, request: pytest.FixtureRequest) -> None:
    """What docs/report.md shows; the scene of the demo is simulated."""
    page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="light")
    page.goto(address)
    with Image.open(io.BytesIO(page.screenshot())) as image:
        small = image.convert("RGB").resize((SIZE[0] * 3 // 5, SIZE[1] * 3 // 5), Image.Resampling.LANCZOS)
    page.close()
    assert len(small.getcolors(1 << 20) or ()) > 1000
    if request.config.getoption("--write-pictures"):
        small.quantize(256, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
        assert PICTURE.stat().st_size < 300_000
