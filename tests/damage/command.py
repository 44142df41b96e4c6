"""Cases through the command line: exit code 1, one line, no traceback; or 0."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from damage.kinds import KINDS
from damage.run import Outcome


def through_commands(kinds: Sequence[str], seed: int, most: int) -> Iterator[Outcome]:
    """Run so many cases, drawn from these kinds in turn."""
    rng = random.Random(seed)
    names = [name for name in kinds if KINDS[name].command is not None]
    for number in range(most if names else 0):
        kind = KINDS[names[number % len(names)]]
        assert kind.command is not None
        with tempfile.TemporaryDirectory() as made:
            work, folder = Path(made), Path(made) / "case"
            folder.mkdir()
            kind.make(folder)
            case = rng.choice(list(kind.cases(folder, random.Random(f"{seed} {kind.name}"))))
            case.damage(folder)
            before = sorted(path for path in work.rglob("*"))
            began = time.monotonic()
            environment = os.environ | {
                "OMP_NUM_THREADS": "1",
                "XDG_CONFIG_HOME": made,
                "XDG_CACHE_HOME": f"{made}/cache",
            }
            try:
                done = subprocess.run(
                    [sys.executable, "-m", "l8s2.cli", *kind.command(folder)], capture_output=True, env=environment,
                    timeout=60, text=True, errors="replace", cwd=made,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                yield Outcome(kind.name, case.name, "violation", "no end after 60 s", 60.0)
                continue
            seconds = time.monotonic() - began
            said = [line for line in done.stderr.splitlines() if line.startswith("l8s2: ")]
            loud = [line for line in done.stderr.splitlines() if not line.startswith(("l8s2: ", "warning: "))]
            after = sorted(path for path in work.rglob("*") if "cache" not in path.parts)
            what = "violation"
            if done.returncode == 0:
                what = "read"
            elif (kind.name == "item-verify" and done.returncode == 1 and "Traceback" not in done.stderr) or (
                done.returncode == 1 and len(said) == 1 and not loud and after == before
            ):
                what = "refused"
            new = sorted(map(str, set(after) - set(before)))
            yield Outcome(kind.name, case.name, what, f"{done.returncode}: {done.stderr.strip()[-300:]} {new}", seconds)
            shutil.rmtree(work, ignore_errors=True)
