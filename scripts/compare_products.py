"""``python scripts/compare_products.py OLD NEW``: whether two folders of products hold the same bytes.

Made for changes that must not change an output: harmonise the same scenes before and after, then compare. Rasters and
previews must be equal byte for byte; a STAC Item may differ in the time of its making (``created``, ``updated``,
``processing:datetime``) alone. Exits with 1 where anything differs.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

TIMES = {"created", "updated", "processing:datetime"}


def without_times(value: Any) -> Any:
    """Return a JSON document without the fields that tell when it was made."""
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in TIMES}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


def identity(path: Path) -> str:
    """Return what must be equal of a file."""
    if path.suffix == ".json":
        return json.dumps(without_times(json.loads(path.read_text(encoding="utf-8"))), sort_keys=True)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Compare the two folders named on the command line."""
    old, new = (Path(name) for name in sys.argv[1:3])
    names = sorted({path.relative_to(folder) for folder in (old, new) for path in folder.rglob("*") if path.is_file()})
    if not names:
        sys.exit(f"{old}, {new}: no files; give two folders of products")
    differing = [
        name
        for name in names
        if not ((old / name).is_file() and (new / name).is_file() and identity(old / name) == identity(new / name))
    ]
    for name in differing:
        print(f"differs: {name}")
    print(f"{len(names) - len(differing)} of {len(names)} files are the same")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
