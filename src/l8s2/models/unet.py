"""The UNets of the published Deep-Harmonization system (Sambandham et al. 2024), tensor names included.

Levels i = 0, 1, ... have 2^(growth_factor + i) channels: two 3x3 convolutions with PReLU each, average pooling in between. On the
way up: an up-step, a bilinear resize where a size was odd, the skip beside it (up first), two convolutions; at the end a 1x1
convolution, without activation and without residual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """What rebuilds the network; the names are those of the published ``config.json``."""

    in_channels: int = 7
    """Six bands and pan."""
    out_channels: int = 6
    depth: int = 5
    """Levels, the lowest included."""
    growth_factor: int = 6
    """Binary logarithm of the channels of the first level."""
    up_mode: Literal["upsample", "upconv", "shuffle"] = "upsample"
    """Bilinear and a 1x1 convolution; transposed convolution; convolution and pixel shuffle."""


class UNet(nn.Module):
    """mean = UNet(config)(ms, pan).

    ms (B, 6, H, W) and pan (B, 1, H, W), both already interpolated to 10 m; mean (B, 6, H, W). Any H and W of at least
    2^(depth - 1) pixels.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _Plain(config)

    def forward(self, ms: Tensor, pan: Tensor) -> Tensor:
        mean: Tensor = self.model(torch.cat([ms, pan], dim=1))
        return mean


class _Plain(nn.Module):
    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        widths = [2 ** (config.growth_factor + i) for i in range(config.depth)]
        inputs = [config.in_channels, *widths[:-1]]
        self.encoding_module = nn.ModuleList(_Block(a, b) for a, b in zip(inputs, widths, strict=True))
        self.decoding_module = nn.ModuleList(_Up(width, config.up_mode) for width in widths[-2::-1])
        self.final = nn.Conv2d(widths[0], config.out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoding_module):
            x = block(F.avg_pool2d(x, 2) if level else x)
            skips.append(x)
        for up, skip in zip(self.decoding_module, skips[-2::-1], strict=True):
            x = up(x, skip)
        mean: Tensor = self.final(x)
        return mean


class _Block(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(inputs, width, 3, padding=1), nn.PReLU(), nn.Conv2d(width, width, 3, padding=1), nn.PReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.block(x)
        return result


class _Up(nn.Module):
    """From 2 x ``width`` channels up to ``width`` at twice the size, joined with the skip."""

    def __init__(self, width: int, mode: Literal["upsample", "upconv", "shuffle"]) -> None:
        super().__init__()
        self.Upsize = _up_step(width, mode)  # the published name of the tensors
        self.conv = _Block(2 * width, width)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.Upsize(x)
        if x.shape[-2:] != skip.shape[-2:]:
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear")
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
    if mode == "upconv":
        return nn.ConvTranspose2d(2 * width, width, 2, stride=2)
    raise ValueError(f"up_mode={mode!r}; it must be upsample, upconv or shuffle")
