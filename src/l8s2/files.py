"""Files and folders that appear under their names only when they are whole; the cache folder."""

from __future__ import annotations

import contextlib
import glob
import os
import platform
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from l8s2.errors import ExistsError, InputError, TryAgainError
from l8s2.system.locks import lock
from l8s2.system.machine import has_ended, machine_id


def cache_dir() -> Path:
    """Return the folder for what l8s2 may fetch or compute again: $XDG_CACHE_HOME/l8s2, by default ~/.cache/l8s2.

    For a user without a home, as in containers, the default is a folder that cannot be made.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("/", os.path.expanduser("~"), ".cache")) / "l8s2"


Paths = str | Path | Sequence[str | Path]
"""A path, or several."""


def as_paths(given: Paths) -> list[Path]:
    """Return what may be one path as a list."""
    return [Path(given)] if isinstance(given, (str, Path)) else [Path(each) for each in given]


Adopt = Callable[[Path], bool]
OWNER = "owner"
"""File in a hidden folder that says which process works in it."""
_WHOLE = "whole"
_RANDOM = "[0-9a-f]" * 8
"""What the name of a hidden folder ends in, as a pattern; that of ``run`` is not one of ``run.b``."""
_HIDDEN = re.compile(rf"\.(.+)\.(?:old-)?{_RANDOM}")


class WholeFolder:
    """A context manager: write into ``workspace``, then ``publish``; leaving it before removes everything.

    ``workspace`` lies in a hidden folder beside the final one, ``scratch``, which is locked while it is there. So a
    second writer of the same folder is refused at once, and the next one removes what a killed writer left behind, or
    goes on in it, and brings a folder back whose replacement was killed between two renames.
    """

    def __init__(
        self, folder: Path, *, overwrite: bool = False, mark: str | None = None, adopt: Adopt = lambda _: False
    ) -> None:
        """Check that the folder can be written, without writing anything.

        Args:
            folder: the final folder.
            overwrite: replace an existing folder, once the new one is whole.
            mark: a file that a folder must hold to be replaced, so that no other folder is ever removed.
            adopt: given the ``scratch`` that a killed writer left behind; tells whether this writer goes on in it.

        Raises:
            ExistsError: The folder exists already.
            InputError: It cannot be written.
        """
        self.folder = folder.absolute()
        self.scratch = self.folder.with_name(f".{self.folder.name}.{secrets.token_hex(4)}")
        self._overwrite, self._mark, self._adopt = overwrite, mark, adopt
        self._lock = contextlib.ExitStack()
        self._check()

    @property
    def workspace(self) -> Path:
        """The folder that gets the final name."""
        return self.scratch / _WHOLE

    def _check(self) -> None:
        folder = self.folder
        if folder.exists() or folder.is_symlink():
            if not folder.is_dir() or folder.is_symlink():
                raise InputError(f"{folder}: is not a folder; move it away, or give another output folder")
            if not self._overwrite:
                raise ExistsError(f"{folder}: exists already; give `overwrite` to replace it, or another output folder")
            if self._mark and any(folder.iterdir()) and not (folder / self._mark).is_file():
                raise InputError(f"{folder}: holds no {self._mark}, so it is not replaced; give another output folder")
        existing = next(path for path in folder.parents if path.exists())
        if not existing.is_dir():
            raise InputError(f"{existing}: is a file, so nothing can be written into it; give another output folder")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise InputError(f"{existing}: not writable; change its permissions or give another output folder")

    def __enter__(self) -> WholeFolder:
        """Begin. Raises TryAgainError where another process works on the same folder."""
        self._made = [path for path in self.folder.parents if not path.exists()]
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with lock(self.folder.parent, wait=True):  # of those that begin at once, one after the other
                self._begin()
            (self.scratch / OWNER).write_text(f"process {os.getpid()} of {platform.node()}", encoding="utf-8")
            shutil.rmtree(self.workspace, ignore_errors=True)
            self.workspace.mkdir()
        except BaseException:
            self._clean()
            raise
        return self

    def _begin(self) -> None:
        """Lock a hidden folder: a new one, or one that a killed writer left; remove what others left."""
        own = self.scratch
        own.mkdir()
        if not self._lock.enter_context(lock(own, without_locks=False)):
            return  # no locks here: nobody can tell what killed writers left
        beside, name = self.folder.parent, glob.escape(self.folder.name)
        for path in beside.glob(f".{name}.old-{_RANDOM}"):
            if self.folder.exists():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.rename(self.folder)
        self._check()
        for path in sorted(beside.glob(f".{name}.{_RANDOM}")):
            if path != own:
                self._take_over(path)
        if self.scratch != own:
            own.rmdir()

    def _take_over(self, path: Path) -> None:
        """Go on in what a killed writer left, or remove it. Raises TryAgainError where the writer is at work."""
        with contextlib.ExitStack() as held, contextlib.suppress(FileNotFoundError):
            if not held.enter_context(lock(path)):
                owner = owner_of(path) or "another process"
                raise TryAgainError(
                    f"{self.folder}: {owner} is making it; wait until it has ended, or give another output folder"
                )
            if self._adopt(path):
                self.scratch, self._adopt = path, lambda _: False
                self._lock.close()
                self._lock = held.pop_all()
            else:
                shutil.rmtree(path, ignore_errors=True)

    def publish(self) -> Path:
        """Give the folder its name and return it; what is in it must have reached the disk (``fsync``).

        Raises ExistsError where another process has made the folder meanwhile.
        """
        fsync(self.workspace)
        old = self.folder.with_name(f".{self.folder.name}.old-{secrets.token_hex(4)}")
        replaced = self._overwrite and self.folder.exists()
        if replaced:
            self.folder.rename(old)
        try:
            self.workspace.rename(self.folder)
        except BaseException as error:
            if replaced:
                old.rename(self.folder)
            elif isinstance(error, OSError) and self.folder.exists():
                made = "another process has made it meanwhile"
                raise ExistsError(f"{self.folder}: {made}; look at that, or give another output folder") from None
            raise
        fsync(self.folder.parent)
        if replaced:
            shutil.rmtree(old, ignore_errors=True)
        return self.folder

    def __exit__(self, *_: object) -> None:
        self._clean()

    def _clean(self) -> None:
        """Remove what is not whole, and the folders made for it where they are empty."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._lock.close()
        with contextlib.suppress(OSError):
            for path in self._made:
                path.rmdir()


