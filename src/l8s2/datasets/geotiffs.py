"""Folders of GeoTIFFs with equal names as image pairs; OLI2MSI is one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2.arrays import Float, enlarge
from l8s2.datasets.image_pair import ImagePair, Lattice, all_bands_valid
from l8s2.errors import InputError
from l8s2.grid import landsat_convention
from l8s2.raster import open_dataset
from l8s2.sensors import BAND_NAMES, MS_GSD, N_BANDS, OUTPUT_GSD, PAN_GSD


class BandImage(NamedTuple):
    """What a GeoTIFF holds."""

    values: Float
    """(bands, h, w) reflectance, NaN is nodata."""
    box: GeoBox | None
    """None where it has no position on the ground."""
    names: tuple[str, ...]
    """Band descriptions, '' where there are none."""


def read_tiff(
    path: Path, rows: slice = slice(None), columns: slice = slice(None), scale: float | None = None
) -> BandImage:
    """Read a window of a GeoTIFF.

    Args:
        path: of the file.
        rows: of the window; all by default.
        columns: of the window; all by default.
        scale: reflectance of one digital number, for files of integers that do not say it themselves.

    Raises InputError for what cannot be read, and for integers of unknown scale.
    """
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    try:
        with open_dataset(path) as file:
            (top, bottom, _), (left, right, _) = rows.indices(file.height), columns.indices(file.width)
            window = Window(left, top, right - left, bottom - top)
            stored = file.read(window=window)
            known = np.isfinite(stored) if file.nodata is None else np.isfinite(stored) & (stored != file.nodata)
            scales, offsets = np.array(file.scales), np.array(file.offsets)
            georeferenced = file.crs is not None and not file.transform.is_identity
            transform, crs = file.transform @ Affine.translation(left, top), str(file.crs)
            names = tuple(name or "" for name in file.descriptions)
    except (RasterioError, OSError) as error:
        raise InputError(f"{path}: not a readable GeoTIFF ({error}); copy it again") from None
    if stored.dtype.kind in "iu" and (scales == 1).all():
        if scale is None:
            raise InputError(
                f"{path}: {stored.dtype} without a scale; set it in the file (reflectance = scale * number)"
            )
        scales = scales * scale
    values = stored * scales[:, None, None] + offsets[:, None, None]
    box = GeoBox(stored.shape[1:], transform, crs) if georeferenced else None
    return BandImage(np.where(known, values, np.nan).astype(np.float32), box, names)


class TiffPairs:
    """Folders of GeoTIFFs with equal names: 30 m against 10 m, with 15 m pan and masks where there are such."""

    def __init__(
        self,
        ms: Path,
        truth: Path,
        pan: Path | None = None,
        valid: Path | None = None,
        bands: Sequence[str] | None = None,
    ) -> None:
        """Check the names.

        Args:
            ms: folder of reflectance, bands as ``bands``.
            truth: folder of reflectance, three times the pixels of ms.
            pan: folder of one band, twice the pixels of ms; some may be without.
            valid: folder of one band or as many as truth has: not 0 = counts.
            bands: our names of the bands, in the order of the files; None takes the files' descriptions, or six bands
                as ours.

        Raises InputError where a folder has no files, or a file no partner.
        """
        self.folders = {"ms": ms, "truth": truth, "pan": pan, "valid": valid}
        self.bands = bands
        names = {kind: _names(folder) for kind, folder in self.folders.items() if folder is not None}
        for kind, found in names.items():
            if odd := found - names["ms"] if kind == "pan" else found ^ names["ms"]:
                raise InputError(f"{min(odd)}: only in one of {ms} and {self.folders[kind]}; each needs its partner")
        self.names = sorted(names["ms"])
        self._with_pan = names.get("pan", set())

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> ImagePair:
        found = {
            k: read_tiff(f / self.names[index], scale=1.0 if k == "valid" else None)
            for k, f in self.folders.items()
            if f and (k != "pan" or self.names[index] in self._with_pan)
        }
        ms, truth, name = found["ms"], found["truth"], f"{self.folders['ms']}/{self.names[index]}"
        h, w = ms.values.shape[1:]
        for kind, times in (("truth", 3), ("pan", 2), ("valid", 3)):
            if kind in found and found[kind].values.shape[1:] != (times * h, times * w):
                raise InputError(
                    f"{name}: {h} x {w} pixels, {kind} {found[kind].values.shape[1:]}; "
                    f"that must be {times} times as many"
                )
        placed, known = (self._six(image, name) for image in (ms, truth))
        bands = [bool(np.isfinite(band).any()) for band in known]
        valid = np.isfinite(known) & enlarge(all_bands_valid(placed[bands]))
        if "valid" in found:
            mask = found["valid"].values
            valid &= (self._six(found["valid"], name) if len(mask) > 1 else mask) > 0
        return ImagePair(
            ms=placed,
            pan=found["pan"].values[0] if "pan" in found else None,
            truth=known,
            valid=valid,
            bands_known=tuple(bands),
            id=Path(self.names[index]).stem,
            lattice=lattice_of(ms.box, truth.box, found["pan"].box if "pan" in found else None),
        )

    def _six(self, image: BandImage, name: str) -> Float:
        """(6, h, w), NaN for bands that are not there."""
        names = self.bands or (image.names if any(image.names) else BAND_NAMES)
        if len(names) != len(image.values) or not set(names) <= set(BAND_NAMES):
            raise InputError(
                f"{name}: {len(image.values)} bands, {' '.join(names)}; describe them as {' '.join(BAND_NAMES)}"
            )
        result = np.full((N_BANDS, *image.values.shape[1:]), np.nan, np.float32)
        result[[BAND_NAMES.index(band) for band in names]] = image.values
        return result


def _names(folder: Path) -> set[str]:
    found = {p.name for p in folder.glob("*") if p.suffix.lower() in (".tif", ".tiff")} if folder.is_dir() else set()
    if not found:
        raise InputError(f"{folder}: no .tif files; give the folder that holds them")
    return found


def lattice_of(ms: GeoBox | None, truth: GeoBox | None, pan: GeoBox | None) -> Lattice | None:
    """Return where the arrays lie by their georeferences.

    None where one has none, or they are of two zones or other pixel sizes.
    """
    if ms is None or truth is None:
        return None
    boxes = [landsat_convention(ms), landsat_convention(truth), landsat_convention(pan or ms)]
    for box, gsd in zip(boxes, (MS_GSD, OUTPUT_GSD, PAN_GSD if pan else MS_GSD), strict=True):
        if box.crs != boxes[0].crs or not np.allclose(box.affine[:6:4], (gsd, -gsd)) or box.affine.b:
            return None
    a, b, c = (box.affine for box in boxes)
    edge, half = (MS_GSD - OUTPUT_GSD) / 4, (MS_GSD - PAN_GSD) / 2 if pan else 0.0
    return Lattice(
        ms=ms,
        truth_off=_tidy(a.f - edge - b.f, b.c - edge - a.c),
        pan_off=_tidy(a.f - half - c.f, c.c - half - a.c),
    )


def _tidy(*metres: float) -> tuple[float, float]:
    """Without the rounding errors of coordinates."""
    down, right = (round(float(value), 3) + 0.0 for value in metres)
    return down, right


def oli2msi(folder: Path, part: str = "train") -> TiffPairs:
    """OLI2MSI (Wang et al. 2021): red, green, blue; ``part`` is ``train`` or ``test``."""
    return TiffPairs(folder / f"{part}_lr", folder / f"{part}_hr", bands=("red", "green", "blue"))
