import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from making.tiny_runs import RESERVED


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order, whatever the machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def imagery(tmp_path: Path) -> Path:
    """Three small sites: one without its 20 m bands, one with nodata, one reserved for validation."""
    folder = tmp_path / "imagery"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for name, missing in (("farm_L2A", []), ("town_L1C", ["B8A", "B11", "B12"]), (f"{RESERVED}_L1C", [])):
        fine = (1500 + 900 * rng.random((1, 4, 90, 96)).cumsum(2) / 90).astype(np.int16)
        coarse = fine[:, [3, 3, 2], ::2, ::2].copy()
        if missing:
            coarse[:] = -32768
        if name.startswith("farm"):
            fine[:, :, :10] = -32768
        np.savez(folder / f"{name}.npz", x10=fine, x20=coarse, meta=json.dumps({"missing": missing}))
    return folder
