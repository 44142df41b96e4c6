"""The standard error of level, and how it goes into that of the product."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import l8s2
from l8s2.cli import main
from l8s2.radiometry import LEVEL_ABSOLUTE, LEVEL_RELATIVE, SCALE, detail_sigma, level_sigma, total_sigma
from making.scenes import ID, make


@given(st.lists(st.floats(-0.2, 1.6), min_size=6, max_size=6), st.floats(0, 0.5))
def test_variances_add(reflectance: list[float], detail: float) -> None:
    mean = np.array(reflectance, np.float32).reshape(6, 1, 1)
    level = level_sigma(mean)
    expected = np.sqrt(np.array(LEVEL_ABSOLUTE) ** 2 + (np.array(LEVEL_RELATIVE) * reflectance) ** 2)
    np.testing.assert_allclose(level.ravel(), expected, rtol=1e-5)
    total = total_sigma(mean, np.full_like(mean, detail))
    np.testing.assert_allclose(total**2, level**2 + detail**2, rtol=1e-5)
    np.testing.assert_allclose(detail_sigma(mean, total) ** 2, detail**2, atol=1e-6)


def test_intervals_hold_two_disagreeing_sensors() -> None:
    """A level drawn once for each scene: the intervals hold 90 % over many scenes, and no less on the mean of one."""
    rng = np.random.default_rng(0)
    truth, detail = rng.uniform(0.02, 0.4, (6, 30, 40)), np.full((6, 30, 40), 0.01)
    within, of_means = [], []
    for _ in range(400):
        absolute = rng.standard_normal((6, 1, 1)) * np.reshape(LEVEL_ABSOLUTE, (6, 1, 1))
        relative = rng.standard_normal((6, 1, 1)) * np.reshape(LEVEL_RELATIVE, (6, 1, 1))
        mean = truth + absolute + relative * truth + detail * rng.standard_normal(truth.shape)
        within.append(np.abs(mean - truth) < 1.645 * total_sigma(truth, detail))
        error = (mean - truth).mean((1, 2))
        of_means.append(np.abs(error) < 1.645 * level_sigma(truth.mean((1, 2), keepdims=True))[:, 0, 0])
    assert np.mean(within) == pytest.approx(0.9, abs=0.015)
    assert np.mean(of_means) == pytest.approx(0.9, abs=0.02)  # the level does not average out


def test_what_is_not_known_stays_unknown() -> None:
    assert np.isnan(total_sigma(np.full((6, 2, 2), 0.1), np.full((6, 2, 2), np.nan))).all()
    assert np.isnan(detail_sigma(np.full((6, 2, 2), 0.1), np.full((6, 2, 2), np.nan))).all()
    assert (detail_sigma(np.full((6, 2, 2), 0.5), np.full((6, 2, 2), 0.001)) == 0).all()
    assert np.isnan(total_sigma(np.full((6, 2, 2), np.nan), np.full((6, 2, 2), np.nan))).all()


def test_the_product_has_the_kind_that_was_asked_for(tmp_path: Path) -> None:
    product = make(tmp_path / "in")
    read = {}
    for kind, options in (("total", ()), ("detail", ("--sigma", "detail"))):
        done = CliRunner().invoke(main, ["harmonize", str(product), "-o", str(tmp_path / kind), *options])
        assert done.exit_code == 0, done.output
        folder = tmp_path / kind / f"{ID}_S2L"
        with rasterio.open(folder / f"{ID}_SIGMA.tif") as sigma, rasterio.open(folder / f"{ID}_SR.tif") as mean:
            read[kind] = sigma.read() * SCALE, mean.read() * SCALE
        said = json.loads((folder / f"{ID}.json").read_text())["properties"]["l8s2:sigma"]
        assert said["kind"] == kind
        assert ("level_relative" in said) == (kind == "total")
    (total, mean), (detail, same) = read["total"], read["detail"]
    np.testing.assert_array_equal(mean, same)
    np.testing.assert_allclose(total, total_sigma(mean, detail), atol=1.01 * SCALE)
    dataset = l8s2.harmonize(product)
    assert dataset.sigma.attrs["kind"] == "total"
    np.testing.assert_allclose(dataset.sigma, total, atol=1.01 * SCALE)
    np.testing.assert_allclose(l8s2.harmonize(product, sigma="detail").sigma, detail, atol=1.01 * SCALE)
