"""Killed at any step that touches the output, and resumed: nothing is lost, and the bytes are the same."""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from l8s2.cog.spool import Spool
from l8s2.landsat.measure_scene import SceneMeasures
from l8s2.pipeline import to_product
from l8s2.product.writer import ProductWriter
from making.scenes import ID, Copying, make, ms_grid

pytestmark = pytest.mark.posix
KILLED, WINDOWS, RENAMED = 9, 3, 22
_EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}


class Counting(Copying):
    """Writes down each window that it predicts."""

    def __init__(self, log: Path) -> None:
        self.log = log

    tile = 172
    """MS pixels: enough for a tile of the files, 512 pixels of 10 m."""

    def predict_window(self, ms: Any, pan: Any, origin: Any, *, sun_elevation: Any = None) -> tuple[Any, Any, Any]:
        with self.log.open("a") as file:
            file.write(f"{origin}\n")
        return super().predict_window(ms, pan, origin, sun_elevation=sun_elevation)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("in"), ms_grid(350, 8))


def in_a_fork(work: Callable[[], object]) -> int:
    """Run in a copy of this process; returns how it ended."""
    if not (child := os.fork()):
        try:
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def dies_at(last: int, folder: Path, work: Callable[[], object], *, finishing: bool = False) -> bool:
    """Run in a copy of this process that is killed at a step; whether it came so far.

    A step is what the process does to a file of ``folder``; with ``finishing`` they count from ``finish`` on.
    """
    counting, count = [not finishing], [0]

    def step() -> None:
        count[0] += counting[0]
        if count[0] == last and counting[0]:
            os._exit(KILLED)

    def audit(event: str, given: tuple[Any, ...]) -> None:
        if event in _EVENTS and (str(folder) in str(given[0]) or not os.path.isabs(str(given[0]))):  # shutil.rmtree
            step()

    append, finish = Spool.append, ProductWriter.finish

    def counted(spool: Spool, key: Any, data: bytes) -> None:
        step()
        append(spool, key, data)

    def noted(writer: ProductWriter, *given: Any) -> Path:
        counting[0] = True
        return finish(writer, *given)

    def watched() -> None:
        sys.addaudithook(audit)
        Spool.append, ProductWriter.finish = counted, noted  # type: ignore[method-assign]
        work()

    how = in_a_fork(watched)
    assert how in (0, KILLED)
    return how == KILLED


def harmonize(scene: Path, output: Path, log: Path, **options: Any) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(to_product, "load_predictor", lambda _: Counting(log))
        measures = SceneMeasures(pan_shift=None, sharpness=None, noise={"bands": {}})
        patched.setattr(to_product, "measure_scene", lambda *_: measures)
        to_product.harmonize_product(scene, output, **options)


def sums(output: Path) -> dict[str, str]:
    folder = output / f"{ID}_S2L"
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.suffix != ".json"}


@pytest.fixture(scope="module")
def whole(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of an undisturbed run; it imports what forks need."""
    folder = tmp_path_factory.mktemp("whole")
    harmonize(scene, folder / "out", folder / "log")
    assert len((folder / "log").read_text().splitlines()) == WINDOWS
    return sums(folder / "out")


def holds(output: Path, whole: dict[str, str]) -> None:
    assert sums(output) == whole
    assert [path.name for path in output.iterdir()] == [f"{ID}_S2L"]


def test_killed_at_every_step_of_the_end(scene: Path, whole: dict[str, str], tmp_path: Path) -> None:
    output, log, last = tmp_path / "out", tmp_path / "log", 0
    again = partial(harmonize, scene, output, log, resume=True)
    while dies_at(last + 1, output, again, finishing=True):
        last += 1
        assert all(path.name.startswith(".") for path in output.iterdir()) or (output / f"{ID}_S2L").is_dir()
    assert last >= 20
    holds(output, whole)
    assert len(log.read_text().splitlines()) == WINDOWS


@pytest.mark.parametrize("last", [1, 3, 5, 8, 11, 14, 17, 20, 23, 26])
def test_killed_before(scene: Path, whole: dict[str, str], tmp_path: Path, last: int) -> None:
    output, log = tmp_path / "out", tmp_path / "log"
    assert dies_at(last, output, partial(harmonize, scene, output, log))
    harmonize(scene, output, log, resume=True)
    holds(output, whole)
    assert len(log.read_text().splitlines()) <= WINDOWS + Counting.streams


@pytest.mark.parametrize("overwrite", [False, True])
def test_killed_around_the_last_rename(scene: Path, whole: dict[str, str], tmp_path: Path, overwrite: bool) -> None:
    for last in range(RENAMED - 1, RENAMED + 8, 1 if overwrite else 4):
        output, log = tmp_path / f"out{last}", tmp_path / f"log{last}"
        if overwrite:
            (output / f"{ID}_S2L").mkdir(parents=True)
        work = partial(harmonize, scene, output, log, overwrite=overwrite)
        assert dies_at(last, output, work, finishing=True)
        kept = next(output.glob(".*/journal"), None)
        harmonize(scene, output, log, resume=True, overwrite=overwrite)
        holds(output, whole)
        assert len(log.read_text().splitlines()) == WINDOWS or (overwrite and not kept)


def test_killed_again_and_again(scene: Path, whole: dict[str, str], tmp_path: Path) -> None:
    chance, output = random.Random(0), tmp_path / "out"
    again = partial(harmonize, scene, output, tmp_path / "log", resume=True)
    while dies_at(chance.randrange(8, 45), output, again):
        pass
    holds(output, whole)
