"""Runs the cases of some kinds in this process, and tells of each before and after.

python -m damage.child SEED MOST KIND:FIRST ...    MOST cases of each kind (0: all), from the case FIRST on
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from damage.case import Case, Kind, some
from damage.kinds import KINDS
from l8s2.errors import L8S2Error

ROOM = 1 << 30
"""Bytes that a case may take."""
LONGEST = 400
"""Characters of a line."""


def tell(out: Any, **what: Any) -> None:
    out.write(
        json.dumps({k: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for k, v in what.items()})
    )
    out.write("\n")
    out.flush()


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """No more than ROOM of addresses beyond those of now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)


def tree(folder: Path) -> dict[str, Any]:
    """What lies in a folder; hidden names are drafts of what goes on later."""
    found = {}
    for here, below, names in os.walk(folder):
        for name in (*below, *names):
            path = Path(here) / name
            if not (name == "out" or (name.startswith(".") and "out" in path.relative_to(folder).parts)):
                about = path.lstat()
                found[str(path)] = (about.st_size, about.st_mtime_ns) if name in names else ()
    return found


def outcome(
    kind: Kind, case: Case, sound: Path, expected: bytes, work: Path, ready: Callable[[], object]
) -> tuple[str, str]:
    """Damage a copy and read it: ``refused``, ``read`` or ``violation``, and what was said."""
    folder = work / "case"
    shutil.copytree(sound, folder, symlinks=True)
    try:
        try:
            case.damage(folder)
        except Exception:  # it cannot be done to this file
            return "none", ""
        before = tree(work)
        ready()
        line, result = None, b""
        try:
            with limited():
                result = kind.read(folder)
        except L8S2Error as error:
            line = str(error)
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)
            ours = [f"{Path(f.filename).name}:{f.lineno}" for f in where if "l8s2" in f.filename][-3:]
            return "violation", f"{type(error).__name__}: {str(error)[:200]} at {' '.join(ours)}"
        if line is not None and (len(line.splitlines()) != 1 or not line.strip() or len(line) > 2000):
            return "violation", f"not one line of words: {line[:LONGEST]!r}"
        if (after := tree(work)) != before:  # what an error still held is gone by now
            return "violation", f"something was written: {set(after) ^ set(before)}; {line}"[:LONGEST]
        if line is not None:
            return "refused", line[:LONGEST]
        if case.strict and result != expected:
            return "violation", "part of the input is gone, and another result came out without a word"
        return "read", ""
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def work_on(kind: Kind, seed: int, most: int, first: int, out: Any) -> None:
    work = Path(tempfile.mkdtemp(prefix="damage-"))
    sound = Path(tempfile.mkdtemp(prefix="sound-"))
    try:
        kind.make(sound)
        expected = kind.read(sound)
        if kind.read(sound) != expected:
            raise AssertionError(f"{kind.name}: two results from one sound input")
        shutil.rmtree(sound / "out", ignore_errors=True)
        rng = random.Random(f"{seed} {kind.name}")
        cases = list(kind.cases(sound, rng))
        cases = some(cases, most, rng) if most else cases
        os.environ["TMPDIR"] = tempfile.tempdir = str(work / "tmp")
        (work / "tmp").mkdir()
        for number, case in enumerate(cases[first:], first):
            began: list[float] = []

            def ready(number: int = number, case: Case = case, began: list[float] = began) -> None:
                tell(out, kind=kind.name, case=number, name=case.name)
                began.append(time.monotonic())

            what, said = outcome(kind, case, sound, expected, work, ready)
            if what == "none":
                continue
            tell(out, outcome=what, said=said, seconds=time.monotonic() - began[0])
    finally:
        tempfile.tempdir = None
        os.environ.pop("TMPDIR", None)
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(sound, ignore_errors=True)


def main() -> None:
    seed, most, *kinds = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        if descriptor == 1 or "DAMAGE_LOUD" not in os.environ:
            os.dup2(nowhere, descriptor)
    for each in kinds:
        name, _, first = each.partition(":")
        work_on(KINDS[name], int(seed), int(most), int(first or 0), out)
    tell(out, done=True)


if __name__ == "__main__":
    main()
