"""Folders and files that appear under their names only when everything in them is written."""

from __future__ import annotations

import contextlib
import glob
import os
import platform
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from l8s2.errors import InputError

try:
    import fcntl
except ImportError:  # not on Windows: there what a killed writer left is never removed by itself
    fcntl = None  # type: ignore[assignment]


class WholeFolder:
    """A context manager: write into ``workspace``, then ``publish``; leaving it before removes everything.

    ``workspace`` is a hidden folder beside the one that is to appear, locked while it grows. What a killed writer left is
    removed by the next one, and a folder whose replacement was killed between two names comes back.
    """

    def __init__(self, folder: Path, *, overwrite: bool = False, mark: str | None = None) -> None:
        """Check that the folder can be written, without writing anything.

        Args:
            folder: that is to appear.
            overwrite: replace an existing one, once the new one is whole.
            mark: a file that a folder must hold to be replaced, so that nothing foreign is ever removed.

        Raises InputError where the folder exists, or where it cannot be written.
        """
        self.folder = folder.absolute()
        self.workspace = self.folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        self._overwrite, self._mark = overwrite, mark
        self._lock = -1
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
        there = next(path for path in folder.parents if path.exists())
        if not there.is_dir():
            raise InputError(f"{there}: is a file, so nothing can be written into it; give another output folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise InputError(f"{there}: not writable; change its permissions or give another output folder")

    def __enter__(self) -> WholeFolder:
        self._made = [path for path in self.folder.parents if not path.exists()]
        try:
            self.workspace.mkdir(parents=True)
            if fcntl is not None:
                self._lock = os.open(self.workspace, os.O_RDONLY)
                _try_lock(self._lock)
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
        if fcntl is None:
            return
        for path in beside.glob(f".{name}.[0-9a-f]*"):
            with contextlib.suppress(OSError), _opened(path) as handle:
                if _try_lock(handle):  # nobody else has it
                    shutil.rmtree(path, ignore_errors=True)

    def publish(self) -> Path:
        """Give the folder its name; what is in it must have reached the disk (``fsync``). Returns the folder."""
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clean()

    def _clean(self) -> None:
        """Remove what is not whole, and the folders made for it where they are empty."""
        shutil.rmtree(self.workspace, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        with contextlib.suppress(OSError):
            for path in self._made:
                path.rmdir()


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A draft beside ``path`` to write, which takes its name at the end of the ``with`` block; removed where that fails.

    Drafts that writers on this machine left when they were killed are removed. An OSError names ``path``.
    """
    ours = f".{path.name}.{platform.node()}-"
    for left in path.parent.glob(f"{glob.escape(ours)}*"):
        if _is_dead(left.name.removeprefix(ours)):
            left.unlink(missing_ok=True)
    draft = path.with_name(f"{ours}{os.getpid()}")
    try:
        yield draft
        fsync(draft)
        draft.replace(path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        draft.unlink(missing_ok=True)


def _is_dead(pid: str) -> bool:
    """Whether no process of this machine has a number; False on Windows, where asking would end it."""
    if os.name == "nt" or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[bool]:
    """Whether nobody else has locked a folder, which is locked until the end of the ``with`` block then.

    Always so where the file system has no locks.
    """
    if fcntl is None:
        yield True
        return
    with _opened(folder) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = True
        except OSError as error:
            mine = not isinstance(error, BlockingIOError)
        yield mine


def fsync(path: Path) -> None:
    """Have the disk take a file, or the names in a folder."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    with _opened(path) as handle:
        os.fsync(handle)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A file or a folder, open for reading."""
    handle = os.open(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    """Lock an open folder for as long as it is open; False where another process has it, or locks do not work."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raises InputError where a file is in the way, or none can be made; the folders above it are."""
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists already; give `overwrite` to replace it, or another name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent}: cannot be made ({error.strerror}); give another name") from None
    if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot be written; give another name, or change permissions")


def write_whole(path: Path, text: str) -> None:
    """Write a file, which appears when it is whole. Raises InputError."""
    try:
        with whole_file(path) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); give another name") from None


@contextmanager
def lock_file(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock on a file, made if need be; False where another process has it and ``wait`` is False."""
    if fcntl is None:
        yield True
        return
    handle = -1
    try:
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            except OSError as error:
                raise InputError(
                    f"{path.parent}: cannot be locked ({error.strerror}); put the set on a local disk"
                ) from None
            try:
                if os.path.samestat(os.stat(path), os.fstat(handle)):
                    break
            except FileNotFoundError:
                pass
            os.close(handle)  # it was published or removed between open and lock
            handle = -1
        yield True
    finally:
        if handle >= 0:
            os.close(handle)
