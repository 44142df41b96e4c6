"""Files and folders that appear under their names only when they are whole; locks; full disks; the cache folder."""

from __future__ import annotations

import contextlib
import glob
import os
import platform
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from l8s2.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: what a killed writer left behind is not removed there
    fcntl = None  # type: ignore[assignment]

_ROOM = 4 << 20
"""Bytes, more than GDAL writes in one go: a 512 x 512 tile of six int16 bands is 3 MiB."""


def cache_dir() -> Path:
    """Return the folder for what l8s2 may fetch or compute again: $XDG_CACHE_HOME/l8s2, by default ~/.cache/l8s2."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "l8s2"


Salvage = Callable[[Path], object]


class WholeFolder:
    """A context manager: write into ``workspace``, then ``publish``; leaving it before removes everything.

    ``workspace`` is a hidden folder beside the final one, locked while it grows. The next writer removes what a killed
    writer left behind, and brings a folder back whose replacement was killed between two renames.
    """

    def __init__(
        self, folder: Path, *, overwrite: bool = False, mark: str | None = None, salvage: Salvage = lambda _: None
    ) -> None:
        """Check that the folder can be written, without writing anything.

        Args:
            folder: the final folder.
            overwrite: replace an existing folder, once the new one is whole.
            mark: a file that a folder must hold to be replaced, so that no other folder is ever removed.
            salvage: given each folder that a killed writer left behind, before it is removed.

        Raises:
            InputError: The folder exists already, or it cannot be written.
        """
        self.folder = folder.absolute()
        self.workspace = self.folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        self._overwrite, self._mark, self._salvage = overwrite, mark, salvage
        self._lock = contextlib.ExitStack()
        self._check()

    def _check(self) -> None:
        folder = self.folder
        if folder.exists() or folder.is_symlink():
            if not folder.is_dir() or folder.is_symlink():
                raise InputError(f"{folder}: is not a folder; move it away, or give another output folder")
            if not self._overwrite:
                raise InputError(f"{folder}: exists already; give `overwrite` to replace it, or another output folder")
            if self._mark and any(folder.iterdir()) and not (folder / self._mark).is_file():
                raise InputError(f"{folder}: holds no {self._mark}, so it is not replaced; give another output folder")
        existing = next(path for path in folder.parents if path.exists())
        if not existing.is_dir():
            raise InputError(f"{existing}: is a file, so nothing can be written into it; give another output folder")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise InputError(f"{existing}: not writable; change its permissions or give another output folder")

    def __enter__(self) -> WholeFolder:
        self._made = [path for path in self.folder.parents if not path.exists()]
        try:
            self.workspace.mkdir(parents=True)
            self._lock.enter_context(lock(self.workspace, without_locks=False))
            self._tidy()
        except BaseException:
            self._clean()
            raise
        return self

    def _tidy(self) -> None:
        """Bring back a folder whose replacement was killed half-way, and remove what other killed writers left."""
        beside, name = self.folder.parent, glob.escape(self.folder.name)
        for path in beside.glob(f".{name}.old-*"):
            if self.folder.exists():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.rename(self.folder)
                self._check()
        for path in beside.glob(f".{name}.[0-9a-f]*"):
            with contextlib.suppress(OSError), lock(path, without_locks=False) as abandoned:
                if abandoned:
                    self._salvage(path)
                    shutil.rmtree(path, ignore_errors=True)

    def publish(self) -> Path:
        """Give the folder its name and return it; what is in it must have reached the disk (``fsync``)."""
        fsync(self.workspace)
        old = self.folder.with_name(f".{self.folder.name}.old-{secrets.token_hex(4)}")
        replaced = self._overwrite and self.folder.exists()
        if replaced:
            self.folder.rename(old)
        try:
            self.workspace.rename(self.folder)
        except BaseException:
            if replaced:
                old.rename(self.folder)
            raise
        fsync(self.folder.parent)
        if replaced:
            shutil.rmtree(old, ignore_errors=True)
        return self.folder

    def __exit__(self, *_: object) -> None:
        self._clean()

    def _clean(self) -> None:
        """Remove what is not whole, and the folders made for it where they are empty."""
        shutil.rmtree(self.workspace, ignore_errors=True)
        self._lock.close()
        with contextlib.suppress(OSError):
            for path in self._made:
                path.rmdir()


@contextlib.contextmanager
def whole_file(path: Path, draft: Path | None = None) -> Iterator[Path]:
    """Yield a draft to write, which takes the name ``path`` at the end of the ``with`` block.

    Where the block or the disk fails, the draft is removed and ``path`` is as before. An OSError names ``path``.

    Args:
        path: the final file.
        draft: a file in the same folder on which the caller holds the lock. By default a hidden file of this process;
            those that killed processes of this machine left behind are removed.
    """
    if draft is None:
        ours = f".{path.name}.{platform.node()}-"
        for left in path.parent.glob(f"{glob.escape(ours)}*"):
            if _is_dead(left.name.removeprefix(ours)):
                left.unlink(missing_ok=True)
        draft = path.with_name(f"{ours}{os.getpid()}")
    try:
        yield draft
        publish_file(draft, path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        draft.unlink(missing_ok=True)


def publish_file(draft: Path, path: Path) -> None:
    """Have the disk take a draft, give it the name ``path``, and have the disk take that too."""
    fsync(draft)
    draft.replace(path)
    fsync(path.parent)


def _is_dead(pid: str) -> bool:
    """Tell whether no process of this machine has a number; False on Windows, where asking would end it."""
    if os.name == "nt" or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


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


def fsync(path: Path) -> None:
    """Have the disk take a file, or the names in a folder."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # Windows flushes only what may be written
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_or_raise(path: Path, *, sync: bool = False) -> None:
    """Raise OSError where the disk, or a quota, may have cut short the last writes to a closed file.

    GDAL only prints what goes wrong when it flushes its cache on closing. A full disk is still full afterwards, so the
    file is made longer by more than one write, and cut back.

    Args:
        path: the file; its content stays as it is.
        sync: wait until the disk has taken the file; a network file system may tell only then that it is full.
    """
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        try:
            file.write(bytes(_ROOM))
            file.flush()
            if sync:
                os.fsync(file.fileno())
        finally:
            file.truncate(size)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Check that a file can be written, and make the folders above it.

    Raises:
        InputError: The file exists and is not to be replaced, or it cannot be written.
    """
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists already; give `overwrite` to replace it, or another name")
    make_folder(path.parent, "give another name")
    if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot be written; give another name, or change permissions")


def make_folder(folder: Path, remedy: str = "give another folder") -> None:
    """Make a folder and those above it where they are missing; raises InputError, which ends with ``remedy``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); {remedy}") from error


def write_whole(path: Path, text: str) -> None:
    """Write a text file, which appears when it is whole. Raises InputError."""
    try:
        with whole_file(path) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); give another name") from error
