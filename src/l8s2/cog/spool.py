"""Compressed tiles in a temporary file, in the order in which they were made."""

from __future__ import annotations

import contextlib
import errno
import struct
import threading
import zlib
from pathlib import Path

_RECORD = struct.Struct("<4sHIIII")
"""Before each tile: mark, level, row, column, size and checksum."""
_MARK = b"tile"

Key = tuple[int, int, int]
"""Level, row and column of a tile."""


class Spool:
    """Tiles by key; several threads may append. What is appended outlives the process."""

    def __init__(self, path: Path) -> None:
        """Open a file, and find the tiles that it holds; what a killed process has not written whole is cut off."""
        self.path = path
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._lock = threading.Lock()
        self._places: dict[Key, tuple[int, int, int]] = {}
        self._end = 0
        while self._found():
            pass
        self._file.truncate(self._end)

    def _found(self) -> bool:
        """Note the next tile of the file, if it is there and whole."""
        self._file.seek(self._end)
        head = self._file.read(_RECORD.size)
        if len(head) < _RECORD.size:
            return False
        mark, level, row, column, size, checksum = _RECORD.unpack(head)
        data = self._file.read(size) if mark == _MARK else b""
        if len(data) < size or mark != _MARK or zlib.crc32(data) != checksum:
            return False
        self._places[level, row, column] = self._end + len(head), size, checksum
        self._end += len(head) + size
        return True

    def sorted(self) -> list[Key]:
        """Return the keys of all tiles, the full image first."""
        return sorted(self._places)

    def append(self, key: Key, data: bytes) -> None:
        """Keep a tile. Raises OSError where the disk does not take it."""
        checksum = zlib.crc32(data)
        head = _RECORD.pack(_MARK, *key, len(data), checksum)
        with self._lock:
            self._file.seek(self._end)
            self._file.write(head + data)
            self._file.flush()
            self._places[key] = self._end + len(head), len(data), checksum
            self._end += len(head) + len(data)

    def size(self, key: Key) -> int:
        """Return the bytes of a tile."""
        return self._places[key][1]

    def read(self, key: Key) -> bytes:
        """Return a tile. Raises OSError where the file no longer holds what was appended."""
        start, size, checksum = self._places[key]
        with self._lock:
            self._file.seek(start)
            data = self._file.read(size)
        if zlib.crc32(data) != checksum:
            raise OSError(errno.EIO, "the file does not hold what was written")
        return data

    def flush(self) -> None:
        """Have the file system take everything. Raises OSError."""
        self._file.flush()

    def close(self) -> None:
        """Close the file, without a word on what it has not taken."""
        with contextlib.suppress(OSError):
            self._file.close()
