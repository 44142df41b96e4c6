"""What the embedded network takes of a processor, by part, beside plain products of matrices and a plain convolution.

    python benchmarks/processor.py      (needs the extra torch)

One thread; seconds of the processor. The body is the part between the seams, which computes in bf16 where the processor
has it; its window is the one that a product is made of.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import numpy as np
import torch

from l8s2.predictors.engines import OpenVinoNetwork
from l8s2.predictors.load import load_model


def seconds(run: Callable[[], object], repeats: int = 6) -> float:
    run()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def plain() -> dict[str, float]:
    """TFLOP/s of what a processor does best."""
    torch.set_num_threads(1)
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = (torch.randn(2048, 2048).to(dtype) for _ in range(2))
        found[f"2048 x 2048 matrices, {dtype}"] = 2 * 2048**3 / seconds(lambda a=a, b=b: a @ b) / 1e12  # type: ignore[misc]
    layer = torch.nn.Conv2d(64, 64, 3, padding=1).to(torch.bfloat16, memory_format=torch.channels_last)
    image = torch.randn(1, 64, 256, 256).to(torch.bfloat16, memory_format=torch.channels_last)
    with torch.inference_mode():
        found["convolution of 64 to 64 channels, bfloat16"] = (
            2 * 9 * 64**2 * 256**2 / seconds(lambda: layer(image)) / 1e12
        )
    return found


def parts() -> dict[str, float]:
    """Processor seconds a Mpx of output."""
    predictor = load_model("compact", threads=1)
    network = predictor._network
    assert isinstance(network, OpenVinoNetwork)
    side, reach = predictor.tile + 2 * predictor.margin, predictor.margin - network.receptive_field
    rng = np.random.default_rng(0)
    ms = (0.2 + 0.02 * rng.standard_normal((6, side, side))).astype(np.float32)
    pan = (0.2 + 0.02 * rng.standard_normal((2 * side, 2 * side))).astype(np.float32)
    whole = seconds(lambda: predictor.predict_window(ms, pan, (0, 0)))
    front, body, back = network._requests[True].get()
    inner = np.ascontiguousarray(ms[None, :, reach : side - reach, reach : side - reach])
    fine = np.ascontiguousarray(pan[2 * reach : 2 * (side - reach), 2 * reach : 2 * (side - reach)])[None, None]
    features = front.infer([inner, fine])[0]
    raw = body.infer([features])[0]
    found = {
        "before the body": seconds(lambda: front.infer([inner, fine])),
        "the body": seconds(lambda: body.infer([features])),
        "after it": seconds(lambda: back.infer([inner, raw])),
        "a window, from array to array": whole,
    }
    return {name: value / ((3 * predictor.tile) ** 2 / 1e6) for name, value in found.items()}


@click.command(help=__doc__)
def main() -> None:
    for head, found in (("TFLOP/s", plain()), ("CPU s a Mpx", parts())):
        print(f"| | {head} |\n|---|---|")
        for name, value in found.items():
            print(f"| {name} | {value:.3f} |")
        print()


if __name__ == "__main__":
    main()
