"""The compact network: native Landsat pixels in, Sentinel-2's 10 m block grid out.

The body works at 30 m and predicts only detail. Of that detail everything OLI would have seen is taken out again
(back-projection), so colours cannot drift: averaged back to 30 m the output is the band-passed input.

    mean = up(m) + (d - up(down(d))),   m = input with Sentinel-2's band-pass,   d = body(features)

Pan enters after a local regression on the visible bands, so neither haze, sun angle nor path radiance of the
top-of-atmosphere pan matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l8s2.networks.contract import HarmonizationNetwork, Stages
from l8s2.networks.polyphase import DOWN_RADIUS, INVERSE_RADIUS, UP_RADIUS, Polyphase

BANDS = 6
CONTEXT = 5
"""Radius of the window of the local means and of the regression of pan on the visible bands, MS pixels."""
PAN_FLOOR = 0.004
"""Contrast (reflectance) below which pan is taken as it is instead of regressed."""


@dataclass(frozen=True, kw_only=True)
class CompactConfig:
    """What rebuilds the network. Sensor constants travel with the weights, so old weights keep their physics."""

    pan: bool = True
    """False builds the network for products without pan."""
    width: int = 64
    """Channels of the body."""
    blocks: int = 7
    """Residual blocks of two 3x3 convolutions."""
    back_projection_steps: float | tuple[float, ...] = (2.5, 2.5, 2.5, 2.5, 1.75, 1.75)
    """How closely ``up`` inverts ``down``, for all bands or each; more steps amplify noise."""
    band_pass: tuple[tuple[float, float], ...] = (
        (0.9778, -0.0040), (1.0053, -0.0009), (0.9765, 0.0009), (0.9983, -0.0001), (0.9987, -0.0011), (1.0030, -0.0012),
    )  # fmt: skip
    """(a, b) per band with OLI = a * MSI + b."""
    blur: tuple[float, ...] = (1.22, 1.22, 1.22, 1.04, 0.90, 0.95)
    """Gaussian sigma that turns Sentinel-2's sharpness into OLI's, 10 m pixels, per band; medians of seven real
    pairs."""
    pan_weights: tuple[float, ...] = (0.28, 0.37, 0.35)
    """Blue, green, red in pan."""
    pan_blur: float = 0.854
    """Gaussian sigma that turns pan's sharpness into that of the MS bands, 15 m pixels."""


