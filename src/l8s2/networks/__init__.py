"""Networks, in pure PyTorch. A leaf: imports nothing from the rest of l8s2.

What l8s2 trains and runs is a ``HarmonizationNetwork``, a ``torch.nn.Module`` with

    forward(ms, pan) -> (mean, sigma)
        ms (B, 6, h, w) surface reflectance at 30 m; pan (B, 1, 2h, 2w) top-of-atmosphere reflectance at 15 m, or
        None, with pan[2r, 2c] centred on ms[r, c]; mean and sigma (B, 6, 3h, 3w) reflectance on Sentinel-2's lattice:
        10 m pixel k of MS pixel r lies (-1/6, 1/6, 1/2)[k] MS pixels from its centre. sigma is None for a network
        that has none.
    uses_pan, receptive_field, stride
        which every network sets
    pan_sun_corrected, no_pan_model, memory_per_pixel, seams, sigma_scale, base, configuration(), stages() ...
        which have defaults

See ``contract.HarmonizationNetwork`` for each of them. The rest of l8s2 asks for these alone, never for a class:
another network is a file here and a row in ``ARCHITECTURES``, or a "package.module:Class" of one's own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from l8s2.networks.compact import Compact, CompactConfig
from l8s2.networks.contract import REQUIRED, HarmonizationNetwork, Stages
from l8s2.networks.lattice import OnLattice
from l8s2.networks.unet import UNet, UNetConfig

__all__ = [
    "ARCHITECTURES", "Compact", "CompactConfig", "HarmonizationNetwork", "OnLattice", "Stages", "UNet", "UNetConfig",
    "build",
]  # fmt: skip


def build(architecture: str, config: Mapping[str, Any]) -> HarmonizationNetwork:
    """Return the untrained network of a name in ``ARCHITECTURES`` or of a "package.module:Class".

    It is called with ``config``.

    A "package.module:Class" runs code of that module: pass one on only from the user's own configuration, never from
    a downloaded file. Raises ValueError if there is no such network, it refuses ``config`` or it lacks a part of the
    contract.
    """
    if architecture in ARCHITECTURES:
        return ARCHITECTURES[architecture](config)
    module, _, name = architecture.partition(":")
    if not (module and name):
        known = ", ".join(ARCHITECTURES)
        raise ValueError(f"architecture={architecture!r} is unknown; use {known} or package.module:Class")
    try:
        network: HarmonizationNetwork = getattr(importlib.import_module(module), name)(**config)
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(
            f"architecture={architecture!r}: {error}; name a class that can be imported and takes "
            "the keys of the configuration"
        ) from error
    missing = [part for part in REQUIRED if not hasattr(network, part)]
    if missing:
        raise ValueError(
            f"architecture={architecture!r} has no {missing[0]}; derive it from l8s2.networks.HarmonizationNetwork"
        )
    return network


class Architecture(NamedTuple):
    """A network by name."""

    build: Callable[..., HarmonizationNetwork]
    """Takes the configuration, a ``config`` dataclass, and ``inputs`` by name."""
    config: type[Any]
    """Dataclass of the configuration."""
    inputs: tuple[str, ...] = ()
    """Further keys of the configuration."""

    def __call__(self, values: Mapping[str, Any]) -> HarmonizationNetwork:
        """Return the untrained network. Raises ValueError for a key or value that cannot be."""
        own = {field.name for field in fields(self.config)}
        for key in values:
            if key not in own.union(self.inputs):
                known = ", ".join(sorted(own.union(self.inputs)))
                raise ValueError(f"{key!r} is no key of this network's configuration; use {known}")
        inputs = {key: value for key, value in values.items() if key in self.inputs}
        return self.build(self.config(**{key: value for key, value in values.items() if key in own}), **inputs)


ARCHITECTURES: dict[str, Architecture] = {
    "Compact": Architecture(Compact, CompactConfig),
    "UNet": Architecture(lambda config, **inputs: OnLattice(UNet(config), **inputs), UNetConfig, OnLattice.INPUTS),
}
"""Names that ``build`` knows."""
