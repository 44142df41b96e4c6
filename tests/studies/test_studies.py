"""Studies on constructed cases with known answers, and on real imagery."""

from __future__ import annotations

import csv
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

pytest.importorskip("zarr", reason="needs the extra cube")
pytest.importorskip("sklearn", reason="needs the extra studies")

from l8s2.cli import main
from l8s2.cube.build import build_cube
from l8s2.cube.inputs import find_sources
from l8s2.errors import InputError
from l8s2.masks import flag
from l8s2.studies.bootstrap import Estimate, blocks, estimates
from l8s2.studies.chart import Panel, chart
from l8s2.studies.cloudfree import study_cloudfree
from l8s2.studies.crops import study_crops
from l8s2.studies.generalisation import study_generalisation
from l8s2.studies.ndvi import study_ndvi
from l8s2.target import WHOLE
from making.cubes import BOX, SHAPE, landsat, sentinel2

START = datetime(2023, 4, 3, 10, 2, 3, tzinfo=UTC)


def cube_of(folder: Path, made: list[Path]) -> Path:
    build_cube(find_sources(made), folder / "c.zarr", WHOLE, to_nadir=False, mask=False)
    return folder / "c.zarr"


def run(*args: object) -> Any:
    return CliRunner().invoke(main, ["study", *map(str, args)])