@dataclass(frozen=True, kw_only=True)
class Left:
    """A hidden folder of a ``WholeFolder``, or one that was being replaced."""

    path: Path
    of: Path
    """The folder that was to be made."""
    size: int
    """Bytes."""
    owner: str | None
    """Which process worked in it."""
    in_use: bool
    """Whether that process is at work, or nobody can tell."""


def left_in(folder: Path) -> Iterator[Left]:
    """Find what unfinished writers have in a folder. Raises OSError where it cannot be read."""
    for path in sorted(folder.iterdir()):
        match = _HIDDEN.fullmatch(path.name)
        if match and path.is_dir():
            with contextlib.suppress(FileNotFoundError), lock(path, without_locks=False) as free:
                size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                yield Left(path=path, of=folder / match[1], size=size, owner=owner_of(path), in_use=not free)


def owner_of(scratch: Path) -> str | None:
    """Tell which process works, or worked, in the hidden folder of a ``WholeFolder``; None where it does not say."""
    try:
        return (scratch / OWNER).read_text(encoding="utf-8") or None
    except (OSError, UnicodeDecodeError):
        return None


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
        ours = f".{path.name}.{machine_id().replace('/', '-')}-"  # containers of one host may share its name
        for left in path.parent.glob(f"{glob.escape(ours)}*"):
            pid = left.name.removeprefix(ours)
            if pid.isdecimal() and has_ended(int(pid)):
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


def fsync(path: Path) -> None:
    """Have the disk take a file, or the names in a folder."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # Windows flushes only what may be written
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
