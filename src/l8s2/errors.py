"""The errors users are meant to see: one line each, with value, rule and remedy.

A message names a parameter in backticks ("`mgrs` 43XYZ: not an MGRS 100 km square"); the command line shows it as the
option of that name.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence

TRY_AGAIN = 75
"""Exit code of a failure that may pass: EX_TEMPFAIL of sysexits.h."""
ASKS_TRY_AGAIN = "L8S2_TRY_AGAIN"
"""Environment variable of a process that is to end with TRY_AGAIN, instead of 1, after a failure that may pass."""


class L8S2Error(Exception):
    """Base of every error that l8s2 raises on purpose."""

    may_pass = False
    """Whether the same may succeed later, with nothing corrected: ``may_pass`` also asks what an error comes from."""

    def __str__(self) -> str:
        """Return one line that a person can read, whatever a damaged file made it quote."""
        line = _CONTROL.sub(" ", super().__str__())
        return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 300]} ... {line[-300:]}"


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LONGEST = 1200
"""Characters of a message."""


class InputError(L8S2Error):
    """Something given by the user cannot be used."""


class TryAgainError(InputError):
    """A failure that may pass by itself: a network, a busy server, a lock that another process holds."""

    may_pass = True


class ExistsError(InputError):
    """What is to be made exists already."""


class OutsideError(InputError):
    """Nothing of a scene lies in the area asked for."""

    def __init__(self, name: str, bbox: Sequence[float]) -> None:
        """Take the ``name`` of the scene or file, and the area: west, south, east, north, WGS 84 degrees."""
        super().__init__(f"{name}: has no pixel in {' '.join(f'{v:g}' for v in bbox)}; give a bbox inside the scene")
        self.bbox = bbox


class FetchError(L8S2Error):
    """A scene could not be fetched completely. The files that were fetched stay."""

    def __init__(self, scene: str, failures: Sequence[str], *, may_pass: bool = False) -> None:
        """Take the id of the ``scene``, a line for each file that failed, and whether every failure may pass."""
        more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
        super().__init__(f"{scene}: {failures[0]}{more}")
        self.failures, self.may_pass = tuple(failures), may_pass


_PASSING = (
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.ESTALE, errno.ENOMEM, errno.EMFILE, errno.ENFILE,
    errno.ETIMEDOUT,
)  # fmt: skip
"""What the system says where a disk is full, a file server stumbles or memory is short."""


def may_pass(error: BaseException) -> bool:
    """Tell whether the same may succeed later with nothing corrected, by an error and those that it was raised from."""
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, "may_pass", False) or isinstance(cause, MemoryError):
            return True
        if isinstance(cause, OSError) and cause.errno in _PASSING:
            return True
        cause = cause.__cause__
    return False
