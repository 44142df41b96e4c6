"""A Landsat Level-2 product with its pan band on the native lattice. The only reader of Landsat."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import grid, masks, radiometry
from l8s2.arrays import Float
from l8s2.errors import InputError
from l8s2.landsat.checks import check_overlap, disagreements, doubts_about_pan, off_lattice, same_grid
from l8s2.landsat.layout import ProductFiles, level2_product, pan_given, pan_partner
from l8s2.landsat.mtl import Metadata, parse_mtl
from l8s2.landsat.product_name import ProductName, parse_product_name, same_acquisition
from l8s2.raster import Raster, open_raster
from l8s2.sensors import BANDS, PAN_BAND, PAN_GSD, SR_OFFSET, SR_SCALE

_BAND_NUMBERS = tuple(int(band.landsat[1:]) for band in BANDS)
PAN_MULT, PAN_ADD = 2.0e-5, -0.1
"""Rescaling of every OLI Level-1 reflectance band of Collection 2, for products that lost their MTL."""


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """A window of a scene, on native lattices."""

    ms: Float
    """(6, h, w) surface reflectance, 30 m; NaN where missing."""
    pan: Float | None
    """(2h, 2w) top-of-atmosphere reflectance, 15 m; NaN where missing; pan[2r, 2c] is centred on ms[:, r, c]."""
    qa: NDArray[np.uint16]
    """(h, w) bits of masks.QA_BITS."""


class Scene:
    """An opened product. Close it, or use it as a context manager; what reads in another thread then comes to its end first."""

    def __init__(
        self,
        *,
        product_id: str,
        name: ProductName,
        metadata: Metadata | None,
        bands: list[Raster],
        pan: Raster | None,
        pan_id: str | None,
        pan_scaling: tuple[float, float, float | None],
        is_dn: dict[str, bool],
        qa_pixel: Raster | None,
        qa_radsat: Raster | None,
        warnings: list[str],
        keep: list[object],
    ) -> None:
        self.product_id = product_id
        """USGS id of the Level-2 product."""
        self.name = name
        """The id, parsed."""
        self.metadata = metadata
        """What the MTL says: Level-2's, else Level-1's, else None."""
        self.warnings = warnings
        """What was found missing or odd and how it was dealt with, one line each."""
        self.pan_id = pan_id
        """USGS id of the Level-1 product that pan comes from, or None."""
        self.bands, self.pan, self.qa_pixel, self.qa_radsat = bands, pan, qa_pixel, qa_radsat
        self.geobox: GeoBox = bands[0].geobox
        """The 30 m grid."""
        self._keep = keep
        self._lock = threading.Lock()
        self.scaling = [
            (metadata.surface_reflectance_scaling(n) if metadata else (SR_SCALE, SR_OFFSET)) for n in _BAND_NUMBERS
        ]
        """Reflectance = DN * first + second, for each of ``bands``."""
        self.pan_scaling = pan_scaling
        """The same for ``pan``, before the division by the sine of the third, the sun's elevation, None if not known."""
        self.is_dn = is_dn
        """Name of a band -> whether it holds digital numbers, not reflectance."""
        self.pan_offset = grid.pan_offset(self.geobox, pan.geobox) if pan else None
        """(row, column) of the pan sample centred on MS pixel (0, 0)."""

    @property
    def shape(self) -> tuple[int, int]:
        """MS pixels, (rows, columns)."""
        return self.geobox.shape[0], self.geobox.shape[1]

    @property
    def sun_elevation(self) -> float | None:
        """Degrees above the horizon at the scene centre."""
        return self.metadata.sun_elevation if self.metadata else None

    def read(self, rows: slice, columns: slice) -> Pixels:
        """The window, which may reach beyond the scene (NaN there). Raises InputError for unreadable blocks."""
        with self._lock:
            return self._read(rows, columns)

    def _read(self, rows: slice, columns: slice) -> Pixels:
        shape = rows.stop - rows.start, columns.stop - columns.start
        ms = np.empty((6, *shape), np.float32)
        for i, (band, (mult, add)) in enumerate(zip(self.bands, self.scaling, strict=True)):
            values, known = band.read(rows, columns)
            ms[i] = radiometry.to_reflectance(values, mult, add, is_dn=self.is_dn[band.name])
            ms[i][~known] = np.nan
        return Pixels(ms=ms, pan=self._read_pan(rows, columns), qa=self._read_qa(rows, columns, ms))

    def _read_pan(self, rows: slice, columns: slice) -> Float | None:
        if self.pan is None or self.pan_offset is None:
            return None
        window = tuple(
            slice(2 * s.start + first, 2 * s.stop + first)
            for s, first in zip((rows, columns), self.pan_offset, strict=True)
        )
        values, known = self.pan.read(*window)
        mult, add, elevation = self.pan_scaling
        if self.is_dn[self.pan.name]:
            pan = radiometry.toa_reflectance(values, mult, add, 90.0 if elevation is None else elevation)
        else:
            pan = radiometry.to_reflectance(values, mult, add, is_dn=False)
        pan[~known] = np.nan
        return pan

    def _read_qa(self, rows: slice, columns: slice, ms: Float) -> NDArray[np.uint16]:
        qa = np.zeros(ms.shape[1:], np.uint16)
        if self.qa_pixel is None:
            qa |= np.uint16(masks.flag("no_qa"))
        else:
            values, known = self.qa_pixel.read(rows, columns)
            qa |= masks.from_qa_pixel(np.where(known, values, 0).astype(np.uint16))
        if self.qa_radsat is not None:
            values, known = self.qa_radsat.read(rows, columns)
            qa |= masks.saturated_bits(np.where(known, values, 0).astype(np.uint16), _BAND_NUMBERS)
        with np.errstate(invalid="ignore"):
            odd = ((ms < 0) | (ms > 1)).any(0)
        qa[odd] |= np.uint16(masks.flag("out_of_range"))
        fill = np.isnan(ms).any(0)
        qa &= ~np.uint16(masks.flag("fill"))
        qa[fill] |= np.uint16(masks.flag("fill"))
        return qa

    def close(self) -> None:
        """Close every file."""
        with self._lock:  # GDAL dies of a segmentation fault where a file is closed under a reader
            for raster in (*self.bands, self.pan, self.qa_pixel, self.qa_radsat):
                if raster is not None:
                    raster.dataset.close()
            self._keep.clear()

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_scene(path: str | Path, pan: str | Path | None = None) -> Scene:
    """Open a Collection-2 Level-2 product of Landsat 8 or 9.

    Args:
        path: folder, ``.tar`` or ``.tar.gz`` of the L2SP product, files by their USGS names.
        pan: the Level-1 product of the same acquisition (folder, archive or its ``_B8.TIF``); None looks beside
            ``path`` and goes without when there is none.

    Raises InputError for anything that cannot be used, with the file's name and the remedy.
    """
    product = level2_product(Path(path))
    warnings: list[str] = []
    metadata = None
    if "MTL" in product.parts:
        metadata = _metadata(product)
    else:
        warnings.append(f"{product.product_id}: no Level-2 MTL; the documented scale and offset are used")
    bands = [_open(product, f"SR_{band.landsat}") for band in BANDS]
    same_grid(bands)
    qa_pixel, qa_radsat = (
        _open(product, part) if part in product.parts else None for part in ("QA_PIXEL", "QA_RADSAT")
    )
    if qa_pixel is None:
        warnings.append(f"{product.product_id}: no QA_PIXEL; clouds are not flagged (QA bit no_qa)")
    for extra in (qa_pixel, qa_radsat):
        if extra is not None and extra.geobox != bands[0].geobox:
            raise InputError(f"{extra.name}: its grid differs from that of the SR bands; use files of one product")
    if metadata is not None and not product.is_window:
        warnings += disagreements(metadata.reflective_shape, metadata.corner_ul, bands[0])

    level1 = pan_partner(product) if pan is None else pan_given(Path(pan), product)
    pan_raster, pan_id, scaling = None, None, (PAN_MULT, PAN_ADD, metadata.sun_elevation if metadata else None)
    if level1 is None:
        warnings.append(
            f"{product.product_id}: no pan band beside it; the pan-less network is used (give the L1TP product with `pan`)"
        )
    else:
        pan_raster, pan_id = _open(level1, PAN_BAND), level1.product_id
        level1_metadata = _metadata(level1) if "MTL" in level1.parts else metadata
        if level1_metadata is not None:
            scaling = (
                level1_metadata.pan_mult or PAN_MULT,
                PAN_ADD if level1_metadata.pan_add is None else level1_metadata.pan_add,
                level1_metadata.sun_elevation,
            )
            if level1_metadata is not metadata and not level1.is_window:
                warnings += disagreements(level1_metadata.panchromatic_shape, level1_metadata.corner_ul, pan_raster)
        metadata = metadata or level1_metadata
    is_dn = {raster.name: radiometry.is_dn(_sample(raster)) for raster in (*bands, pan_raster) if raster is not None}
    if pan_raster is not None:
        warnings += doubts_about_pan(pan_raster, scaling[2], is_dn[pan_raster.name])

    ms_grid = bands[0].geobox
    misfit = grid.lattice_misfit(ms_grid)
    if misfit > grid.TOLERANCE:
        target = grid.snap(ms_grid)
        warnings.append(off_lattice(bands[0].name, misfit, target))
        bands = [band.warped(target, smooth=True) for band in bands]
        qa_pixel, qa_radsat = (x.warped(target, smooth=False) if x else None for x in (qa_pixel, qa_radsat))
    if pan_raster is not None:
        check_overlap(bands[0], pan_raster)
        misfit = grid.lattice_misfit(pan_raster.geobox, PAN_GSD)
        same_zone = grid.landsat_convention(pan_raster.geobox).crs == grid.landsat_convention(bands[0].geobox).crs
        if misfit > grid.TOLERANCE or not same_zone:
            target = grid.pan_geobox(bands[0].geobox)
            warnings.append(off_lattice(pan_raster.name, misfit, target))
            pan_raster = pan_raster.warped(target, smooth=True)
    return Scene(
        product_id=product.product_id,
        name=product.name,
        metadata=metadata,
        bands=bands,
        pan=pan_raster,
        pan_id=pan_id,
        pan_scaling=scaling,
        is_dn=is_dn,
        qa_pixel=qa_pixel,
        qa_radsat=qa_radsat,
        warnings=warnings,
        keep=[product.unpacked, level1.unpacked if level1 else None],
    )


def _open(product: ProductFiles, part: str) -> Raster:
    name = f"{product.product_id}_{part}.TIF"
    if part not in product.parts:
        raise InputError(f"{name}: missing in {product.source}; download the whole product again")
    raster = open_raster(product.parts[part], name)
    raster.check_complete()
    return raster


def _metadata(product: ProductFiles) -> Metadata:
    name = Path(product.parts["MTL"]).name
    metadata = parse_mtl(product.read_bytes("MTL"), name)
    inside = parse_product_name(metadata.product_id)
    if inside is not None and not same_acquisition(inside, product.name):
        raise InputError(
            f"{name}: describes {metadata.product_id}, but the files are {product.product_id}; use files of one product"
        )
    return metadata


def _sample(band: Raster) -> NDArray[Any]:
    """Enough of a band to tell what it holds; integers need no look."""
    return band.look() if band.dtype.kind == "f" else np.empty(0, band.dtype)
