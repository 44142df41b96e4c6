"""Where a batch keeps its ledger, tables and products: keys with content, in a folder or in an S3 bucket."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Protocol

from l8s2.errors import InputError
from l8s2.files import make_folder, whole_file


class Store(Protocol):
    """Keys such as ``ledger/id=X/attempt=1.json``, each with its content. Threads may share one."""

    def create(self, key: str, content: bytes) -> bool:
        """Store what is not there yet; False where it is. Of any number of callers one gets True."""

    def put(self, key: str, content: bytes) -> None:
        """Store, or replace; readers see the old content or the new one."""

    def get(self, key: str) -> bytes | None:
        """Return the content; None where there is none."""

    def list(self, prefix: str) -> dict[str, str]:
        """Return the keys that begin with a prefix, which ends with a slash, each with a tag of its content."""

    def delete(self, key: str) -> None:
        """Remove what may be there."""


class FolderStore:
    """A folder that all machines see; keys are paths below it. Hidden files are no keys."""

    def __init__(self, folder: Path) -> None:
        """Make the folder where it is missing. Raises InputError."""
        make_folder(folder)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise InputError(f"{folder}: not writable; change its permissions or give another folder")
        self.folder = folder

    def create(self, key: str, content: bytes) -> bool:
        """Keep ``Store``'s contract: a hard link to a whole draft, or where there are none an exclusive file."""
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            draft.write_bytes(content)
            os.link(draft, path)
            return True
        except FileExistsError:
            return False
        except OSError:
            if path.exists():
                return False
            try:
                with path.open("xb") as file:
                    file.write(content)
                return True
            except FileExistsError:
                return False
        finally:
            draft.unlink(missing_ok=True)

    def put(self, key: str, content: bytes) -> None:
        """Keep ``Store``'s contract."""
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as draft:
            draft.write_bytes(content)

    def get(self, key: str) -> bytes | None:
        """Keep ``Store``'s contract."""
        try:
            return (self.folder / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def list(self, prefix: str) -> dict[str, str]:
        """Keep ``Store``'s contract."""
        found: dict[str, str] = {}
        folders = [prefix.rstrip("/")]
        while folders:
            inside = folders.pop()
            with contextlib.suppress(FileNotFoundError), os.scandir(self.folder / inside) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        folders.append(f"{inside}/{entry.name}")
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        about = os.stat(entry.path)
                        found[f"{inside}/{entry.name}"] = f"{about.st_mtime_ns}-{about.st_ino}-{about.st_size}"
        return found

    def delete(self, key: str) -> None:
        """Keep ``Store``'s contract."""
        (self.folder / key).unlink(missing_ok=True)
