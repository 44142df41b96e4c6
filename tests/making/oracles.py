"""Other people's metrics, to compare ours with."""

import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest


def torchmetrics() -> ModuleType:
    """``torchmetrics.functional.image``, loaded quietly; the test is skipped where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("torch")
        module: ModuleType = pytest.importorskip("torchmetrics.functional.image")
    return module


def batch(image: np.ndarray) -> Any:
    """(bands, h, w) -> a double tensor (1, bands, h, w)."""
    import torch

    return torch.from_numpy(np.array(image, dtype=np.float64))[None]
