"""One network on one engine: what every engine offers, and OpenVINO, which is in the package."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Literal, Protocol

import numpy as np

from l8s2.arrays import Float
from l8s2.errors import InputError
from l8s2.models.domain import Domain
from l8s2.models.onnx_file import ModelFile, openvino_core
from l8s2.models.onnx_metadata import with_defaults
from l8s2.predictors.graph import BACK_REACH, parts, whole
from l8s2.sensors import N_BANDS

Engine = Literal["openvino", "torch"]
Device = Literal["auto", "cpu", "cuda"]
"""Where PyTorch runs; ``auto``: on a GPU where there is one."""
LAYERS = 3
"""Memory of networks that do not tell theirs, measured: so many times that of their largest layer."""
_FARTHEST = 1024  # MS pixels of a receptive field
_IN_PARTS = 3000
"""Bytes for each MS pixel of a window of a network that runs in three parts, measured."""
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
    streams: int
    """How many threads may run it at a time, each with the memory of its window; more wait."""

    def __call__(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """Return (mean, sigma) on the block grid of the whole arrays.

        What lies within the receptive field of an edge is approximate. ms (6, h, w), pan (2h, 2w) or None, mean and
        sigma (6, 3h, 3w); sigma is all NaN for a network that has none.
        """
        ...

    def interior(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """Return (mean, sigma) of what lies further than the receptive field from every edge: of r fewer MS pixels."""
        ...

    def memory(self, pixels: int) -> int:
        """Return about how many bytes running on a window of so many MS pixels takes at the peak."""
        ...

    def release(self) -> None:
        """Free the memory of what the next call can load again."""
        ...


def _nothing(pan: bool, reach: int, stride: int) -> tuple[Float, Float | None]:
    """Return the smallest window that has an interior, of one value."""
    side = -(-(2 * reach + 1) // stride) * stride
    even = np.full((N_BANDS, 2 * side, 2 * side), 0.1, np.float32)
    return even[:, :side, :side].copy(), even[0] if pan else None


def cut(mean: Float, sigma: Float, rough: int) -> tuple[Float, Float]:
    """Cut off ``rough`` MS pixels at every edge."""
    rows, columns = (slice(3 * rough, n - 3 * rough) for n in mean.shape[1:])
    return mean[:, rows, columns], sigma[:, rows, columns]


_SHORTAGE = re.compile("bad_alloc|allocate|Resource temporarily unavailable")
"""In what OpenVINO says where memory is short, or no thread more may begin."""


class OpenVinoNetwork:
    """The embedded engine. With bf16 the part between the seams of a network computes in it; all else is float32."""

    def __init__(self, file: ModelFile, threads: int | None, bf16: bool | None = None, streams: int = 1) -> None:
        """Take a model file.

        Args:
            file: the file.
            threads: processor threads of all streams; None: all.
            bf16: None uses it where the processor has it.
            streams: how many windows are predicted at a time.
        """
        core, content, self._path = openvino_core(), file.content, file.path
        try:
            model = core.read_model(model=content, weights=b"")
        except Exception:
            raise InputError(f"model {file.path}: not an ONNX network; give one that l8s2 has exported") from None
        info = {
            key: model.get_rt_info(["framework", key]).astype(str)
            for key in _INFO
            if model.has_rt_info(["framework", key])
        }
        if "receptive_field" not in info:
            raise InputError(f"model {file.path}: no l8s2 metadata; give an ONNX network that l8s2 has exported")
        info = with_defaults(info)
        names = set[str]().union(*(output.names for output in model.outputs))
        try:
            self.no_pan_model: str | None = json.loads(info["no_pan_model"])
            self.receptive_field, self.stride = int(info["receptive_field"]), int(info.get("stride", 1))
            self.domain = Domain.from_json(info["domain"]) if "domain" in info else None
            told = info.get("memory_per_pixel")
            self._bytes = int(told) if told else 0
            if not (0 < self.receptive_field < _FARTHEST and 0 < self.stride < _FARTHEST and self._bytes >= 0):
                raise ValueError
        except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError):
            raise InputError(f"model {file.path}: its l8s2 metadata are damaged; export or download it again") from None
        self.uses_pan = len(model.inputs) == 2
        self.pan_sun_corrected = info.get("pan_sun_corrected") != "false"
        self.streams = streams
        self._content, self._weights = content, 2 * len(content)
        self._seams = {"features", "raw"} <= names
        self._bytes = _IN_PARTS if self._seams else self._bytes or LAYERS * self._largest(model.clone())
        self._options: dict[str, Any] = {"NUM_STREAMS": streams}
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = threads
        if bf16 is None:
            bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._precision = "bf16" if bf16 else "f32"
        self._moments = [name for name in ("mean", "sigma") if name in names]
        self._requests: dict[bool, SimpleQueue[list[Any]]] = {}
        self._lock = threading.Lock()

    def __call__(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """See Network."""
        return self._answer(ms, pan, inner=False)

    def interior(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """See Network."""
        return self._answer(ms, pan, inner=True)

    def _answer(self, ms: Float, pan: Float | None, inner: bool) -> tuple[Float, Float]:
        rough = (BACK_REACH if self._seams else self.receptive_field) if inner else 0
        with self._explained():
            with self._lock:
                if inner not in self._requests:
                    self._requests[inner] = self._compiled(inner)
                    # OpenVINO's first inference must end before another thread begins one: they wait for each other
                    self._run(self._requests[inner], *_nothing(self.uses_pan, self.receptive_field, self.stride), rough)
            return self._run(self._requests[inner], ms, pan, rough)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what OpenVINO says into one line, and a lack of memory or of threads into MemoryError."""
        try:
            yield
        except (RuntimeError, LookupError, ValueError) as error:
            why = " ".join(str(error).split())[-80:]
            if _SHORTAGE.search(str(error)):
                raise MemoryError(f"OpenVINO: {why}") from None
            raise InputError(f"model {self._path}: OpenVINO cannot run it ({why}); export it again") from None

    def _run(self, queue: SimpleQueue[list[Any]], ms: Float, pan: Float | None, rough: int) -> tuple[Float, Float]:
        """Run the parts one after the other in a stream that is free; copy the answer alone, less its rough edge."""
        parts = queue.get()
        share = {"share_inputs": True, "share_outputs": True}
        try:
            given = [ms[None]] if pan is None else [ms[None], pan[None, None]]
            found = [parts[0].infer(given, **share)[0]] if self._seams else given
            if self._seams:
                found = [given[0], parts[1].infer(found, **share)[0]]
            result = parts[-1].infer(found, **share)
            answer = [result[index][0] for index in range(len(self._moments))]
            mean, sigma = (x.copy() for x in cut(answer[0], answer[-1], rough))
        finally:
            queue.put(parts)
        return mean, sigma if len(answer) > 1 else np.full_like(mean, np.nan)

    def _compiled(self, inner: bool) -> SimpleQueue[list[Any]]:
        """Return the requests of every stream: of the whole network, or of its three parts."""
        core, content = openvino_core(), self._content
        if self._seams:
            models = parts(content, self._moments, self.receptive_field if inner else None)
        else:
            models = [whole(content, self._moments)]
        compiled = [
            core.compile_model(model, "CPU", {**self._options, "INFERENCE_PRECISION_HINT": precision})
            for model, precision in zip(models, ("f32", self._precision, "f32"), strict=False)
        ]
        queue: SimpleQueue[list[Any]] = SimpleQueue()
        for _ in range(self.streams):
            queue.put([model.create_infer_request() for model in compiled])
        return queue

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
