"""What the Item of a product tells of the scenes that it is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

from l8s2 import grid
from l8s2._version import __version__
from l8s2.landsat.measure_scene import Doubt, SceneMeasures
from l8s2.landsat.scene import Scene
from l8s2.pipeline.align_pan import Metres
from l8s2.pipeline.overpass import Source
from l8s2.predictors.protocol import Predictor
from l8s2.product.stac import ItemInfo
from l8s2.radiometry import SigmaKind
from l8s2.sensors import OLI

OVERPASS = 10.25
"""Hours of local solar time at which Landsat 8 and 9 pass: so between 20 degrees north and south, on seven scenes 10.0
to 10.3 there and 11.0 at 53 degrees north."""


def item_info(
    source: Source, predictor: Predictor, warnings: list[str], facts: dict[str, Any], uncertainty: SigmaKind | None
) -> ItemInfo:
    """Gather the metadata of a product.

    ``facts``: further properties; ``uncertainty``: what SIGMA holds.
    """
    times = [_acquired(scene) for scene in source.scenes]
    without_pan, span = {}, {}
    if predictor.no_pan_model is not None:
        without_pan = {
            "l8s2:model_without_pan": predictor.no_pan_model.name,
            "l8s2:model_without_pan_sha256": predictor.no_pan_model.sha256,
        }
    if source.is_overpass:
        span = {"start_datetime": _text(min(times)), "end_datetime": _text(max(times))}
    told = [scene.metadata for scene in source.scenes if scene.metadata]
    return ItemInfo(
        datetime=min(times) + (max(times) - min(times)) / 2,
        sun_elevation=_mean([m.sun_elevation for m in told if m.sun_elevation is not None]),
        sun_azimuth=_direction([m.sun_azimuth for m in told if m.sun_azimuth is not None]),
        off_nadir=max((m.off_nadir for m in told if m.off_nadir is not None), default=None),
        geometric_rmse=max((m.geometric_rmse for m in told if m.geometric_rmse is not None), default=None),
        uncertainty=uncertainty,
        platform=OLI.platform(source.scenes[0].name.satellite),
        l2_collection="landsat-c2ard-sr" if source.scenes[0].name.region else "landsat-c2l2-sr",
        inputs=source.inputs,
        model=predictor.name,
        model_sha256=predictor.sha256,
        version=__version__,
        warnings=[*source.warnings, *warnings],
        extra={
            "l8s2:warped": any(target.warped for target in source.targets),
            "l8s2:sentinel2_lattice": grid.on_sentinel2_lattice(source.geobox),
            **span,
            **without_pan,
            **facts,
        },
    )


def scene_facts(source: Source, measures: Sequence[SceneMeasures], moved: Sequence[Metres | None]) -> dict[str, Any]:
    """Return what was measured of the scene as properties; of an overpass under ``l8s2:scenes``, in their order."""
    known = [
        {f"l8s2:{name}": value for name, value in each.known().items()}
        | ({"l8s2:pan_aligned_m": {"down": metres[0], "right": metres[1]}} if metres else {})
        for each, metres in zip(measures, moved, strict=True)
    ]
    if not source.is_overpass:
        return known[0]
    return {
        "l8s2:scenes": [
            {
                "id": scene.product_id,
                "pan_id": scene.pan_id,
                "datetime": _text(_acquired(scene)),
                "view:sun_elevation": scene.metadata.sun_elevation if scene.metadata else None,
                "view:sun_azimuth": scene.metadata.sun_azimuth if scene.metadata else None,
                "l8s2:warped": target.warped,
                **facts,
            }
            for scene, target, facts in zip(source.scenes, source.targets, known, strict=True)
        ]
    }


def doubts_about(source: Source, measures: Sequence[SceneMeasures], *, with_pan: bool) -> list[Doubt]:
    """Return the doubts about every scene; about one of several with its id."""
    if not source.is_overpass:
        return measures[0].doubts(with_pan=with_pan)
    found = zip(source.scenes, measures, strict=True)
    return [
        (bad, f"{scene.product_id}: {text}") for scene, each in found for bad, text in each.doubts(with_pan=with_pan)
    ]


def about_time(source: Source) -> list[str]:
    """Word the warning about every scene of which nothing tells the time of day."""
    return [
        f"{scene.product_id}: nothing tells its time of day; {_acquired(scene):%H:%M} UTC is taken, 10:15 by the sun"
        for scene in source.scenes
        if _told_time(scene) is None
    ]


def _told_time(scene: Scene) -> datetime | None:
    return scene.metadata.acquired if scene.metadata else None


def _acquired(scene: Scene) -> datetime:
    longitude = float(scene.geobox.extent.centroid.to_crs("EPSG:4326").coords[0][0])
    day = datetime.combine(scene.name.acquired, time(), UTC)
    return _told_time(scene) or day + timedelta(hours=round(OVERPASS - longitude / 15, 2) % 24)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _direction(angles: list[float]) -> float | None:
    """Mean of directions in degrees; of one it is that one."""
    if len(angles) < 2:
        return angles[0] if angles else None
    radians = [math.radians(angle) for angle in angles]
    return round(math.degrees(math.atan2(sum(map(math.sin, radians)), sum(map(math.cos, radians)))) % 360, 6)
