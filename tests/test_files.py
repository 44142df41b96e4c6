"""Files that appear whole."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from l8s2.files import whole_file


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
    dead, alive, elsewhere = (
        tmp_path / f".a.txt.{writer}"
        for writer in (f"{platform.node()}-{gone.pid}", f"{platform.node()}-{os.getppid()}", f"elsewhere-{gone.pid}")
    )
    for draft in (dead, alive, elsewhere):
        draft.touch()
    with whole_file(path) as draft:
        draft.touch()
    assert set(tmp_path.iterdir()) == {path, alive, elsewhere}
