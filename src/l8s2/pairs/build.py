"""From a recipe of pairs to a set of patches: fetched, measured and cut pair by pair, killed and resumed at will.

    build.json        the recipe and the settings; all that resuming needs
    cache/<pair>/     files of a pair that is being fetched or cut; gone once the pair is recorded
    pairs.csv         one line for each pair that is recorded, with the reason where it was rejected

and the files of ``patches.patch_set``. A rejected pair is recorded without patches. A pair that cannot be fetched or
read is not recorded: it is tried again whenever the build is resumed.
"""

from __future__ import annotations

import hashlib
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from l8s2.acquire.fetch import holds
from l8s2.acquire.windows import BBox
from l8s2.catalogs.endpoints import SENTINEL2, known_catalogs
from l8s2.catalogs.footprints import Footprint, PlaneGeometry, bbox_of, common, on_plane, rectangle, widened
from l8s2.catalogs.items import SceneItem
from l8s2.catalogs.pairing import Pair
from l8s2.catalogs.query import Query
from l8s2.catalogs.recipe import Recipe
from l8s2.errors import FetchError, InputError, L8S2Error, OutsideError
from l8s2.files import make_folder, write_whole
from l8s2.landsat.scene import open_scene
from l8s2.pairs.measure import AROUND, Rejected, patches_of
from l8s2.pairs.safe import safe_of
from l8s2.pairs.sentinel2 import open_sentinel2
from l8s2.patches.patch import Patch
from l8s2.patches.patch_set import PatchSet
from l8s2.patches.split import SHARES
from l8s2.sensors import MS_GSD
from l8s2.serialization import load, text_of

SCHEMA = "l8s2-build/1"
SIDE = 84
"""MS pixels to a side of a patch: 252 pixels of 10 m, as good as the published 256, and even."""
LARGEST = 1000
"""MS pixels to a side of a patch; beyond, few fit into a scene."""
COLUMNS = (
    "landsat_id", "sentinel2_id", "pan_id", "days", "decision", "reason", "offset", "offset_why", "down_m", "right_m",
    "ce90_m", "clear_landsat", "clear_sentinel2", "clear_both", "without_data",
)  # fmt: skip
"""Columns of pairs.csv, between the pair and the number of its patches."""
_INTERPOLATED = 1000.0
"""Metres fetched beyond what is measured."""
_POINT = 1e-5
"""Degrees by which an area is widened, so that points and lines have one."""
_PAUSE = 1.0
"""Seconds to wait where other processes hold the locks on all pairs that are left."""
Bar = Callable[[str], AbstractContextManager[Any]]


class Fetch(Protocol):
    """How a scene comes into a folder: ``data.fetch.fetch``, its access given."""

    def __call__(
        self, item: SceneItem, directory: Path, *, bbox: tuple[float, float, float, float], margin: float
    ) -> Path:
        """Folder of the scene. Raises InputError, with ``failures`` where single files failed."""
        ...


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """The settings of a build."""

    size: int
    """MS pixels to a side of a patch."""
    products: str | None
    """Folder with products that need no fetching."""
    recipe: Recipe


@dataclass(frozen=True, kw_only=True)
class BuildSummary:
    """How far a set is."""

    pairs: int
    """In the recipe."""
    accepted: int
    """Recorded, Sentinel-2 as it lies."""
    corrected: int
    """Recorded, Sentinel-2 to be moved on reading."""
    rejected: dict[str, str]
    """Unit -> reason."""
    failed: dict[str, tuple[str, ...]]
    """Unit -> one line for each file that could not be had; ``resume`` tries these again."""
    patches: int
    sides: dict[str, int]
    """Side -> its patches, as far as they are dealt."""


