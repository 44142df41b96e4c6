"""The UNets of the published Deep-Harmonization system (Sambandham et al. 2024), tensor names included.

Levels i = 0, 1, ... have 2^(growth_factor + i) channels: two 3x3 convolutions with PReLU each, average pooling in
between. On the way up: an up-step, a bilinear resize where a size was odd, the skip beside it (up first), two
convolutions; at the end a 1x1 convolution, without activation and without residual. Attention, dropout and the second
head are off in the published weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l8s2.networks.attention import AttentionGate, ChannelAttention

_ALLOWED = {
    "in_channels": (6, 7),
    "out_channels": (6,),
    "depth": range(2, 9),
    "growth_factor": range(1, 9),
    "up_mode": ("upsample", "upconv", "shuffle"),
    "spatial_attention": ("None", "standard", "modified"),
    "ca_layer": (False, True),
    "gaussian": (False, True),
}


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """What rebuilds the network.

    The names are those of the published ``config.json``, but for ``dropout`` and ``gaussian``. ValueError if a value is
    none of those it may have.
    """

    in_channels: int = 7
    """Six bands and pan; 6 without pan."""
    out_channels: int = 6
    depth: int = 5
    """Levels, the lowest included."""
    growth_factor: int = 6
    """Binary logarithm of the channels of the first level."""
    up_mode: Literal["upsample", "upconv", "shuffle"] = "upsample"
    """Bilinear and a 1x1 convolution; transposed convolution; convolution and pixel shuffle."""
    spatial_attention: Literal["None", "standard", "modified"] = "None"
    """Gates on the skips, see ``AttentionGate``."""
    ca_layer: bool = False
    """Channel attention at the end of each block."""
    dropout: float = 0.0
    """Probability with which a channel is dropped at the end of each block, in training mode."""
    gaussian: bool = False
    """A second head for the variance."""

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if type(value) is not type(allowed[0]) or value not in allowed:
                raise ValueError(f"{name}={value!r}; it must be {' or '.join(map(repr, allowed))}")
        if not (isinstance(self.dropout, (int, float)) and 0 <= self.dropout < 1):
            raise ValueError(f"dropout={self.dropout!r}; a probability is at least 0 and below 1; use 0.1")


class UNet(nn.Module):
    """mean = UNet(config)(ms, pan), or mean, variance if gaussian.

    ms (B, 6, H, W) and pan (B, 1, H, W; ignored with six inputs), both already interpolated to 10 m; mean and variance
    (B, 6, H, W). Any H and W of at least 2^(depth - 1) pixels. variance = softplus(raw - 7) + 1e-8: untrained a
    standard error of about 0.03, never zero, no overflow, and unlike a clamp with a gradient everywhere.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _Plain(config)

    @torch.no_grad()
    def begin_as_interpolation(self) -> None:
        """Let the untrained network answer with its own input: the mean is ms where that is positive.

        The bands go through the first level, the uppermost skip and the last block unchanged; every other channel keeps
        its random weights and is free to add to them, so no steps go into learning to copy. ValueError where attention
        stands in the way, or the first level has fewer than six channels.
        """
        if self.config.growth_factor < 3:
            raise ValueError(f"growth_factor={self.config.growth_factor}; six bands need six channels; use 3")
        if self.config.ca_layer or self.config.spatial_attention != "None":
            raise ValueError("a UNet with attention cannot begin as interpolation; leave one of them out")
        width = self.model.final.in_channels
        first: Any = self.model.encoding_module[0]
        last: Any = self.model.decoding_module[-1]
        ways = [(first.block[0], 0), (first.block[2], 0), (last.conv.block[0], width), (last.conv.block[2], 0)]
        for convolution, offset in (*ways, (self.model.final, 0)):
            middle = convolution.kernel_size[0] // 2
            convolution.weight[:6] = 0
            convolution.bias[:6] = 0
            for band in range(6):
                convolution.weight[band, offset + band, middle, middle] = 1

    @property
    def stride(self) -> int:
        """Pixels of the input that one pixel of the lowest level spans."""
        return int(2 ** (self.config.depth - 1))

    def footprint(self, first: int, last: int) -> tuple[int, int]:
        """First and last input pixel, along one axis, that output pixels ``first`` to ``last`` depend on.

        Of an image whose sides are multiples of ``stride``, and without ``ca_layer``, which sees the whole image. The
        way through the lowest level reaches furthest, so the skips are left out.
        """
        bilinear, convolution = {"upsample": (1, 0), "upconv": (0, 0), "shuffle": (1, 1)}[self.config.up_mode]
        for _ in range(self.config.depth - 1):
            first = (first - 2 - bilinear) // 2 - convolution
            last = (last + 2 + bilinear) // 2 + convolution
        first, last = first - 2, last + 2
        for _ in range(self.config.depth - 1):
            first, last = 2 * first - 2, 2 * last + 1 + 2
        return first, last

    def forward(self, ms: Tensor, pan: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        if self.config.in_channels == 7:
            if pan is None:
                raise ValueError("pan=None, but this network has seven inputs; use one with in_channels 6")
            ms = torch.cat([ms, pan], dim=1)
        result: Tensor | tuple[Tensor, Tensor] = self.model(ms)
        return result


class _Plain(nn.Module):
    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        widths = [2 ** (config.growth_factor + i) for i in range(config.depth)]
        inputs = [config.in_channels, *widths[:-1]]
        self.encoding_module = nn.ModuleList(_Block(a, b, config) for a, b in zip(inputs, widths, strict=True))
        self.decoding_module = nn.ModuleList(_Up(width, config) for width in widths[-2::-1])
        self.final = nn.Conv2d(widths[0], config.out_channels, 1)
        self.variance = nn.Conv2d(widths[0], config.out_channels, 1) if config.gaussian else None

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoding_module):
            x = block(F.avg_pool2d(x, 2) if level else x)
            skips.append(x)
        for up, skip in zip(self.decoding_module, skips[-2::-1], strict=True):
            x = up(x, skip)
        mean: Tensor = self.final(x)
        return mean if self.variance is None else (mean, F.softplus(self.variance(x) - 7) + 1e-8)


