"""Files within a .tar or .tar.gz: a plain one is read in place, of a compressed one what is needed is taken out."""

from __future__ import annotations

import os
import tarfile
import zlib
from pathlib import Path

from l8s2.deliveries.members import LARGEST_MEMBER, Member, Members, Unpacker, Wanted, checked_name, odd_member
from l8s2.errors import InputError
from l8s2.raster import inside

_GROWTH, _HARMLESS = 100, 256 << 20
"""What a compressed archive may unpack to: so many times its bytes, or so many bytes."""


def read_tar(path: Path, wanted: Wanted) -> Members:
    """List an archive to its end. Raises InputError for a damaged one, and for one that is not safe."""
    files: list[Member] = []
    unpacker = Unpacker()
    try:
        archive, compressed = _open(path)
        with archive:
            for member in archive:
                name = checked_name(path.name, member.name)
                if compressed and member.offset_data + member.size > max(_HARMLESS, _GROWTH * path.stat().st_size):
                    raise InputError(
                        f"{path.name}: unpacks to more than {_GROWTH} times its size; it is not a USGS product, do not"
                        " use it"
                    )
                if member.isdir() or not name.name:
                    continue
                if not member.isfile() or member.issparse() or member.size > LARGEST_MEMBER:
                    raise odd_member(path.name, member.name)
                place = ""
                if not compressed:
                    place = inside(os.path.abspath(path), member.offset_data, member.size)
                elif wanted(name.name):  # random access into gzip would decompress from the start each time
                    content = archive.extractfile(member)
                    assert content is not None
                    place = unpacker.take(content, name)
                files.append(Member(name.name, str(name.parent), place))
            _check_end(archive)
    except (tarfile.TarError, EOFError, zlib.error, OverflowError, MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{path}: {error.strerror}; check the file and its permissions") from error
        raise InputError(f"{path.name}: damaged archive ({error}); download it again") from None
    return Members(files, str(path), unpacker.folder)


def _open(path: Path) -> tuple[tarfile.TarFile, bool]:
    """Open an archive; also tell whether it is compressed, by its content, as downloads are often misnamed."""
    for mode in ("r:", "r:gz"):
        try:
            return tarfile.open(path, mode), mode == "r:gz"
        except tarfile.ReadError:
            continue
    raise tarfile.ReadError("neither .tar, .tar.gz nor .zip; an error page saved under that name?")


def _check_end(archive: tarfile.TarFile) -> None:
    """Refuse an archive that does not end where an archive ends; tarfile takes that for the end."""
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if any(archive.fileobj.read(tarfile.BLOCKSIZE)):
        raise tarfile.ReadError("it breaks off or is garbled in the middle")
    for _ in range(_HARMLESS >> 20):  # the checksum of a compressed one is at its very end
        if not archive.fileobj.read(1 << 20):
            return
    raise tarfile.ReadError("far more behind its end than belongs there")
