"""The output of a batch: products, each committed by its STAC Item, and a store for everything else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Protocol

from l8s2.batch.store import FolderStore, Store
from l8s2.landsat.product_name import ProductName

SUFFIX = "_S2L"
"""Ending of a product's folder, as the writer of products has it."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """A product that is committed."""

    key: str
    """Of its STAC Item, such as ``<id>_S2L/<id>.json``."""
    item: dict[str, Any]


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


class FolderOutput:
    """A folder. A product is committed when its folder appears, which the process of the scene does itself."""

    def __init__(self, folder: Path) -> None:
        """Make the folder where it is missing. Raises InputError."""
        self.store = FolderStore(folder)
        self._folder = folder

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """Keep ``Output``'s contract."""
        yield self._folder

    def publish(self, folder: Path, attempt: int, beat: Callable[[], None]) -> None:
        """Keep ``Output``'s contract."""

    def product(self, scene: str) -> Product | None:
        """Keep ``Output``'s contract."""
        name = product_pattern(scene)
        for folder in sorted(self._folder.glob(f"{name}{SUFFIX}")):
            key = f"{folder.name}/{folder.name.removesuffix(SUFFIX)}.json"
            if (content := self.store.get(key)) is not None:
                return Product(key=key, item=json.loads(content))
        return None


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


def open_output(address: str) -> Output:
    """Open a folder, or ``s3://bucket/prefix``. Raises InputError."""
    if address.startswith("s3://"):
        from l8s2.batch.s3_store import S3Output

        return S3Output(address)
    return FolderOutput(Path(address))
