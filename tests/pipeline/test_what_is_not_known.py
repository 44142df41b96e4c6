"""Input that lacks something: a part of pan, the time of day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2.pipeline import item_info, to_product
from l8s2.pipeline.to_product import harmonize_product
from l8s2.predictors.load import load_predictor
from making.scenes import make, ms_grid, pan_of, rewrite


@pytest.fixture(autouse=True, scope="module")
def loaded_once() -> Iterator[None]:
    """The network, which takes longer to load than to run here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(to_product, "load_predictor", cache(load_predictor))
        yield


def harmonised(product: Path, output: Path, model: str = "compact") -> tuple[dict[str, Any], list[str]]:
    """Return the properties of the Item, and what was said."""
    said: list[str] = []
    made = harmonize_product(product, output, model=model, warn=said.append)
    (item,) = made.glob("*.json")
    return json.loads(item.read_text(encoding="utf-8"))["properties"], said


@pytest.mark.parametrize(
    ("columns", "model", "told"), [(30, "compact", True), (0, "compact", False), (30, "compact-nopan", False)]
)
def test_pan_that_covers_a_part_is_told(tmp_path: Path, columns: int, model: str, told: bool) -> None:
    product = make(tmp_path, ms_grid(24, 31))

    def cut(pan: Any) -> Any:
        pan[..., :columns] = 0
        return pan

    rewrite(pan_of(product), cut)
    properties, said = harmonised(product, tmp_path / "out", model)
    for lines in (said, properties.get("l8s2:warnings", [])):
        assert any("are made without it (QA bit no_pan)" in line for line in lines) == told


@pytest.mark.parametrize(("zone", "time"), [(33, "09:1"), (18, "15:1"), (59, "22:5")])
def test_a_time_of_day_that_is_not_told_is_that_of_the_overpass(tmp_path: Path, zone: int, time: str) -> None:
    """By the sun: midnight would be the day before in America."""
    product = make(tmp_path, ms_grid(24, 31, zone=zone), mtl=None, with_pan=False)
    properties, said = harmonised(product, tmp_path / "out", "compact-nopan")
    assert properties["datetime"].startswith(f"2023-05-20T{time}")
    assert any(f"nothing tells its time of day; {time}" in line for line in said)
    told, _ = harmonised(make(tmp_path / "with", ms_grid(24, 31)), tmp_path / "out2")
    assert not any("time of day" in line for line in told.get("l8s2:warnings", []))


@pytest.mark.parametrize(
    ("longitude", "time"), [(153.74, "00:00"), (153.78, "00:00"), (153.9, "23:59"), (-178, "22:07")]
)
def test_a_time_that_is_taken_is_of_the_day_of_the_scene(longitude: float, time: str) -> None:
    box = GeoBox((10, 10), Affine(1e-6, 0, longitude, 0, -1e-6, 0), "EPSG:4326")
    scene: Any = SimpleNamespace(metadata=None, name=SimpleNamespace(acquired=date(2023, 5, 20)), geobox=box)
    assert f"{item_info._acquired(scene):%Y-%m-%d %H:%M}" == f"2023-05-20 {time}"
