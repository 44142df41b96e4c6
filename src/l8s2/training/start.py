"""The network that a run begins with: from scratch, or with the weights of an existing model."""

from __future__ import annotations

import json
from typing import Any

from l8s2.errors import InputError
from l8s2.models.folder import check_trusted, open_model_folder
from l8s2.models.names import located
from l8s2.networks import HarmonizationNetwork, build
from l8s2.training.config import Model
from l8s2.training.run_folder import read_checkpoint


def initial_network(model: Model) -> tuple[HarmonizationNetwork, str, dict[str, Any]]:
    """Return the network, its architecture, and its whole configuration as plain values.

    Raises InputError for what cannot be built or read.
    """
    try:
        if model.start is None:
            assert model.architecture is not None
            network, architecture, config = build(model.architecture, model.config), model.architecture, model.config
            if model.as_interpolation:
                network.begin_as_interpolation()
        else:
            network, architecture, config = _stored(model.start, model.trust_architecture)
    except (ValueError, TypeError) as error:
        raise InputError(f"model: {error}") from None
    plain: dict[str, Any] = json.loads(json.dumps({**config, **network.configuration()}))
    return network, architecture, plain


def _stored(name: str, trust_architecture: str | None) -> tuple[HarmonizationNetwork, str, dict[str, Any]]:
    path = located(name)
    if path.suffix == ".onnx":
        from l8s2.models.onnx_weights import read_network

        network, architecture = read_network(path)
        return network, architecture, {}
    if path.suffix == ".pt":
        state = read_checkpoint(path)
        check_trusted(state["architecture"], trust_architecture, path)
        network = build(state["architecture"], state["model_config"])
        network.load_state_dict(state["average"])
        network.no_pan_model = state.get("no_pan_model", network.no_pan_model)
        return network, state["architecture"], state["model_config"]
    stored = open_model_folder(path, trust_architecture=trust_architecture)
    network = build(stored.architecture, stored.config)
    network.load_state_dict(stored.build().state_dict())  # a copy: what build() returns is mapped from the file
    network.no_pan_model = stored.no_pan_model
    return network, stored.architecture, dict(stored.config)
