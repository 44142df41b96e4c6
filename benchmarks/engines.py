"""Speed, accuracy and memory of the engines on one tile, beside the published network's architecture.

    python benchmarks/engines.py [--threads 2]      (needs the extra torch and onnxruntime)

Output megapixels (six bands, 10 m) per second of the embedded network; RMS change of reflectance against PyTorch in
single precision; and the published 5-depth UNet (random weights, 256 x 256 tiles) in the same run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import click
import numpy as np

from l8s2.models.onnx_file import ModelFile
from l8s2.predictors.engines import OpenVinoNetwork
from l8s2.predictors.torch_network import TorchNetwork

SIDE = 340


def seconds(run: Callable[[], object], repeats: int = 9) -> float:
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)  # what the machine can do when nothing else disturbs


def published_unet() -> Callable[[], object]:
    """The published 5-depth UNet with random weights, on 256 x 256 pixels."""
    import torch

    from l8s2.networks import UNet, UNetConfig

    network = UNet(UNetConfig()).eval()
    ms, pan = torch.rand(1, 6, 256, 256), torch.rand(1, 1, 256, 256)

    def run() -> object:
        with torch.inference_mode():
            return network(ms, pan)

    return run


def all_in_bf16(
    file: ModelFile, threads: int, ms: np.ndarray, pan: np.ndarray
) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """What we do not do: interpolation and back-projection in bf16 too."""
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    network = openvino.Core().compile_model(openvino.Core().read_model(file.path), "CPU", options)

    def run() -> tuple[np.ndarray, np.ndarray]:
        result = network([ms[None], pan[None, None]])
        return result["mean"][0], result["sigma"][0]

    return run


@click.command()
@click.option("--threads", type=int, default=2, show_default=True)
def main(threads: int) -> None:
    import onnxruntime
    import torch

    torch.set_num_threads(threads)
    file = ModelFile(Path(str(files("l8s2") / "weights" / "compact.onnx")))
    rng = np.random.default_rng(0)
    pan = (0.2 + 0.05 * rng.standard_normal((2 * SIDE, 2 * SIDE))).astype(np.float32)
    ms = (pan.reshape(SIDE, 2, SIDE, 2).mean((1, 3)) * np.linspace(0.5, 1.5, 6)[:, None, None]).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file.content, options)
    torch_network = TorchNetwork(file.build, threads)
    runs: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
        "PyTorch, fp32": lambda: torch_network(ms, pan),
        "ONNX Runtime, fp32": lambda: tuple(
            x[0] for x in session.run(["mean", "sigma"], {"ms": ms[None], "pan": pan[None, None]})
        ),
    }
    for name, bf16 in (("OpenVINO, fp32", False), ("OpenVINO, body in bf16", True)):
        network = OpenVinoNetwork(file, threads, bf16=bf16)
        runs[name] = lambda network=network: network(ms, pan)  # type: ignore[misc]
    runs["OpenVINO, all in bf16"] = all_in_bf16(file, threads, ms, pan)
    reference = runs["PyTorch, fp32"]()[0]
    pixels = (3 * SIDE) ** 2 / 1e6
    rows = [
        (name, pixels / seconds(run), float(np.sqrt(np.mean((run()[0] - reference) ** 2))))
        for name, run in runs.items()
    ]
    published = 256 * 256 / 1e6 / seconds(published_unet())
    print("| engine | Mpx/s | RMS change | times the published UNet |")
    print("|---|---|---|---|")
    for name, rate, change in rows:
        print(f"| {name} | {rate:.2f} | {change:.6f} | {rate / published:.1f} |")
    print(f"| published 5-depth UNet, PyTorch fp32 | {published:.3f} | | 1.0 |")


if __name__ == "__main__":
    main()
