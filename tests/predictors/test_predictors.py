"""The predictor's contract, and tiling without trace."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from l8s2 import masks
from l8s2.errors import InputError
from l8s2.landsat.native_pixels import Pixels
from l8s2.models.onnx_file import ModelFile, openvino_core
from l8s2.pipeline.tiles import predict_tiles
from l8s2.predictors.engines import OpenVinoNetwork
from l8s2.predictors.load import load_model
from l8s2.predictors.network_predictor import PAN_REACH, NetworkPredictor
from l8s2.radiometry import total_sigma

BF16_RMS = 0.0005
"""Largest change of reflectance that lower precision may cause."""


def single_precision(threads: int | None = None) -> NetworkPredictor:
    folder = Path(str(files("l8s2") / "weights"))
    networks = [
        OpenVinoNetwork(ModelFile(folder / f"{n}.onnx"), threads, bf16=False) for n in ("compact", "compact-nopan")
    ]
    no_pan = NetworkPredictor("no pan", "", networks[1], None)
    return NetworkPredictor("compact", "", networks[0], no_pan)


@pytest.fixture(scope="module")
def predictor() -> NetworkPredictor:
    return single_precision()


def ground(height: int, width: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Smooth, correlated bands and a pan that goes with them."""
    rng = np.random.default_rng(seed)
    base = np.cumsum(np.cumsum(rng.normal(0, 0.004, (2 * height, 2 * width)), 0), 1) * 0.05 + 0.2
    pan = np.clip(base, 0.02, 0.6).astype(np.float32) + rng.normal(0, 0.01, base.shape).astype(np.float32)
    coarse = pan.reshape(height, 2, width, 2).mean((1, 3))
    ms = coarse * rng.uniform(0.6, 1.6, (6, 1, 1)) + rng.normal(0, 0.002, (6, height, width))
    return ms.astype(np.float32), pan


class Arrays:
    """As much of a scene as the pipeline reads."""

    pan_sun_elevation = 90.0

    def __init__(self, ms: NDArray[np.float32], pan: NDArray[np.float32] | None) -> None:
        self.ms, self.pan = ms, pan

    def read(self, rows: slice, columns: slice) -> Pixels:
        ms = _window(self.ms, rows, columns, 1)
        pan = None if self.pan is None else _window(self.pan[None], rows, columns, 2)[0]
        qa = np.where(np.isnan(ms).any(0), masks.flag("fill"), 0).astype(np.uint16)
        return Pixels(ms=ms, pan=pan, qa=qa)


def _window(x: NDArray[np.float32], rows: slice, columns: slice, factor: int) -> NDArray[np.float32]:
    m = factor * 200
    padded = np.pad(x, ((0, 0), (m, m), (m, m)), constant_values=np.nan)
    r, c = (slice(factor * s.start + m, factor * s.stop + m) for s in (rows, columns))
    return padded[:, r, c]


