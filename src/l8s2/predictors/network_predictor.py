"""One network as a predictor: native arrays in, mean and sigma on the 10 m block grid out."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from l8s2.arrays import FILL_REACH, Float, Mask, dilate, enlarge, fill_missing
from l8s2.errors import InputError
from l8s2.predictors.engines import Network
from l8s2.predictors.options import COMPACT
from l8s2.predictors.protocol import Predictor, predict_in_tiles
from l8s2.predictors.torch_network import TorchNetwork
from l8s2.sensors import N_BANDS

if TYPE_CHECKING:
    from torch import nn

PAN_REACH = 3
"""MS pixels around missing pan that are left to the no-pan model."""
LARGEST_TILE = 342
"""MS pixels to a side: enough for 1024 output pixels, two tiles of the files, wherever they begin."""
_TILE_STEP = 32
_ALONE = 6000
"""Bytes for each MS pixel of a window that one stream takes at least, with the window that a second thread reads or
stores meanwhile, measured."""


def windows_memory(predictor: Predictor, pixels: int, streams: int) -> int:
    """Return the bytes of windows at work, of so many MS pixels each, margin included."""
    each = predictor.memory(pixels)
    return streams * each if predictor.streams > 1 else max(each, _ALONE * pixels)


class NetworkPredictor:
    """One network, with or without a no-pan model for what pan does not cover."""

    def __init__(
        self,
        name: str,
        sha256: str,
        network: Network,
        no_pan_model: NetworkPredictor | None,
        *,
        memory: float = COMPACT.network_memory,
    ) -> None:
        """Take a network; ``memory``: bytes that it may take at work, as far as that is possible."""
        self._memory = memory
        self.name, self.sha256 = name, sha256
        self._network, self.no_pan_model = network, no_pan_model
        self._networks = [network, no_pan_model._network] if no_pan_model else [network]
        self.margin = max(n.receptive_field + n.stride - 1 for n in self._networks) + FILL_REACH
        self.uses_pan: bool = network.uses_pan
        self.streams: int = network.streams

    @cached_property
    def tile(self) -> int:
        """See Predictor.tile: the largest that the memory allows."""
        tile, seen = LARGEST_TILE, 2 * (self.margin - FILL_REACH)
        while tile > _TILE_STEP and windows_memory(self, (tile + seen) ** 2, 1) > self._memory:
            tile -= _TILE_STEP
        return tile

    @property
    def module(self) -> nn.Module:
        """The plain PyTorch module; of published networks the one that takes ``module(ms, pan)`` at 10 m."""
        if not isinstance(self._network, TorchNetwork):
            raise InputError(f"model {self.name} is no plain PyTorch module; load it with engine='torch'")
        return self._network.module.base

    def out_of_domain(self, ms: Float) -> Mask:
        """See Predictor.out_of_domain; a model whose file records no domain accepts all ground."""
        domain = self._network.domain
        return domain.out_of_domain(fill_missing(ms)) if domain else np.zeros(ms.shape[1:], dtype=bool)

    def predict(self, ms: Float, pan: Float | None, *, sun_elevation: float | None = None) -> tuple[Float, Float]:
        """See Predictor.predict."""
        return predict_in_tiles(self, ms, pan, sun_elevation)

    def predict_window(
        self, ms: Float, pan: Float | None, origin: tuple[int, int], *, sun_elevation: float | None = None
    ) -> tuple[Float, Float, Mask]:
        """See Predictor.predict_window."""
        without_pan = self.no_pan_model if self.uses_pan else self
        if without_pan is None and pan is None:
            raise InputError(f"model {self.name} needs pan; give it with `pan`, or take `model` compact-nopan")
        m = self.margin
        height, width = (n - 2 * m for n in ms.shape[1:])
        missing = np.isnan(ms[:, m : m + height, m : m + width])
        with_pan = np.zeros((height, width), dtype=bool)
        if pan is not None and self.uses_pan:
            with_pan = ~self._without_pan(ms, pan)[m : m + height, m : m + width]
        ms = fill_missing(ms)
        if pan is not None and with_pan.any():
            pan = self._as_trained(fill_missing(pan[None])[0], sun_elevation)
            mean, sigma = self._run(self._network, ms, pan, origin)
            if without_pan and not with_pan.all():
                self._patch(without_pan, mean, sigma, ms, origin, with_pan)
        elif without_pan:
            mean, sigma = self._run(without_pan._network, ms, None, origin)
        else:
            mean = sigma = np.full((N_BANDS, 3 * height, 3 * width), np.nan, np.float32)
        if without_pan is None:
            missing |= ~with_pan
        if missing.any():
            gone = enlarge(missing)
            mean, sigma = (np.where(gone, np.float32(np.nan), x) for x in (mean, sigma))
        return mean, sigma, with_pan

    def _without_pan(self, ms: Float, pan: Float) -> Mask:
        """Return (h, w), True where pan is not to be used; never beyond the footprint.

        With a no-pan model these are all pixels that pan does not cover well; without one only those of whose four
        samples none is known.
        """
        unknown = np.isnan(pan).reshape(ms.shape[1], 2, ms.shape[2], 2)
        known_ms = np.isfinite(ms).any(axis=0)
        if self.no_pan_model is None:
            return np.asarray(unknown.all(axis=(1, 3)) & known_ms)
        return dilate(np.asarray(unknown.any(axis=(1, 3)) & known_ms), PAN_REACH)

    def _as_trained(self, pan: Float, sun_elevation: float | None) -> Float:
        """Return pan with or without the division by the sine of the sun's elevation, as the network was trained."""
        if self._network.pan_sun_corrected:
            return pan
        if sun_elevation is None or not 0 < sun_elevation <= 90:
            raise InputError(
                f"model {self.name}: sun_elevation={sun_elevation}, but it was trained on pan without correction "
                "for the sun; give predict the sun_elevation of the scene, in degrees above 0 and up to 90"
            )
        return pan * np.float32(np.sin(np.radians(sun_elevation)))

    def _patch(
        self, no_pan: NetworkPredictor, mean: Float, sigma: Float, ms: Float, origin: tuple[int, int], with_pan: Mask
    ) -> None:
        """Write the no-pan model's answer where ``with_pan`` is False, in place.

        Only the part around it is computed.
        """
        m = self.margin
        rows, columns = (np.flatnonzero(~with_pan.all(axis)) for axis in (1, 0))
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        around = ms[:, part[0].start : part[0].stop + 2 * m, part[1].start : part[1].stop + 2 * m]
        answer = self._run(no_pan._network, around, None, (origin[0] + part[0].start, origin[1] + part[1].start))
        where = enlarge(~with_pan[part])
        for image, values in zip((mean, sigma), answer, strict=True):
            part_of_image = image[:, 3 * part[0].start : 3 * part[0].stop, 3 * part[1].start : 3 * part[1].stop]
            part_of_image[:, where] = values[:, where]

    def _run(self, network: Network, ms: Float, pan: Float | None, origin: tuple[int, int]) -> tuple[Float, Float]:
        """Run on what the network must see of the window, multiples of its stride; return the window without margin."""
        needed, within = [], []
        for first, size in zip(origin, ms.shape[1:], strict=True):
            start, stop = first + self.margin, first + size - self.margin
            begin = (start - network.receptive_field) // network.stride * network.stride
            end = -(-(stop + network.receptive_field) // network.stride) * network.stride
            needed.append(slice(begin - first, end - first))
            begin += network.receptive_field
            within.append(slice(3 * (start - begin), 3 * (stop - begin)))
        if pan is not None:
            pan = np.ascontiguousarray(pan[tuple(slice(2 * s.start, 2 * s.stop) for s in needed)])
        mean, sigma = network.interior(np.ascontiguousarray(ms[:, *needed]), pan)
        return mean[:, *within], sigma[:, *within]

    def memory(self, pixels: int) -> int:
        """See Predictor.memory."""
        return max(network.memory(pixels) for network in self._networks)

    def release(self) -> None:
        """See Predictor.release."""
        for network in self._networks:
            network.release()
