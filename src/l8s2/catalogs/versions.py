"""Which of several versions of a scene counts, and which pan belongs to which scene. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from l8s2.catalogs.endpoints import LANDSAT_L1
from l8s2.catalogs.items import SceneItem

_TIERS = ("RT", "T2", "T1")
_CORRECTIONS = ("L1GS", "L1GT", "L1TP")


def newest(items: Iterable[SceneItem]) -> tuple[list[SceneItem], list[tuple[SceneItem, SceneItem]]]:
    """One version of each scene, ordered by time; and those that gave way, each with one that counts instead.

    Landsat: T1 before T2 before RT, then L1TP before other corrections, then the last processed. Sentinel-2: the
        highest
    baseline, then images that still have their offset before those a copier took it off, then the last processed; of a
    tile cut in two both halves. The order of ``items`` does not matter.
    """
    scenes: dict[tuple[str, str], list[SceneItem]] = {}
    for item in items:
        scenes.setdefault((item.kind, item.scene), []).append(item)
    kept: list[SceneItem] = []
    replaced: list[tuple[SceneItem, SceneItem]] = []
    for versions in scenes.values():
        highest = max(item.baseline or "" for item in versions)
        datastrips: dict[str | None, list[SceneItem]] = {}
        for item in versions:
            if (item.baseline or "") == highest:
                datastrips.setdefault(item.datastrip, []).append(item)
        best = [max(same, key=_rank) for same in datastrips.values()]
        kept += best
        replaced += [(item, max(best, key=_rank)) for item in versions if item not in best]
    return sorted(kept, key=_order), sorted(replaced, key=lambda pair: _order(pair[0]))


def join_pan(level2: Iterable[SceneItem], level1: Iterable[SceneItem]) -> dict[str, SceneItem]:
    """Scene -> the Level-1 item with its pan band, for the scenes of ``level2`` that have one.

    Joined by satellite, path, row and day of acquisition; correction level and processing date may differ, order is
    nothing.
    """
    pans = {item.scene: item for item in newest(item for item in level1 if item.kind == LANDSAT_L1)[0]}
    return {item.scene: pans[item.scene] for item in level2 if item.scene in pans}


def _rank(item: SceneItem) -> tuple[object, ...]:
    return (
        _TIERS.index(item.tier) if item.tier else 0,
        _CORRECTIONS.index(item.correction) if item.correction in _CORRECTIONS else 0,
        not item.offset_removed,
        item.processed or "",
        item.id,
        item.collection,
        item.catalog,
    )


def _order(item: SceneItem) -> tuple[object, ...]:
    return item.acquired, item.location, item.id, item.collection, item.catalog, item.datastrip or ""
