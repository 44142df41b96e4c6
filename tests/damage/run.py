"""Runs kinds of damage in child processes, which may hang or die without harm."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

LONGEST = 10.0
"""Seconds for a case."""
START = 120.0
"""Seconds until the first case: imports, and the sound input."""


class Outcome(NamedTuple):
    """What became of a case."""

    kind: str
    name: str
    what: str
    """``refused`` in one line, ``read`` to a result, or ``violation``."""
    said: str
    seconds: float


def run(kinds: Sequence[str], seed: int = 0, most: int = 0) -> Iterator[Outcome]:
    """Yield the outcome of every case. A child that dies or hangs is ended, its case named, and the rest goes on."""
    left = [f"{kind}:0" for kind in kinds]
    while left:
        case: dict[str, Any] | None = None
        with _child(left, seed, most) as child:
            why = None
            for line in _lines(child):
                if line is None:
                    why = f"no answer after {LONGEST:g} s"
                    child.kill()
                    break
                if "done" in line:
                    return
                if "case" in line:
                    case = line
                    here = next(i for i, each in enumerate(left) if each.startswith(f"{line['kind']}:"))
                    left = [f"{line['kind']}:{line['case'] + 1}", *left[here + 1 :]]
                else:
                    assert case is not None
                    yield Outcome(case["kind"], case["name"], line["outcome"], line["said"], line["seconds"])
                    case = None
            child.wait()
            if case is None:
                raise RuntimeError(f"the child of {left} ended with {child.returncode} between cases; {why}")
            yield Outcome(case["kind"], case["name"], "violation", why or f"it died: {child.returncode}", 0.0)


def _child(left: Sequence[str], seed: int, most: int) -> subprocess.Popen[bytes]:
    tests = Path(__file__).parents[1]
    paths = [str(tests), str(tests.parent / "src"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    command = [sys.executable, "-m", "damage.child", str(seed), str(most), *left]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=tests)


def _lines(child: subprocess.Popen[bytes]) -> Iterator[dict[str, Any] | None]:
    """Yield what a child says; None where it says nothing for too long."""
    assert child.stdout is not None
    rest, limit = b"", START
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(limit):
                yield None
                return
            if not (more := os.read(child.stdout.fileno(), 1 << 16)):
                return
            *whole, rest = (rest + more).split(b"\n")
            for text in whole:
                line = json.loads(text)
                limit = LONGEST if "case" in line else START
                yield line
