"""Landsat and Sentinel-2 scenes that saw the same ground on the same day or nearly so. Pure: nothing is fetched.

What catalogues say is enough for candidates; how much of a pair is free of clouds, pixel by pixel,
``pairs.clear_share`` tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from l8s2.catalogs.endpoints import LANDSAT_L2, SENTINEL2
from l8s2.catalogs.footprints import Footprint
from l8s2.catalogs.items import SceneItem
from l8s2.errors import InputError


@dataclass(frozen=True, kw_only=True)
class PairRules:
    """Which pairs count. Angles that a catalogue does not give pass; a cloud cover that it does not give does not."""

    max_days: int = 0
    """Days between the two, by the solar time of the place; 0 is the same day."""
    min_overlap: float = 0.0
    """Common area as a share of the smaller footprint, 0 to 1."""
    max_cloud: float | None = None
    """Percent, of either scene as a whole."""
    max_sun_angle: float | None = None
    """Degrees between the two directions to the sun."""
    max_view_angle: float | None = None
    """Degrees between the two viewing directions."""

    def __post_init__(self) -> None:
        if self.max_days < 0:
            raise InputError(f"{self.max_days} days between the scenes of a pair: give 0 or more")
        if not 0 <= self.min_overlap <= 1:
            raise InputError(f"overlap {self.min_overlap:g}: give a share, 0 to 1")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two scenes and how well they go together; None is what the catalogues do not say."""

    landsat: SceneItem
    pan: SceneItem | None
    """The Level-1 item with the pan band of ``landsat``."""
    sentinel2: SceneItem
    days: int
    """From Landsat to Sentinel-2, by the solar time of the place; negative where Sentinel-2 came first."""
    hours: float
    """The same by the catalogues' times."""
    overlap: float
    """Common area as a share of the smaller footprint, 0 to 1."""
    overlap_km2: float
    sun_angle: float | None
    """Degrees between the two directions to the sun."""
    view_angle: float | None
    """Degrees between the two viewing directions, of the scenes as a whole."""
    same_zone: bool | None
    """Both lie in one UTM zone, so that their pixels fit without any resampling."""


def find_pairs(
    landsat: Iterable[SceneItem],
    sentinel2: Iterable[SceneItem],
    pans: Mapping[str, SceneItem] | None = None,
    rules: PairRules | None = None,
) -> list[Pair]:
    """Every pair that keeps the rules, ordered by time; the order of the input does not matter.

    Args:
        landsat: Level-2 scenes, one version of each.
        sentinel2: scenes, one version of each.
        pans: scene -> Level-1 item, from ``versions.join_pan``.
        rules: by default the same day and any overlap.
    """
    rules, pans = rules or PairRules(), pans or {}
    by_day: dict[date, list[tuple[SceneItem, Footprint]]] = {}
    for item in sentinel2:
        if item.kind == SENTINEL2 and _clear_enough(item, rules):
            by_day.setdefault(item.acquired.date(), []).append((item, Footprint(item.footprint)))
    pairs = []
    for item in landsat:
        if item.kind != LANDSAT_L2 or not _clear_enough(item, rules):
            continue
        footprint = Footprint(item.footprint)
        reach = rules.max_days + 1  # the day of UTC may end in the middle of a morning
        for days in range(-reach, reach + 1):
            for other, other_footprint in by_day.get(item.acquired.date() + timedelta(days), []):
                pair = _pair(item, footprint, other, other_footprint, pans.get(item.scene))
                if pair is not None and _keeps(pair, rules):
                    pairs.append(pair)
    return sorted(pairs, key=lambda p: (p.landsat.acquired, p.landsat.id, p.sentinel2.acquired, p.sentinel2.id))


def _clear_enough(item: SceneItem, rules: PairRules) -> bool:
    return rules.max_cloud is None or (item.cloud_cover is not None and item.cloud_cover <= rules.max_cloud)


def _pair(
    landsat: SceneItem, footprint: Footprint, sentinel2: SceneItem, other: Footprint, pan: SceneItem | None
) -> Pair | None:
    common = footprint.common_km2(other)
    if common <= 0:
        return None
    to_solar = timedelta(hours=footprint.longitude / 15)
    days = ((sentinel2.acquired + to_solar).date() - (landsat.acquired + to_solar).date()).days
    return Pair(
        landsat=landsat,
        pan=pan,
        sentinel2=sentinel2,
        days=days,
        hours=round((sentinel2.acquired - landsat.acquired).total_seconds() / 3600, 2),
        overlap=round(min(1.0, common / min(footprint.km2, other.km2)), 4),
        overlap_km2=round(common, 1),
        sun_angle=_angle(*((_zenith(item.sun_elevation), item.sun_azimuth) for item in (landsat, sentinel2))),
        view_angle=_angle(*((item.view_zenith, item.view_azimuth) for item in (landsat, sentinel2))),
        same_zone=None if landsat.zone is None or sentinel2.zone is None else landsat.zone == sentinel2.zone,
    )


def _zenith(elevation: float | None) -> float | None:
    return None if elevation is None else 90 - elevation


def _angle(a: tuple[float | None, float | None], b: tuple[float | None, float | None]) -> float | None:
    """Degrees between two directions (zenith angle, azimuth). Straight down no azimuth is needed."""
    (zenith_a, azimuth_a), (zenith_b, azimuth_b) = a, b
    if zenith_a is None or zenith_b is None:
        return None
    if zenith_a == 0 or zenith_b == 0:
        return round(abs(zenith_a - zenith_b), 3)
    if azimuth_a is None or azimuth_b is None:
        return None
    t, u, turn = np.radians((zenith_a, zenith_b, azimuth_a - azimuth_b))
    cosine = np.cos(t) * np.cos(u) + np.sin(t) * np.sin(u) * np.cos(turn)
    return round(float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))), 3)


def _keeps(pair: Pair, rules: PairRules) -> bool:
    def within(value: float | None, limit: float | None) -> bool:
        return value is None or limit is None or value <= limit

    return (
        abs(pair.days) <= rules.max_days
        and pair.overlap >= rules.min_overlap
        and within(pair.sun_angle, rules.max_sun_angle)
        and within(pair.view_angle, rules.max_view_angle)
    )