def assembled(
    predictor: NetworkPredictor, scene: Arrays, tile: int | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]]:
    height, width = scene.ms.shape[1:]
    mean = np.empty((6, 3 * height, 3 * width), np.float32)
    sigma, qa = np.empty_like(mean), np.empty(mean.shape[1:], np.uint16)
    for t in predict_tiles(scene, predictor, slice(0, height), slice(0, width), tile):  # type: ignore[arg-type]
        at = (slice(3 * t.rows.start, 3 * t.rows.stop), slice(3 * t.columns.start, 3 * t.columns.stop))
        mean[:, *at], sigma[:, *at], qa[at] = t.mean, t.sigma, t.qa
    return mean, sigma, qa


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from([(1, 1), (1, 40), (37, 2), (3, 3), (31, 43), (53, 29)]),
    st.sampled_from([1, 7, 16, 23]),
    st.integers(0, 99),
    st.booleans(),
    st.booleans(),
)
def test_any_tile_gives_the_numbers_of_one_piece(
    size: tuple[int, int], tile: int, seed: int, pan_hole: bool, ms_hole: bool
) -> None:
    tile = max(tile, -(-max(size) // 4))  # at most 16 tiles
    ms, pan = ground(*size, seed)
    if pan_hole:
        pan[: pan.shape[0] // 2, : pan.shape[1] // 3] = np.nan
    if ms_hole:
        ms[:, size[0] // 2 :, size[1] // 2 :] = np.nan
    predictor = single_precision()
    whole = assembled(predictor, Arrays(ms, pan), 10_000)
    parts = assembled(predictor, Arrays(ms, pan), tile)
    for a, b in zip(whole[:2], parts[:2], strict=True):
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        np.testing.assert_allclose(np.nan_to_num(a), np.nan_to_num(b), atol=1e-5)  # a tenth of a DN
    np.testing.assert_array_equal(whole[2], parts[2])


def test_threads_do_not_change_the_numbers() -> None:
    ms, pan = ground(40, 33)
    one, two = (single_precision(n).predict(ms, pan) for n in (1, 2))
    np.testing.assert_allclose(one[0], two[0], atol=1e-5)
    np.testing.assert_allclose(one[1], two[1], atol=1e-5)


def test_predict_and_the_pipeline_agree(predictor: NetworkPredictor) -> None:
    ms, pan = ground(30, 41)
    mean, sigma = predictor.predict(ms, pan)
    piped = assembled(predictor, Arrays(ms, pan), 17)
    np.testing.assert_allclose(mean, piped[0], atol=1e-5)
    np.testing.assert_allclose(total_sigma(mean, sigma), piped[1], atol=1e-5)


def test_bf16_stays_within_its_promise(predictor: NetworkPredictor) -> None:
    if "BF16" not in _capabilities():
        pytest.skip("this processor has no bf16")
    ms, pan = ground(120, 110)
    for exact, fast in zip(predictor.predict(ms, pan), load_model().predict(ms, pan), strict=True):
        assert 0 < np.sqrt(np.mean((exact - fast) ** 2)) < BF16_RMS


@pytest.mark.parametrize("name", ["compact", "compact-nopan"])
def test_the_interior_is_that_of_the_whole_window(name: str) -> None:
    network = OpenVinoNetwork(ModelFile(Path(str(files("l8s2") / "weights" / f"{name}.onnx"))), None)
    ms, pan = ground(90, 101)
    given = ms, pan if network.uses_pan else None
    r = 3 * network.receptive_field
    for part, whole in zip(network.interior(*given), network(*given), strict=True):
        np.testing.assert_array_equal(part, whole[:, r:-r, r:-r])


def _capabilities() -> list[str]:
    return list(openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def test_torch_and_openvino_agree(predictor: NetworkPredictor) -> None:
    pytest.importorskip("torch")
    ms, pan = ground(45, 38)
    ms[:, 5:9, 7:9] = np.nan
    other = load_model(engine="torch")
    for a, b in zip(predictor.predict(ms, pan), other.predict(ms, pan), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_missing_ms_stays_missing_band_by_band(predictor: NetworkPredictor) -> None:
    ms, pan = ground(20, 20)
    ms[2, 4, 5] = np.nan
    mean, sigma = predictor.predict(ms, pan)
    expected = np.zeros((6, 60, 60), bool)
    expected[2, 12:15, 15:18] = True
    np.testing.assert_array_equal(np.isnan(mean), expected)
    np.testing.assert_array_equal(np.isnan(sigma), expected)
    assert (sigma[~expected] > 0).all()


def test_without_pan_the_no_pan_model_answers() -> None:
    ms, pan = ground(24, 24)
    compact, no_pan = load_model("compact"), load_model("compact-nopan")
    from_bands = no_pan.predict(ms, None)
    for a, b, c in zip(compact.predict(ms, None), from_bands, no_pan.predict(ms, pan), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_a_hole_in_pan_is_the_no_pan_models_and_the_rest_is_not(predictor: NetworkPredictor) -> None:
    ms, pan = ground(40, 40)
    hole = pan.copy()
    hole[:, :30] = np.nan
    mean, _ = predictor.predict(ms, hole)
    from_bands, _ = predictor.predict(ms, None)
    edge = 3 * (15 + PAN_REACH)
    np.testing.assert_array_equal(mean[:, :, :edge], from_bands[:, :, :edge])
    assert not np.allclose(mean[:, :, edge:], from_bands[:, :, edge:], atol=1e-4)


@pytest.mark.parametrize(
    ("ms", "pan", "says"),
    [
        (np.zeros((5, 4, 4), np.float32), None, r"\(5, 4, 4\)"),
        (np.zeros((6, 4, 4), np.uint16), None, "uint16"),
        (np.zeros((6, 4, 4), np.float32), np.zeros((8, 9), np.float32), r"\(8, 8\)"),
    ],
)
def test_wrong_arrays_are_refused(
    predictor: NetworkPredictor, ms: NDArray[np.generic], pan: NDArray[np.generic] | None, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        predictor.predict(ms, pan)  # type: ignore[arg-type]


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a name nor a file; give compact, compact-nopan, published-ensemble"):
        load_model("no-such-model")
    rubbish = tmp_path / "rubbish.onnx"
    rubbish.write_bytes(b"\x00\x01 not a network" * 40)
    with pytest.raises(InputError, match=r"rubbish\.onnx"):
        load_model(rubbish)
    truncated = tmp_path / "truncated.onnx"
    truncated.write_bytes((Path(str(files("l8s2") / "weights")) / "compact.onnx").read_bytes()[:100_000])
    with pytest.raises(InputError, match=r"truncated\.onnx"):
        load_model(truncated)
    with pytest.raises(InputError, match="abacus"):
        load_model(engine="abacus")  # type: ignore[arg-type]


def test_pan_is_used_up_to_the_edge_of_the_footprint(predictor: NetworkPredictor) -> None:
    ms, pan = ground(30, 30)
    margin = predictor.margin
    padded = np.pad(ms, ((0, 0), (margin, margin), (margin, margin)), constant_values=np.nan)
    _, _, with_pan = predictor.predict_window(padded, np.pad(pan, 2 * margin, constant_values=np.nan), (0, 0))
    assert with_pan.all()


@pytest.mark.posix
def test_signals_still_arrive_when_a_network_ends_in_another_thread() -> None:
    code = """
import signal, threading, l8s2
models = [l8s2.load_model("compact-nopan")]
thread = threading.Thread(target=models.clear)
thread.start()
thread.join()
signal.signal(signal.SIGCHLD, lambda *_: print("handled"))
signal.raise_signal(signal.SIGCHLD)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, "handled")


def test_nothing_leaves_the_machine() -> None:
    """With every connection forbidden and telemetry not even loadable, the network loads and answers."""
    code = """
import socket, sys
def forbidden(*args, **kwargs): raise SystemExit("a connection was attempted")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = forbidden
import numpy as np, l8s2
mean, sigma = l8s2.load_model("compact-nopan").predict(np.full((6, 4, 4), 0.1, np.float32), None)
assert np.isfinite(mean).all()
assert sys.modules.get("openvino_telemetry") is None
print("quiet")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "quiet", result.stderr


@pytest.mark.parametrize(
    ("said", "kind"),
    [("Exception from src/core.cpp:117:\nstd::bad_alloc", MemoryError), ("Unsupported operation", InputError)],
)
def test_a_lack_of_memory_is_no_fault_of_the_model(
    said: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(said)

    network = OpenVinoNetwork(ModelFile(Path(str(files("l8s2") / "weights" / "compact-nopan.onnx"))), 1)
    monkeypatch.setattr(network, "_run", fail)
    with pytest.raises(kind, match=said.split()[-1]):
        network(np.zeros((6, 96, 96), np.float32), None)
