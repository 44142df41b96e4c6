"""A made-up year: fields lie where their outlines say and grow as their crop does; clouds are as frequent as stated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyproj
import pytest
from rasterio.features import geometry_mask
from rasterio.warp import transform_geom

from l8s2 import grid
from l8s2.simulate.season import CLOUDY, CROPS, OPAQUE, YEAR, Season
from making.patches import box_at

SIZE = (22, 26)
BOX = grid.output_geobox(box_at(15001, 188667, 64)[: SIZE[0], : SIZE[1]])


@pytest.fixture(scope="module")
def season() -> Season:
    return Season(3, SIZE)


def test_fields_lie_where_their_outlines_say_and_grow_as_their_crop(season: Season, tmp_path: Path) -> None:
    season.write_fields(tmp_path / "f.geojson", BOX)
    features = json.loads((tmp_path / "f.geojson").read_text())["features"]
    assert len(features) > 8
    ndvi = {}
    for day in (128, 240):
        red, nir = season.ground(day)[2:4]
        ndvi[day] = (nir - red) / (nir + red)
    for feature in features:
        outline = transform_geom("EPSG:4326", str(pyproj.CRS(str(BOX.crs))), feature["geometry"])
        inside = geometry_mask([outline], BOX.shape, BOX.affine, invert=True)
        spring, summer = (np.median(ndvi[day][inside]) for day in (128, 240))
        greener = summer > spring
        assert greener == (feature["properties"]["crop"] in ("maize", "sugar beet"))
        assert abs(summer - spring) > 0.15


def test_the_same_seed_is_the_same_year(season: Season) -> None:
    again, other = Season(3, SIZE), Season(4, SIZE)
    assert np.array_equal(season.seen(150), again.seen(150))
    assert not np.array_equal(season.ground(150), other.ground(150))
    assert [name for name, _ in season.fields] == [name for name, _ in again.fields]
    assert {name for name, _ in season.fields} == set(CROPS)


def test_clouds_are_as_frequent_as_stated() -> None:
    """Over 40 years of a tiny place, with weather that lasts from a day to the next."""
    days = range(0, YEAR, 7)
    cover = [[(year.opacity(day) > OPAQUE).mean() for day in days] for year in (Season(s, (2, 2)) for s in range(40))]
    assert np.mean(cover) == pytest.approx(CLOUDY, abs=0.04)


def test_clouds_hide_the_ground(season: Season) -> None:
    day = max(range(100, 130), key=lambda day: season.opacity(day).std())
    opacity = season.opacity(day)
    assert np.array_equal(season.seen(day)[:, opacity == 0], season.ground(day)[:, opacity == 0])
    assert (season.seen(day)[2, opacity == 1] > 0.7).all()
