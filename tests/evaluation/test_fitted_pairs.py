"""``l8s2 evaluate --pair``: real pairs as a judge, on pairs whose figures are known."""

import csv
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from l8s2.cli import main
from l8s2.datasets.image_pair import on_lattice
from l8s2.datasets.pair_archive import PairArchive
from l8s2.evaluation.baselines import band_pass_bicubic
from l8s2.evaluation.cases import Case
from l8s2.evaluation.evaluate import Record, Scored
from l8s2.evaluation.fitted_pairs import BORDER, collect_pairs
from l8s2.evaluation.pair_scores import registered
from l8s2.evaluation.pair_table import MOST_SHOWN, pair_table
from l8s2.predictors.load import load_model
from l8s2.registration import Shift
from l8s2.sensors import BAND_NAMES
from making.pairs import write_ls2s2, write_oli2msi, write_pair_archive

MOVED = (4.0, -13.0)
"""Metres down and right by which Sentinel-2 lies off in the made-up pair."""


class Partly:
    """Bicubic and a share of the detail that Sentinel-2 has beyond it, at another level; sigma is constant."""

    sha256 = "ab" * 32

    def __init__(self, name: str, share: float, cases: list[Case]) -> None:
        self.name, self.share = name, share
        self.uses_pan, self.no_pan_model = False, None
        self.truth = {case.ms.tobytes(): case.truth for case in cases}

    def predict(self, ms: Any, pan: Any, *, sun_elevation: Any = None) -> tuple[Any, Any]:
        base = band_pass_bicubic(ms)
        truth = self.truth.get(ms.tobytes(), base)
        mean = base + self.share * (truth - base)
        return (mean if self.name == "half" else 0.9 * mean + 0.02), np.full_like(base, 0.01)


def gathered(*paths: Path, side: str | None = None) -> list[Case]:
    return list(collect_pairs(paths, side=side, warn=lambda line: None).cases)


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pair_archive(tmp_path_factory.mktemp("in") / "meadow.npz", moved=MOVED)


