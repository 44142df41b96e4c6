"""The page in a real browser: what it draws, reads and remembers, against numbers read with rasterio."""

from __future__ import annotations

import io
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from l8s2.demo import PRODUCT_ID, run_demo
from l8s2.radiometry import LEVEL_ABSOLUTE, LEVEL_RELATIVE
from l8s2.viewer.landsat_image import write_landsat_image
from l8s2.viewer.server import Server, open_server
from making.browser import launch

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra `test`")

AXE = Path(__file__).parents[2] / "viewer/node_modules/axe-core/axe.min.js"
PICTURE = Path(__file__).parents[2] / "docs/pictures/viewer.jpg"
DEMO, NOISE = f"{PRODUCT_ID}_S2L", "LC08_NOISE_S2L"
LEFT, TOP = 300_000, 7_999_990  # of NOISE: neither is the edge of a block of 3 x 3 pixels
HOSTILE = "<img src=x onerror=document.body.dataset.hacked=1>"


def noise_product(folder: Path) -> None:
    """Write a product south of the equator, several tiles and overviews large, no two blocks of which look alike."""
    here = folder / NOISE
    here.mkdir()
    random = np.random.default_rng(3)
    samples = random.integers(500, 3000, (6, 700, 1100)).astype(np.int16)
    samples[:, :, 1000:] = -32768
    rasters: dict[str, tuple[NDArray[Any], int | None]] = {
        "surface_reflectance": (samples, -32768),
        "sigma": (np.where(samples > 0, random.integers(150, 600, samples.shape), -32768).astype(np.int16), -32768),
        "qa": ((samples[:1] < 0).astype(np.uint16), None),
    }
    assets = {}
    for key, (values, nodata) in rasters.items():
        transform = rasterio.Affine(10, 0, LEFT, 0, -10, TOP)
        profile = {"dtype": values.dtype, "crs": "EPSG:32733", "transform": transform, "nodata": nodata}
        size = {"count": len(values), "height": values.shape[1], "width": values.shape[2]}
        with rasterio.open(here / f"{key}.tif", "w", driver="COG", BLOCKSIZE=512, **profile, **size) as dataset:
            dataset.write(values)
        assets[key] = {"href": f"./{key}.tif"}
    level = {"level_absolute": LEVEL_ABSOLUTE, "level_relative": LEVEL_RELATIVE}
    properties = {
        "datetime": "2024-01-01T10:00:00Z", "proj:code": "EPSG:32733", "l8s2:model": "compact", "l8s2:verdict": "warn",
        "l8s2:verdict_reasons": [HOSTILE], "l8s2:sigma": {"kind": "total"} | level,
    }  # fmt: skip
    item = {"type": "Feature", "id": NOISE, "properties": properties, "assets": assets}
    (here / "item.json").write_text(json.dumps(item), encoding="utf-8")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "out"
    run_demo(folder, report=lambda _: None)
    noise_product(folder)
    return folder


@pytest.fixture(scope="module")
def sentinel2(out: Path) -> Path:
    """The demo's own output as float reflectance, 0.05 brighter: an image of another encoding on the same lattice."""
    path = out.parent / "sentinel2.tif"
    with rasterio.open(out / DEMO / f"{PRODUCT_ID}_SR.tif") as source:
        profile = {"driver": "COG", "dtype": "float32", "nodata": np.nan, "BLOCKSIZE": 512, "count": 6}
        profile |= {name: source.profile[name] for name in ("crs", "transform", "width", "height")}
        with rasterio.open(path, "w", **profile) as target:
            target.write(source.read().astype(np.float32) * np.float32(1e-4) + np.float32(0.05))
    return path


@pytest.fixture(scope="module")
def landsat(out: Path) -> Path:
    return write_landsat_image(out / "input" / PRODUCT_ID, out.parent, lambda *_: None)


