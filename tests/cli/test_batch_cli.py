"""``l8s2 batch`` with the processes it is meant for."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from l8s2.batch.run import Batch, Summary
from l8s2.cli import main
from making.scenes import ID, make, ms_grid


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["batch", *map(str, arguments)])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """What the command line asks for; nothing is done, and two scenes have failed."""
    found: list[Batch] = []

    def note(job: Batch, _: object) -> Summary:
        found.append(job)
        return Summary(scenes=3, done=1, failed=2, may_pass=len(found), running=0, free=0, missing=0)

    monkeypatch.setattr("l8s2.batch.run.run_batch", note)
    return found


def test_options_of_harmonize_are_passed_on(asked: list[Batch], tmp_path: Path) -> None:
    (tmp_path / ID).mkdir()
    options = ("--bbox", 79, 8.5, 79.5, 9, "--sigma", "detail", "--model", "compact-nopan")
    own = ("--workers", 3, "--threads", 5, "--max-attempts", 2, "--lease", 9, "--retry-failed", "--engine", "openvino")
    assert run(tmp_path / ID, "-o", tmp_path / "out", *options, *own).exit_code == 1
    assert run(tmp_path / ID, "-o", tmp_path / "out", "--workers", 1000, "--shard", "0/1").exit_code == 75
    (job, plain) = asked
    assert job.options == (
        "--model", "compact-nopan", "--bbox", "79.0", "8.5", "79.5", "9.0", "--sigma", "detail",
    )  # fmt: skip
    assert (job.own_options, job.workers, job.retry_failed) == (("--threads", "5", "--resume"), 3, True)
    assert (job.rules.max_attempts, job.rules.lease) == (2, 9)
    assert (plain.options, plain.own_options, plain.workers) == ((), ("--resume", "--threads", "1"), 1000)


def test_no_option_of_harmonize_is_forgotten() -> None:
    names = {parameter.name for parameter in main.commands["batch"].params}
    assert {"model", "bbox", "mgrs", "crs", "like", "sigma", "no_sigma", "engine", "threads"} <= names
    ours = [name for parameter in main.commands["batch"].params for name in parameter.opts]
    assert len(ours) == len(set(ours))


def test_scenes_on_disk(tmp_path: Path) -> None:
    make(tmp_path / "in")
    (tmp_path / "in" / ID.replace("0520", "0605")).mkdir()
    plan = json.loads(run(tmp_path / "in", "-o", tmp_path / "out", "--dry-run", "--json").stdout)
    assert (plan["scenes"], plan["free"], plan["done"]) == (2, 2, 0)
    assert plan["hours"] >= 0
    assert not (tmp_path / "out").exists()
    result = run(tmp_path / "in", "-o", tmp_path / "out", "--bbox", 14, 51, 15, 52)
    assert result.exit_code == 1
    assert result.stdout == f"1 of 2 scenes in {tmp_path / 'out'}; results.csv has a row for each\n"
    assert result.stderr.splitlines()[-1] == "1 failed; --retry-failed tries them again"
    with (tmp_path / "out" / "results.csv").open() as file:
        good, bad = csv.DictReader(file)
    assert (good["id"], good["outcome"], good["exit_code"]) == (ID, "success", "0")
    assert "no Landsat Collection-2 Level-2 files" in bad["reason"]
    assert (tmp_path / "out" / good["product"]).is_file()
    assert sorted(path.suffix for path in (tmp_path / "out" / f"{ID}_S2L").iterdir()) == [
        ".json", ".png", ".tif", ".tif", ".tif",
    ]  # fmt: skip


def test_a_dry_run_refuses_what_the_batch_would(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("nonsense\n")
    plan = run(listed, "-o", tmp_path / "out", "--dry-run", "--json")
    told = json.loads(plan.stdout)
    assert (told["scenes"], told["free"], told["missing"]) == (1, 0, 1)
    assert "nonsense: no such file, folder or product id; it will fail" in plan.stderr
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "batch.json").write_text('{"schema": "l8s2-batch/1", "options": ["--no-sigma"], "lease": 300}')
    for more in (("--dry-run",), ()):
        refused = run(listed, "-o", tmp_path / "out", *more)
        assert refused.exit_code == 1
        assert "was begun with --no-sigma, --lease 300; this command has no options" in refused.stderr
    assert not (tmp_path / "out" / "ledger").exists()


def test_a_model_that_is_none_spoils_nothing(tmp_path: Path) -> None:
    (tmp_path / ID).mkdir()
    for more in ((), ("--dry-run",)):
        refused = run(tmp_path / ID, "-o", tmp_path / "out", "--model", "nonsense", *more)
        assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
        assert "model nonsense" in refused.stderr
    assert not (tmp_path / "out").exists()
    assert run(tmp_path / ID, "-o", tmp_path / "out", "--no-sigma", "--sigma", "detail").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none", "-o", "out"), "none: no such file, folder or product id"),
        ((".", "-o", "out", "--shard", "3/3"), "--shard 3/3: must be I/N"),
    ],
)
def test_wrong_arguments_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert said in result.stderr
    assert not (tmp_path / "out").exists()


def test_scenes_of_one_overpass_are_one_unit_of_work(tmp_path: Path) -> None:
    make(tmp_path / "in", ms_grid(60, 20))
    south = make(tmp_path / "in", ms_grid(60, 20, centre=(450_000, 5_660_010 - 30 * 20)),
                 product_id=ID.replace("192025", "192026"))  # fmt: skip
    make(tmp_path / "in", product_id=ID.replace("20230520", "20230605"))
    name = "LC09_L2SP_192_20230520_33UVS"
    arguments = (tmp_path / "in", "-o", tmp_path / "out", "--mgrs", "33UVS", "--no-sigma")
    plan = json.loads(run(*arguments, "--dry-run", "--json").stdout)
    assert plan["scenes"] == 2
    assert plan["overpasses"] == {name: [ID, south.name]}
    assert f"{name}: {ID}, {south.name}" in run(*arguments, "--dry-run").stdout
    assert run(*arguments).exit_code == 0
    with (tmp_path / "out" / "results.csv").open() as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {name, ID.replace("20230520", "20230605")}
    assert rows[name]["outcome"] == "success"
    item = json.loads((tmp_path / "out" / rows[name]["product"]).read_text())
    assert [each["id"] for each in item["properties"]["l8s2:scenes"]] == [ID, south.name]
    assert len(list((tmp_path / "out" / "ledger").glob(f"id={name}/*"))) >= 1
