"""A folder that appears under its name only when everything in it is written."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from l8s2.errors import InputError


def check_free(folder: Path, mark: str, *, overwrite: bool) -> None:
    """Raise InputError where ``folder`` cannot be written, before any work is done.

    Args:
        folder: that is to appear.
        mark: a file that a folder must hold to be replaced, so that nothing else is ever removed.
        overwrite: whether an existing one may be replaced.
    """
    if folder.exists() or folder.is_symlink():
        if not folder.is_dir() or folder.is_symlink():
            raise InputError(f"{folder}: is not a folder; move it away, or give another output folder")
        if not overwrite:
            raise InputError(f"{folder}: exists already; give --overwrite to replace it, or another output folder")
        if any(folder.iterdir()) and not (folder / mark).is_file():
            raise InputError(f"{folder}: holds no {mark}, so it is not replaced; give another output folder")
    there = next(path for path in folder.absolute().parents if path.exists())
    if not there.is_dir():
        raise InputError(f"{there}: is a file, so nothing can be written into it; give another output folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{there}: not writable; change its permissions or give another output folder")


def write_whole(folder: Path, files: Mapping[str, str], mark: str, *, overwrite: bool) -> None:
    """Write ``files`` (name -> text) into a hidden folder beside ``folder``, then give it its name.

    Raises InputError where the disk does not take it; a folder that was to be replaced is then still there.
    """
    check_free(folder, mark, overwrite=overwrite)
    folder = folder.absolute()
    made = [path for path in folder.parents if not path.exists()]
    token = secrets.token_hex(4)
    new, old = (folder.with_name(f".{folder.name}.{kind}{token}") for kind in ("", "old-"))
    done = False
    try:
        new.mkdir(parents=True)
        for name, text in files.items():
            with (new / name).open("w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        done = True
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); give another output folder") from None
    finally:
        if not done:
            shutil.rmtree(new, ignore_errors=True)
            if old.exists() and not folder.exists():
                old.rename(folder)
            for path in made:
                if path.exists() and not any(path.iterdir()):
                    path.rmdir()
    shutil.rmtree(old, ignore_errors=True)
