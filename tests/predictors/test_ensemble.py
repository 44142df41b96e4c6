"""Several predictions made into one: the arithmetic, the bookkeeping of members, and a product of two."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rio_cogeo import cog_validate

from l8s2 import masks
from l8s2.arrays import enlarge
from l8s2.cli import main
from l8s2.errors import InputError
from l8s2.predictors.ensemble import Ensemble, Moments
from l8s2.predictors.load import load_model
from l8s2.radiometry import NODATA
from making.scenes import ID, make, ms_grid

NAN = float("nan")


def combined(means: Any, sigmas: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    moments = Moments()
    for mean, sigma in zip(means, sigmas, strict=True):
        moments.add(np.array([mean], np.float32), np.array([sigma], np.float32))
    mean, sigma = moments.result()
    assert mean.dtype == sigma.dtype == np.float32
    return mean, sigma


@pytest.mark.parametrize(
    ("means", "sigmas", "mean", "variance"),
    [
        ([1, 3], [0, 0], 2, 1),  # spread alone
        ([2, 2], [1, 3], 2, 5),  # uncertainty alone: (1 + 9) / 2
        ([1, 2, 6], [1, 2, 2], 3, 9 / 3 + 14 / 3),
        ([1, 3], [2, NAN], 2, 4 / 2 + 1),  # one without sigma adds nothing to the first term
        ([1, 3], [NAN, NAN], 2, 1),
        ([1, 3, NAN], [2, 2, NAN], 2, 5),  # one without value does not count
        ([NAN, 3], [NAN, 2], 3, 4),
        ([NAN, 3], [NAN, NAN], 3, NAN),  # alone and without sigma: nothing is known
        ([NAN, NAN], [NAN, NAN], NAN, NAN),
        ([5], [0.5], 5, 0.25),
        ([5], [NAN], 5, NAN),
    ],
)
def test_moments_by_hand(means: list[float], sigmas: list[float], mean: float, variance: float) -> None:
    found = combined(means, sigmas)
    np.testing.assert_allclose(found[0], [mean], rtol=1e-6)
    np.testing.assert_allclose(found[1], [np.sqrt(variance)], rtol=1e-6)


@given(st.integers(1, 7), st.integers(0, 2**31))
def test_moments_are_those_of_numpy(number: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    means, sigmas = rng.normal(0.3, 0.01, (number, 40)), rng.uniform(0, 0.02, (number, 40))
    missing = rng.random((number, 40)) < 0.2
    means[missing] = sigmas[missing] = np.nan
    mean, sigma = combined(means, sigmas)
    known = ~missing.all(0)
    np.testing.assert_array_equal(np.isfinite(mean[0]), known)
    np.testing.assert_allclose(mean[0, known], np.nanmean(means[:, known], 0), rtol=1e-5)
    variance = np.nanmean(sigmas[:, known] ** 2, 0) + np.nanvar(means[:, known], 0)
    np.testing.assert_allclose(sigma[0, known], np.sqrt(variance), rtol=1e-4)


class Constant:
    """Adds a constant to every band; notes where it was asked, and when it was let go of."""

    def __init__(self, name: str, margin: int, tile: int, plus: float, sigma: float, *, pan: bool = True) -> None:
        self.name, self.sha256, self.margin, self.tile = name, name * 64, margin, tile
        self.plus, self.sigma, self.pan, self.no_pan_model = plus, sigma, pan, None
        self.origins: list[tuple[int, int]] = []
        self.uses_pan = pan
        self.suns: list[float | None] = []
        self.released = 0

    def out_of_domain(self, ms: Any) -> Any:
        return np.asarray(ms[0] > 0.5) if self.name == "a" else np.asarray(ms[0] < 0.1)

    def predict_window(self, ms: Any, pan: Any, origin: tuple[int, int], *, sun_elevation: Any = None) -> Any:
        m = self.margin
        self.suns.append(sun_elevation)
        self.origins.append((origin[0] + m, origin[1] + m))
        mean = enlarge(ms[:, m:-m, m:-m]) + np.float32(self.plus)
        with_pan = np.isfinite(pan[2 * m : -2 * m : 2, 2 * m : -2 * m : 2]) & self.pan
        return mean, np.full_like(mean, self.sigma), with_pan

    def memory(self, pixels: int) -> int:
        return self.margin * pixels

    def release(self) -> None:
        self.released += 1


def test_members_see_the_same_ground_and_are_let_go_of() -> None:
    members = [Constant("a", 3, 7, 0.01, 0.003), Constant("b", 9, 64, -0.03, NAN, pan=False)]
    both = Ensemble(members)  # type: ignore[arg-type]
    assert (both.name, both.margin, both.tile, both.no_pan_model) == ("a+b", 9, 7, None)
    assert both.sha256 == hashlib.sha256(b"a" * 64 + b"b" * 64).hexdigest()
    assert both.memory(10) == 90
    assert [m.released for m in members] == [1, 1]  # after they were asked for their tiles
    rng = np.random.default_rng(0)
    ms, pan = rng.random((6, 12, 10), np.float32), rng.random((24, 20), np.float32)
    mean, sigma = both.predict(ms, pan, sun_elevation=31.5)
    np.testing.assert_allclose(mean, enlarge(ms) - 0.01, atol=1e-6)
    np.testing.assert_allclose(sigma, np.sqrt(0.003**2 / 2 + 0.02**2), rtol=1e-4)
    for member in members:
        assert member.origins == [(0, 0), (0, 7), (7, 0), (7, 7)]
        assert member.suns == [31.5] * 4
        assert member.released == 1 + 4
    m = both.margin
    padded = np.pad(ms, ((0, 0), (m, m), (m, m)))
    assert not both.predict_window(padded, np.pad(pan, 2 * m), (0, 0))[2].any()  # b never uses pan
    np.testing.assert_array_equal(both.out_of_domain(ms), (ms[0] > 0.5) | (ms[0] < 0.1))
    both.release()
    assert [m.released for m in members] == [7, 7]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("in"), ms_grid(40, 50))


def test_two_models_make_a_product(product: Path, tmp_path: Path) -> None:
    values = {}
    for model in ("compact,compact-nopan", "compact", "compact-nopan"):
        done = CliRunner().invoke(main, ["harmonize", str(product), "-o", str(tmp_path / model), "--model", model])
        assert done.exit_code == 0, done.stderr
        for name in ("SR", "SIGMA", "QA"):
            path = tmp_path / model / f"{ID}_S2L" / f"{ID}_{name}.tif"
            assert cog_validate(path, quiet=True)[0]
            with rasterio.open(path) as dataset:
                values[model, name] = dataset.read().astype(float)
        item = json.loads((tmp_path / model / f"{ID}_S2L" / f"{ID}.json").read_text())
        assert item["properties"]["l8s2:model"] == model.replace(",", "+")
    means, sigmas = (np.stack([values[m, n] for m in ("compact", "compact-nopan")]) for n in ("SR", "SIGMA"))
    assert (means != NODATA).all()
    both = "compact,compact-nopan"
    np.testing.assert_allclose(values[both, "SR"], means.mean(0), atol=1.01)  # both are rounded to integers
    expected = np.sqrt((sigmas**2).mean(0) + means.var(0))
    np.testing.assert_allclose(values[both, "SIGMA"], expected, atol=1.5)
    assert (values[both, "QA"].astype(int) & masks.flag("no_pan")).all()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("compact,compact", "has a member twice"),
        ("compact,", "neither a name nor a file"),
        ("compact,nothing", "model nothing: neither a name nor a file"),
        ("x" * 300, "neither a name nor a file; give compact, compact-nopan, published-ensemble"),
    ],
)
def test_ensembles_that_cannot_be(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        load_model(name)
    assert "\n" not in str(error.value)
