"""Whether a JPEG 2000 file is all there, before hours of work begin with it."""

from __future__ import annotations

from l8s2.errors import InputError
from l8s2.raster import file_size, first_bytes

_HEAD = 1 << 20
"""Bytes in which the boxes before the code stream lie."""


def check_code_stream(path: str, name: str) -> None:
    """Raise InputError where the code stream of a file ends before the length that its box states (ISO 15444-1, I.4).

    A box that states no length, or lies behind a megabyte of others, is left to the reader.
    """
    try:
        head, size = first_bytes(path, _HEAD), file_size(path)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}; check the file and its permissions") from None
    at = 0
    while at + 16 <= len(head):
        length, kind = int.from_bytes(head[at : at + 4]), head[at + 4 : at + 8]
        if length == 1:
            length = int.from_bytes(head[at + 8 : at + 16])
        if kind == b"jp2c":
            if at + length > size:
                raise InputError(f"{name}: ends {at + length - size:,} bytes early; download it again")
            return
        if length < 8:
            return
        at += length
