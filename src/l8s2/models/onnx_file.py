"""ONNX files written by l8s2, and OpenVINO that runs them."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l8s2.errors import InputError
from l8s2.models.domain import Domain

if TYPE_CHECKING:
    from l8s2.networks import HarmonizationNetwork


@dataclass(frozen=True)
class ModelFile:
    """A network in an ONNX file written by l8s2."""

    path: Path

    @cached_property
    def content(self) -> bytes:
        """The file."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise InputError(f"model {self.path}: {error.strerror}; give an ONNX file that l8s2 has exported") from None

    @property
    def sha256(self) -> str:
        """Checksum of the file."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def domain(self) -> Domain | None:
        """The ground it was trained on, where the file says so."""
        try:
            model = openvino_core().read_model(model=self.content, weights=b"")
            path = ["framework", "domain"]
            text = model.get_rt_info(path).astype(str) if model.has_rt_info(path) else None
        except RuntimeError:
            raise InputError(f"model {self.path}: not an ONNX network that l8s2 has exported") from None
        return Domain.from_json(text) if text else None

    def build(self) -> HarmonizationNetwork:
        """Return the network in the file, for PyTorch."""
        try:
            import onnx  # noqa: F401
            import torch  # noqa: F401

            from l8s2.models.onnx_weights import read_network
        except ImportError as error:
            raise InputError(f"engine torch needs {error.name}; install it with: pip install 'l8s2[torch]'") from None
        return read_network(self.path)[0]


def import_openvino() -> Any:
    """Return OpenVINO, whose telemetry cannot load: nothing leaves a user's machine.

    OpenVINO's model converter alone uses it.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


@cache
def openvino_core() -> Any:
    """Return OpenVINO's core, one until the process ends.

    Its processor plugin gives the thread that loads it a stack for signals and takes the memory back when the last user
    is gone, in whatever thread that happens; the next signal in the first thread would then end the process.
    """
    return import_openvino().Core()
