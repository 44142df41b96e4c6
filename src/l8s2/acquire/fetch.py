"""Scenes of catalogues as folders of files, whole or the window of an area, on their native grids."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from l8s2.acquire.access import Access
from l8s2.acquire.download import FetchProgress, download, load_client
from l8s2.acquire.windows import BBox, CatalogWindow, check_decodes, download_window
from l8s2.catalogs.endpoints import ASSETS, LANDSAT_L2, REQUIRED, SENTINEL2
from l8s2.catalogs.footprints import common, rectangle
from l8s2.catalogs.items import SceneItem, item_text
from l8s2.deliveries.find import ARCHIVES, products_in
from l8s2.errors import FetchError, InputError, OutsideError, TryAgainError, may_pass
from l8s2.files import make_folder, write_whole
from l8s2.landsat.mtl import parse_mtl
from l8s2.progress import Progress
from l8s2.system.locks import lock

MARGIN = 2000.0
"""Metres around a window: the reach of networks and registration beyond it."""
THREADS = 4
"""Files at a time."""
PATIENCE = 1.0
"""Seconds for the threads to end once they are stopped; nothing that arrives later is written."""
LARGEST_MTL = 16 << 20
"""Bytes of an MTL that are read at most."""
SCENE, WINDOW = "scene.json", "window.json"
"""Files beside the imagery: the scene as its catalogue describes it, written last; the fetched window, written
first."""
_NAMES = {"qa_pixel": "QA_PIXEL", "qa_radsat": "QA_RADSAT", "pan": "B8"}


def fetch_scene(
    item: SceneItem,
    directory: Path,
    access: Access,
    *,
    bbox: BBox | None = None,
    margin: float = MARGIN,
    progress: Progress | None = None,
) -> Path:
    """Fetch a scene into ``directory/<product id>``, unless it is there, and return that folder.

    Landsat's files have their USGS names. Sentinel-2's are ``B02.tif`` .. ``B12.tif`` and ``SCL.tif``, digital numbers.
    A USGS product that lies in ``directory`` already, as a folder or archive named by its id, is taken as it is.
    Complete files of an interrupted fetch are not fetched again.

    Args:
        item: Landsat Level 2 or Level 1 (its pan band), or Sentinel-2.
        directory: gets the folder.
        access: gives addresses.
        bbox: only the pixels that touch this area: west, south, east, north, WGS 84 degrees; west > east crosses the
            antimeridian. Pixels and grid are those of the whole files.
        margin: metres around it.
        progress: gets bytes done and wanted.

    Raises:
        FetchError: Some files could not be fetched; ``failures`` has a line for each.
        OutsideError: The scene has no pixel in the area; no file of it is left.
        InputError: The folder holds another window, or another process holds the lock on it.
    """
    folder, window = directory / item.product, None if bbox is None else CatalogWindow((*bbox,), margin)
    if item.kind != SENTINEL2 and (there := _delivered(item, directory)):
        return there
    if _is_whole(folder, item, window):
        return folder
    make_folder(folder)
    with lock(folder) as mine:
        if not mine:
            raise TryAgainError(f"{folder}: another process is fetching it; wait for that, or give another folder")
        if window and not (folder / WINDOW).exists() and any(folder.glob("[!.]*")):
            raise InputError(f"{folder}: holds files that are not of this window; give another folder")
        if _is_whole(folder, item, window):  # fetched by another process meanwhile
            return folder
        write_whole(folder / WINDOW, json.dumps({**_source(item), "window": window and window._asdict()}) + "\n")
        try:
            failures = _files(item, folder, access, window, progress)
        except OutsideError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise OutsideError(item.id, error.bbox) from None
        if failures:
            raise FetchError(item.id, sorted(map(str, failures)), may_pass=all(map(may_pass, failures)))
        write_whole(folder / SCENE, item_text(item))
    return folder


def holds(path: Path, item: SceneItem, bbox: BBox) -> bool:
    """Tell whether a folder or archive has all files of a scene in an area, as fetched or as USGS delivers Landsat."""
    try:
        part = json.loads((path / WINDOW).read_text(encoding="utf-8"))["window"]
    except (FileNotFoundError, NotADirectoryError):
        return (path / SCENE).exists() if item.kind == SENTINEL2 else _is_delivered(path, item)
    except (ValueError, KeyError, TypeError, OSError):
        return False
    if not (path / SCENE).exists():
        return False
    wanted = rectangle(bbox)
    return part is None or common(wanted, rectangle((*part["bbox"],))).area >= 0.999 * wanted.area


def _delivered(item: SceneItem, directory: Path) -> Path | None:
    """Find a complete product as USGS delivers it, folder or archive; None where there is none."""
    paths = [directory / f"{item.product}{ending}" for ending in ("", *ARCHIVES)]
    return next((path for path in paths if not (path / WINDOW).exists() and _is_delivered(path, item)), None)


def _is_delivered(path: Path, item: SceneItem) -> bool:
    needed = {_usgs_part(name) for name in REQUIRED[item.kind]}
    return path.exists() and any(needed <= set(product.parts) for product in products_in(path))


def _source(item: SceneItem) -> dict[str, str]:
    """Return where files come from: archives differ, for example in the offset of Sentinel-2."""
    return {"catalog": item.catalog, "collection": item.collection, "id": item.id}


def _is_whole(folder: Path, item: SceneItem, window: CatalogWindow | None) -> bool:
    """Tell whether a folder has the requested part of a scene.

    Raises:
        InputError: It has another window of the scene, or files from another catalogue.
    """
    try:
        stored = json.loads((folder / WINDOW).read_text(encoding="utf-8"))
        source = {name: stored[name] for name in _source(item)}
        has = stored["window"] and CatalogWindow((*stored["window"]["bbox"],), stored["window"]["margin"])
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (ValueError, KeyError, TypeError, OSError):
        raise InputError(f"{folder / WINDOW}: damaged; delete the folder and fetch the scene again") from None
    whole, remedy = (folder / SCENE).exists(), "or a part of it; give another folder, or delete it"
    if item.kind == SENTINEL2 and source != _source(item):  # Landsat's files are the same everywhere
        raise InputError(f"{folder}: holds the scene as {source['catalog']} {source['collection']} has it, {remedy}")
    if has != window and not (has is None and whole):
        held = "the whole scene" if has is None else f"the window {' '.join(f'{v:g}' for v in has.bbox)}"
        raise InputError(f"{folder}: holds {held}, {remedy}")
    return whole


def _files(
    item: SceneItem, folder: Path, access: Access, window: CatalogWindow | None, progress: Progress | None
) -> list[InputError]:
    """Fetch every missing file; returns an error for each that cannot be had."""
    load_client()
    watch, names = FetchProgress(progress), [name for name in item.assets if name != "metadata"]
    todo: SimpleQueue[str] = SimpleQueue()
    ended: SimpleQueue[tuple[InputError | None, BaseException | None]] = SimpleQueue()

    def work() -> None:
        with contextlib.suppress(Empty):
            while True:
                name = todo.get_nowait()
                try:
                    ended.put((_file(item, name, folder, access, window, watch), None))
                except BaseException as error:
                    ended.put((None, error))

    for name in names:
        todo.put(name)
    # No pool: Python waits for its threads at exit, as long as a silent server takes.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    failures = []
    try:
        for failure, broken in (ended.get() for _ in names):
            if broken is not None:
                raise broken
            failures.append(failure)
    except BaseException:
        watch.stop()
        for thread in threads:
            thread.join(PATIENCE / THREADS)
        raise
    return [failure for failure in failures if failure is not None]


def _file(
    item: SceneItem, name: str, folder: Path, access: Access, window: CatalogWindow | None, watch: FetchProgress
) -> InputError | None:
    """Fetch one file; returns the error where that fails."""
    path, asset = folder / file_name(item, name), item.assets[name]

    def address(fresh: bool) -> str:
        return access.address(item, name, fresh=fresh)

    try:
        if name == "mtl":
            download(address, path, checksum=asset.checksum, check=partial(_check_mtl, name=path.name), watch=watch)
        elif window is not None or _suffix(item, name) == ".jp2":
            download_window(address, path, window, watch)
        else:
            download(address, path, checksum=asset.checksum, check=partial(check_decodes, name=path.name), watch=watch)
    except OutsideError:  # all other files of the scene are outside too
        raise
    except InputError as error:
        return error
    return None


def _check_mtl(path: Path, name: str) -> None:
    """Check that a file is an MTL. Raises InputError."""
    with path.open("rb") as file:
        parse_mtl(file.read(LARGEST_MTL), name)


def file_name(item: SceneItem, name: str) -> str:
    """Return the name of an asset's file in the folder of its scene."""
    if item.kind == SENTINEL2:
        return "SCL.tif" if name == "scl" else f"{ASSETS[SENTINEL2][name][1]}.tif"
    ending = _suffix(item, name) if name == "mtl" else ".TIF"
    return f"{item.product}_{_usgs_part(name)}{ending}"


def _usgs_part(name: str) -> str:
    if name in ASSETS[LANDSAT_L2] and name not in (*_NAMES, "mtl"):
        return ASSETS[LANDSAT_L2][name][1].removesuffix(".TIF")
    return _NAMES.get(name, name.upper())


def _suffix(item: SceneItem, name: str) -> str:
    return os.path.splitext(urlsplit(item.assets[name].href).path)[1].lower()
