"""Predictors by name, from disk or from the Hub."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from l8s2.errors import InputError
from l8s2.models.names import PUBLISHED_ENSEMBLE, located
from l8s2.models.onnx_file import ModelFile
from l8s2.predictors.engines import Device, Engine, OpenVinoNetwork
from l8s2.predictors.network_predictor import LARGEST_TILE, NetworkPredictor
from l8s2.predictors.options import COMPACT, ModelOptions
from l8s2.predictors.protocol import Predictor
from l8s2.predictors.torch_network import TorchNetwork
from l8s2.system.machine import cores


def load_model(
    name: str | Path = "compact",
    *,
    engine: Engine = "openvino",
    device: Device = "auto",
    threads: int | None = None,
    max_memory: float = COMPACT.max_memory,
    mc_dropout: int | None = None,
    trust_architecture: str | None = None,
) -> Predictor:
    """Load a predictor by name, from disk or from the Hub.

    Args:
        name: what ``models.names.POSSIBLE`` says; several of them make an ensemble. Where pan is missing, the no-pan
            model that the model names answers.
        engine: of ONNX files: ``openvino``, or ``torch`` with the extra of that name; everything else runs in PyTorch.
        device: where PyTorch runs: ``cpu``, ``cuda``, or ``auto`` for a GPU where there is one; OpenVINO runs on the
            processor.
        threads: processor threads; None takes all.
        max_memory: gigabytes at the peak, as far as the model allows.
        mc_dropout: predict so many times with dropout active, for models trained with dropout.
        trust_architecture: the "package.module:Class" of a model of one's own. It is imported, and so its code runs,
            only where a model folder names exactly it; folders that name any other are refused.

    Raises InputError for a model that is missing or unreadable, and for an option that does not fit.
    """
    return load_predictor(
        ModelOptions(
            model=name,
            engine=engine,
            device=device,
            threads=threads,
            max_memory=max_memory,
            mc_dropout=mc_dropout,
            trust_architecture=trust_architecture,
        )
    )


def load_predictor(options: ModelOptions) -> Predictor:
    """Load the model that ``options`` name. Raises InputError as ``load_model`` does."""
    name = options.model
    names = [str(name)] if os.path.exists(name) else [n.strip() for n in str(name).split(",")]
    if PUBLISHED_ENSEMBLE in names:
        from l8s2.models.hub import PUBLISHED

        names = [n for given in names for n in (PUBLISHED if given == PUBLISHED_ENSEMBLE else [given])]
    if len(set(names)) < len(names):
        raise InputError(f"model {name}: has a member twice; name every member once")
    members = [_load_one(n, options) for n in names]
    if len(members) == 1:
        return members[0]
    from l8s2.predictors.ensemble import Ensemble

    return Ensemble(members)


def _load_one(name: str, options: ModelOptions) -> NetworkPredictor:
    path = located(name)
    network: OpenVinoNetwork | TorchNetwork
    memory = options.network_memory
    if path.suffix == ".onnx":
        file = ModelFile(path)
        if options.engine == "openvino":
            if options.device == "cuda":
                raise InputError(f"`device` cuda: model {name} runs in OpenVINO, on the processor; add `engine` torch")
            network = OpenVinoNetwork(file, options.threads)
            network.streams = _streams(network, options)
        else:
            network = TorchNetwork(file.build, options.threads, file.domain, device=options.device)
        name, sha256 = file.path.stem, file.sha256
    else:
        from l8s2.models.folder import open_model_folder

        stored = open_model_folder(path, trust_architecture=options.trust_architecture)
        network = TorchNetwork(stored.build, options.threads, device=options.device)
        name, sha256 = stored.name, stored.sha256
    if isinstance(network, TorchNetwork):
        memory = network.room(memory)
    no_pan_model = None
    if network.uses_pan and network.no_pan_model is not None:
        no_pan_model = _load_one(
            network.no_pan_model,
            replace(options, mc_dropout=None, engine="torch" if options.device == "cuda" else options.engine),
        )
        if no_pan_model.uses_pan:
            raise InputError(
                f"model {name}: no_pan_model {network.no_pan_model} needs pan itself; "
                "name one that does not in config.json"
            )
    if options.mc_dropout is None:
        return NetworkPredictor(name, sha256, network, no_pan_model, memory=memory)
    from l8s2.predictors.ensemble import MonteCarlo

    several = MonteCarlo(network, options.mc_dropout, name=name)
    return NetworkPredictor(name, sha256, several, no_pan_model, memory=memory)


def _streams(network: OpenVinoNetwork, options: ModelOptions) -> int:
    """Return how many windows are predicted at a time: one for each processor, as far as memory allows."""
    seen = network.receptive_field + network.stride - 1
    window = network.memory((LARGEST_TILE + 2 * seen) ** 2)
    return max(1, min(options.threads or cores(), int(options.network_memory // window)))
