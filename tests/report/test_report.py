"""Reports: their numbers against rasterio and numpy, their structure, what strangers write, and what is damaged."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from numpy.typing import NDArray

import l8s2.pipeline.to_product
from l8s2 import masks
from l8s2.cli import main
from l8s2.cli.shell import as_options
from l8s2.deliveries.declared import Declared
from l8s2.errors import InputError
from l8s2.evaluation.pictures import data_uri
from l8s2.landsat.measure_scene import SceneMeasures
from l8s2.landsat.scene import open_scene
from l8s2.metrics.no_reference import consistency
from l8s2.pipeline.to_product import harmonize_product
from l8s2.pipeline.verdict import Count, assess
from l8s2.radiometry import LEVEL_ABSOLUTE, LEVEL_RELATIVE, NODATA, SCALE, encoded
from l8s2.report import sample
from l8s2.report.advice import advice_on
from l8s2.report.find_input import find_input
from l8s2.report.finished import Finished
from l8s2.report.landsat_input import Before
from l8s2.report.make import make_reports
from l8s2.report.markup import style
from l8s2.report.pictures import LONGEST
from l8s2.sensors import BAND_NAMES, BANDS
from l8s2.simulate.sensor import Conditions, Observation
from l8s2.verify import verify_product
from making.scenes import ID, PAN_ID, Copying, coordinates_as_pixels, make, ms_grid, smooth

NAME = f"{ID}_S2L"
HOSTILE = "<img src=x onerror=alert(1)>\"'&</style></pre>\ud800"
VOID = {"meta", "img", "path", "br", "link"}
SEED = 5


def quality_bits(shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Clear ground with a cloud, its surroundings, shadow and water."""
    bits = np.full(shape, 21824, np.uint16)
    bits[3:9, 3:20], bits[9:11, 3:20], bits[15:18, 2:7], bits[-9:, -9:] = 22280, 21826, 23888, 21952
    return bits


