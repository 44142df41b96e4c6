"""Networks that take 10 m inputs, behind the contract of native ones: the interpolation is part of the graph."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from l8s2.networks.contract import HarmonizationNetwork, Stages
from l8s2.networks.polyphase import FACTOR, OFFSETS, Float, keys
from l8s2.networks.unet import UNet

CUBIC = -0.75
"""Keys' ``a`` of PyTorch's bicubic, with which the published weights were trained."""
RADIUS = 2
"""MS pixels to each side that the interpolation of MS and of pan looks at."""
_CENTRES = {
    "lattice": (OFFSETS, (-1 / 3, 1 / 3, 1.0)),
    "corners": ((-1 / 3, 0.0, 1 / 3), (-1 / 6, 1 / 2, 7 / 6)),
}
"""Where the 10 m pixels of MS pixel r lie: in MS pixels from MS pixel r, in pan pixels from pan pixel 2r."""


class OnLattice(HarmonizationNetwork):
    """mean, sigma = OnLattice(UNet(config))(ms, pan).

    ms (B, 6, h, w) reflectance at 30 m; pan (B, 1, 2h, 2w) reflectance at 15 m, or None for a network of six inputs;
    mean and sigma (B, 6, 3h, 3w), sigma None unless the network is gaussian. 3h and 3w are at least 2^(depth - 1). MS
    and pan of one height and width are taken for 10 m inputs and not interpolated.

    ``input_alignment`` "lattice": the 10 m pixels are Sentinel-2's, pan[2r, 2c] is centred on ms[r, c]. "corners": MS,
    pan and output share their upper left corner, as where bare arrays are given to ``F.interpolate`` for 3 and 1.5
    times the size: 5 m off Sentinel-2's pixels, and pan 7.5 m off MS. Both are bicubic with a = -0.75, which is not
    exact on straight lines: 10 m pixels of MS are off by up to 1.4 m, mirrored about the MS centres, so that the
    mean shift is zero.

    ``pan_sun_corrected`` False: pan was trained on without the division by the sine of the sun's elevation.

    Windows that begin and end at multiples of ``stride`` agree further than ``receptive_field`` from their edges; not
    so with ``ca_layer``, whose weights are means over the window.
    """

    INPUTS = ("input_alignment", "pan_sun_corrected")
    """Attributes that say what the network was trained on, besides its own configuration."""
    takes_10m = True
    ms_kernel: Tensor
    pan_kernel: Tensor

    def __init__(
        self,
        network: UNet,
        input_alignment: Literal["lattice", "corners"] = "lattice",
        pan_sun_corrected: bool = True,
    ) -> None:
        super().__init__()
        if input_alignment not in _CENTRES:
            raise ValueError(f"input_alignment={input_alignment!r}; it must be 'lattice' or 'corners'")
        self.network = network
        if not isinstance(pan_sun_corrected, bool):
            raise ValueError(f"pan_sun_corrected={pan_sun_corrected!r}; it must be true or false")
        self.input_alignment: Literal["lattice", "corners"] = input_alignment
        self.pan_sun_corrected = pan_sun_corrected
        ms, pan = _CENTRES[input_alignment]
        self.register_buffer("ms_kernel", _kernel(ms, last=2), persistent=False)
        self.register_buffer("pan_kernel", _kernel(pan, last=3), persistent=False)

        self.uses_pan, self.stride = network.config.in_channels == 7, network.stride
        self.receptive_field = self._reach() + RADIUS

    @property
    def base(self) -> UNet:
        """See HarmonizationNetwork."""
        return self.network

    def with_base(self, base: UNet) -> OnLattice:
        """See HarmonizationNetwork."""
        result = OnLattice(base, self.input_alignment, self.pan_sun_corrected)
        result.no_pan_model = self.no_pan_model
        return result

    def configuration(self) -> dict[str, Any]:
        """See HarmonizationNetwork."""
        return asdict(self.network.config) | {key: getattr(self, key) for key in self.INPUTS}

    def begin_as_interpolation(self) -> None:
        """See UNet."""
        self.network.begin_as_interpolation()

    def _reach(self) -> int:
        """Return the margin in MS pixels that the network looks at, in windows that keep ``stride``."""
        margin = 0
        for pixel in range(self.stride):
            first, last = self.network.footprint(FACTOR * pixel, FACTOR * pixel + FACTOR - 1)
            margin = max(margin, pixel - first // FACTOR, last // FACTOR - pixel)
        return margin

    def stages(self) -> Stages:
        """See HarmonizationNetwork; the body is all that comes after the interpolation."""
        return Stages(self._interpolated, lambda given: self.network(*given), lambda _, answer: self._moments(answer))

    def forward(self, ms: Tensor, pan: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        return self._moments(self.network(*self._interpolated(ms, pan)))

    def _interpolated(self, ms: Tensor, pan: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if pan is None or ms.shape[2:] != pan.shape[2:]:
            ms = _interpolate(ms, self.ms_kernel, 1)
            pan = None if pan is None else _interpolate(pan, self.pan_kernel, 2)
        return ms, pan

    def _moments(self, answer: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | None]:
        return (answer[0], torch.sqrt(answer[1])) if isinstance(answer, tuple) else (answer, None)


def _kernel(centres: tuple[float, ...], last: int) -> Tensor:
    """(9, 1, n, n): weights of samples -2 .. ``last`` per axis in each of the 3x3 pixels at ``centres``."""
    samples = np.arange(-2.0, last + 1)
    taps: Float = np.stack([keys(samples - centre, CUBIC) for centre in centres])
    n = len(samples)
    return torch.tensor(np.einsum("iy,jx->ijyx", taps, taps).reshape(FACTOR**2, 1, n, n), dtype=torch.float32)


def _interpolate(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """(B, C, stride h, stride w) -> (B, C, 3h, 3w)."""
    batch, channels = x.shape[:2]
    x = F.pad(x, (2, 2, 2, 2), mode="replicate").flatten(0, 1).unsqueeze(1)
    x = F.pixel_shuffle(F.conv2d(x, kernel, stride=stride), FACTOR)
    return x.reshape(batch, channels, *x.shape[2:])
