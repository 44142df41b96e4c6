"""What is in the files depends on the scene and the model alone, not on how the work is shared out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform_bounds

from l8s2.pipeline.estimate import memory_bytes, memory_warnings, plan_product
from l8s2.pipeline.options import ProductOptions
from l8s2.pipeline.to_product import harmonize_product
from l8s2.pipeline.write_pixels import output_window
from l8s2.predictors.load import load_model
from l8s2.predictors.options import ModelOptions
from l8s2.target import choose_target
from making.scenes import make, ms_grid

ROWS, COLUMNS = 360, 30
"""MS pixels: two windows, of which one is small."""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("in"), ms_grid(ROWS, COLUMNS))


def files(product: Path, output: Path, **options: Any) -> dict[str, str]:
    folder = harmonize_product(product, output, **options)
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.suffix != ".json"}


def test_threads_and_memory_leave_no_trace(product: Path, tmp_path: Path) -> None:
    one = files(product, tmp_path / "a", threads=1)
    assert one == files(product, tmp_path / "b", threads=2)
    warnings: list[str] = []
    assert one == files(product, tmp_path / "c", threads=2, max_memory=0.1, warn=warnings.append)
    said = "`max_memory` 0.1: cannot be kept, about 0.4 GB are needed even so"
    assert [line for line in warnings if "max_memory" in line] == [said]
    plan = plan_product(product, ProductOptions(model=ModelOptions(threads=2, max_memory=0.1)))
    assert said in plan.warnings
    assert plan.memory_bytes == pytest.approx(0.393e9, rel=0.3)  # measured on a scene of 400 x 400 MS pixels


@pytest.mark.parametrize(("memory", "measured"), [(2, 1.576e9), (1.2, 0.892e9), (0.7, 0.566e9)])
def test_memory_is_estimated_as_it_was_measured(memory: float, measured: float) -> None:
    """On a scene of 1000 x 1000 MS pixels with pan."""
    predictor = load_model(threads=2, max_memory=memory)
    target = choose_target(ms_grid(1000, 1000))
    assert memory_bytes(predictor, [target]) == pytest.approx(measured, rel=0.3)
    assert not memory_warnings(predictor, [target], ModelOptions(max_memory=memory))


def test_windows_are_as_many_as_memory_allows() -> None:
    assert load_model(threads=2).streams == 2  # type: ignore[attr-defined]
    assert load_model(threads=2, max_memory=0.7).streams == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("tile", [1, 2, 32, 86, 118, 171, 172, 342, 512])
def test_a_window_of_the_product_needs_no_more_than_a_tile(tile: int) -> None:
    side = output_window(tile)
    assert side in (256, 512, 1024, 1536) or tile <= 86
    for first in range(3):
        assert -(-(first + side) // 3) <= tile


def test_an_area_has_the_pixels_of_the_whole(product: Path, tmp_path: Path) -> None:
    whole = harmonize_product(product, tmp_path / "whole")
    with rasterio.open(next(whole.glob("*_SR.tif"))) as dataset:
        everything = dataset.read()
        west, north = dataset.xy(301, 13)
        east, south = dataset.xy(799, 77)
        bounds = transform_bounds(dataset.crs, "EPSG:4326", west, south, east, north)
        offset = ~dataset.transform
    part = harmonize_product(product, tmp_path / "part", bbox=bounds)
    with rasterio.open(next(part.glob("*_SR.tif"))) as dataset:
        column, row = offset * (dataset.transform.c, dataset.transform.f)
        found = dataset.read()
    row, column = round(row), round(column)
    same = everything[:, row : row + found.shape[1], column : column + found.shape[2]]
    assert np.abs(found.astype(int) - same).max() <= 1