@pytest.fixture(scope="module")
def server(out: Path, sentinel2: Path, landsat: Path) -> Iterator[Server]:
    with open_server(out, sentinel2=sentinel2, landsat=[landsat], port=0) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        try:
            browser = launch(playwright)
        except sync_api.Error as error:
            pytest.skip(f"no Chromium: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


Open = Callable[..., "Page"]


class Page:
    """The page as a person has it, and a record of what it asked for and complained of."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.page = browser.new_page(**({"viewport": {"width": 820, "height": 480}} | options))
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console", lambda message: self.complaints.append(message.text) if message.type == "error" else None
        )
        self.page.goto(url)
        self.page.wait_for_selector("body[data-ready]", timeout=60_000)
        self.settle()

    def settle(self) -> None:
        """Wait until all that was asked for is read and drawn."""
        for _ in range(2):
            self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            self.page.wait_for_selector("#stage[aria-busy=false]", timeout=60_000)

    def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(300):
            if holds():
                return self.settle()
            self.page.wait_for_timeout(100)
        raise AssertionError(f"still not so: {self.page.url}")

    def choose(self, name: str, value: str) -> None:
        self.page.select_option(f"#{name}", value)
        self.settle()

    def set(self, name: str, value: float) -> None:
        self.page.fill(f"#{name}", str(value))
        self.settle()

    def picture(self) -> NDArray[np.uint8]:
        """Pixels of the map without what is drawn over it at its edges."""
        image = Image.open(io.BytesIO(self.page.locator("#map").screenshot())).convert("RGB")
        return np.asarray(image)[90:-90, 60:]

    @property
    def state(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.page.url).fragment).items()}

    def table(self) -> NDArray[np.float64]:
        rows = self.page.locator("#reading tbody tr").all()
        return np.array([[float(cell) for cell in row.locator("td").all_inner_texts()] for row in rows])


@pytest.fixture
def open_page(browser: Any, server: Server) -> Iterator[Open]:
    opened: list[Page] = []

    def open_it(fragment: str = "", url: str = server.url, **options: Any) -> Page:
        opened.append(Page(browser, url + fragment, **options))
        return opened[-1]

    yield open_it
    for page in opened:
        page.page.close()
        assert not page.complaints, page.complaints
        assert all(request.startswith((server.url, "blob:", "data:", "http://127.0.0.1:")) for request in page.requests)


def read(out: Path, name: str, key: str, window: tuple[slice, slice]) -> NDArray[np.float64]:
    path = out / name / (f"{key}.tif" if name == NOISE else f"{PRODUCT_ID}_{key}.tif")
    with rasterio.open(path) as dataset:
        return dataset.read()[:, window[0], window[1]].astype(np.float64)


def landsat_pixel(out: Path, row: int, column: int) -> NDArray[np.float64]:
    """What the files of USGS's form hold, by the scale and offset of Collection 2."""
    values = []
    for band in ("B2", "B3", "B4", "B5", "B6", "B7"):
        with rasterio.open(out / "input" / PRODUCT_ID / f"{PRODUCT_ID}_SR_{band}.TIF") as dataset:
            values.append(dataset.read(1)[row, column] * 2.75e-5 - 0.2)
    return np.array(values)


def test_a_folder_of_this_machine_is_shown_and_sent_nowhere(open_page: Open, out: Path, tmp_path: Path) -> None:
    page = open_page()
    mine = tmp_path / "mine"
    shutil.copytree(out / NOISE, mine / "LC08_MINE_S2L")
    item = mine / "LC08_MINE_S2L" / "item.json"
    item.write_text(item.read_text().replace(NOISE, "LC08_MINE_S2L"))
    asked = len(page.requests)
    page.page.set_input_files("#folder", mine)
    page.until(lambda: "LC08_MINE_S2L" in page.page.inner_text("#title"))
    assert len(np.unique(page.picture().reshape(-1, 3), axis=0)) > 1000
    page.page.click("#middle")
    page.until(lambda: page.page.locator("#reading tbody tr").count() == 6)
    around = read(out, NOISE, "surface_reflectance", (slice(349, 351), slice(549, 551))).reshape(6, 4) * 1e-4
    assert any(page.table()[:, 0] == pytest.approx(pixel, abs=1e-4) for pixel in around.T)  # of the four in the middle
    page.choose("over", "qa")
    served = [request for request in page.requests[asked:] if not request.startswith("blob:")]
    assert {urlsplit(request).path for request in served} <= {"/sentinel2.tif"}  # of the server, to compare with
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "a.json").write_text("[1")
    page.page.set_input_files("#folder", tmp_path / "nothing")
    page.until(lambda: "No product of l8s2" in page.page.inner_text("#status"))
    assert "LC08_MINE_S2L" in page.page.inner_text("#title")


