"""Sentinel-2 bands resampled to any grid of their zone, blurred in the same step. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.arrays import Float, fill_missing
from l8s2.errors import InputError
from l8s2.optics import resample
from l8s2.sensors import BANDS, OUTPUT_GSD, extra_blur

_REACH = 16
"""Pixels that band-limited interpolation looks at to each side."""
_HOLE = 0.02
"""Share of missing ground from which a pixel is missing."""


class BandImage(NamedTuple):
    """One band of Sentinel-2 on its own grid."""

    values: Float
    """(h, w) reflectance; NaN is missing or not to be used."""
    box: GeoBox
    """North up, 10 or 20 m, UTM."""


def as_landsat(
    sentinel2: Sequence[BandImage],
    box: GeoBox,
    *,
    bands: Sequence[int] = range(len(BANDS)),
    down: float = 0.0,
    right: float = 0.0,
) -> Float:
    """Return what OLI would see on an MS grid, but for the band-pass: (bands, h, w), NaN is missing.

    Args:
        sentinel2: the six bands, in the order of ``sensors.BANDS``.
        box: the MS grid.
        bands: indices of the bands to return.
        down: as for ``sample``.
        right: as for ``sample``.
    """
    blurs = [extra_blur(band.oli_psf_sigma, band.msi_psf_sigma) * OUTPUT_GSD for band in BANDS]
    return np.stack([sample(sentinel2[b], box, down=down, right=right, sigma=blurs[b]) for b in bands])


def sample(band: BandImage, onto: GeoBox, *, down: float = 0.0, right: float = 0.0, sigma: float = 0.0) -> Float:
    """Resample a band to another grid of its zone, band-limited, blurred in the same step.

    Args:
        band: the band on its own grid.
        onto: the grid to resample to, north up, in the band's zone (under either name).
        down: metres by which the band's content lies too far down.
        right: metres by which it lies too far right.
        sigma: standard deviation of the blur, metres.

    Returns:
        (h, w) of ``onto``, NaN where more than 2 % of the support is missing. Where pixels coincide and nothing is
        blurred they are copied.

    Raises:
        InputError: The grids are in different zones.
    """
    ours, theirs = grid.landsat_convention(onto), grid.landsat_convention(band.box)
    if ours.crs != theirs.crs:
        raise InputError(
            f"Sentinel-2 band in {band.box.crs}, Landsat in {onto.crs}; choose a tile of the same UTM zone"
        )
    a, b, gsd = ours.affine, theirs.affine, theirs.affine.a
    rows = (b.f - a.f - a.e * (np.arange(ours.shape[0]) + 0.5) + down) / gsd - 0.5
    columns = (a.c - b.c + a.a * (np.arange(ours.shape[1]) + 0.5) + right) / gsd - 0.5
    blur = sigma / gsd
    whole = [np.rint(at).astype(int) for at in (rows, columns)]
    copied = not sigma and max(np.abs(at - w).max() for at, w in zip((rows, columns), whole, strict=True)) < 1e-6
    reach = 0 if copied else max(_REACH, int(np.ceil(5 * blur)))
    cut, starts = _cut(band.values, *((int(w.min()) - reach, int(w.max()) + reach + 1) for w in whole))
    if copied:
        return cut[np.ix_(*(w - s for w, s in zip(whole, starts, strict=True)))]
    positions = (rows - starts[0], columns - starts[1])
    result = resample(fill_missing(cut[None])[0], *positions, blur)
    missing = ~np.isfinite(cut)
    if missing.any():
        result[resample(missing.astype(np.float32), *positions, max(blur, 0.9)) > _HOLE] = np.nan
    return result


def _cut(values: Float, rows: tuple[int, int], columns: tuple[int, int]) -> tuple[Float, tuple[int, int]]:
    """Cut rows and columns (first, end) out of an image, NaN beyond it; returns also where they start."""
    result = np.full((rows[1] - rows[0], columns[1] - columns[0]), np.nan, np.float32)
    (top, bottom), (left, right) = (
        (min(max(first, 0), n), min(max(end, 0), n))
        for (first, end), n in zip((rows, columns), values.shape, strict=True)
    )
    result[top - rows[0] : bottom - rows[0], left - columns[0] : right - columns[0]] = values[top:bottom, left:right]
    return result, (rows[0], columns[0])
