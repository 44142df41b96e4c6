"""The ground of a made-up landscape: covers with spectra, texture and height, and how Sentinel-2 sees them.

A canvas is drawn at a third of the 10 m pixel. Every drawn pixel holds a label, which names two spectra; a vigour,
which says how far it is from the first to the second; and a height, which casts shadow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from l8s2 import sensors
from l8s2.arrays import Float, Mask
from l8s2.simulate.drawing import Points, cast_shadow, fractal_noise, smooth_noise
from l8s2.simulate.sensor import sentinel2_stack

Spectrum = tuple[float, float, float, float, float, float]

SUN_ELEVATION, SUN_AZIMUTH = 56.0, 150.0
"""Degrees; azimuth clockwise from north."""
FINE = 3
"""Drawn pixels to a 10 m pixel."""
PIXEL = sensors.OUTPUT_GSD / FINE
"""Metres to a drawn pixel."""
MARGIN = 8 * FINE
"""Drawn pixels around the scene, for the point spread function; a multiple of the 20 m pixel."""
SHADE: Spectrum = (0.46, 0.39, 0.35, 0.33, 0.25, 0.21)
"""What is left of the light where the sun does not reach, in the six bands."""
SPECTRA: dict[str, Spectrum] = {
    "wheat": (0.022, 0.046, 0.026, 0.42, 0.160, 0.070),
    "barley": (0.032, 0.064, 0.045, 0.36, 0.190, 0.100),
    "rape in flower": (0.046, 0.128, 0.112, 0.42, 0.190, 0.090),
    "alfalfa": (0.026, 0.060, 0.031, 0.47, 0.190, 0.080),
    "meadow": (0.031, 0.068, 0.043, 0.37, 0.210, 0.105),
    "hay": (0.060, 0.098, 0.092, 0.28, 0.290, 0.190),
    "loam": (0.052, 0.072, 0.092, 0.16, 0.240, 0.205),
    "loess": (0.080, 0.113, 0.144, 0.24, 0.330, 0.275),
    "broadleaf": (0.019, 0.042, 0.023, 0.40, 0.160, 0.065),
    "conifer": (0.016, 0.027, 0.018, 0.23, 0.090, 0.038),
    "river": (0.042, 0.058, 0.042, 0.022, 0.010, 0.007),
    "lake": (0.032, 0.036, 0.018, 0.009, 0.005, 0.003),
    "shallows": (0.055, 0.078, 0.060, 0.045, 0.020, 0.013),
    "asphalt": (0.085, 0.095, 0.102, 0.13, 0.150, 0.135),
    "concrete": (0.175, 0.200, 0.215, 0.25, 0.270, 0.245),
    "gravel": (0.115, 0.145, 0.175, 0.25, 0.310, 0.265),
    "red tiles": (0.075, 0.092, 0.150, 0.23, 0.270, 0.235),
    "slate": (0.090, 0.098, 0.105, 0.14, 0.160, 0.150),
    "white roof": (0.330, 0.350, 0.360, 0.38, 0.350, 0.310),
    "metal roof": (0.210, 0.222, 0.230, 0.26, 0.270, 0.255),
}
"""Reflectance in blue, green, red, nir08, swir16, swir22."""


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """The drawn ground; the arrays are (rows, columns) and are painted in place."""

    rng: np.random.Generator
    label: NDArray[np.uint16]
    vigour: Float
    """0 at the first spectrum of the label, 1 at the second."""
    height: Float
    """Metres above ground."""
    grain: Float
    """Noise of a few metres, mean 0, standard deviation 1."""
    soil: Float
    """Noise of some hundred metres, mean 0, standard deviation 1."""
    x: Float
    """Metres to the right, slightly warped so that no edge is straight."""
    y: Float
    """Metres down, warped as well."""
    ends: list[tuple[Points, Points]] = field(default_factory=list)
    """The two spectra of every label."""
    water: list[int] = field(default_factory=list)
    """The labels that are water."""

    BEND = 75.0
    """Metres that x and y are at most away from the straight ones."""

    @classmethod
    def blank(cls, rng: np.random.Generator, size: tuple[int, int]) -> Canvas:
        """Make a canvas for ``size`` rows and columns of 10 m pixels and the margin around them."""
        shape = (size[0] * FINE + 2 * MARGIN, size[1] * FINE + 2 * MARGIN)
        y, x = ((np.arange(n, dtype=np.float32) + 0.5) * np.float32(PIXEL) for n in shape)
        bend = [22 * smooth_noise(rng, shape, 700 / PIXEL) + 2 * smooth_noise(rng, shape, 90 / PIXEL) for _ in "xy"]
        bend = [np.clip(b, -cls.BEND, cls.BEND) for b in bend]
        return cls(
            rng=rng,
            label=np.zeros(shape, dtype=np.uint16),
            vigour=np.zeros(shape, dtype=np.float32),
            height=np.zeros(shape, dtype=np.float32),
            grain=_grain(rng, shape),
            soil=fractal_noise(rng, shape, 260 / PIXEL),
            x=x + bend[0],
            y=y[:, None] + bend[1],
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.label.shape[0], self.label.shape[1]

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height in metres."""
        return self.shape[1] * PIXEL, self.shape[0] * PIXEL

    @property
    def diagonal(self) -> float:
        """Metres from corner to corner."""
        return math.hypot(*self.extent)

    def cover(self, first: str, second: str, *, mix: tuple[float, float] = (0.0, 1.0), spread: float = 0.05) -> int:
        """Add a label that goes from one spectrum to another, or the part ``mix`` of that way, with its own tint."""
        a, b = (np.array(SPECTRA[name]) for name in (first, second))
        tint = np.exp(self.rng.normal(0, spread) + self.rng.normal(0, spread / 5, sensors.N_BANDS))
        self.ends.append(((a + mix[0] * (b - a)) * tint, (a + mix[1] * (b - a)) * tint))
        return len(self.ends) - 1

    def paint(self, where: Mask, label: int, vigour: Float | float, height: Float | float = 0.0) -> None:
        """Cover the pixels where ``where`` holds."""
        np.copyto(self.label, np.uint16(label), where=where)
        np.copyto(self.vigour, np.asarray(vigour, dtype=np.float32), where=where)
        np.copyto(self.height, np.asarray(height, dtype=np.float32), where=where)

    def is_water(self) -> Mask:
        """Where water was painted."""
        return np.isin(self.label, self.water)

    def window(self, left: float, right: float, top: float, bottom: float) -> Canvas | None:
        """Return the part that holds all x and y between these metres, a view to paint through; None off the canvas."""
        rows, columns = (
            slice(max(0, int((first - self.BEND) / PIXEL)), max(0, min(n, math.ceil((last + self.BEND) / PIXEL))))
            for first, last, n in ((top, bottom, self.shape[0]), (left, right, self.shape[1]))
        )
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        layers = ("label", "vigour", "height", "grain", "soil", "x", "y")
        return replace(self, **{name: getattr(self, name)[rows, columns] for name in layers})

    def around(self, centre: Points, radius: float) -> Canvas | None:
        """Return the window of the square that holds the circle."""
        return self.window(centre[0] - radius, centre[0] + radius, centre[1] - radius, centre[1] + radius)

    def render(self) -> Float:
        """(6, rows, columns) reflectance in sun and shade."""
        dark = cast_shadow(self.height, PIXEL, SUN_ELEVATION, SUN_AZIMUTH)
        image = np.empty((sensors.N_BANDS, *self.shape), dtype=np.float32)
        for band, left in enumerate(SHADE):
            first, second = (np.array([end[i][band] for end in self.ends], dtype=np.float32) for i in (0, 1))
            image[band] = first[self.label] + self.vigour * (second - first)[self.label]
            image[band][dark] *= left
        return image


