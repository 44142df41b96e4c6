"""Studies of a simulated year find what was drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("zarr", reason="needs the extra cube")

from l8s2.cli import main
from l8s2.simulate.season import OPAQUE, Season
from l8s2.studies import year
from l8s2.studies.cloudfree import study_cloudfree
from making.cubes import BOX


def run(*args: object) -> Any:
    return CliRunner().invoke(main, ["study", *map(str, args)])


def test_passes_come_at_the_real_revisit() -> None:
    (msi, _), (oli, _) = year.PASSES.values()
    assert (len(msi), len(oli)) == (73, 46)
    assert (set(np.diff(msi)), set(np.diff(oli))) == ({5}, {8})
    for sensor, days_between in (("msi", 10), ("oli", 16)):
        one, _, again = (year._about(sensor, day, BOX) for day in year.PASSES[sensor][0][:3])
        assert one.platform == again.platform
        assert (again.time - one.time).days == days_between


def test_the_gain_in_clear_days_follows_from_the_clouds_that_were_drawn(tmp_path: Path) -> None:
    days, size = range(20, 75), 6
    cube, _ = year.simulate_year(tmp_path, days=days, size=size, seed=2)
    season = Season(2, (size, size))
    clear: dict[str, set[tuple[int, int]]] = {"msi": set(), "oli": set()}  # of a day and a pixel
    for first, every, sensor in ((2, 5, "msi"), (3, 8, "oli")):
        for day in days:
            if (day - first) % every == 0:
                clear[sensor] |= {(day, int(pixel)) for pixel in np.flatnonzero(season.opacity(day) <= OPAQUE)}
    found = study_cloudfree(cube, simulated=True).rows[-1]
    pixels = (3 * size) ** 2
    alone, both = len(clear["msi"]) / pixels, len(clear["msi"] | clear["oli"]) / pixels
    assert 1 < alone < both
    assert found["Sentinel-2, clear days"] == pytest.approx(alone, abs=1e-3)
    assert found["Landsat, clear days"] == pytest.approx(len(clear["oli"]) / pixels, abs=1e-3)
    assert found["together, clear days"] == pytest.approx(both, abs=1e-3)
    assert found["gain_percent"] == pytest.approx(100 * (both / alone - 1), abs=0.1)


def test_without_clouds_the_gain_is_that_of_the_revisits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 40 days Sentinel-2 passes 8 times and Landsat 5 times, once on the same day: 12 clear days, 50 % more."""
    monkeypatch.setattr(Season, "opacity", lambda season, day: np.zeros(season._shape, np.float32))
    study = study_cloudfree(year.simulate_year(tmp_path, days=range(40), size=6)[0], simulated=True)
    assert study.rows[-1] == {
        "month": "all", "Sentinel-2, clear days": 8, "Landsat, clear days": 5, "together, clear days": 12,
        "gain_percent": 50,
    }  # fmt: skip


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A year of few passes."""
    for needed in ("sklearn", "exactextract"):
        pytest.importorskip(needed, reason="needs the extra studies")
    with pytest.MonkeyPatch.context() as patch:
        passes = {"msi": range(97, 290, 20), "oli": range(107, 290, 40)}
        patch.setattr(year, "PASSES", {sensor: (days, year.PASSES[sensor][1]) for sensor, days in passes.items()})
        return year.simulate_year(tmp_path_factory.mktemp("farm"), size=32)


@pytest.fixture
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small forest."""
    ensemble = pytest.importorskip("sklearn.ensemble", reason="needs the extra studies")
    small = ensemble.RandomForestClassifier(n_estimators=15, min_samples_leaf=3, random_state=0, n_jobs=1)
    monkeypatch.setattr("l8s2.studies.crops._forest", lambda seed: small)


@pytest.mark.usefixtures("few_trees")
def test_crops_are_told_by_their_courses_and_labels_without_one_are_not(
    farm: tuple[Path, Path], tmp_path: Path
) -> None:
    """Labels dealt anew are not better than chance, since no field is on both sides of the split."""
    from l8s2.studies.crops import study_crops

    cube, fields = farm
    content = json.loads(fields.read_text())
    labels = np.random.default_rng(0).permutation([f["properties"]["crop"] for f in content["features"]])
    for feature, label in zip(content["features"], labels, strict=True):
        feature["properties"]["dealt"] = str(label)
    (tmp_path / "dealt.geojson").write_text(json.dumps(content))
    score = {}
    for label in ("crop", "dealt"):
        study = study_crops(cube, tmp_path / "dealt.geojson", label, simulated=True)
        score[label] = {row["features"]: row["value"] for row in study.rows if row["crop"] == "mean"}
        assert study.facts["simulated"]
    assert min(score["crop"][key] for key in ("Sentinel-2", "with Landsat")) > 0.5
    assert max(score["dealt"].values()) < 0.4


def test_harmonised_landsat_is_close_to_what_sentinel2_sees(farm: tuple[Path, Path]) -> None:
    import zarr

    group = zarr.open_group(farm[0], mode="r")
    season, start = Season(0, (32, 32)), np.datetime64("2023-01-01")
    for index in np.flatnonzero(group["sensor"][...] == "oli"):
        day = int((np.datetime64(int(group["time"][index]), "s").astype("datetime64[D]") - start).astype(int))
        clear = group["qa"][index] == 0
        truth, ours = season.ground(day)[3][clear], group["nir08"][index][clear] * 1e-4
        if clear.mean() > 0.5:
            assert np.corrcoef(truth, ours)[0, 1] > 0.9
        assert (group["sigma_detail_nir08"][index] > 0).all()


@pytest.mark.parametrize("study", ["cloudfree", "crops"])
@pytest.mark.usefixtures("few_trees")
def test_a_simulated_study_says_so(
    study: str, farm: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(year, "simulate_year", lambda folder, *, progress: farm)
    done = run(study, "--simulated", "-o", tmp_path / "c", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["simulated"] is True
    for name in ("figure.svg", "study.md", "study.json"):
        assert "Simulated, not measured" in (tmp_path / "c" / name).read_text()
    head, *rows = (tmp_path / "c" / "table.csv").read_text().splitlines()
    assert head.endswith(",imagery")
    assert all(row.endswith(",simulated") for row in rows)


@pytest.mark.parametrize(
    "given",
    [
        ["cloudfree"], ["cloudfree", "c.zarr", "--simulated"], ["crops", "c.zarr", "--fields", "f.geojson"],
        ["crops", "--simulated", "--label", "crop"], ["crops", "c.zarr", "--simulated"], ["crops"],
    ],
)  # fmt: skip
def test_a_cube_or_a_simulated_year_not_both(given: list[str], tmp_path: Path) -> None:
    done = run(*given, "-o", tmp_path / "x")
    assert done.exit_code == 2
    assert "--simulated" in done.stderr