def test_bands_change_the_picture_without_a_request(open_page: Open) -> None:
    page = open_page()
    assert DEMO in page.page.inner_text("#title")
    assert page.page.inner_text("#status") == ""
    assert len(np.unique(page.picture().reshape(-1, 3), axis=0)) > 1000
    asked = len(page.requests)
    pictures = []
    for bands in ("true", "infrared", "swir", "ndvi", "ndwi", "nbr"):
        page.choose("show", bands)
        pictures.append(page.picture().astype(int))
    assert len(page.requests) == asked
    for k, one in enumerate(pictures):
        assert all(np.abs(one - other).mean() > 3 for other in pictures[:k])
    page.set("bright", 2)
    page.choose("show", "true")
    assert page.picture().mean() > pictures[0].mean() + 5


def test_swipe_shows_each_image_on_its_side(open_page: Open) -> None:
    page = open_page()
    page.set("swipe", 100)
    left = page.picture()
    page.set("swipe", 0)
    right = page.picture()
    page.set("swipe", 50)
    both = page.picture()
    middle = page.page.locator("#map").bounding_box()["width"] / 2 - 60
    near, far = int(middle) - 5, int(middle) + 5
    assert (both[:, :near] == left[:, :near]).all()
    assert (both[:, far:] == right[:, far:]).all()
    assert (left != right).any(axis=2).mean() > 0.2
    page.page.focus("#swipe")
    page.page.keyboard.press("ArrowLeft")
    page.settle()
    assert page.state["s"] == "49"


@pytest.mark.parametrize(
    ("sides", "east", "outer"), [("l=m30&r=m10", 9500, slice(-40, None)), ("l=m10&r=m30", 500, slice(40))]
)
def test_nothing_stays_of_what_was_shown_before(open_page: Open, sides: str, east: int, outer: slice) -> None:
    """Beside the image the map is empty on both sides of the divider, whatever lay there."""
    page = open_page(f"#p={NOISE}&{sides}&x={LEFT + 5000}&y={TOP - 3500}&z=10")
    assert len(np.unique(page.picture()[:, outer].reshape(-1, 3), axis=0)) > 1000
    page.page.evaluate(f"location.hash = 'p={NOISE}&{sides}&x={LEFT + east}&y={TOP - 3500}&z=10'")
    page.until(lambda: page.state["x"].startswith(str(LEFT + east)))
    assert len(np.unique(page.picture()[:, outer].reshape(-1, 3), axis=0)) == 1


def test_blocks_lie_on_the_pixels_of_landsat(open_page: Open) -> None:
    """Six screen pixels to 10 m: colours change every eighteen, where 30 m pixels begin, and are the means."""
    page = open_page(f"#p={NOISE}&l=m30&r=m30&b=infrared&x={LEFT + 5000}&y={TOP - 3500}&z={10 / 6}")
    picture = page.picture().astype(int)
    box = page.page.locator("#map").bounding_box()
    west = LEFT + 5000 + (60 - box["width"] / 2) * 10 / 6
    north = TOP - 3500 - (90 - box["height"] / 2) * 10 / 6
    columns = np.flatnonzero((picture[1:200, 1:] != picture[1:200, :-1]).any(axis=(0, 2))) + 1
    rows = np.flatnonzero((picture[1:, 1:200] != picture[:-1, 1:200]).any(axis=(1, 2))) + 1
    # edges of blocks: 20 modulo 30 from west; from south 10 modulo 30 of the northing that the northern zone has
    assert np.abs((west + columns * 10 / 6 - 20 + 15) % 30 - 15).max() < 1.7
    assert np.abs((north - rows * 10 / 6 - 1e7 - 10 + 15) % 30 - 15).max() < 1.7
    assert min(len(columns), len(rows)) > 15


