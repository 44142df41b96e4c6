"""A long table as CSV or Parquet, written in parts, which appears when it is whole."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from l8s2.errors import InputError
from l8s2.files import check_free, whole_file

Row = dict[str, Any]
TEXT = ("id", "time", "sensor", "platform", "item_id", "band")
NUMBERS = ("mean", "n_eff", "sigma", "sigma_detail", "sigma_level", "clear_fraction")
_NEEDS = "needs pyarrow; install it with: pip install 'l8s2[cube]', or write a .csv"


class Table(Protocol):
    """Takes rows."""

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows of the columns TEXT and NUMBERS; NaN is unknown."""


@contextmanager
def open_table(path: Path, *, overwrite: bool) -> Iterator[Table]:
    """Open a new table, by the ending of its name. Raises InputError where it cannot be written."""
    kinds = {".csv": _csv, ".parquet": _parquet}
    if path.suffix.lower() not in kinds:
        raise InputError(f"{path}: is neither .csv nor .parquet; give a name that ends so")
    check_free(path, overwrite=overwrite)
    with whole_file(path) as draft, kinds[path.suffix.lower()](draft) as table:
        yield table


class _Csv:
    def __init__(self, file: Any) -> None:
        self._writer = csv.writer(file)
        self._writer.writerow((*TEXT, *NUMBERS))

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            numbers = ("" if math.isnan(row[name]) else f"{row[name]:.6g}" for name in NUMBERS)
            self._writer.writerow([*(row[name] for name in TEXT), *numbers])


@contextmanager
def _csv(path: Path) -> Iterator[Table]:
    with path.open("w", encoding="utf-8", newline="") as file:
        yield _Csv(file)


class _Parquet:
    def __init__(self, writer: Any, schema: Any) -> None:
        self._writer, self._schema = writer, schema

    def write(self, rows: Sequence[Row]) -> None:
        import pyarrow

        plain = [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows]
        self._writer.write_table(pyarrow.Table.from_pylist(plain, self._schema))


@contextmanager
def _parquet(path: Path) -> Iterator[Table]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f".parquet: {_NEEDS}") from None
    columns = [(name, pyarrow.string()) for name in TEXT] + [(name, pyarrow.float64()) for name in NUMBERS]
    schema = pyarrow.schema(columns)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        yield _Parquet(writer, schema)
