"""``l8s2 evaluate``: from imagery to scores, tables and a report."""

from __future__ import annotations

import csv
import json
import math
import re
import subprocess
import sys
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner, Result

from l8s2 import grid
from l8s2.cli import main
from l8s2.datasets.set_pairs import ShardPairs
from l8s2.evaluation import cases, metric_table, tables
from l8s2.evaluation.baselines import BASELINES, NEED_PAN, bicubic
from l8s2.evaluation.cases import Case, collect_images
from l8s2.evaluation.evaluate import Output, Record, common, mean_score, outputs
from l8s2.evaluation.image_scores import BORDER
from l8s2.evaluation.strata import strata_from_meta
from l8s2.metrics import no_reference, scores, similarity, uncertainty
from l8s2.metrics.scores import Score
from l8s2.patches.patch import Patch
from l8s2.patches.patch_set import PatchSet
from l8s2.sensors import BAND_NAMES
from l8s2.simulate.landscape import landscape
from making.pairs import write_ls2s2, write_oli2msi
from making.patches import box_at, made_facts
from making.scenes import ID, PAN_ID, make, ms_grid, part, rewrite

RESULTS = {"scores.json", "scores.csv", "report.html"}
PUBLISHED = {"published.json", "published_bands.json"}


class Stub:
    """Band-passed bicubic with a constant sigma."""

    name, sha256, uses_pan, no_pan_model = "stub", "ab" * 32, False, None

    def predict(self, ms: Any, pan: Any, *, sun_elevation: Any = None) -> tuple[Any, Any]:
        mean = BASELINES["band-pass + bicubic"](ms, pan)
        return mean, np.full_like(mean, 0.01)


class Other(Stub):
    name = "other <&>"


class Knowing(Stub):
    """Looks the truth up."""

    name = "knowing"

    def __init__(self, known: list[Case]) -> None:
        self.known = {case.ms.tobytes(): case.truth for case in known}

    def predict(self, ms: Any, pan: Any, *, sun_elevation: Any = None) -> tuple[Any, Any]:
        truth = self.known[ms.tobytes()]
        return truth.copy(), np.full_like(truth, 0.01)