@pytest.mark.parametrize("name", [DEMO, NOISE])
def test_click_reads_what_is_stored(open_page: Open, out: Path, name: str) -> None:
    page = open_page(f"#p={name}")
    page.page.locator("#map").click(position={"x": 251, "y": 233})
    page.page.wait_for_selector("#flags")
    x, y = (float(v) for v in page.state["at"].split(","))
    with rasterio.open(next((out / name).glob("*SR.tif" if name == DEMO else "surface*.tif"))) as dataset:
        row, column = dataset.index(x, y)
        south = 1e7 if name == NOISE else 0
        skip = int((dataset.transform.c - 20) % 30 / 10), int((10 - dataset.transform.f + south) % 30 / 10)
    here = slice(row, row + 1), slice(column, column + 1)
    first_row, first_column = (row + skip[1]) // 3 * 3 - skip[1], (column + skip[0]) // 3 * 3 - skip[0]
    block = slice(first_row, first_row + 3), slice(first_column, first_column + 3)
    reflectance, sigma = ("SR", "SIGMA") if name == DEMO else ("surface_reflectance", "sigma")
    table = page.table()
    np.testing.assert_allclose(table[:, 0], read(out, name, reflectance, here).ravel() * 1e-4, atol=6e-5)
    np.testing.assert_allclose(table[:, 1], read(out, name, sigma, here).ravel() * 1.645e-4, atol=6e-5)
    if name == NOISE:
        means = read(out, name, reflectance, block).mean(axis=(1, 2)) * 1e-4
        np.testing.assert_allclose(table[:, 2], means, atol=6e-5)
    else:
        np.testing.assert_allclose(table[:, 2], landsat_pixel(out, row // 3, column // 3), atol=1.1e-4)
        np.testing.assert_allclose(table[:, 3], table[:, 0] + 0.05, atol=1.1e-4)  # what lies there of Sentinel-2
    assert page.page.locator("#reading svg circle").count() > 12


def test_rectangle_reads_a_mean_and_its_error(open_page: Open, out: Path) -> None:
    page = open_page()
    page.page.check("[value=area]")
    box = page.page.locator("#map").bounding_box()
    page.page.mouse.move(box["x"] + 160, box["y"] + 130)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 290, box["y"] + 280, steps=4)
    page.page.mouse.up()
    page.page.wait_for_selector("#reading .bar")
    left, bottom, right, top = (float(v) for v in page.state["box"].split(","))
    with rasterio.open(out / DEMO / f"{PRODUCT_ID}_SR.tif") as dataset:
        (row0, column0), (row1, column1) = dataset.index(left, top), dataset.index(right, bottom)
    window = slice(row0, row1 + 1), slice(column0, column1 + 1)
    clear = (read(out, DEMO, "QA", window)[0].astype(int) & 31) == 0
    rho, sigma = (read(out, DEMO, key, window)[:, clear] * 1e-4 for key in ("SR", "SIGMA"))
    a, g = np.array(LEVEL_ABSOLUTE)[:, None], np.array(LEVEL_RELATIVE)[:, None]
    detail = np.maximum(sigma**2 - a**2 - (g * rho) ** 2, 0)
    mean = rho.mean(axis=1)
    error = np.sqrt(a[:, 0] ** 2 + (g[:, 0] * mean) ** 2 + 9 * detail.sum(axis=1) / rho.shape[1] ** 2)
    np.testing.assert_allclose(page.table(), np.stack([mean, error, rho.std(axis=1)], axis=1), atol=6e-5)
    assert f"{clear.sum()} clear of {clear.size} pixels" in page.page.inner_text("#reading")
    page.choose("band", "swir16")
    assert "Histogram of swir16" in page.page.inner_text("#reading")


def test_map_by_keyboard(open_page: Open) -> None:
    page = open_page()
    before = float(page.state["x"])
    page.page.focus("#map")
    page.page.keyboard.press("ArrowRight")
    page.until(lambda: float(page.state["x"]) > before)
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector("#flags")
    page.page.wait_for_timeout(300)
    at = [float(v) for v in page.state["at"].split(",")]
    assert at == pytest.approx([float(page.state["x"]), float(page.state["y"])], abs=500)
    page.page.click("#visible")
    page.page.wait_for_selector("#reading .bar")


def test_dates(open_page: Open) -> None:
    page = open_page()
    first = page.picture()
    page.page.focus("#time")
    page.page.keyboard.press("ArrowRight")
    page.until(lambda: page.state["p"] == NOISE)
    page.settle()
    assert NOISE in page.page.inner_text("#title")
    assert (page.picture() != first).any(axis=2).mean() > 0.5
    facts = page.page.inner_text("#facts")
    assert HOSTILE in facts  # as text
    assert page.page.locator("#facts img").count() == 0
    assert page.page.evaluate("document.body.dataset.hacked") is None
    page.choose("product", DEMO)
    page.until(lambda: page.state["p"] == DEMO)


def test_overlays_and_their_legends(open_page: Open) -> None:
    page = open_page()
    plain = page.picture().astype(int)
    page.choose("over", "sigma")
    sigma = page.picture().astype(int)
    assert "Sigma of nir08" in page.page.inner_text("#legend")
    page.choose("over", "qa")
    quality = page.picture().astype(int)
    assert page.page.locator("#bits label").count() == 13
    ticked = {bit for bit in range(13) if page.page.is_checked(f"#bits input[value='{1 << bit}']")}
    assert ticked == set(range(13)) - {6, 10}  # water and no_qa, which would cover all else
    page.choose("product", NOISE)
    assert "clouds not flagged" in page.page.inner_text("#facts")
    page.choose("product", DEMO)
    for bit in range(13):
        page.page.uncheck(f"#bits input[value='{1 << bit}']")
    page.settle()
    assert (page.picture() == plain).all()
    page.page.check("#bits input[value='8']")
    page.settle()
    clouds = page.picture().astype(int)
    for one, other in ((plain, sigma), (plain, quality), (quality, clouds), (plain, clouds)):
        assert (one != other).any()
    assert (
        (clouds != plain).any(axis=2) <= (clouds == 255).all(axis=2)
    ).all()  # bit 3 is drawn white, and nothing else


def test_a_link_restores_the_view(open_page: Open, server: Server) -> None:
    page = open_page()
    page.choose("show", "swir")
    page.choose("left", "s2")
    page.set("swipe", 30)
    page.page.focus("#map")
    page.page.keyboard.press("+")
    page.page.wait_for_timeout(600)
    page.page.click("#middle")
    page.page.wait_for_selector("#flags")
    page.settle()
    again = open_page(url=page.page.url)
    again.page.wait_for_selector("#flags")
    assert again.state == page.state
    assert again.page.input_value("#show") == "swir"
    assert (again.picture() == page.picture()).mean() > 0.999


def test_a_broken_link_does_no_harm(open_page: Open) -> None:
    page = open_page("#p=__proto__&l=constructor&r=<b>&b=toString&o=x&s=NaN&q=1e99&g=-5&at=1,2,3&box=1,b&x=1&y=&z=-5&%")
    assert len(np.unique(page.picture().reshape(-1, 3), axis=0)) > 500
    assert (page.state["p"], page.state["l"], page.state["s"]) == (DEMO, "m30", "50")


def test_below_a_prefix(out: Path, open_page: Open) -> None:
    with open_server(out, host="0.0.0.0", port=0) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        page = open_page(url=server.url)
        assert len(np.unique(page.picture().reshape(-1, 3), axis=0)) > 1000
        server.shutdown()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_and_for_everybody(open_page: Open, scheme: str) -> None:
    page = open_page(color_scheme=scheme, viewport={"width": 390, "height": 844})
    page.choose("over", "qa")
    page.page.click("#middle")
    page.page.wait_for_selector("#flags")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    ground = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 300) == (scheme == "dark")
    if not AXE.is_file():
        pytest.skip("axe-core is not there: `npm ci --ignore-scripts` in viewer/")
    page.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.page.evaluate("axe.run()")["violations"]
    assert not [
        f"{rule['id']}: {rule['nodes'][0]['html']}" for rule in found if rule["impact"] in ("serious", "critical")
    ]


