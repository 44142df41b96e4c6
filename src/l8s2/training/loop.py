"""One training run, readable top to bottom. Killed at any point, it resumes to the same weights."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from l8s2.models import Compact, CompactConfig
from l8s2.training.imagery import Batch, Crops


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything a run depends on besides its imagery."""

    steps: int = 9000
    batch: int = 16
    size: int = 40
    """MS pixels to a side of a crop."""
    border: int = 3
    """MS pixels at the border of a crop that do not count."""
    learning_rate: float = 1.5e-3
    warmup: int = 200
    weight_decay: float = 1e-4
    gradient_weight: float = 0.5
    sigma_weight: float = 0.1
    ema: float = 0.999
    seed: int = 42
    bf16: bool = True
    checkpoint_every: int = 250
    """Steps between checkpoints."""


def prefetched(crops: Crops, first: int, last: int, ahead: int = 4) -> Iterator[tuple[int, Batch]]:
    """(step, batch), simulated in a thread meanwhile: a forked worker would inherit the engines' dead threads."""
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(crops, step) for step in range(first, min(first + ahead, last)))
        for step in range(first, last):
            batch = waiting.popleft().result()
            if step + ahead < last:
                waiting.append(pool.submit(crops, step + ahead))
            yield step, batch


def loss(
    mean: Tensor, sigma: Tensor, truth: Tensor, valid: Tensor, reference: Tensor, config: TrainingConfig
) -> dict[str, Tensor]:
    """L1 of values and gradients, relative to what interpolation alone gets wrong, and a Laplace likelihood for sigma.

    Dividing by the error of ``reference`` (per crop and band) makes dark water and bright desert count alike, as
    they do when decibels are averaged over places.
    """
    weight = valid.float()
    count = weight.sum((2, 3)).clamp(min=1)
    error = (mean - truth) * weight
    scale = (((reference - truth).abs() * weight).sum((2, 3)) / count + 0.002)[:, :, None, None]
    share = weight.sum().clamp(min=1)
    gradient = sum(
        (d * (valid[..., a:, b:] & valid[..., : d.shape[2], : d.shape[3]]) / scale).abs().sum()
        for d, a, b in ((error.diff(dim=2), 1, 0), (error.diff(dim=3), 0, 1))
    )
    absolute = error.detach().abs()
    return {
        "l1": (error.abs() / scale).sum() / share,
        "gradient": torch.as_tensor(gradient) / share,
        "sigma": ((absolute / sigma + sigma.log()) * weight).sum() / share,
    }


def mixed_precision(network: Compact, ms: Tensor, pan: Tensor, *, bf16: bool) -> tuple[Tensor, Tensor]:
    """mean, sigma with the body alone in bf16, as the engines run it."""
    features = network.features(ms, pan if network.config.pan else None)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        raw = network.body(features.contiguous(memory_format=torch.channels_last))
    return network.restore(ms, raw)


def interpolated(network: Compact, ms: Tensor) -> Tensor:
    """The mean without any detail, (B, 6, 3h, 3w)."""
    nothing = ms.new_zeros(ms.shape[0], 2 * 9 * ms.shape[1], *ms.shape[2:])
    return network.restore(ms, nothing)[0]


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    progress = (step - config.warmup) / max(config.steps - config.warmup, 1)
    return float(config.learning_rate * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * progress))))


def train(
    model_config: CompactConfig,
    config: TrainingConfig,
    crops: Crops,
    folder: Path,
    *,
    resume: bool = False,
    report: Callable[[str], None],
) -> Compact:
    """Train and return the exponentially averaged network; checkpoints and ``metrics.jsonl`` go to ``folder``.

    Raises FileExistsError when ``folder`` holds a run and ``resume`` is False.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "last.pt"
    if checkpoint.exists() and not resume:
        raise FileExistsError(f"{checkpoint} exists; continue with --resume or choose another folder")
    torch.manual_seed(config.seed)
    network = Compact(model_config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Compact(model_config)
    average.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.99)
    )
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
        report(f"resumed at step {first}")
    edge = 3 * config.border
    totals: dict[str, float] = {}
    started, counted = time.monotonic(), 0
    for step, data in prefetched(crops, first, config.steps):
        ms, pan, truth = (torch.as_tensor(x) for x in (data.ms, data.pan, data.truth))
        valid = torch.as_tensor(data.valid)[..., edge:-edge, edge:-edge]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config)
        mean, sigma = mixed_precision(network, ms, pan, bf16=config.bf16)
        with torch.no_grad():
            reference = interpolated(network, ms)
        inner = [x[..., edge:-edge, edge:-edge] for x in (mean, sigma, truth, reference)]
        parts = loss(inner[0], inner[1], inner[2], valid, inner[3], config)
        total = parts["l1"] + config.gradient_weight * parts["gradient"] + config.sigma_weight * parts["sigma"]
        optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        _update(average, network, min(config.ema, (1 + step) / (10 + step)))
        for key, value in parts.items():
            totals[key] = totals.get(key, 0.0) + float(value.detach())
        counted += 1
        if (step + 1) % 100 == 0 or step + 1 == config.steps:
            rate = counted / (time.monotonic() - started)
            line = {
                "step": step + 1,
                **{k: round(v / counted, 5) for k, v in totals.items()},
                "steps_per_s": round(rate, 3),
            }
            with (folder / "metrics.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            report(f"{line}  {(config.steps - step - 1) / rate / 60:.0f} min left")
            totals, counted, started = {}, 0, time.monotonic()
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
            _save(
                checkpoint,
                {
                    "step": step + 1,
                    "network": network.state_dict(),
                    "average": average.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "model_config": asdict(model_config),
                    "training_config": asdict(config),
                },
            )
    return average


def _update(average: Compact, network: Compact, decay: float) -> None:
    with torch.no_grad():
        for a, p in zip(average.parameters(), network.parameters(), strict=True):
            a.lerp_(p, 1 - decay)


def _save(path: Path, state: dict[str, object]) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)
