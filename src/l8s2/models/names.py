"""What the name of a model stands for."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from l8s2.errors import InputError

EMBEDDED = ("compact", "compact-nopan")
"""Models in the package."""
PUBLISHED_ENSEMBLE = "published-ensemble"
POSSIBLE = (
    f"{', '.join(EMBEDDED)}, {PUBLISHED_ENSEMBLE}, an ONNX file, a model folder, its .safetensors or .bin, owner/name "
    "on the Hugging Face Hub, or several of these with commas between"
)
"""What ``load_model`` takes."""
_FILES = (".onnx", ".safetensors", ".bin", ".pt", ".pth")
"""Endings of what is a file, not a name on the Hub."""


def located(name: str) -> Path:
    """Return the file or folder of an embedded model, of a path, or of owner/name on the Hub (downloaded once)."""
    if name in EMBEDDED:
        return Path(str(files("l8s2") / "weights" / f"{name}.onnx"))
    path = Path(name)
    if os.path.exists(name):  # False for what is too long for a path
        return path
    from l8s2.models.hub import NAME, fetch

    if not NAME.fullmatch(name) or path.suffix in _FILES:
        raise InputError(f"model {name}: neither a name nor a file; give {POSSIBLE}")
    return fetch(name)
