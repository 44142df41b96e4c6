"""What came out of a batch: a table (CSV and JSON), a static STAC Catalog and Collection. The ledger is the truth."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from l8s2.batch.collection import catalog_of, collection_of
from l8s2.batch.geoparquet import items_parquet
from l8s2.batch.ledger import SUCCESS, json_bytes, outcome_key, read_json
from l8s2.batch.output import Store
from l8s2.errors import InputError

TABLE, ROWS, ITEMS, COLLECTION, CATALOG = (
    "results.csv",
    "results.json",
    "items.parquet",
    "collection.json",
    "catalog.json",
)
COLUMNS = (
    "id", "outcome", "attempt", "reason", "verdict", "clear_percent", "seconds", "product", "datetime", "started",
    "finished", "machine", "version", "exit_code",
)  # fmt: skip
_READERS = 16


class Results:
    """The tables of an output. Each process writes them whole, from the ledger that all share."""

    def __init__(self, store: Store, address: str) -> None:
        """Begin with the rows that are written already, so that their records need not be read again."""
        self._store, self._address = store, address
        rows = read_json(store.get(ROWS)).get("scenes", [])
        self._rows = {str(row.get("id")): row for row in rows if isinstance(row, dict)}
        self._written: dict[str, tuple[int, str]] | None = None

    def write(self, attempts: Mapping[str, Mapping[int, str | None]]) -> bool:
        """Write the tables, if the ledger has anything new; returns whether it had.

        ``attempts``: scene -> attempt -> how it ended, None while it runs.
        """
        wanted = {scene: shown for scene, tried in attempts.items() if (shown := _shown(tried))}
        if wanted == self._written:
            return False
        missing = [
            (scene, *shown)
            for scene, shown in wanted.items()
            if (self._rows.get(scene, {}).get("attempt"), self._rows.get(scene, {}).get("outcome")) != shown
        ]
        with ThreadPoolExecutor(_READERS) as pool:
            for record in pool.map(self._record, missing):
                self._rows[record["id"]] = record
        rows = [self._rows[scene] for scene in sorted(wanted)]
        if rows:
            self._store.put(ROWS, json_bytes({"scenes": rows}))
            self._store.put(TABLE, _table(rows))
        if good := [row for row in rows if row["outcome"] == SUCCESS and row.get("datetime")]:
            self._store.put(COLLECTION, json_bytes(collection_of(good, self._address)))
            self._store.put(CATALOG, json_bytes(catalog_of(good, self._address)))
        self._written = wanted
        return True

    def finish(self, say: Callable[[str], None]) -> None:
        """Write the table of all Items, where what writes it is installed; ``say`` is told where it cannot be made."""
        rows = (row for _, row in sorted(self._rows.items()) if row.get("outcome") == SUCCESS)
        keys = [row["product"] for row in rows if row.get("product")]
        try:
            table = items_parquet(self._store, keys) if keys else None
        except InputError as error:
            say(f"{ITEMS}: not written, {error}")
            return
        if table is not None:
            self._store.put(ITEMS, table)

    def _record(self, what: tuple[str, int, str]) -> dict[str, Any]:
        scene, attempt, ending = what
        record = read_json(self._store.get(outcome_key(scene, attempt, ending)))
        return {**record, "id": scene, "attempt": attempt, "outcome": ending}


def _shown(tried: Mapping[int, str | None]) -> tuple[int, str] | None:
    """Choose the attempt that a row tells of: the one that succeeded, else the last that has ended."""
    ended = {number: ending for number, ending in tried.items() if ending is not None}
    good = [number for number, ending in ended.items() if ending == SUCCESS]
    number = min(good) if good else max(ended, default=0)
    return (number, ended[number]) if ended else None


def _table(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
