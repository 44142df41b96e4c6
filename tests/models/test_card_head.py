"""The scores in the heads of the cards are those of the tables, and the Hub's own library reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import l8s2

yaml = pytest.importorskip("yaml")

from l8s2.models.card_head import Scores, card_head  # noqa: E402

WEIGHTS = Path(l8s2.__file__).parent / "weights"
RESULTS = Path(__file__).parents[2] / "docs" / "results.md"


def card(name: str) -> tuple[dict[str, Any], str]:
    head, _, body = (WEIGHTS / f"{name}.md").read_text(encoding="utf-8").removeprefix("---\n").partition("\n---\n")
    return yaml.safe_load(head), body


def scores(name: str, kind: str) -> list[tuple[str, dict[str, float]]]:
    head, _ = card(name)
    (index,) = head["model-index"]
    assert index["name"] == name
    return [
        (result["dataset"]["name"], {metric["name"]: metric["value"] for metric in result["metrics"]})
        for result in index["results"]
        if result["dataset"]["type"] == kind
    ]


@pytest.mark.parametrize("name", ["compact", "compact-nopan"])
def test_simulated_scores_are_the_means_of_the_card(name: str) -> None:
    _, body = card(name)
    found = scores(name, "simulated")
    assert len(found) == 3
    for on, values in found:
        kind = re.search("clean|disturbed|untidy", on)
        assert kind is not None
        table = body.partition(f"## Validation sites, {kind[0]}\n")[2].partition("##")[0]
        mean = re.search(r"\| mean \|(.*)\|\n", table)
        assert mean is not None
        assert [values[f"PSNR over bicubic, {g} m bands, dB"] for g in (10, 20)] + [
            values[f"Coverage of the 90 % interval of the detail, {g} m bands"] for g in (10, 20)
        ] == [float(cell) for cell in mean[1].split("|")[6:]]


@pytest.mark.skipif(not RESULTS.exists(), reason="not a clone of the repository")
def test_real_scores_are_those_of_the_documentation() -> None:
    assert scores("compact", "real") == []  # no real pair with pan is at hand
    ((on, values),) = scores("compact-nopan", "real")
    assert "without pan" in on
    text = RESULTS.read_text(encoding="utf-8").partition("| mean of both dates |")[2]
    for name in {name.partition(",")[0] for name in values}:
        row = re.search(rf"\| {name} \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) ", text, re.IGNORECASE)
        assert row is not None, name
        told = [values[f"{name}, {bands}"] for bands in ("visible", "nir08", "SWIR")]
        assert told == [float(value) for value in row.groups()]


@pytest.mark.parametrize("name", ["compact", "compact-nopan"])
def test_the_hub_reads_the_head(name: str) -> None:
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard((WEIGHTS / f"{name}.md").read_text(encoding="utf-8")).data
    assert (data.license, data.library_name, data.model_name) == ("mit", "l8s2", name)
    assert {result.dataset_type for result in data.eval_results} <= {"real", "simulated"}
    assert all(re.fullmatch(r"[a-z0-9-]+", result.metric_type) for result in data.eval_results)


def test_heads_are_plain_yaml() -> None:
    each = Scores(kind="real", on="a: b, 'c'", values={"RMSE over bicubic's, red": 1})
    head = yaml.safe_load(card_head("x", [each, each]).strip("-\n"))
    first, second = head["model-index"][0]["results"]
    assert first == second
    assert first["dataset"]["name"] == "Real: a: b, 'c'"
    assert first["metrics"] == [{"type": "rmse-over-bicubic", "name": "RMSE over bicubic's, red", "value": 1.0}]