def sentinel2_view(ground: Float) -> Float:
    """(6, 3h, 3w) at 10 m of the drawn ground (6, rows, columns): each band seen at its own pixel size and sharpness.

    nir08, swir16 and swir22 are sampled at 20 m and interpolated, as B8A, B11 and B12 are.
    """
    size = [(n - 2 * MARGIN) // FINE for n in ground.shape[1:]]
    native = []
    for band, image in zip(sensors.BANDS, ground, strict=True):
        step = band.sentinel2_gsd // sensors.OUTPUT_GSD
        native.append(_sample(image, band.msi_psf_sigma / PIXEL, step * FINE, [math.ceil(n / step) for n in size]))
    return sentinel2_stack(np.stack(native[sensors.NATIVE_10M]), np.stack(native[sensors.NATIVE_20M]))


def share(image: Float) -> Float:
    """(3h, 3w): mean of the drawn pixels of each 10 m pixel."""
    inner = image[MARGIN:-MARGIN, MARGIN:-MARGIN]
    mean: Float = inner.reshape(inner.shape[0] // FINE, FINE, -1, FINE).mean(axis=(1, 3))
    return mean


def _sample(image: Float, sigma: float, step: int, count: list[int]) -> Float:
    """Blur with a Gaussian of ``sigma`` drawn pixels and sample the middle of every ``step`` of them."""
    centre = MARGIN + (step - 1) / 2
    radius = min(4 * sigma, MARGIN - step)
    taps = np.arange(math.ceil(centre - radius), math.floor(centre + radius) + 1)
    weights = np.exp(-0.5 * ((taps - centre) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for n in count:  # rows, then columns
        seen = np.zeros((n, image.shape[1]), dtype=np.float32)
        for tap, weight in zip(taps, weights, strict=True):
            seen += weight * image[tap : tap + step * (n - 1) + 1 : step]
        image = np.ascontiguousarray(seen.T)
    return image


def _grain(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    """White noise blurred over three pixels."""
    noise = rng.standard_normal((shape[0] + 2, shape[1] + 2), dtype=np.float32)
    noise = noise[:-2] + 2 * noise[1:-1] + noise[2:]
    noise = noise[:, :-2] + 2 * noise[:, 1:-1] + noise[:, 2:]
    return noise / np.float32(6)  # standard deviation of (1, 2, 1) x (1, 2, 1)
