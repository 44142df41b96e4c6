"""Shared by all verbs: options, warnings, progress, and failures in one line with an exit code."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from l8s2.system.interrupt import Interrupt

PRODUCT = click.argument("product", type=click.Path(path_type=Path))
TRUST = click.option(
    "--trust-architecture",
    metavar="MODULE:CLASS",
    help="Import this network for a model folder that names exactly it. Runs code of that module.",
)
_PAN_HELP = "Level-1 product, or a GeoTIFF of its band, with pan. Default: looked for beside PRODUCT."
PAN = click.option("--pan", type=click.Path(path_type=Path), help=_PAN_HELP)
PANS = click.option(
    "--pan", type=click.Path(path_type=Path), multiple=True, help=f"{_PAN_HELP} Several times for several."
)
_DECLARED = (
    click.option(
        "--bands", metavar="blue=1,green=2,...", help="Which band of a file of several is which, where no name tells."
    ),
    click.option(
        "--scale",
        type=click.Choice(["collection2", "reflectance", "1e-4"]),
        help="How reflectance is stored. Default: that of Collection 2, of files of others as their pixels prove.",
    ),
    click.option("--acquired", metavar="DATE", help="Date of a file that does not tell it, for example 2023-05-20."),
    click.option(
        "--platform", type=click.Choice(["landsat-8", "landsat-9"]), help="Satellite of a file that does not tell it."
    ),
)


def declared_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for what input does not tell of itself (``l8s2.deliveries.declared``)."""
    for option in reversed(_DECLARED):
        command = option(command)
    return command


JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")


class Commands(click.Group):
    """Turns every expected failure into one line and an exit code: 1, 2 wrong usage, 130 interrupted.

    Where the failure may pass, it is ``errors.TRY_AGAIN`` instead of 1 if ``errors.ASKS_TRY_AGAIN`` is set, and always
    of a batch.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb."""
        _open_standard_streams()
        try:
            with _interruptible(), _libraries_silenced():
                return super().invoke(ctx)
        except KeyboardInterrupt as error:
            _interrupted(ctx, error)
        except (click.exceptions.Exit, click.ClickException, BrokenPipeError):
            raise
        except Exception as error:
            if (cause := _interruption(error)) is not None:
                _interrupted(ctx, cause)
            from l8s2.errors import ASKS_TRY_AGAIN, TRY_AGAIN, L8S2Error, may_pass

            asked = os.environ.get(ASKS_TRY_AGAIN) or ctx.invoked_subcommand == "batch"
            code = TRY_AGAIN if asked and may_pass(error) else 1
            if isinstance(error, L8S2Error):
                tell(f"l8s2: {error}")
                ctx.exit(code)
            if isinstance(error, UnicodeEncodeError):
                say(f"l8s2: {error.object!r}: not valid UTF-8; rename it or give another path")
                ctx.exit(1)
            if isinstance(error, OSError):
                what = f"{error.filename}: " if error.filename else ""
                remedy = _REMEDIES.get(error.errno or 0, "correct that and run it again")
                say(f"l8s2: {what}{error.strerror or error}; {remedy}")
                ctx.exit(code)
            if isinstance(error, MemoryError):
                say(f"l8s2: out of memory ({error}); close other programs, or give less at a time")
                ctx.exit(code)
            if isinstance(error, ImportError) and error.path and not error.path.endswith(".py"):  # a shared library
                say(f"l8s2: {error}; install what is missing, give more memory, or see l8s2 doctor")
                ctx.exit(code)
            raise


def _interrupted(ctx: click.Context, error: KeyboardInterrupt) -> None:
    say(f"l8s2: interrupted; {str(error) or 'nothing half-written is left'}")
    ctx.exit(130)


def _interruption(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the interruption that an error comes from, if a library failed because of one."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error


_REMEDIES = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room, then run it again") | dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS), "change permissions, or give another folder"
)
"""What to do where a file cannot be used, by the number of the error."""