class Compact(HarmonizationNetwork):
    """mean, sigma = Compact(config)(ms, pan).

    ms (B, 6, h, w) surface reflectance at 30 m; pan (B, 1, 2h, 2w) top-of-atmosphere reflectance at 15 m with
    pan[2r, 2c] centred on ms[r, c] (None for a network without pan). mean and sigma (B, 6, 3h, 3w): Sentinel-2
    surface reflectance and its standard error, +-1.645 sigma being the 90 % interval. No NaN.
    """

    band_pass: Tensor
    pan_weights: Tensor
    pan_psf: Tensor
    calibration: Tensor
    stride = 1
    memory_per_pixel = 7000
    """Measured in both engines."""
    seams = True

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        self.polyphase = Polyphase(config.blur, config.back_projection_steps)
        channels = 2 * BANDS + (4 if config.pan else 0)
        self.head = nn.Conv2d(channels, config.width, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(config.width) for _ in range(config.blocks)))
        self.tail = nn.Conv2d(config.width, 2 * 9 * BANDS, 3, padding=1)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)
        self.register_buffer("calibration", torch.ones(BANDS))
        self.register_buffer("band_pass", torch.tensor(config.band_pass), persistent=False)
        self.register_buffer("pan_weights", torch.tensor(config.pan_weights).reshape(1, 3, 1, 1), persistent=False)
        x = torch.arange(7.0) - 3
        gauss = torch.exp(-0.5 * (x / config.pan_blur) ** 2)
        kernel = torch.outer(gauss, gauss)
        self.register_buffer("pan_psf", (kernel / kernel.sum())[None, None], persistent=False)

        self.uses_pan = config.pan
        self.no_pan_model = "compact-nopan" if config.pan else None
        # pan is regressed by a mean over deviations, themselves from a mean, of pan blurred over two pixels
        front = 2 * CONTEXT + 2 if config.pan else CONTEXT
        self.receptive_field = front + 2 + 2 * config.blocks + DOWN_RADIUS + INVERSE_RADIUS + UP_RADIUS

    @property
    def sigma_scale(self) -> Tensor:
        """See HarmonizationNetwork."""
        return self.calibration

    def stages(self) -> Stages:
        """See HarmonizationNetwork."""
        return Stages(self.features, self.body, self.restore)

    def forward(self, ms: Tensor, pan: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.restore(ms, self.body(self.features(ms, pan)))

    def features(self, ms: Tensor, pan: Tensor | None) -> Tensor:
        """Return (B, 12 or 16, h, w): local means and deviations of the bands; pan in units of the visible bands."""
        mean = _local_mean(ms)
        parts = [(ms - mean) * 20, mean * 4 - 0.6]
        if self.config.pan:
            if pan is None:
                raise ValueError("pan=None, but this network was trained with pan; use its no-pan model")
            visible = (ms[:, :3] * self.pan_weights).sum(1, keepdim=True)
            low = F.conv2d(F.pad(pan, (3, 3, 3, 3), mode="replicate"), self.pan_psf, stride=2)
            pan_mean = _local_mean(low)
            visible = visible - _local_mean(visible)
            deviation = low - pan_mean
            floor = PAN_FLOOR**2
            # the regression runs over deviations from the local mean: no cancellation in single precision
            gain = (_local_mean(deviation * visible) + floor) / (_local_mean(deviation**2) + floor)
            samples = F.pixel_unshuffle(pan, 2)
            parts.append((samples - pan_mean) * gain.clamp(0.1, 5.0) * 20)
        return torch.cat(parts, dim=1)

    def body(self, features: Tensor) -> Tensor:
        """Return (B, 108, h, w): detail and log-sigma of the nine 10 m pixels of each MS pixel and band."""
        x = self.head(features)
        raw: Tensor = self.tail(x + self.blocks(x))
        return raw

    def restore(self, ms: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Put the detail that OLI could not see onto the interpolated input."""
        detail, log_sigma = torch.split(raw.float(), 9 * BANDS, dim=1)
        detail = F.pixel_shuffle(detail, 3) * 0.05
        gain, offset = self.band_pass[:, 0, None, None], self.band_pass[:, 1, None, None]
        coarse = (ms - offset) / gain - self.polyphase.down(detail)
        mean = self.polyphase.up(coarse) + detail
        sigma = torch.exp(F.pixel_shuffle(log_sigma, 3).clamp(-5.0, 5.0) - 5.0)
        return mean, sigma * self.calibration[:, None, None]


class Interpolation(nn.Module):
    """The Landsat bands with Sentinel-2's band-pass, interpolated without any detail; inputs at 10 m as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.compact = Compact(CompactConfig(width=1, blocks=0))

    def forward(self, ms: Tensor, truth: Tensor) -> Tensor:
        """Return (B, 6, h, w) in the shape of ``truth``."""
        if ms.shape[2:] == truth.shape[2:]:
            return ms
        nothing = ms.new_zeros(ms.shape[0], 2 * 9 * ms.shape[1], *ms.shape[2:])
        return self.compact.restore(ms, nothing)[0]


class Block(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.3)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.second(F.relu(self.first(x)))
        return x


def _local_mean(x: Tensor) -> Tensor:
    size = 2 * CONTEXT + 1
    x = F.avg_pool2d(x, (size, 1), 1, (CONTEXT, 0), count_include_pad=False)
    return F.avg_pool2d(x, (1, size), 1, (0, CONTEXT), count_include_pad=False)
