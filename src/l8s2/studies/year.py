"""A simulated year of both sensors as a cube, for studies where there is no imagery."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.arrays import Float
from l8s2.cube.layout import LAYERS
from l8s2.cube.observation import UNKNOWN, About
from l8s2.cube.store import create
from l8s2.masks import flag
from l8s2.predictors.load import load_model
from l8s2.predictors.protocol import Predictor
from l8s2.progress import Progress
from l8s2.radiometry import LEVEL_ABSOLUTE, LEVEL_RELATIVE, ZENITH, encoded
from l8s2.simulate import Conditions, observe
from l8s2.simulate.season import CLOUDY, OPAQUE, YEAR, Season
from l8s2.studies.result import SIMULATED

PASSES = {
    "msi": (range(2, YEAR, 5), ("sentinel-2a", "sentinel-2b")),
    "oli": (range(3, YEAR, 8), ("landsat-8", "landsat-9")),
}
"""Days of the year, from 0, on which a sensor passes, and the platforms that take turns."""
SIZE = 64
"""MS pixels to a side of the place."""
SAID = (
    f"{SIMULATED}: fields of four crops, their courses through the year and the clouds are made up. A cloud meets "
    f"{100 * CLOUDY:.0f} % of looks in the mean of many years, and weather lasts from day to day. Sentinel-2 passes "
    "every 5 days, Landsat every 8, from one orbit each, and no pass fails. The masks of both know every cloud but its "
    "thin rims; there is no shadow, snow or low sun. Each sensor has errors of its own. "
    "Take it for a trial of the study, and for what more looks alone can do; it says nothing of any place on Earth. "
)
"""What every study of such a year says first."""
_FIRST = datetime(2023, 1, 1, 10, 5, 0, tzinfo=UTC)


def simulate_year(
    folder: Path,
    *,
    days: range = range(YEAR),
    size: int = SIZE,
    seed: int = 0,
    progress: Progress = lambda done, total, what: None,
) -> tuple[Path, Path]:
    """Write a cube of both sensors, and the fields of the place as GeoJSON with a property ``crop``.

    Landsat is simulated as its sensor sees the place, then harmonised by the embedded model.

    Args:
        folder: gets ``simulated.zarr`` and ``fields.geojson``.
        days: of the year, from 0, in which to look.
        size: MS pixels to a side of the place, at most 341.
        seed: of fields and weather.
        progress: told how many passes are done.

    Returns the paths of both. Raises InputError where one is there already, or an extra is not installed.
    """
    ms = GeoBox((size, size), Affine(30, 0, 450_015, 0, -30, 5_660_025), "EPSG:32633")
    box, season, model = grid.output_geobox(ms), Season(seed, (size, size)), load_model("compact")
    looks = [(day, sensor) for day in days for sensor, (passes, _) in PASSES.items() if day in passes]

    def fill(group: Any) -> None:
        for number, (day, sensor) in enumerate(looks):
            image, detail = _landsat(season, day, model) if sensor == "oli" else _sentinel2(season, day)
            qa = np.where(season.opacity(day) > OPAQUE, flag("cloud"), 0).astype(np.uint16)
            for name, samples in zip(LAYERS, (*encoded(image), *encoded(detail), qa), strict=True):
                group[name][number] = samples
            progress(number + 1, len(looks), "simulating")

    cube, fields = folder / "simulated.zarr", folder / "fields.geojson"
    settings = {"nbar": False, "masked": False, "bbox": None}
    create(cube, box, settings, [_about(sensor, day, box) for day, sensor in looks], fill)
    season.write_fields(fields, box)
    return cube, fields


def _landsat(season: Season, day: int, model: Predictor) -> tuple[Float, Float]:
    rng = np.random.default_rng((season.seed, day, 0))
    native = observe(season.seen(day), Conditions.random(rng, disturbed=True, untidy=True), rng)
    return model.predict(native.ms, native.pan, sun_elevation=ZENITH)


def _sentinel2(season: Season, day: int) -> tuple[Float, Float]:
    """Return what is seen, with errors of level like those of Landsat, and no standard error."""
    drawn = Conditions.random(np.random.default_rng((season.seed, day, 1)), disturbed=True)
    gain, offset = (np.array(values, np.float32)[:, None, None] for values in (drawn.gain, drawn.offset))
    image = season.seen(day) * gain + offset
    return image, np.full_like(image, np.nan)


def _about(sensor: str, day: int, box: GeoBox) -> About:
    passes, platforms = PASSES[sensor]
    platform, when = platforms[passes.index(day) % 2], _FIRST + timedelta(days=day, minutes=5 * (sensor == "msi"))
    return About(
        item_id=f"simulated-{platform}-{when:%Y%m%d}", time=when, sensor=sensor, platform=platform, orbit=-1, box=box,
        level=(LEVEL_ABSOLUTE, LEVEL_RELATIVE) if sensor == "oli" else (UNKNOWN, UNKNOWN),
    )  # fmt: skip
