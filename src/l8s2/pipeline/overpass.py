"""Which scenes make one product: one scene, or several of one overpass on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from odc.geo.geobox import GeoBox, geobox_union_conservative

from l8s2 import grid
from l8s2.deliveries.product_name import ProductName
from l8s2.errors import InputError
from l8s2.landsat.scene import Scene
from l8s2.pipeline.align_pan import Alignment, AlignPan, with_aligned_pan
from l8s2.predictors.protocol import Predictor
from l8s2.target import Area, ElsewhereError, Target, choose_target, target_on


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a product is made of."""

    product_id: str
    scenes: list[Scene]
    """By row, the northernmost first in daylight."""
    targets: list[Target]
    """Of each scene; all have one ``geobox``, that of the product."""
    notes: list[str]

    @property
    def is_overpass(self) -> bool:
        """Whether it is the product of an overpass, be it that only one of the scenes touches the grid."""
        return self.product_id != self.scenes[0].product_id

    @property
    def geobox(self) -> GeoBox:
        """Grid of the product."""
        return self.targets[0].geobox

    @property
    def inputs(self) -> list[tuple[str, str | None]]:
        """Ids of each scene, and of the Level-1 product that its pan comes from; None without pan."""
        return [(scene.product_id, scene.pan_id) for scene in self.scenes]

    @property
    def warnings(self) -> list[str]:
        """What was found odd about the scenes and the grid, one line each."""
        return [line for scene in self.scenes for line in scene.warnings] + self.notes


def choose_source(scenes: Sequence[Scene], area: Area, overpass_id: str | None = None) -> Source:
    """Settle the grid of a product, and which scenes it is of: of several those that touch the grid.

    ``overpass_id``: id of the product of an overpass whose scenes that do not touch the area are not among ``scenes``.
    Raises InputError for scenes that are not of one overpass, or that miss the area asked for; and for several scenes
    without an area that they can share.
    """
    product_id = overpass_id or id_of_product([scene.name for scene in scenes], area)
    if overpass_id is None and len(scenes) == 1:
        target = choose_target(scenes[0].geobox, area)
        return Source(product_id=scenes[0].product_id, scenes=[*scenes], targets=[target], notes=target.notes)
    scenes = sorted(scenes, key=lambda scene: scene.name.row)
    geobox = None if area.grid is not None else _common_grid(scenes, area)
    pairs: list[tuple[Scene, Target]] = []
    notes: list[str] = []
    for scene in scenes:
        try:
            target = choose_target(scene.geobox, area) if geobox is None else target_on(scene.geobox, geobox, "`bbox`")
            pairs.append((scene, target))
            notes += [f"{scene.product_id}: {note}" for note in target.notes]
        except ElsewhereError as error:
            notes.append(f"{scene.product_id}: left out, {error}")
            elsewhere = error
    if not pairs:
        raise elsewhere
    rows = [scene.name.row for scene, _ in pairs]
    if lacking := sorted({*range(rows[0], rows[-1])} - {*rows}):
        notes.append(f"{product_id}: no scene of row {lacking[0]:03d}; ground that it alone has seen is nodata")
    return Source(product_id=product_id, scenes=[s for s, _ in pairs], targets=[t for _, t in pairs], notes=notes)


def aligned(source: Source, predictor: Predictor, how: AlignPan) -> tuple[Source, list[Alignment]]:
    """Return ``source`` with the pan of each scene where it belongs, and what became of it (``with_aligned_pan``)."""
    found = [with_aligned_pan(scene, predictor, how) for scene in source.scenes]
    return replace(source, scenes=[scene for scene, _ in found]), [alignment for _, alignment in found]


def overpass_key(name: ProductName) -> str:
    """Return what scenes of one overpass share, such as ``LC08_L2SP_143_20230520``."""
    return f"L{name.sensor}{name.satellite:02d}_{name.level}_{name.path:03d}_{name.acquired:%Y%m%d}"


def id_of_product(names: Sequence[ProductName], area: Area) -> str:
    """Name a product: by its scene; of several by ``overpass_key`` and the tile, or the rows where there is none.

    Raises InputError for scenes of which two are of different satellites, paths or days, or are one scene; and for an
    area that scenes of different zones do not share.
    """
    if not names:
        raise InputError("no scene was given; give at least one product")
    first = names[0]
    if len(names) == 1:
        return first.id
    for other in names[1:]:
        if overpass_key(other) != overpass_key(first):
            raise InputError(
                f"{first.id} and {other.id}: not of one overpass; one product needs scenes of one satellite, level,"
                " path and day"
            )
    rows = sorted(names, key=lambda name: name.row)
    for a, b in pairwise(rows):
        if a.row == b.row:
            raise InputError(f"{a.id} and {b.id}: one scene, given twice; give one of them")
    if area.crs is not None or (area.grid is None and area.bbox is None):
        instead = "" if area.crs is None else " instead of `crs`"
        raise InputError(
            f"{len(names)} scenes: one product of them needs `mgrs`, `like` or `bbox`; give one of these{instead}"
        )
    return f"{overpass_key(first)}_{_tile(area) or f'{rows[0].row:03d}-{rows[-1].row:03d}'}"


def _tile(area: Area) -> str:
    return (area.mgrs or "").upper().removeprefix("T")


def _common_grid(scenes: Sequence[Scene], area: Area) -> GeoBox:
    """Return the grid of ``bbox`` that holds what every scene of the first one's zone has of it."""
    parts: list[GeoBox] = []
    for scene in scenes:
        try:
            part = grid.landsat_convention(choose_target(scene.geobox, area).geobox)
        except ElsewhereError as error:
            elsewhere = error
            continue
        if not parts or part.crs == parts[0].crs:
            parts.append(part)
    if not parts:
        raise elsewhere
    return grid.sentinel2_convention(geobox_union_conservative(parts))
