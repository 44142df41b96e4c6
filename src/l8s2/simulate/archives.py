"""Sentinel-2 imagery in memory, read from NumPy archives.

A file is an ``.npz`` with ``x10`` int16 [N, 4, H, W] = B02, B03, B04, B08 and ``x20`` int16 [N, 3, h, w] = B8A, B11,
B12 (reflectance x 10^4, -32768 nodata, offset removed), or ``x`` int16 [N, 6, H, W] of one ground sampling distance,
and ``meta``, a JSON object. Of it ``missing`` lists bands that are not there.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from l8s2.arrays import Float
from l8s2.errors import InputError
from l8s2.optics import resample
from l8s2.sensors import BANDS, NATIVE_10M, NATIVE_20M
from l8s2.simulate.sensor import sentinel2_stack

MSI_SIGMA = (0.52, 1.03)
"""Sharpness of Sentinel-2's 10 m and 20 m bands, Gaussian sigma in 10 m pixels."""
_NODATA = -32768
_SMALLEST_SHARE = 0.3
"""Share of the pixels that must have a value, or the image is left out."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image as a stack of the six bands on one grid."""

    site: str
    """Name of the archive without its level."""
    stack: Float
    """(6, H, W) reflectance; NaN is nodata. Missing bands hold a stand-in."""
    known_bands: tuple[bool, ...]
    """False where the band is only a stand-in: input, but never a target."""
    sigma: tuple[float, float] = MSI_SIGMA
    """Sharpness of the 10 m and of the 20 m bands, Gaussian sigma in pixels."""
    smallest_scale: float = 1.0
    """Factor by which the image must at least be shrunk before its pixels pass for 10 m ones."""
    index: int = 0
    """Number of the image in its file."""
    name: str = ""
    """Name of the file, and the number where the file holds several images; '' where it is not from a file."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """What a file holds."""

    images: list[Image]
    """The images that have enough pixels with a value."""
    meta: dict[str, Any]
    count: int
    """Number of images, those left out included."""


def load_archive(path: Path) -> Archive:
    """Read every image of one file. Raises InputError, in one line, for anything that is no such archive."""
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path.name}: not an .npz archive, or a damaged one; make it again")
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = ["x"] if "x" in archive else ["x10", "x20"] if "x10" in archive and "x20" in archive else []
            missing = "meta" if "meta" not in archive else "x10 and x20, or x," if not names else None
            if missing:
                raise InputError(f"{path.name}: no {missing} in it; docs/training.md tells the form of an archive")
            meta, arrays = json.loads(str(archive["meta"])), [archive[name] for name in names]
        if not all(isinstance(array, np.ndarray) for array in arrays):
            raise ValueError("not all are arrays")
        if not isinstance(meta, dict):
            raise InputError(
                f"{path.name}: its meta is not a JSON object; docs/training.md tells the form of an archive"
            )
        shapes = [array.shape for array in arrays]
        if [s[1:2] for s in shapes] not in ([(4,), (3,)], [(len(BANDS),)]) or {len(s) for s in shapes} != {4}:
            raise InputError(f"{path.name}: arrays of {shapes}; x10 must be N x 4 x H x W, x20 N x 3 x h x w")
        if any(array.dtype.kind not in "iu" for array in arrays):
            raise InputError(f"{path.name}: holds {arrays[0].dtype}; it must hold int16, reflectance x 10 000")
        return Archive(images=_images(path.stem, arrays, meta), meta=meta, count=shapes[0][0])
    except InputError:
        raise
    except (
        OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise InputError(f"{path.name}: cannot be read ({error!s:.80}); make it again") from None


def _images(name: str, arrays: list[np.ndarray], meta: dict[str, Any]) -> list[Image]:
    missing = set(meta.get("missing", []))
    known = tuple(band.sentinel2 not in missing for band in BANDS)
    if len(arrays) == 1:
        stacks = [_reflectance(x) for x in arrays[0]]
    else:
        stacks = [_stack(x10, x20, known) for x10, x20 in zip(arrays[0], arrays[1], strict=True)]
    return [
        Image(
            site=name.removesuffix("_L1C").removesuffix("_L2A").removesuffix("_30m"),
            stack=stack,
            known_bands=known,
            index=index,
            name=name if len(stacks) == 1 else f"{name}_{index:03d}",
        )
        for index, stack in enumerate(stacks)
        if np.isfinite(stack).all(0).mean() > _SMALLEST_SHARE
    ]


def _reflectance(dn: np.ndarray) -> Float:
    return np.where(dn == _NODATA, np.nan, dn * np.float32(1e-4)).astype(np.float32)


def _stack(x10: np.ndarray, x20: np.ndarray, known: tuple[bool, ...]) -> Float:
    """Return visible bands, then nir08, swir16, swir22 at 10 m, missing ones replaced by something plausible."""
    fine, coarse = _reflectance(x10), _reflectance(x20)
    if coarse.shape[-2:] != fine.shape[-2:]:
        height, width = (min(f // 2, c) for f, c in zip(fine.shape[-2:], coarse.shape[-2:], strict=True))
        fine, coarse = fine[:, : 2 * height, : 2 * width], coarse[:, :height, :width]
    stand_in = (fine[3], 0.5 * (fine[3] + fine[2]), 0.3 * fine[3] + 0.7 * fine[2])
    rows, columns = (np.arange(n, dtype=np.float64) for n in fine.shape[-2:])
    if all(known[NATIVE_20M]) and np.isfinite(coarse).all():
        return sentinel2_stack(fine[NATIVE_10M], coarse)
    late = coarse
    if coarse.shape[-2:] != fine.shape[-2:]:  # nodata or missing bands forbid interpolation
        late = np.repeat(np.repeat(coarse, 2, 1), 2, 2)
    late = np.stack(
        [
            b if ok else resample(s, rows, columns, 0.9)
            for b, s, ok in zip(late, stand_in, known[NATIVE_20M], strict=True)
        ]
    )
    return np.concatenate([fine[NATIVE_10M], late]).astype(np.float32)
