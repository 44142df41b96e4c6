"""LS2S2 (Michel 2025): areas of 9.9 km with time series of Landsat-8/9 and Sentinel-2, paired by day.

    <area>/sentinel2/index.csv     one line a date, tabs between: product_id, acquisition_date, clear_pixel_rate, valid,
    <area>/landsat/index.csv       bands and mask (files, from the folder of the index on)
    <area>/landsat/index_pan.csv

Sentinel-2 has B02 B03 B04 B05 B06 B07 B08 B8A B11 B12 at 10 m, Landsat B01 .. B07 and B10 at 30 m, pan is at 15 m;
reflectance x 10^4 in int16, -10000 is nodata; in masks 0 is clear. All three share their corners, and its authors moved
Landsat by half a pixel: where the content really lies is measured here, once for each area.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from odc.geo.geobox import GeoBox

from l8s2.arrays import Float, Mask, enlarge, fill_missing
from l8s2.datasets.geotiffs import lattice_of, read_tiff
from l8s2.datasets.image_pair import ImagePair, Lattice, all_bands_valid
from l8s2.errors import InputError
from l8s2.grid import ms_centres_at_10m, ms_centres_at_15m
from l8s2.optics import resample
from l8s2.registration import Shift, measure_shift
from l8s2.sensors import BANDS, MS_GSD, N_BANDS, OLI, OUTPUT_GSD, PAN_BLUR, PAN_GSD, VISIBLE, extra_blur

_LANDSAT = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B10")
_SENTINEL2 = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
_SCALE = 1e-4
_DATES = 3
"""Clearest dates, those with pan first, that are tried before the phase of an area counts as unknown."""


class _Date(NamedTuple):
    area: Path
    day: str
    landsat: dict[str, str]
    sentinel2: dict[str, str]
    pan: dict[str, str] | None

    @property
    def clear(self) -> float:
        return min(float(row["clear_pixel_rate"]) for row in (self.landsat, self.sentinel2))


class _Layer(NamedTuple):
    values: Float
    """(bands, h, w) reflectance, NaN is nodata."""
    clear: Mask
    """(h, w) True = neither nodata nor masked."""
    box: GeoBox | None


class Ls2s2:
    """Pairs of one day, in windows; with pan where there is one of that day."""

    def __init__(self, folder: Path, size: int = 110) -> None:
        """Read the indices.

        Args:
            folder: an area, or a folder of areas.
            size: MS pixels to a side of a window, at most those of the area, which are 330.

        Raises InputError where there is no area, or no day on which both sensors are valid.
        """
        areas = sorted({path.parent.parent for path in folder.glob("**/landsat/index.csv")})
        self.dates = [date for area in areas for date in _dates(area)]
        if not self.dates:
            raise InputError(
                f"{folder}: no day with valid Landsat and Sentinel-2; give an LS2S2 area or a folder of them"
            )
        self._phases: dict[Path, tuple[tuple[float, float], tuple[float, float]]] = {}
        rows, columns = _layer(self.dates[0].area / "landsat", self.dates[0].landsat, _LANDSAT).clear.shape
        self.size = min(size, rows, columns)
        self._windows = [(r, c) for r in range(rows // self.size) for c in range(columns // self.size)]

    def __len__(self) -> int:
        return len(self.dates) * len(self._windows)

    def __getitem__(self, index: int) -> ImagePair:
        """Return one pair.

        Raises InputError as well where the content of an area lies neither as its files say nor half a pixel off.
        """
        number, window = divmod(range(len(self))[index], len(self._windows))
        date, at = self.dates[number], self._windows[window]
        ms, truth, pan = self._read(date, at)
        return ImagePair(
            ms=ms.values,
            pan=pan.values[0] if pan else None,
            truth=truth.values,
            valid=np.repeat((truth.clear & enlarge(ms.clear))[None], N_BANDS, axis=0),
            bands_known=(True,) * N_BANDS,
            id=f"{date.area.name}_{date.day}_{at[0]}_{at[1]}",
            lattice=self._lattice(date, ms, truth, pan),
            site=date.area.name,
            date=date.day,
        )

    def _read(self, date: _Date, at: tuple[int, int] | None) -> tuple[_Layer, _Layer, _Layer | None]:
        """MS, truth and pan of a window, or with None of the whole area."""
        folder, size = date.area / "landsat", self.size

        def window(times: int) -> tuple[slice, slice]:
            if at is None:
                return slice(None), slice(None)
            row, column = (slice(times * size * k, times * size * (k + 1)) for k in at)
            return row, column

        ms = _layer(folder, date.landsat, _LANDSAT, window(1))
        truth = _layer(date.area / "sentinel2", date.sentinel2, _SENTINEL2, window(3))
        pan = _layer(folder, date.pan, None, window(2)) if date.pan else None
        h, w = ms.values.shape[1:]
        if truth.values.shape[1:] != (3 * h, 3 * w) or (pan and pan.values.shape[1:] != (2 * h, 2 * w)):
            raise InputError(
                f"{date.area}: {date.day} has {h} x {w} MS pixels, which its other images do not fit; "
                "copy the area again"
            )
        return ms, truth, pan

    def _lattice(self, date: _Date, ms: _Layer, truth: _Layer, pan: _Layer | None) -> Lattice:
        """Where the images lie, by their files and by what the pixels of the area say about those."""
        if date.area not in self._phases:
            self._phases[date.area] = self._measure(date.area)
        stated = _stated(date, ms, truth, pan)
        (down, right), (pan_down, pan_right) = self._phases[date.area]
        return Lattice(
            ms=stated.ms,
            truth_off=(stated.truth_off[0] - down, stated.truth_off[1] - right),
            pan_off=(stated.pan_off[0] - pan_down, stated.pan_off[1] - pan_right),
        )

    def _measure(self, area: Path) -> tuple[tuple[float, float], tuple[float, float]]:
        """Metres (down, right) by which the content of truth, and of pan, lies too far for its position in the file."""
        for date in sorted((d for d in self.dates if d.area == area), key=lambda d: (d.pan is None, -d.clear))[:_DATES]:
            ms, truth, pan = self._read(date, None)
            stated = _stated(date, ms, truth, pan)
            blur = extra_blur(BANDS[2].oli_psf_sigma, BANDS[2].msi_psf_sigma)
            seen = _at_centres(truth, slice(2, 5), ms.values.shape[1:], stated.truth_off, OUTPUT_GSD, blur)
            found = measure_shift(ms.values[2:5], seen, ms.clear)
            if found.reason:
                continue
            of_pan = (0.0, 0.0)
            if pan is not None:
                seen = _at_centres(pan, slice(1), ms.values.shape[1:], stated.pan_off, PAN_GSD, PAN_BLUR)
                visible: Float = np.tensordot(np.array(OLI.pan_weights, np.float32), ms.values[VISIBLE], 1)
                shift = measure_shift(visible, seen[0], ms.clear)
                of_pan = _whole(shift, PAN_GSD / 2, f"{area}: pan")
            return _whole(found, MS_GSD / 2, f"{area}: Sentinel-2"), of_pan
        raise InputError(f"{area}: how its images lie cannot be measured ({found.reason}); leave the area out")


def _stated(date: _Date, ms: _Layer, truth: _Layer, pan: _Layer | None) -> Lattice:
    lattice = lattice_of(ms.box, truth.box, pan.box if pan else None)
    if lattice is None:
        raise InputError(f"{date.area}: {date.day} is not on grids of 30, 10 and 15 m in one zone; copy the area again")
    return lattice


def _whole(shift: Shift, unit: float, what: str) -> tuple[float, float]:
    """Return the measured shift as a multiple of ``unit`` metres, at most one to each side.

    Raises InputError where it is none.
    """
    if shift.reason:
        raise InputError(f"{what} cannot be laid on Landsat ({shift.reason}); leave the area out")
    metres = shift.down * MS_GSD, shift.right * MS_GSD
    down, right = (unit * max(-1, min(1, round(m / unit))) for m in metres)
    if max(abs(metres[0] - down), abs(metres[1] - right)) > unit / 3:
        raise InputError(
            f"{what} lies {metres[0]:.1f} m down, {metres[1]:.1f} m right of Landsat, "
            f"not {unit:g} m or nothing; leave the area out"
        )
    return down, right


def _at_centres(
    layer: _Layer, bands: slice, shape: tuple[int, ...], off: tuple[float, float], gsd: int, sigma: float
) -> Float:
    """Sample bands of a layer of ``gsd`` metres, blurred, at the centres of the MS pixels; NaN near clouds."""
    centres = ms_centres_at_10m if gsd == OUTPUT_GSD else ms_centres_at_15m
    rows, columns = (centres(n) - metres / gsd for n, metres in zip(shape, off, strict=True))
    values = resample(fill_missing(layer.values[bands]), rows, columns, sigma)
    values[:, resample((~layer.clear).astype(np.float32), rows, columns, max(sigma, 0.9)) > 0.02] = np.nan
    return values


def _dates(area: Path) -> list[_Date]:
    """Return the days on which both sensors are valid, in order."""
    landsat, sentinel2 = (_index(area / sensor / "index.csv") for sensor in ("landsat", "sentinel2"))
    pan_index = area / "landsat" / "index_pan.csv"
    pan = _index(pan_index) if pan_index.exists() else {}
    return [
        _Date(area, day, landsat[day], sentinel2[day], pan.get(day))
        for day in sorted(landsat.keys() & sentinel2.keys())
    ]


def _index(path: Path) -> dict[str, dict[str, str]]:
    """Day -> line, valid ones only."""
    try:
        text = path.read_text(encoding="utf-8")
        lines = csv.DictReader(text.splitlines(), delimiter="\t" if "\t" in text else ",")
        rows = [row for row in lines if str(row["valid"]).strip().lower() in ("true", "1") and row["bands"]]
        for row in rows:
            float(row["clear_pixel_rate"]), row["acquisition_date"], row["mask"]
    except KeyError as error:
        raise InputError(f"{path}: no column {error}; give the index of LS2S2") from None
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); copy the area again") from None
    return {row["acquisition_date"][:10]: row for row in rows}


def _layer(
    folder: Path,
    row: dict[str, str],
    names: tuple[str, ...] | None,
    window: tuple[slice, slice] = (slice(None), slice(None)),
) -> _Layer:
    """Read the six bands of a date, or with None for names its one band."""
    image = read_tiff(_path(folder, row["bands"]), *window, scale=_SCALE)
    values, count = image.values, len(names or "1")
    if len(values) != count:
        raise InputError(f"{folder / row['bands']}: {len(values)} bands, LS2S2 has {count}; copy the area again")
    if names is not None:
        wanted = [f"B0{b.landsat[1:]}" if names is _LANDSAT else b.sentinel2 for b in BANDS]
        values = values[[names.index(name) for name in wanted]]
    clear = all_bands_valid(values)
    if row["mask"]:
        clear &= np.nan_to_num(read_tiff(_path(folder, row["mask"]), *window, scale=1.0).values[0]) == 0
    return _Layer(values, clear, image.box)


def _path(folder: Path, name: str) -> Path:
    """Return the path of a file of an index; some indices hold absolute paths of another machine."""
    return folder.joinpath(*Path(name).parts[-2:]) if Path(name).is_absolute() else folder / name
