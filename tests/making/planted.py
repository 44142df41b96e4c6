"""Pairs of Landsat and Sentinel-2 that are apart by a known shift, made of drawn or of real Sentinel-2 imagery."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2.arrays import dilate
from l8s2.optics import resample
from l8s2.pairs.as_oli import BandImage
from l8s2.simulate import Conditions, observe, sentinel2_stack

Float = NDArray[np.float32]
LEFT, TOP = 500_000, 4_000_000
"""Corner of Sentinel-2's pixels; an MS pixel's block begins there."""
REAL = {
    "dsen2_T33UUB_L1C": 0, "dsen2_T49JGM_L1C": 0, "stest_virginia_L1C": 0, "okavango_L1C": 5, "pampas_L2A": 0,
    "aberystwyth_L2A": 0, "aquileia_L2A": 0, "sundarbans_L2A": 0, "dsen2_mock_L1C": 0,
}  # fmt: skip
"""File of the patches -> which image of it."""


class Planted(NamedTuple):
    ms: Float
    """(6, h, w) reflectance, NaN under known clouds."""
    box: GeoBox
    sentinel2: list[BandImage]
    truth: Float
    """(6, 3h, 3w) what Landsat saw, at 10 m on its block grid."""


def real_bands(data: Path, name: str, index: int | None = None) -> tuple[Float, Float]:
    """B02, B03, B04 and B8A, B11, B12 of the middle of a real image, 4 km at most, as reflectance; NaN is nodata."""
    path = data / "patches" / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"no {path.name} among the patches")
    with np.load(path) as archive:
        fine, coarse = (archive[k][REAL.get(name, 0) if index is None else index] for k in ("x10", "x20"))
    step = 2 if fine.shape[1] > coarse.shape[1] else 1
    size = [min(a // step, b) for a, b in zip(fine.shape[1:], coarse.shape[1:], strict=True)]
    rows, columns = (slice((n - m) // 2, (n - m) // 2 + m) for n, m in ((n, min(n, 400 // step)) for n in size))
    fine = fine[:, step * rows.start : step * rows.stop, step * columns.start : step * columns.stop]
    coarse = coarse[:, rows, columns]
    fine, coarse = (np.where(x == -32768, np.nan, x * np.float32(1e-4)).astype(np.float32) for x in (fine, coarse))
    return fine[:3], coarse


def filled(bands: Float) -> Float:
    return np.where(np.isfinite(bands), bands, np.nanmean(bands, axis=(1, 2), keepdims=True)).astype(np.float32)


def rasters(fine: Float, coarse: Float) -> list[BandImage]:
    """With their grids, which share the upper left corner."""
    gsd = 20 if coarse.shape[1] < fine.shape[1] else 10
    boxes = (GeoBox(x.shape[1:], Affine(g, 0, LEFT, 0, -g, TOP), "EPSG:32633") for x, g in ((fine, 10), (coarse, gsd)))
    return [BandImage(band, box) for x, box in zip((fine, coarse), boxes, strict=True) for band in x]


def plant(
    fine: Float,
    coarse: Float,
    shift: tuple[float, float],
    seed: int,
    *,
    side: int = 96,
    first: tuple[int, int] = (4, 4),
    clouds: float = 0.0,
) -> Planted:
    """Landsat as it would see the ground if Sentinel-2's content lay ``shift`` metres too far down and right.

    Optics, noise, gains (10 %) and offsets (0.02) are drawn. Clouds, a share of each image, are of other places,
    brightness and opacity in the two; masks miss their thin rims.

    Args:
        side: MS pixels to a side, fewer where the image is small.
        first: MS pixel of Sentinel-2's grid where Landsat's begins.
    """
    rng = np.random.default_rng(seed)
    stack = sentinel2_stack(filled(fine), filled(coarse))
    size = [min(side, (n - 3 * f - 12) // 3) for n, f in zip(stack.shape[1:], first, strict=True)]
    at = [np.arange(3 * n) + 3 * f + s / 10 for n, f, s in zip(size, first, shift, strict=True)]
    truth = resample(stack, *at, 0.0)
    drawn = Conditions.random(rng, disturbed=True)
    gain, offset = rng.normal(1, 0.1, 6), rng.normal(0, 0.02, 6)
    ms = observe(truth, replace(drawn, gain=tuple(gain), offset=tuple(offset)), rng).ms
    corner = Affine(30, 0, LEFT - 5 + 30 * first[1], 0, -30, TOP + 5 - 30 * first[0])
    if clouds:
        opacity, hidden = cloud(rng, ms.shape[1:], clouds)
        ms = ms * (1 - opacity) + rng.uniform(0.35, 1) * opacity
        ms[:, hidden] = np.nan
        opacity, hidden = (
            x.repeat(3, 0).repeat(3, 1) for x in cloud(rng, tuple(-(-n // 3) for n in stack.shape[1:]), clouds)
        )
        fine, coarse = fine.copy(), coarse.copy()
        level = rng.uniform(0.35, 1)
        for bands in (fine, coarse):
            step = round(fine.shape[1] / bands.shape[1])
            veil, mask = (x[::step, ::step][: bands.shape[1], : bands.shape[2]] for x in (opacity, hidden))
            bands *= 1 - veil
            bands += level * veil
            bands[:, mask] = np.nan
    return Planted(ms, GeoBox(ms.shape[1:], corner, "EPSG:32633"), rasters(fine, coarse), truth)


def cloud(rng: np.random.Generator, shape: tuple[int, ...], share: float) -> tuple[Float, NDArray[np.bool_]]:
    """Opacity 0 to 1, and a mask of ``share`` of the image that the thin rims lie outside of."""
    noise = rng.standard_normal(shape).astype(np.float32)
    field = resample(noise, *(np.arange(n) for n in shape), 6.0)
    field += 0.05 * resample(rng.standard_normal(shape).astype(np.float32), *(np.arange(n) for n in shape), 2.0)
    above = (field - np.quantile(field, 1 - share)) / field.std()
    return np.clip(2 * above + 0.2, 0, 1).astype(np.float32), above > 0


def shrunk(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Without what is close to False or to the border."""
    return ~dilate(~np.pad(mask, pixels), pixels)[pixels:-pixels, pixels:-pixels]
