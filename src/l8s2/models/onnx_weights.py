"""Networks read back, weights and all, from the ONNX files that l8s2 has written."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import torch

from l8s2.errors import InputError
from l8s2.models.tensors import fill
from l8s2.networks import Compact, build


def read_compact(path: Path) -> Compact:
    """A compact network from the ONNX file that l8s2 has exported. Raises InputError for any other file."""
    try:
        proto = onnx.load(path)
        info = {p.key: p.value for p in proto.metadata_props}
        config, calibration = json.loads(info["config"]), torch.tensor(json.loads(info["calibration"]))
        network = build(info["architecture"], config)
        if not isinstance(network, Compact):
            raise ValueError(info["architecture"])
    except Exception:  # whatever the parser makes of rubbish
        raise InputError(f"{path}: no compact network in ONNX that l8s2 has exported; give a model folder") from None
    stored = {t.name: torch.tensor(onnx.numpy_helper.to_array(t)) for t in proto.graph.initializer}
    stored["calibration"] = calibration
    fill(network, {name: stored[name] for name in network.state_dict() if name in stored}, path)
    return network.eval()
