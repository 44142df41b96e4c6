"""Which scenes a batch is to work on: products on disk, lists of them, saved searches, ids and addresses."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from l8s2.batch.child import option
from l8s2.batch.staged import is_staged, staged_products
from l8s2.deliveries.file_name import fit_for_a_file
from l8s2.deliveries.find import ARCHIVES, IMAGES
from l8s2.deliveries.one_file import is_image
from l8s2.deliveries.product_name import LEVEL2, ProductName
from l8s2.errors import InputError
from l8s2.pipeline.overpass import id_of_product, overpass_key
from l8s2.target import Area

_LEVEL2 = ("L2SP", "L2SR")
_OTHER_OF_ARD = re.compile(r"_(TOA|BT|ST|QA)\b", re.IGNORECASE)
"""What else there is of a tile of ARD, in archives of its own."""


@dataclass(frozen=True, kw_only=True)
class BatchScene:
    """One scene, as the process that works on it gets it."""

    id: str
    """USGS product id as far as it is known; fit for the name of a file."""
    product: str | None = None
    """Folder or archive, as an absolute path: it means the same to the processes of a cluster."""
    pan: str | None = None
    """Its Level-1 product; None to look for it beside it."""
    stac: str | None = None
    """Address of a STAC item, or a product id, to be fetched."""
    item: str | None = None
    """A STAC item as JSON, to be fetched."""

    members: tuple[BatchScene, ...] = ()
    """Scenes of one overpass, all on disk or all to be fetched, which become one product; instead of the above."""

    @property
    def is_there(self) -> bool:
        """Whether the product is on disk, or is to be fetched."""
        return all(each.is_there for each in self.members) and (self.product is None or Path(self.product).exists())

    @property
    def is_on_disk(self) -> bool:
        """Whether nothing is to be fetched."""
        return self.product is not None or any(each.is_on_disk for each in self.members)

    @property
    def source(self) -> str:
        """Where it comes from; scenes of one id and one source are the same."""
        return self.product or self.stac or "a STAC item"

    def arguments(self, scratch: Path) -> tuple[str, ...]:
        """Return what names the scene on the command line; an item is written into the folder ``scratch``."""
        if self.members:
            return tuple(argument for each in self.members for argument in each.arguments(scratch))
        if self.product is not None:
            return (self.product,) if self.pan is None else (self.product, option("pan"), self.pan)
        if self.item is not None:
            path = scratch / f"{self.id}.json"
            path.write_text(self.item, encoding="utf-8")
            return (option("stac"), str(path))
        return (option("stac"), self.stac or "")


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """The scenes of a batch, each once."""

    scenes: tuple[BatchScene, ...]
    notes: tuple[str, ...]
    """What was left out, a line each."""


def read_scenes(given: Iterable[str], piped: str | None = None) -> Scenes:
    """Find the scenes that arguments name; nothing is fetched, and no product is opened.

    Args:
        given: for each argument a product (folder or archive), a folder of products or with ``catalog.json``, a text
            file with one of these, an id or an address on each line, a saved search or STAC item (JSON), a product id,
            the address of an item, or ``-``.
        piped: what ``-`` stands for: a saved search.

    Raises InputError for an argument that is none of these, and where there is no scene.
    """
    notes: list[str] = []
    found: dict[str, BatchScene] = {}
    for each in given:
        scenes = _from_json(piped or "", "standard input", notes) if each == "-" else _named(each, notes, lists=True)
        for scene in scenes:
            if (first := found.get(scene.id)) and ProductName.parse(scene.id) is None and first.source != scene.source:
                mark = hashlib.sha256(scene.source.encode()).hexdigest()[:8]
                scene = replace(scene, id=f"{scene.id}-{mark}")  # other scenes, of which no USGS name tells
                first = found.get(scene.id)
            if first:
                notes.append(f"{scene.id}: given twice; {first.source} is taken")
            found.setdefault(scene.id, scene)
    if not found:
        raise InputError(f"{', '.join(given)}: names no Landsat Level-2 scene; give products, or a saved search")
    scenes = [s if s.product is None else replace(s, product=os.path.abspath(s.product)) for s in found.values()]
    return Scenes(scenes=tuple(scenes), notes=tuple(notes))


def by_overpass(scenes: Iterable[BatchScene], mgrs: str) -> Scenes:
    """Join scenes of one satellite, path and day, which become one product on the tile ``mgrs``.

    Of two versions of a scene the one processed last is taken. Raises InputError where some scenes of an overpass are
    on disk and others are not.
    """
    groups: dict[str, dict[int, BatchScene]] = {}
    notes: list[str] = []
    for scene in scenes:
        name = ProductName.find(scene.id)
        group = groups.setdefault(overpass_key(name) if name else scene.id, {})
        row = name.row if name else 0
        if (other := group.get(row)) is not None:
            scene, other = sorted((scene, other), key=_processed, reverse=True)
            notes.append(f"{other.id}: left out, {scene.id} is the same scene")
        group[row] = scene
    joined = []
    for group in groups.values():
        members = tuple(group[row] for row in sorted(group))
        if len(members) > 1:
            names = [name for each in members if (name := ProductName.find(each.id))]
            joined.append(BatchScene(id=id_of_product(names, Area(mgrs=mgrs)), members=members))
            if len({each.is_on_disk for each in members}) > 1:
                which = ", ".join(each.id for each in members)
                raise InputError(f"{which}: one overpass, partly on disk; give all as products, or all as items")
        else:
            joined += members
    return Scenes(scenes=tuple(joined), notes=tuple(notes))


def _processed(scene: BatchScene) -> tuple[bool, str]:
    """Order versions of a scene: real-time ones first, then by the date of processing."""
    name = ProductName.find(scene.id)
    return name is not None and name.tier != "RT", str(name and name.processed)


def _named(what: str, notes: list[str], *, lists: bool) -> list[BatchScene]:
    path = Path(what)
    if re.match(r"https?://", what):
        return [BatchScene(id=_id(what.rstrip("/").rpartition("/")[2]), stac=what)]
    if path.is_dir():
        return _in_folder(path)
    if path.is_file() and path.name.lower().endswith((*ARCHIVES, *IMAGES)):
        return [BatchScene(id=_id(path.name), product=what)]
    if path.is_file() and lists:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{what}: neither a product nor a list of scenes; give one of these") from None
        if text.lstrip().startswith(("{", "[")):
            return _from_json(text, what, notes)
        lines = (line.strip() for line in text.splitlines())
        return [s for line in lines if line and not line.startswith("#") for s in _named(line, notes, lists=False)]
    if not path.exists() and path.name != what and path.parent.exists() and ProductName.find(path.name):
        return [BatchScene(id=_id(path.name), product=what)]  # one of the products in a folder or archive
    if not path.exists() and (name := ProductName.parse(what.upper().removesuffix("_SR"))) and name.level in _LEVEL2:
        return [BatchScene(id=name.id, stac=what)]
    if lists:
        raise InputError(f"{what}: no such file, folder or product id; give products, a list of them or a saved search")
    if not path.exists():
        notes.append(f"{what}: no such file, folder or product id; it will fail, and the others go on")
    return [BatchScene(id=_id(path.name), product=what)]


def _in_folder(folder: Path) -> list[BatchScene]:
    """Take a folder for a product, unless there is a catalogue in it, or Level-2 products, by their names."""
    if is_staged(folder):
        return [
            BatchScene(id=staged.id, product=str(staged.product), pan=str(staged.pan) if staged.pan else None)
            for staged in staged_products(folder)
        ]
    inside = [
        BatchScene(id=_id(path.name), product=str(path))
        for path in sorted(folder.iterdir())
        if (name := ProductName.find(path.name))
        and name.level in LEVEL2
        and not (name.region and _OTHER_OF_ARD.search(path.name))
        and (path.is_dir() or path.name.lower().endswith(ARCHIVES))
    ]
    if inside:
        return inside
    names = sorted({n.id for path in folder.iterdir() if (n := ProductName.find(path.name)) and n.level in LEVEL2})
    if len(names) > 1:
        return [BatchScene(id=name, product=str(folder / name)) for name in names]
    images = [path for path in sorted(folder.iterdir()) if is_image(path.name)]
    if not names and len(images) > 1:  # files with all bands each
        return [BatchScene(id=_id(path.name), product=str(path)) for path in images]
    return [BatchScene(id=names[0] if names else _id(folder.name), product=str(folder))]


def _from_json(text: str, source: str, notes: list[str]) -> list[BatchScene]:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    kind = content.get("type") if isinstance(content, dict) else None
    features = content.get("features") if kind == "FeatureCollection" else [content] if kind == "Feature" else None
    if not isinstance(features, list):
        raise InputError(f"{source}: no STAC items; give what l8s2 search prints as JSON, or a STAC item")
    scenes = []
    for raw in features:
        name = ProductName.find(str(raw.get("id"))) if isinstance(raw, dict) else None
        if name is None or name.level not in _LEVEL2:
            notes.append(f"{raw.get('id') if isinstance(raw, dict) else raw!r:.80}: no Landsat Level-2 item; left out")
        else:
            scenes.append(BatchScene(id=name.id, item=json.dumps(raw)))
    return scenes


def _id(text: str) -> str:
    """Return the product id in a text, or what of the text is fit for the name of a file."""
    name = ProductName.find(text) or ProductName.find_scene(text)
    stem = text.rpartition(".")[0] if text.lower().endswith(IMAGES) else text
    return name.id if name else fit_for_a_file(stem)
