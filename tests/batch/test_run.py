"""Scenes are done once, whoever does them and whatever happens meanwhile."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from l8s2.batch.run import run_batch, shard_of, summarize
from l8s2.batch.scenes import BatchScene
from l8s2.errors import InputError
from making.batches import batch, log, make_scenes, scene_id
from making.stac import check_stac


def rows(output: Path) -> dict[str, dict[str, str]]:
    with (output / "results.csv").open() as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def start(scenes: Path, output: Path, *, lease: float = 60, workers: int = 2) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "making.batches", str(output), str(scenes), str(lease), str(workers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.name.startswith(".")]


def test_a_broken_scene_is_a_row_and_the_others_go_on(tmp_path: Path) -> None:
    ids = make_scenes(tmp_path / "in", "ok", "fail", "again 1", "die")
    lines: list[str] = []
    summary = run_batch(batch(tmp_path / "in", tmp_path / "out", max_attempts=2), lines.append)
    assert (summary.done, summary.failed, summary.may_pass) == (2, 2, 1)
    found = rows(tmp_path / "out")
    assert [found[scene]["outcome"] for scene in ids] == ["success", "failed", "success", "retry"]
    assert [int(found[scene]["attempt"]) for scene in ids] == [1, 1, 2, 2]
    assert found[ids[1]]["reason"] == "the scene: is broken; mend it"
    assert found[ids[3]]["reason"] == "killed by SIGKILL, perhaps for lack of memory" or os.name == "nt"
    assert found[ids[0]]["verdict"] == "pass"
    as_json = json.loads((tmp_path / "out" / "results.json").read_text())["scenes"]
    assert [row["id"] for row in as_json] == ids
    assert as_json[0]["warnings"] == ["of a scene without pixels"]
    assert sum("will be tried again" in line for line in lines) == 2
    assert sum(": failed, " in line for line in lines) == 2
    assert not hidden(tmp_path / "out")


def test_a_batch_that_is_done_does_nothing_again(tmp_path: Path) -> None:
    ids = make_scenes(tmp_path / "in", "ok", "fail", "ok")
    run_batch(batch(tmp_path / "in", tmp_path / "out"))
    table = (tmp_path / "out" / "results.csv").read_bytes()
    (tmp_path / "out" / "results.json").unlink()
    lines: list[str] = []
    summary = run_batch(batch(tmp_path / "in", tmp_path / "out"), lines.append)
    assert (summary.done, summary.failed) == (2, 1)
    assert lines == ["3 of 3 scenes are done or have failed already"]
    assert (tmp_path / "out" / "results.csv").read_bytes() == table
    assert [log(tmp_path / "in" / scene) for scene in ids] == [["begin", "end"], ["begin"], ["begin", "end"]]


def test_failed_scenes_are_tried_again_when_asked_for(tmp_path: Path) -> None:
    ids = make_scenes(tmp_path / "in", "fail", "again 9", "ok")
    run_batch(batch(tmp_path / "in", tmp_path / "out", max_attempts=1))
    for scene in ids[:2]:
        (tmp_path / "in" / scene / "how").write_text("ok")
    assert run_batch(batch(tmp_path / "in", tmp_path / "out", max_attempts=1)).failed == 2
    assert summarize(batch(tmp_path / "in", tmp_path / "out", retry_failed=True)).free == 2
    summary = run_batch(batch(tmp_path / "in", tmp_path / "out", max_attempts=1, retry_failed=True))
    assert (summary.done, summary.failed) == (3, 0)
    assert log(tmp_path / "in" / ids[2]) == ["begin", "end"]
    assert {row["outcome"] for row in rows(tmp_path / "out").values()} == {"success"}


def test_a_product_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    """Its process was killed after the product was whole, before that was recorded."""
    (scene,) = make_scenes(tmp_path / "in", "ok")
    run_batch(batch(tmp_path / "in", tmp_path / "out"))
    for path in (tmp_path / "out" / "ledger").rglob("*.success.json"):
        path.unlink()
    claim = next((tmp_path / "out" / "ledger").rglob("attempt=1.json"))
    claim.write_text(json.dumps(json.loads(claim.read_text()) | {"pid": 2**30}))
    assert run_batch(batch(tmp_path / "in", tmp_path / "out")).done == 1
    assert rows(tmp_path / "out")[scene]["reason"] == "was there already"
    assert log(tmp_path / "in" / scene) == ["begin", "end"]


def test_a_product_of_other_options_is_not_adopted(tmp_path: Path) -> None:
    (scene,) = make_scenes(tmp_path / "in", "ok")
    run_batch(batch(tmp_path / "in", tmp_path / "out"))
    shutil.rmtree(tmp_path / "out" / "ledger")
    item = tmp_path / "out" / f"{scene}_S2L" / f"{scene}.json"
    content = json.loads(item.read_text())
    content["properties"] |= {"l8s2:model": "compact", "l8s2:model_sha256": "0123456789"}
    item.write_text(json.dumps(content))
    asked = {"model": "mine (89abcdef)"}
    assert run_batch(batch(tmp_path / "in", tmp_path / "out", asked=asked)).failed == 1
    assert (
        "was made with model compact (01234567), not mine (89abcdef); remove" in rows(tmp_path / "out")[scene]["reason"]
    )
    again = batch(tmp_path / "in", tmp_path / "out", asked={"model": "compact (01234567)"}, retry_failed=True)
    assert run_batch(again).done == 1
    assert log(tmp_path / "in" / scene) == ["begin", "end"]


def test_three_processes_do_every_scene_once(tmp_path: Path) -> None:
    ids = make_scenes(tmp_path / "in", *["ok"] * 6)
    processes = [start(tmp_path / "in", tmp_path / "out", workers=1) for _ in range(3)]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert all(log(tmp_path / "in" / scene) == ["begin", "end"] for scene in ids)
    assert list(rows(tmp_path / "out")) == ids
    assert len(json.loads((tmp_path / "out" / "collection.json").read_text())["links"]) == len(ids)


@pytest.mark.posix
@pytest.mark.parametrize("same_machine", [True, False])
def test_what_a_killed_process_began_is_done_by_others(tmp_path: Path, same_machine: bool) -> None:
    ids = make_scenes(tmp_path / "in", "slow 30", "ok", "ok")
    lease = 60 if same_machine else 1
    first = start(tmp_path / "in", tmp_path / "out", lease=lease, workers=1)
    until(lambda: bool(log(tmp_path / "in" / ids[0])), first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    (tmp_path / "in" / ids[0] / "how").write_text("ok")
    if not same_machine:
        claim = next((tmp_path / "out" / "ledger" / f"id={ids[0]}").glob("attempt=1.json"))
        claim.write_text(json.dumps(json.loads(claim.read_text()) | {"machine": "elsewhere"}))
    began = time.monotonic()
    summary = run_batch(batch(tmp_path / "in", tmp_path / "out", lease=lease))
    assert summary.done == 3
    assert same_machine or time.monotonic() - began >= 1
    assert log(tmp_path / "in" / ids[0]) == ["begin", "begin", "end"]
    found = rows(tmp_path / "out")
    assert [found[scene]["attempt"] for scene in ids] == ["2", "1", "1"]
    lost = json.loads((tmp_path / "out" / "ledger" / f"id={ids[0]}" / "attempt=1.lost.json").read_text())
    assert lost["reason"].startswith("nothing was heard")
    assert not hidden(tmp_path / "out")


@pytest.mark.posix
def test_processes_killed_at_random_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    ids = make_scenes(tmp_path / "in", *["slow 0.2"] * 8)
    chance, claims = random.Random(0), tmp_path / "out" / "ledger"
    processes = [start(tmp_path / "in", tmp_path / "out") for _ in range(2)]
    for kill in range(6):
        until(lambda least=kill: len(list(claims.glob("*/attempt=*[0-9].json"))) > least, processes[kill % 2])
        time.sleep(chance.uniform(0, 0.3))
        processes[kill % 2].kill()
        processes[kill % 2].communicate()
        processes[kill % 2] = start(tmp_path / "in", tmp_path / "out")
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert all(log(tmp_path / "in" / scene).count("end") <= 1 for scene in ids)
    assert sorted(path.name for path in (tmp_path / "out").glob("*_S2L")) == [f"{scene}_S2L" for scene in ids]
    assert {row["outcome"] for row in rows(tmp_path / "out").values()} == {"success"}
    assert len(rows(tmp_path / "out")) == len(ids)


def test_who_has_nothing_to_do_waits_for_the_others(tmp_path: Path) -> None:
    (scene,) = make_scenes(tmp_path / "in", "slow 1")
    processes = [start(tmp_path / "in", tmp_path / "out") for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert log(tmp_path / "in" / scene) == ["begin", "end"]
    assert sum("done in" in text for text in said) == 1


def test_an_attempt_gives_signs_of_life(tmp_path: Path) -> None:
    (scene,) = make_scenes(tmp_path / "in", "slow 0.5")
    run_batch(batch(tmp_path / "in", tmp_path / "out", lease=0.4))
    claim = json.loads((tmp_path / "out" / "ledger" / f"id={scene}" / "attempt=1.json").read_text())
    assert claim["beats"] >= 2


def test_a_machine_on_which_every_scene_fails_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l8s2.batch.run.ALIKE", 3)
    make_scenes(tmp_path / "in", "ok", "fail", "ok", *["fail"] * 5)
    with pytest.raises(InputError, match="3 scenes failed alike: the scene: is broken; mend it; correct that"):
        run_batch(batch(tmp_path / "in", tmp_path / "out", workers=1))
    assert summarize(batch(tmp_path / "in", tmp_path / "out")).free == 2
    assert len(rows(tmp_path / "out")) == 6


@pytest.mark.posix
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_half_product_and_the_same_command_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    ids = make_scenes(tmp_path / "in", "ok", "slow 30", "slow 30")
    command = [
        sys.executable, "-c",
        "import l8s2.batch.run as r, making.batches as b; r.Batch.__init__.__kwdefaults__['program'] = b.PROGRAM\n"
        "from l8s2.cli import main; main()", "batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"),
        "--workers", "2",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: all(log(tmp_path / "in" / scene) for scene in ids), process)
    until(lambda: len(hidden(tmp_path / "out")) >= 2, process)
    process.send_signal(how)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == (
        "l8s2: interrupted; 1 of 3 scenes are done; the same command goes on where it stopped"
    )
    assert sorted(path.name for path in (tmp_path / "out").glob("*_S2L")) == [f"{ids[0]}_S2L"]
    assert not hidden(tmp_path / "out")
    for scene in ids[1:]:
        (tmp_path / "in" / scene / "how").write_text("ok")
    assert run_batch(batch(tmp_path / "in", tmp_path / "out", lease=300, max_attempts=1)).done == 3
    assert log(tmp_path / "in" / ids[0]) == ["begin", "end"]


def test_other_options_are_refused(tmp_path: Path) -> None:
    make_scenes(tmp_path / "in", "ok")
    run_batch(batch(tmp_path / "in", tmp_path / "out", options=("--model", "compact")))
    said = "begun with --model compact, `lease` 60; this command has no options of harmonize, `lease` 60; give the opt"
    for ask in (run_batch, summarize):
        with pytest.raises(InputError, match=said):
            ask(batch(tmp_path / "in", tmp_path / "out"))
    assert run_batch(batch(tmp_path / "in", tmp_path / "out", options=("--model", "compact"), own_options=("-x",))).done


def test_a_machine_without_a_temporary_folder_fails_no_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that may write only its output."""
    make_scenes(tmp_path / "in", "ok")
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: [str(tmp_path / "none")])
    with pytest.raises(InputError, match=r"No usable temporary directory .*; set TMPDIR to a folder"):
        run_batch(batch(tmp_path / "in", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_shards_share_nothing_and_leave_nothing() -> None:
    scenes = [BatchScene(id=scene_id(number), product="x") for number in range(25, 0, -1)]
    parts = [shard_of(scenes, f"{i}/4") for i in range(4)]
    assert sorted(scene.id for part in parts for scene in part) == sorted(scene.id for scene in scenes)
    assert sorted(map(len, parts)) == [6, 6, 6, 7]
    for wrong in ("4/4", "1", "a/b", "-1/4", "0/0", "0/\u00b2"):
        with pytest.raises(InputError, match="must be I/N"):
            shard_of(scenes, wrong)


def test_collection_and_catalogue_are_valid(tmp_path: Path) -> None:
    import pystac

    ids = make_scenes(tmp_path / "in", "ok", "fail", "ok")
    run_batch(batch(tmp_path / "in", tmp_path / "out"))
    collection = pystac.Collection.from_file(str(tmp_path / "out" / "collection.json"))
    assert [item.id for item in collection.get_items()] == [f"{ids[0]}_S2L", f"{ids[2]}_S2L"]
    catalog = pystac.Catalog.from_file(str(tmp_path / "out" / "catalog.json"))
    for document in (collection, catalog):
        check_stac(document.to_dict(include_self_link=False, transform_hrefs=False))
    assert [item.id for item in catalog.get_items(recursive=True)] == [item.id for item in collection.get_items()]
    assert collection.extent.spatial.bboxes == [[1, 8, 4, 9]]
    begin, end = collection.extent.temporal.intervals[0]
    assert (begin.day, end.day) == (1, 3)
