"""Files within a .zip: what is stored as it is is read in place, of the compressed what is needed is taken out."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from l8s2.deliveries.members import LARGEST_MEMBER, Member, Members, Unpacker, Wanted, checked_name, odd_member
from l8s2.errors import InputError
from l8s2.raster import inside

_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Signature, and the lengths of name and extra field: what stands before the bytes of a member."""
_MOST_TIMES = 1032
"""What deflate makes of zeros; a larger ratio than that is a forged one."""


def read_zip(path: Path, wanted: Wanted) -> Members:
    """List an archive. Raises InputError for a damaged, encrypted or unsafe one, or where there is no room."""
    files: list[Member] = []
    unpacker = Unpacker()
    try:
        with zipfile.ZipFile(path) as archive:
            members = [(checked_name(path.name, info.filename), info) for info in archive.infolist()]
            members = [(name, info) for name, info in members if not info.is_dir()]
            for name, info in members:
                _check(path, name, info)
            packed = [(n, i) for n, i in members if i.compress_type != zipfile.ZIP_STORED and wanted(n.name)]
            _check_room(path, sum(info.file_size for _, info in packed))
            for name, info in members:
                place = ""
                if info.compress_type == zipfile.ZIP_STORED:
                    place = inside(os.path.abspath(path), _begin(path, info), info.file_size)
                elif wanted(name.name):
                    with archive.open(info) as content:
                        place = unpacker.take(content, name)
                files.append(Member(name.name, str(name.parent), place))
    except NotImplementedError as error:
        raise InputError(f"{path.name}: {error}, which Python cannot unpack; unpack it and give the folder") from None
    except (zipfile.BadZipFile, EOFError, zlib.error, struct.error, LookupError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{path}: {error.strerror}; check the file and its permissions") from error
        raise InputError(f"{path.name}: damaged archive ({error}); download it again") from None
    return Members(files, str(path), unpacker.folder)


def _check(path: Path, name: PurePosixPath, info: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or max(info.file_size, info.compress_size) > LARGEST_MEMBER:
        raise odd_member(path.name, info.filename)
    if info.file_size > _MOST_TIMES * max(info.compress_size, 64):
        raise InputError(
            f"{path.name}: member {info.filename!r} would grow more than {_MOST_TIMES} times; do not use it"
        )
    if info.flag_bits & 1:
        raise InputError(f"{path.name}: {name.name} is encrypted; unpack it with its password and give the folder")


def _check_room(path: Path, needed: int) -> None:
    folder = tempfile.gettempdir()
    if needed > (free := shutil.disk_usage(folder).free):
        raise InputError(
            f"{path.name}: {needed / 1e9:.1f} GB to unpack, {free / 1e9:.1f} GB free in {folder}; free some space there"
            " or unpack the archive yourself"
        )


def _begin(path: Path, info: zipfile.ZipInfo) -> int:
    """Return where the bytes of a stored member begin."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        signature, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        begin: int = info.header_offset + _LOCAL_HEADER.size + name + extra
        if signature != b"PK\3\4" or begin + info.file_size > file.seek(0, os.SEEK_END):
            raise zipfile.BadZipFile(f"{info.filename} is not where it should be")
    return begin
