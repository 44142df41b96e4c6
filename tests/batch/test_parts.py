"""The decision about a scene, stores, machines and what names scenes."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l8s2.batch.child import Children
from l8s2.batch.folder_output import FolderStore
from l8s2.batch.ledger import FAILED, INTERRUPTED, LOST, RETRY, SUCCESS, Rules, next_step
from l8s2.batch.machine import default_workers, is_dead
from l8s2.batch.output import matches
from l8s2.batch.results import Results
from l8s2.batch.scenes import BatchScene, by_overpass, read_scenes
from l8s2.errors import InputError
from l8s2.system import machine
from l8s2.system.machine import cores, machine_id, memory
from making.items import landsat

ENDINGS = st.sampled_from([FAILED, RETRY, LOST, INTERRUPTED])
A, B = "LC08_L2SP_143054_20230520_20230524_02_T1", "LC09_L2SP_143054_20230528_20230601_02_T1"


@given(st.lists(ENDINGS, max_size=8), st.integers(1, 4), st.floats(0, 1e4))
def test_a_scene_is_tried_as_often_as_is_allowed(endings: list[str], most: int, quiet: float) -> None:
    rules = Rules(max_attempts=most)
    attempts: dict[int, str | None] = dict(enumerate(endings, 1))
    step = next_step(attempts, quiet, rules)
    counted = sum(ending != INTERRUPTED for ending in endings)
    last = endings[-1] if endings else None
    assert (step == "failed") == (last == FAILED or (last in (RETRY, LOST) and counted >= most))
    assert next_step({**attempts, 9: SUCCESS}, quiet, rules) == "done"
    assert next_step({**attempts, 9: None}, quiet, rules) == ("busy" if quiet < rules.lease else "lost")
    assert next_step(attempts, 1e9, rules, forgiven=len(endings)) == "claim"
    if step == "wait":
        assert last == RETRY
        assert next_step(attempts, 1e9, rules) == "claim"


def test_of_many_that_create_a_file_one_does(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "out")
    contents = [f"{i} {'x' * 5000}".encode() for i in range(16)]
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda content: store.create("a/b.json", content), contents))
    assert sum(won) == 1
    assert store.get("a/b.json") == contents[won.index(True)]
    (key,), before = store.list("a/"), store.list("a/")
    store.put(key, b"new")
    assert store.list("a/").keys() == before.keys()
    assert store.list("a/") != before
    store.delete(key)
    assert (store.get(key), store.list("a/"), store.list("none/")) == (None, {}, {})


def test_only_processes_of_this_machine_are_known_to_be_dead() -> None:
    assert is_dead(machine_id(), 2**30) or os.name == "nt"
    assert is_dead(machine_id(), 2**80) or os.name == "nt"
    assert not is_dead(machine_id(), os.getpid())
    assert not is_dead("elsewhere", 2**30)
    assert not is_dead(None, None)
    assert 1 <= default_workers() <= cores()
    assert memory() > 0


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        ("0::/job/step\n", {"job/cpu.max": "100000 50000", "job/memory.max": "8000", "job/step/memory.max": "max",
                           "job/memory.current": "6000", "job/memory.stat": "anon 1000\ninactive_file 5000"}),
        ("0::/j\u00f6b/step\n", {"j\u00f6b/cpu.max": "200000 100000", "j\u00f6b/memory.max": "8000",
                                "j\u00f6b/memory.current": "6000", "j\u00f6b/memory.stat": "inactive_file 5000"}),
        ("3:cpu,cpuacct:/job/step\n2:memory:/job/step\n0::/\n",
         {"cpu/job/cpu.cfs_quota_us": "200000", "cpu/job/cpu.cfs_period_us": "100000", "cpu/cpu.cfs_quota_us": "-1",
          "memory/job/step/memory.limit_in_bytes": "8000", "memory/job/step/memory.usage_in_bytes": "6000",
          "memory/job/step/memory.stat": "inactive_file 0\ntotal_inactive_file 5000"}),
    ],
)  # fmt: skip
def test_limits_of_a_job_are_kept(
    membership: str, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job is no container: its groups lie below the root of those that are seen."""
    for name, text in {"membership": membership, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(machine, "_MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(machine, "_GROUPS", tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(64), raising=False)
    assert (cores(), memory()) == (2, 7000)


@pytest.mark.posix
@pytest.mark.parametrize("stopped", [True, False])
def test_a_signal_that_parent_and_child_get_together_interrupts(
    stopped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from Slurm and systemd, which send it to every process of a job; the child may be the first to end."""
    monkeypatch.setattr("l8s2.batch.child._TOGETHER", 0.2)
    children = Children()
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(children.run, ["sh", "-c", "kill -TERM $$"], tmp_path, lambda: None, 1)
        time.sleep(0.05)
        if stopped:
            children.stop()
    assert (ended.result().code, ended.result().interrupted) == (-15, stopped)


@pytest.mark.posix
def test_what_a_killed_child_has_unpacked_goes_with_its_attempt(tmp_path: Path) -> None:
    Children().run(["sh", "-c", 'touch "$TMPDIR/unpacked"; kill -KILL $$'], tmp_path, lambda: None, 1)
    assert (tmp_path / "unpacked").exists()


def test_a_record_that_a_power_cut_has_emptied_spoils_no_table(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put(f"ledger/id={A}/attempt=1.success.json", b"")
    results = Results(store, "out")
    assert results.write({A: {1: SUCCESS}})
    results.finish(pytest.fail)


def test_products_folders_and_lists(tmp_path: Path) -> None:
    for name in (A, A.replace("L2SP", "L1TP")):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / f"{name}_MTL.txt").touch()
    (tmp_path / "in" / f"{B}.tar").touch()
    loose = tmp_path / "mine"
    loose.mkdir()
    (loose / f"{A}_SR_B2.TIF").touch()
    listed = tmp_path / "scenes.txt"
    listed.write_text(f"# three\n{tmp_path / 'in' / A}\n\n{tmp_path / 'gone'}\n{B}\nhttps://x.test/items/{A}_SR\n")
    found = read_scenes([str(tmp_path / "in")])
    assert [scene.id for scene in found.scenes] == [A, B]
    assert found.scenes[1].product == str(tmp_path / "in" / f"{B}.tar")
    assert read_scenes([str(loose)]).scenes == (BatchScene(id=A, product=str(loose)),)
    assert read_scenes([str(tmp_path / "in" / A)]).scenes == found.scenes[:1]
    many = read_scenes([str(listed), B, str(tmp_path / "in")])
    assert many.scenes == (*found.scenes[:1], BatchScene(id="gone", product=str(tmp_path / "gone")),
                           BatchScene(id=B, stac=B))  # fmt: skip
    assert [note.rpartition(": ")[0] for note in many.notes] == [str(tmp_path / "gone"), A, B, A, B]
    assert many.notes[1].endswith(f"given twice; {tmp_path / 'in' / A} is taken")
    assert many.scenes[2].arguments(tmp_path) == ("--stac", B)
    for wrong in (str(tmp_path / "gone"), str(tmp_path)):
        if wrong == str(tmp_path):
            continue
        with pytest.raises(InputError, match="no such file, folder or product id"):
            read_scenes([wrong])


def test_names_that_are_alike_are_scenes_of_their_own(tmp_path: Path) -> None:
    listed = tmp_path / "scenes.txt"
    listed.write_text("foo bar\nfoo-bar\nfoo bar\na/x.tar\nb/x.tar\n")
    found = read_scenes([str(listed)])
    where = [os.path.abspath(name) for name in ("foo bar", "foo-bar", "a/x.tar", "b/x.tar")]
    assert [scene.product for scene in found.scenes] == where  # for workers elsewhere, and against leading dashes
    assert len({scene.id for scene in found.scenes}) == 4
    assert found == read_scenes([str(listed)])
    assert not any(scene.is_there for scene in found.scenes)
    assert sum("it will fail" in note for note in found.notes) == 5
    assert sum("given twice; foo bar is taken" in note for note in found.notes) == 1


def test_a_saved_search(tmp_path: Path) -> None:
    item = landsat("20230520", "143054", level="L2SP", satellite=8, processed="20230524", lon=79.0, lat=8.5, zone=44)
    pan = landsat("20230520", "143054", level="L1TP", satellite=8, processed="20230524", lon=79.0, lat=8.5, zone=44)
    text = json.dumps({"type": "FeatureCollection", "features": [item, pan, {"id": "S2A_MSIL2A"}, 3]})
    found = read_scenes(["-"], text)
    (scene,) = found.scenes
    assert (scene.id, len(found.notes)) == (A, 3)
    option, path = scene.arguments(tmp_path)
    assert option == "--stac"
    assert json.loads(Path(path).read_text()) == item
    for broken in ("", "[]", '{"type": "FeatureCollection"}', '{"schema": "l8s2-pairs/1"}'):
        with pytest.raises(InputError, match="standard input: no STAC items"):
            read_scenes(["-"], broken)
    with pytest.raises(InputError, match="names no Landsat Level-2 scene"):
        read_scenes(["-"], '{"type": "FeatureCollection", "features": []}')


def test_products_are_found_where_a_catalogue_leaves_the_date_of_processing_out() -> None:
    short = A.replace("_20230524", "")
    assert matches(f"{A}_S2L/{A}.json", A)
    assert matches(f"{A}_S2L/{A}.json", short)
    assert not matches(f"{B}_S2L/{B}.json", short)
    assert not matches(f"{A}_S2L/attempt=2/{A}.json", A)


def test_scenes_of_one_overpass_become_one_product(tmp_path: Path) -> None:
    def scene(text: str) -> BatchScene:
        return BatchScene(id=text, product=str(tmp_path / text))

    a, b = "LC08_L2SP_143054_20230520_20230524_02_T1", "LC08_L2SP_143055_20230520_20230524_02_T1"
    newer, early = a.replace("20230524", "20240101"), a.replace("T1", "RT")
    others = [a.replace("20230520", "20230605"), a.replace("143054", "144054"), a.replace("LC08", "LC09"), "no-name"]
    found = by_overpass(map(scene, [b, a, newer, early, *others]), "43phq")
    assert [each.id for each in found.scenes] == ["LC08_L2SP_143_20230520_43PHQ", *others]
    assert [each.id for each in found.scenes[0].members] == [newer, b]
    assert found.scenes[0].arguments(tmp_path) == (str(tmp_path / newer), str(tmp_path / b))
    assert [note.partition(":")[0] for note in found.notes] == [a, early]
    assert found.scenes[0].is_on_disk
    assert not found.scenes[0].is_there
    item = BatchScene(id=b, item="{}")
    fetched = by_overpass([BatchScene(id=a, stac=a), item], "43PHQ").scenes[0]
    assert fetched.arguments(tmp_path) == ("--stac", a, "--stac", str(tmp_path / f"{b}.json"))
    with pytest.raises(InputError, match="partly on disk"):
        by_overpass([scene(a), item], "43PHQ")
