"""Building a set: whole or not at all, whoever builds it, however often it is killed."""

import multiprocessing
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import making.patches
from l8s2.datasets.set_pairs import ShardPairs
from l8s2.errors import InputError
from l8s2.patches.patch_set import PatchSet
from l8s2.system.locks import lock
from making.patches import build, of_unit

pytest.importorskip("h5py")
BUILDER = Path(making.patches.__file__)


def test_what_fails_is_not_recorded_and_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> object:
        yield next(of_unit(0))
        raise InputError("the download broke off")

    patches = PatchSet(tmp_path)
    with pytest.raises(InputError, match="broke off"):
        patches.add("u00", broken())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="differs"):
        patches.add("u00", [next(of_unit(0)), replace(next(of_unit(1)), pan=None)])
    assert not any((tmp_path / "shards").iterdir())
    assert patches.add("u00", of_unit(0))


def test_a_shard_gets_its_name_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(OSError, match="no"):
        PatchSet(tmp_path).add("u00", of_unit(0))
    assert not any((tmp_path / "shards").iterdir())


def test_a_lock_on_a_file_that_is_gone_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    real, path, calls = fcntl.flock, tmp_path / "part", []

    def flock(handle: int, how: int) -> None:
        calls.append(how)
        if len(calls) == 1:  # whoever had the lock has just published or given up
            path.unlink()
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with lock(path, make=True, without_locks=None) as mine:
        assert mine
        assert path.exists()


@pytest.mark.posix
@pytest.mark.parametrize("delay", [0.05, 0.3, 0.6])
def test_killed_while_writing_and_resumed(tmp_path: Path, delay: float) -> None:
    whole = build(tmp_path / "whole", list(range(8)))
    folder = tmp_path / "killed"
    command = [sys.executable, str(BUILDER), str(folder), "8", "0.05"]
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            if not process.stdout.readline():  # the first unit of this run; none is left the second time at worst
                continue
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        patches = PatchSet(folder)  # readable as it is
        for i in range(len(patches)):
            assert patches.read(i).ms.shape == (6, 8, 8)
        assert set(patches.write_index().read_bytes().splitlines()) <= set(whole.splitlines())
    subprocess.run([*command[:-1], "0"], check=True, stdout=subprocess.DEVNULL)
    assert (folder / "index.csv").read_bytes() == whole
    assert [p.name for p in (folder / "shards").iterdir() if p.name.startswith(".")] == []


def test_two_processes_build_one_set(tmp_path: Path) -> None:
    whole = build(tmp_path / "whole", list(range(8)))
    folder = tmp_path / "shared"
    command = [sys.executable, str(BUILDER), str(folder), "8", "0.03"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    made = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(made[0] + made[1]) == sorted(map(str, range(8)))  # each unit by one of them, once
    assert PatchSet(folder).write_index().read_bytes() == whole


def test_a_unit_in_other_hands_is_left_to_them(tmp_path: Path) -> None:
    patches = PatchSet(tmp_path)

    def slow() -> object:
        assert not PatchSet(tmp_path).add("u00", iter_must_not_start())
        yield from of_unit(0)

    assert patches.add("u00", slow())  # type: ignore[arg-type]


def iter_must_not_start() -> object:
    raise AssertionError("the unit is not ours")
    yield


def _read(pairs: ShardPairs, queue: "multiprocessing.Queue[float]") -> None:
    queue.put(float(pairs[0].ms.sum()))


def test_readers_survive_forks_and_pickling(tmp_path: Path) -> None:
    build(tmp_path, [0])
    pairs = ShardPairs(tmp_path)
    expected = float(pairs[0].ms.sum())
    assert float(pickle.loads(pickle.dumps(pairs))[0].ms.sum()) == expected
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_read, args=(pairs, queue))
    with pairs.patches._reader._lock:  # as another thread would at that moment
        process.start()
    assert queue.get(timeout=60) == expected
    process.join()


def test_bad_folders_and_files_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no training set"):
        len(PatchSet(tmp_path / "nothing"))
    with pytest.raises(InputError, match="letters, digits"):
        PatchSet(tmp_path).add("../up", [])
    build(tmp_path, [0])
    shard = tmp_path / "shards/u00.h5"
    shard.write_bytes(shard.read_bytes()[:4000])
    with pytest.raises(InputError, match=r"u00\.h5: damaged; delete it and resume"):
        len(PatchSet(tmp_path))


def test_files_of_a_later_version_are_refused(tmp_path: Path) -> None:
    import h5py

    build(tmp_path, [0])
    with h5py.File(tmp_path / "shards/u00.h5", "r+") as file:
        file.attrs["schema"] = 99
    with pytest.raises(InputError, match="schema 99"):
        len(PatchSet(tmp_path))


def test_h5py_missing_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"pip install 'l8s2\[train\]'"):
        PatchSet(tmp_path).add("u00", of_unit(0))
