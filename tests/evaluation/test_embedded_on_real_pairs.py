"""The embedded network without pan on real pairs of Landsat and Sentinel-2."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from l8s2 import load_model
from l8s2.cli import main
from l8s2.datasets.pair_archive import PairArchive
from l8s2.evaluation.baselines import band_pass_bicubic
from l8s2.evaluation.fitted_pairs import BORDER
from l8s2.evaluation.pair_scores import registered, score_pair_band
from l8s2.metrics.scores import index_scores
from l8s2.radiometry import total_sigma
from l8s2.sensors import BAND_NAMES

MODEL = "compact-nopan"


@pytest.fixture(scope="module")
def folder(data: Path) -> Path:
    if not any((data / "pairs").glob("*.npz")):
        pytest.skip("no pairs/*.npz in L8S2_TEST_DATA")
    return data / "pairs"


@pytest.fixture(scope="module")
def said(folder: Path) -> dict[str, Any]:
    """What the command prints of the pairs."""
    done = CliRunner().invoke(main, ["evaluate", "--pair", str(folder), "--model", MODEL, "--json"])
    assert done.exit_code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_command_says_what_the_library_finds(folder: Path, said: dict[str, Any]) -> None:
    model = load_model(MODEL)
    pairs = {pair.id: pair for path in sorted(folder.glob("*.npz")) for pair in PairArchive(path)}
    assert list(said["pairs"]) == list(pairs)
    for name, pair in pairs.items():
        moved, shift = registered(pair)
        told = said["pairs"][name]
        assert (told["shift"]["down_m"], told["shift"]["right_m"]) == (10 * shift.down, 10 * shift.right)
        assert not shift.reason
        usable = np.zeros_like(moved.valid)
        usable[:, BORDER:-BORDER, BORDER:-BORDER] = moved.valid[:, BORDER:-BORDER, BORDER:-BORDER]
        assert 0.8 < usable[:, BORDER:-BORDER, BORDER:-BORDER].mean() < 1  # a little is cloud
        mean, detail = model.predict(pair.ms, None)
        total = total_sigma(mean, detail)
        bicubic = band_pass_bicubic(pair.ms)
        for b, band in enumerate(BAND_NAMES):
            score = score_pair_band(mean[b], bicubic[b], moved.truth[b], usable[b], total[b], detail[b])
            found = told["scores"][MODEL][band]
            for field in score._fields[:-1]:
                assert found[field]["value"] == pytest.approx(getattr(score, field), rel=1e-6), (name, band, field)
            assert found["rmse_ratio"]["n"] == score.pixels
        ndvi = [index_scores(image, moved.truth, usable)["ndvi"].correlation.value for image in (mean, bicubic)]
        told_ndvi = [told["scores"][m]["all"]["ndvi_correlation"]["value"] for m in (MODEL, "band-pass + bicubic")]
        assert told_ndvi == pytest.approx(ndvi, rel=1e-6)


def test_the_sensors_lie_apart_as_the_catalogue_says(said: dict[str, Any]) -> None:
    if "flanders_L8_S2_001" not in said["pairs"]:
        pytest.skip("no flanders_L8_S2.npz among the pairs")
    shift = said["pairs"]["flanders_L8_S2_001"]["shift"]
    assert shift["right_m"] == pytest.approx(-15, abs=3)


def test_the_embedded_network_adds_what_sentinel2_confirms(said: dict[str, Any]) -> None:
    scores = said["scores"][MODEL]

    def mean(bands: str, metric: str) -> float:
        return float(scores[bands][metric]["value"])

    for bands, limit in (("visible", 0.93), ("nir08", 0.92), ("SWIR", 1.00)):
        assert mean(bands, "rmse_ratio") <= limit, bands
        assert 0.8 <= mean(bands, "best_multiple") <= 1.3, bands
    for band in BAND_NAMES:
        assert mean(band, "detail_energy") <= 1.05, band
        assert 0.85 <= mean(band, "coverage") <= 0.97, band
    for name, told in said["pairs"].items():
        ndvi = [told["scores"][m]["all"]["ndvi_correlation"]["value"] for m in (MODEL, "band-pass + bicubic")]
        assert ndvi[0] > ndvi[1], name