def archive(path: Path, *, count: int = 2, meta: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Made-up images of 120 x 120 pixels."""
    truths = np.stack([landscape(seed, (40, 40)).truth for seed in range(count)])
    dn = np.rint(truths * 1e4).astype(np.int16)
    arrays = {"x10": dn[:, [0, 1, 2, 3]], "x20": dn[:, 3:], "meta": json.dumps({"level": "L2A"} | (meta or {}))}
    np.savez(path, **{key: value for key, value in (arrays | changes).items() if value is not None})
    return path


def dn(bands: int, side: int = 120, value: int = 1000) -> Any:
    return np.full((1, bands, side, side), value, np.int16)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("in") / "nowhere_L2A.npz", meta={"dates": "20230520,20231224"})


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ``load_model`` finds, by name."""
    found: dict[str, Any] = {"compact": Stub(), "compact-nopan": Other()}
    monkeypatch.setattr("l8s2.evaluation.run.load_model", lambda name, **_: found[name])
    return found


@pytest.fixture(scope="module")
def results(made: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The folder of a run with two stubs on two images, alone in its own, and what the run said."""
    folder = tmp_path_factory.mktemp("results") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "l8s2.evaluation.run.load_model", lambda name, **_: {"compact": Stub(), "compact-nopan": Other()}[name]
        )
        return folder, evaluate(made, "-o", folder)


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def gathered(*paths: Path, **how: Any) -> list[Case]:
    with ExitStack() as stack:
        return list(collect_images(paths, stack, warn=lambda line: None, **how).cases)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def one_line(done: Result) -> str:
    assert done.exit_code == 1, done.stderr
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith(("warning: ", "evaluating: "))]
    assert line.startswith("l8s2: ")
    return line


def test_a_run_writes_everything_and_says_a_short_table(results: tuple[Path, Result]) -> None:
    folder, done = results
    assert done.exit_code == 0, done.stderr
    assert {p.name for p in folder.iterdir()} == RESULTS | PUBLISHED
    assert [p.name for p in folder.parent.iterdir()] == ["out"]
    head, *lines = done.stdout.splitlines()
    assert head.split()[:3] == ["gain", "10", "m"]
    assert [re.split(r"\s{2,}", line)[0] for line in lines] == ["stub", "other <&>", *BASELINES]
    assert all(len(re.split(r"\s{2,}", line)) == 1 + len(tables.PAIR_COLUMNS) for line in lines)
    assert "2 images of 1 site;" in done.stderr


def test_json_on_stdout_is_the_mean_of_the_file(made: Path, stubs: dict[str, Any], tmp_path: Path) -> None:
    done = evaluate(made, "-o", tmp_path / "out", "--json", "--model", "compact")
    said, kept = json.loads(done.stdout), json.loads((tmp_path / "out" / "scores.json").read_text())
    assert said["scores"] == {model: found["mean"] for model, found in kept["scores"].items()}
    assert list(said["scores"]) == ["stub", *BASELINES]
    assert (said["images"], said["sites"], said["mode"]) == (2, 1, "simulated")
    assert said["models"] == {"stub": Stub.sha256}


def test_csv_json_and_direct_calls_agree(made: Path, results: tuple[Path, Result]) -> None:
    folder, _ = results
    kept = json.loads((folder / "scores.json").read_text())["scores"]
    rows = rows_of(folder)
    assert len(rows) == sum(len(b) for m in kept.values() for i in m["images"].values() for b in i.values())
    table = {(r["model"], r["image"], r["bands"], r["metric"]): r for r in rows}
    for (model, image, bands, metric), row in table.items():
        found = kept[model]["images"][image][bands][metric]
        assert (row["value"], int(row["n"])) == ("" if found["value"] is None else repr(found["value"]), found["n"])

    first, _ = gathered(made)
    assert first.truth is not None
    outs = dict(outputs(first, {"stub": Stub(), "other <&>": Other()}))
    usable = common(first, outs)

    def value(model: str, bands: str, metric: str) -> float:
        return float(table[model, "nowhere_L2A_000", bands, metric]["value"])

    for model in ("stub", "MTF-GLP"):
        mean = outs[model].mean
        for name, metric in metric_table.PER_BAND.items():
            each = [metric.score(mean[b], first.truth[b], usable[b]).value for b in range(6)]
            assert [value(model, band, name) for band in BAND_NAMES] == each
            assert math.isclose(value(model, "20 m", name), np.mean(each[3:]), rel_tol=1e-12)
        assert value(model, "10 m", "sam") == scores.sam(mean[:3], first.truth[:3], usable[:3]).value
        assert value(model, "all", "ergas") == scores.ergas(mean, first.truth, usable).value
        assert value(model, "all", "nbr_bias") == scores.index_scores(mean, first.truth, usable)["nbr"].bias.value
        gain = scores.psnr(mean[2], first.truth[2], usable[2]).value - value("bicubic", "red", "psnr")
        assert math.isclose(value(model, "red", "psnr_gain"), gain, abs_tol=1e-9)
    red = Stub().predict(first.ms, None)[0][2], np.full((120, 120), 0.01, np.float32), first.truth[2], usable[2]
    for name, level in metric_table.CALIBRATION.items():
        expected = uncertainty.coverage(*red, z=NormalDist().inv_cdf((1 + level) / 2)).value
        assert value("stub", "red", name) == expected
    assert len({value("stub", "red", name) for name in metric_table.CALIBRATION}) == len(metric_table.CALIBRATION)
    assert value("stub", "red", "crps") == uncertainty.crps(*red).value
    assert not any(key[0] in BASELINES and key[3] == "coverage" for key in table)


def test_all_methods_are_scored_on_the_same_pixels_and_no_border_counts(
    made: Path, stubs: dict[str, Any], tmp_path: Path
) -> None:
    class Patchy(Stub):
        name = "patchy"

        def predict(self, ms: Any, pan: Any, *, sun_elevation: Any = None) -> tuple[Any, Any]:
            mean, sigma = super().predict(ms, pan)
            mean[:, 60:70, 50:60] = np.nan
            return mean, sigma

    stubs["compact-nopan"] = Patchy()
    assert evaluate(made, "-o", tmp_path / "out").exit_code == 0
    inner = 120 - 2 * BORDER
    counts = {int(r["n"]) for r in rows_of(tmp_path / "out") if r["metric"] == "rmse" and r["bands"] in BAND_NAMES}
    assert counts == {inner**2 - 100}


def test_missing_pixels_and_bands_never_count(stubs: dict[str, Any], tmp_path: Path) -> None:
    x10, x20 = dn(4), dn(3, value=2000)
    x10[:, :, 59, 60] = x20[:, :, 59, 60] = -32768
    hole = archive(tmp_path / "hole.npz", count=1, x10=x10, x20=x20)
    blind = archive(tmp_path / "blind.npz", count=1, meta={"missing": ["B12"]})
    assert evaluate(hole, blind, "-o", tmp_path / "out").exit_code == 0
    case, other = gathered(hole, blind)
    assert not case.valid[:, 59 - BORDER : 60 + BORDER, 60 - BORDER : 61 + BORDER].any()
    assert not other.valid[5].any()
    rows = [r for r in rows_of(tmp_path / "out") if (r["model"], r["metric"]) == ("stub", "mae")]
    n = {(r["image"], r["bands"]): int(r["n"]) for r in rows}
    assert n["hole", "blue"] == case.valid[0].sum() > 0
    assert n["blind", "swir22"] == 0 < n["blind", "blue"] == other.valid[0].sum()
    assert n["blind", "20 m"] == n["blind", "nir08"] + n["blind", "swir16"]
    kept = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert kept["scores"]["stub"]["images"]["blind"]["swir22"]["mae"] == {"value": None, "n": 0}
    assert kept["images"]["hole"]["values"] == case.valid.sum()


def test_a_perfect_model_scores_perfectly(made: Path, stubs: dict[str, Any], tmp_path: Path) -> None:
    stubs["compact"] = Knowing(gathered(made))
    assert evaluate(made, "-o", tmp_path / "out", "--model", "compact").exit_code == 0
    kept = json.loads((tmp_path / "out" / "scores.json").read_text(), parse_constant=pytest.fail)
    for bands, found in kept["scores"]["knowing"]["mean"].items():
        for name, (ideal, _) in metric_table.MEANING.items():
            if name in found and name not in metric_table.OF_SIGMA:
                assert float(found[name]["value"]) == pytest.approx(ideal, abs=1e-6), (bands, name)
        assert found.get("coverage", {"value": 1})["value"] == 1
    published = json.loads((tmp_path / "out" / "published.json").read_text())
    assert {"NRMSE": 0, "PSNR": "inf", "SSIM": pytest.approx(1)} == published["nowhere_L2A_000"]


def test_disturbed_is_worse(made: Path, stubs: dict[str, Any], tmp_path: Path) -> None:
    clean, disturbed = (
        json.loads(evaluate(made, "-o", tmp_path / str(len(f)), "--json", *f).stdout) for f in ([], ["--disturbed"])
    )
    assert disturbed["disturbed"]
    assert not clean["disturbed"]
    a, b = (found["scores"]["stub"]["all"]["rmse"]["value"] for found in (clean, disturbed))
    assert b > 1.1 * a


def test_the_published_layout_is_what_scikit_image_says(made: Path, stubs: dict[str, Any], tmp_path: Path) -> None:
    skimage = pytest.importorskip("skimage.metrics")
    for folder, how, data_range in (("ours", [], 1), ("theirs", ["--as-published"], 2)):
        assert evaluate(made, "-o", tmp_path / folder, *how).exit_code == 0
        whole, bands = (json.loads((tmp_path / folder / name).read_text()) for name in sorted(PUBLISHED))
        assert list(whole) == list(bands) == ["nowhere_L2A_000", "nowhere_L2A_001"]
        for case in gathered(made):
            assert case.truth is not None
            inner = slice(None), slice(BORDER, -BORDER), slice(BORDER, -BORDER)
            truth, ours = case.truth[inner], Stub().predict(case.ms, None)[0][inner]
            found = whole[case.id]
            assert list(found) == ["NRMSE", "PSNR", "SSIM"]
            assert found["NRMSE"] == pytest.approx(skimage.normalized_root_mse(truth, ours), rel=1e-5)
            assert found["PSNR"] == pytest.approx(skimage.peak_signal_noise_ratio(truth, ours, data_range=1), rel=1e-6)
            assert found["SSIM"] == similarity.ssim(ours, truth, np.ones(truth.shape, bool)).value
            assert len(bands[case.id]) == 18
            assert bands[case.id]["NRMSE_B4"] == pytest.approx(skimage.normalized_root_mse(truth[2], ours[2]), rel=1e-5)
            expected = skimage.peak_signal_noise_ratio(truth[5], ours[5], data_range=data_range)
            assert bands[case.id]["PSNR_B7"] == pytest.approx(expected, rel=1e-6)


class Page(HTMLParser):
    """Collects text and addresses, and checks that tags close in the order they opened."""

    EMPTY = frozenset({"meta", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.addresses += [value for key, value in attrs if key in ("src", "href", "data", "action")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_report_stands_alone_and_holds_every_model(results: tuple[Path, Result]) -> None:
    folder, _ = results
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "http" not in text
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert len(page.addresses) == 4  # two models on two images
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    for word in ("stub", "other <&>", *BASELINES, *BAND_NAMES, "nowhere_L2A_000", *metric_table.PER_BAND, "March-May"):
        assert word in page.words, word
    assert page.tags.count("svg") == 1
    kept = json.loads((folder / "scores.json").read_text())["scores"]["stub"]
    gains = {image: found["all"]["psnr_gain"]["value"] for image, found in kept["images"].items()}
    shown = re.findall(r"<h3>(\S+): gain ([+-][\d.]+) dB", text)
    assert [name for name, _ in shown] == sorted(gains, key=gains.__getitem__)
    assert [float(gain) for _, gain in shown] == sorted(round(gain, 2) for gain in gains.values())


def test_means_are_over_bands_then_images_then_sites() -> None:
    def record(site: str, image: str, value: float) -> Record:
        return Record("m", site, image, "red", "mae", value, 10)

    records = [record("a", "1", 1.0), record("a", "2", 3.0), record("a", "3", math.nan), record("b", "4", 8.0)]
    assert tables.site_means(records)["a"]["m"]["red", "mae"] == Score(2.0, 20)
    assert tables.means(records)["m"]["red", "mae"] == Score(5.0, 30)
    assert mean_score([Score(math.inf, 2), Score(1.0, 3)]) == Score(math.inf, 5)
    assert math.isnan(mean_score([]).value)


@pytest.mark.parametrize(
    ("meta", "index", "count", "expected"),
    [
        ({"level": "L2A(ARCSI)", "dates": "2021-05-27"}, 0, 1, {"level": "L2A", "season": "March-May"}),
        ({"dates": "20170613,20171221"}, 1, 2, {"season": "December-February"}),
        ({"dates": ["2017-06-13", "2017-09-30"]}, 1, 2, {"season": "September-November"}),
        ({"dates": "2019-09, 2020-09"}, 7, 393, {"season": "September-November"}),
        ({"dates": "2016-12-12 12-22 2017-01-01 01-11"}, 0, 11, {}),
        ({"dates": "2016-03..2020-01 (21)"}, 0, 21, {}),
        ({"dates": "2025?", "level": "ARD"}, 0, 1, {}),
        ({"continent": "Africa", "cover": ["forest", "water"]}, 1, 2, {"continent": "Africa", "cover": "water"}),
        ({"cover": ["forest", "water"], "date": None}, 0, 3, {}),
    ],
)
def test_strata_from_meta(meta: dict[str, Any], index: int, count: int, expected: dict[str, str]) -> None:
    assert strata_from_meta(meta, index, count) == expected


def test_scores_by_stratum(results: tuple[Path, Result]) -> None:
    folder, _ = results
    found = json.loads((folder / "scores.json").read_text())["scores"]["stub"]
    assert list(found["strata"]) == ["level", "season"]
    assert found["strata"]["level"]["L2A"] == found["mean"]
    of_one, of_season = found["images"]["nowhere_L2A_000"], found["strata"]["season"]["March-May"]
    for bands, values in of_one.items():
        assert {k: v["value"] for k, v in values.items()} == {k: v["value"] for k, v in of_season[bands].items()}
    assert list(found["sites"]) == ["nowhere"]


def raster(path: Path, ms: Any, values: Any, *, move: tuple[float, float] = (0, 0), **profile: Any) -> Path:
    """Six bands on the 10 m grid of an MS grid, moved right and up by metres."""
    box = grid.output_geobox(ms)
    options = {
        "driver": "GTiff", "crs": str(box.crs), "transform": Affine.translation(*move) * box.affine,
        "count": values.shape[0], "height": values.shape[1], "width": values.shape[2], "dtype": values.dtype.name,
    }  # fmt: skip
    with rasterio.open(path, "w", **(options | profile)) as target:
        target.write(values)
    return path


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def sharp() -> Any:
    """Made-up Sentinel-2 reflectance on the grid of the product, x 10^4."""
    return np.random.default_rng(0).integers(500, 3000, (6, 72, 93)).astype(np.int16)


def test_a_real_pair_is_scored_where_both_see_the_ground(
    product: Path, sharp: Any, stubs: dict[str, Any], tmp_path: Path
) -> None:
    values = sharp.copy()
    values[:, 30:33] = -1
    path = raster(tmp_path / "s2.tif", ms_grid(), values, nodata=-1)
    cloudy = tmp_path / "scene"
    cloudy.mkdir()
    for name in (ID, PAN_ID):
        (cloudy / name).mkdir()
        for file in (product.parent / name).iterdir():
            (cloudy / name / file.name).write_bytes(file.read_bytes())

    def cover(qa: Any) -> Any:
        qa[:, 12, 15:18] = 21824 | 8
        return qa

    rewrite(part(cloudy / ID, "QA_PIXEL"), cover)
    done = evaluate(cloudy / ID, "--sentinel2", path, "-o", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["mode"] == "pair"
    usable = np.zeros((72, 93), bool)
    usable[BORDER:-BORDER, BORDER:-BORDER] = True
    usable[30:33] = usable[36:39, 45:54] = False
    red = {r["metric"]: r for r in rows_of(tmp_path / "out") if r["model"] == "bicubic" and r["bands"] == "red"}
    (case,) = gathered(product)
    expected = scores.rmse(bicubic(case.ms)[2], sharp[2] * np.float32(1e-4), usable)
    assert (float(red["rmse"]["value"]), int(red["rmse"]["n"])) == (pytest.approx(expected.value), usable.sum())


@pytest.mark.parametrize("encoding", ["integers", "scaled", "float", "southern name"])
def test_the_common_window_of_a_pair(
    product: Path, sharp: Any, stubs: dict[str, Any], tmp_path: Path, encoding: str
) -> None:
    cut, how = sharp[:, 4:70, 8:90], {}
    if encoding == "scaled":
        cut, how = cut * 2 + 1000, {"scales": 5e-5, "offsets": -0.05}
    elif encoding == "float":
        cut = (cut * 1e-4).astype(np.float32)
    move = (80.0, -40.0)
    if encoding == "southern name":
        move = (80.0, -40.0 + grid.FALSE_NORTHING)
    path = raster(tmp_path / "s2.tif", ms_grid(), cut, move=move, **({"crs": "EPSG:32733"} if move[1] > 0 else {}))
    if how:
        with rasterio.open(path, "r+") as target:
            target.scales, target.offsets = (how["scales"],) * 6, (how["offsets"],) * 6
    (case,) = gathered(product, sentinel2=path)
    expected = np.full((6, 72, 93), np.nan)
    expected[:, 4:70, 8:90] = sharp[:, 4:70, 8:90] * 1e-4
    whole = np.zeros((72, 93), bool)
    whole[BORDER:-BORDER, BORDER:-BORDER] = True
    assert case.truth is not None
    np.testing.assert_allclose(case.truth[:, whole], expected[:, whole], atol=1e-6)
    assert np.array_equal(case.valid, np.broadcast_to(whole, case.valid.shape))


def test_a_product_of_ours_brings_its_own_clouds(product: Path, sharp: Any, tmp_path: Path) -> None:
    qa = np.zeros((1, 72, 93), np.uint16)
    qa[:, 30:40, 30:40] = 8
    path = raster(tmp_path / "x_SR.tif", ms_grid(), sharp)
    raster(tmp_path / "x_QA.tif", ms_grid(), qa)
    (case,) = gathered(product, sentinel2=path)
    assert not case.valid[:, 30:40, 30:40].any()
    assert case.valid[:, 40, 30:40].all()


def test_a_large_scene_is_scored_in_pieces(
    product: Path, sharp: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = raster(tmp_path / "s2.tif", ms_grid(), sharp)
    (whole,) = gathered(product, sentinel2=path)
    monkeypatch.setattr(cases, "TILE", 14)
    pieces = gathered(product, sentinel2=path)
    assert len(pieces) == len({piece.id for piece in pieces}) == 6
    assert sum(piece.valid.sum() for piece in pieces) == whole.valid.sum()


def test_a_part_of_a_scene(product: Path, sharp: Any, stubs: dict[str, Any], tmp_path: Path) -> None:
    (whole,) = gathered(product)
    box = ms_grid()[8:14, 10:20].geographic_extent.boundingbox
    (part_of_it,) = gathered(product, bbox=(box.left, box.bottom, box.right, box.top))
    h, w = part_of_it.valid.shape
    assert 6 + 12 <= h < 24
    assert 10 + 12 <= w < 31
    place = np.flatnonzero((whole.ms[0] == part_of_it.ms[0, 0, 0]).ravel())[0]
    top, left = divmod(int(place), whole.ms.shape[2])
    assert np.array_equal(whole.ms[:, top : top + h, left : left + w], part_of_it.ms)
    truth = raster(tmp_path / "s2.tif", ms_grid(), sharp[:, :18], move=(0, 0))
    options = ["--sentinel2", truth, "-o", tmp_path / "out", "--bbox"]
    edges = [box.left, box.bottom, box.right, box.top]
    assert "does not touch s2.tif" in one_line(evaluate(product, *options, *edges))
    assert "does not touch the scene" in one_line(evaluate(product, "-o", tmp_path / "out", "--bbox", 1, 2, 3, 4))


@pytest.mark.parametrize("with_pan", [True, False])
def test_without_reference(stubs: dict[str, Any], tmp_path: Path, with_pan: bool) -> None:
    product = make(tmp_path / "in", with_pan=with_pan)
    done = evaluate(product, "-o", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["mode"] == "no-reference"
    assert list(said["scores"]) == ["stub", "other <&>", *(b for b in BASELINES if with_pan or b not in NEED_PAN)]
    assert {p.name for p in (tmp_path / "out").iterdir()} == RESULTS
    (case,) = gathered(product)
    mean = Stub().predict(case.ms, case.pan)[0]
    usable = common(case, {"stub": Output(mean, None)})
    each = no_reference.consistency(mean, case.ms, usable)
    rows = {(r["bands"], r["metric"]): r for r in rows_of(tmp_path / "out") if r["model"] == "stub"}
    assert [(float(rows[b, "consistency"]["value"]), int(rows[b, "consistency"]["n"])) for b in BAND_NAMES] == list(
        each
    )
    assert (("visible", "qnr") in rows) == with_pan
    if case.pan is not None:
        score = no_reference.pan_correlation(mean, case.pan, usable)
        assert float(rows["visible", "pan_correlation"]["value"]) == score.value
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert "stub" in page.words
    assert len(page.addresses) == 2


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of real pairs of three sites, one a side."""
    pytest.importorskip("h5py")
    folder = tmp_path_factory.mktemp("set")
    patches = PatchSet(folder)
    for number in range(3):
        rng = np.random.default_rng(number)
        box = box_at(187_001, 11_001 + 4000 * number, side=24)
        shapes = {"ms": (6, 24, 24), "pan": (48, 48), "s2_10m": (3, 72, 72), "s2_20m": (3, 36, 36)}
        pixels = {name: rng.integers(1000, 3000, shape).astype(np.uint16) for name, shape in shapes.items()}
        facts = {"location": f"place{number}", "path_row": f"19{number}025", "landsat_sun_elevation": 40.0 + number}
        facts |= dict.fromkeys(("ms_scale", "pan_scale", "s2_scale"), 1e-4)
        clear = {"landsat_usable": np.ones((24, 24), bool), "s2_usable": np.ones((72, 72), bool)}
        clear["landsat_usable"][12, 12] = clear["s2_usable"][30, 30] = False
        patches.add(f"u{number}", [Patch(**pixels, **clear, box=box, facts=made_facts(**facts))])
    patches.split({"Train": 1, "Validation": 1, "Test": 1})
    return folder


def test_a_set_of_real_pairs(pairs: Path, stubs: dict[str, Any], tmp_path: Path) -> None:
    done = evaluate(pairs, "-o", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["mode"], said["images"], said["sites"]) == ("pair", 1, 1)
    assert {p.name for p in (tmp_path / "out").iterdir()} == RESULTS | PUBLISHED
    sample = ShardPairs(pairs, "Test")[0]
    usable = np.zeros((72, 72), bool)
    usable[BORDER:-BORDER, BORDER:-BORDER] = True
    usable[36:39, 36:39] = usable[30, 30] = False  # what is hidden does not count, what lies beside it does
    rows = {(r["bands"], r["metric"]): r for r in rows_of(tmp_path / "out") if r["model"] == "bicubic"}
    expected = scores.rmse(bicubic(sample.ms)[2], sample.truth[2], usable)
    found = rows["red", "rmse"]
    assert (float(found["value"]), int(found["n"])) == (pytest.approx(expected.value), usable.sum())
    assert (found["site"], found["image"]) == (sample.site, sample.id)
    (case,) = gathered(pairs, side="Train")
    assert case.id == ShardPairs(pairs, "Train")[0].id
    assert case.strata == {"season": "March-May"}
    assert case.sun_elevation == ShardPairs(pairs, "Train")[0].sun_elevation


def test_sets_of_others_are_pairs_too(stubs: dict[str, Any], tmp_path: Path) -> None:
    write_oli2msi(tmp_path / "in", 1)
    (case,) = gathered(tmp_path / "in")
    assert case.valid[:3].any()
    assert not case.valid[3:].any()
    assert evaluate(tmp_path / "in", "-o", tmp_path / "out", "--side", "train").exit_code == 0
    write_ls2s2(tmp_path / "ls2s2" / "31TAB_7")
    assert {case.site for case in gathered(tmp_path / "ls2s2")} == {"31TAB_7"}
    assert "LS2S2 has no sides" in one_line(evaluate(tmp_path / "ls2s2", "-o", tmp_path / "x", "--side", "Test"))


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def cut_short(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-3000])
    return path


def text(path: Path) -> Path:
    path.write_text("no archive")
    return path


def twins(folder: Path) -> list[object]:
    (folder / "a").mkdir()
    return [archive(folder / "x.npz", count=1), archive(folder / "a" / "x.npz", count=1)]


BAD_ARCHIVES: dict[str, tuple[Any, str]] = {
    "no file": (lambda f: [f / "nothing"], "no such file or folder"),
    "empty folder": (lambda f: [f], "give the folder or archive"),
    "no archive": (lambda f: [text(f / "x.npz")], "x.npz: not an .npz archive"),
    "torn": (lambda f: [cut_short(archive(f / "x.npz"))], "x.npz: not an .npz archive"),
    "no x20": (lambda f: [archive(f / "x.npz", x20=None)], "x.npz: no x10 and x20"),
    "no meta": (lambda f: [saved(f / "x.npz", x=dn(6))], "x.npz: no meta"),
    "odd meta": (lambda f: [saved(f / "x.npz", x=dn(6), meta="[1]")], "x.npz: its meta is not a JSON object"),
    "broken meta": (lambda f: [saved(f / "x.npz", x=dn(6), meta="{")], "x.npz: cannot be read"),
    "two bands": (lambda f: [archive(f / "x.npz", x20=dn(2))], "x20 N x 3 x h x w"),
    "more of one": (lambda f: [archive(f / "x.npz", x20=dn(3))], "x.npz: cannot be read"),
    "reflectance": (lambda f: [archive(f / "x.npz", count=1, x10=dn(4) * 1e-4)], "it must hold int16"),
    "small": (lambda f: [archive(f / "x.npz", x10=dn(4, 40), x20=dn(3, 40), count=1)], "no image that could be scored"),
    "nodata": (lambda f: [archive(f / "x.npz", count=1, x10=dn(4, value=-32768))], "no image that could be scored"),
    "one name": (twins, "two archives have one name"),
    "truth": (lambda f: [archive(f / "x.npz"), "--sentinel2", f / "s2.tif"], "are for Landsat products"),
    "unknown model": (lambda f: [archive(f / "x.npz"), "--model", "no"], "model no"),
    "one model twice": (
        lambda f: [archive(f / "x.npz"), "--model", "compact", "--model", "compact"],
        "called stub too",
    ),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_bad_archives_are_one_line_and_leave_nothing(
    name: str, stubs: dict[str, Any], tmp_path: Path, monkeypatch: Any
) -> None:
    if name == "unknown model":
        monkeypatch.undo()
    (tmp_path / "in").mkdir()
    arguments, words = BAD_ARCHIVES[name]
    assert words in one_line(evaluate(*arguments(tmp_path / "in"), "-o", tmp_path / "out"))
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def coarse(box: Any) -> Affine:
    return grid.output_geobox(box).affine * Affine.scale(2)


BAD_PAIRS: dict[str, tuple[Any, str]] = {
    "no raster": (lambda f, s: text(f / "x.tif"), "cannot be opened as a raster"),
    "three bands": (lambda f, s: raster(f / "x.tif", ms_grid(), s[:3]), "x.tif: 3 bands; six are needed"),
    "off lattice": (lambda f, s: raster(f / "x.tif", ms_grid(), s, move=(5, 0)), "not on the scene's 10 m lattice"),
    "20 m": (lambda f, s: raster(f / "x.tif", ms_grid(), s, transform=coarse(ms_grid())), "10 m lattice"),
    "zone": (lambda f, s: raster(f / "x.tif", ms_grid(), s, crs="EPSG:32634"), "gdalwarp -t_srs EPSG:32633"),
    "elsewhere": (lambda f, s: raster(f / "x.tif", ms_grid(), s, move=(90_000, 0)), "does not touch"),
    "no position": (lambda f, s: raster(f / "x.tif", ms_grid(), s, crs=None), "no position on the ground"),
    "nodata": (lambda f, s: raster(f / "x.tif", ms_grid(), s * 0, nodata=0), "no usable pixel"),
}


@pytest.mark.parametrize("name", BAD_PAIRS)
def test_bad_pairs_are_one_line_and_leave_nothing(
    name: str, product: Path, sharp: Any, stubs: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    prepare, words = BAD_PAIRS[name]
    path = prepare(tmp_path / "in", sharp)
    assert words in one_line(evaluate(product, "--sentinel2", path, "-o", tmp_path / "out"))
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_options_that_do_not_go_together(
    made: Path, product: Path, pairs: Path, stubs: dict[str, Any], tmp_path: Path
) -> None:
    for arguments, words in (
        ([made, product], "one after the other"),
        ([product, "--disturbed"], "belongs to simulated pairs"),
        ([product, product, "--sentinel2", made], "belong to one Landsat product"),
        ([made, "--pan", product], "are for Landsat products"),
        ([made, "--side", "Test"], "belongs to a set of real pairs"),
        ([pairs, made], "one after the other"),
        ([pairs, "--disturbed"], "not for a set of real pairs"),
        ([pairs, "--side", "Best"], "no patches on side Best; it has patches on Test, Train, Validation"),
    ):
        assert words in one_line(evaluate(*arguments, "-o", tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_read_without_what_has_another_form(stubs: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    archive(folder / "a.npz", count=1)
    saved(folder / "b.npz", y=dn(6), meta="{}")
    done = evaluate(folder, "-o", tmp_path / "out")
    assert done.exit_code == 0
    assert [line for line in done.stderr.splitlines() if line.startswith("warning: b.npz: no x10")]
    kept = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert list(kept["images"]) == ["a"]
    assert len(kept["warnings"]) == 1


INTERRUPTED = RuntimeError("a library that was interrupted on its way out")
INTERRUPTED.__context__ = ValueError()
INTERRUPTED.__context__.__context__ = KeyboardInterrupt()


@pytest.mark.parametrize(
    ("error", "code"), [(RuntimeError("broken"), 1), (KeyboardInterrupt(), 130), (INTERRUPTED, 130)]
)
def test_a_run_that_stops_leaves_nothing_and_the_old_results(
    made: Path, stubs: dict[str, Any], tmp_path: Path, error: BaseException, code: int
) -> None:
    out = tmp_path / "new" / "out"
    assert evaluate(made, "-o", tmp_path / "old").exit_code == 0
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "old").iterdir()}

    class Failing(Stub):
        asked = 0

        def predict(self, ms: Any, pan: Any, *, sun_elevation: Any = None) -> tuple[Any, Any]:
            self.asked += 1
            if self.asked == 2:
                raise error
            return super().predict(ms, pan)

    for arguments in (("-o", out), ("-o", tmp_path / "old", "--overwrite")):
        stubs["compact"] = Failing()
        assert evaluate(made, *arguments).exit_code == code
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "old").iterdir()} == before


def test_a_disk_that_takes_nothing(
    made: Path, stubs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evaluate(made, "-o", tmp_path / "old").exit_code == 0
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "old").iterdir()}

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    for arguments in (("-o", tmp_path / "new" / "out"), ("-o", tmp_path / "old", "--overwrite")):
        assert "No space left" in one_line(evaluate(made, *arguments))
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "old").iterdir()} == before


