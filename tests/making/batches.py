"""Scenes of a batch without pixels, for a program in the place of ``l8s2 harmonize``.

``python -m making.batches OUT FOLDER LEASE WORKERS`` works off the scenes of a folder.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from l8s2.batch.ledger import Rules
from l8s2.batch.run import Batch, run_batch
from l8s2.batch.scenes import read_scenes

PROGRAM = (sys.executable, "-m", "making.batch_program")


def scene_id(number: int) -> str:
    return f"LC08_L2SP_143054_202305{number:02d}_20230601_02_T1"


def make_scenes(folder: Path, *hows: str) -> list[str]:
    """A scene for each way to go: ``ok``, ``slow SECONDS``, ``fail``, ``again N``, ``die``; returns ids."""
    for number, how in enumerate(hows, 1):
        (folder / scene_id(number)).mkdir(parents=True)
        (folder / scene_id(number) / "how").write_text(how)
    return [scene_id(number) for number in range(1, len(hows) + 1)]


def log(scene: Path) -> list[str]:
    """What was begun and ended at a scene."""
    path = scene / "log"
    return path.read_text().split() if path.exists() else []


def batch(folder: Path | str, output: Path | str, *, lease: float = 60, workers: int = 2, **more: Any) -> Batch:
    rules = Rules(
        lease=lease, pause=0.1, **({"max_attempts": more.pop("max_attempts")} if "max_attempts" in more else {})
    )
    scenes = read_scenes([str(folder)]).scenes
    return Batch(scenes=scenes, output=str(output), rules=rules, workers=workers, program=PROGRAM, **more)


if __name__ == "__main__":
    out, scenes, lease, workers = sys.argv[1:]
    run_batch(batch(scenes, out, lease=float(lease), workers=int(workers), max_attempts=20), print)
