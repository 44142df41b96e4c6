"""The learning rate of a step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from l8s2.training.config import RunConfig, Schedule


@dataclass
class Plateau:
    """The best validation so far, and what the learning rate is multiplied with since they stopped improving."""

    best: float | None = None
    waited: int = 0
    factor: float = 1.0

    def improved(self, score: float, schedule: Schedule) -> bool:
        """Record a validation (more is better); True where it is the best."""
        if self.best is None or score > self.best:
            self.best, self.waited = score, 0
            return True
        self.waited += 1
        if schedule.kind == "plateau" and self.waited > schedule.patience:
            self.factor, self.waited = self.factor * schedule.factor, 0
        return False


def learning_rate(step: int, steps: int, config: RunConfig, factor: float = 1.0) -> float:
    """Return the learning rate of ``step`` out of ``steps``: a linear warm-up, then as the schedule says.

    ``factor``: that of ``Plateau``.
    """
    top, warmup = config.optimizer.learning_rate * factor, config.schedule.warmup
    if step < warmup:
        return top * (step + 1) / warmup
    if config.schedule.kind != "cosine":
        return top
    return top * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))
