"""The network that a run begins with: from scratch, or with the weights of a model that is there."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from typing import Any

from torch import nn

from l8s2.errors import InputError
from l8s2.models.names import located
from l8s2.networks import OnLattice, build
from l8s2.training.config import Model
from l8s2.training.run_folder import read_checkpoint


def begin(model: Model) -> tuple[nn.Module, str, dict[str, Any]]:
    """(network, architecture, its whole configuration as plain values). Raises InputError for what cannot be built or read."""
    try:
        if model.start is None:
            assert model.architecture is not None
            network, architecture = build(model.architecture, model.config), model.architecture
            config = model.config
            if model.as_interpolation:
                assert isinstance(network, OnLattice)
                network.network.begin_as_interpolation()
        else:
            network, architecture, config = _stored(model.start)
    except (ValueError, TypeError) as error:
        raise InputError(f"model: {error}") from None
    own = getattr(getattr(network, "network", network), "config", None)
    if is_dataclass(own) and not isinstance(own, type):
        config = config | asdict(own)
    if isinstance(network, OnLattice):
        config = config | {key: getattr(network, key) for key in OnLattice.INPUTS}
    plain: dict[str, Any] = json.loads(json.dumps(config))
    return network, architecture, plain


def _stored(name: str) -> tuple[nn.Module, str, dict[str, Any]]:
    path = located(name)
    if path.suffix == ".onnx":
        from l8s2.models.onnx_weights import read_compact

        return read_compact(path), "Compact", {}
    if path.suffix == ".pt":
        state = read_checkpoint(path)
        network = build(state["architecture"], state["model_config"])
        network.load_state_dict(state["average"])
        return network, state["architecture"], state["model_config"]
    from l8s2.models.folder import open_model_folder

    stored = open_model_folder(path)
    network = build(stored.architecture, stored.config)
    network.load_state_dict(stored.build().state_dict())  # a copy: what build() returns is mapped from the file
    return network, stored.architecture, dict(stored.config)