def test_picture_for_the_documentation(
    open_page: Open, out: Path, landsat: Path, request: pytest.FixtureRequest
) -> None:
    """What docs/viewer.md shows; the scene of the demo is simulated."""
    if not request.config.getoption("--write-pictures"):
        pytest.skip("writes to docs/; asked for by --write-pictures")
    with open_server(out, landsat=[landsat], port=0) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        page = open_page(f"#p={DEMO}&b=infrared", url=server.url, viewport={"width": 1200, "height": 800})
        page.page.locator("#map").click(position={"x": 560, "y": 560})
        page.page.wait_for_selector("#flags")
        page.page.locator("#flags").scroll_into_view_if_needed()
        page.settle()
        page.page.screenshot(path=PICTURE, type="jpeg", quality=85)
        server.shutdown()
    with Image.open(PICTURE) as image:
        assert image.size == (1200, 800)


def test_the_30_m_image_of_a_product_that_lacks_a_band_is_shown(open_page: Open, tmp_path: Path) -> None:
    noise_product(tmp_path)
    with rasterio.open(tmp_path / NOISE / "surface_reflectance.tif") as dataset:
        samples, profile = dataset.read(), {**dataset.profile, "driver": "COG", "blocksize": 512}
    samples[4] = -32768
    with rasterio.open(tmp_path / NOISE / "surface_reflectance.tif", "w", **profile) as dataset:
        dataset.write(samples)
    with open_server(tmp_path, port=0) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        picture = open_page("#l=m30&s=100", server.url).picture()
        server.shutdown()
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1000