def create_build(recipe: Recipe, folder: Path, *, size: int = SIDE, products: Path | None = None) -> None:
    """Settle what is to be built in a folder; ``resume`` builds it.

    Args:
        recipe: the pairs.
        folder: new, or of a build that was begun with the same recipe and size.
        size: MS pixels to a side of a patch, even.
        products: folder with Landsat products (folders or archives named by their ids) and Sentinel-2 folders as
            ``l8s2 fetch`` makes them, which are used and not fetched.

    Raises:
        InputError: Another build was begun there, the folder cannot be made, the size is not allowed, or the recipe has
            no pairs.
    """
    if not 2 <= size <= LARGEST or size % 2:
        raise InputError(
            f"size {size}: must be an even number of 30 m pixels up to {LARGEST},"
            " so that patches hold whole 20 m pixels"
        )
    if not recipe.pairs:
        raise InputError("no pairs in the recipe, so nothing to build; search a longer time or with more `max_days`")
    if products is not None and not products.is_dir():
        raise InputError(f"{products}: no such folder; give one with products, or leave `products` out")
    plan = BuildPlan(size=size, products=None if products is None else str(products.resolve()), recipe=recipe)
    path = folder / "build.json"
    if path.exists():
        before = _plan(folder, "give a new folder")
        if text_of(before, SCHEMA) != text_of(replace(plan, products=before.products), SCHEMA):
            what = f"size {before.size}" if before.size != size else "another recipe"
            raise InputError(
                f"{folder}: was begun with {what}; resume it with l8s2 dataset resume, or give a new folder"
            )
    elif (folder / "shards").exists():
        raise InputError(f"{folder}: holds a set that was not built from a recipe; give a new folder")
    make_folder(folder)
    write_whole(path, text_of(plan, SCHEMA))


def resume_build(
    folder: Path,
    fetch: Fetch | None = None,
    report: Callable[[int, int, str], None] | None = None,
    bar: Bar = lambda _: nullcontext(),
) -> BuildSummary:
    """Build what is not recorded yet, then write the CSV files; sides are dealt once every pair is recorded.

    Several processes may do so at a time; each ends when all is recorded or has failed.

    Args:
        folder: as for ``begin``.
        fetch: how scenes are fetched; by default from the catalogues of the recipe.
        report: called with pairs done, pairs of the recipe, and a line on the last one.
        bar: shows how far the fetching of a scene is, by default nothing; given its id.

    Raises InputError where nothing was begun.
    """
    plan, patches = _plan(folder), PatchSet(folder)
    get = fetch or _from_catalogs(plan.recipe, bar)
    pairs = {pair_id(pair): pair for pair in plan.recipe.pairs}
    failed: dict[str, tuple[str, ...]] = {}

    def left() -> list[str]:
        return [pair for pair in pairs if pair not in failed and not patches.recorded(pair)]

    def tell(line: str) -> None:
        if report is not None:
            report(len(pairs) - len(left()), len(pairs), line)

    while waiting := left():
        idle = True
        for pair in waiting:
            record: dict[str, Any] = {}
            try:
                if patches.add(pair, _drawn(pairs[pair], plan, folder / "cache" / pair, get, record), record):
                    idle = False
                    shutil.rmtree(folder / "cache" / pair, ignore_errors=True)
                    tell(f"{pair}: {record['decision']}, {record['reason']}")
            except L8S2Error as error:
                failed[pair] = error.failures if isinstance(error, FetchError) else (str(error),)
                idle = False
                tell(f"{pair}: failed, {'; '.join(failed[pair])}")
        if idle:  # other processes hold the locks on all of them
            time.sleep(_PAUSE)
    for pair in (pair for pair in pairs if pair not in failed) if failed else [""]:  # all of it
        shutil.rmtree(folder / "cache" / pair, ignore_errors=True)
    if patches.pair_ids():
        patches.write_pairs(COLUMNS)
        if failed:
            patches.write_index()
        else:
            patches.split(SHARES)
    return _summary(patches, pairs, failed)


def pair_id(pair: Pair) -> str:
    """Return the id of a pair: the ids of its scenes in their catalogues."""
    text = f"{pair.landsat.id}_{pair.sentinel2.id}"
    plain = re.sub(r"[^A-Za-z0-9._+-]", "-", text)
    if plain == text and len(text) <= 200 and text[0].isalnum():
        return text
    return f"u{plain[:150]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def common_area(query: Query, pair: Pair) -> PlaneGeometry:
    """Return what both scenes and the searched area have in common, a metre wider; it may be empty."""
    searched = rectangle(query.bbox) if query.bbox is not None else on_plane(query.intersects or {})
    both = common(Footprint(pair.landsat.footprint).plane, Footprint(pair.sentinel2.footprint).plane)
    return both if both.is_empty else common(both, widened(searched, _POINT))


