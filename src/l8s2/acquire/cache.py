"""A Landsat product straight from a catalogue: fetched into l8s2's cache for as long as it is needed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from l8s2.acquire.access import Access
from l8s2.acquire.fetch import MARGIN, FetchError, fetch_scene
from l8s2.acquire.fetch_request import Wanted, gather, with_pans
from l8s2.acquire.windows import BBox, Outside
from l8s2.catalogs.endpoints import known_catalogs
from l8s2.errors import InputError
from l8s2.files import cache_dir, lock, make_folder
from l8s2.progress import Progress


def scene_cache() -> Path:
    """Where scenes lie while they are worked on: $XDG_CACHE_HOME/l8s2/scenes, by default below ~/.cache."""
    return cache_dir() / "scenes"


def landsat_of(what: str) -> Wanted:
    """The one Landsat Level-2 scene of an item (address or file). Raises InputError where it is none, or several."""
    wanted = gather(what, known_catalogs())
    if len(wanted.landsat) != 1:
        raise InputError(f"{what}: holds {len(wanted.landsat)} Landsat Level-2 items; give one")
    return wanted


@contextlib.contextmanager
def fetched(
    wanted: Wanted,
    *,
    bbox: BBox | None = None,
    margin: float = MARGIN,
    pan: bool = True,
    bar: Callable[[], AbstractContextManager[Progress | None]] = nullcontext,
    warn: Callable[[str], None] = lambda line: None,
) -> Iterator[Path]:
    """The folder of the scene of ``landsat_of``, with pan beside it, for the time of a ``with`` block.

    When the block ends well the files are removed. When anything fails they stay, and the next time what is there is not
    fetched again.

    Args:
        bbox: only the window that covers this area, and ``margin`` metres around. None: the whole scene.
        pan: False leaves the Level-1 item alone.
        bar: gives a context manager that shows progress while files are fetched.
        warn: told that there is no pan, and of all failures but the first, which is in the error.

    Raises InputError as ``fetch`` does, where pan cannot be looked for, and where another process has the same files.
    """
    (item,) = wanted.landsat
    part = "whole" if bbox is None else "_".join(map(str, (*bbox, margin)))
    folder = scene_cache() / item.product / part
    if pan:
        wanted, without, unknown = with_pans(wanted)
        if unknown:
            raise InputError(
                f"{unknown[0]}; try again, or give its Level-1 product with --pan, or --model compact-nopan"
            )
        for line in without:
            warn(line)
    level1 = wanted.pans.get(item.scene) if pan else None
    access = Access(wanted.catalogs.values())
    stays = f"what was fetched stays in {folder}"
    goes_on = f"{stays}; the same command goes on from there"
    with _alone(folder):
        try:
            with bar() as progress:
                get = partial(fetch_scene, directory=folder, access=access, bbox=bbox, margin=margin, progress=progress)
                product = get(item)
                if level1:
                    get(level1)
            yield product
        except KeyboardInterrupt:
            raise KeyboardInterrupt(goes_on) from None
        except Outside:
            _remove(folder)
            raise
        except FetchError as error:
            for line in error.failures[1:]:
                warn(line)
            raise InputError(f"{error}; {goes_on}") from error
        except InputError as error:
            raise InputError(f"{error}; {stays}") from error
        _remove(folder)


def _remove(folder: Path) -> None:
    """What lies in the cache, and the folder of its scene where that is all."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """A folder of the cache that no other process has meanwhile. Raises InputError where one has, or where it cannot be made."""
    with contextlib.ExitStack() as stack:
        make_folder(folder, "set XDG_CACHE_HOME to another folder")
        try:
            mine = stack.enter_context(lock(folder))
        except FileNotFoundError:  # another process has just removed it
            mine = False
        if not mine:
            raise InputError(
                f"{folder}: another process works on it; wait for that, or set XDG_CACHE_HOME to another folder"
            )
        yield
