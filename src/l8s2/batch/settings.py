"""The options on which all machines of an output agree, kept in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from l8s2.batch.ledger import json_bytes, read_json
from l8s2.batch.output import Store
from l8s2.errors import InputError

SETTINGS, SCHEMA = "batch.json", "l8s2-batch/1"


def settle(store: Store, address: str, options: Sequence[str], lease: float) -> None:
    """Have all machines agree on options and lease. Raises InputError where they were others."""
    ours = json_bytes(_settings(options, lease))
    if store.create(SETTINGS, ours):
        if store.create(SETTINGS, ours):  # it does not know If-None-Match
            raise InputError(f"{address}: lets two machines create one file, so none can share it; give another")
        return
    check_agreed(store, address, options, lease)


def check_agreed(store: Store, address: str, options: Sequence[str], lease: float) -> None:
    """Raise InputError where an output was begun with other options or another lease."""
    content = store.get(SETTINGS)
    theirs, ours = read_json(content), _settings(options, lease)
    if content is not None and theirs != ours:
        begun, now = (
            f"{' '.join(each.get('options', ())) or 'no options of harmonize'}, `lease` {each.get('lease', 0):g}"
            for each in (theirs, ours)
        )
        remedy = "give the options that it was begun with, or another `output`"
        raise InputError(f"{address}: was begun with {begun}; this command has {now}; {remedy}")


def _settings(options: Sequence[str], lease: float) -> dict[str, Any]:
    return {"schema": SCHEMA, "options": list(options), "lease": lease}
