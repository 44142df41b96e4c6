"""How Level 1 is made of raw samples.

OLI samples the ground on a grid of its own, which is rotated against the map. Level 1 brings that to the map by cubic
convolution, so that blur, sampling phase and correlation of the noise vary over the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Float
from l8s2.optics import blurred, resample
from l8s2.sensors import OUTPUT_GSD, extra_blur

Positions = NDArray[np.float64]
_SHARPEST = -0.4
"""Lowest variance of a blur, square pixels: twice the contrast of MSI's 20 m bands at their Nyquist frequency, and not
more."""


@dataclass(frozen=True, kw_only=True)
class RawGrid:
    """Where OLI took its samples before Level 1 put them onto the map."""

    rotation: float
    """Degrees, anticlockwise on the map. The track of Landsat's orbit (inclination 98.2 degrees) crosses the meridians
    at 9 degrees near the equator and 13 at 50 degrees of latitude; convergence of the meridians adds up to 3."""
    spacing: tuple[float, float] = (1.0, 1.0)
    """Distance of samples along and across the track, in units of the nominal 30 m (pan: 15 m)."""
    phase: tuple[float, float] = (0.0, 0.0)
    """Where the middle of the image falls between samples, in samples."""

    def from_map(self, offset: Positions, gsd: float) -> Positions:
        """Turn (2, ...) offsets from the middle of the image, down and right, into positions in samples.

        ``gsd`` is in the unit of the offsets.
        """
        cos, sin = np.cos(np.radians(self.rotation)), np.sin(np.radians(self.rotation))
        turned = np.stack([cos * offset[0] + sin * offset[1], cos * offset[1] - sin * offset[0]])
        each = (2, *(1,) * (offset.ndim - 1))
        result: Positions = turned / (gsd * np.reshape(self.spacing, each)) + np.reshape(self.phase, each)
        return result

    def to_map(self, samples: Positions, gsd: float) -> Positions:
        """Invert ``from_map``."""
        cos, sin = np.cos(np.radians(self.rotation)), np.sin(np.radians(self.rotation))
        each = (2, *(1,) * (samples.ndim - 1))
        turned = (samples - np.reshape(self.phase, each)) * (gsd * np.reshape(self.spacing, each))
        return np.stack([cos * turned[0] - sin * turned[1], cos * turned[1] + sin * turned[0]])


def cubic_convolution(images: Float, positions: Positions) -> Float:
    """Cubic convolution (Keys 1981, a = -0.5) at arbitrary positions.

    Args:
        images: (bands, height, width).
        positions: (2, ...) row and column in pixels. Beyond the ends the edge pixel repeats.

    Returns:
        (bands, ...) float32.
    """
    bands, height, width = images.shape
    whole = np.floor(positions)
    down, across = _keys((positions - whole).reshape(2, -1).astype(np.float32))
    first = whole.reshape(2, -1).astype(np.int32)
    near = first[:, None] + np.arange(-1, 3, dtype=np.int32)[:, None]  # (2, 4, n)
    rows, columns = np.clip(near[0], 0, height - 1) * np.int32(width), np.clip(near[1], 0, width - 1)
    flat = images.reshape(bands, -1)
    result = np.zeros((bands, rows.shape[1]), dtype=np.float32)
    for row, weight in zip(rows, down, strict=True):
        line = np.zeros_like(result)
        for column, share in zip(columns, across, strict=True):
            line += share * flat.take(row + column, axis=1)
        result += weight * line
    return result.reshape(bands, *positions.shape[1:])


def _keys(fraction: Float) -> tuple[Float, Float]:
    """Weights (4, n) of the pixels -1, 0, 1, 2 for ``fraction`` (2, n) behind pixel 0; down and across."""
    t = fraction
    weights = np.stack(
        [
            ((-0.5 * t + 1) * t - 0.5) * t,
            (1.5 * t - 2.5) * t * t + 1,
            ((-1.5 * t + 2) * t + 0.5) * t,
            (0.5 * t - 0.5) * t * t,
        ]
    )
    return weights[:, 0], weights[:, 1]


def level1(
    blurred: Float,
    grid: RawGrid,
    rows: NDArray[np.number],
    columns: NDArray[np.number],
    gsd: float,
    disturb: Callable[[Float], Float] = lambda raw: raw,
) -> Float:
    """Sample on ``grid``, then resample to the map.

    Args:
        blurred: (bands, height, width) the ground as blurred by the sensor, 10 m pixels.
        grid: of the sensor.
        rows: (h,) centres of the map's pixels, in pixels of ``blurred``.
        columns: (w,) as ``rows``.
        gsd: nominal distance of samples, in pixels of ``blurred``.
        disturb: what happens to the raw samples (bands, n, 1), such as noise.

    Returns:
        (bands, h, w) float32.
    """
    middle = (np.array(blurred.shape[1:]) - 1)[:, None, None] / 2
    target = grid.from_map(np.stack(np.meshgrid(rows, columns, indexing="ij")) - middle, gsd)
    first = np.floor(target.min((1, 2))).astype(int) - 1
    last = np.floor(target.max((1, 2))).astype(int) + 2
    samples = np.stack(np.meshgrid(*(np.arange(a, b + 1.0) for a, b in zip(first, last, strict=True)), indexing="ij"))
    positions = grid.to_map(samples, gsd) + middle
    # the map's pixels need no sample that is three samples away from the nearest of them
    ends = np.array([(rows[0], rows[-1]), (columns[0], columns[-1])])
    margin = 3 * gsd * max(grid.spacing)
    needed = ((positions > ends[:, :1, None] - margin) & (positions < ends[:, 1:, None] + margin)).all(0)
    raw = np.zeros((len(blurred), *needed.shape), dtype=np.float32)
    raw[:, needed] = disturb(cubic_convolution(blurred, positions[:, needed, None]))[..., 0]
    return cubic_convolution(raw, target - first[:, None, None])


def bands_on_map(
    ground: Float,
    sigmas: Sequence[tuple[float, float]],
    shifts: Sequence[tuple[float, float]],
    grid: RawGrid | None,
    rows: NDArray[np.floating],
    columns: NDArray[np.floating],
    spacing: float,
    disturb: Callable[[Float], Float] = lambda raw: raw,
) -> Float:
    """Return bands (bands, h, w) as OLI sees them on the map.

    Args:
        ground: as Sentinel-2 saw it.
        sigmas: point spread functions of OLI and MSI, metres, for each band.
        shifts: of each band, metres.
        grid: of the raw samples; None: there are none.
        rows: of the map's pixels in pixels of ``ground``.
        columns: as ``rows``.
        spacing: distance of the map's pixels.
        disturb: what happens to the raw samples.
    """
    moves = [(down / OUTPUT_GSD, right / OUTPUT_GSD) for down, right in shifts]
    bands = zip(ground, sigmas, moves, strict=True)
    if grid is None:
        return np.stack(
            [
                resample(band, rows + down, columns + right, extra_blur(oli, msi))
                for band, (oli, msi), (down, right) in bands
            ]
        )
    # raw samples may be sharper than a 20 m band of MSI
    whole = [blurred(band, max((oli**2 - msi**2) / OUTPUT_GSD**2, _SHARPEST), move) for band, (oli, msi), move in bands]
    return level1(np.stack(whole), grid, rows, columns, spacing, disturb)
