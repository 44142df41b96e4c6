"""Studies of inputs at the edge of sense: few units, constants, long gaps, overlaps, names that break tables."""

from __future__ import annotations

import csv
import json
import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

pytest.importorskip("zarr", reason="needs the extra cube")

from l8s2.cli import main
from l8s2.cube.build import build_cube
from l8s2.cube.fields import Field
from l8s2.cube.inputs import find_sources
from l8s2.errors import InputError
from l8s2.masks import flag
from l8s2.studies.bootstrap import Estimate, as_row, estimates
from l8s2.studies.chart import Panel, chart
from l8s2.studies.cloudfree import study_cloudfree
from l8s2.studies.crops import _whole
from l8s2.studies.generalisation import study_generalisation
from l8s2.studies.ndvi import RATIO, _paragraph, _statistics
from l8s2.studies.result import markdown
from l8s2.target import WHOLE
from making.cubes import SHAPE, landsat, sentinel2

START = datetime(2023, 4, 3, 10, 2, 3, tzinfo=UTC)
ODD = ("Tropical & Subtropical Moist Broadleaf Forests", "a|b", "<script>alert(1)</script>", "two\nlines", "`code`", "")


@pytest.mark.parametrize("units", [5, 8, 15])
def test_intervals_of_few_units_are_long_enough(units: int) -> None:
    """Plain percentiles hold the mean of five normal numbers in 84 of 100 samples, not in 95."""
    rng = np.random.default_rng(units)
    held = 0
    for _ in range(600):
        totals = np.stack([np.ones(units), rng.normal(3.0, 2.0, units)], 1)
        found = estimates(totals, lambda s: {"mean": s[:, 1] / s[:, 0]})["mean"]
        held += found.low <= 3.0 <= found.high
    assert stats.binom.cdf(held, 600, 0.92) > 0.001
    assert held < 597


def test_what_is_no_number_is_empty() -> None:
    found = estimates(np.ones((9, 1)), lambda s: {"x": np.full(len(s), np.inf), "y": np.full(len(s), np.nan)})
    for estimate in found.values():
        assert as_row(estimate) == {"value": None, "low": None, "high": None}


def test_no_name_of_a_chart_covers_another() -> None:
    group = {f"/models/of/someone/{name}": Estimate(1, 0.5, 2) for name in (*ODD, *"abcdefgh")}
    root = ElementTree.fromstring(chart([Panel("t", dict.fromkeys(ODD, group))] * 2, title="x"))
    spans = []
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        long = 7 * len(text.text or "")
        before = {"end": long, "middle": long / 2}.get(text.get("text-anchor", ""), 0)
        left = float(text.attrib["x"]) - before
        spans.append((left, left + long, float(text.attrib["y"])))
    assert min(left for left, _, _ in spans) >= 0
    assert max(right for _, right, _ in spans) <= float(root.attrib["width"])
    for number, (left, right, y) in enumerate(spans):
        for other_left, other_right, other_y in spans[:number]:
            assert abs(y - other_y) >= 12 or right <= other_left or other_right <= left


def test_names_do_not_break_a_markdown_table() -> None:
    lines = markdown([{"name": name, "value": 1.0} for name in ODD]).splitlines()
    assert len(lines) == 2 + len(ODD)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {3}
    assert not any(re.search(r"(?<!\\)[<`]", line) for line in lines)


def test_ndvi_that_is_constant_has_no_correlation() -> None:
    x = np.full(500, 0.3)
    sums = np.array([[500, x.sum(), x.sum(), (x * x).sum(), (x * x).sum(), (x * x).sum()] * 2])
    found = _statistics(sums, ["raw", "compact"])
    assert math.isnan(found["correlation raw"][0])
    assert found["rmse raw"][0] == pytest.approx(0, abs=1e-6)
    told = {name: Estimate(float(value[0]), math.nan, math.nan) for name, value in found.items()}
    told[f"{RATIO} compact"] = Estimate(math.nan, math.nan, math.nan)
    facts = {"simulated": False, "pairs": 1, "sites": 1, "pixels": 500, "blocks": 1}
    assert "nan" not in _paragraph(told, "compact", facts)


def test_a_finished_study_is_refused_before_the_work(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["study", "cloudfree", str(tmp_path / "missing.zarr"), "-o", str(tmp_path)])
    assert done.exit_code == 1
    assert "exists already" in done.stderr


