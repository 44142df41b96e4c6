"""Any network written as an ONNX file."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from l8s2.errors import InputError
from l8s2.files import whole_file
from l8s2.models.domain import Domain
from l8s2.models.onnx_file import openvino_core
from l8s2.networks import HarmonizationNetwork
from l8s2.sensors import N_BANDS

TOLERANCE = 1e-4
"""Largest difference between the file's answer and the network's: one step of the integers that a product stores."""


def export_onnx(
    network: HarmonizationNetwork,
    path: Path,
    *,
    architecture: str,
    config: Mapping[str, Any],
    card: Mapping[str, Any],
    domain: Domain | None = None,
) -> None:
    """Write a network to ``path``, once the file is checked and answers as the network does.

    Inputs ``ms`` (B, 6, h, w) and, if used, ``pan`` (B, 1, 2h, 2w), h and w multiples of ``stride``; outputs ``mean``
    and, if there is one, ``sigma`` (B, 6, 3h, 3w), and of a network with seams ``features`` and ``raw``.

    Args:
        network: the network.
        path: of the file.
        architecture: as ``l8s2.networks.build`` takes it.
        config: as ``l8s2.networks.build`` takes it; what the network says of its configuration comes on top.
        card: facts for people, kept in the metadata.
        domain: the ground that the network was trained on.

    Raises InputError where the answers differ.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # torchvision is not needed
    with whole_file(path) as draft:
        with warnings.catch_warnings(action="ignore"):  # of the exporter about itself
            proto = _graph(network)
        scale = network.sigma_scale
        metadata = {
            "architecture": architecture,
            "config": json.dumps({**config, **network.configuration()}),
            "receptive_field": str(network.receptive_field),
            "stride": str(network.stride),
            "pan_sun_corrected": json.dumps(network.pan_sun_corrected),
            "no_pan_model": json.dumps(network.no_pan_model),
            **({} if network.memory_per_pixel is None else {"memory_per_pixel": str(network.memory_per_pixel)}),
            **({} if scale is None else {"calibration": json.dumps(scale.tolist())}),
            "card": json.dumps(dict(card)),
            **({"domain": domain.to_json()} if domain else {}),
        }
        for key, text in metadata.items():
            proto.metadata_props.add(key=key, value=text)
        onnx.checker.check_model(proto)
        onnx.save(proto, draft)
        difference = _difference(network, draft)
        if not difference < TOLERANCE:
            raise InputError(
                f"{path.stem}: the ONNX file differs from the network by {difference:.2g}; keep to the model folder"
            )


class _Outputs(nn.Module):
    """The network with the outputs of the file: mean, sigma and the seams, as far as it has them."""

    def __init__(self, network: HarmonizationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, ms: Tensor, pan: Tensor | None = None) -> tuple[Tensor, ...]:
        stages = self.network.stages()
        features = stages.prepare(ms, pan)
        raw = stages.body(features)
        answer = tuple(part for part in stages.restore(ms, raw) if part is not None)
        return (*answer, features, raw) if self.network.seams else answer


def _graph(network: HarmonizationNetwork) -> Any:
    """Return the ONNX model, weights under their PyTorch names, without traces of the machine or of the exporter."""
    stride = network.stride
    batch, height, width = (torch.export.Dim(n, min=1) for n in ("batch", "height", "width"))
    example = _example(network, 2, max(2 * stride, 24 // stride * stride), max(3 * stride, 28 // stride * stride))
    shapes = [
        {0: batch, 2: height if k == 1 else k * height, 3: width if k == 1 else k * width} for k in (stride, 2 * stride)
    ][: len(example)]
    wrapped = _Outputs(network).eval()
    number = len(wrapped(*example)) - 2 * network.seams
    outputs = ["mean", "sigma"][:number] + ["features", "raw"] * network.seams
    program = torch.onnx.export(
        wrapped, example, dynamo=True, input_names=["ms", "pan"][: len(example)], dynamic_shapes=tuple(shapes),
        output_names=[f"_{output}" for output in outputs], optimize=True, verbose=False,
    )  # fmt: skip
    assert program is not None
    proto = program.model_proto
    # a name that we give may be taken inside, where it becomes another
    names = {output: f"inner_{output}" for output in outputs} | {f"_{output}": output for output in outputs}
    names |= {tensor.name: tensor.name.removeprefix("network.") for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        del node.metadata_props[:]  # traces of the exporter: source paths, stack frames
        node.doc_string = ""
        node.input[:] = [names.get(n, n) for n in node.input]
        node.output[:] = [names.get(n, n) for n in node.output]
    for value in (*proto.graph.value_info, *proto.graph.initializer, *proto.graph.input, *proto.graph.output):
        del value.metadata_props[:]
        value.name = names.get(value.name, value.name)
    del proto.metadata_props[:]
    return proto


def _example(network: Any, batch: int, height: int, width: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(batch, N_BANDS, height, width), (batch, 1, 2 * height, 2 * width)][: 1 + network.uses_pan]
    return tuple(torch.rand(shape, generator=generator) * 0.5 for shape in shapes)


def _difference(network: Any, path: Path) -> float:
    """Return the largest difference over mean and sigma, on an image of another size than the export saw."""
    example = _example(network, 1, network.stride * -(-8 // network.stride), 3 * network.stride)
    core = openvino_core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled([x.numpy() for x in example])
    with torch.inference_mode():
        expected = [x.numpy() for x in network(*example) if x is not None]
    return max(
        float(np.abs(found[name] - x).max() / max(np.abs(x).max(), 1.0))
        for name, x in zip(("mean", "sigma"), expected, strict=False)
    )