def test_intervals_hold_what_they_promise() -> None:
    """95 % intervals of a mean over sites hold the true mean in about 95 % of repeated samples."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        values = rng.normal(3.0, 2.0, 40)
        found = estimates(np.stack([np.ones(40), values], 1), lambda s: {"mean": s[:, 1] / s[:, 0]})["mean"]
        assert found.value == pytest.approx(values.mean())
        held += found.low <= 3.0 <= found.high
    assert 178 <= held <= 199


def test_a_difference_of_two_keeps_what_they_share() -> None:
    rng = np.random.default_rng(2)
    a = rng.normal(0, 5, 30)
    totals = np.stack([np.ones(30), a, a + 0.1], 1)
    found = estimates(totals, lambda s: {"difference": (s[:, 2] - s[:, 1]) / s[:, 0]})["difference"]
    assert found == pytest.approx(Estimate(0.1, 0.1, 0.1))


def test_few_units_have_no_interval() -> None:
    found = estimates(np.ones((4, 1)), lambda s: {"n": s[:, 0]})["n"]
    assert found.value == 4
    assert np.isnan([found.low, found.high]).all()


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 30), st.integers(-99, 99), st.integers(-99, 99))
@settings(max_examples=50)
def test_blocks_are_squares_of_the_ground(height: int, width: int, side: int, top: int, left: int) -> None:
    found, places = blocks((height, width), side, (top, left))
    for number in np.unique(found):
        rows, columns = np.nonzero(found == number)
        assert (np.ptp(rows) + 1) * (np.ptp(columns) + 1) == len(rows)
        assert {(top + int(r)) // side for r in rows} == {places[number][0]}
        assert {(left + int(c)) // side for c in columns} == {places[number][1]}


def test_charts_are_well_formed_whatever_the_names() -> None:
    groups = {"<b>&": {"a": Estimate(1, 0.5, 2), "b": Estimate(float("nan"), float("nan"), float("nan"))}}
    root = ElementTree.fromstring(chart([Panel("t<", groups), Panel("empty", {})], title="<script>"))
    assert "<b>&" in [element.text for element in root.iter() if element.tag.endswith("text")]


# NDVI


def pairs_like(path: Path, gain: float, offset: float = 0.0, seed: int = 0) -> Path:
    """An archive of one pair whose Landsat NDVI is known: both sensors see flat fields of 300 m."""
    rng = np.random.default_rng(seed)
    side = 40
    fields = rng.uniform(0.03, 0.12, (4, 4)), rng.uniform(0.2, 0.45, (4, 4))
    red, nir = (np.kron(f, np.ones((10, 10))) for f in fields)
    ms = np.stack([red, red, red, nir, nir, nir])
    ms[3] = ms[3] * gain + offset
    fine = [np.kron(x, np.ones((3, 3))) for x in (red, nir)]
    coarse = np.kron(nir, np.ones((3, 3))).reshape(side * 3 // 2, 2, side * 3 // 2, 2).mean((1, 3))
    x, y = 501390, 5629650
    meta = {
        "ms_centre_00": [x, y], "x10_edge": [x - 10, y + 10], "x20_edge": [x - 10, y + 10],
        "dates": [["2018-07-01 10:39", "2018-06-30 10:54"]],
    }  # fmt: skip

    def whole(values: Any) -> Any:
        return np.rint(1e4 * np.asarray(values)).astype(np.int16)[None]

    np.savez(
        path, ms=whole(ms), x10=whole([fine[0]] * 3 + [fine[1]]), x20=whole([coarse] * 3), meta=json.dumps(meta),
        l8_qa=np.full((1, side, side), 21824, np.uint16), scl=np.full((1, *coarse.shape), 4, np.uint8),
    )  # fmt: skip
    return path


def test_ndvi_of_equal_sensors_agrees_and_of_unequal_ones_differs_by_what_was_planted(tmp_path: Path) -> None:
    same = study_ndvi([pairs_like(tmp_path / "a.npz", 1.0)], models=["compact-nopan"])
    table = {(row["statistic"], row["method"]): row["value"] for row in same.rows}
    assert table["correlation", "raw"] > 0.97
    assert abs(table["bias", "raw"]) < 0.01
    brighter = study_ndvi([pairs_like(tmp_path / "b.npz", 1.3)], models=["compact-nopan"])
    biased = {(row["statistic"], row["method"]): row for row in brighter.rows}
    assert 0.04 < biased["bias", "raw"]["low"] < biased["bias", "raw"]["value"] < 0.1
    assert same.facts["pairs"] == 1
    assert same.facts["blocks"] >= 25
    assert same.facts["pixels"] > 10_000


def test_the_model_that_answers_without_pan_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    study = study_ndvi([pairs_like(tmp_path / "a.npz", 1.0)], models=["compact"], warn=said.append)
    assert "no image has pan, so compact-nopan answers for compact" in said
    assert "1 pair of 1 site." in study.paragraph


def test_ndvi_statistics_are_those_of_scipy(tmp_path: Path) -> None:
    from l8s2.studies.ndvi import _statistics

    rng = np.random.default_rng(3)
    x = rng.normal(0.4, 0.2, 500)
    y = 0.8 * x + rng.normal(0.1, 0.05, 500)
    sums = np.array([[500, x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()]])
    found = _statistics(sums, ["raw"])
    assert found["correlation raw"][0] == pytest.approx(stats.pearsonr(x, y).statistic)
    assert found["rmse raw"][0] == pytest.approx(np.sqrt(((x - y) ** 2).mean()))
    assert found["bias raw"][0] == pytest.approx((y - x).mean())


def test_ndvi_on_real_pairs(tmp_path: Path) -> None:
    data = os.environ.get("L8S2_TEST_DATA")
    if not data or not Path(data, "pairs").is_dir():
        pytest.skip("L8S2_TEST_DATA does not name a folder with pairs/")
    done = run("ndvi", Path(data) / "pairs", "-o", tmp_path / "n", "--model", "compact-nopan", "--json")
    assert done.exit_code == 0, done.stderr
    assert "no image has pan" not in done.stderr
    told = json.loads(done.stdout)
    assert told["pairs"] == 2
    ratio = next(r for r in told["table"] if r["statistic"] == "rmse over raw's" and r["method"] == "compact-nopan")
    assert ratio["value"] < 1
    assert {path.name for path in (tmp_path / "n").iterdir()} == {"study.json", "study.md", "table.csv", "figure.svg"}
    assert run("ndvi", Path(data) / "pairs", "-o", tmp_path / "n").exit_code == 1  # not replaced unasked


# clear observations


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentinel-2 every 10 days, Landsat every 16, left half always cloudy for Sentinel-2, one common day."""
    folder = tmp_path_factory.mktemp("season")
    half = np.full(tuple(n // 2 for n in SHAPE), 4, np.uint8)
    half[:, : half.shape[1] // 2] = 9
    made = [sentinel2(folder / f"s{day}", START + timedelta(days=day), scl=half) for day in (0, 10, 20, 30)]
    made += [landsat(folder / f"l{day}", START + timedelta(days=day)) for day in (16, 20, 32)]
    return cube_of(folder, made)


def test_clear_days_are_counted_once_a_day(season: Path) -> None:
    study = study_cloudfree(season)
    import zarr

    group = zarr.open_group(season, mode="r")
    seen, sensor = (group["qa"][...] & 0b10011111) == 0, group["sensor"][...]
    day = [(START + timedelta(days=d)).date() for d in (0, 10, 16, 20, 20, 30, 32)]
    assert list(group["time"][...]) == sorted(group["time"][...])
    once = np.stack([seen[[i for i, d in enumerate(day) if d == one]].any(0) for one in sorted(set(day))]).sum(0)
    everything = study.rows[-1]
    assert everything["month"] == "all"
    assert everything["Sentinel-2, clear days"] == pytest.approx(seen[sensor == "msi"].sum(0).mean(), abs=1e-3)
    assert 1 < everything["Sentinel-2, clear days"] < 2  # four on less than half of the ground: clouds are dilated
    assert everything["Landsat, clear days"] == pytest.approx(3.0)
    assert everything["together, clear days"] == pytest.approx(once.mean(), abs=1e-3)
    assert once.max() == 6  # day 20 counts once
    months = {row["month"]: row for row in study.rows}
    assert set(months) == {"2023-04", "2023-05", "all"}
    assert months["2023-05"]["Landsat, clear days"] == pytest.approx(1.0)
    assert study.facts["observations"] == {"Sentinel-2": 4, "Landsat": 3, "together": 7}
    gap = study.facts["longest_gap_days"]
    assert gap["Landsat"] == pytest.approx(17)  # from the day before the first one to day 16
    share = seen[sensor == "msi"].any(0).mean()
    assert gap["Sentinel-2"] == pytest.approx(10 * share + 34 * (1 - share), abs=0.1)
    assert gap["together"] < gap["Sentinel-2"]


def test_a_cube_of_one_sensor_is_refused(tmp_path: Path) -> None:
    cube = cube_of(tmp_path, [landsat(tmp_path / "l", START)])
    with pytest.raises(InputError, match=r"holds no observation of Sentinel-2; append some"):
        study_cloudfree(cube)
    done = run("cloudfree", tmp_path, "-o", tmp_path / "x")
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)


# crops


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small forest: the tests are about the split, and a tree more or less is not."""
    from sklearn.ensemble import RandomForestClassifier

    small = RandomForestClassifier(n_estimators=15, min_samples_leaf=3, random_state=0, n_jobs=1)
    monkeypatch.setattr("l8s2.studies.crops._forest", lambda seed: small)


def fields_file(path: Path, crops: np.ndarray, step: int = 4) -> Path:
    """Squares of ``step`` pixels in the cube's grid, each with its crop."""
    features = []
    for row in range(crops.shape[0]):
        for column in range(crops.shape[1]):
            square = BOX[row * step : (row + 1) * step, column * step : (column + 1) * step].extent.to_crs("EPSG:4326")
            features.append(
                {"type": "Feature", "id": f"{row}-{column}", "geometry": square.json,
                 "properties": {"crop": str(crops[row, column])}}
            )  # fmt: skip
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two crops that differ only in a month which Sentinel-2 never sees clear."""
    folder = tmp_path_factory.mktemp("farm")
    rng = np.random.default_rng(5)
    n = SHAPE[0] // 4
    crops = np.where(np.arange(n * n).reshape(n, n) * 7 % 5 % 2 == 0, "maize", "wheat")
    wheat = np.kron(crops == "wheat", np.ones((4, 4), bool))
    wheat = np.pad(wheat, [(0, SHAPE[0] - wheat.shape[0]), (0, SHAPE[1] - wheat.shape[1])])

    def image(differ: bool) -> np.ndarray:
        base = np.stack([np.full(SHAPE, v) for v in (0.04, 0.06, 0.05, 0.3, 0.2, 0.12)])
        base[3] += 0.2 * (wheat & differ)
        return (base + rng.normal(0, 0.01, base.shape)).astype(np.float32)

    made = []
    for month, differ in enumerate((False, True, False)):
        when = START + timedelta(days=31 * month)
        cloud = np.full(tuple(k // 2 for k in SHAPE), 9 if differ else 4, np.uint8)
        made.append(sentinel2(folder / f"s{month}", when, mean=image(differ), scl=cloud))
        made.append(landsat(folder / f"l{month}", when + timedelta(days=3), mean=image(differ)))
    return cube_of(folder, made), fields_file(folder / "f.geojson", crops)


def test_landsat_helps_where_it_alone_saw_the_difference(farm: tuple[Path, Path]) -> None:
    study = study_crops(*farm, "crop")
    table = {(row["features"], row["crop"], row["score"]): row for row in study.rows}
    assert table["with Landsat", "mean", "F1"]["value"] > 0.97
    assert table["Sentinel-2", "mean", "F1"]["value"] < 0.75
    assert table["difference", "mean", "F1"]["low"] > 0.2
    assert "better with Landsat" in study.paragraph
    for key in ("Sentinel-2", "with Landsat"):  # IoU = F1 / (2 - F1), by crop
        f1 = table[key, "wheat", "F1"]["value"]
        assert table[key, "wheat", "IoU"]["value"] == pytest.approx(f1 / (2 - f1), abs=1e-5)


def test_crop_scores_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import f1_score, jaccard_score

    from l8s2.studies.crops import _confusion, _statistics

    rng = np.random.default_rng(4)
    field = np.sort(rng.integers(0, 12, 300))
    truth = (field % 3).astype(np.intp)
    answer = np.where(rng.random(300) < 0.6, truth, rng.integers(0, 3, 300)).astype(np.intp)
    sums = _confusion(field, truth, answer, 12, 3).sum(0, keepdims=True)
    found = _statistics(np.concatenate([sums, sums], axis=1), ["x", "y"], ["a", "b", "c"])
    weight = 1 / np.bincount(field)[field]
    for score, oracle in (("F1", f1_score), ("IoU", jaccard_score)):
        by_crop = oracle(truth, answer, average=None, sample_weight=weight)
        assert [found[f"{score} {name} x"][0] for name in "abc"] == pytest.approx(list(by_crop))
        assert found[f"{score} mean y"][0] == pytest.approx(by_crop.mean())
        assert found[f"{score} mean difference"][0] == 0


def test_what_cannot_be_told_is_not_claimed(farm: tuple[Path, Path], tmp_path: Path) -> None:
    """Labels that have nothing to do with the ground: no better than chance, since no field is on both sides."""
    n = SHAPE[0] // 4
    labels = np.random.default_rng(9).permutation(np.repeat(["a", "b"], [n * n // 2, n * n - n * n // 2])).reshape(n, n)
    study = study_crops(farm[0], fields_file(tmp_path / "r.geojson", labels), "crop")
    table = {(row["features"], row["crop"], row["score"]): row for row in study.rows}
    assert table["with Landsat", "mean", "F1"]["value"] < 0.65


def test_crops_refuse_what_cannot_be_split(farm: tuple[Path, Path], tmp_path: Path) -> None:
    n = SHAPE[0] // 4
    one = fields_file(tmp_path / "one.geojson", np.full((n, n), "rice"))
    far = tmp_path / "far.geojson"
    square = {"type": "Polygon", "coordinates": [[[9, 9], [9.1, 9], [9.1, 9.1], [9, 9.1], [9, 9]]]}
    far.write_text(json.dumps({"type": "Feature", "geometry": square, "properties": {"crop": "rice"}}))
    rare = np.full((n, n), "rice")
    rare[0, :3] = "rye"
    for path, label, expected in (
        (one, "crop", "1 crops"), (fields_file(tmp_path / "rare.geojson", rare), "crop", "3 fields of rye"),
        (one, "kind", "has no 'kind'"),
        (far, "crop", "no field in it has a pixel of the cube"),
    ):  # fmt: skip
        done = run("crops", farm[0], "--fields", path, "--label", label, "-o", tmp_path / "x")
        assert done.exit_code == 1
        assert expected in done.stderr
        assert not (tmp_path / "x").exists()


# generalisation


def scores_file(path: Path, values: dict[str, list[float]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "site", "image", "bands", "metric", "value", "n"])
        for site, images in values.items():
            for number, value in enumerate(images):
                writer.writerow(["compact", site, f"{site}-{number}", "all", "psnr_gain", value, 100])
        writer.writerow(["compact", "A", "A-x", "all", "psnr_gain", "", 0])
    return path


def test_sites_count_once_in_their_groups(tmp_path: Path) -> None:
    scores = scores_file(
        tmp_path / "s.csv", {"A": [1, 3, 5], "B": [7], "C": [2], "D": [9], "E": [2], "F": [4], "G": [6]}
    )
    places = tmp_path / "p.csv"
    africa = "".join(f"{site},Africa\n" for site in "ABCEF")
    places.write_text(f"site,continent\n{africa}D,Asia\n", encoding="utf-8-sig")
    study = study_generalisation([scores], places, ["continent"], metric="psnr_gain")
    groups = {row["group"]: row for row in study.rows}
    assert groups["Africa"]["value"] == pytest.approx((3 + 7 + 2 + 2 + 4) / 5)
    assert groups["Africa"]["low"] < groups["Africa"]["value"] < groups["Africa"]["high"]
    assert (groups["Asia"]["value"], groups["Asia"]["low"], groups["Asia"]["sites"]) == (9, None, 1)
    assert study.facts["sites_without_place"] == ["G"]
    done = run("generalisation", scores, "--places", places, "--by", "continent", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert "| continent | Africa |" in done.stdout


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("no column", "no column 'age'"),
        ("twice", "occurs twice"),
        ("no scores", "no scores of l8s2"),
        ("other metric", "not in the scores"),
        ("other sites", "none of the sites"),
    ],
)
def test_files_that_do_not_fit_are_refused(broken: str, expected: str, tmp_path: Path) -> None:
    scores = scores_file(tmp_path / "s.csv", {"Z" if broken == "other sites" else "A": [1.0]})
    if broken == "no scores":
        scores.write_text("a,b\n1,2\n")
    places = tmp_path / "p.csv"
    places.write_text("site,biome\nA,x\n" + ("A,y\n" if broken == "twice" else ""))
    by, metric = ("age" if broken == "no column" else "biome"), ("gain" if broken == "other metric" else "psnr_gain")
    with pytest.raises(InputError, match=expected):
        study_generalisation([scores], places, [by], metric=metric)


def test_flags_of_fill_are_not_clear() -> None:
    from l8s2.cube.observation import clear

    assert not clear(np.array([[flag("fill"), flag("cloud")]], np.uint16)).any()
