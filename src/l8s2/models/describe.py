"""What a name stands for: embedded models, files, folders and the Hub; and what is in them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l8s2.errors import InputError
from l8s2.files import whole_file
from l8s2.models import hub
from l8s2.models.folder import CARD, convert_model, import_torch, is_trusted, open_model_folder, save_model_folder
from l8s2.models.names import EMBEDDED, PUBLISHED_ENSEMBLE, located
from l8s2.models.onnx_file import ModelFile, openvino_core
from l8s2.sensors import N_BANDS


def available() -> list[dict[str, Any]]:
    """name, kind (embedded, alias, published, cached), path or None of every model that a name is known of."""
    rows: list[dict[str, Any]] = [{"name": n, "kind": "embedded", "path": str(located(n))} for n in EMBEDDED]
    cached = {name: str(path) for name, path in hub.cached().items()}
    rows.append({"name": PUBLISHED_ENSEMBLE, "kind": "alias", "path": "all four of:", "members": list(hub.PUBLISHED)})
    rows += [{"name": name, "kind": "published", "path": cached.pop(name, None)} for name in hub.PUBLISHED]
    return rows + [{"name": name, "kind": "cached", "path": path} for name, path in cached.items()]


_LICENCE = re.compile(r"(?im)^\W*licen[cs]e\W+(?:of the weights\W+)?(\w.*?)\W*$")


def describe(name: str, *, trust_architecture: str | None = None) -> dict[str, Any]:
    """Facts about a model, ready for JSON.

    What only PyTorch can tell is None without it, and of an ONNX file whose architecture is not trusted.
    """
    if name == PUBLISHED_ENSEMBLE:
        return {"name": name, "members": list(hub.PUBLISHED)}
    path = located(name)
    if path.suffix == ".onnx":
        facts, card = _onnx_facts(path), path.with_suffix(".md")
    else:
        model = open_model_folder(path, trust_architecture=trust_architecture)
        facts = {
            "name": model.name,
            "architecture": model.architecture,
            "configuration": dict(model.config),
            "sha256": model.sha256,
        }
        path, card = model.path, model.path.parent / CARD
    facts |= _measured(facts["architecture"], facts["configuration"], trust_architecture)
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    licence = next(filter(None, map(_LICENCE.search, (body, text))), None)
    first = next((line for line in body.splitlines() if line and not line.startswith("#")), None)
    return facts | {
        "path": str(path),
        "bytes": path.stat().st_size,
        "licence": licence[1] if licence else None,
        "card": first,
    }


def _onnx_facts(path: Path) -> dict[str, Any]:
    file = ModelFile(path)
    try:
        model = openvino_core().read_model(model=file.content, weights=b"")
        config = json.loads(model.get_rt_info(["framework", "config"]).astype(str))
        architecture = model.get_rt_info(["framework", "architecture"]).astype(str)
    except (RuntimeError, ValueError):
        raise InputError(f"{path}: no ONNX network that l8s2 has exported") from None
    return {"name": path.stem, "architecture": architecture, "configuration": config, "sha256": file.sha256}


def _measured(architecture: str, config: Mapping[str, Any], trust_architecture: str | None) -> dict[str, Any]:
    """Size, reach and cost of the network, from one that has no weights."""
    keys = (
        "parameters",
        "receptive_field_ms_pixels",
        "stride_ms_pixels",
        "uses_pan",
        "gives_sigma",
        "kflop_per_output_pixel",
    )
    if not is_trusted(architecture, trust_architecture):
        return dict.fromkeys(keys)
    try:
        torch = import_torch()
    except InputError:
        return dict.fromkeys(keys)
    from torch.utils.flop_counter import FlopCounterMode

    from l8s2.networks import ARCHITECTURES, build

    device = "meta" if architecture in ARCHITECTURES else "cpu"
    try:
        with torch.device(device):
            network: Any = build(architecture, config)
    except (TypeError, ValueError) as error:
        raise InputError(f"{architecture}: {error}") from None
    side = network.stride * -(-24 // network.stride)
    ms, pan = (torch.empty(1, n, k * side, k * side, device=device) for n, k in ((N_BANDS, 1), (1, 2)))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        _, sigma = network(ms, pan if network.uses_pan else None)
    parameters = sum(p.numel() for p in network.parameters())
    cost = round(counter.get_total_flops() / (9 * side**2) / 1000, 1)
    values = (parameters, network.receptive_field, network.stride, network.uses_pan, sigma is not None, cost)
    return dict(zip(keys, values, strict=True))


def convert(
    source: str,
    output: Path,
    *,
    config: Path | None = None,
    trust_architecture: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the model folder ``output`` from whatever ``source`` names."""
    import_torch()
    path = located(source)
    if path.suffix != ".onnx":
        convert_model(path, output, config=config, trust_architecture=trust_architecture, overwrite=overwrite)
        return output
    from l8s2.models.onnx_weights import read_network

    network, architecture = read_network(path)
    card = path.with_suffix(".md")
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {path.stem}\n"
    save_model_folder(network, architecture, {}, output, text, overwrite=overwrite)
    return output


def export(name: str, output: Path, *, trust_architecture: str | None = None, overwrite: bool = False) -> Path:
    """Write the ONNX file ``output`` of a model by name."""
    if output.exists() and not overwrite:
        raise InputError(f"{output}: exists already; give `overwrite` to replace it, or another file")
    if not output.parent.is_dir():
        raise InputError(f"{output.parent}: no such folder; make it, or give another file")
    path = located(name)
    if path.suffix == ".onnx":
        with whole_file(output) as draft:
            shutil.copyfile(path, draft)
        return output
    model = open_model_folder(path, trust_architecture=trust_architecture)
    import_torch()
    from l8s2.models.onnx_export import export_onnx

    export_onnx(model.build(), output, architecture=model.architecture, config=model.config, card={"name": model.name})
    return output
