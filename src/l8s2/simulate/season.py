"""A made-up year of a small place: fields of crops that grow and are harvested, and the weather above them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from odc.geo.geobox import GeoBox
from odc.geo.geom import polygon

from l8s2.arrays import Float, Mask, Values
from l8s2.sensors import OUTPUT_GSD
from l8s2.simulate.canvas import MARGIN, PIXEL, Canvas, sentinel2_view
from l8s2.simulate.drawing import Parcel, divide, fractal_noise
from l8s2.simulate.landscape import CLOUD

YEAR = 365
"""Days."""
CLOUDY = 0.55
"""Share of looks that meet a cloud, in the mean of many years: that of MODIS over land (King et al. 2013, IEEE
Transactions on Geoscience and Remote Sensing 51, 3826-3852)."""
OPAQUE = 0.1
"""Opacity from which a cloud is flagged."""
_LASTING = 0.5
"""Correlation of the weather of a day with that of the day before."""
_PATCHY, _PATCH = 0.7, 500.0
"""Standard deviation of the weather within a place, in units of that between days, and its size in metres."""
_AREA, _VERGE = 22_000, 4.0
"""Square metres of a field, about, and metres of grass along its edges."""
_EARLY, _STRONG = 8.0, 0.12
"""Standard deviations over the fields of a crop: days by which one is late, and its vigour at best."""


class Crop(NamedTuple):
    """A crop and its course through the year."""

    bare: str
    grown: str
    """The spectra of ``canvas.SPECTRA`` that it goes between."""
    days: tuple[int, ...]
    """Of the year."""
    vigour: tuple[float, ...]
    """On these days, 0 is bare and 1 is grown; between them it changes evenly."""


CROPS = {
    "winter barley": Crop("loess", "barley", (60, 120, 150, 172, 182, 300, 330), (0.3, 1, 0.9, 0.2, 0.05, 0.05, 0.3)),
    "winter wheat": Crop("loess", "barley", (70, 135, 168, 193, 205, 305, 340), (0.3, 1, 0.9, 0.2, 0.05, 0.05, 0.3)),
    "maize": Crop("loam", "alfalfa", (130, 150, 190, 235, 255, 268), (0.03, 0.15, 0.9, 0.85, 0.4, 0.03)),
    "sugar beet": Crop("loam", "alfalfa", (118, 140, 180, 240, 268, 285), (0.03, 0.15, 0.9, 0.9, 0.75, 0.03)),
}
"""Two pairs: those of a pair have the same colours and differ in when they grow. The dates are made up, like those of
central Europe."""


class Season:
    """A year of a place; the same seed and size give the same pixels."""

    def __init__(self, seed: int, size_ms: tuple[int, int]) -> None:
        """Draw fields and weather.

        Args:
            seed: of the random numbers.
            size_ms: (h, w), rows and columns in MS pixels of 30 m.
        """
        self.seed, self._shape = seed, (3 * size_ms[0], 3 * size_ms[1])
        rng = np.random.default_rng(seed)
        canvas = Canvas.blank(rng, self._shape)
        grass = canvas.cover("hay", "meadow")
        canvas.paint(np.ones(canvas.shape, bool), grass, 0.5 + 0.2 * canvas.grain)
        parcels = list(_parcels(rng, canvas))
        names = rng.permutation(np.resize(list(CROPS), len(parcels)))
        self.fields = [(str(name), parcel) for name, parcel in zip(names, parcels, strict=True)]
        """The crop of each field, and where it lies: x to the right and y down, metres from the upper left corner."""
        for name, parcel in self.fields:
            crop = CROPS[name]
            canvas.paint(_inside(parcel, canvas.shape, _VERGE), canvas.cover(crop.bare, crop.grown), 0)
        self._canvas, self._grass = canvas, canvas.vigour.copy()
        self._late = rng.normal(0, _EARLY, len(parcels))
        self._best = 1 - np.abs(rng.normal(0, _STRONG, len(parcels)))
        self._uneven = 1 + 0.1 * canvas.soil + 0.08 * canvas.grain
        self._weather = _weather(rng)

    def ground(self, day: int) -> Float:
        """(6, 3h, 3w) reflectance at 10 m as Sentinel-2 sees it without a cloud, on a day of the year from 0."""
        courses = (CROPS[name] for name, _ in self.fields)
        grown = [
            best * np.interp(day - late, crop.days, crop.vigour, period=YEAR)
            for crop, late, best in zip(courses, self._late, self._best, strict=True)
        ]
        label, vigour = self._canvas.label, np.array([0.0, *grown], np.float32)
        self._canvas.vigour[:] = np.where(label == 0, self._grass, np.clip(vigour[label] * self._uneven, 0, 1))
        return sentinel2_view(self._canvas.render())

    def opacity(self, day: int) -> Float:
        """(3h, 3w) of clouds, 0 to 1: the same for whoever looks on that day."""
        patches = fractal_noise(np.random.default_rng((self.seed, day)), self._shape, _PATCH / OUTPUT_GSD)
        opacity: Float = np.clip(OPAQUE + 0.5 * (np.float32(self._weather[day]) + _PATCHY * patches), 0, 1)
        return opacity

    def seen(self, day: int) -> Float:
        """(6, 3h, 3w) the ground with the clouds above it; they cast no shadow."""
        opacity = self.opacity(day)
        return self.ground(day) * (1 - opacity) + np.array(CLOUD, np.float32)[:, None, None] * opacity

    def write_fields(self, path: Path, box: GeoBox) -> None:
        """Write the fields that lie wholly within the place as GeoJSON in WGS 84, each with its ``crop``.

        Args:
            path: of the file.
            box: the grid at 10 m.
        """
        features = []
        for number, (name, parcel) in enumerate(self.fields, 1):
            if (parcel.corners < 0).any() or (parcel.corners > np.array(self._shape[::-1]) * OUTPUT_GSD).any():
                continue
            corners = [box.affine @ (x / OUTPUT_GSD, y / OUTPUT_GSD) for x, y in parcel.corners]
            outline = polygon([*corners, corners[0]], box.crs).to_crs("EPSG:4326").json
            features.append({"type": "Feature", "id": number, "properties": {"crop": name}, "geometry": outline})
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")


def _parcels(rng: np.random.Generator, canvas: Canvas) -> list[Parcel]:
    """Return the parcels of which something lies within the place."""
    turn, middle = rng.uniform(0, math.pi), np.array(canvas.extent) / 2 - MARGIN * PIXEL
    angles = turn + np.arange(4) * math.pi / 2
    corners = middle + canvas.diagonal / math.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], 1)
    within = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
    land = divide(rng, Parcel(corners, np.zeros(4)), _AREA, (_VERGE,))
    return [parcel for parcel in land if _inside(parcel, canvas.shape, 2 * OUTPUT_GSD)[within].any()]


def _inside(parcel: Parcel, shape: tuple[int, int], verge: float) -> Mask:
    """Return which drawn pixels lie in a parcel, and ``verge`` metres from its edges."""
    y, x = ((np.arange(n) + 0.5 - MARGIN) * PIXEL for n in shape)
    normals, offsets, _ = parcel.edges()
    distances = [n[0] * x + n[1] * y[:, None] - offset for n, offset in zip(normals, offsets, strict=True)]
    return np.asarray(np.min(distances, axis=0) > verge)


def _weather(rng: np.random.Generator) -> Values:
    """Return how cloudy each day is, a walk that returns to a mean; above 0 it is cloudy in the middle of the place."""
    days = rng.standard_normal(YEAR)
    for day in range(1, YEAR):
        days[day] = _LASTING * days[day - 1] + math.sqrt(1 - _LASTING**2) * days[day]
    return days + NormalDist().inv_cdf(CLOUDY) * math.hypot(1, _PATCHY)
