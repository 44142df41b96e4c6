"""A set of patches in a folder, built by any number of processes, killed and resumed at will.

    shards/<pair>.h5    the patches of one pair of scenes; appears whole or not at all
    pairs.csv           one line for each pair, those without patches too, made from the shards
    split.csv           the side of each patch; only ever grows (see ``patches.split``)
    index.csv           one line for each patch, made from the two above

A process claims a pair by the lock on the hidden file it writes. The system releases the lock when the process ends,
however it ends, and the next process begins the pair again. The folder must lie on a file system with locks.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from l8s2.errors import InputError
from l8s2.files import whole_file
from l8s2.patches.patch import Patch
from l8s2.patches.shard import (
    BROKEN,
    COLUMNS,
    Reader,
    Table,
    damaged,
    patch_of,
    read_pair,
    read_table,
    table_type,
    write_shard,
)
from l8s2.patches.split import PatchExtent, Side, assign
from l8s2.patches.split_strips import assign_strips, in_strips
from l8s2.system.locks import lock

DEEP_HARMONIZATION_COLUMNS = (
    "patch_id",
    "pair_path",
    "location",
    "date",
    "geometry",
    "pair_type",
    "ssim",
    "psnr",
    "Field_counts",
)
"""First columns of the index: those of the patches of the Deep-Harmonization paper."""
_PAIR_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_SPLIT = ("patch_id", "pair_type", "reason")


class PatchSet:
    """The patches in a folder, in the order of their ids, as recorded when they were first read."""

    def __init__(self, folder: Path) -> None:
        """``folder`` need not exist yet for ``add``."""
        self.folder, self.shards = folder, folder / "shards"
        self._reader = Reader()
        self._table: Table | None = None

    def add(self, pair_id: str, patches: Iterable[Patch], facts: Mapping[str, Any] | None = None) -> bool:
        """Record a pair, unless it is recorded already or another process holds the lock on it.

        Args:
            pair_id: id of the pair: letters, digits and ``. _ + -``, always the same for the same pair.
            patches: patches of one shape, or none; drawn one by one, and only where the pair is to be recorded.
            facts: facts of the pair, plain values for JSON; read when all patches were drawn.

        Returns:
            Whether it was recorded. Where drawing a patch fails, nothing is recorded.
        """
        if not _PAIR_ID.fullmatch(pair_id):
            raise InputError(f"pair {pair_id!r}: must consist of up to 200 letters, digits and . _ + -; rename it")
        if self.recorded(pair_id):
            return False
        self.shards.mkdir(parents=True, exist_ok=True)
        shard, part = self._shard(pair_id), self.shards / f".{pair_id}.part"
        with lock(part, make=True, without_locks=None) as mine:
            if not mine:
                return False
            if self.recorded(pair_id):  # by the process that held the lock before
                part.unlink(missing_ok=True)
                return False
            with whole_file(shard, part):
                write_shard(part, pair_id, patches, {} if facts is None else facts)
        self._table = None
        return True

    def recorded(self, pair_id: str) -> bool:
        """Tell whether a pair is recorded."""
        return self._shard(pair_id).exists()

    def pair(self, pair_id: str) -> tuple[dict[str, Any], int]:
        """Return the recorded facts of a pair and the number of its patches. Raises InputError for a damaged file."""
        return read_pair(self._shard(pair_id))

    def _shard(self, pair_id: str) -> Path:
        return self.shards / f"{pair_id}.h5"

    def pair_ids(self) -> list[str]:
        """List every recorded pair, sorted; those without patches too."""
        return sorted(path.stem for path in self.shards.glob("*.h5"))

    @property
    def facts(self) -> Table:
        """One row for each patch: the columns of ``patches.shard``, then ``pair``, and ``row`` in its file."""
        if self._table is None:
            self._table = self._read_facts()
        return self._table

    def _read_facts(self) -> Table:
        self._check()
        kind = np.dtype([*((name, table_type()[name]) for name in COLUMNS), ("pair", object), ("row", np.int64)])
        parts = []
        for pair_id in self.pair_ids():
            rows = read_table(self._shard(pair_id))
            part = np.empty(len(rows), kind)
            for name in COLUMNS:
                part[name] = rows[name]
            part["pair"], part["row"] = pair_id, np.arange(len(rows))
            parts.append(part)
        table = np.concatenate(parts) if parts else np.empty(0, kind)
        _, first = np.unique(table["patch_id"].astype(str), return_index=True)  # the same pair twice counts once
        return np.asarray(table[first])

    def _check(self) -> None:
        if not self.shards.is_dir():
            raise InputError(f"{self.folder}: no training set (no folder shards in it); give one that l8s2 has built")

    def __len__(self) -> int:
        return len(self.facts)

    def read(self, index: int) -> Patch:
        """Patch ``index`` in the order of the ids. Raises InputError where its file is damaged."""
        row = self.facts[index]
        path = self._shard(row["pair"])
        arrays = self._reader.read(path, int(row["row"]))
        try:
            return patch_of(arrays, row)
        except BROKEN as error:
            raise damaged(path, error) from None

    def sides(self) -> dict[str, Side]:
        """Patch id -> side, of all patches that were split so far. Raises InputError where the file is none of ours."""
        path = self.folder / "split.csv"
        if not path.exists():
            return {}
        try:
            with path.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file, restval="")
                if tuple(reader.fieldnames or ()) != _SPLIT:
                    raise InputError(f"{path}: its columns are not {', '.join(_SPLIT)}; bring the file of l8s2 back")
                return {row["patch_id"]: Side(row["pair_type"], row["reason"]) for row in reader}
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: cannot be read ({error}); bring the file of l8s2 back") from None

    def split(self, shares: Mapping[str, float], *, strips: bool = False, anew: bool = False) -> dict[str, Side]:
        """Put every patch on a side, those that have one staying there, and write both CSV files.

        Args:
            shares: as for ``split.assign``.
            strips: hold out rows of ground, see ``split_strips``; so it remains.
            anew: deal all sides again.
        """
        with self._exclusive():
            sides = {} if anew else self.sides()
            columns = (self.facts[name] for name in ("patch_id", "location", "path_row", "bounds"))
            if gone := sides.keys() - set(self.facts["patch_id"]):
                raise InputError(
                    f"{self.folder}: {len(gone)} patches of split.csv are missing, and their ground would be dealt"
                    " again; resume the build, or give `anew` to forget all sides"
                )
            places = [PatchExtent(a, b, c, tuple(d.tolist())) for a, b, c, d in zip(*columns, strict=True)]
            sides |= (assign_strips if strips or in_strips(places, sides) else assign)(places, sides, shares)
            lines = [(name, side.pair_type, side.reason) for name, side in sorted(sides.items())]
            _write_csv(self.folder / "split.csv", _SPLIT, lines)
            _write_csv(self.folder / "index.csv", *self.index())
        return sides

    def counts(self) -> dict[str, int]:
        """Side -> patches on it, of those that are there."""
        sides, there = self.sides(), set(self.facts["patch_id"])
        return dict(sorted(Counter(side.pair_type for name, side in sides.items() if name in there).items()))

    def write_index(self) -> Path:
        """Write ``index.csv`` anew from everything recorded by now; the bytes depend on that alone."""
        with self._exclusive():
            return _write_csv(self.folder / "index.csv", *self.index())

    def write_pairs(self, columns: Iterable[str]) -> Path:
        """Write ``pairs.csv``, a line for each pair: its id, these of its facts, and the number of its patches."""
        header = ["pair", *columns, "patches"]
        with self._exclusive():
            lines = []
            for pair_id in self.pair_ids():
                facts, count = self.pair(pair_id)
                known = {**facts, "pair": pair_id, "patches": count}
                lines.append(["" if known.get(name) is None else str(known[name]) for name in header])
            return _write_csv(self.folder / "pairs.csv", header, lines)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the lock on the CSV files; everything recorded by now is seen."""
        self._check()
        with lock(self.folder / ".lock", make=True, wait=True, without_locks=None):
            self._table = None
            yield

    def lowest(self, column: str, count: int, among: Sequence[int]) -> list[int]:
        """Return the positions in ``among`` of the patches with the lowest numbers in a column of the index.

        Args:
            column: name of a column of numbers.
            count: patches wanted; fewer where fewer have a number.
            among: indices of patches, in the order of the ids.

        Raises:
            InputError: No patch has a number there.
        """
        header, lines = self.index()
        cells = [lines[i][header.index(column)] for i in among] if column in header else []
        numbers = {position: value for position, cell in enumerate(cells) if (value := _number(cell)) is not None}
        if not numbers:
            raise InputError(
                f"column {column!r}: holds no numbers in {self.folder}; give for example ssim, psnr or ce90_m"
            )
        return sorted(numbers, key=lambda position: (numbers[position], position))[:count]

    def index(self) -> tuple[list[str], list[list[str]]]:
        """Header and lines of the index, a line for each patch in the order of the ids."""
        sides, facts = self.sides(), self.facts
        cells = {name: [_text(value) for value in facts[name]] for name in facts.dtype.names or ()}
        cells["pair_path"] = [f"shards/{pair}.h5" for pair in cells["pair"]]
        cells["date"] = [time[:10] for time in cells["landsat_time"]]
        cells["pair_type"] = [sides.get(name, Side("")).pair_type for name in cells["patch_id"]]
        cells["Field_counts"] = cells.pop("field_counts")
        header = [*DEEP_HARMONIZATION_COLUMNS, *(name for name in cells if name not in DEEP_HARMONIZATION_COLUMNS)]
        return header, [list(line) for line in zip(*(cells[name] for name in header), strict=True)]


def _text(value: Any) -> str:
    """For a cell: '' for NaN, the shortest decimal that gives a number back, blanks between several."""
    if isinstance(value, np.ndarray):
        return " ".join(_text(v) or "nan" for v in value) if np.isfinite(value).any() else ""
    if isinstance(value, np.floating):
        return "" if np.isnan(value) else repr(float(value)).removesuffix(".0")
    return str(value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _write_csv(path: Path, header: Iterable[str], lines: Iterable[Iterable[str]]) -> Path:
    """Write a CSV file, which changes in one step."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    with whole_file(path) as draft:
        draft.write_text(text.getvalue(), encoding="utf-8")
    return path
