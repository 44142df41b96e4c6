"""The Items of a batch as one GeoParquet table, in the form that stac-geoparquet describes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from l8s2.batch.output import Store
from l8s2.errors import InputError

_READERS = 16


def items_parquet(store: Store, keys: Sequence[str]) -> bytes | None:
    """Return the table of the Items that lie under ``keys``; None where rustac, which writes it, is not installed.

    Addresses of assets are made relative to the root of the output, where the table lies.

    Raises InputError for Items that do not fit into one table.
    """
    try:
        import rustac
    except ImportError:
        return None
    with ThreadPoolExecutor(_READERS) as pool:
        found = [item for item in pool.map(lambda key: _item(store, key), keys) if item is not None]
    with tempfile.TemporaryDirectory(prefix="l8s2-") as folder:
        path = Path(folder) / "items.parquet"
        try:
            rustac.write_sync(str(path), found)
        except rustac.RustacError as error:
            raise InputError(f"rustac cannot take the Items ({error})") from None
        return path.read_bytes()


def _item(store: Store, key: str) -> dict[str, Any] | None:
    content = store.get(key)
    if content is None:
        return None
    item: dict[str, Any] = json.loads(content)
    folder = key.rpartition("/")[0]
    for asset in item["assets"].values():
        asset["href"] = f"./{folder}/{asset['href'].removeprefix('./')}"
    return item
