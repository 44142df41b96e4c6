"""Models as folders: config.json beside model.safetensors, or beside pytorch_model.bin where they come from elsewhere.

Nothing that lies in such a folder is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l8s2._version import __version__
from l8s2.errors import InputError
from l8s2.files import WholeFolder, fsync
from l8s2.models import deep_harmonization
from l8s2.models.tensors import PICKLED, fill, read_tensors

if TYPE_CHECKING:
    from torch import nn

    from l8s2.networks import HarmonizationNetwork

CONFIG, WEIGHTS, FOREIGN_WEIGHTS, CARD = "config.json", "model.safetensors", "pytorch_model.bin", "README.md"
OWN_TYPE = "l8s2"
_LARGEST_NUMBER = 1024
"""That a configuration may hold, whatever its weights are."""


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
    no_pan_model: str | None = None
    """Name of the model that answers where pan is missing."""

    def build(self) -> HarmonizationNetwork:
        """Return the network with its weights, on the processor and ready to predict.

        It keeps the contract of ``l8s2.networks``. The weights are memory-mapped, so that a network costs its size
        once. Raises InputError where they are damaged or not exactly those that the configuration asks for.
        """
        torch = import_torch()
        from l8s2 import networks

        tensors = read_tensors(self.path)
        largest = max((_LARGEST_NUMBER, len(tensors), *(n for tensor in tensors.values() for n in tensor.shape)))
        for name, value in self.config.items():
            if isinstance(value, int) and value > largest:
                raise InputError(f"{self.name}: {name} is {value}; its weights are of no such network")
        try:
            with torch.device("meta" if self.architecture in networks.ARCHITECTURES else "cpu"):
                network = networks.build(self.architecture, self.config)
            if network.base is network:  # its buffers are not stored
                network = networks.build(self.architecture, self.config)
        except Exception as error:  # of whatever a foreign configuration asks for
            raise InputError(f"{self.name}: {str(error).partition(chr(10))[0]}") from None
        fill(network.base, tensors, self.path)
        network = network.with_base(network.base)
        network.no_pan_model = self.no_pan_model
        return network.eval()


def open_model_folder(path: Path, *, config: Path | None = None, trust_architecture: str | None = None) -> StoredModel:
    """Return a stored model from its folder, or from its file of weights with config.json beside it.

    Args:
        path: folder, .safetensors, .bin, or a checkpoint of the published research code (.pt, .pth, .ckpt).
        config: configuration, where it does not lie beside the weights.
        trust_architecture: the one ``module:Class`` whose code the user trusts; the configuration must name exactly it.

    Raises InputError where something is missing or not supported.
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
    architecture, settings, no_pan = _read_config(config or weights.parent / CONFIG, trust_architecture)
    with weights.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return StoredModel(
        name=_name(path),
        architecture=architecture,
        config=settings,
        sha256=sha256,
        path=weights,
        no_pan_model=no_pan,
    )


def _name(path: Path) -> str:
    """Return the name on the Hub for a folder in its cache, otherwise that of the folder or file."""
    path = path.absolute()
    folder = path if path.is_dir() else path.parent
    if folder.parent.name == "snapshots":
        return folder.parents[1].name.removeprefix("models--").replace("--", "/")
    return path.name if path.is_dir() else path.stem


def _read_config(path: Path, trust_architecture: str | None) -> tuple[str, dict[str, Any], str | None]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the configuration of a model lies beside its weights") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON ({error}); download it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}; a configuration is a JSON object")
    deep_harmonization.check_supported(content, path)
    kind, architecture, no_pan = (content.get(key) for key in ("model_type", "architecture", "no_pan_model"))
    if not isinstance(no_pan, str | None):
        raise InputError(f"{path}: no_pan_model {no_pan!r}; it must be the name of a model, or null")
    if kind == deep_harmonization.MODEL_TYPE:
        return deep_harmonization.ARCHITECTURE, deep_harmonization.read_settings(content, path), no_pan
    if kind != OWN_TYPE or not isinstance(architecture, str) or not isinstance(content.get("config"), dict):
        raise InputError(
            f"{path}: model_type {kind!r}; l8s2 opens {deep_harmonization.MODEL_TYPE} and what it has written itself"
        )
    check_trusted(architecture, trust_architecture, path)
    return architecture, content["config"], no_pan


def is_trusted(architecture: str, trust_architecture: str | None) -> bool:
    """Tell whether a stored architecture may be built: it is one of l8s2, or the one whose code the user trusts."""
    return ":" not in architecture or architecture == trust_architecture


def check_trusted(architecture: str, trust_architecture: str | None, path: object) -> None:
    """Raise InputError where what is stored at ``path`` names code that the user has not said to trust."""
    if not is_trusted(architecture, trust_architecture):
        given = f", not {trust_architecture}" if trust_architecture else ""
        raise InputError(
            f"{path}: architecture {architecture} names code to import{given}; if you trust that code, give "
            f"`trust_architecture` {architecture}"
        )


def save_model_folder(
    module: nn.Module, architecture: str, config: Mapping[str, Any], folder: Path, card: str, *, overwrite: bool = False
) -> None:
    """Write a model folder; it appears under its name when it is whole.

    Args:
        module: the network, or the plain one behind its adapter.
        architecture: as ``l8s2.networks.build`` takes it.
        config: as ``l8s2.networks.build`` takes it.
        folder: to write. One of the published layout also holds its source for transformers' AutoModel.
        card: the text of README.md.
        overwrite: replace an existing model folder.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    from l8s2.networks import HarmonizationNetwork

    published = architecture == deep_harmonization.ARCHITECTURE
    no_pan = getattr(module, "no_pan_model", None)  # the plain network has none
    if isinstance(module, HarmonizationNetwork):
        config, module = {**config, **module.configuration()}, module.base
    elif is_dataclass(module.config) and not isinstance(module.config, type):
        config = {"input_alignment": "lattice", "pan_sun_corrected": True, **config, **asdict(module.config)}
    content = {"model_type": OWN_TYPE, "architecture": architecture, "config": dict(config)}
    texts = {CARD: card}
    if published:
        content = deep_harmonization.written_settings(config)
        texts[deep_harmonization.MODELLING] = deep_harmonization.modelling_file()
    if no_pan is not None:
        content["no_pan_model"] = no_pan
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


def convert_model(
    source: Path,
    folder: Path,
    *,
    config: Path | None = None,
    trust_architecture: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write a stored model (see ``open_model_folder``) as a model folder, with the card beside its weights."""
    model = open_model_folder(source, config=config, trust_architecture=trust_architecture)
    card = model.path.parent / CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else f"# {model.name}\n"
    text += f"\nConverted by l8s2 {__version__} from {model.path.name}, sha256 {model.sha256}.\n"
    save_model_folder(model.build(), model.architecture, model.config, folder, text, overwrite=overwrite)


def import_torch() -> Any:
    """Return PyTorch; raise InputError where it is not installed."""
    try:
        import safetensors  # noqa: F401
        import torch
    except ImportError as error:
        raise InputError(f"this model needs {error.name}; install it with: pip install 'l8s2[torch]'") from None
    return torch
