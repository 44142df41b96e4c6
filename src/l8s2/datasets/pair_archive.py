"""Real pairs handed over as one NumPy archive: native pixels of both sensors, and where they lie.

An ``.npz`` of N dates of one place. Reflectance is in integers, x 10^4, any offset removed; -32768 is nodata:

    ms     [N, 6, h, w]    Landsat surface reflectance, native 30 m pixels, bands in the order of ``sensors.BANDS``
    pan    [N, 2h, 2w]     top-of-atmosphere reflectance, 15 m, pan[:, 0, 0] centred on ms[:, :, 0, 0]; optional
    x10    [N, 4, H, W]    Sentinel-2 B02, B03, B04 and B08 (not looked at), 10 m
    x20    [N, 3, H', W']  Sentinel-2 B8A, B11, B12, 20 m
    l8_qa  [N, h, w]       Collection-2 QA_PIXEL or Collection-1 pixel_qa; optional
    scl    [N, H', W']     scene classification of Sentinel-2, 20 m; optional
    meta                   JSON: ``ms_centre_00``, ``x10_edge``, ``x20_edge``, and optional ``dates``

``ms_centre_00`` is the centre of the first MS pixel, the edges are upper left corners of the rasters: [x, y] in metres
of one UTM zone. ``dates`` holds the times of both images, ISO 8601, Landsat's first, for each date.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from l8s2 import masks
from l8s2.arrays import Float, Mask, Values, dilate, enlarge, fill_missing
from l8s2.datasets.image_pair import MARGIN, ImagePair, Lattice, all_bands_valid
from l8s2.errors import InputError
from l8s2.grid import BLOCK, ms_centres_at_10m
from l8s2.optics import resample
from l8s2.sensors import N_BANDS, NATIVE_10M, OUTPUT_GSD

_NODATA = -32768
_GSD_20M = 2 * OUTPUT_GSD
_COLLECTION_2 = 1 << 11
"""Collection-1 pixel_qa ends at bit 10. QA_PIXEL is above it wherever there is no fill: its confidence of cirrus (bits
14-15) is at least 1."""
_BANDS = {"ms": N_BANDS, "x10": 4, "x20": 3}
_OPTIONAL = ("pan", "l8_qa", "scl")
_FORM = "docs/evaluate.md tells the form of a pair archive"


class PairArchive:
    """The dates of one archive, each a pair on the block grid of its MS pixels."""

    def __init__(self, path: Path) -> None:
        """Read and check an archive. Raises InputError, in one line, for anything that is none."""
        self.path = path
        self._arrays, meta = _read(path)
        _check(path.name, self._arrays)
        centre, *edges = (_position(path.name, meta, name) for name in ("ms_centre_00", "x10_edge", "x20_edge"))
        self._offsets = [(top - centre[1], centre[0] - left) for left, top in edges]
        """Metres (down, right) from the upper left corner of x10, and of x20, to the centre of the first MS pixel."""
        self._dates = _dates(path.name, meta, len(self))

    def __len__(self) -> int:
        return len(self._arrays["ms"])

    @property
    def unmasked(self) -> list[str]:
        """Names of the arrays that are not there, and without which clouds of a sensor count."""
        return [name for name in ("l8_qa", "scl") if name not in self._arrays]

    def __getitem__(self, index: int) -> ImagePair:
        """Return one date.

        Sentinel-2's 20 m bands are interpolated, band-limited, and so are its 10 m bands where they lie off the block
        grid. Clouds in the 20 m bands are guessed from what lies beside them first, lest they ring into clear ground.
        What lies beyond the bands, or within MARGIN pixels of missing ones, is not valid.
        """
        index = range(len(self))[index]
        ms = _reflectance(self._arrays["ms"][index])
        bits = self._bits("l8_qa", index)
        if bits is not None:
            ms[:, bits & masks.flag("fill") > 0] = np.nan
        valid = enlarge(all_bands_valid(ms) if bits is None else all_bands_valid(ms) & masks.usable(bits))
        h, w = ms.shape[1:]
        bands = []
        for name, gsd, (down, right) in zip(("x10", "x20"), (OUTPUT_GSD, _GSD_20M), self._offsets, strict=True):
            values = _reflectance(self._arrays[name][index])
            seen = ~dilate(~all_bands_valid(values), MARGIN)
            if name == "x20" and (bits := self._bits("scl", index)) is not None:
                clear = _under_any_placement(masks.usable(bits), seen.shape)
                seen &= clear
                values[:, ~clear] = np.nan
            rows, columns = _positions(h, down, gsd), _positions(w, right, gsd)
            bands.append(resample(fill_missing(values), rows, columns, 0.0))
            valid &= _nearest(seen, rows, columns)
        name = self.path.stem
        return ImagePair(
            ms=ms,
            pan=_reflectance(self._arrays["pan"][index]) if "pan" in self._arrays else None,
            truth=np.concatenate([bands[0][NATIVE_10M], bands[1]]),
            valid=np.repeat(valid[None], N_BANDS, axis=0),
            bands_known=(True,) * N_BANDS,
            id=name if len(self) == 1 else f"{name}_{index:03d}",
            lattice=Lattice(),
            site=name,
            date=self._dates[index],
        )

    def _bits(self, name: str, index: int) -> masks.Bits | None:
        """Return the flags that ``l8_qa`` or ``scl`` stand for; None where the archive has none."""
        if name not in self._arrays:
            return None
        flags = self._arrays[name]
        if name == "scl":
            return masks.scl_to_bits(flags[index])
        collection_2 = bool((flags >= _COLLECTION_2).any())
        return (masks.from_qa_pixel if collection_2 else masks.from_pixel_qa)(flags[index])


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    if not path.exists():
        raise InputError(f"{path}: no such file; give an .npz of pairs, a folder of them, or a set of real pairs")
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path.name}: not an .npz archive, or a damaged one; make it again")
    try:
        with np.load(path, allow_pickle=False) as archive:
            absent = [name for name in (*_BANDS, "meta") if name not in archive]
            if absent:
                raise InputError(f"{path.name}: no {', '.join(absent)} in it; {_FORM}")
            arrays = {name: archive[name] for name in (*_BANDS, *_OPTIONAL) if name in archive}
            meta = json.loads(str(archive["meta"]))
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("not all are arrays")
    except (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())[:80]
        raise InputError(f"{path.name}: cannot be read ({reason}); make it again") from None
    if not isinstance(meta, dict):
        raise InputError(f"{path.name}: its meta is not a JSON object; {_FORM}")
    return arrays, meta


def _check(name: str, arrays: dict[str, np.ndarray]) -> None:
    """Raise InputError unless shapes and types are as they must be."""
    for key, array in arrays.items():
        if array.dtype.kind not in "iu":
            raise InputError(f"{name}: {key} is {array.dtype}; it must hold integers; {_FORM}")
    for key, bands in _BANDS.items():
        shape = arrays[key].shape
        if len(shape) != 4 or shape[1] != bands or 0 in shape or shape[0] != len(arrays["ms"]):
            raise InputError(f"{name}: {key} has shape {shape}; it must be (dates, {bands}, rows, columns); {_FORM}")
    n, _, h, w = arrays["ms"].shape
    _, _, *coarse = arrays["x20"].shape
    fits = {"pan": [(n, 2 * h, 2 * w)], "l8_qa": [(n, h, w)]}
    fits["scl"] = [(n, coarse[0] + down, coarse[1] + right) for down in (0, 1) for right in (0, 1)]
    for key, shapes in fits.items():
        if key in arrays and arrays[key].shape not in shapes:
            raise InputError(f"{name}: {key} has shape {arrays[key].shape}; it must be {shapes[0]}; {_FORM}")


def _position(name: str, meta: dict[str, Any], key: str) -> tuple[float, float]:
    try:
        x, y = (float(value) for value in meta[key])
        if not np.isfinite([x, y]).all():
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{name}: its meta has no {key} as [x, y] in metres; {_FORM}") from None
    return x, y


def _dates(name: str, meta: dict[str, Any], count: int) -> list[str]:
    """Return the day of each Landsat image; '' where it is not told."""
    if "dates" not in meta:
        return [""] * count
    try:
        days = [str(np.datetime64(landsat, "D")) for landsat, _ in meta["dates"]]
    except (TypeError, ValueError):
        days = []
    if len(days) != count:
        raise InputError(f"{name}: dates in its meta must be {count} pairs of times, ISO 8601; {_FORM}")
    return days


def _reflectance(dn: np.ndarray) -> Float:
    return np.where(dn == _NODATA, np.nan, dn * np.float32(1e-4)).astype(np.float32)


def _positions(n: int, offset: float, gsd: int) -> Values:
    """Return the (3n,) centres of the block grid along an axis, in pixels of ``gsd`` metres, centres at integers.

    ``offset``: metres from the edge of these pixels to the centre of the first of ``n`` MS pixels.
    """
    metres = offset + OUTPUT_GSD * (np.arange(BLOCK * n) - ms_centres_at_10m(1))
    return np.asarray(metres / gsd - 0.5, np.float64)


def _nearest(mask: Mask, rows: Values, columns: Values) -> Mask:
    """Return the values of a mask (h, w) at positions; False beyond it."""
    wide = np.pad(mask, 1)
    at = (np.clip(np.rint(x).astype(int) + 1, 0, n + 1) for x, n in zip((rows, columns), mask.shape, strict=True))
    return wide[np.ix_(*at)]


def _under_any_placement(seen: Mask, shape: tuple[int, ...]) -> Mask:
    """Return a mask of ``shape``, True where ``seen`` is True however the smaller grid lies in its own.

    A classification with one row or column more than the bands does not tell at which end.
    """
    return np.asarray(sliding_window_view(seen, shape).all(axis=(0, 1)))
