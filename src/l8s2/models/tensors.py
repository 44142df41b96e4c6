"""Tensors of stored weights, read without executing anything, and put into a network that must fit them exactly."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np

from l8s2.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

PICKLED = (".bin", ".pt", ".pth", ".ckpt")
"""Suffixes of what ``torch.save`` writes."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a safetensors file, a ``pytorch_model.bin`` or a checkpoint of the published research code.

    They are memory-mapped where the format allows: nothing is read before it is used. Raises InputError for what is
    damaged, and for a pickle that holds anything but tensors.
    """
    found = _pickled(path) if path.suffix in PICKLED else _safetensors(path)
    if isinstance(found, dict) and isinstance(found.get("model_state_dict"), dict):
        found = found["model_state_dict"]  # the rest is the optimizer's
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds a {type(found).__name__}; it must hold tensors by name")
    for name, value in found.items():
        if not hasattr(value, "is_floating_point"):
            raise InputError(f"{path}: {name} is a {type(value).__name__}; weights must be tensors by name")
    return found


def _safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: not a whole safetensors file ({_first_line(error)}), perhaps cut short; download it again"
        ) from None


def _pickled(path: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(_numbers()):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # rubbish can fail in any way
        refused = re.search(r"(?:Unsupported (?:global|class)|GLOBAL)[: ]+(?:GLOBAL )?(\S+)", str(error))
        if isinstance(error, UnpicklingError) and refused:
            raise InputError(
                f"{path}: a pickle that calls {refused[1]}; l8s2 runs no code from weights, ask for a safetensors file"
            ) from None
        raise InputError(
            f"{path}: no whole PyTorch file ({_first_line(error)}), perhaps cut short; download it again"
        ) from None


def _numbers() -> list[Any]:
    """Return the types that reading a numpy number needs: the loss in a checkpoint may be one."""
    scalar = np.float64(0).__reduce__()[0]
    return [np.dtype, type(np.dtype("f4")), type(np.dtype("f8")), scalar, (scalar, "numpy.core.multiarray.scalar")]


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].split(". ")[0][:120]


def fill(network: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Make ``tensors`` the weights of ``network`` (which may be on the meta device), in single precision.

    Leading ``module.`` and ``model.`` do not matter. Raises InputError with the first tensor that does not fit;
    ``path`` is what it then names.
    """
    expected = network.state_dict()
    names = {_bare(name): name for name in expected}
    found = {names.get(_bare(name), name): tensor for name, tensor in tensors.items()}
    remedy = "give the weights and the config.json of one model"
    if len(found) < len(tensors):
        raise InputError(f"{path}: names one tensor in two ways; {remedy}")
    for name, tensor in expected.items():
        if name not in found:
            raise InputError(f"{path}: {name} {tuple(tensor.shape)} is missing; {remedy}")
        if found[name].shape != tensor.shape:
            raise InputError(
                f"{path}: {name} is {tuple(found[name].shape)}, "
                f"the configuration asks for {tuple(tensor.shape)}; {remedy}"
            )
    for name in found:
        if name not in expected:
            raise InputError(f"{path}: {name} is no part of what the configuration asks for; {remedy}")
    network.load_state_dict({name: found[name].to(expected[name].dtype) for name in expected}, assign=True)


def _bare(name: str) -> str:
    return re.sub(r"^((module|model)\.)+", "", name)
