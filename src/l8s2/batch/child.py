"""The process of one scene: it ends with its parent, and says by its exit code whether to try again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from l8s2.errors import ASKS_TRY_AGAIN

ENDS_WITH_STDIN = "L8S2_ENDS_WITH_STDIN"
"""Environment variable of a process that is to be interrupted once its standard input ends, as by ``end_with_stdin``.
So it ends with its parent, even where that is killed."""
GRACE = 20.0
"""Seconds that an interrupted process has to clean up before it is killed."""
_INTERRUPTED = (130, -signal.SIGINT, -signal.SIGTERM)
_TOGETHER = 2.0
"""Seconds between the end of a process so interrupted and of its parent, where both got the signal (Slurm, systemd)."""
_TAIL = 1 << 16
"""Bytes of what a process said that are kept."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended."""

    code: int
    """Exit code; negative: the signal that killed it."""
    said: list[str]
    """The end of its standard error, by lines."""
    result: str
    """Its standard output."""
    interrupted: bool
    """Whether it was asked to end."""


class Children:
    """The processes of this machine that are at work; they can be asked to end. Threads may share it."""

    def __init__(self) -> None:
        self._lock, self._running, self._stopping = threading.Lock(), set[subprocess.Popen[bytes]](), threading.Event()

    def run(self, command: Sequence[str], folder: Path, beat: Callable[[], None], pause: float) -> Ended:
        """Run a process to its end.

        Args:
            command: with its arguments.
            folder: gets what the process says while it runs, and is its folder for temporary files.
            beat: called every ``pause`` seconds meanwhile; may raise, which ends the process.
            pause: seconds.
        """
        with (folder / "stdout").open("w+b") as out, (folder / "stderr").open("w+b") as err:
            process = self._start(command, folder, out, err)
            try:
                while True:
                    try:
                        code = process.wait(pause)
                        break
                    except subprocess.TimeoutExpired:
                        beat()
            except BaseException:
                _end(process)
                raise
            finally:
                with self._lock:
                    self._running.discard(process)
                _close(process)
            interrupted = self._stopping.wait(_TOGETHER if code in _INTERRUPTED else 0)
            return Ended(code=code, said=_tail(err).splitlines(), result=_tail(out), interrupted=interrupted)

    def _start(self, command: Sequence[str], folder: Path, out: IO[bytes], err: IO[bytes]) -> subprocess.Popen[bytes]:
        # a session of its own: Ctrl-C on the terminal reaches it once, by its parent
        with self._lock:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=err,
                env={**os.environ, ENDS_WITH_STDIN: "1", ASKS_TRY_AGAIN: "1", "TMPDIR": str(folder.absolute())},
                start_new_session=True,
            )  # fmt: skip
            self._running.add(process)
            if self._stopping.is_set():
                _close(process)
        return process

    def stop(self) -> None:
        """Interrupt all, and every one that is started later."""
        with self._lock:
            self._stopping.set()
            for process in self._running:
                _close(process)

    def kill(self) -> None:
        """Kill all."""
        with self._lock:
            for process in self._running:
                process.kill()


def _close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    _close(process)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(file: IO[bytes]) -> str:
    file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
    return file.read().decode("utf-8", "replace")


def option(name: str) -> str:
    """Write a parameter of the process of a scene as its command line has it."""
    return f"--{name}"


def end_with_stdin() -> None:
    """Have this process interrupt itself (KeyboardInterrupt) once its standard input ends, if its parent wants that."""
    if not os.environ.pop(ENDS_WITH_STDIN, None):
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main = threading.main_thread().ident

    def watch() -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(stdin, 1):
                pass
        if os.name == "nt" or main is None:
            import _thread

            _thread.interrupt_main()
        else:
            signal.pthread_kill(main, signal.SIGINT)

    stdin = sys.stdin.fileno()
    threading.Thread(target=watch, daemon=True).start()
