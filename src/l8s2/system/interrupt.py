"""What a signal that ends a job does to a command."""

from __future__ import annotations

import math
import signal
import time
from types import FrameType

_ECHO = 2.0
"""Seconds within which a further signal tells the same end again, as ``timeout`` and whoever ends a group do."""


class Interrupt:
    """A handler of signals that raises KeyboardInterrupt, but not again while the command tidies up after the first."""

    def __init__(self) -> None:
        self._raised = -math.inf

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Interrupt."""
        now = time.monotonic()
        if now - self._raised > _ECHO:
            self._raised = now
            signal.default_int_handler(number, frame)
