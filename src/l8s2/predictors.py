"""Networks behind one door: native arrays in, mean and sigma on the 10 m block grid out."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from l8s2.engines import Engine, ModelFile, Network, OpenVinoNetwork, TorchNetwork
from l8s2.errors import InputError
from l8s2.model_names import PUBLISHED_ENSEMBLE, located
from l8s2.tiling import FILL_REACH, Float, Mask, dilate, enlarge, fill_missing, windows

if TYPE_CHECKING:
    from torch import nn

PAN_REACH = 3
"""MS pixels around missing pan that are left to the pan-less twin."""
LARGEST_TILE = 512
"""MS pixels to a side: 1536 output pixels, three COG blocks."""
_TILE_STEP = 32
_MEMORY = 5_500_000_000
"""Bytes that running a network on one tile may take."""


class Predictor(Protocol):
    """What the rest of l8s2 asks of a model."""

    name: str
    sha256: str
    margin: int
    """MS pixels of context that ``predict_window`` expects on every side."""
    sun_elevation: float | None
    """Of the scene that is to be predicted, degrees. Some models want pan as it was before it was divided by the sine of it; None
    leaves pan as it is given."""

    @property
    def twin(self) -> Predictor | None:
        """Who answers where there is no pan; None for a model that needs no pan, or has no twin."""
        ...

    @property
    def tile(self) -> int:
        """MS pixels to a side that are best predicted at a time; what ``predict_window`` gives does not depend on it."""
        ...

    def strange(self, ms: Float) -> Mask:
        """(h, w) bool, True where ms (6, h, w), with NaN where missing, is unlike any ground the model was trained on."""
        ...

    def predict(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """(mean, sigma), each (6, 3h, 3w), from ms (6, h, w) and pan (2h, 2w) or None.

        Reflectance; ms at 30 m, pan top-of-atmosphere at 15 m with pan[2r, 2c] centred on ms[:, r, c], the result
        on the Sentinel-2 lattice. NaN is missing: an MS band that is NaN stays NaN, a missing pan pixel is left
        to the pan-less twin, and is missing in the result where there is none. A model without uncertainty gives NaN
        for sigma.
        """
        ...

    def predict_window(self, ms: Float, pan: Float | None, origin: tuple[int, int]) -> tuple[Float, Float, Mask]:
        """The same for a window read with ``margin`` MS pixels of context on every side, NaN beyond the image.

        ``origin``: row and column in the image of ms[:, 0, 0], negative where the margin begins beyond it. Returns mean
        and sigma of the window without its margin, and (h, w) bool, True where pan was used. Every pixel is the same
        number in whatever window it is predicted.
        """
        ...

    def memory(self, pixels: int) -> int:
        """Bytes that predicting a window of so many MS pixels, margin included, takes at the peak, about."""
        ...

    def release(self) -> None:
        """Let go of what the next prediction can load again."""
        ...


class NetworkPredictor:
    """One network, with or without a pan-less twin for what pan does not cover."""

    def __init__(self, name: str, sha256: str, network: Network, twin: NetworkPredictor | None) -> None:
        self.name, self.sha256 = name, sha256
        self._network, self.twin = network, twin
        self._networks = [network, twin._network] if twin else [network]
        self.margin = max(n.receptive_field + n.stride - 1 for n in self._networks) + FILL_REACH
        self.uses_pan: bool = network.uses_pan
        self.sun_elevation: float | None = None

    @cached_property
    def tile(self) -> int:
        """See Predictor.tile: the largest that a few gigabytes of memory allow."""
        tile, seen = LARGEST_TILE, 2 * (self.margin - FILL_REACH)
        while tile > _TILE_STEP and self.memory((tile + seen) ** 2) > _MEMORY:
            tile -= _TILE_STEP
        return tile

    @property
    def module(self) -> nn.Module:
        """The plain PyTorch module; of UNets the one that takes ``module(ms, pan)`` at 10 m, as published."""
        if not isinstance(self._network, TorchNetwork):
            raise InputError(f"model {self.name} is no plain PyTorch module; load it with engine='torch'")
        from l8s2.models import OnLattice

        module = self._network.module
        return module.network if isinstance(module, OnLattice) else module

    def strange(self, ms: Float) -> Mask:
        """See Predictor.strange; nothing is strange to a model whose file does not say what it was trained on."""
        domain = self._network.domain
        return domain.strange(fill_missing(ms)) if domain else np.zeros(ms.shape[1:], dtype=bool)

    def predict(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """See Predictor.predict."""
        return predict_in_tiles(self, ms, pan)

    def predict_window(self, ms: Float, pan: Float | None, origin: tuple[int, int]) -> tuple[Float, Float, Mask]:
        """See Predictor.predict_window."""
        blind = self.twin if self.uses_pan else self
        if blind is None and pan is None:
            raise InputError(f"model {self.name} needs pan; give it with --pan, or take --model compact-nopan")
        m = self.margin
        height, width = (n - 2 * m for n in ms.shape[1:])
        missing = np.isnan(ms[:, m : m + height, m : m + width])
        with_pan = np.zeros((height, width), dtype=bool)
        if pan is not None and self.uses_pan:
            with_pan = ~self._without_pan(ms, pan)[m : m + height, m : m + width]
        ms = fill_missing(ms)
        if pan is not None and with_pan.any():
            mean, sigma = self._run(self._network, ms, fill_missing(pan[None])[0], origin)
            if blind and not with_pan.all():
                self._patch(blind, mean, sigma, ms, origin, with_pan)
        elif blind:
            mean, sigma = self._run(blind._network, ms, None, origin)
        else:
            mean = sigma = np.full((6, 3 * height, 3 * width), np.nan, np.float32)
        if blind is None:
            missing |= ~with_pan
        if missing.any():
            gone = enlarge(missing)
            mean, sigma = (np.where(gone, np.float32(np.nan), x) for x in (mean, sigma))
        return mean, sigma, with_pan

    def _without_pan(self, ms: Float, pan: Float) -> Mask:
        """(h, w), True where pan is not to be used; beyond the footprint nothing is asked of it.

        A twin gets whatever pan does not cover well. Without twin nothing but guessing is left where not one of the four
        samples is known.
        """
        unknown = np.isnan(pan).reshape(ms.shape[1], 2, ms.shape[2], 2)
        known_ms = np.isfinite(ms).any(axis=0)
        if self.twin is None:
            return np.asarray(unknown.all(axis=(1, 3)) & known_ms)
        return dilate(np.asarray(unknown.any(axis=(1, 3)) & known_ms), PAN_REACH)

    def _patch(
        self, blind: NetworkPredictor, mean: Float, sigma: Float, ms: Float, origin: tuple[int, int], with_pan: Mask
    ) -> None:
        """Put what the bands alone tell where ``with_pan`` is False, in place; only the part around it is computed."""
        m = self.margin
        rows, columns = (np.flatnonzero(~with_pan.all(axis)) for axis in (1, 0))
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        around = ms[:, part[0].start : part[0].stop + 2 * m, part[1].start : part[1].stop + 2 * m]
        answer = self._run(blind._network, around, None, (origin[0] + part[0].start, origin[1] + part[1].start))
        where = enlarge(~with_pan[part])
        for image, values in zip((mean, sigma), answer, strict=True):
            inner = image[:, 3 * part[0].start : 3 * part[0].stop, 3 * part[1].start : 3 * part[1].stop]
            inner[:, where] = values[:, where]

    def _run(self, network: Network, ms: Float, pan: Float | None, origin: tuple[int, int]) -> tuple[Float, Float]:
        """Run on what the network must see of the window, multiples of its stride; return the window without margin."""
        needed, inner = [], []
        for first, size in zip(origin, ms.shape[1:], strict=True):
            start, stop = first + self.margin, first + size - self.margin
            begin = (start - network.receptive_field) // network.stride * network.stride
            end = -(-(stop + network.receptive_field) // network.stride) * network.stride
            needed.append(slice(begin - first, end - first))
            inner.append(slice(3 * (start - begin), 3 * (stop - begin)))
        if pan is not None:
            pan = np.ascontiguousarray(pan[tuple(slice(2 * s.start, 2 * s.stop) for s in needed)])
            if self.sun_elevation is not None and not network.pan_sun_corrected:
                pan = pan * np.float32(np.sin(np.radians(self.sun_elevation)))
        mean, sigma = network(np.ascontiguousarray(ms[:, *needed]), pan)
        return mean[:, *inner], sigma[:, *inner]

    def memory(self, pixels: int) -> int:
        """See Predictor.memory."""
        return max(network.memory(pixels) for network in self._networks)

    def release(self) -> None:
        """See Predictor.release."""
        for network in self._networks:
            network.release()


def predict_in_tiles(predictor: Predictor, ms: Float, pan: Float | None) -> tuple[Float, Float]:
    """``Predictor.predict`` by means of ``Predictor.predict_window``."""
    ms = _checked(ms, "ms", 3)
    if ms.shape[0] != 6:
        raise InputError(f"ms has shape {ms.shape}; it must be (6, h, w): blue, green, red, nir08, swir16, swir22")
    height, width = ms.shape[1:]
    m = predictor.margin
    if pan is not None:
        pan = _checked(pan, "pan", 2)
        if pan.shape != (2 * height, 2 * width):
            raise InputError(f"pan has shape {pan.shape}; for ms {ms.shape} it must be {(2 * height, 2 * width)}")
        pan = np.pad(pan, 2 * m, constant_values=np.nan)
    ms = np.pad(ms, ((0, 0), (m, m), (m, m)), constant_values=np.nan)
    mean = np.empty((6, 3 * height, 3 * width), np.float32)
    sigma = np.empty_like(mean)
    for r, c in windows((height, width), predictor.tile):
        wide = slice(r.start, r.stop + 2 * m), slice(c.start, c.stop + 2 * m)
        fine = None if pan is None else pan[tuple(slice(2 * s.start, 2 * s.stop) for s in wide)]
        at = slice(3 * r.start, 3 * r.stop), slice(3 * c.start, 3 * c.stop)
        mean[:, *at], sigma[:, *at], _ = predictor.predict_window(ms[:, *wide], fine, (r.start - m, c.start - m))
    return mean, sigma


def _checked(values: NDArray[Any], name: str, ndim: int) -> Float:
    values = np.asarray(values)
    if values.ndim != ndim or values.dtype.kind != "f":
        raise InputError(
            f"{name} is {values.dtype} of shape {values.shape}; it must be floating-point reflectance with {ndim} axes"
        )
    return values.astype(np.float32, copy=False)


def load_model(
    name: str | Path = "compact",
    *,
    engine: Engine = "openvino",
    threads: int | None = None,
    mc_dropout: int | None = None,
) -> Predictor:
    """A predictor by name, from disk or from the Hub.

    Args:
        name: what ``model_names.POSSIBLE`` says; several of them make an ensemble. Compact models hand pixels without pan to
            ``compact-nopan``.
        engine: of ONNX files: ``openvino``, or ``torch`` with the extra of that name; everything else runs in PyTorch.
        threads: processor threads; None leaves it to the engine.
        mc_dropout: predict so many times with dropout active, for models trained with dropout.
    """
    if engine not in ("openvino", "torch"):
        raise InputError(f"engine {engine}: unknown; choose openvino or torch")
    names = [str(name)] if os.path.exists(name) else [n.strip() for n in str(name).split(",")]
    if PUBLISHED_ENSEMBLE in names:
        from l8s2.hub import PUBLISHED

        names = [n for given in names for n in (PUBLISHED if given == PUBLISHED_ENSEMBLE else [given])]
    if len(set(names)) < len(names):
        raise InputError(f"model {name}: has a member twice; name every member once")
    members = [_load_one(n, engine, threads, mc_dropout) for n in names]
    if len(members) == 1:
        return members[0]
    from l8s2.ensemble import Ensemble

    return Ensemble(members)


def _load_one(name: str, engine: Engine, threads: int | None, mc_dropout: int | None) -> NetworkPredictor:
    path = located(name)
    network: OpenVinoNetwork | TorchNetwork
    if path.suffix == ".onnx":
        file = ModelFile(path)
        network = (
            OpenVinoNetwork(file, threads) if engine == "openvino" else TorchNetwork(file.build, threads, file.domain)
        )
        name, sha256 = file.path.stem, file.sha256
    else:
        from l8s2.model_folder import open_model_folder

        stored = open_model_folder(path)
        network = TorchNetwork(stored.build, threads)
        name, sha256 = stored.name, stored.sha256
    twin = None
    if network.uses_pan and network.architecture == "Compact":
        twin = _load_one("compact-nopan", engine, threads, None)
    if mc_dropout is None:
        return NetworkPredictor(name, sha256, network, twin)
    from l8s2.ensemble import MonteCarlo

    return NetworkPredictor(name, sha256, MonteCarlo(network, mc_dropout, name=name), twin)