class _Block(nn.Module):
    def __init__(self, inputs: int, width: int, config: UNetConfig) -> None:
        super().__init__()
        layers = [nn.Conv2d(inputs, width, 3, padding=1), nn.PReLU(), nn.Conv2d(width, width, 3, padding=1), nn.PReLU()]
        if config.ca_layer:
            layers.append(ChannelAttention(width))
        if config.dropout:
            layers.append(nn.Dropout2d(config.dropout))
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.block(x)
        return result


class _Up(nn.Module):
    """From 2 x ``width`` channels up to ``width`` at twice the size, joined with the skip."""

    def __init__(self, width: int, config: UNetConfig) -> None:
        super().__init__()
        self.Upsize = _up_step(width, config.up_mode)  # the published name of the tensors
        attention = config.spatial_attention
        self.gate = None if attention == "None" else AttentionGate(width, modified=attention == "modified")
        self.conv = _Block(2 * width, width, config)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.Upsize(x)
        if x.shape[-2:] != skip.shape[-2:]:
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear")
        if self.gate is not None:
            skip = self.gate(skip, x)
        joined: Tensor = self.conv(torch.cat([x, skip], dim=1))
        return joined


def _up_step(width: int, mode: Literal["upsample", "upconv", "shuffle"]) -> nn.Module:
    if mode == "upsample":
        return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(2 * width, width, 1))
    if mode == "shuffle":
        return nn.Sequential(
            nn.Conv2d(2 * width, 4 * width, 3, padding=1),
            nn.PReLU(),
            nn.PixelShuffle(2),
            nn.Conv2d(width, width, 3, padding=1),
        )
    return nn.ConvTranspose2d(2 * width, width, 2, stride=2)
