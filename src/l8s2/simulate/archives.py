"""Sentinel-2 imagery in memory, read from NumPy archives."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from l8s2 import sensors
from l8s2.arrays import Float
from l8s2.optics import resample
from l8s2.simulate.sensor import sentinel2_stack

VALIDATION = ("dsen2_T33UUB", "dsen2_mock", "pampas", "bigearthnet6", "sundarbans")
"""Places no network is trained on."""

CALIBRATION = {"stest_virginia": (0.82, 1.0), "aberystwyth": (0.72, 1.0), "okavango": (0.8, 1.0)}
"""Strips (fractions of the height) kept out of training to scale sigma; a gap of 5 % is used for nothing."""

UNUSED = ("barkbeetle", "berlin_krull")
"""Chips too small to crop; a nearest-neighbour staircase."""

_NODATA = -32768

_MSI_SIGMA = (0.52, 1.03)
"""Sharpness of Sentinel-2's 10 m and 20 m bands, Gaussian sigma in 10 m pixels."""

_NATIVE_SIGMA = {
    # sharpness of files whose pixels are not Sentinel-2's own, sigma in pixels of the file (10 m bands, 20 m bands)
    "aquileia": (0.52, 0.74),
    "sachrang": (0.90, 1.54),
    "hls_water": (0.50, 0.50),
}

_SMALLEST_SCALE = {"sachrang": 1.5}


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image as a stack of the six bands on one grid."""

    place: str
    stack: Float
    """(6, H, W) reflectance; NaN is nodata. Missing bands hold a stand-in."""
    known_bands: tuple[bool, ...]
    """False where the band is only a stand-in: input, but never a target."""
    sigma: tuple[float, float] = _MSI_SIGMA
    """Sharpness of the 10 m and of the 20 m bands, Gaussian sigma in pixels."""
    smallest_scale: float = 1.0
    index: int = 0
    """Number of the image in its file."""


def load(path: Path) -> list[Image]:
    """Every image of one file."""
    place = path.stem.removesuffix("_L1C").removesuffix("_L2A").removesuffix("_30m")
    key = next((k for k in _NATIVE_SIGMA if place.startswith(k)), "")
    with np.load(path, allow_pickle=False) as archive:
        meta = json.loads(str(archive["meta"]))
        missing = set(meta.get("missing", []))
        known = tuple(band.sentinel2 not in missing for band in sensors.BANDS)
        if "x" in archive:
            stacks = [_reflectance(x) for x in archive["x"]]
        else:
            stacks = [_stack(*pair, known) for pair in zip(archive["x10"], archive["x20"], strict=True)]
    return [
        Image(
            place=place,
            stack=stack,
            known_bands=known,
            sigma=_NATIVE_SIGMA.get(key, _MSI_SIGMA),
            smallest_scale=_SMALLEST_SCALE.get(key, 1.0),
            index=index,
        )
        for index, stack in enumerate(stacks)
        if np.isfinite(stack).all(0).mean() > 0.3
    ]


def _reflectance(dn: np.ndarray) -> Float:
    return np.where(dn == _NODATA, np.nan, dn * np.float32(1e-4)).astype(np.float32)


def _stack(x10: np.ndarray, x20: np.ndarray, known: tuple[bool, ...]) -> Float:
    """Visible bands, then nir08, swir16, swir22 at 10 m, missing ones replaced by something plausible."""
    fine, coarse = _reflectance(x10), _reflectance(x20)
    if coarse.shape[-2:] != fine.shape[-2:]:
        height, width = (min(f // 2, c) for f, c in zip(fine.shape[-2:], coarse.shape[-2:], strict=True))
        fine, coarse = fine[:, : 2 * height, : 2 * width], coarse[:, :height, :width]
    stand_in = (fine[3], 0.5 * (fine[3] + fine[2]), 0.3 * fine[3] + 0.7 * fine[2])
    rows, columns = (np.arange(n, dtype=np.float64) for n in fine.shape[-2:])
    if all(known[sensors.NATIVE_20M]) and np.isfinite(coarse).all():
        return sentinel2_stack(fine[sensors.NATIVE_10M], coarse)
    late = coarse
    if coarse.shape[-2:] != fine.shape[-2:]:  # nodata or missing bands forbid interpolation
        late = np.repeat(np.repeat(coarse, 2, 1), 2, 2)
    late = np.stack(
        [
            b if ok else resample(s, rows, columns, 0.9)
            for b, s, ok in zip(late, stand_in, known[sensors.NATIVE_20M], strict=True)
        ]
    )
    return np.concatenate([fine[sensors.NATIVE_10M], late]).astype(np.float32)


def load_folder(folder: Path) -> tuple[list[Image], list[Image], list[Image]]:
    """All images of a folder as (training, calibration, validation), split by place."""
    training: list[Image] = []
    calibration: list[Image] = []
    validation: list[Image] = []
    for path in sorted(folder.glob("*.npz")):
        if path.name.startswith(UNUSED):
            continue
        for image in load(path):
            strip = next((s for k, s in CALIBRATION.items() if image.place.startswith(k)), None)
            if image.place.startswith(VALIDATION):
                validation.append(image)
            elif strip is None:
                training.append(image)
            else:
                first, last = (int(f * image.stack.shape[1]) for f in (strip[0], strip[1]))
                gap = int(0.05 * image.stack.shape[1])
                calibration.append(_rows(image, first, last))
                training.append(_rows(image, 0, first - gap))
    if not training:
        raise FileNotFoundError(f"{folder}: no .npz imagery to train on; give the folder that holds x10/x20 archives")
    return training, calibration, validation


def _rows(image: Image, first: int, last: int) -> Image:
    return replace(image, stack=image.stack[:, first:last])
