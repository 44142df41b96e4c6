"""The output of a batch: products, each committed by its STAC Item, and keys with content for everything else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Protocol

from l8s2.deliveries.product_name import ProductName
from l8s2.product.writer import SUFFIX


@dataclass(frozen=True, kw_only=True)
class Product:
    """A product that is committed."""

    key: str
    """Of its STAC Item, such as ``<id>_S2L/<id>.json``."""
    item: dict[str, Any]


class Store(Protocol):
    """Keys such as ``ledger/id=X/attempt=1.json``, each with its content. Threads may share one."""

    def create(self, key: str, content: bytes) -> bool:
        """Store what is not there yet; False where it is. Of any number of callers one gets True."""

    def put(self, key: str, content: bytes) -> None:
        """Store, or replace; readers see the old content or the new one."""

    def get(self, key: str) -> bytes | None:
        """Return the content; None where there is none."""

    def list(self, prefix: str) -> dict[str, str]:
        """Return the keys that begin with a prefix, which ends with a slash, each with a tag of its content."""

    def delete(self, key: str) -> None:
        """Remove what may be there."""


class Output(Protocol):
    """Where products go."""

    @property
    def store(self) -> Store:
        """Holds everything, by keys."""

    def workspace(self) -> AbstractContextManager[Path]:
        """Give a context manager with the folder (Path) into which the process of a scene writes its product."""

    def publish(self, folder: Path, attempt: int, beat: Callable[[], None]) -> None:
        """Commit the product that a process wrote, unless another is committed already; ``beat`` is called often."""

    def product(self, scene: str) -> Product | None:
        """Find the committed product of a scene, by the id of the scene."""


def product_pattern(scene: str) -> str:
    """Return the id of a scene's product; ``*`` stands for a date of processing that some catalogues leave out."""
    name = ProductName.find(scene)
    if name is None or name.processed is not None:
        return scene
    head, _, tail = name.id.partition(f"_{name.acquired:%Y%m%d}_")
    return f"{head}_{name.acquired:%Y%m%d}_*_{tail}"


def matches(key: str, scene: str) -> bool:
    """Tell whether a key is that of the Item of a scene's product."""
    name = product_pattern(scene)
    return fnmatch(key, f"{name}{SUFFIX}/{name}.json")