def _open_standard_streams() -> None:
    """Open to nowhere what was closed before the start (``2>&-``); else files of ours get its number, and messages."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have what ends a job (Slurm, Kubernetes, a closed terminal) interrupt it as Ctrl-C does.

    A signal that is ignored (``nohup``), or that somebody else handles, stays as it is.
    """
    before: dict[int, Any] = {}
    handler = Interrupt()
    try:
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def _libraries_silenced() -> Iterator[None]:
    """Discard what C libraries write to descriptor 2 by themselves; what matters of it is said in one line."""
    theirs = sys.stderr
    if theirs is not sys.__stderr__ or not isinstance(theirs, TextIOWrapper):  # redirected already
        yield
        return
    theirs.flush()
    ours = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = said = os.fdopen(ours, "w", buffering=1, encoding=theirs.encoding, errors=theirs.errors)
    try:
        yield
    finally:
        sys.stderr = theirs
        os.dup2(ours, 2)
        with suppress(OSError):  # as ``say``
            said.close()


def show(facts: dict[str, Any], *, width: int = 20) -> None:
    """Print plain values for people, one to a line, names in a column of ``width``."""
    for key, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = " ".join(map(str, value))
        elif isinstance(value, bool):
            value = "yes" if value else "no"
        click.echo(f"{key.replace('_', ' '):{width}s} {'unknown' if value is None else value}")


def tell(message: str) -> None:
    """Print a message of the library on stderr, parameters named as options."""
    say(as_options(message))


def say(line: str) -> None:
    """Print a line for people on stderr; where nobody takes it (a closed pipe, a full disk) work goes on."""
    with suppress(OSError):
        click.echo(line, err=True)


def warn(message: str) -> None:
    """Print a warning of the library on stderr."""
    tell(f"warning: {message}")


def as_options(message: str) -> str:
    """Name every parameter that a message has in backticks as its option: `max_days` becomes ``--max-days``."""
    return _PARAMETER.sub(lambda match: f"--{match[1].replace('_', '-')}", message)


_PARAMETER = re.compile(r"(?<!`)`([a-z][a-z0-9]*(?:_[a-z0-9]+)*)`(?!`)")


def _speed(rate: float, unit: str) -> str:
    """Return things a second in words."""
    if rate >= 1e6:
        return f"{rate / 1e6:.1f} M{unit}/s"
    return f"{rate / 1e3:.0f} k{unit}/s" if rate >= 1e3 else f"{rate:.2g} {unit}/s"


class ProgressBar:
    """A bar with rate and time left on a terminal; elsewhere a plain line now and then, never before two seconds."""

    def __init__(self, label: str, unit: str = "px") -> None:
        self.label, self.unit = label, unit
        self.bar: Any = None
        self.spoken = time.monotonic()
        self.started, self.before = self.spoken, -1

    def __enter__(self) -> Callable[..., None]:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self.bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
                TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self.task = self.bar.add_task(self.label, total=None, rate="")
            self.bar.start()
        return self.update

    def update(self, done: int, total: int, what: str | None = None) -> None:
        """Keep pipeline.Progress's contract."""
        now = time.monotonic()
        if self.before < 0 or (what is not None and what != self.label):
            self.label, self.started, self.before = what or self.label, now, done  # what was done before has no rate
            if self.bar is not None:
                self.bar.reset(self.task, description=self.label, completed=done)
        rate = (done - self.before) / max(now - self.started, 1e-6)
        speed = "" if done == self.before else _speed(rate, self.unit)
        if self.bar is not None:
            self.bar.update(self.task, completed=done, total=total, rate=speed)
        elif now - self.spoken > 10 and speed:
            self.spoken = now
            left = (total - done) / rate
            say(f"{self.label}: {100 * done / total:.0f} %, {speed}, {left:.0f} s left")

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()


@contextmanager
def sentinel2_raster(image: Path, bbox: tuple[float, float, float, float] | None = None) -> Iterator[Path]:
    """Give a raster as it is; of a Sentinel-2 image in another form one that goes with the context."""
    if not image.is_dir() and image.suffix.lower() not in (".zip", ".xml"):
        yield image
        return
    from tempfile import TemporaryDirectory

    from l8s2.cube.sentinel2_raster import write_sentinel2_raster

    with TemporaryDirectory(prefix="l8s2-sentinel2-") as folder:
        with ProgressBar("reading Sentinel-2") as progress:
            raster = write_sentinel2_raster(image, Path(folder), progress, bbox)
        yield raster
