"""Networks as ONNX files: any model written as one, and the compact ones read back from theirs."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import asdict
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
from l8s2.networks import Compact, OnLattice
from l8s2.sensors import N_BANDS

TOLERANCE = 1e-4
"""Largest difference between the file's answer and the network's: one step of the integers that a product stores."""


def export(network: nn.Module, config: Mapping[str, Any], name: str, path: Path) -> None:
    """Write a network that keeps the contract of ``l8s2.networks`` to ``path``, once the file is checked and answers as it does.

    Inputs ``ms`` (B, 6, h, w) and, if used, ``pan`` (B, 1, 2h, 2w), h and w multiples of ``stride``; outputs ``mean`` and,
    if there is one, ``sigma`` (B, 6, 3h, 3w). The metadata say the rest. Raises InputError where the answers differ.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # torchvision is not needed
    with whole_file(path) as draft:
        with warnings.catch_warnings(action="ignore"):  # of the exporter about itself
            if isinstance(network, Compact):
                export_onnx(network, draft, {"name": name})
            else:
                _export_plain(network, config, name, draft)
        difference = _difference(network, draft)
        if not difference < TOLERANCE:
            raise InputError(
                f"{name}: the ONNX file differs from the network by {difference:.2g}; keep to the model folder"
            )


class _Outputs(nn.Module):
    """The network without the sigma that it has not."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ms: Tensor, pan: Tensor | None = None) -> tuple[Tensor, ...]:
        return tuple(part for part in self.network(ms, pan) if part is not None)


def _export_plain(network: Any, config: Mapping[str, Any], name: str, path: Path) -> None:
    stride = network.stride
    batch, height, width = (torch.export.Dim(n, min=1) for n in ("batch", "height", "width"))
    example = _example(network, 2, 2 * stride, 3 * stride)
    shapes = [{0: batch, 2: k * height, 3: k * width} for k in (stride, 2 * stride)][: len(example)]
    wrapped = _Outputs(network).eval()
    outputs = ["mean", "sigma"][: len(wrapped(*example))]
    program = torch.onnx.export(
        wrapped, example, dynamo=True, input_names=["ms", "pan"][: len(example)], dynamic_shapes=tuple(shapes),
        output_names=[f"_{output}" for output in outputs], optimize=True, verbose=False,
    )  # fmt: skip
    assert program is not None
    proto = program.model_proto
    # a name that we give may be taken inside, where it becomes another
    names = {output: f"inner_{output}" for output in outputs} | {f"_{output}": output for output in outputs}
    for node in proto.graph.node:
        del node.metadata_props[:]  # traces of the exporter: source paths, stack frames
        node.doc_string = ""
        node.input[:] = [names.get(n, n) for n in node.input]
        node.output[:] = [names.get(n, n) for n in node.output]
    for value in (*proto.graph.value_info, *proto.graph.initializer, *proto.graph.input, *proto.graph.output):
        del value.metadata_props[:]
        value.name = names.get(value.name, value.name)
    del proto.metadata_props[:]
    metadata = {
        "architecture": "UNet" if isinstance(network, OnLattice) else type(network).__name__,
        "config": json.dumps(dict(config)),
        "receptive_field": str(network.receptive_field),
        "stride": str(stride),
        "pan_sun_corrected": json.dumps(getattr(network, "pan_sun_corrected", True)),
        "card": json.dumps({"name": name}),
    }
    for key, text in metadata.items():
        proto.metadata_props.add(key=key, value=text)
    onnx.checker.check_model(proto)
    onnx.save(proto, path)


def _example(network: Any, batch: int, height: int, width: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(batch, N_BANDS, height, width), (batch, 1, 2 * height, 2 * width)][: 1 + network.uses_pan]
    return tuple(torch.rand(shape, generator=generator) * 0.5 for shape in shapes)


def _difference(network: Any, path: Path) -> float:
    """The largest one over mean and sigma, on an image of another size than the export saw."""
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
    example: tuple[Tensor, ...] = (torch.rand(2, N_BANDS, 24, 28),)
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
