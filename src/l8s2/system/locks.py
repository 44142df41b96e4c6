"""Locks on files and folders, which the system lets go of when a process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from l8s2.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: what a killed writer left behind is not removed there
    fcntl = None  # type: ignore[assignment]


class _NoLocks(OSError):
    """The file system has no locks."""


@contextlib.contextmanager
def lock(path: Path, *, make: bool = False, wait: bool = False, without_locks: bool | None = True) -> Iterator[bool]:
    """Hold the lock on a file or folder until the end of the ``with`` block, which gets whether the lock is held.

    The system lets go of the lock when the process ends, however it ends. On Windows nothing is locked (``msvcrt``
    locks no folders, and a file it locks cannot be written or renamed): there the block gets ``without_locks``.

    Args:
        path: the file or folder.
        make: make the file where it is missing.
        wait: wait while another process holds the lock; otherwise the block gets False then.
        without_locks: what the block gets where the file system has no locks. None: True on Windows, else an error.

    Raises:
        FileNotFoundError: The path is missing, and ``make`` is False.
        InputError: The file system has no locks, and ``without_locks`` is None.
    """
    if fcntl is None:
        yield without_locks is not False
        return
    try:
        handle = _locked(path, make, wait)
    except _NoLocks as error:
        if without_locks is None:
            raise InputError(f"{path.parent}: cannot be locked ({error.strerror}); use a local disk") from None
        yield without_locks
        return
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def _locked(path: Path, make: bool, wait: bool) -> int | None:
    """Open and lock a file or folder; None where another process holds the lock. Raises _NoLocks."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT if make else os.O_RDONLY, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if os.path.samestat(os.stat(path), os.fstat(handle)):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(handle)
            raise _NoLocks(error.errno, error.strerror) from None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # it was published or removed between open and lock
