"""Where PyTorch runs: told by ``device``, and a GPU gives the numbers of the processor."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

from l8s2 import load_model  # noqa: E402
from l8s2.errors import InputError  # noqa: E402
from l8s2.models.names import located  # noqa: E402
from l8s2.models.onnx_file import ModelFile  # noqa: E402
from l8s2.predictors.torch_network import TorchNetwork  # noqa: E402

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that PyTorch sees")


def test_openvino_takes_no_gpu() -> None:
    with pytest.raises(InputError, match=r"^`device` cuda: model compact runs in OpenVINO, .*add `engine` torch$"):
        load_model("compact", device="cuda")


def test_devices_are_named() -> None:
    with pytest.raises(InputError, match=r"^`device` gpu: unknown; choose auto, cpu, cuda$"):
        load_model("compact", device="gpu")  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"^`device` cuda: PyTorch sees no GPU; give `device` cpu, or install"):
        load_model("compact", engine="torch", device="cuda")


def test_windows_follow_the_memory_of_where_they_are_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    small = load_model("compact", engine="torch", max_memory=1.0, device="cpu").tile
    monkeypatch.setattr(TorchNetwork, "room", lambda self, host: 40e9)
    assert load_model("compact", engine="torch", max_memory=1.0).tile > small


@needs_gpu
def test_a_gpu_answers_as_the_processor_does() -> None:
    rng = np.random.default_rng(3)
    ms = np.kron(rng.uniform(0.02, 0.4, (6, 15, 13)), np.ones((1, 7, 8))).astype(np.float32)
    pan = rng.uniform(0.05, 0.3, (2 * ms.shape[1], 2 * ms.shape[2])).astype(np.float32)
    there, here = (load_model("compact", engine="torch", device=name).predict(ms, pan) for name in ("cuda", "cpu"))
    for a, b, most in zip(there, here, (0.0005, 0.002), strict=True):
        assert np.sqrt(np.mean((a - b) ** 2)) < most  # bf16 in the body


@needs_gpu
def test_gpu_networks_release_their_memory() -> None:
    network = TorchNetwork(ModelFile(located("compact")).build, device="cuda")
    network(np.full((6, 64, 64), 0.1, np.float32), np.full((128, 128), 0.1, np.float32))
    held = torch.cuda.memory_allocated()
    network.release()
    assert torch.cuda.memory_allocated() < held
