"""The Landsat scenes that a product was made from: found, and opened as they were used."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from l8s2.deliveries.declared import Declared
from l8s2.deliveries.find import level2_product, named_in, products_in
from l8s2.deliveries.product_name import ProductName
from l8s2.errors import InputError
from l8s2.landsat.scene import Scene, open_scene
from l8s2.pipeline.align_pan import with_moved_pan
from l8s2.pipeline.provenance import OPTIONS
from l8s2.report.finished import Finished, SceneFacts, number

_FARTHEST = 500.0
"""Metres that pan can be moved by; more in an Item is nonsense."""


class Found(NamedTuple):
    """The input, or why there is none."""

    scenes: list[Scene]
    """All that the product was made from, in the order of its Item; none where one of them is missing."""
    why_not: str
    """In words that end a sentence; empty where there are scenes."""


def find_input(product: Finished, landsat: Path | None, stack: ExitStack) -> Found:
    """Open the Level-2 products that a product was made from.

    Args:
        product: the product.
        landsat: the Level-2 product, or a folder with all of them; None looks in the folders around the product.
        stack: closes them.

    Raises InputError where ``landsat`` cannot be used.
    """
    said = product.item.scenes
    names = [scene.name for scene in said if scene.name is not None]
    if len(names) < len(said):
        return Found([], "the Item does not say which Landsat product it was made from")
    try:
        declared = Declared.noted(product.item.facts(OPTIONS))
    except InputError as error:
        return Found([], f"the Item does not say how its input is read ({error})")
    found = [_path_of(name, product, landsat, declared) for name in names]
    if missing := [why for path, why in found if path is None]:
        return Found([], "; ".join(missing))
    try:
        scenes = [stack.enter_context(open_scene(path, declared=declared)) for path, _ in found if path]
        return Found([_as_used(scene, facts) for scene, facts in zip(scenes, said, strict=True)], "")
    except InputError as error:
        if landsat is not None:
            raise
        return Found([], f"the input cannot be read ({error})")


def _path_of(name: ProductName, product: Finished, landsat: Path | None, declared: Declared) -> tuple[Path | None, str]:
    """Return where a Level-2 product lies, or why it is not found."""
    around = product.folder.absolute().parent
    for place in [landsat] if landsat is not None else [around, around.parent]:
        if path := named_in(place, name.id):
            return path, ""
    if landsat is None:
        return None, f"{name.id} was not found beside the product"
    if not products_in(landsat):
        return None, f"{name.id} was not found in {landsat}"
    given = level2_product(landsat, declared).product_id
    if given == name.id:
        return landsat, ""
    if any(scene.name is not None and scene.name.id == given for scene in product.item.scenes):
        return None, f"it was made from {name.id} too, which is not in {landsat}"
    return None, f"it was made from {name.id}, and {landsat} is {given}"


def _as_used(scene: Scene, said: SceneFacts) -> Scene:
    """Return the scene with its pan moved as it was when the product was made."""
    moved = [number(said.facts("l8s2:pan_aligned_m").get(way)) for way in ("down", "right")]
    metres = [move for move in moved if move is not None and abs(move) <= _FARTHEST]
    return with_moved_pan(scene, (metres[0], metres[1])) if len(metres) == 2 else scene
