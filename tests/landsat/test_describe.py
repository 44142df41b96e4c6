"""What ``describe`` tells about a product, above all how well pan fits the bands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2.landsat.describe import describe_product
from l8s2.sensors import OLI
from l8s2.simulate.product_folder import quality
from l8s2.simulate.sensor import Conditions, Observation
from making.scenes import ID, PAN_ID, centres, make, move, ms_grid, pan_of, rewrite

MS_SIGMA, PAN_SIGMA = 14.8, 7.4
"""Metres, as l8s2.sensors has them."""


def landscape(x: Any, y: Any, sigma: float) -> Any:
    """120 plane waves of 60 to 600 m seen through a Gaussian of ``sigma`` metres."""
    rng = np.random.default_rng(4)
    result = np.zeros(x.shape)
    for length, angle, phase in zip(
        rng.uniform(60, 600, 120), rng.uniform(0, np.pi, 120), rng.uniform(0, 6, 120), strict=True
    ):
        seen = np.exp(-2 * (np.pi * sigma / length) ** 2)
        result += seen * np.sin(2 * np.pi * (x * np.sin(angle) + y * np.cos(angle)) / length + phase)
    return 0.2 + 0.008 * result


def textured(ms: GeoBox, right: float = 0, down: float = 0) -> Observation:
    """A scene whose pan shows everything displaced by metres."""
    fine = GeoBox(
        (2 * ms.shape[0], 2 * ms.shape[1]), ms.affine * Affine.translation(0.25, 0.25) * Affine.scale(0.5), ms.crs
    )
    x, y = centres(fine)
    bands = landscape(*centres(ms), MS_SIGMA)
    return Observation(
        ms=np.stack([bands] * 6).astype(np.float32),
        pan=(sum(OLI.pan_weights) * landscape(x - right, y + down, PAN_SIGMA)).astype(np.float32),
        conditions=Conditions(),
    )


MS = ms_grid(70, 80)


def test_the_facts_of_a_product(tmp_path: Path) -> None:
    facts = describe_product(make(tmp_path, MS, textured(MS)))
    assert json.loads(json.dumps(facts)) == facts
    expected = {
        "product": ID,
        "satellite": "Landsat 9",
        "acquired": "2023-05-20T10:02:30+00:00",
        "path_row": "192/025",
        "sun_elevation": 52.5,
        "pan": PAN_ID,
        "qa_pixel": True,
        "qa_radsat": False,
        "mtl": True,
        "crs": "EPSG:32633",
        "shape_30m": [70, 80],
        "lattice_misfit_px": 0.0,
        "output_crs": "EPSG:32633",
        "output_shape_10m": [210, 240],
        "output_upper_left": [449_990.0, 5_660_020.0],
        "warnings": [],
    }
    assert {key: facts[key] for key in expected} == expected
    west, south, east, north = facts["bbox_wgs84"]
    assert (west, south, east, north) == pytest.approx((14.2859, 51.0707, 14.3204, 51.0898), abs=2e-4)


def test_a_southern_product_is_named_as_sentinel_2_does(tmp_path: Path) -> None:
    facts = describe_product(
        make(tmp_path, ms_grid(5, 6, centre=(600_000, -3_000_000), zone=19), with_pan=False, mtl=None, qa_pixel=None)
    )
    assert facts["crs"] == "EPSG:32619"
    assert facts["output_crs"] == "EPSG:32719"
    assert facts["output_upper_left"] == [599_990.0, 7_000_010.0]
    assert facts["acquired"] == "2023-05-20"
    assert facts["sun_elevation"] is facts["pan"] is facts["pan_shift"] is None
    assert facts["mtl"] is False
    assert len(facts["warnings"]) == 3


def test_the_metadata_of_pan_are_not_those_of_the_product(tmp_path: Path) -> None:
    product = make(tmp_path, ms_grid(5, 6))
    next(product.glob("*_MTL.*")).unlink()
    facts = describe_product(product)
    assert facts["mtl"] is False
    assert facts["sun_elevation"] == 52.5
    assert any("no Level-2 MTL" in line for line in facts["warnings"])


def test_a_scene_across_the_date_line_runs_from_west_to_east(tmp_path: Path) -> None:
    facts = describe_product(make(tmp_path, ms_grid(20, 300, centre=(636_000, 7_200_000), zone=60), with_pan=False))
    west, _, east, _ = facts["bbox_wgs84"]
    assert (west, east) == pytest.approx((179.87, -179.94), abs=0.01)


@pytest.mark.parametrize(
    ("right", "down", "verdict"),
    [(0, 0, "good"), (1.5, -2, "good"), (-4, 4, "doubtful"), (7.5, 7.5, "bad"), (-15, 0, "bad"), (20, -40, "bad")],
)
def test_the_shift_of_pan_is_measured(tmp_path: Path, right: float, down: float, verdict: str) -> None:
    shift = describe_product(make(tmp_path, MS, textured(MS, right, down)))["pan_shift"]
    assert (shift["right_m"], shift["down_m"]) == pytest.approx((right, down), abs=0.3)
    assert shift["length_m"] == pytest.approx(np.hypot(right, down), abs=0.3)
    assert shift["correlation"] > 0.97
    assert shift["verdict"] == verdict


def test_the_sharpness_of_exact_gaussians(tmp_path: Path) -> None:
    facts = describe_product(make(tmp_path, MS, textured(MS, 3, 2)))
    assert facts["sharpness"]["blur_m"] == pytest.approx((MS_SIGMA**2 - PAN_SIGMA**2) ** 0.5, rel=0.03)
    assert facts["sharpness"]["verdict"] == "good"
    assert facts["noise"]["verdict"] == "unknown"


def test_pan_aligned_by_its_edge_is_called_bad(tmp_path: Path) -> None:
    """The classical mistake: the pan file cut so that its corner, not its centre, is that of the bands."""
    product = make(tmp_path, MS, textured(MS))
    move(pan_of(product), -7.5, 7.5)
    facts = describe_product(product)
    assert facts["pan_shift"]["verdict"] in ("bad", "doubtful")
    assert facts["pan_shift"]["length_m"] == pytest.approx(7.5 * 2**0.5, abs=1.5)
    assert any("not on the native Landsat lattice" in w for w in facts["warnings"])


def test_a_cloud_seen_elsewhere_by_pan_does_no_harm(tmp_path: Path) -> None:
    observation = textured(MS)
    cloud = np.zeros(MS.shape, bool)
    cloud[15:35, 20:50] = True
    none = np.zeros(MS.shape, bool)
    observation.ms[:, 18:32, 23:44] = 0.7
    observation.pan[40:68, 50:92] = 0.8
    qa = quality(fill=none, cloud=cloud, dilated_cloud=none, shadow=none, water=none)
    shift = describe_product(make(tmp_path, MS, observation, qa_pixel=qa))["pan_shift"]
    assert shift["length_m"] < 1
    assert shift["verdict"] == "good"


def test_where_nothing_can_be_compared_nothing_is_claimed(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    flat = Observation(ms=np.full((6, 70, 80), 0.1), pan=np.full((140, 160), 0.1), conditions=Conditions())
    product = make(tmp_path, MS, flat)
    assert describe_product(product)["pan_shift"]["verdict"] == "unknown"
    rewrite(pan_of(product), np.zeros_like)
    assert describe_product(product)["pan_shift"]["verdict"] == "unknown"
    for path in product.glob("*_SR_*"):
        rewrite(path, np.zeros_like)
    assert describe_product(product)["pan_shift"]["verdict"] == "unknown"
    one = describe_product(make(tmp_path / "one", ms_grid(1, 1)))
    assert one["pan_shift"]["verdict"] == "unknown"
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]
