"""One step of training: a network, its optimizer, and the running average of its weights, on one processor or many."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from l8s2.errors import InputError
from l8s2.networks import HarmonizationNetwork
from l8s2.networks.compact import Interpolation
from l8s2.simulate.crops import Batch
from l8s2.training import losses
from l8s2.training.config import RunConfig

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
Reference = Callable[[Tensor, Tensor], Tensor]
"""(ms, truth) -> what interpolation alone makes of ms, of the truth's shape."""


class Learner:
    """Takes steps. ``average`` is what to validate and keep; ``network`` is what is trained."""

    def __init__(self, network: HarmonizationNetwork, config: RunConfig, *, reference: Reference | None = None) -> None:
        """Make the network ready to train as ``config`` says.

        ``reference``: instead of Keys bicubic with Sentinel-2's band-pass, see ``losses.relative_l1``.

        Raises InputError where the device, the network and the loss do not go together.
        """
        cpu = config.device == "cpu" or not torch.cuda.is_available()
        if config.precision == "fp16" and cpu:
            raise InputError("precision fp16: needs a GPU; take bf16 or fp32")
        self.accelerator = Accelerator(cpu=cpu, mixed_precision="fp16" if config.precision == "fp16" else "no")
        self.device = self.accelerator.device
        self.config = config
        loss = config.loss
        self.terms = losses.terms(loss.kind, gradient_weight=loss.gradient_weight, sigma_weight=loss.sigma_weight)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(network).to(self.device).eval().requires_grad_(False)
        self.network = network.train()
        adam = config.optimizer
        kind = torch.optim.Adam if adam.kind == "adam" else torch.optim.AdamW
        optimizer = kind(
            network.to(self.device).parameters(),
            lr=adam.learning_rate,
            weight_decay=adam.weight_decay,
            betas=adam.betas,
        )
        lowered = mixed_precision(network, config.precision, self.device.type)
        self.model, self.optimizer = self.accelerator.prepare(lowered, optimizer)
        self._reference = reference or Interpolation().to(self.device)

    def step(self, step: int, pieces: Sequence[Batch], rate: float) -> dict[str, float]:
        """Learn from this process's share of a batch, in pieces, at learning rate ``rate``.

        Returns the loss and its terms over the whole batch, all processes together. Raises InputError where they are
        not finite; the average is then still that of the step before.
        """
        config, accelerator = self.config, self.accelerator
        rank = accelerator.process_index
        torch.manual_seed(
            (config.seed * 1_000_003 + step) * 1_009 + rank
        )  # dropout is the same whenever the step is taken
        batches = [self._tensors(piece) for piece in pieces]
        counts = torch.stack([losses.counts(self.terms, batch["valid"]) for batch in batches])
        number = accelerator.reduce(counts.sum(0), "sum")
        shares = losses.shares(self.terms, number)
        sums = torch.zeros(len(self.terms), device=self.device)
        for i, batch in enumerate(batches):
            last = i + 1 == len(batches)
            with nullcontext() if last else accelerator.no_sync(self.model):
                total = losses.totals(self.terms, self._pairs(batch))
                # gradients of processes are averaged, the loss of the batch is their sum
                accelerator.backward((total * shares).sum() * accelerator.num_processes)
            sums += total.detach()
        weighted = accelerator.reduce(sums * shares, "sum").tolist()
        clip = math.inf if config.optimizer.clip is None else config.optimizer.clip
        norm = accelerator.clip_grad_norm_(self.network.parameters(), clip)
        loss = sum(weighted)
        # fp16 skips steps whose gradients overflow
        if not math.isfinite(loss) or not (config.precision == "fp16" or math.isfinite(float(norm))):
            raise InputError(
                f"step {step + 1}: the loss is {loss}, its gradient {float(norm)}; the last checkpoint is from before: "
                "begin a new run with it as model.start and a lower optimizer.learning_rate, or look at the data"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._follow(min(config.ema, (1 + step) / (10 + step)))
        unweighted = {
            name: value / term.weight if term.weight else 0.0
            for (name, term), value in zip(self.terms.items(), weighted, strict=True)
        }
        return {"loss": loss, **unweighted}

    def _tensors(self, batch: Batch) -> dict[str, Tensor]:
        arrays = ((name, getattr(batch, name)) for name in ("ms", "pan", "truth", "valid"))
        return {name: torch.as_tensor(array).to(self.device) for name, array in arrays if array is not None}

    def _pairs(self, batch: dict[str, Tensor]) -> losses.LossInputs:
        ms, truth = batch["ms"], batch["truth"]
        at_10m = ms.shape[2:] == truth.shape[2:]
        mean, sigma = self.model(ms, batch.get("pan") if at_10m or self.network.uses_pan else None)
        if mean.shape != truth.shape:
            raise InputError(
                f"the network answers {tuple(mean.shape)} where the truth is {tuple(truth.shape)}; "
                "see the contract in l8s2.networks"
            )
        if sigma is not None and not losses.trains_sigma(self.config.loss.kind):
            raise InputError(
                f"loss.kind {self.config.loss.kind}: would leave the network's sigma untrained; "
                "take detail or gaussian_nll"
            )
        with torch.no_grad():
            reference = self._reference(ms, truth)
        return losses.LossInputs.of(mean, sigma, truth, reference, batch["valid"])

    def _follow(self, decay: float) -> None:
        """Move the average towards the network."""
        with torch.no_grad():
            for a, p in zip(self.average.parameters(), self.network.parameters(), strict=True):
                a.lerp_(p, 1 - decay)
            for kept, buffer in zip(self.average.buffers(), self.network.buffers(), strict=True):
                kept.copy_(buffer)

    def state(self) -> dict[str, Any]:
        """Everything that a step changes."""
        scaler = self.accelerator.scaler
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])


class MixedPrecision(nn.Module):
    """A network whose body computes in lower precision, everything around it in single precision."""

    def __init__(self, network: HarmonizationNetwork, dtype: torch.dtype, device: str) -> None:
        super().__init__()
        self.network, self.dtype, self.device = network, dtype, device

    def forward(self, ms: Tensor, pan: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """See ``l8s2.networks``."""
        stages = self.network.stages()
        with torch.autocast(self.device, enabled=False):
            given = _every(stages.prepare(ms, pan), lambda x: x.contiguous(memory_format=torch.channels_last))
            with torch.autocast(self.device, self.dtype):
                answer = stages.body(given)
            return stages.restore(ms, _every(answer, lambda x: x.float()))


def mixed_precision(network: HarmonizationNetwork, precision: str, device: str) -> nn.Module:
    """Return ``network`` with its body in ``precision`` ("bf16", "fp16"); the network itself for any other."""
    return MixedPrecision(network, _DTYPES[precision], device) if precision in _DTYPES else network


def _every(given: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a tensor, or a tuple of tensors and None, with every tensor changed."""
    if isinstance(given, tuple):
        return tuple(None if x is None else change(x) for x in given)
    return change(given)
