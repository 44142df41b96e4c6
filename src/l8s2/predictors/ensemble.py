"""Several predictions of one window made into one: of several models, or of one network with dropout."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from l8s2.arrays import Float, Mask
from l8s2.errors import InputError
from l8s2.predictors.engines import Network
from l8s2.predictors.protocol import Predictor, predict_in_tiles
from l8s2.predictors.torch_network import TorchNetwork

if TYPE_CHECKING:
    from torch import nn


class Moments:
    """Mean and standard error of equally likely predictions, accumulated one after the other.

    NaN in a mean does not count.
    """

    def __init__(self) -> None:
        self._number = 0

    def add(self, mean: Float, sigma: Float) -> None:
        """Add a prediction; arrays of any one shape. NaN in sigma is unknown, and taken for 0."""
        known = ~np.isnan(mean)
        certain = known & ~np.isnan(sigma)
        if not self._number:
            self._count = np.zeros(mean.shape, np.uint16)
            self._said = np.zeros(mean.shape, bool)
            self._mean, self._spread, self._variance = (np.zeros(mean.shape, np.float32) for _ in range(3))
        self._number += 1
        self._count += known
        self._said |= certain
        step = np.where(known, mean - self._mean, np.float32(0))
        self._mean += step / np.maximum(self._count, 1)
        self._spread += step * np.where(known, mean - self._mean, np.float32(0))  # Welford: no cancellation
        self._variance += np.where(certain, sigma, np.float32(0)) ** 2

    def result(self) -> tuple[Float, Float]:
        """(mean, sigma): the mean of means, and the root of mean variance plus population variance of the means.

        Mean is NaN where no prediction had a value, sigma also where there was one alone and it came without.
        """
        count = np.maximum(self._count, 1)
        sigma = np.sqrt((self._variance + self._spread) / count)
        nothing = np.float32(np.nan)
        return (
            np.where(self._count > 0, self._mean, nothing),
            np.where((self._count > 1) | self._said, sigma, nothing).astype(np.float32),
        )


class Ensemble:
    """Several models as one. They run one after the other, and large ones leave the memory in between.

    See Predictor. A pixel is out of the domain where it is out of that of any member: then its share of the mean is a
    guess, and so is how far the members differ.
    """

    def __init__(self, members: Sequence[Predictor]) -> None:
        self._members = tuple(members)
        self.name = "+".join(member.name for member in members)
        self.sha256 = hashlib.sha256("".join(member.sha256 for member in members).encode()).hexdigest()
        self.margin = max(member.margin for member in members)
        self.streams, self._lock = 1, threading.Lock()
        self.uses_pan = any(member.uses_pan for member in members)
        self.no_pan_model = next((member.no_pan_model for member in members if member.no_pan_model), None)

    @cached_property
    def tile(self) -> int:
        """See Predictor.tile."""
        tiles = []
        for member in self._members:
            tiles.append(member.tile)
            member.release()
        return min(tiles)

    def out_of_domain(self, ms: Float) -> Mask:
        """See Predictor.out_of_domain."""
        return np.asarray(np.logical_or.reduce([member.out_of_domain(ms) for member in self._members]))

    def predict(self, ms: Float, pan: Float | None, *, sun_elevation: float | None = None) -> tuple[Float, Float]:
        """See Predictor.predict."""
        return predict_in_tiles(self, ms, pan, sun_elevation)

    def predict_window(
        self, ms: Float, pan: Float | None, origin: tuple[int, int], *, sun_elevation: float | None = None
    ) -> tuple[Float, Float, Mask]:
        """See Predictor.predict_window; pan was used where every member used it."""
        with self._lock:
            return self._predict_window(ms, pan, origin, sun_elevation)

    def _predict_window(
        self, ms: Float, pan: Float | None, origin: tuple[int, int], sun_elevation: float | None
    ) -> tuple[Float, Float, Mask]:
        moments, used = Moments(), []
        for member in self._members:
            spare = self.margin - member.margin
            rows, columns = (slice(spare, n - spare) for n in ms.shape[1:])
            fine = None
            if pan is not None:
                fine = pan[2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop]
            mean, sigma, with_pan = member.predict_window(
                ms[:, rows, columns], fine, (origin[0] + spare, origin[1] + spare), sun_elevation=sun_elevation
            )
            member.release()
            moments.add(mean, sigma)
            used.append(with_pan)
        return *moments.result(), np.asarray(np.logical_and.reduce(used))

    def memory(self, pixels: int) -> int:
        """See Predictor.memory."""
        return max(member.memory(pixels) for member in self._members)

    def release(self) -> None:
        """See Predictor.release."""
        for member in self._members:
            member.release()


class MonteCarlo:
    """A network with its dropout active, run several times (Gal and Ghahramani 2016). See Network.

    Every window draws from the same seed. Layers that drop whole channels, such as those of the published networks,
    then drop the same ones everywhere, so that tiles join without a seam; layers that drop single values do not.
    """

    def __init__(self, network: Network, samples: int, seed: int = 0, *, name: str = "given") -> None:
        """Take a network, how often to run it (``samples``) and what errors call it (``name``).

        Raises InputError where nothing can be dropped.
        """
        if not (isinstance(network, TorchNetwork) and _dropout(network.module)):
            raise InputError(f"model {name}: has no dropout; leave `mc_dropout` out, or take one trained with dropout")
        self._network, self._samples, self._seed = network, samples, seed
        self.receptive_field, self.stride, self.uses_pan = network.receptive_field, network.stride, network.uses_pan
        self.pan_sun_corrected, self.domain = network.pan_sun_corrected, network.domain
        self.no_pan_model, self.streams = network.no_pan_model, 1
        self._lock = threading.Lock()

    def __call__(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """See Network; the variance is the mean of the variances and the variance of the means."""
        return self._moments(self._network, ms, pan)

    def interior(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """See Network."""
        return self._moments(self._network.interior, ms, pan)

    def _moments(
        self, network: Callable[[Float, Float | None], tuple[Float, Float]], ms: Float, pan: Float | None
    ) -> tuple[Float, Float]:
        import torch

        moments, layers = Moments(), _dropout(self._network.module)
        with self._lock, torch.random.fork_rng():  # PyTorch has one generator for all threads
            torch.manual_seed(self._seed)
            for layer in layers:
                layer.train()
            try:
                for _ in range(self._samples):
                    moments.add(*network(ms, pan))
            finally:
                for layer in layers:
                    layer.eval()
        return moments.result()

    def memory(self, pixels: int) -> int:
        """See Network."""
        return self._network.memory(pixels)

    def release(self) -> None:
        """See Network."""
        self._network.release()


def _dropout(module: nn.Module) -> list[nn.Module]:
    from torch.nn.modules.dropout import _DropoutNd

    return [layer for layer in module.modules() if isinstance(layer, _DropoutNd) and layer.p > 0]
