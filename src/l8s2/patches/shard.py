"""One HDF5 file of patches: arrays by patch, and a table ``facts`` with one row for each.

``ms`` (n, 6, h, w), ``pan`` (n, 2h, 2w) unless there is none, ``s2_10m`` (n, 3 or 4, 3h, 3w), ``s2_20m`` (n, 3, 3h/2,
3w/2) hold digital numbers as delivered; ``landsat_usable`` (n, h, w) and ``s2_usable`` (n, 3h, 3w) are True where
ground is to be seen. Each patch is a chunk of its own with a checksum, pixels uncompressed. See ``patches.patch`` for
the fields of the table. The attribute ``pair`` holds the facts of the pair, as JSON.
"""

from __future__ import annotations

import io
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.errors import InputError
from l8s2.patches.patch import Facts, Patch, outline
from l8s2.sensors import N_BANDS

SCHEMA = 1
Table = NDArray[np.void]
"""Structured, one row for each patch; strings are ``str`` objects."""
_PLACE: tuple[tuple[str, Any], ...] = (
    ("patch_id", "str"),
    ("ms_crs", "str"),
    ("ms_transform", (np.float64, 6)),
    ("s2_crs", "str"),
    ("s2_transform", (np.float64, 6)),
    ("geometry", "str"),
    ("bounds", (np.float64, 4)),
)
"""Columns before those of ``Facts``: both lattices (affine a to f), the outline as WKT and its west, south, east,
north, WGS 84."""
_KINDS: dict[str, Any] = {"str": "str", "float": np.float64, "Bands": (np.float64, N_BANDS)}
_COLUMNS = (*_PLACE, *((field.name, _KINDS[str(field.type)]) for field in fields(Facts)))
COLUMNS = tuple(name for name, _ in _COLUMNS)
"""Names of the columns."""
_OPEN = 32
"""Files that a reader keeps open."""


def hdf5() -> Any:
    """Import h5py. Raises InputError where it is not installed."""
    try:
        import h5py
    except ImportError:
        raise InputError("training sets need h5py; install it with: pip install 'l8s2[train]'") from None
    return h5py


def table_type(text: Any = object) -> np.dtype[np.void]:
    """Return the type of a row; ``text`` stands for strings."""
    return np.dtype([(name, text, ()) if kind == "str" else (name, *np.atleast_1d(kind)) for name, kind in _COLUMNS])


def row_of(patch: Patch) -> tuple[Any, ...]:
    """Return the row of a patch."""
    here, there = grid.landsat_convention(patch.box), grid.output_geobox(patch.box)
    around = np.round(outline(patch.box), 6)
    (west, south), (east, north) = around.min(0), around.max(0)
    points = ", ".join(f"{x:.6f} {y:.6f}" for x, y in around)
    place = (
        patch.id, f"EPSG:{grid.epsg(here.crs)}", tuple(here.affine[:6]), f"EPSG:{grid.epsg(there.crs)}",
        tuple(there.affine[:6]), f"POLYGON (({points}))", (west, south, east, north),
    )  # fmt: skip
    return (*place, *(getattr(patch.facts, field.name) for field in fields(Facts)))


def write_shard(path: Path, pair_id: str, patches: Iterable[Patch], facts: Mapping[str, Any]) -> None:
    """Write a file, one patch in memory at a time; ``facts`` is read when all patches were drawn.

    ValueError where patches differ in shape or one comes twice; OSError where the file cannot be written whole.
    """
    h5py = hdf5()
    with DeferredErrorFile(path, "w+") as target, h5py.File(target, "w") as file:
        file.attrs["schema"], file.attrs["pair_id"] = SCHEMA, pair_id
        rows: dict[str, tuple[Any, ...]] = {}
        for count, patch in enumerate(patches):
            if patch.id in rows:
                raise ValueError(f"{patch.id} comes twice in {pair_id}; the patches of a pair must differ in position")
            arrays = patch.arrays()
            if not rows:
                for name, array in arrays.items():
                    compression = "lzf" if array.dtype == bool else None
                    file.create_dataset(
                        name, (0, *array.shape), array.dtype, maxshape=(None, *array.shape), chunks=(1, *array.shape),
                        compression=compression, fletcher32=True,
                    )  # fmt: skip
            for name in file.keys() | arrays.keys():
                if name not in arrays or name not in file or file[name].shape[1:] != arrays[name].shape:
                    raise ValueError(f"{patch.id}: {name} differs from that of the first patch of {pair_id} in shape")
                if file[name].dtype != arrays[name].dtype:
                    raise ValueError(f"{patch.id}: {name} is {arrays[name].dtype}, {file[name].dtype} before")
                file[name].resize(count + 1, axis=0)
                file[name][count] = arrays[name]
            target.check()
            rows[patch.id] = row_of(patch)
        file["facts"] = np.array([*rows.values()], table_type(h5py.string_dtype()))
        file.attrs["pair"] = json.dumps(facts, allow_nan=False)


