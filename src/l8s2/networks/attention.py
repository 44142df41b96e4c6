"""Attention for the UNets. The published weights use neither kind, so the tensor names are our own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ChannelAttention(nn.Module):
    """Efficient channel attention (Wang et al. 2020): (B, C, H, W) times a weight in (0, 1) for each image and channel.

    The weights follow from the means of the channels by one convolution over k neighbouring channels, k being
    |log2(C) + 1| / 2 cut to a whole number and, if even, plus 1. The means are those of the whole window.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        size = int((math.log2(channels) + 1) / 2) | 1
        self.conv = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3)).unsqueeze(1)
        weights = torch.sigmoid(self.conv(means)).squeeze(1)
        return x * weights[:, :, None, None]


class AttentionGate(nn.Module):
    """Weigh a skip connection by the decoder's features of the same shape (B, width, H, W).

    ``standard``, the additive gate of Oktay et al. 2018: skip * a with one a = sigmoid(psi(relu(W skip + V features)))
    per pixel; W, V and psi are 1x1 convolutions, over width / 2 channels in between. ``modified``: skip * (1 + a)
    with one a per pixel and channel, so that no skip can be shut.
    """

    def __init__(self, width: int, *, modified: bool) -> None:
        super().__init__()
        self.modified = modified
        self.skip = nn.Conv2d(width, width // 2, 1)
        self.features = nn.Conv2d(width, width // 2, 1, bias=False)
        self.psi = nn.Conv2d(width // 2, width if modified else 1, 1)

    def forward(self, skip: Tensor, features: Tensor) -> Tensor:
        gate = torch.sigmoid(self.psi(F.relu(self.skip(skip) + self.features(features))))
        return skip * (1 + gate) if self.modified else skip * gate
