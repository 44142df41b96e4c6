"""What a run leaves on disk: checkpoints that explain themselves, a log without gaps or repeats, pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from l8s2.errors import InputError
from l8s2.files import whole_file

FREE = {
    *("data.simulated.folder", "data.simulated.split", "data.pairs.folder"),
    *("data.deep_harmonization.csv_path", "data.deep_harmonization.patch_path"),
    *("data.workers", "device"),
}
"""Keys that may differ when a run goes on: the data is known by its fingerprint, not by its path."""


@dataclass(frozen=True)
class RunFolder:
    """``last.pt`` and ``best.pt``, ``metrics.jsonl``, ``pictures/``, and at the end ``model/``."""

    path: Path

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """The checkpoint of the best validation."""
        return self.path / "best.pt"

    @property
    def metrics(self) -> Path:
        """One JSON object a line, by ``step``."""
        return self.path / "metrics.jsonl"

    @property
    def model(self) -> Path:
        """The model folder that the run ends with."""
        return self.path / "model"

    def open(self, config: Mapping[str, Any], data: str, *, resume: bool) -> dict[str, Any] | None:
        """Return the checkpoint to go on from; None for a run from the beginning.

        Args:
            config: of the run, plain values.
            data: fingerprint of the data.
            resume: go on where there is something to go on from.

        Raises InputError where the folder holds a run and ``resume`` is False, or a run that was not this one.
        """
        if not self.last.exists():
            return None
        if not resume:
            raise InputError(f"{self.last} exists; continue with `resume` or give another folder")
        state = read_checkpoint(self.last)
        before, now = flat(state["training_config"]), flat(config)
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key) and key not in FREE:
                raise InputError(
                    f"{self.last}: the run began with {key} {before.get(key)}, not {now.get(key)}; "
                    "resume it with its own configuration or give another folder"
                )
        if state["data"] != data:
            raise InputError(f"{self.last}: the run began on other data; bring them back or give another folder")
        return state

    def save(self, path: Path, state: dict[str, Any]) -> None:
        """Write a checkpoint; it is there under its name only when it is whole."""
        self.path.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as draft:
            torch.save(state, draft)

    def forget_after(self, step: int) -> None:
        """Take what was logged after ``step``, only in part, or because a run stopped, out of the log."""
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text(encoding="utf-8").splitlines():
            try:
                known = json.loads(line)
                if known["step"] <= step and "stopped" not in known:
                    kept.append(line + "\n")
            except ValueError:  # cut off in the middle
                continue
        with whole_file(self.metrics) as draft:
            draft.write_text("".join(kept), encoding="utf-8")

    def log(self, line: Mapping[str, Any]) -> None:
        """Add a line."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read what ``RunFolder.save`` wrote, tensors on the processor. Raises InputError where it is something else."""
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        if {"step", "average", "model_config", "architecture"} <= state.keys():
            return state
    except Exception as error:  # rubbish can fail in any way
        raise InputError(f"{path}: not a checkpoint ({str(error).splitlines()[0][:100]}); give that of a run") from None
    raise InputError(f"{path}: not a checkpoint of this version of l8s2; begin a new run")


def flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys with dots between."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
