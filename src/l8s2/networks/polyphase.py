"""The fixed linear operators between the native 30 m grid and its 10 m block grid.

MS pixel r is centred between the first and second of its three 10 m pixels: sub-pixel k lies (-1/6, 1/6, 1/2)[k]
MS pixels from the centre. Seen from the MS centres every operator here is symmetric, so none shifts the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

FACTOR = 3
OFFSETS = (-1 / 6, 1 / 6, 1 / 2)
UP_RADIUS = 2
"""Taps of the cubic interpolation to each side, MS pixels."""
INVERSE_RADIUS = 3
"""Taps of the sharpening filter to each side, MS pixels."""
DOWN_TAPS = 10
"""Taps of the point spread function per axis, 10 m pixels."""
DOWN_RADIUS = 2
"""The same as MS pixels to each side, rounded up."""

Float = NDArray[np.float64]


def keys(x: Float, a: float = -0.5) -> Float:
    """Cubic convolution kernel (Keys 1981); ``a`` = -0.5 is third order, -0.75 is what PyTorch calls bicubic."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def up_taps(a: float = -0.5) -> Float:
    """(3, 5): weight of MS pixels r - 2 .. r + 2 in each of the three 10 m pixels of MS pixel r."""
    return np.stack([keys(np.arange(-UP_RADIUS, UP_RADIUS + 1.0) - np.float64(t), a) for t in OFFSETS])


def down_taps(sigma: float) -> Float:
    """(10,): weight of 10 m pixels 3r - 4 .. 3r + 5 in MS pixel r under a Gaussian of ``sigma`` 10 m pixels."""
    x = np.arange(DOWN_TAPS) - (DOWN_TAPS - 1) / 2
    weight = np.exp(-0.5 * (x / sigma) ** 2)
    return np.asarray(weight / weight.sum())


def inverse_taps(sigma: float, steps: float) -> Float:
    """(7,): the 30 m filter that makes interpolation undo the blur of ``sigma``, as ``steps`` of back-projection would.

    With H the transfer function of interpolating and blurring back, ``steps`` steps of back-projection multiply by
    (1 - (1 - H)^steps) / H; this is its least-squares fit in seven symmetric taps that sum to 1. ``steps`` need not be
    whole.
    """
    up, down = up_taps(), down_taps(sigma)
    row = np.zeros((9, FACTOR))
    for j in range(-UP_RADIUS, UP_RADIUS + 1):  # an impulse in MS pixel 4 shows up in the pixels around it
        row[4 + j] += up[:, UP_RADIUS - j]
    fine = row.ravel()
    radius = 3
    response = [fine[3 * (4 + r) - 4 : 3 * (4 + r) + 6] @ down for r in range(0, radius)]
    frequency = np.linspace(0, 0.5, 257)
    transfer = response[0] + 2 * sum(response[j] * np.cos(2 * np.pi * j * frequency) for j in range(1, radius))
    target = (1 - np.maximum(1 - transfer, 0) ** steps) / transfer
    basis = np.stack([2 * (np.cos(2 * np.pi * j * frequency) - 1) for j in range(1, INVERSE_RADIUS + 1)], axis=1)
    side, *_ = np.linalg.lstsq(basis, target - 1, rcond=None)
    return np.concatenate([side[::-1], [1 - 2 * side.sum()], side])


class Polyphase(nn.Module):
    """``up``: sharpening interpolation 30 m -> 10 m; ``down``: point spread function and sampling 10 m -> 30 m.

    ``up`` is built so that ``down(up(x))`` is close to ``x``: what goes through ``x - up(down(x))`` no longer
    changes the 30 m image.
    """

    inverse: Tensor
    cubic: Tensor
    psf: Tensor

    def __init__(self, sigmas: Sequence[float], steps: float | Sequence[float]) -> None:
        """Build the kernels.

        ``sigmas``: blur from Sentinel-2 to OLI per band, in 10 m pixels. ``steps``: see ``inverse_taps``; for all bands
        or each; 0: plain bicubic.
        """
        super().__init__()
        identity = np.zeros(2 * INVERSE_RADIUS + 1)
        identity[INVERSE_RADIUS] = 1
        each = steps if isinstance(steps, Sequence) else (steps,) * len(sigmas)
        inverse = [inverse_taps(s, n) if n else identity for s, n in zip(sigmas, each, strict=True)]
        psf = [down_taps(s) for s in sigmas]
        up = up_taps()
        cubic = np.einsum("iy,jx->ijyx", up, up).reshape(FACTOR**2, 1, 5, 5)
        for name, kernel in (
            ("inverse", np.stack([np.outer(k, k) for k in inverse])[:, None]),
            ("cubic", cubic),
            ("psf", np.stack([np.outer(k, k) for k in psf])[:, None]),
        ):
            self.register_buffer(name, torch.tensor(kernel, dtype=torch.float32), persistent=False)

    def up(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, 3h, 3w)."""
        channels, height, width = x.shape[1], x.shape[2], x.shape[3]
        x = F.conv2d(_replicate(x, INVERSE_RADIUS), self.inverse, groups=channels)
        x = x.reshape(-1, 1, height, width)
        x = F.pixel_shuffle(F.conv2d(_replicate(x, UP_RADIUS), self.cubic), FACTOR)
        return x.reshape(-1, channels, FACTOR * height, FACTOR * width)

    def down(self, x: Tensor) -> Tensor:
        """(B, C, 3h, 3w) -> (B, C, h, w)."""
        x = F.pad(x, (4, 3, 4, 3), mode="replicate")
        return F.conv2d(x, self.psf, stride=FACTOR, groups=x.shape[1])


def _replicate(x: Tensor, radius: int) -> Tensor:
    return F.pad(x, (radius,) * 4, mode="replicate")
