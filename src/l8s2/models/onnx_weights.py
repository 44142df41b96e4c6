"""Networks read back, weights and all, from the ONNX files that l8s2 has written."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import torch

from l8s2.errors import InputError
from l8s2.models.onnx_metadata import with_defaults
from l8s2.models.tensors import fill
from l8s2.networks import ARCHITECTURES, HarmonizationNetwork


def read_network(path: Path) -> tuple[HarmonizationNetwork, str]:
    """Return the network in an ONNX file of l8s2, and its architecture.

    Raises InputError for any other file, and for networks whose weights the exporter has changed: those without seams.
    """
    try:
        proto = onnx.load(path)
        info = with_defaults({p.key: p.value for p in proto.metadata_props})
        calibration = torch.tensor(json.loads(info["calibration"]))
        network = ARCHITECTURES[info["architecture"]](json.loads(info["config"]))
    except Exception:  # whatever the parser makes of rubbish
        raise InputError(f"{path}: no compact network in ONNX that l8s2 has exported; give a model folder") from None
    stored = {t.name: torch.tensor(onnx.numpy_helper.to_array(t)) for t in proto.graph.initializer}
    stored["calibration"] = calibration
    fill(network, {name: stored[name] for name in network.state_dict() if name in stored}, path)
    network.no_pan_model = json.loads(info["no_pan_model"])
    return network.eval(), info["architecture"]
