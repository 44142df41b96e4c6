"""One network on one engine: OpenVINO, which is in the package, or PyTorch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from l8s2.arrays import Float
from l8s2.errors import InputError
from l8s2.models.domain import Domain
from l8s2.models.onnx_file import ModelFile, import_openvino, openvino_core
from l8s2.models.onnx_metadata import with_defaults
from l8s2.sensors import N_BANDS

if TYPE_CHECKING:
    from torch import nn

    from l8s2.networks import HarmonizationNetwork

Engine = Literal["openvino", "torch"]
_LEAST_BYTES = 7000
"""Bytes for each MS pixel of a window that are assumed at least."""
_LAYERS = 3
"""Memory of networks that do not tell theirs, measured: so many times that of their largest layer."""
_INFO = (
    "calibration", "receptive_field", "stride", "pan_sun_corrected", "no_pan_model", "memory_per_pixel", "domain",
)  # fmt: skip
"""What is read of the metadata of an ONNX file."""


class Network(Protocol):
    """One network on one engine: batch of one, no NaN."""

    receptive_field: int
    stride: int
    """MS pixels at multiples of which, counted in the scene, windows begin and end where their interiors are to
    agree."""
    uses_pan: bool
    pan_sun_corrected: bool
    """False: pan must come without the division by the sine of the sun's elevation."""
    no_pan_model: str | None
    """Name of the model that answers where pan is missing, as ``load_model`` takes it."""
    domain: Domain | None
    """The ground it was trained on, where the file records it."""

    def __call__(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """Return (mean, sigma) on the block grid of the whole arrays.

        What lies within the receptive field of an edge is approximate. ms (6, h, w), pan (2h, 2w) or None, mean and
        sigma (6, 3h, 3w); sigma is all NaN for a network that has none.
        """
        ...

    def memory(self, pixels: int) -> int:
        """Return about how many bytes running on a window of so many MS pixels takes at the peak."""
        ...

    def release(self) -> None:
        """Free the memory of what the next call can load again."""
        ...


class OpenVinoNetwork:
    """The embedded engine. With bf16 the part between the seams of a network computes in it; all else is float32."""

    def __init__(self, file: ModelFile, threads: int | None, bf16: bool | None = None) -> None:
        """``bf16``: None uses it where the processor has it."""
        ov, core, content = import_openvino(), openvino_core(), file.content
        try:
            whole = core.read_model(model=content, weights=b"")
        except Exception:
            raise InputError(f"model {file.path}: not an ONNX network; give one that l8s2 has exported") from None
        info = {
            key: whole.get_rt_info(["framework", key]).astype(str)
            for key in _INFO
            if whole.has_rt_info(["framework", key])
        }
        if "receptive_field" not in info:
            raise InputError(f"model {file.path}: no l8s2 metadata; give an ONNX network that l8s2 has exported")
        info = with_defaults(info)
        names = set[str]().union(*(output.names for output in whole.outputs))
        self.no_pan_model: str | None = json.loads(info["no_pan_model"])
        self.receptive_field, self.stride = int(info["receptive_field"]), int(info.get("stride", 1))
        self.uses_pan = len(whole.inputs) == 2
        self.pan_sun_corrected = info.get("pan_sun_corrected") != "false"
        self.domain = Domain.from_json(info["domain"]) if "domain" in info else None
        self._weights = 2 * len(content)
        told = info.get("memory_per_pixel")
        self._bytes = int(told) if told else _LAYERS * self._largest(whole.clone())
        if bf16 is None:
            bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")

        def compiled(model: Any, precision: str) -> Any:
            options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
            if threads:
                options["INFERENCE_NUM_THREADS"] = threads
            return core.compile_model(model, "CPU", options)

        self._bf16 = bf16 and {"features", "raw"} <= names
        if not self._bf16:
            results = [_tensor(whole, name) for name in ("mean", "sigma") if name in names]
            self._whole = compiled(ov.Model(results, whole.get_parameters()), "f32")
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
        mean = result[0][0]
        return mean, result[1][0] if len(result) > 1 else np.full_like(mean, np.nan)

    def memory(self, pixels: int) -> int:
        """See Network."""
        return self._weights + self._bytes * pixels

    def release(self) -> None:
        """Keep everything: what is compiled stays."""

    def _largest(self, model: Any) -> int:
        """Return the bytes for each MS pixel of what the largest layer gives out."""
        side = max(self.stride, 16)
        model.reshape({"ms": [1, N_BANDS, side, side]} | ({"pan": [1, 1, 2 * side, 2 * side]} if self.uses_pan else {}))
        layers = [op for op in model.get_ordered_ops() if op.get_type_name() != "Constant"]
        largest = max(math.prod(output.shape) for op in layers for output in op.outputs())
        return int(4 * largest) // side**2


def _tensor(model: Any, name: str) -> Any:
    """Return the tensor behind a named output of an OpenVINO model."""
    return model.output(name).get_node().input_value(0)


def _cut(model: Any, name: str) -> tuple[Any, Any]:
    """Feed the named tensor from outside; return the model and its new parameter."""
    ov = import_openvino()
    tensor = _tensor(model, name)
    parameter = ov.opset13.parameter(tensor.get_partial_shape(), np.float32, name=name)
    for target in tensor.get_target_inputs():
        target.replace_source_output(parameter.output(0))
    return model, parameter


class TorchNetwork:
    """Any network of the contract of ``l8s2.networks`` in PyTorch and single precision, on a GPU where there is one."""

    def __init__(
        self, build: Callable[[], HarmonizationNetwork], threads: int | None = None, domain: Domain | None = None
    ) -> None:
        """``build`` gives the network with its weights.

        The first call asks for it, and the first after each ``release``.
        """
        network = build()
        import torch

        if threads:
            torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._build, self.domain = build, domain
        self._module: HarmonizationNetwork | None = None
        self.receptive_field: int = network.receptive_field
        self.stride: int = network.stride
        self.uses_pan: bool = network.uses_pan
        self.pan_sun_corrected: bool = network.pan_sun_corrected
        self.no_pan_model: str | None = network.no_pan_model
        self._told: int | None = network.memory_per_pixel

    @property
    def module(self) -> HarmonizationNetwork:
        """The network, ready to predict."""
        if self._module is None:
            import torch

            self._module = self._build().eval().to(device=self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self._module

    def __call__(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """See Network."""
        import torch

        module = self.module
        inputs = [
            None if x is None else torch.from_numpy(np.ascontiguousarray(x)).to(self._device)[None]
            for x in (ms, None if pan is None else pan[None])
        ]
        try:
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                mean, sigma = module(*inputs)
        except torch.cuda.OutOfMemoryError:
            raise InputError(
                f"{ms.shape[1]} x {ms.shape[2]} MS pixels do not fit into the GPU; "
                "set CUDA_VISIBLE_DEVICES= to do without it"
            ) from None
        found = mean[0].cpu().numpy()
        return found, np.full_like(found, np.nan) if sigma is None else sigma[0].cpu().numpy()

    def memory(self, pixels: int) -> int:
        """See Network."""
        weights, each = self._cost
        return weights + each * pixels

    @cached_property
    def _cost(self) -> tuple[int, int]:
        """The bytes of the weights, and for each MS pixel, told by the layers on a small window."""
        from torch import Tensor

        sizes = [0]

        def note(_: nn.Module, given: tuple[Any, ...], made: Any) -> None:
            sizes.append(sum(x.nbytes for x in (*given, made) if isinstance(x, Tensor)))

        hooks = [layer.register_forward_hook(note) for layer in self.module.modules() if not any(layer.children())]
        side = max(self.stride, 16)
        pan = np.full((2 * side, 2 * side), 0.1, np.float32) if self.uses_pan else None
        try:
            self(np.full((N_BANDS, side, side), 0.1, np.float32), pan)
        finally:
            for hook in hooks:
                hook.remove()
        weights = sum(x.nbytes for x in self.module.parameters())
        return weights, self._told or max(_LEAST_BYTES, _LAYERS * max(sizes) // side**2)

    def release(self) -> None:
        """See Network; that is the weights."""
        self._module = None
