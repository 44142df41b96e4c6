"""Products of l8s2 changed after they were made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from l8s2.raster import checksum
from making.scenes import ID


def item_of(product: Path) -> Path:
    return product / f"{ID}.json"


def change_item(product: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = item_of(product)
    item = json.loads(path.read_text())
    change(item)
    path.write_text(json.dumps(item))


def reseal(product: Path) -> None:
    """Have the Item say what its files hold now."""

    def seal(item: dict[str, Any]) -> None:
        for asset in item["assets"].values():
            path = product / asset["href"]
            asset |= {"file:size": path.stat().st_size, "file:checksum": checksum(path)}

    change_item(product, seal)
