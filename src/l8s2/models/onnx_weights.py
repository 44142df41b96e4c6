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

    Raises InputError for any other file, for networks that are not in ``ARCHITECTURES``, and for those whose weights
    the exporter has changed.
    """
    try:
        proto = onnx.load(path)
        info = with_defaults({p.key: p.value for p in proto.metadata_props})
        scale = torch.tensor(json.loads(info.get("calibration", "[]")))
        network = ARCHITECTURES[info["architecture"]](json.loads(info["config"]))
    except Exception:  # whatever the parser makes of rubbish
        raise InputError(f"{path}: no network in ONNX that l8s2 can read back; give a model folder") from None
    stored = {t.name: torch.tensor(onnx.numpy_helper.to_array(t)) for t in proto.graph.initializer}
    stored |= {name: scale for name, buffer in network.named_buffers() if buffer is network.sigma_scale}
    if missing := [name for name in network.state_dict() if name not in stored]:
        raise InputError(f"{path}: {missing[0]} was changed by the exporter; give a model folder")
    fill(network, {name: stored[name] for name in network.state_dict()}, path)
    network.no_pan_model = json.loads(info["no_pan_model"])
    return network.eval(), info["architecture"]
