"""Files that appear whole, locks."""

import errno
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from l8s2.errors import InputError
from l8s2.files import WholeFolder, cache_dir, fsync, whole_file
from l8s2.system.locks import lock
from l8s2.system.machine import machine_id


def test_a_file_appears_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")

    def write(text: str, fails: bool) -> None:
        with whole_file(path) as draft:
            draft.write_text(text)
            assert path.read_text() == "before"
            if fails:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        write("half", True)
    assert path.read_text() == "before"
    write("after", False)
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot tell whether a process is there")
def test_drafts_of_killed_writers_go_and_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = machine_id().replace("/", "-")
    container = f"{platform.node()}-{gone.pid}"  # of this host, with its name and numbers of processes of its own
    dead, alive, elsewhere = (
        tmp_path / f".a.txt.{writer}" for writer in (f"{here}-{gone.pid}", f"{here}-{os.getppid()}", container)
    )
    for draft in (dead, alive, elsewhere):
        draft.touch()
    with whole_file(path) as draft:
        draft.touch()
    assert set(tmp_path.iterdir()) == {path, alive, elsewhere}


def test_a_locked_draft_takes_the_name_of_the_file(tmp_path: Path) -> None:
    path, part = tmp_path / "a.txt", tmp_path / ".a.part"
    with lock(part, make=True, without_locks=None) as mine, whole_file(path, part) as draft:
        assert mine
        assert draft == part
        draft.write_text("after")
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_one_holds_a_lock_at_a_time(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path if kind == "folder" else tmp_path / "lock"
    for _ in range(2):  # it is free again after the block
        with lock(path, make=kind == "file") as first, lock(path, make=kind == "file") as second:
            assert (first, second) == (True, False)


def test_a_missing_file_is_locked_only_where_it_may_be_made(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with pytest.raises(FileNotFoundError), lock(tmp_path / "gone"):
        pass
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("answer", [True, False])
def test_without_locks_the_block_gets_what_it_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    with lock(tmp_path, without_locks=answer) as mine:
        assert mine is answer
    refusal = pytest.raises(InputError, match=r"cannot be locked \(No locks available\); use a local disk")
    with refusal, lock(tmp_path / "a", make=True, without_locks=None):
        pass


def test_a_folder_whose_name_begins_alike_is_left_alone(tmp_path: Path) -> None:
    with WholeFolder(tmp_path / "run.b") as other:
        with WholeFolder(tmp_path / "run") as whole:
            whole.publish()
        other.publish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.b"]


def test_where_the_system_has_no_locks_one_process_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l8s2.system.locks.fcntl", None)
    for asked, got in ((True, True), (False, False), (None, True)):
        with lock(tmp_path, without_locks=asked) as mine:
            assert mine is got


def test_the_cache_is_where_the_system_has_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "l8s2"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "l8s2"


@pytest.mark.parametrize(("system", "flags"), [("nt", os.O_RDWR), ("posix", os.O_RDONLY)])
def test_a_file_is_flushed_as_the_system_wants_it(
    system: str, flags: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows flushes only files that are open for writing, and opens no folders."""
    path, opened = tmp_path / "x", []
    path.write_text("x")
    system_open = os.open

    def spy(path: Path, flags: int) -> int:
        opened.append(flags)
        return system_open(path, flags)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", spy)
        patched.setattr(os, "fsync", lambda handle: None)
        patched.setattr(os, "name", system)
        fsync(path)
        if system == "nt":
            fsync(tmp_path)
    assert opened == [flags]
