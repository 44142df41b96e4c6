"""A Landsat product straight from a catalogue: fetched into l8s2's cache for as long as it is needed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from l8s2.acquire.access import Access
from l8s2.acquire.fetch import MARGIN, fetch_scene
from l8s2.acquire.fetch_request import FetchRequest, find_missing_pans, parse_request
from l8s2.acquire.windows import BBox
from l8s2.catalogs.endpoints import known_catalogs
from l8s2.errors import FetchError, InputError, OutsideError, TryAgainError
from l8s2.files import cache_dir, make_folder
from l8s2.progress import Progress
from l8s2.system.locks import lock


def scene_cache() -> Path:
    """Where scenes lie while they are worked on: $XDG_CACHE_HOME/l8s2/scenes, by default below ~/.cache."""
    return cache_dir() / "scenes"


def single_landsat_item(what: str) -> FetchRequest:
    """Read the one Landsat Level-2 scene of an item (address, file or product id).

    Raises:
        InputError: There is no such scene, or there are several.
    """
    request = parse_request(what, known_catalogs())
    if len(request.landsat) != 1:
        raise InputError(f"{what}: holds {len(request.landsat)} Landsat Level-2 items; give one")
    return request


@contextlib.contextmanager
def cached_product(
    request: FetchRequest,
    *,
    bbox: BBox | None = None,
    margin: float = MARGIN,
    pan: bool = True,
    bar: Callable[[], AbstractContextManager[Progress | None]] = nullcontext,
    warn: Callable[[str], None] = lambda line: None,
) -> Iterator[Path]:
    """Fetch a Landsat scene into the cache and yield its folder, with the folder of its pan band beside it.

    The files are removed where the ``with`` block ends without an error. After an error they stay, and the same request
    fetches only what is missing.

    Args:
        request: from ``single_landsat_item``.
        bbox: only the window that covers this area, WGS 84 degrees. None: the whole scene.
        margin: metres around ``bbox``.
        pan: False leaves the pan band out.
        bar: gives a context manager that shows progress while files are fetched.
        warn: gets a line where there is no pan band, and one for each failure but the first, which is in the error.

    Raises:
        InputError: As ``fetch_scene``; pan cannot be searched for; another process uses the same files of the cache.
    """
    (item,) = request.landsat
    part = "whole" if bbox is None else "_".join(map(str, (*bbox, margin)))
    folder = scene_cache() / item.product / part
    if pan:
        searched = find_missing_pans(request)
        if searched.failures:
            raise TryAgainError(
                f"{searched.failures[0]}; try again, or give its Level-1 product with `pan`, or `model` compact-nopan"
            )
        for line in searched.without_pan:
            warn(line)
        request = searched.request
    level1 = request.pans.get(item.scene) if pan else None
    access = Access(request.catalogs.values())
    stays = f"what was fetched stays in {folder}"
    goes_on = f"{stays}; the same command goes on from there"
    with _exclusive(folder):
        try:
            with bar() as progress:
                get = partial(fetch_scene, directory=folder, access=access, bbox=bbox, margin=margin, progress=progress)
                product = get(item)
                if level1:
                    get(level1)
            yield product
        except KeyboardInterrupt:
            raise KeyboardInterrupt(goes_on) from None
        except OutsideError:
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
    """Remove a folder of the cache, and the folder of its scene where that is empty then."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Make and lock a folder of the cache. Raises InputError where another process has the lock."""
    with contextlib.ExitStack() as stack:
        make_folder(folder, "set XDG_CACHE_HOME to another folder")
        try:
            mine = stack.enter_context(lock(folder))
        except FileNotFoundError:  # another process has just removed it
            mine = False
        if not mine:
            raise TryAgainError(
                f"{folder}: another process uses it; wait until that ends, or set XDG_CACHE_HOME to another folder"
            )
        yield
