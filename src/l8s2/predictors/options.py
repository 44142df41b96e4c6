"""Which model predicts, and how it is run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from l8s2.errors import InputError
from l8s2.predictors.engines import Device, Engine

_RESERVED = 0.6e9
"""Bytes, measured on a whole scene."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """A model by name and how it is run. Raises InputError for a value that cannot be."""

    model: str | Path = "compact"
    """As ``load_model`` takes it; with commas between several names, an ensemble."""
    engine: Engine = "openvino"
    """What runs ONNX files; everything else runs in PyTorch."""
    device: Device = "auto"
    """Where PyTorch runs: ``auto`` takes a GPU where there is one. OpenVINO runs on the processor."""
    threads: int | None = None
    """Processor threads; None leaves it to the engine."""
    max_memory: float = 2.0
    """Gigabytes that all of it may take at the peak, as far as the model allows."""
    mc_dropout: int | None = None
    """Predictions with dropout active; None predicts once, without."""
    trust_architecture: str | None = None
    """The one ``package.module:Class`` that may be imported for a model folder that names it."""

    def __post_init__(self) -> None:
        """Check the values; the model itself is not looked for."""
        if self.engine not in get_args(Engine):
            raise InputError(f"`engine` {self.engine}: unknown; choose {' or '.join(get_args(Engine))}")
        if self.device not in get_args(Device):
            raise InputError(f"`device` {self.device}: unknown; choose {', '.join(get_args(Device))}")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"`threads` {self.threads}: at least one is needed; give 1 or more")
        if not 0 < self.max_memory < math.inf:
            raise InputError(f"`max_memory` {self.max_memory}: not a number of gigabytes; give 2")
        if self.mc_dropout is not None and self.mc_dropout < 2:
            raise InputError(f"`mc_dropout` {self.mc_dropout}: only two predictions or more differ; take 10")

    @property
    def network_memory(self) -> float:
        """Bytes for networks at work; the rest is for the libraries and for tiles of files that are not complete."""
        return max(self.max_memory * 1e9 - _RESERVED, 0.0)


COMPACT = ModelOptions()
"""The embedded model, as it is run where nothing else is asked for."""
