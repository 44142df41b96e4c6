"""Models as folders: config.json beside model.safetensors, or beside pytorch_model.bin where they come from elsewhere.

UNets keep the layout, the settings and the tensor names of the published ones, so that either side opens the other's. Nothing
that lies in such a folder is ever executed.
"""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l8s2._version import __version__
from l8s2.errors import InputError
from l8s2.files import WholeFolder, fsync
from l8s2.models.tensors import PICKLED, fill, read_tensors

if TYPE_CHECKING:
    from torch import nn

CONFIG, WEIGHTS, FOREIGN_WEIGHTS, CARD = "config.json", "model.safetensors", "pytorch_model.bin", "README.md"
MODELLING = "modeling_s2l8h.py"
PUBLISHED_TYPE, OWN_TYPE = "s2l8hModel", "l8s2"
UNET_SETTINGS = (
    "in_channels", "out_channels", "depth", "growth_factor", "up_mode", "spatial_attention", "ca_layer", "dropout", "gaussian",
    "input_alignment", "pan_sun_corrected",
)  # fmt: skip
"""What of a published config.json says how the network is built; the rest is housekeeping of transformers."""
AS_PUBLISHED = {"input_alignment": "lattice", "pan_sun_corrected": False}
"""The inputs of UNets whose configuration does not say. Their authors never aligned MS, pan and Sentinel-2, so what shift the
weights have learned is unknown; the true geometry is the only unbiased guess."""
UNPUBLISHED = {"UNet-Pan", "MB-RRDB", "ESRT", "SMP_UNet_mit"}
"""Networks of the published research code without published weights."""


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """A model on disk: what it is, before any of its weights are read."""

    name: str
    architecture: str
    config: Mapping[str, Any]
    """Arguments of ``l8s2.networks.build``."""
    sha256: str
    """Checksum of the weights."""
    path: Path
    """The file of the weights."""

    def build(self) -> nn.Module:
        """The network with its weights, keeping the contract of ``l8s2.networks``, on the processor and ready to predict.

        The weights are memory-mapped, so that a network costs its size once. Raises InputError where they are damaged or
        not exactly those that the configuration asks for.
        """
        torch = import_torch()
        from l8s2 import networks

        tensors = read_tensors(self.path)
        try:
            with torch.device("meta" if self.architecture == "UNet" else "cpu"):
                network = networks.build(self.architecture, self.config)
        except Exception as error:  # of whatever a foreign configuration asks for
            raise InputError(f"{self.name}: {str(error).partition(chr(10))[0]}") from None
        if isinstance(network, networks.OnLattice):
            fill(network.network, tensors, self.path)
            network = networks.OnLattice(network.network, network.input_alignment, network.pan_sun_corrected)
        else:
            fill(network, tensors, self.path)
        return network.eval()


def open_model_folder(path: Path, *, config: Path | None = None, trusted: Collection[str] = ()) -> StoredModel:
    """A stored model from its folder, or from its file of weights with config.json beside it.

    Args:
        path: folder, .safetensors, .bin, or a checkpoint of the published research code (.pt, .pth, .ckpt).
        config: configuration, where it does not lie beside the weights.
        trusted: architectures of the form ``module:Class`` that the user's own configuration names; others are refused.

    Raises InputError where something is missing or of no use here.
    """
    weights = path
    if path.is_dir():
        weights = next((path / n for n in (WEIGHTS, FOREIGN_WEIGHTS) if (path / n).is_file()), path / WEIGHTS)
    elif path.suffix not in (*PICKLED, ".safetensors"):
        raise InputError(f"{path}: no model folder, and no file of weights (.safetensors, {', '.join(PICKLED)})")
    if not weights.is_file():
        raise InputError(
            f"{weights}: no such file; a model is a folder with {CONFIG} and {WEIGHTS} ({FOREIGN_WEIGHTS})"
        )
    architecture, settings = _read_config(config or weights.parent / CONFIG, trusted)
    with weights.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return StoredModel(name=_name(path), architecture=architecture, config=settings, sha256=sha256, path=weights)


def _name(path: Path) -> str:
    """The name on the Hub for a folder in its cache, otherwise that of the folder or file."""
    path = path.absolute()
    folder = path if path.is_dir() else path.parent
    if folder.parent.name == "snapshots":
        return folder.parents[1].name.removeprefix("models--").replace("--", "/")
    return path.name if path.is_dir() else path.stem


