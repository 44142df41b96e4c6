"""Studies of ground that was seen on several dates, of simulated pairs, and of crops with odd names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from click.testing import CliRunner
from odc.geo.geobox import GeoBox

from l8s2.cli import main
from l8s2.datasets.image_pair import Lattice
from l8s2.evaluation.cases import Case, Imagery
from l8s2.sensors import BAND_NAMES
from l8s2.studies import ndvi
from l8s2.studies.crops import _confusion, _free, _statistics

SIDE = 40
"""MS pixels: 6 x 6 blocks of 200 m."""
RED, NIR = BAND_NAMES.index("red"), BAND_NAMES.index("nir08")


def image(index: float | np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Reflectance (6, h, w) whose NDVI is ``index``."""
    whole = np.full((len(BAND_NAMES), *shape), 0.2, np.float32)
    whole[RED], whole[NIR] = 0.2 * (1 - index), 0.2 * (1 + index)
    return whole


def case(ms: np.ndarray, date: int, box: GeoBox | None, site: str = "A") -> Case:
    fine = (3 * ms.shape[1], 3 * ms.shape[2])
    return Case(
        ms=ms, pan=None, truth=image(0.5, fine), valid=np.ones((len(BAND_NAMES), *fine), bool),
        bands_known=(True,) * len(BAND_NAMES), id=f"{site}{date}", lattice=Lattice(ms=box), site=site,
        date=f"2023-05-{date + 1:02d}", strata={},
    )  # fmt: skip


def box_at(right: int = 0) -> GeoBox:
    """The grid of the MS pixels; its 10 m pixels begin with a block of 200 m."""
    return GeoBox((SIDE, SIDE), Affine(30, 0, 400_000 - 5 + right, 0, -30, 5_600_000 + 5), "EPSG:32631")


def study(monkeypatch: pytest.MonkeyPatch, cases: list[Case]) -> Any:
    made = Imagery(mode="fitted-pair", pixels=sum(9 * c.ms[0].size for c in cases), cases=iter(cases))
    monkeypatch.setattr(ndvi, "collect_pairs", lambda *_, **__: made)
    monkeypatch.setattr(ndvi, "load_model", lambda _: Plain())
    return ndvi.study_ndvi([], models=["plain"])


class Plain:
    """A model that is bicubic interpolation."""

    uses_pan, no_pan_model = False, None

    def predict(self, ms: np.ndarray, pan: object, *, sun_elevation: object = None) -> tuple[np.ndarray, None]:
        return ndvi.bicubic(ms), None


def dates_of_one_ground(rng: np.random.Generator, box: GeoBox | None) -> Iterator[Case]:
    """Fields that Landsat sees too green or too pale on every one of eight dates; in the mean of all fields neither."""
    error = np.kron(rng.normal(0, 0.05, (6, 6)), np.ones((7, 7)))[:SIDE, :SIDE]
    for date in range(8):
        yield case(image(0.5 + error + rng.normal(0, 0.02), (SIDE, SIDE)), date, box)


@pytest.mark.parametrize("box", [box_at(), None])
def test_dates_of_one_ground_are_one_unit(monkeypatch: pytest.MonkeyPatch, box: GeoBox | None) -> None:
    found = study(monkeypatch, list(dates_of_one_ground(np.random.default_rng(0), box)))
    assert (found.facts["pairs"], found.facts["blocks"]) == (8, 36)
    alone = study(monkeypatch, list(dates_of_one_ground(np.random.default_rng(0), box))[:1])

    def width(one: Any) -> float:
        row = next(r for r in one.rows if (r["statistic"], r["method"]) == ("bias", "raw"))
        return float(row["high"] - row["low"])

    assert width(found) == pytest.approx(width(alone), rel=0.1)  # more looks at the same errors tell no more of them


def test_ground_is_known_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images that begin 600 m apart share what they share; other sites without a place share nothing."""
    plain = image(0.5, (SIDE, SIDE))
    assert study(monkeypatch, [case(plain, 0, box_at()), case(plain, 1, box_at(600))]).facts["blocks"] == 6 * 9
    assert study(monkeypatch, [case(plain, 0, None), case(plain, 1, None, "B")]).facts["blocks"] == 2 * 36


def test_intervals_over_ground_hold_what_they_promise() -> None:
    """Errors that stay with the ground from date to date: the true bias is 0, and 95 % intervals hold it."""
    rng = np.random.default_rng(6)
    held = {"ground": 0, "blocks": 0}
    grounds, dates, repeats = 20, 6, 100
    for _ in range(repeats):
        errors = rng.normal(0, 1, (grounds, 1)) + rng.normal(0, 0.3, (grounds, dates))
        for unit, values in (("ground", errors.mean(1)), ("blocks", errors.ravel())):
            totals = np.stack([np.ones(len(values)), values], 1)
            found = ndvi.estimates(totals, lambda s: {"bias": s[:, 1] / s[:, 0]})["bias"]
            held[unit] += found.low <= 0 <= found.high
    assert held["ground"] >= 88  # 95 are expected
    assert held["blocks"] <= 75  # 59 are


def archive(path: Path) -> Path:
    """Sentinel-2 imagery of fields."""
    rng = np.random.default_rng(1)
    fields = np.kron(rng.uniform(500, 4000, (2, 4, 9, 9)), np.ones((16, 16)))
    coarse = np.kron(rng.uniform(500, 4000, (2, 3, 9, 9)), np.ones((8, 8)))
    np.savez(path, x10=fields.astype(np.int16), x20=coarse.astype(np.int16), meta=json.dumps({"level": "L2A"}))
    return path


def test_simulated_pairs_come_of_sentinel2_imagery(tmp_path: Path) -> None:
    given = ["study", "ndvi", str(archive(tmp_path / "a_L2A.npz")), "--simulated", "--model", "compact-nopan", "--json"]
    done = CliRunner().invoke(main, [*given, "-o", str(tmp_path / "n")])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["simulated"]
    assert (told["pairs"], told["sites"]) == (2, 1)
    assert "simulated from Sentinel-2" in told["paragraph"]


@pytest.mark.parametrize("name", ["nothing", "LC08_L2SP_143054_20230520_20230524_02_T1"])
def test_what_landsat_cannot_be_simulated_from_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "LC08_L2SP_143054_20230520_20230524_02_T1").mkdir()
    done = CliRunner().invoke(main, ["study", "ndvi", str(tmp_path / name), "--simulated", "-o", str(tmp_path / "n")])
    assert done.exit_code == 1
    assert "no Sentinel-2 imagery for --simulated" in done.stderr


def test_a_crop_may_be_called_mean() -> None:
    names = ["mean", "mean*", "rye"]
    mean = _free("mean", names)
    assert mean == "mean**"
    field, truth = np.arange(6), np.array([0, 0, 1, 1, 2, 2])
    sums = _confusion(field, truth, np.array([0, 1, 1, 1, 2, 0]), 6, 3).sum(0, keepdims=True)
    found = _statistics(np.concatenate([sums, sums], axis=1), ["x", "y"], names, mean)
    assert found["F1 mean x"][0] == pytest.approx(0.5)
    assert found["F1 mean** x"][0] == pytest.approx(np.mean([found[f"F1 {name} x"][0] for name in names]))
