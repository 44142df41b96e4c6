"""A share of the corpus of damage: everything is refused in one line, or read. benchmarks/damage.py runs all of it."""

from __future__ import annotations

import importlib.util

import pytest

pytest.importorskip("torch", reason="the kinds of input are told by modules that need torch")
from damage.run import run

KINDS = {
    "Landsat products": ["tiff", "tar", "tar.gz", "mtl-txt", "mtl-json", "mtl-xml"],
    "Sentinel-2": ["safe-xml", "safe-jp2", "safe-zip"],
    "texts": [
        "stac-items", "recipe", "scene-json", "geojson-fields", "geojson-area", "yaml-configuration", "yaml-split",
        "toml-catalogues", "scores-csv",
    ],
    "products": ["item-verify", "item-report", "item-view", "item-cube", "item-export"],
    "arrays": ["npz-pairs", "npz-imagery"],
}  # fmt: skip
NEEDS = {
    "training-set": "h5py", "cube": "zarr", "safetensors": "torch", "onnx": "onnx", "http-search": "pystac_client",
    "http-download": "requests",
}  # fmt: skip
MOST = 12
"""Cases of each kind."""


def violations(kinds: list[str]) -> list[str]:
    found = list(run(kinds, seed=1, most=MOST))
    assert len(found) > len(kinds) * MOST // 2
    return [f"{o.kind}: {o.name}: {o.said}" for o in found if o.what == "violation"]


@pytest.mark.posix
@pytest.mark.parametrize("group", KINDS)
def test_everything_is_refused_in_one_line_or_read(group: str) -> None:
    assert not violations(KINDS[group])


@pytest.mark.posix
def test_so_it_is_with_the_extras() -> None:
    assert not violations([kind for kind, module in NEEDS.items() if importlib.util.find_spec(module)])


def test_no_kind_is_forgotten() -> None:
    from damage.kinds import KINDS as ALL

    assert {"zip", *NEEDS, *(kind for kinds in KINDS.values() for kind in kinds)} >= ALL.keys()
