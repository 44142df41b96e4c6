"""One network on one engine: OpenVINO, which is in the package, or PyTorch."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from l8s2.errors import InputError
from l8s2.tiling import Float
from l8s2.trust import Domain

Engine = Literal["openvino", "torch"]


class Network(Protocol):
    """One network on one engine: batch of one, no NaN."""

    receptive_field: int
    uses_pan: bool
    domain: Domain | None
    """What ground it was trained on, where the file says so."""

    def __call__(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """(mean, sigma) on the block grid of the whole arrays; what lies within the receptive field of an edge is rough."""
        ...


@dataclass(frozen=True)
class ModelFile:
    """A compact network in an ONNX file written by l8s2."""

    path: Path

    @cached_property
    def content(self) -> bytes:
        """The file."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise InputError(
                f"model {self.path}: {error.strerror}; give compact, compact-nopan or an ONNX file"
            ) from None

    @property
    def sha256(self) -> str:
        """Checksum of the file."""
        return hashlib.sha256(self.content).hexdigest()


class OpenVinoNetwork:
    """The embedded engine. With bf16 the body alone computes in it; everything around stays single precision."""

    def __init__(self, file: ModelFile, threads: int | None, bf16: bool | None = None) -> None:
        """``bf16``: None uses it where the processor has it."""
        ov = _openvino()
        core, content = ov.Core(), file.content
        try:
            whole = core.read_model(model=content, weights=b"")
        except Exception:
            raise InputError(f"model {file.path}: not an ONNX network; give one that l8s2 has exported") from None
        try:
            info = {
                k: whole.get_rt_info(["framework", k]).astype(str)
                for k in ("architecture", "receptive_field", "config")
            }
            if whole.has_rt_info(["framework", "domain"]):
                info["domain"] = whole.get_rt_info(["framework", "domain"]).astype(str)
        except RuntimeError:
            raise InputError(
                f"model {file.path}: no l8s2 metadata; give an ONNX network that l8s2 has exported"
            ) from None
        self.receptive_field = int(info["receptive_field"])
        self.uses_pan = bool(json.loads(info["config"])["pan"])
        self.domain = Domain.from_json(info["domain"]) if "domain" in info else None
        if bf16 is None:
            bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")

        def compiled(model: Any, precision: str) -> Any:
            options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
            if threads:
                options["INFERENCE_NUM_THREADS"] = threads
            return core.compile_model(model, "CPU", options)

        self._bf16 = bf16
        if not bf16:
            self._whole = compiled(
                ov.Model([_tensor(whole, "mean"), _tensor(whole, "sigma")], whole.get_parameters()), "f32"
            )
            return

        def read() -> Any:
            return core.read_model(model=content, weights=b"")

        front = read()
        self._front = compiled(ov.Model([_tensor(front, "features")], front.get_parameters()), "f32")
        body, features = _cut(read(), "features")
        self._body = compiled(ov.Model([_tensor(body, "raw")], [features]), "bf16")
        back, raw = _cut(read(), "raw")
        ms = back.input("ms").get_node()
        self._back = compiled(ov.Model([_tensor(back, "mean"), _tensor(back, "sigma")], [ms, raw]), "f32")

    def __call__(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """See Network."""
        inputs = [ms[None]] if pan is None else [ms[None], pan[None, None]]
        if not self._bf16:
            result = self._whole(inputs)
        else:
            result = self._back([inputs[0], self._body([self._front(inputs)[0]])[0]])
        return result[0][0], result[1][0]


def _openvino() -> Any:
    """OpenVINO, whose telemetry (used by its model converter alone) cannot load: nothing leaves a user's machine."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _tensor(model: Any, name: str) -> Any:
    """The tensor behind a named output of an OpenVINO model."""
    return model.output(name).get_node().input_value(0)


def _cut(model: Any, name: str) -> tuple[Any, Any]:
    """Feed the named tensor from outside: (model, the new parameter)."""
    ov = _openvino()
    tensor = _tensor(model, name)
    parameter = ov.opset13.parameter(tensor.get_partial_shape(), np.float32, name=name)
    for target in tensor.get_target_inputs():
        target.replace_source_output(parameter.output(0))
    return model, parameter


class TorchNetwork:
    """The same network in PyTorch (extra ``torch``), for GPUs and for checking the embedded engine."""

    def __init__(self, file: ModelFile, threads: int | None) -> None:
        try:
            import onnx
            import torch

            from l8s2.models import Compact, CompactConfig
        except ImportError as error:
            raise InputError(f"engine torch needs {error.name}; install it with: pip install 'l8s2[torch]'") from None
        content = file.content
        try:
            proto = onnx.load_from_string(content)
            info = {p.key: p.value for p in proto.metadata_props}
            config = json.loads(info["config"])
        except Exception:
            raise InputError(f"model {file.path}: not an ONNX network that l8s2 has exported") from None
        if threads:
            torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = Compact(CompactConfig(**config))
        state = {t.name: torch.tensor(onnx.numpy_helper.to_array(t)) for t in proto.graph.initializer}
        state["calibration"] = torch.tensor(json.loads(info["calibration"]))
        network.load_state_dict({name: state[name] for name in network.state_dict()})
        self._network = network.eval().to(self._device)
        self.receptive_field = network.receptive_field
        self.uses_pan = network.config.pan
        self.domain = Domain.from_json(info["domain"]) if "domain" in info else None

    def __call__(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """See Network."""
        import torch

        with torch.inference_mode():
            inputs = [
                torch.from_numpy(np.ascontiguousarray(x)).to(self._device)
                for x in ((ms[None],) if pan is None else (ms[None], pan[None, None]))
            ]
            mean, sigma = self._network(*inputs)
        return mean[0].cpu().numpy(), sigma[0].cpu().numpy()