class DeferredErrorFile(io.FileIO):
    """A file whose write errors are raised by ``check`` only: HDF5 crashes where closing a file fails."""

    _error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of it."""
        view = memoryview(data).cast("B")
        try:
            while view and self._error is None:
                view = view[super().write(view) or 0 :]
        except OSError as error:
            self._error = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Change the length."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = error
            return size or 0

    def check(self) -> None:
        """Raise the OSError of the first failed write, if any."""
        if self._error is not None:
            raise OSError(self._error.errno, self._error.strerror, self.name)

    def __exit__(self, *_: object) -> None:
        super().close()
        self.check()


def read_pair(path: Path) -> tuple[dict[str, Any], int]:
    """Read the facts of the pair and the number of its patches. Raises InputError."""
    with _opened(path) as file:
        try:
            return dict(json.loads(file.attrs.get("pair", "{}"))), len(file["facts"])
        except BROKEN as error:
            raise damaged(path, error) from None


def read_table(path: Path) -> Table:
    """Every row of a file, in its order. Columns that it does not have are NaN or ''. Raises InputError."""
    with _opened(path) as file:
        try:
            return _table(file["facts"][()])
        except BROKEN as error:
            raise damaged(path, error) from None


def _table(stored: NDArray[Any]) -> Table:
    """Return the rows of a file with every column."""
    table = np.empty(len(stored), table_type())
    for name, kind in _COLUMNS:
        if name not in (stored.dtype.names or ()):
            table[name] = "" if kind == "str" else np.nan
        elif kind == "str":
            table[name] = [value.decode() for value in stored[name]]
        else:
            table[name] = stored[name]
    return table


BROKEN = (OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, MemoryError)
"""What h5py, and who takes what it read for a patch, may raise where a file is damaged."""


def damaged(path: Path, error: BaseException) -> InputError:
    """Word what is wrong with a file."""
    return InputError(f"{path}: damaged; delete it and resume the build, which makes it again ({error})")


def _opened(path: Path) -> Any:
    """Open a shard. Raises InputError for any other file."""
    h5py = hdf5()
    try:
        file = h5py.File(path, "r", locking=False)
        schema = int(file.attrs.get("schema", 0))
        if not all(_is_within(file, name) for name in file):
            raise ValueError("it leads to another file")
    except BROKEN as error:
        raise damaged(path, error) from None
    if not 1 <= schema <= SCHEMA:
        file.close()
        raise InputError(
            f"{path}: schema {schema}, this l8s2 reads 1 to {SCHEMA}; update l8s2, or give a set of its own"
        )
    return file


def _is_within(file: Any, name: str) -> bool:
    """Whether an array lies in the file itself; links, external and virtual pixels would lead anywhere."""
    h5py = hdf5()
    array = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    return isinstance(array, h5py.Dataset) and not array.external and not array.is_virtual


def patch_of(arrays: dict[str, Any], row: np.void) -> Patch:
    """Put together what was written."""
    transform = Affine(*row["ms_transform"])
    box = GeoBox(arrays["ms"].shape[1:], transform, row["ms_crs"])
    values: dict[str, Any] = {}
    for field in fields(Facts):
        value = row[field.name]
        values[field.name] = tuple(value.tolist()) if isinstance(value, np.ndarray) else value
        if isinstance(value, np.floating):
            values[field.name] = float(value)
    return Patch(**{"pan": None, **arrays}, box=box, facts=Facts(**values))


class Reader:
    """Reads patches from many files, opened when first needed, in each process anew. Threads may share it."""

    def __init__(self) -> None:
        self.__setstate__({})

    def read(self, path: Path, number: int) -> dict[str, NDArray[Any]]:
        """Return the arrays of patch ``number`` of a file by name. Raises InputError where they cannot be read."""
        if self._process != os.getpid():  # a fork: neither lock nor files of its parent are its own
            self.__setstate__({})
        with self._lock:
            datasets = self._datasets(path)
            try:
                return {name: dataset[number] for name, dataset in datasets.items()}
            except BROKEN as error:
                raise damaged(path, error) from None

    def _datasets(self, path: Path) -> dict[str, Any]:
        if path not in self._files:
            if len(self._files) >= _OPEN:
                self._files.popitem(last=False)[1][0].close()
            file = _opened(path)
            self._files[path] = file, {name: dataset for name, dataset in file.items() if name != "facts"}
        self._files.move_to_end(path)
        return self._files[path][1]

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, _: dict[str, Any]) -> None:
        self._lock, self._process = threading.Lock(), os.getpid()
        self._files: OrderedDict[Path, tuple[Any, dict[str, Any]]] = OrderedDict()
