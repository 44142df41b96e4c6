"""Damaged models: folders of weights, and ONNX files."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from damage.case import Case, Kind, digest, some
from damage.content import Raw, accidents, cuts, encoded, instead, of_json, writes, wrong_values
from l8s2.predictors import load_model


def _config(how: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        path = folder / "model/config.json"
        tree = json.loads(path.read_text())
        how(tree)
        path.write_bytes(encoded(tree))

    return damage


def _make_model(folder: Path) -> None:
    import torch

    from l8s2.models.folder import save_model_folder
    from l8s2.networks import build

    torch.manual_seed(0)
    config = {"width": 8, "blocks": 1}
    save_model_folder(build("Compact", config), "Compact", config, folder / "model", "# tiny\n")


def _read_model(folder: Path) -> bytes:
    from l8s2.models.folder import open_model_folder

    stored = open_model_folder(folder / "model")
    network = stored.build()
    return digest(
        [(name, value.numpy().tobytes()) for name, value in network.state_dict().items()], stored.no_pan_model
    )


def model_cases(sound: Path, rng: random.Random) -> Iterator[Case]:
    name = "model/model.safetensors"
    content = (sound / name).read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]

    def packed(tree: Any, body: bytes = data) -> bytes:
        text = encoded(tree)
        return struct.pack("<Q", len(text)) + text + body

    yield from instead(name)
    yield from cuts(
        name,
        content,
        [1, 7, 8, 9, 8 + length, 8 + length + 1, len(content) - 1, *(rng.randrange(len(content)) for _ in range(15))],
    )
    yield from accidents(name, content, 20, rng, within=8 + length)
    for size in (0, 1, length - 1, length + 1, 2**31, 2**63, 2**64 - 1):
        yield Case(f"{name}: header of {size}", writes(name, struct.pack("<Q", size) + content[8:]))
    tensor = next(key for key in header if key != "__metadata__")
    for changed in some(wrong_values(name, {tensor: header[tensor]}, 8, rng), 60, rng):

        def damage(folder: Path, inner: Case = changed) -> None:
            inner.damage(folder)
            text = (folder / name).read_bytes()
            piece = text.strip()[1:-1].decode()
            rest = encoded({key: value for key, value in header.items() if key != tensor})
            whole = rest if not piece else (f"{{{piece}," + rest.decode()[1:]).encode()
            (folder / name).write_bytes(struct.pack("<Q", len(whole)) + whole + data)

        yield Case(changed.name, damage)
    yield Case(f"{name}: all NaN", writes(name, content[: 8 + length] + b"\xff" * len(data)))
    yield Case(
        f"{name}: a tensor of 2^60", writes(name, packed(header | {tensor: header[tensor] | {"shape": [2**30, 2**30]}}))
    )
    yield Case(f"{name}: one more tensor", writes(name, packed(header | {"more": header[tensor]})))
    yield Case(f"{name}: header of 100 MB", writes(name, struct.pack("<Q", 100_000_001) + b" " * 100_000_001 + data))
    yield from some(of_json("model/config.json", sound, 6, rng), 150, rng)
    for key in ("width", "blocks"):
        for value in (0, -1, 10**9, 10**5, 1.5, "8", None, Raw("1e999"), [8], True):
            yield Case(
                f"config: {key} {str(value)[:20]}",
                _config(lambda tree, k=key, v=value: tree["config"].__setitem__(k, v)),
            )
    for value in ("os:system", "l8s2.networks:Nothing", "antigravity:x", "x" * 10_000, "UNet", "compact", "../x", 3):
        yield Case(
            f"config: architecture {str(value)[:20]}",
            _config(lambda tree, v=value: tree.__setitem__("architecture", v)),
        )


def _make_onnx(folder: Path) -> None:
    (folder / "m.onnx").write_bytes((files("l8s2") / "weights" / "compact-nopan.onnx").read_bytes())


def _read_onnx(folder: Path) -> bytes:
    predictor = load_model(folder / "m.onnx", threads=1)
    ms = np.full((6, 40, 40), 0.1, np.float32)
    mean, sigma = predictor.predict(ms, None)
    assert mean.shape == sigma.shape == (6, 120, 120)
    return digest(mean.tobytes(), sigma.tobytes())


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def onnx_cases(sound: Path, rng: random.Random) -> Iterator[Case]:
    name = "m.onnx"
    content = (sound / name).read_bytes()
    yield from instead(name)
    yield from cuts(name, content, [1, 2, 10, len(content) - 1, *(rng.randrange(len(content)) for _ in range(15))])
    yield from accidents(name, content, 40, rng)
    yield from accidents(name, content, 40, rng, within=4000)
    yield Case(f"{name}: a field of 2^60 bytes behind", writes(name, content + b"\x3a" + _varint(2**60)))
    yield Case(f"{name}: no more than a version", writes(name, b"\x08\x07"))
    import onnx

    proto = onnx.load_model_from_string(content)
    info = {entry.key: entry.value for entry in proto.metadata_props}
    for key, value in info.items():
        values = (
            "",
            "x",
            "-1",
            "0",
            "1e999",
            "[]",
            "{}",
            "null",
            "[" * 100_000,
            "9" * 5000,
            "true",
            '"../x"',
            value[: len(value) // 2],
            None,
        )
        for other in rng.sample(values, 6):
            yield Case(f"{name}: {key} = {str(other)[:20]!r}", _with_metadata(name, key, other))
    for number in range(min(len(proto.graph.node), 15)):
        yield Case(
            f"{name}: node {number} gone", _with_graph(name, lambda graph, n=number: graph.node.remove(graph.node[n]))
        )
        yield Case(
            f"{name}: node {number} unknown",
            _with_graph(name, lambda graph, n=number: setattr(graph.node[n], "op_type", "Nothing")),
        )
    for number in range(min(len(proto.graph.initializer), 8)):
        yield Case(
            f"{name}: weights {number} huge",
            _with_graph(name, lambda graph, n=number: graph.initializer[n].dims.append(1 << 40)),
        )
        yield Case(
            f"{name}: weights {number} of another file",
            _with_graph(name, lambda graph, n=number: _external(graph.initializer[n])),
        )


def _external(tensor: Any) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    for key, value in {"location": "../../../../etc/passwd", "offset": "0", "length": "64"}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def _with_metadata(name: str, key: str, value: str | None) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        import onnx

        proto = onnx.load_model_from_string((folder / name).read_bytes())
        for entry in list(proto.metadata_props):
            if entry.key == key:
                proto.metadata_props.remove(entry) if value is None else setattr(entry, "value", value)
        (folder / name).write_bytes(proto.SerializeToString())

    return damage


def _with_graph(name: str, how: Callable[[Any], object]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        import onnx

        proto = onnx.load_model_from_string((folder / name).read_bytes())
        how(proto.graph)
        (folder / name).write_bytes(proto.SerializeToString())

    return damage


KINDS = [
    Kind(
        name="safetensors",
        make=_make_model,
        cases=model_cases,
        read=_read_model,
        command=lambda folder: ["models", "info", str(folder / "model")],
    ),
    Kind(
        name="onnx",
        make=_make_onnx,
        cases=onnx_cases,
        read=_read_onnx,
        command=lambda folder: ["models", "info", str(folder / "m.onnx")],
    ),
]
