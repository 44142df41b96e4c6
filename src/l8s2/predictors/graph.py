"""Surgery on OpenVINO graphs: a network cut at its seams, that computes no more of its margin than it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from l8s2.models.onnx_file import import_openvino, openvino_core

BACK_REACH = 7
"""MS pixels that what comes after the seam ``raw`` looks at (networks.polyphase: two taps, three and two)."""
_BLOCKS = 2
"""Residual blocks after which what has become rough at the edge is cut off; each cut is a copy."""


def whole(content: bytes, moments: Sequence[str]) -> Any:
    """Return the model of an ONNX file with the outputs ``moments``."""
    model = _read(content)
    return import_openvino().Model([_tensor(model, name) for name in moments], model.get_parameters())


def parts(content: bytes, moments: Sequence[str], receptive_field: int | None) -> list[Any]:
    """Return the model of an ONNX file in three, cut at its seams: what comes before, between and after them.

    Args:
        content: the file.
        moments: the outputs of the last part, whose inputs are ``ms`` and what the second one gives.
        receptive_field: MS pixels; what an edge has touched is then cut off as it comes, so that less is computed and
            BACK_REACH MS pixels at every edge of the answer are left to cut off. The numbers stay the same. None:
            everything, on the block grid of the whole input.
    """
    ov = import_openvino()
    front, body, back = (_read(content) for _ in range(3))
    features, raw, ms = _feed(body, "features"), _feed(back, "raw"), back.input("ms").get_node()
    results = [_tensor(back, name) for name in moments]
    before = ov.Model([_tensor(front, "features")], front.get_parameters())
    between = ov.Model([_tensor(body, "raw")], [features])
    if receptive_field is not None:
        lost = _crop_body(between)
        rough = receptive_field - BACK_REACH - lost  # at the edge of the features
        _crop_input(features, rough)
        _crop_input(ms, rough + lost)
    return [before, between, ov.Model(results, [ms, raw])]


def _read(content: bytes) -> Any:
    return openvino_core().read_model(model=content, weights=b"")


def _tensor(model: Any, name: str) -> Any:
    """Return the tensor behind a named output of a model."""
    return model.output(name).get_node().input_value(0)


def _feed(model: Any, name: str) -> Any:
    """Feed the named tensor from outside; return the new parameter."""
    ov = import_openvino()
    inner = _tensor(model, name)
    parameter = ov.opset13.parameter(inner.get_partial_shape(), np.float32, name=name)
    for target in inner.get_target_inputs():
        target.replace_source_output(parameter.output(0))
    return parameter


def _cropped(output: Any, pixels: int) -> Any:
    """Return a tensor (1, C, h, w) without ``pixels`` at every edge."""
    if not pixels:
        return output
    first, last, step = (np.array([n, n], np.int64) for n in (pixels, -pixels, 1))
    return import_openvino().opset13.slice(output, first, last, step, np.array([2, 3], np.int64)).output(0)


def _crop_input(parameter: Any, pixels: int) -> None:
    """Cut off ``pixels`` at every edge of what comes in."""
    targets = parameter.output(0).get_target_inputs()
    if pixels:
        inner = _cropped(parameter.output(0), pixels)
        for target in targets:
            target.replace_source_output(inner)


def _crop_body(body: Any) -> int:
    """Let the network between the seams give only what no edge has touched; return the MS pixels lost at every edge.

    It is made of 3 x 3 convolutions that keep the size: one, residual blocks of two, a sum over all of them, one. What
    is rough is cut off as it comes, so that the convolutions that follow have less to do. The numbers stay the same.
    """
    sums = [op for op in body.get_ordered_ops() if op.get_type_name() == "Add" and _joins_images(op)]
    *blocks, last = sums
    skipped = next(i for i in (0, 1) if last.input_value(i).get_node().get_name() != blocks[-1].get_name())
    lost, rough = 0, 1
    for number, block in enumerate(blocks, 1):
        rough += 2
        if number % _BLOCKS == 0 and number < len(blocks):
            targets = block.output(0).get_target_inputs()
            inner = _cropped(block.output(0), rough)
            for target in targets:
                target.replace_source_output(inner)
            lost, rough = lost + rough, 0
    last.input(skipped).replace_source_output(_cropped(last.input_value(skipped), lost))
    result = body.outputs[0].get_node()
    result.input(0).replace_source_output(_cropped(result.input_value(0), rough + 1))
    body.validate_nodes_and_infer_types()
    return lost + rough + 1


def _joins_images(op: Any) -> bool:
    """Tell whether a sum is one of two images, not of an image and constants."""
    shapes = [op.input_value(i).get_partial_shape() for i in (0, 1)]
    return all(len(shape) == 4 and shape[2].is_dynamic for shape in shapes)