@pytest.fixture(scope="module")
def stubs(made: Path) -> Iterator[None]:
    """Two models: ``whole`` knows all of the detail of the made-up pair, ``half`` half of it."""
    cases = gathered(made)
    models = {"compact": Partly("whole", 1.0, cases), "compact-nopan": Partly("half", 0.5, cases)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("l8s2.evaluation.run.load_model", lambda name, **_: models[name])
        yield


@pytest.fixture(scope="module")
def judged(made: Path, stubs: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of a run on the made-up pair, and what the run printed."""
    folder = tmp_path_factory.mktemp("results") / "out"
    done = evaluate("--pair", made, "-o", folder, "--json")
    assert done.exit_code == 0, done.stderr
    return folder, json.loads(done.stdout, parse_constant=pytest.fail)


def test_the_shift_is_found_and_taken_out(made: Path) -> None:
    (case,) = gathered(made)
    assert case.shift is not None
    assert (10 * case.shift.down, 10 * case.shift.right) == pytest.approx(MOVED, abs=0.5)
    straight = PairArchive(write_pair_archive(made.with_name("straight.npz")))[0]
    inner = np.s_[:, 8:-8, 8:-8]
    assert case.truth is not None
    np.testing.assert_allclose(case.truth[inner], straight.truth[inner], atol=4e-3)
    assert np.abs(PairArchive(made)[0].truth[inner] - straight.truth[inner]).max() > 0.02


@pytest.mark.parametrize("edge", [(0.0, 0.0), (7.0, -3.0)])
def test_where_the_pixels_of_sentinel2_begin_does_not_matter(tmp_path: Path, edge: tuple[float, float]) -> None:
    (case,) = gathered(write_pair_archive(tmp_path / "x.npz", edge=edge))
    assert case.shift is not None
    assert (case.shift.down, case.shift.right) == pytest.approx((0, 0), abs=0.05)


def test_figures_that_are_known(judged: tuple[Path, dict[str, Any]]) -> None:
    folder, said = judged
    assert (said["mode"], said["images"], said["output"]) == ("fitted-pair", 1, str(folder))
    scores = said["pairs"]["meadow"]["scores"]
    for band in (*BAND_NAMES, "visible", "SWIR"):
        whole, half, base = ({k: v["value"] for k, v in scores[m][band].items()} for m in ("whole", "half", "bicubic"))
        assert whole["rmse_ratio"] == pytest.approx(0, abs=1e-4)
        assert whole["detail_energy"] == pytest.approx(1, abs=1e-4)
        assert whole["best_multiple"] == pytest.approx(1, abs=0.01)
        assert whole["fitted_coverage"] == 1
        assert half["best_multiple"] == pytest.approx(2, abs=0.01)
        assert half["rmse_ratio"] < 0.6
        assert half["detail_energy"] < 1
        assert base["rmse_ratio"] == pytest.approx(1, abs=1e-6)
        assert base["best_multiple"] is None
    n = {band: found["rmse_ratio"]["n"] for band, found in scores["whole"].items() if band in BAND_NAMES}
    assert set(n.values()) == {(72 - 2 * BORDER) ** 2}
    assert scores["whole"]["all"]["ndvi_correlation"]["value"] > 0.99
    assert said["scores"]["half"]["red"]["best_multiple"] == scores["half"]["red"]["best_multiple"]


def test_clouds_do_not_count(made: Path, stubs: None, tmp_path: Path) -> None:
    with np.load(made) as archive:
        arrays = dict(archive)
    arrays["scl"][0, 16:24, 16:24] = 9
    arrays["x10"][:, :, 32:48, 32:48] = arrays["x20"][:, :, 16:24, 16:24] = 9000
    cloudy = write_pair_archive(tmp_path / "meadow.npz", **arrays)
    (case,), (clear,) = gathered(cloudy), gathered(made)
    assert not case.valid[:, 28:44, 28:44].any()
    assert case.valid[:, 50:60, 50:60].all()
    assert case.shift is not None
    assert clear.shift is not None
    assert (case.shift.down, case.shift.right) == pytest.approx((clear.shift.down, clear.shift.right), abs=0.03)
    found = json.loads(evaluate("--pair", cloudy, "--json", "--model", "compact").stdout)["pairs"]["meadow"]["scores"][
        "whole"
    ]
    assert found["blue"]["rmse_ratio"]["n"] == case.valid[0].sum() < 60**2
    assert found["blue"]["rmse_ratio"]["value"] < 0.2  # the cloud rings a little into what lies beside it


def test_files_hold_the_same_figures(judged: tuple[Path, dict[str, Any]]) -> None:
    folder, said = judged
    kept, pair = json.loads((folder / "scores.json").read_text()), said["pairs"]["meadow"]
    assert kept["images"]["meadow"]["shift"] == pair["shift"]
    assert pair["date"] == "2019-07-01"
    for model, found in pair["scores"].items():
        for bands, metrics in found.items():
            assert metrics == {name: kept["scores"][model]["images"]["meadow"][bands][name] for name in metrics}
    with (folder / "scores.csv").open(newline="") as file:
        rows = {(r["model"], r["bands"], r["metric"]): r for r in csv.DictReader(file)}
    assert float(rows["Sentinel-2", "visible", "shift_right_m"]["value"]) == pair["shift"]["right_m"]
    assert float(rows["half", "SWIR", "best_multiple"]["value"]) == pytest.approx(2, abs=0.01)


def test_the_report_has_the_table_and_pictures_at_one_level(judged: tuple[Path, dict[str, Any]]) -> None:
    page = html.unescape((judged[0] / "report.html").read_text(encoding="utf-8"))
    for words in ("bicubic, 10 m", "truth, 10 m", "RMSE 0.00 of bicubic's, all bands", "best multiple SWIR"):
        assert words in page
    assert page.count("data:image/jpeg") == 2
    (table,) = re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)
    head, *lines = table.splitlines()
    down, right = map(float, re.findall(r"([+-][\d.]+) m (?:down|right)", head))
    assert (down, right) == pytest.approx(MOVED, abs=0.5)
    assert [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "] == ["whole", "half"] * 2
    assert sum(line.startswith("    best multiple of the detail") for line in lines) == 4
    assert any(line.split() == ["pixels", "compared", *6 * ["3600"]] for line in lines)
    assert "mean of 1 pair of 1 site" in lines


def test_of_many_pairs_the_table_has_the_means() -> None:
    shift = Shift(down=0.1, right=0, down_error=0, right_error=0, correlation=1, pixels=9)

    def one(number: int) -> Scored:
        records = [
            Record(model, f"site{number % 2}", f"{number}", "SWIR", "rmse_ratio", value * number, 9)
            for model, value in (("m", 1.0), ("band-pass + bicubic", 2.0))
        ]
        return Scored(site=f"site{number % 2}", name=f"{number}", pixels=9, strata={}, records=records, shift=shift)

    few, many = ([one(number) for number in range(n)] for n in (MOST_SHOWN, MOST_SHOWN + 1))
    assert pair_table(few, ["m"]).count("taken out") == MOST_SHOWN
    head, *lines = pair_table(many, ["m"]).splitlines()
    assert head == f"mean of {MOST_SHOWN + 1} pairs of 2 sites"
    assert lines[1].split()[-3:] == ["-", "-", "6.000"]


def test_sets_are_judged_as_archives_are(tmp_path: Path) -> None:
    write_oli2msi(tmp_path / "oli2msi", 1)
    write_ls2s2(tmp_path / "ls2s2" / "31TAB_7")
    cases = gathered(tmp_path / "oli2msi", tmp_path / "ls2s2")
    assert len(cases) == 3
    assert not cases[0].valid[3:].any()
    for case in cases:
        assert case.shift is not None
        assert case.shift.reason or abs(case.shift.down) + abs(case.shift.right) < 0.3
        assert case.valid[0].any()
        assert not case.valid[:, :BORDER].any()
    (train,) = gathered(tmp_path / "oli2msi", side="train")
    assert train.id == cases[0].id


def test_a_pair_without_a_shift_to_be_found_stays_where_it_is(tmp_path: Path) -> None:
    flat = np.full((1, 4, 80, 80), 1000, np.int16)
    pair = PairArchive(write_pair_archive(tmp_path / "x.npz", x10=flat))[0]
    moved, found = registered(pair)
    assert "no contrast" in found.reason
    assert np.array_equal(moved.truth, on_lattice(pair).truth)


BAD: dict[str, tuple[Any, str]] = {
    "nothing": (lambda f: [f / "x.npz"], "no such file; give an .npz of pairs"),
    "no pairs": (lambda f: [f], "in: holds no real pairs"),
    "no archive": (lambda f: [write_pair_archive(f / "x.npz").rename(f / "x.tif")], "x.tif: holds no real pairs"),
    "missing": (lambda f: [write_pair_archive(f / "x.npz", x10=None)], "x.npz: no x10 in it"),
    "no clear pixel": (
        lambda f: [write_pair_archive(f / "x.npz", scl=np.full((1, 40, 40), 9, np.uint8))],
        "no usable pixel in any image",
    ),
    "twice": (lambda f: [*[write_pair_archive(f / "x.npz"), "--pair"], f / "x.npz"], "two pairs are called x"),
    "disturbed": (lambda f: [write_pair_archive(f / "x.npz"), "--disturbed"], "--pair stands alone"),
    "imagery": (lambda f: [write_pair_archive(f / "x.npz"), f / "x.npz"], "--pair stands alone"),
    "side": (lambda f: [write_pair_archive(f / "x.npz"), "--side", "Test"], "pair archive has no sides"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_judged_is_said_in_one_line(name: str, stubs: None, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    arguments, words = BAD[name]
    done = evaluate("--pair", *arguments(tmp_path / "in"), "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    assert line.startswith("l8s2: ")
    assert words in line
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_pair_without_masks_or_without_a_clear_pixel_is_told(made: Path, stubs: None, tmp_path: Path) -> None:
    cloudy = write_pair_archive(tmp_path / "cloudy.npz", l8_qa=np.full((1, 24, 24), 352, np.uint16), scl=None)
    done = evaluate("--pair", made, "--pair", cloudy, "--model", "compact")
    assert done.exit_code == 0
    assert "every score with -o FOLDER" in done.stderr
    assert "warning: cloudy.npz: no scl in it, so clouds count" in done.stderr
    assert "warning: cloudy: no clear pixel; left out" in done.stderr
    assert "mean of 1 pair of 1 site" in done.stdout


def test_a_model_that_another_answers_for_is_told(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l8s2.evaluation.run.load_model", load_model)
    told = "warning: no image has pan, so compact-nopan answers for compact"
    done = evaluate("--pair", made)
    assert f"{told}: the figures of compact are those of compact-nopan\n" in done.stderr
    assert f"{told}\n" in evaluate("--pair", made, "--model", "compact").stderr
    assert "no image has pan" not in evaluate("--pair", made, "--model", "compact-nopan").stderr


def test_nothing_given_is_wrong_usage() -> None:
    done = evaluate("--json")
    assert done.exit_code == 2
    assert "give IMAGERY, or real pairs with --pair" in done.stderr
