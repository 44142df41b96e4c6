"""One network in PyTorch, on a processor or a GPU."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from l8s2.arrays import Float
from l8s2.errors import InputError
from l8s2.models.domain import Domain
from l8s2.predictors.engines import LAYERS, Device, cut
from l8s2.sensors import N_BANDS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from l8s2.networks import HarmonizationNetwork

_LEAST_BYTES = 7000
"""Bytes for each MS pixel of a window that are assumed at least."""


class TorchNetwork:
    """Any network of the contract of ``l8s2.networks`` in PyTorch, in single precision.

    On a GPU the part between the seams of a network computes in bf16.
    """

    def __init__(
        self,
        build: Callable[[], HarmonizationNetwork],
        threads: int | None = None,
        domain: Domain | None = None,
        *,
        device: Device = "auto",
    ) -> None:
        """Take what builds a network.

        Args:
            build: gives the network with its weights; the first call asks for it, and the first after each ``release``.
            threads: processor threads; None: all.
            domain: the ground it was trained on.
            device: where it runs.

        Raises InputError where ``device`` is a GPU and there is none.
        """
        network = build()
        import torch

        if threads:
            torch.set_num_threads(threads)
        self.streams = 1
        self._lock = threading.Lock()
        there = torch.cuda.is_available()
        if device == "cuda" and not there:
            raise InputError("`device` cuda: PyTorch sees no GPU; give `device` cpu, or install PyTorch for CUDA")
        self._device = torch.device("cuda" if there and device != "cpu" else "cpu")
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
        with self._lock:
            return self._answer(ms, pan)

    def interior(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """See Network."""
        return cut(*self(ms, pan), self.receptive_field)

    def _answer(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        import torch

        module = self.module
        given = torch.from_numpy(np.ascontiguousarray(ms))[None].to(self._device)
        beside = None if pan is None else torch.from_numpy(np.ascontiguousarray(pan))[None, None].to(self._device)
        try:
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                mean, sigma = self._forward(module, given, beside)
        except torch.cuda.OutOfMemoryError:
            raise InputError(
                f"{ms.shape[1]} x {ms.shape[2]} MS pixels do not fit into the GPU; give `device` cpu to do without it"
            ) from None
        found = mean[0].cpu().numpy()
        return found, np.full_like(found, np.nan) if sigma is None else sigma[0].cpu().numpy()

    def _forward(self, module: HarmonizationNetwork, ms: Tensor, pan: Tensor | None) -> tuple[Tensor, Tensor | None]:
        import torch

        if self._device.type == "cpu" or not module.seams:
            mean, sigma = module(ms, pan)
        else:
            prepare, body, restore = module.stages()
            features = prepare(ms, pan)
            with torch.autocast("cuda", torch.bfloat16):
                raw = body(features)
            mean, sigma = restore(ms, raw.float())
        return mean, sigma

    def room(self, host: float) -> float:
        """Return how many bytes it may take at work: ``host`` of the machine's memory, or most of what its GPU has."""
        import torch

        return host if self._device.type == "cpu" else 0.8 * torch.cuda.mem_get_info(self._device)[0]

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
        return weights, self._told or max(_LEAST_BYTES, LAYERS * max(sizes) // side**2)

    def release(self) -> None:
        """See Network; that is the weights."""
        self._module = None
