"""A trained compact network as one self-describing ONNX file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from l8s2.models import Compact
from l8s2.trust import Domain
from l8s2.whole_folder import whole_file


class _Stages(nn.Module):
    """The network with its two seams as outputs, so that an engine can run the body alone in lower precision."""

    def __init__(self, network: Compact) -> None:
        super().__init__()
        self.network = network

    def forward(self, ms: Tensor, pan: Tensor | None = None) -> tuple[Tensor, ...]:
        features = self.network.features(ms, pan)
        raw = self.network.body(features)
        return *self.network.restore(ms, raw), features, raw


def export_onnx(network: Compact, path: Path, card: dict[str, object], domain: Domain | None = None) -> None:
    """Write ``network`` to ``path`` (atomically), weights under their PyTorch names, ``card`` and ``domain`` in the metadata.

    Inputs ``ms`` (B, 6, h, w) and, unless pan-less, ``pan`` (B, 1, 2h, 2w), any h and w; outputs ``mean`` and
    ``sigma`` (B, 6, 3h, 3w), and the seams ``features`` and ``raw``.
    """
    stages = _Stages(network).eval()
    batch, height, width = (torch.export.Dim(n) for n in ("batch", "height", "width"))
    shapes: list[dict[int, object]] = [{0: batch, 2: height, 3: width}]
    example: tuple[Tensor, ...] = (torch.rand(2, 6, 24, 28),)
    if network.config.pan:
        example = (*example, torch.rand(2, 1, 48, 56))
        shapes.append({0: batch, 2: 2 * height, 3: 2 * width})
    program = torch.onnx.export(
        stages,
        example,
        dynamo=True,
        input_names=["ms", "pan"][: len(example)],
        output_names=["mean", "sigma", "features", "raw"],
        dynamic_shapes=tuple(shapes),
        optimize=True,
        verbose=False,
    )
    assert program is not None
    proto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]  # traces of the exporter: source paths, stack frames
        node.doc_string = ""
    for value in (*proto.graph.value_info, *proto.graph.initializer, *proto.graph.input, *proto.graph.output):
        del value.metadata_props[:]
    for tensor in proto.graph.initializer:
        tensor.name = tensor.name.removeprefix("network.")
    for node in proto.graph.node:
        node.input[:] = [name.removeprefix("network.") for name in node.input]
    del proto.metadata_props[:]
    metadata = {
        "architecture": "Compact",
        "config": json.dumps(asdict(network.config)),
        "receptive_field": str(network.receptive_field),
        "calibration": json.dumps(network.calibration.tolist()),
        "card": json.dumps(card),
        **({"domain": domain.to_json()} if domain else {}),
    }
    for key, text in metadata.items():
        proto.metadata_props.add(key=key, value=text)
    onnx.checker.check_model(proto)
    with whole_file(path) as draft:
        onnx.save(proto, draft)