def test_months_without_an_observation_and_gaps_of_years_count(tmp_path: Path) -> None:
    days = 0, 500
    made = [landsat(tmp_path / f"l{day}", START + timedelta(days=day)) for day in days]
    made.append(sentinel2(tmp_path / "s", START, scl=np.full(tuple(n // 2 for n in SHAPE), 9, np.uint8)))
    build_cube(find_sources(made), tmp_path / "c.zarr", WHOLE)
    study = study_cloudfree(tmp_path / "c.zarr")
    months = [row["month"] for row in study.rows]
    assert months[:3] == ["2023-04", "2023-05", "2023-06"]
    assert len(months) == 18
    assert study.rows[1]["Landsat, clear days"] == 0
    assert study.facts["longest_gap_days"] == {"Sentinel-2": 502, "Landsat": 500, "together": 500}
    assert study.rows[-1]["gain_percent"] is None
    json.dumps(study.as_json(), allow_nan=False)


def test_pixels_that_nothing_covers_do_not_count(tmp_path: Path) -> None:
    half = np.zeros(SHAPE, np.uint16)
    half[:, SHAPE[1] // 2 :] = flag("fill")
    nothing = np.zeros(tuple(n // 2 for n in SHAPE), np.uint8)  # SCL 0
    made = [landsat(tmp_path / "l", START, qa=half), sentinel2(tmp_path / "s", START, scl=nothing)]
    build_cube(find_sources(made), tmp_path / "c.zarr", WHOLE)
    study = study_cloudfree(tmp_path / "c.zarr")
    assert study.facts["pixels"] == (half == 0).sum()
    assert study.rows[-1]["Landsat, clear days"] == 1


def test_a_pixel_of_two_fields_is_in_neither() -> None:
    rows = np.arange(6)

    def field(name: str, rows: np.ndarray) -> Field:
        return Field(name, rows, np.zeros(len(rows), np.intp), np.ones(len(rows)), float(len(rows)))

    edge = field("c", np.array([8, 9]))._replace(weights=np.array([1.0, 0.5]))
    found = {f.id: f.rows.tolist() for f in _whole([field("a", rows), field("b", rows[4:]), edge])}
    assert found == {"a": [0, 1, 2, 3], "c": [8]}
    assert _whole([field("a", rows), field("again", rows)]) == []
    assert _whole([field("outside", rows[:0])]) == []


@pytest.mark.parametrize(
    ("line", "bands", "expected"),
    [
        ("compact,A,A-0,all", "all", "too few columns"),
        ("compact,A,A-0,all,psnr_gain,1,9", "10 m", "bands` 10 m: not in the scores; there are all"),
        ("compact,A,A-0,all,psnr_gain,,0", "all", "every value is empty"),
    ],
)
def test_scores_that_tell_nothing_are_refused(line: str, bands: str, expected: str, tmp_path: Path) -> None:
    scores, places = tmp_path / "s.csv", tmp_path / "p.csv"
    scores.write_text(f"model,site,image,bands,metric,value,n\n{line}\n")
    places.write_text("site,biome\nA,x\n")
    with pytest.raises(InputError, match=expected):
        study_generalisation([scores], places, ["biome"], metric="psnr_gain", bands=bands)


def test_odd_groups_are_written_and_read_back(tmp_path: Path) -> None:
    scores, places = tmp_path / "s.csv", tmp_path / "p.csv"
    with scores.open("w", newline="") as one, places.open("w", newline="") as other:
        csv.writer(one).writerow(["model", "site", "image", "bands", "metric", "value", "n"])
        csv.writer(other).writerow(["site", "biome"])
        for name in ODD:
            csv.writer(one).writerow(["compact", f"of {name}", "0", "all", "psnr_gain", 2.5, 9])
            csv.writer(other).writerow([f"of {name}", name])
    given = ["study", "generalisation", scores, "--places", places, "--by", "biome", "--by", "biome", "--json"]
    done = CliRunner().invoke(main, [*map(str, given), "-o", str(tmp_path / "o")])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)["table"]
    with (tmp_path / "o" / "table.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["group"] for row in table] == [row["group"] for row in told] == sorted([*ODD[:-1], "unknown"])