def harmonized(folder: Path, input_: Path | list[Path], **options: Any) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(l8s2.pipeline.to_product, "load_predictor", lambda *_, **__: Copying())
        return harmonize_product(input_, folder, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An input and, in ``out``, its product: 192 x 186 MS pixels, so four blocks, some narrow."""
    folder = tmp_path_factory.mktemp("report")
    box = ms_grid(192, 186)
    observation = smooth(box)
    noise = np.random.default_rng(SEED).normal(0, 0.02, observation.ms.shape).astype(np.float32)
    ms = observation.ms + noise
    ms[:, :5, -8:] = np.nan
    observation = Observation(ms=ms, pan=observation.pan, conditions=Conditions())
    input_ = make(folder / "input", box, observation, qa_pixel=quality_bits(box.shape))
    harmonized(folder / "out", input_)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``made``, of one block."""
    folder = tmp_path_factory.mktemp("small")
    box = ms_grid(60, 70)
    harmonized(folder / "out", make(folder / "input", box, qa_pixel=quality_bits(box.shape)))
    return folder


@pytest.fixture
def product(small: Path, tmp_path: Path) -> Path:
    """A copy of the small product alone, to be changed."""
    return Path(shutil.copytree(small / "out" / NAME, tmp_path / "out" / NAME))


def report(folder: Path, output: Path | None = None, *, landsat: Path | None = None, overwrite: bool = False) -> Any:
    return make_reports(folder, output, landsat=landsat, overwrite=overwrite, progress=lambda *_: None, say=as_options)


@pytest.fixture(scope="module")
def numbers(made: Path) -> dict[str, Any]:
    return dict(report(made / "out" / NAME, made / "page.html", landsat=made / "input"))


def read(product: Path, name: str) -> NDArray[Any]:
    with rasterio.open(product / f"{ID}_{name}.tif") as file:
        values: NDArray[Any] = file.read()
    return values


def change_item(product: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = product / f"{ID}.json"
    item = json.loads(path.read_text())
    change(item)
    path.write_text(json.dumps(item))


class Parsed(HTMLParser):
    """Tags of a page; fails where they do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += data

    def all(self, *names: str) -> Iterator[dict[str, str | None]]:
        return (attributes for tag, attributes in self.tags if tag in names)


def clear_of(product: Path) -> NDArray[np.bool_]:
    return ((read(product, "QA")[0] & 31) == 0) & (read(product, "SR") != NODATA).all(0)


def test_distributions_are_those_of_the_clear_pixels(made: Path, numbers: dict[str, Any]) -> None:
    product = made / "out" / NAME
    clear = clear_of(product)
    assert numbers["clear_pixels_counted"] == clear.sum() > 0
    for values, name in zip(read(product, "SR"), BAND_NAMES, strict=True):
        found, true = numbers["bands"][name]["output"], values[clear] * SCALE
        assert found["mean"] == pytest.approx(true.mean(), abs=1e-6)
        assert found["std"] == pytest.approx(true.std(), abs=1e-6)
        for key, share in (("p5", 5), ("median", 50), ("p95", 95)):
            assert found[key] == pytest.approx(np.percentile(true, share, method="inverted_cdf"), abs=1e-6)
        assert numbers["bands"][name]["input"] == found  # the predictor copies its input


def test_sigma_is_told_apart_into_its_parts(made: Path, numbers: dict[str, Any]) -> None:
    product = made / "out" / NAME
    clear = clear_of(product)
    for i, (values, sigma) in enumerate(zip(read(product, "SR"), read(product, "SIGMA"), strict=True)):
        total = sigma[clear] * SCALE
        level = np.hypot(LEVEL_ABSOLUTE[i], LEVEL_RELATIVE[i] * values[clear] * SCALE)
        detail = np.sqrt(np.maximum(total**2 - level**2, 0))
        for part, true in (("total", total), ("level", level), ("detail", detail)):
            found = numbers["bands"][BAND_NAMES[i]]["sigma"][part]
            assert found["median"] == pytest.approx(np.median(true), abs=1e-4), part
            assert found["p90"] == pytest.approx(np.percentile(true, 90), abs=1e-4), part


def test_quality_is_counted_over_every_pixel(made: Path, numbers: dict[str, Any]) -> None:
    bits = read(made / "out" / NAME, "QA")[0]
    known = bits[(bits & 1) == 0]
    assert numbers["qa_percent"]["fill"] == pytest.approx(100 * np.mean((bits & 1) == 1), abs=1e-4)
    for bit in masks.QA_BITS[1:]:
        true = 100 * np.mean((known >> bit.bit) & 1)
        assert numbers["qa_percent"][bit.name] == pytest.approx(true, abs=1e-4), bit.name
    assert numbers["qa_percent"]["clear"] == pytest.approx(100 * np.mean((known & 31) == 0), abs=1e-4)
    assert numbers["qa_percent"]["clean"] == pytest.approx(100 * np.mean(known == 0), abs=1e-4)
    assert {name for name, share in numbers["qa_percent"].items() if share} >= {"cloud", "cloud_shadow", "water"}


def test_without_qa_pixel_nobody_knows_what_is_clear(tmp_path: Path) -> None:
    product = harmonized(tmp_path / "out", make(tmp_path / "input", qa_pixel=None))
    said = json.loads((product / f"{ID}.json").read_text())["properties"]
    assert not said.keys() & {"l8s2:clear_percent", "eo:cloud_cover", "eo:snow_cover"}
    assert verify_product(product) == []
    found = report(product)
    assert found["clear_percent"] is found["qa_percent"]["clear"] is None
    assert Path(found["report"]).read_text().count("not known: no QA_PIXEL") == 2


def test_a_pixel_without_qa_does_not_hide_what_is_known_of_the_others(tmp_path: Path) -> None:
    bits = quality_bits((60, 70))
    bits[30, 30] = 1
    product = harmonized(tmp_path / "out", make(tmp_path / "input", ms_grid(60, 70), qa_pixel=bits))
    found = report(product)
    assert 0 < found["qa_percent"]["no_qa"] < 1
    assert found["clear_percent"] == pytest.approx(found["qa_percent"]["clear"], abs=0.1)
    page = Path(found["report"]).read_text()
    assert not re.search("Clouds are not flagged, as|not known: no QA_PIXEL", page)


def test_input_is_read_as_it_was_declared(tmp_path: Path) -> None:
    input_ = make(tmp_path / "input", ms_grid(60, 70))
    for path in input_.glob("*_SR_B*.TIF"):
        with rasterio.open(path, "r+") as file:
            file.write(np.round(1e4 * (file.read() * 2.75e-5 - 0.2)).astype(np.uint16))
    product = harmonized(tmp_path / "out", input_, declared=Declared(scale="1e-4"))
    band = report(product, landsat=input_)["bands"]["red"]
    assert band["input"]["mean"] == pytest.approx(band["output"]["mean"], abs=0.01)
    item = product / f"{ID}.json"
    item.write_text(item.read_text().replace('"scale": "1e-4"', '"scale": "<b>"'))
    odd = report(product, landsat=input_, overwrite=True)
    assert "does not say how its input is read" in odd["why_not_compared"]
    assert "<b>: unknown" not in Path(odd["report"]).read_text()


def test_consistency_of_a_constant_is_that_of_the_band_pass(tmp_path: Path) -> None:
    """Blur leaves a constant alone: what is copied differs from what OLI would see of it by a r + b - r."""
    box = ms_grid(60, 70)
    plain = smooth(box)
    input_ = make(
        tmp_path / "input", box, Observation(ms=np.full_like(plain.ms, 0.2), pan=plain.pan, conditions=Conditions())
    )
    found = report(harmonized(tmp_path / "out", input_), landsat=input_)
    assert found["ms_pixels_compared"] > 1000
    for band in BANDS:
        a, b = band.band_pass["S2A"]
        assert found["bands"][band.name]["consistency"]["bias"] == pytest.approx(a * 0.2 + b - 0.2, abs=1e-4)
        assert found["bands"][band.name]["consistency"]["rms"] == pytest.approx(abs(a * 0.2 + b - 0.2), abs=1e-4)


def test_consistency_is_that_of_evaluate(small: Path, product: Path) -> None:
    with open_scene(small / "input" / ID) as scene:
        pixels = scene.read(slice(0, 60), slice(0, 70))
    true = consistency(read(product, "SR") * SCALE, pixels.ms, masks.usable(pixels.qa))
    found = report(product, landsat=small / "input")["bands"]
    assert [found[name]["consistency"]["rms"] for name in BAND_NAMES] == pytest.approx(
        [score.value for score in true], abs=1e-6
    )


@pytest.mark.parametrize("bbox", [None, (14.2900, 51.0500, 14.3100, 51.0700)])
@pytest.mark.parametrize("zone_south", [False, True])
def test_input_lies_on_the_pixels_it_owns(
    tmp_path: Path, bbox: tuple[float, float, float, float] | None, zone_south: bool
) -> None:
    centre = (450_000, -5_660_010) if zone_south else (450_000, 5_660_010)
    if bbox and zone_south:
        bbox = (bbox[0], -51.0990, bbox[2], -51.0890)
    box = ms_grid(90, 110, centre=centre)
    input_ = make(tmp_path / "input", box, coordinates_as_pixels(box))
    product = harmonized(tmp_path / "out", input_, bbox=bbox)
    with Finished(product) as finished, open_scene(input_) as scene:
        before = Before(scene, finished.geobox)
        assert before.first is not None
        height, width = finished.shape
        window = slice(4, height - 5), slice(7, width - 1)
        values, _ = before.read(*window)
    true = read(product, "SR")[:, *window]
    assert np.array_equal(encoded(values), true)


@pytest.mark.parametrize("crs", ["EPSG:3035", "EPSG:4326"])
def test_a_warped_product_has_no_consistency_but_all_else(small: Path, tmp_path: Path, crs: str) -> None:
    product = harmonized(tmp_path, small / "input" / ID, crs=crs)
    found = report(product, landsat=small / "input")
    assert found["ms_pixels_compared"] == 0
    assert "warped" in found["why_not_compared"]
    for band in found["bands"].values():
        assert band["input"]["median"] == pytest.approx(band["output"]["median"], abs=0.003)
    page = Parsed(Path(found["report"]).read_text())
    assert f"--crs {crs}" in page.words
    assert "Give the input" not in page.words


def test_structure_serves_those_who_do_not_see_it(made: Path, numbers: dict[str, Any]) -> None:
    page = Parsed((made / "page.html").read_text())
    headings = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3", "h4")]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    pictures = list(page.all("img"))
    assert len(pictures) == 10
    assert all(one["alt"] and (one["src"] or "").startswith("data:image/") for one in pictures)
    assert all(one.get("aria-label") for one in page.all("svg"))
    assert all(one.get("scope") in ("col", "row") for one in page.all("th"))
    assert next(page.all("html"))["lang"] == "en"
    assert not list(page.all("script", "link", "iframe", "object", "style@import"))
    assert "url(" not in style()
    for reason in (
        "Provenance",
        numbers["id"],
        "SHA-256",
        f"l8s2 harmonize {ID} -o out --model copying --pan {PAN_ID}",
        "How to cite",
    ):
        assert reason in page.words


def test_everything_from_an_item_is_text(product: Path) -> None:
    def poison(value: Any) -> Any:
        if isinstance(value, dict):
            return {HOSTILE + key if key in BAND_NAMES else key: poison(v) for key, v in value.items()}
        if isinstance(value, list):
            return [poison(v) for v in value] + [HOSTILE]
        return HOSTILE if isinstance(value, str) else value

    def change(item: dict[str, Any]) -> None:
        item["properties"] = poison(item["properties"]) | {
            "l8s2:verdict_reasons": [HOSTILE] * 1000, "l8s2:warnings": [HOSTILE * 1000] * 9,
        }  # fmt: skip
        for asset in item["assets"].values():
            asset["file:checksum"] = HOSTILE

    change_item(product, change)
    found = report(product)
    text = Path(found["report"]).read_text(encoding="utf-8")
    page = Parsed(text)
    assert "onerror=alert" in page.words
    assert not [attributes for _, attributes in page.tags if any(name.startswith("on") for name in attributes)]
    assert all((one["src"] or "").startswith("data:image/") for one in page.all("img"))
    assert len(text) < 2_000_000


@pytest.mark.parametrize(
    "value", [None, True, -1, 1e300, 10**400, "x", [], {}, [None, {}], {"bands": 3, "verdict": []}]
)
def test_an_item_may_say_anything(product: Path, value: Any) -> None:
    """Whatever a property is, there is a page, or one line."""

    def change(item: dict[str, Any]) -> None:
        item["bbox"] = value
        item["properties"] = dict.fromkeys(item["properties"], value)
        for asset in item["assets"].values():
            asset["file:checksum"] = value

    change_item(product, change)
    found = report(product)
    json.dumps(found, allow_nan=False)
    Parsed(Path(found["report"]).read_text())


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda p: (p / f"{ID}.json").unlink(), "holds no product"),
        (lambda p: (p / f"{ID}.json").write_text("{"), "holds no product"),
        (lambda p: (p / f"{ID}.json").write_text('{"properties": {}}'), "holds no product"),
        (lambda p: change_item(p, lambda item: item["properties"].update(gsd=float("inf"))), "holds no product"),
        (lambda p: (p / f"{ID}_QA.tif").unlink(), "missing"),
        (lambda p: (p / f"{ID}_SR.tif").write_bytes((p / f"{ID}_SR.tif").read_bytes()[:-99]), "its Item says"),
        (lambda p: change_item(p, lambda item: item["assets"]["qa"].update(href="../../x.tif")), "x.tif is missing"),
        (lambda p: change_item(p, lambda item: item["assets"]["qa"].update(href="https://x/q")), "q is missing"),
        (lambda p: change_item(p, lambda item: item["assets"].pop("qa")), "names no reflectance or no QA"),
        (lambda p: change_item(p, lambda item: item["assets"].update(qa=[])), "names no reflectance or no QA"),
        (lambda p: change_item(p, lambda item: item["assets"].update(qa=item["assets"]["sigma"])), "not a file qa"),
    ],
)  # fmt: skip
def test_damage_is_one_line_and_no_page(product: Path, damage: Callable[[Path], Any], says: str) -> None:
    damage(product)
    with pytest.raises(InputError, match=says):
        report(product)
    assert [path.name for path in product.parent.iterdir()] == [NAME]


def test_damaged_pixels_are_one_line(product: Path) -> None:
    path = product / f"{ID}_SR.tif"
    content = bytearray(path.read_bytes())
    content[9000:] = b"\xff" * (len(content) - 9000)
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{ID}_SR.tif: cannot be read"):
        report(product)


def test_a_raster_that_only_refers_to_others_is_not_opened(product: Path) -> None:
    path = product / f"{ID}_QA.tif"
    path.write_text(f'<VRTDataset rasterXSize="9" rasterYSize="9"><SourceFilename>{path}</SourceFilename></VRTDataset>')
    change_item(product, lambda item: item["assets"]["qa"].pop("file:size"))
    with pytest.raises(InputError, match="cannot be read"):
        report(product)


def test_without_the_input_it_says_how_to_get_the_rest(product: Path) -> None:
    found = report(product)
    page = Parsed(Path(found["report"]).read_text())
    assert found["bands"]["red"]["consistency"] is None
    assert found["bands"]["red"]["input"] is None
    assert f"{ID} was not found beside the product. Give the input: l8s2 report PRODUCT --landsat INPUT" in page.words


def test_the_input_beside_a_product_is_found(small: Path, product: Path) -> None:
    (product.parent / ID).symlink_to(small / "input" / ID)
    assert report(product)["ms_pixels_compared"] > 0


def test_an_input_that_is_not_there_is_told(product: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(main, ["report", str(product.parent), "--landsat", str(tmp_path / "empty")])
    assert done.exit_code == 0
    assert f"{NAME}: not compared with its input: {ID} was not found in" in done.stderr


def test_another_scene_is_not_compared(product: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "other", product_id=ID.replace("20230520", "20230605"))
    found = report(product, landsat=other)
    assert found["ms_pixels_compared"] == 0
    assert found["why_not_compared"].startswith(f"it was made from {ID}, and ")
    with pytest.raises(InputError, match="no such file or folder"):
        report(product, landsat=tmp_path / "nothing", overwrite=True)


@pytest.mark.parametrize(("down", "rows"), [(-15.0, slice(11, 31)), (1e9, slice(10, 30)), ("x", slice(10, 30))])
def test_pan_is_shown_where_it_was_moved_to(small: Path, product: Path, down: Any, rows: slice) -> None:
    moved = {"l8s2:pan_aligned_m": {"down": down, "right": 0.0}}
    change_item(product, lambda item: item["properties"].update(moved))
    with Finished(product) as finished, ExitStack() as stack, open_scene(small / "input" / ID) as scene:
        (found,) = find_input(finished, small / "input", stack).scenes
        assert found.pan is not None
        assert scene.pan is not None
        shown = found.pan.read(slice(10, 30), slice(10, 30))
        assert shown == pytest.approx(scene.pan.read(rows, slice(10, 30)), abs=1e-4)


def test_clouds_that_nobody_looked_for_are_told(small: Path, tmp_path: Path) -> None:
    """A verdict says nothing of clouds where the input has no QA_PIXEL."""
    input_ = make(tmp_path / "input", ms_grid(60, 70), qa_pixel=None)
    page = Parsed(Path(report(harmonized(tmp_path / "out", input_), landsat=input_)["report"]).read_text())
    assert "Clouds are not flagged, as the input had no QA_PIXEL" in page.words
    assert "pixels (clouds among them)" in page.words


def test_what_was_checked_is_told_with_its_limits(made: Path, numbers: dict[str, Any]) -> None:
    words = Parsed((made / "page.html").read_text()).words.replace("\u00a0", " ")
    for limit in (
        "warn below 10 %",
        "warn over 5 %, fail over 25 %",
        "warn over 3 m, fail over 7.5 m",
        "warn over 3 times",
    ):
        assert limit in words
    found = [band["consistency"]["rms"] for band in numbers["bands"].values()]
    assert f"{min(found):.4f} to {max(found):.4f}" in words
    assert "Clouds are not flagged" not in words


def test_products_without_sigma(small: Path, tmp_path: Path) -> None:
    found = report(harmonized(tmp_path, small / "input" / ID, sigma=None))
    page = Parsed(Path(found["report"]).read_text())
    assert found["sigma"] == "none"
    assert "no standard errors" in page.words
    assert "--no-sigma" in page.words


def test_sigma_of_detail_alone_has_the_level_added(small: Path, product: Path, tmp_path: Path) -> None:
    found, numbers = report(harmonized(tmp_path, small / "input" / ID, sigma="detail")), report(product)
    assert found["sigma"] == "detail"
    for name in BAND_NAMES:
        for part in ("total", "detail", "level"):
            ours, same = found["bands"][name]["sigma"][part], numbers["bands"][name]["sigma"][part]
            assert ours["median"] == pytest.approx(same["median"], abs=1e-4)


def test_a_page_is_replaced_only_if_asked(product: Path, tmp_path: Path) -> None:
    page = tmp_path / "mine.html"
    page.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        report(product, page)
    assert page.read_text() == "mine"
    report(product, page, overwrite=True)
    assert page.read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.html", "out"]


def test_the_index_links_to_every_report_and_tells_what_is_damaged(product: Path) -> None:
    hostile = product.with_name("<b>x&y #?_S2L")
    shutil.copytree(product, hostile)
    (hostile / f"{ID}.json").rename(hostile / "<b>x&y #?.json")
    broken = Path(shutil.copytree(product, product.with_name("broken_S2L")))
    for file in broken.iterdir():
        file.unlink()
    done = CliRunner().invoke(main, ["report", str(product.parent), "--json"])
    assert done.exit_code == 1
    assert "1 of 3 products cannot be read" in done.stderr
    found = json.loads(done.stdout)
    page = Parsed(Path(found["index"]).read_text())
    links = [unquote(one["href"] or "") for one in page.all("a")]
    assert sorted(links) == sorted(f"./{name}.html" for name in (NAME, hostile.name))
    assert all((product.parent / link).is_file() for link in links)
    assert "broken_S2L" in page.words
    assert "3 products: 2 pass" in page.words


def test_the_command_line_prints_where_the_page_is(product: Path) -> None:
    done = CliRunner().invoke(main, ["report", str(product)])
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{product}.html\n"
    nothing = product.parent / "nothing"
    for wrong, says in ((nothing, "no such file or folder"), (Path(f"{product}.html"), "give the .json of a")):
        assert says in CliRunner().invoke(main, ["report", str(wrong)]).stderr


def test_every_reason_has_its_advice() -> None:
    measures = SceneMeasures(
        pan_shift={"length_m": 9.0, "correlation": 0.85},
        sharpness={"verdict": "doubtful", "blur_m": 30.0},
        noise={"bands": {"red": {"snr": 10.0, "documented_snr": 100.0}}},
    )
    reasons = assess(Count(known=1000, clear=10, untrusted=9), measures.doubts()).reasons
    assert len(reasons) == 6
    assert len({advice_on(reason) for reason in reasons}) == 6
    assert advice_on("something new") not in {advice_on(reason) for reason in reasons}


@pytest.mark.parametrize(
    ("shape", "data", "read", "in_all"),
    [
        ((22950, 22950), np.s_[:, :], 36, 2025),
        ((22950, 22950), np.s_[30:33, 7:9], 6, 6),
        ((22950, 22950), np.s_[40:, 20], 5, 5),
        ((531, 522), np.s_[:, :], 4, 4),
        ((100, 5000), np.s_[:, :], 6, 10),
        ((1, 1), np.s_[:, :], 1, 1),
        ((1, 1), np.s_[1:, :], 0, 0),
    ],
)
def test_few_blocks_are_read_and_those_with_data(shape: tuple[int, int], data: Any, read: int, in_all: int) -> None:
    class Faked:
        def __init__(self) -> None:
            self.shape = shape

        def reduced(self, _key: str, _bands: list[int], blocks: tuple[int, int]) -> NDArray[np.int16]:
            assert blocks == tuple(-(-n // 512) for n in shape)
            samples = np.full((1, *blocks), NODATA, np.int16)
            samples[0][data] = 1
            return samples

    count, places = sample._places(Faked())  # type: ignore[arg-type]
    assert count == in_all
    assert len(places) == len({(place.rows.start, place.columns.start) for place in places}) == read
    assert all(0 <= part.start < part.stop <= n for place in places for part, n in zip(place, shape, strict=True))


def test_where_nothing_is_clear_there_is_a_page_all_the_same(small: Path, tmp_path: Path) -> None:
    box = ms_grid(60, 70)
    input_ = make(tmp_path / "input", box, qa_pixel=np.full(box.shape, 22280, np.uint16))
    found = report(harmonized(tmp_path / "out", input_), landsat=input_)
    page = Parsed(Path(found["report"]).read_text())
    assert "only 0.0 % of the scene is clear" in page.words
    assert "No clear ground was found for a detail" in page.words
    assert found["bands"]["red"]["output"] is None


def test_a_model_without_uncertainty(product: Path) -> None:
    change_item(product, lambda item: item["properties"].update({"l8s2:sigma": {"kind": "none"}}))
    found = report(product)
    assert found["sigma"] == "none"
    assert not any(found["bands"]["red"]["sigma"].values())


def test_a_product_of_few_pixels(small: Path, tmp_path: Path) -> None:
    """Less than a detail, and than a block of the preview."""
    bbox = (14.2900, 51.0880, 14.2902, 51.0882)
    found = report(harmonized(tmp_path, small / "input" / ID, bbox=bbox), landsat=small / "input")
    assert found["pixels"] < 100
    Parsed(Path(found["report"]).read_text())


def luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(2 * digit for digit in colour)
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_contrast_is_enough_in_light_and_dark() -> None:
    """WCAG 2.1, 1.4.3: 4.5 to 1 for text."""
    found = re.findall(r"--(\w+): #([0-9a-f]+)", style())
    assert len(found) == 18
    for scheme in (dict(found[:9]), dict(found[9:])):
        ground = luminance(scheme["ground"])
        for name in ("text", "quiet", "accent", "pass", "warn", "fail"):
            bright, dark = sorted((luminance(scheme[name]), ground), reverse=True)
            assert (bright + 0.05) / (dark + 0.05) >= 4.5, name


def test_noise_is_no_larger_than_three_megabytes() -> None:
    """Nothing compresses worse."""
    random = np.random.default_rng(SEED)
    whole = len(data_uri(random.integers(0, 256, (LONGEST, LONGEST, 3), np.uint8)))
    close = len(data_uri(random.integers(0, 256, (sample.DETAIL, sample.DETAIL, 3), np.uint8), lossless=True))
    assert 5 * whole + 5 * close < 2_900_000


def test_a_real_scene(data: Path, tmp_path: Path) -> None:
    name = "LC08_L2SP_143054_20230213_20230218_02_T1"
    product = harmonize_product(data / "scenes" / name, tmp_path)
    found = report(product, landsat=data / "scenes")
    assert found["verdict"] == "pass"
    assert 0 < max(band["consistency"]["rms"] for band in found["bands"].values()) < 0.004
    assert max(abs(band["consistency"]["bias"]) for band in found["bands"].values()) < 1e-4
    assert Path(found["report"]).stat().st_size < 1_500_000
