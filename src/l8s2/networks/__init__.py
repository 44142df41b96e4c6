"""Networks, in pure PyTorch. A leaf: imports nothing from the rest of l8s2.

What l8s2 trains and runs is a ``torch.nn.Module`` with

    forward(ms, pan) -> (mean, sigma)
        ms (B, 6, h, w) surface reflectance at 30 m; pan (B, 1, 2h, 2w) top-of-atmosphere reflectance at 15 m, or
        None, with pan[2r, 2c] centred on ms[r, c]; mean and sigma (B, 6, 3h, 3w) reflectance on Sentinel-2's lattice:
        10 m pixel k of MS pixel r lies (-1/6, 1/6, 1/2)[k] MS pixels from its centre. sigma is None for a network
        that has none.
    uses_pan: bool            False: pan is None
    pan_sun_corrected: bool   optional; False: pan is wanted without the division by the sine of the sun's elevation
    receptive_field: int      margin in MS pixels beyond which nothing influences an output pixel
    stride: int               MS pixels at multiples of which windows must begin and end for their interiors to agree
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from torch import nn

from l8s2.networks.compact import Compact, CompactConfig
from l8s2.networks.lattice import OnLattice
from l8s2.networks.unet import UNet, UNetConfig

__all__ = ["ARCHITECTURES", "Compact", "CompactConfig", "OnLattice", "UNet", "UNetConfig", "build"]


def build(architecture: str, config: Mapping[str, Any]) -> nn.Module:
    """The untrained network of a name in ``ARCHITECTURES`` or of a "package.module:Class", called with ``config``.

    A "package.module:Class" runs code of that module: pass one on only from the user's own configuration, never from
    a downloaded file. ValueError if there is no such network, it refuses ``config`` or it lacks a part of the contract.
    """
    if architecture in ARCHITECTURES:
        return ARCHITECTURES[architecture](config)
    module, _, name = architecture.partition(":")
    if not (module and name):
        known = ", ".join(ARCHITECTURES)
        raise ValueError(f"architecture={architecture!r} is unknown; use {known} or package.module:Class")
    try:
        network: nn.Module = getattr(importlib.import_module(module), name)(**config)
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(
            f"architecture={architecture!r}: {error}; name a class that can be imported and takes "
            "the keys of the configuration"
        ) from error
    missing = [part for part in ("uses_pan", "receptive_field", "stride") if not hasattr(network, part)]
    if missing:
        raise ValueError(f"architecture={architecture!r} has no {missing[0]}; see the contract in l8s2.networks")
    return network


def _compact(config: Mapping[str, Any]) -> Compact:
    _refuse_unknown(config, {field.name for field in fields(CompactConfig)})
    return Compact(CompactConfig(**config))


def _on_lattice(config: Mapping[str, Any]) -> OnLattice:
    unet = {field.name for field in fields(UNetConfig)}
    _refuse_unknown(config, unet | set(OnLattice.INPUTS))
    inputs = {key: value for key, value in config.items() if key in OnLattice.INPUTS}
    return OnLattice(UNet(UNetConfig(**{key: value for key, value in config.items() if key in unet})), **inputs)


def _refuse_unknown(config: Mapping[str, Any], known: set[str]) -> None:
    for key in config:
        if key not in known:
            raise ValueError(f"{key!r} is no key of this network's configuration; use {', '.join(sorted(known))}")


ARCHITECTURES: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {"Compact": _compact, "UNet": _on_lattice}
"""Names that ``build`` knows. The UNet's configuration may also hold ``OnLattice.INPUTS``."""
