"""The layout of the published Deep-Harmonization networks: settings, and source for transformers' AutoModel.

UNets keep it, tensor names included, so that either side opens the other's.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from l8s2.errors import InputError

ARCHITECTURE = "UNet"
"""The architecture of ``l8s2.networks`` that has this layout."""
MODEL_TYPE = "s2l8hModel"
MODELLING = "modeling_s2l8h.py"
UNET_SETTINGS = (
    "in_channels", "out_channels", "depth", "growth_factor", "up_mode", "spatial_attention", "ca_layer", "dropout",
    "gaussian", "input_alignment", "pan_sun_corrected",
)  # fmt: skip
"""What of a published config.json says how the network is built; the rest is housekeeping of transformers."""
PUBLISHED_INPUTS = {"input_alignment": "lattice", "pan_sun_corrected": False}
"""The inputs of networks whose configuration does not say. Their authors never aligned MS, pan and Sentinel-2, so what
shift the weights have learned is unknown; the true geometry is the only unbiased guess."""
NOT_SUPPORTED = {"UNet-Pan", "MB-RRDB", "ESRT", "SMP_UNet_mit"}
"""Networks of the published research code without published weights."""


def read_settings(content: Mapping[str, Any], path: object) -> dict[str, Any]:
    """Return the arguments of ``l8s2.networks.build`` in a published config.json; ``path`` is named in errors."""
    mode = content.get("interp_mode", "bicubic")
    if mode != "bicubic":
        raise InputError(f"{path}: interp_mode {mode!r}; only bicubic, as published, is supported")
    return PUBLISHED_INPUTS | {k: content[k] for k in UNET_SETTINGS if k in content}


def check_supported(content: Mapping[str, Any], path: object) -> None:
    """Raise InputError where a config.json names a network of the family that has no published weights."""
    listed = content.get("architectures")
    names = [content.get(key) for key in ("model_type", "architecture", "model_kind")]
    for name in (*names, *(listed if isinstance(listed, list) else ())):
        if isinstance(name, str) and name in NOT_SUPPORTED:
            raise InputError(
                f"{path}: {name} has no published weights and is not supported; of that family only the UNets are"
            )


def written_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config.json of a network with ``settings``."""
    module = MODELLING.removesuffix(".py")
    return {
        "model_type": MODEL_TYPE,
        "architectures": [MODEL_TYPE],
        "auto_map": {"AutoConfig": f"{module}.s2l8hConfig", "AutoModel": f"{module}.{MODEL_TYPE}"},
        "interp_mode": "bicubic",
        **settings,
    }


def modelling_file() -> str:
    """Return source of the networks for transformers' AutoModel that needs nothing of l8s2: our files in a row."""
    sources = files("l8s2")
    parts = [sources / "networks" / f"{name}.py" for name in ("attention", "unet")] + [sources / "hf" / "modeling.py"]
    text = "\n\n".join(_without_ours(part.read_text(encoding="utf-8")) for part in parts)
    return f'"""Written by l8s2 from its own source. MIT licence."""\n\nfrom __future__ import annotations\n\n{text}'


def _without_ours(source: str) -> str:
    """Return a module without its docstring and without what it imports from l8s2 and from __future__."""
    tree = ast.parse(source)
    dropped = [
        node
        for node in tree.body
        if (isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("l8s2", "__future__"))
        or (node is tree.body[0] and ast.get_docstring(tree) is not None)
    ]
    gone = {line for node in dropped for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return "\n".join(line for i, line in enumerate(source.splitlines(), 1) if i not in gone).strip() + "\n"