def test_only_old_results_are_ever_replaced(made: Path, stubs: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious").write_text("mine")
    assert "--overwrite" in one_line(evaluate(made, "-o", out))
    assert "holds no scores.json" in one_line(evaluate(made, "-o", out, "--overwrite"))
    assert "is not a folder" in one_line(evaluate(made, "-o", out / "precious"))
    assert "is a file" in one_line(evaluate(made, "-o", out / "precious" / "below"))
    assert (out / "precious").read_text() == "mine"
    (out / "precious").rename(out / "scores.json")
    assert evaluate(made, "-o", out, "--overwrite").exit_code == 0
    assert {p.name for p in out.iterdir()} == RESULTS | PUBLISHED
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_nothing_heavy_is_loaded_before_it_is_needed() -> None:
    for code, heavy in (
        (
            "from l8s2.cli import main; main(['evaluate', '--help'], standalone_mode=False)",
            "numpy rasterio openvino torch",
        ),
        ("import l8s2.evaluation.run", "torch openvino scipy"),
    ):
        check = f"import sys; {code}; found = set('{heavy}'.split()) & set(sys.modules); assert not found, found"
        subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, timeout=60)


def test_the_embedded_models_on_a_place_they_never_saw(data: Path, tmp_path: Path) -> None:
    path = data / "patches" / "bigearthnet6_L2A.npz"
    if not path.exists():
        pytest.skip("no bigearthnet6_L2A.npz among the patches")
    done = evaluate(path, "-o", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.stderr
    scores = json.loads(done.stdout)["scores"]
    gain = {model: [found[g]["psnr_gain"]["value"] for g in ("10 m", "20 m")] for model, found in scores.items()}
    assert gain["compact"][0] > 8
    assert gain["compact"][1] > 5
    for name in BASELINES:
        assert gain["compact"][0] > gain[name][0]
        assert gain["compact"][1] > gain[name][1]
    assert 0.8 < scores["compact"]["all"]["coverage"]["value"] < 0.97
    kept = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert list(kept["scores"]["compact"]["strata"]["season"]) == [
        "December-February",
        "June-August",
        "September-November",
    ]


def test_the_page_of_documentation_names_every_score() -> None:
    page = (Path(__file__).parents[2] / "docs" / "evaluate.md").read_text(encoding="utf-8")
    for name, (_, meaning) in metric_table.MEANING.items():
        assert f"| `{name}` |" in page
        assert f"| {meaning} |" in page