def _drawn(pair: Pair, plan: BuildPlan, cache: Path, fetch: Fetch, record: dict[str, Any]) -> Iterator[Patch]:
    """Fetch a pair and yield its patches, none where it is rejected; ``record`` gets the facts of the pair."""
    landsat, sentinel2 = pair.landsat, pair.sentinel2
    record |= {"landsat_id": landsat.product, "sentinel2_id": sentinel2.product, "days": pair.days}
    products = None if plan.products is None else Path(plan.products)
    try:
        area = common_area(plan.recipe.query, pair)
        if area.is_empty:
            raise Rejected("the searched area and the scenes have no ground in common")
        if pair.same_zone is False:
            raise Rejected(f"Landsat is in UTM zone {landsat.zone}, Sentinel-2 in {sentinel2.zone}; patches need one")

        def available(item: SceneItem) -> Path:
            margin, bbox = MS_GSD * (plan.size + AROUND) + _INTERPOLATED, bbox_of(area)
            return _local(item, products, bbox) or fetch(item, cache, bbox=bbox, margin=margin)

        folders = [available(item) for item in (landsat, sentinel2)]
        pan = None if pair.pan is None else available(pair.pan)
        with open_scene(folders[0], pan) as scene, open_sentinel2(folders[1]) as opened:
            record |= {"landsat_id": scene.product_id, "pan_id": scene.pan_id}
            yield from patches_of(pair, scene, opened, area, plan.size, record)
    except (Rejected, OutsideError) as rejected:
        record |= {"decision": "reject", "reason": str(rejected)}
    except InputError:  # it was fetched, and is damaged
        shutil.rmtree(cache, ignore_errors=True)
        raise
    record.update({name: _json(value) for name, value in record.items()})


def _json(value: Any) -> Any:
    """Numbers as JSON has them, to six decimals."""
    if isinstance(value, list):
        return [_json(v) for v in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def _from_catalogs(recipe: Recipe, bar: Bar) -> Fetch:
    @cache
    def access() -> Any:
        from l8s2.acquire.access import Access

        known = known_catalogs() | {catalog.name: catalog for catalog in recipe.catalogs}
        return Access(known.values())

    def get(item: SceneItem, directory: Path, *, bbox: tuple[float, float, float, float], margin: float) -> Path:
        from l8s2.acquire.fetch import fetch_scene

        with bar(item.id) as progress:
            path: Path = fetch_scene(item, directory, access(), bbox=bbox, margin=margin, progress=progress)
        return path

    return get


def _local(item: SceneItem, products: Path | None, bbox: BBox) -> Path | None:
    """Find a scene among the products, a folder, an archive of Landsat or a SAFE, with all that an area needs."""
    if products is None:
        return None
    if item.kind == SENTINEL2 and (safe := safe_of(products, item.product)):
        return safe
    parts, name = item.product.split("_"), item.product
    if item.kind != SENTINEL2 and len(parts) <= 6:  # the catalogue hides when it was made
        name = "_".join([*parts[:4], "*", *parts[4:]])
    found = [path for ending in ("", ".tar", ".tar.gz", ".tgz") for path in sorted(products.glob(name + ending))]
    return next((path for path in found if holds(path, item, bbox)), None)


def _plan(folder: Path, remedy: str = "begin with l8s2 dataset build RECIPE -o FOLDER") -> BuildPlan:
    plan: BuildPlan = load(folder / "build.json", BuildPlan, SCHEMA, "build", remedy)
    return plan


def _summary(patches: PatchSet, pairs: dict[str, Pair], failed: dict[str, tuple[str, ...]]) -> BuildSummary:
    facts = {pair: patches.pair(pair) for pair in pairs if patches.recorded(pair)}
    decisions = [pair["decision"] for pair, _ in facts.values()]
    return BuildSummary(
        pairs=len(pairs),
        accepted=decisions.count("accept"),
        corrected=decisions.count("correct"),
        rejected={name: pair["reason"] for name, (pair, _) in facts.items() if pair["decision"] == "reject"},
        failed=failed,
        patches=sum(count for _, count in facts.values()),
        sides=patches.counts() if facts else {},
    )