def _read_config(path: Path, trusted: Collection[str]) -> tuple[str, dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the configuration of a model lies beside its weights") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON ({error}); download it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}; a configuration is a JSON object")
    kind, architecture = content.get("model_type"), content.get("architecture")
    listed = content.get("architectures")
    for name in (kind, architecture, content.get("model_kind"), *(listed if isinstance(listed, list) else ())):
        if isinstance(name, str) and name in UNPUBLISHED:
            raise InputError(
                f"{path}: {name} has no published weights and is not supported; of that family only the UNets are"
            )
    if kind == PUBLISHED_TYPE:
        mode = content.get("interp_mode", "bicubic")
        if mode != "bicubic":
            raise InputError(f"{path}: interp_mode {mode!r}; only bicubic, as published, is supported")
        return "UNet", AS_PUBLISHED | {k: content[k] for k in UNET_SETTINGS if k in content}
    if kind != OWN_TYPE or not isinstance(architecture, str) or not isinstance(content.get("config"), dict):
        raise InputError(f"{path}: model_type {kind!r}; l8s2 opens {PUBLISHED_TYPE} and what it has written itself")
    if ":" in architecture and architecture not in trusted:
        raise InputError(
            f"{path}: architecture {architecture} names code to import; a stored model may only name Compact or UNet"
        )
    return architecture, content["config"]


def save_model_folder(
    module: nn.Module, architecture: str, config: Mapping[str, Any], folder: Path, card: str, *, overwrite: bool = False
) -> None:
    """Write a model folder; it appears under its name when it is whole.

    Args:
        module: the network (of a UNet also the plain one, without its interpolation).
        architecture: as ``l8s2.networks.build`` takes it.
        config: as ``l8s2.networks.build`` takes it.
        folder: that is to appear. A UNet's also holds its own source for transformers' AutoModel.
        card: the text of README.md.
        overwrite: replace an existing model folder.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    inputs = {
        "input_alignment": "lattice",
        "pan_sun_corrected": True,
    }  # what build() makes of a configuration without them
    inputs = {key: getattr(module, key, config.get(key, default)) for key, default in inputs.items()}
    if architecture == "UNet":
        module = getattr(module, "network", module)
    own = getattr(module, "config", None)
    settings = asdict(own) if is_dataclass(own) and not isinstance(own, type) else dict(config)
    content: dict[str, Any] = {"model_type": OWN_TYPE, "architecture": architecture, "config": settings}
    texts = {CARD: card}
    if architecture == "UNet":
        modelling = MODELLING.removesuffix(".py")
        content = {
            "model_type": PUBLISHED_TYPE,
            "architectures": [PUBLISHED_TYPE],
            "auto_map": {"AutoConfig": f"{modelling}.s2l8hConfig", "AutoModel": f"{modelling}.{PUBLISHED_TYPE}"},
            "interp_mode": "bicubic",
            **inputs,
            **settings,
        }
        texts[MODELLING] = modelling_file()
    texts[CONFIG] = json.dumps(content, indent=1) + "\n"
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    with WholeFolder(folder, overwrite=overwrite, mark=CONFIG) as whole:
        for name, text in texts.items():
            (whole.workspace / name).write_text(text, encoding="utf-8")
        try:
            save_file(tensors, whole.workspace / WEIGHTS, metadata={"format": "pt"})
        except SafetensorError as error:
            raise InputError(f"{folder}: {error}; free some space or give another folder") from None
        shutil.copymode(whole.workspace / CONFIG, whole.workspace / WEIGHTS)  # safetensors keeps its files private
        for file in whole.workspace.iterdir():
            fsync(file)
        whole.publish()


def convert_model(source: Path, folder: Path, *, config: Path | None = None, overwrite: bool = False) -> None:
    """Write a stored model (see ``open_model_folder``) as a model folder, with the card that lies beside its weights."""
    model = open_model_folder(source, config=config)
    card = model.path.parent / CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else f"# {model.name}\n"
    text += f"\nConverted by l8s2 {__version__} from {model.path.name}, sha256 {model.sha256}.\n"
    save_model_folder(model.build(), model.architecture, model.config, folder, text, overwrite=overwrite)


def modelling_file() -> str:
    """Source of the UNets for transformers' AutoModel that needs nothing of l8s2: our own files, one after the other."""
    sources = files("l8s2")
    parts = [sources / "networks" / f"{name}.py" for name in ("attention", "unet")] + [sources / "hf" / "modeling.py"]
    text = "\n\n".join(_without_ours(part.read_text(encoding="utf-8")) for part in parts)
    return f'"""Written by l8s2 from its own source. MIT licence."""\n\nfrom __future__ import annotations\n\n{text}'


def _without_ours(source: str) -> str:
    """A module without its docstring and without what it imports from l8s2 and from __future__."""
    tree = ast.parse(source)
    dropped = [
        node
        for node in tree.body
        if (isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("l8s2", "__future__"))
        or (node is tree.body[0] and ast.get_docstring(tree) is not None)
    ]
    gone = {line for node in dropped for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return "\n".join(line for i, line in enumerate(source.splitlines(), 1) if i not in gone).strip() + "\n"


def import_torch() -> Any:
    """PyTorch, or InputError where it is not installed."""
    try:
        import safetensors  # noqa: F401
        import torch
    except ImportError as error:
        raise InputError(f"this model needs {error.name}; install it with: pip install 'l8s2[torch]'") from None
    return torch
