"""Being stopped between two steps instead of within one."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from l8s2.system.interrupt import Interrupt


class Signals:
    """A context in which the first Ctrl-C or SIGTERM is only noted, in ``caught``; the second one has its usual effect.

    A signal that somebody else handles already (Slurm's by submitit) is left to them.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if handler in (signal.SIG_DFL, signal.default_int_handler) or isinstance(handler, Interrupt):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.caught = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def go_on(self) -> None:
        """Let the signal that was noted (or noted by another process of this run) have its effect."""
        signal.raise_signal(self.caught or signal.SIGINT)
