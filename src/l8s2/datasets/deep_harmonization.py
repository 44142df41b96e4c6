"""Patches of the Deep-Harmonization system: a CSV of pairs, and one HDF5 file for each.

The files are ``<patch_path>/*/*/<patch_id>*.h5``. A file holds ``s2_image`` (6, about 256, about 256; reflectance x
10^4), ``l8_image`` (6, about 86, about 86; DN) and ``l8_pan`` (2-D, reflectance already). Nothing in it says whether
the offset of Sentinel-2's baseline 04.00 was taken off, nor where the three arrays lie: they are stretched onto each
other, corners upon corners, as the Deep-Harmonization code does it. Two of its habits are left out: negative
reflectance is not cut off, and fill (DN 0) is invalid instead of becoming a reflectance.
"""

from __future__ import annotations

import csv
import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from l8s2.arrays import Float, Mask, dilate, fill_missing
from l8s2.datasets.image_pair import ImagePair
from l8s2.errors import InputError
from l8s2.sensors import N_BANDS, OLI

FILL_RADIUS = 2
"""MS pixels that bicubic interpolation carries fill."""
_COLUMNS = ("patch_id", "pair_type")


@dataclass(frozen=True)
class DeepHarmonizationPatches:
    """Pairs of one ``pair_type``, all arrays at 10 m and free of NaN, in the order of the CSV."""

    csv_path: Path
    patch_path: Path
    pair_type: str
    size: int
    """10 m pixels to a side; a larger patch loses its right and lower edge, a smaller one is padded with invalid
    pixels."""
    min_ssim: float = 0.0
    min_psnr: float = 0.0
    """Rows with ``ssim`` below and ``psnr`` not above are left out. Never set these for rows to validate on."""

    @cached_property
    def ids(self) -> list[str]:
        """Values of ``patch_id``, one for each row. Raises InputError where there are none."""
        found = [row["patch_id"] for row in self._rows() if row["pair_type"] == self.pair_type and self._kept(row)]
        if not found:
            raise InputError(
                f"{self.csv_path}: no rows with pair_type {self.pair_type}; give the key that the file uses"
            )
        return found

    def _rows(self) -> Iterator[dict[str, str]]:
        try:
            with self.csv_path.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                for column in _COLUMNS:
                    if column not in (reader.fieldnames or ()):
                        raise InputError(
                            f"{self.csv_path}: no column {column}; give the CSV of the Deep-Harmonization patches"
                        )
                yield from reader
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(
                f"{self.csv_path}: cannot be read ({error}); give the CSV of the Deep-Harmonization patches"
            ) from None

    def _kept(self, row: dict[str, str]) -> bool:
        try:
            alike = not self.min_ssim or float(row["ssim"]) >= self.min_ssim
            return alike and (not self.min_psnr or float(row["psnr"]) > self.min_psnr)
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{self.csv_path}: {row['patch_id']} has no ssim or psnr; set min_ssim and min_psnr to 0"
            ) from None

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def fingerprint(self) -> str:
        """Checksum of the names in order; the files themselves are too many to read."""
        return hashlib.sha256("\n".join(self.ids).encode()).hexdigest()

    def __getitem__(self, index: int) -> ImagePair:
        """Read one pair. Raises InputError where its file is missing or not as it should be."""
        import h5py

        name = self.ids[index]
        path = self._path(name)
        try:
            with h5py.File(path, "r") as file:
                s2, l8, pan = (np.asarray(file[key]) for key in ("s2_image", "l8_image", "l8_pan"))
        except (OSError, KeyError) as error:
            raise InputError(f"{path}: not a patch ({error}); copy it again or take its row out of the CSV") from None
        if s2.ndim != 3 or l8.ndim != 3 or pan.ndim != 2 or s2.shape[0] != N_BANDS or l8.shape[0] != N_BANDS:
            shapes = f"s2_image {s2.shape}, l8_image {l8.shape}, l8_pan {pan.shape}"
            raise InputError(f"{path}: {shapes}; they must be (6, H, W), (6, h, w) and (h, w)")
        return self._pair(name, s2, l8, pan.astype(np.float32))

    @cached_property
    def _files(self) -> dict[str, Path]:
        """Files by their name without suffix."""
        return {path.stem: path for path in self.patch_path.glob("*/*/*.h5")}

    @cached_property
    def _names(self) -> list[str]:
        return sorted(self._files)

    def _path(self, name: str) -> Path:
        """Return the file of exactly this name, or else the first that begins with it."""
        names = self._names
        at = bisect_left(names, name)
        if at == len(names) or not names[at].startswith(name):
            raise InputError(f"{self.patch_path}: no file */*/{name}*.h5; give the folder of the patches")
        return self._files[names[at]]

    def _pair(self, name: str, s2: np.ndarray, l8: np.ndarray, pan: Float) -> ImagePair:
        shape = (s2.shape[1], s2.shape[2])
        no_ms, no_pan = (l8 == 0).any(0), ~np.isfinite(pan) | (pan == 0)
        reflectance = np.where(no_ms, np.nan, l8 * np.float32(OLI.sr_scale) + np.float32(OLI.sr_offset)).astype(
            np.float32
        )
        images = fill_missing(reflectance), fill_missing(np.where(no_pan, np.nan, pan)[None].astype(np.float32))
        gone = [_nearest(dilate(mask, FILL_RADIUS), shape) for mask in (no_ms, no_pan)]
        valid = (s2 != 0) & ~(gone[0] | gone[1])
        ms, pan_10m = (_bicubic(x, shape) for x in images)
        truth = (s2 * np.float32(1e-4)).astype(np.float32)
        valid = _fit(valid, self.size)
        return ImagePair(
            ms=_fit(ms, self.size),
            pan=_fit(pan_10m, self.size)[0],
            truth=_fit(truth, self.size),
            valid=valid,
            bands_known=tuple(bool(band.any()) for band in valid),
            id=name,
            lattice=None,
        )


def _bicubic(image: Float, shape: tuple[int, int]) -> Float:
    """PyTorch's bicubic (a = -0.75, corners upon corners), as the Deep-Harmonization networks get their inputs."""
    import torch
    from torch.nn import functional as F

    result: Float = F.interpolate(torch.from_numpy(image)[None], size=shape, mode="bicubic")[0].numpy()
    return result


def _nearest(mask: Mask, shape: tuple[int, int]) -> Mask:
    rows, columns = (np.arange(n) * m // n for n, m in zip(shape, mask.shape, strict=True))
    return mask[np.ix_(rows, columns)]


def _fit(image: np.ndarray, size: int) -> np.ndarray:
    """Cut or pad (edge repeated, masks with False) at the right and below to (bands, size, size)."""
    image = image[:, :size, :size]
    gap = [(0, 0), *((0, size - n) for n in image.shape[1:])]
    return np.pad(image, gap) if image.dtype == bool else np.pad(image, gap, mode="edge")
