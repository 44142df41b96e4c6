"""The output of a batch in a folder that all machines see."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from l8s2.batch.output import Product, product_pattern
from l8s2.files import make_folder, whole_file
from l8s2.product.writer import SUFFIX


class FolderStore:
    """A folder that all machines see; keys are paths below it. Hidden files are no keys."""

    def __init__(self, folder: Path) -> None:
        """Take a folder; it is made with the first key."""
        self.folder = folder

    def create(self, key: str, content: bytes) -> bool:
        """Keep ``Store``'s contract: a hard link to a whole draft, or where there are none an exclusive file."""
        path = self.folder / key
        make_folder(path.parent)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            draft.write_bytes(content)
            os.link(draft, path)
            return True
        except FileExistsError:
            return False
        except OSError:
            if path.exists():
                return False
            try:
                with path.open("xb") as file:
                    file.write(content)
                return True
            except FileExistsError:
                return False
            except OSError:  # a full disk: what is half-written would count as whole
                path.unlink(missing_ok=True)
                raise
        finally:
            with contextlib.suppress(OSError):  # it is not there, on a disk that is read-only
                draft.unlink()

    def put(self, key: str, content: bytes) -> None:
        """Keep ``Store``'s contract."""
        path = self.folder / key
        make_folder(path.parent)
        with whole_file(path) as draft:
            draft.write_bytes(content)

    def get(self, key: str) -> bytes | None:
        """Keep ``Store``'s contract."""
        try:
            return (self.folder / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def list(self, prefix: str) -> dict[str, str]:
        """Keep ``Store``'s contract."""
        found: dict[str, str] = {}
        folders = [prefix.rstrip("/")]
        while folders:
            inside = folders.pop()
            with contextlib.suppress(FileNotFoundError), os.scandir(self.folder / inside) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        folders.append(f"{inside}/{entry.name}")
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        about = os.stat(entry.path)
                        found[f"{inside}/{entry.name}"] = f"{about.st_mtime_ns}-{about.st_ino}-{about.st_size}"
        return found

    def delete(self, key: str) -> None:
        """Keep ``Store``'s contract."""
        (self.folder / key).unlink(missing_ok=True)


class FolderOutput:
    """A folder. A product is committed when its folder appears, which the process of the scene does itself."""

    def __init__(self, folder: Path) -> None:
        """Take a folder; it is made with the first file in it."""
        self.store = FolderStore(folder)
        self._folder = folder

    @contextlib.contextmanager
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
