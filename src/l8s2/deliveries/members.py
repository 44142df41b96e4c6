"""What lies in a folder or an archive: the names of the files, and the paths by which they are read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from l8s2.deliveries.product_files import Unpacked
from l8s2.errors import InputError

LARGEST_MEMBER = 4 << 30
"""Bytes; pan of a whole scene has half a gigabyte."""
Wanted = Callable[[str], bool]
"""Whether a file of this name is to be taken out of a compressed archive."""


class Member(NamedTuple):
    """One file."""

    name: str
    folder: str
    """Folder that it lies in: a path, or within an archive."""
    path: str
    """Path that GDAL opens; empty for what was left in a compressed archive."""


class Members(NamedTuple):
    """The files of one place."""

    files: list[Member]
    source: str
    """The folder or archive."""
    unpacked: Unpacked | None = None


def checked_name(archive: str, name: str) -> PurePosixPath:
    """Return the path of a member. Raises InputError for one that leads out of the archive."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise InputError(
            f"{archive}: member {name!r} points outside the archive, which none of a product does; do not use it"
        )
    return path


def odd_member(archive: str, name: str) -> InputError:
    """Return the refusal of a member that no product has."""
    return InputError(
        f"{archive}: member {name!r} is a link or larger than 4 GiB, which none of a product is; do not use it"
    )


class Unpacker:
    """Takes members out of one archive, into a folder that is made when it is needed."""

    def __init__(self) -> None:
        self.folder: Unpacked | None = None

    def take(self, content: IO[bytes], member: PurePosixPath) -> str:
        """Write a member and return its path. Raises InputError where there is no room."""
        if self.folder is None:
            # Windows removes no file that is still open: what cannot be removed stays
            self.folder = tempfile.TemporaryDirectory(prefix="l8s2-", ignore_cleanup_errors=True)
        target = Path(self.folder.name, member)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            while chunk := content.read(1 << 22):
                try:
                    out.write(chunk)
                    out.flush()
                except OSError as error:
                    raise InputError(
                        f"{member}: cannot be unpacked into {Path(self.folder.name).parent} ({error.strerror});"
                        " free some space there or unpack the archive yourself"
                    ) from error
        return str(target)
