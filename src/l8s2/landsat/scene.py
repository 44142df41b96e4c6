"""A Landsat Level-2 product with its pan band on the native lattice. The only reader of Landsat."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l8s2 import grid, masks, radiometry
from l8s2.deliveries.declared import NOTHING, Declared, Scale
from l8s2.deliveries.find import level2_product
from l8s2.deliveries.pan import pan_given, pan_partner
from l8s2.deliveries.product_files import ProductFiles
from l8s2.deliveries.product_name import ProductName, same_acquisition
from l8s2.errors import InputError
from l8s2.files import Paths, as_paths
from l8s2.landsat.band import Band, DigitalNumbers, Scaling
from l8s2.landsat.checks import check_overlap, check_place, disagreements, doubts_about_pan, off_lattice, same_grid
from l8s2.landsat.mtl import SR_SCALING, Metadata, parse_mtl
from l8s2.landsat.native_pixels import BAND_NUMBERS, NativePixels
from l8s2.landsat.stored_scale import check_pan, doubts_about_scale, prove_scale
from l8s2.landsat.tags import metadata_in_tags
from l8s2.raster import Raster, open_raster
from l8s2.sensors import BANDS, OLI

PAN_MULT, PAN_ADD = 2.0e-5, -0.1
"""Rescaling of every OLI Level-1 reflectance band of Collection 2, for products that lost their MTL."""


class Scene(NativePixels):
    """An opened product; a context manager. Closing it waits until a read in another thread has ended."""

    def __init__(
        self,
        product: ProductFiles,
        level1: ProductFiles | None,
        *,
        metadata: Metadata | None,
        scale: Scale,
        bands: list[Band],
        pan: Band | None,
        qa_pixel: Raster | None,
        qa_radsat: Raster | None,
        warnings: list[str],
    ) -> None:
        super().__init__(product.product_id, bands, pan, qa_pixel, qa_radsat, warnings)
        self.name = product.name
        """The id, parsed."""
        self.metadata = metadata
        """What the MTL says: Level-2's, else Level-1's, else None."""
        self.has_mtl = "MTL" in product.parts
        """Whether the Level-2 product itself has an MTL."""
        self.pan_id = level1.product_id if level1 else None
        """USGS id of the Level-1 product that pan comes from, or None."""
        self.scale = scale
        """How reflectance is stored in the files."""
        self._files = [product, level1]

    def input_files(self) -> list[tuple[str, str, int, int]]:
        """Return part, name, bytes and time of change (ns) of every file; of an archive those of the archive."""
        found = []
        for product in filter(None, self._files):
            archive = Path(product.source)
            files = {"": archive} if archive.is_file() else {part: Path(path) for part, path in product.parts.items()}
            for part, file in sorted(files.items()):
                told = file.stat()
                found.append((part, file.name, told.st_size, told.st_mtime_ns))
        return found

    def parts(self) -> list[tuple[str, str]]:
        """Return name (id and part, no ending) and path (see ``raster.inside``) of every file that is used."""
        return sorted(
            {
                (product.product_id if part in product.bands else f"{product.product_id}_{part}", path)
                for product in self._files
                if product is not None
                for part, path in product.parts.items()
                if product.product_id == self.product_id or part in (OLI.pan_band, "MTL")
            }
        )

    @property
    def sun_elevation(self) -> float | None:
        """Degrees above the horizon at the scene centre."""
        return self.metadata.sun_elevation if self.metadata else None

    def read_digital_numbers(self, rows: slice, columns: slice) -> DigitalNumbers:
        """Read a window as it is stored, of a scene that has QA_PIXEL and holds digital numbers."""
        with self._lock:
            ms = np.stack([band.read_digital_numbers(rows, columns) for band in self.bands])
            pan = None if self.pan is None else self.pan.read_digital_numbers(*self._pan_window(rows, columns))
            return DigitalNumbers(ms, pan, masks.from_qa_pixel(self._read_qa_pixel(rows, columns)))

    def read_qa_pixel(self, rows: slice, columns: slice) -> NDArray[np.uint16]:
        """Read a window of QA_PIXEL, (h, w), of a scene that has it; fill (1) where nothing is known."""
        with self._lock:
            return self._read_qa_pixel(rows, columns)

    def _read_qa_pixel(self, rows: slice, columns: slice) -> NDArray[np.uint16]:
        assert self.qa_pixel is not None
        values, known = self.qa_pixel.read(rows, columns)
        return np.where(known, values, 1).astype(np.uint16)

    def close(self) -> None:
        """Close every file."""
        with self._lock:  # GDAL dies of a segmentation fault where a file is closed under a reader
            bands = self.bands if self.pan is None else [*self.bands, self.pan]
            for raster in (*(band.raster for band in bands), self.qa_pixel, self.qa_radsat):
                if raster is not None:
                    raster.dataset.close()
            self._files.clear()

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_scene(path: str | Path, pan: Paths | None = None, declared: Declared = NOTHING) -> Scene:
    """Open a Collection-2 Level-2 product of Landsat 8 or 9.

    Args:
        path: folder, ``.tar``, ``.tar.gz`` or ``.zip`` of the L2SP product, or what else ``level2_product`` takes.
        pan: the Level-1 product of the same acquisition (folder, archive or its ``_B8.TIF``), or any GeoTIFF of one
            band; of several that of the acquisition is taken. None, or an empty list, looks beside ``path``
            and goes without when there is none.
        declared: what the files do not tell, see ``l8s2.deliveries.declared``.

    Raises InputError for anything that cannot be used, with the file's name and the remedy.
    """
    product = level2_product(Path(path), declared)
    warnings = [*product.notes]
    metadata = _metadata(product) if "MTL" in product.parts else metadata_in_tags(product)
    if "MTL" not in product.parts and product.as_delivered:
        warnings.append(f"{product.product_id}: no Level-2 MTL; the documented scale and offset are used")
    rasters = [_open(product, f"SR_{band.landsat}") for band in BANDS]
    same_grid(rasters)
    qa_pixel, qa_radsat = (_quality(product, part, rasters[0]) for part in ("QA_PIXEL", "QA_RADSAT"))
    if qa_pixel is None:
        warnings.append(f"{product.product_id}: no QA_PIXEL; clouds are not flagged (QA bit no_qa)")
    if metadata is not None and not product.as_delivered:
        check_place(product.product_id, metadata, rasters[0])
    if metadata is not None and not product.is_window:
        warnings += disagreements(metadata.reflective_shape, metadata.corner_ul, rasters[0])

    given = [] if pan is None else as_paths(pan)
    level1 = pan_given(given, product) if given else pan_partner(product)
    if level1 is None:
        pan_raster, pan_scaling = None, _pan_scaling(None)
        warnings.append(
            f"{product.product_id}: no pan band beside it; the pan-less network is used (give the L1TP product with"
            " `pan`)"
        )
    else:
        of_pan = _metadata(level1) if "MTL" in level1.parts else metadata
        pan_raster, pan_scaling = _pan(level1, of_pan, warnings, told=of_pan is not metadata)
        metadata = metadata or of_pan

    scale, of_dn = _stored(product, rasters, warnings)
    pan_is_dn = pan_raster is not None and radiometry.is_dn(_sample(pan_raster))
    if pan_raster is not None:
        warnings += doubts_about_pan(pan_raster, pan_scaling.sun_elevation, pan_is_dn)
    misfit = grid.misfit_of_scene(rasters[0].geobox)
    if misfit > grid.TOLERANCE:
        target = grid.snap(rasters[0].geobox)
        warnings.append(off_lattice(rasters[0].name, misfit, target))
        rasters = [raster.warped(target, smooth=True) for raster in rasters]
        qa_pixel, qa_radsat = (x.warped(target, smooth=False) if x else None for x in (qa_pixel, qa_radsat))
    if pan_raster is not None:
        pan_raster = _pan_beside(rasters[0], pan_raster, warnings)
    scalings = [metadata.surface_reflectance_scaling(n) if metadata else SR_SCALING for n in BAND_NUMBERS]
    if scale == "1e-4":
        scalings = [Scaling(radiometry.SCALE, 0.0, is_steps=True)] * len(rasters)
    return Scene(
        product,
        level1,
        metadata=metadata,
        scale=scale,
        bands=[Band(*band) for band in zip(rasters, scalings, of_dn, strict=True)],
        pan=Band(pan_raster, pan_scaling, pan_is_dn) if pan_raster else None,
        qa_pixel=qa_pixel,
        qa_radsat=qa_radsat,
        warnings=warnings,
    )


def _quality(product: ProductFiles, part: str, band: Raster) -> Raster | None:
    """Open a part with bits on the grid of ``band``; None where there is none."""
    if part not in product.parts:
        return None
    raster = _open(product, part)
    if raster.geobox != band.geobox:
        raise InputError(f"{raster.name}: its grid differs from that of the SR bands; use files of one product")
    return raster


def _pan(level1: ProductFiles, metadata: Metadata | None, warnings: list[str], *, told: bool) -> tuple[Raster, Scaling]:
    """Open pan; ``told``: whether it has an MTL of its own, which ``metadata`` then is."""
    raster = _open(level1, OLI.pan_band)
    warnings += level1.notes
    if not level1.as_delivered:
        check_pan(raster.name, raster.sample())
    if told and metadata is not None and not level1.is_window:
        warnings += disagreements(metadata.panchromatic_shape, metadata.corner_ul, raster)
    scaling = _pan_scaling(metadata)
    if level1.name.region:  # top-of-atmosphere reflectance of ARD is divided by the sine already
        scaling = replace(scaling, sun_elevation=radiometry.ZENITH)
        warnings.append(f"{raster.name}: scale and offset of Level 1 are used for this band of ARD")
    return raster, scaling


def _pan_scaling(metadata: Metadata | None) -> Scaling:
    if metadata is None:
        return Scaling(PAN_MULT, PAN_ADD)
    add = PAN_ADD if metadata.pan_add is None else metadata.pan_add
    return Scaling(metadata.pan_mult or PAN_MULT, add, metadata.sun_elevation)


def _stored(product: ProductFiles, bands: list[Raster], warnings: list[str]) -> tuple[Scale, list[bool]]:
    """Tell how reflectance is stored, and of each band whether it holds digital numbers."""
    scale = product.scale
    if scale is None and not product.as_delivered:
        scale, proof = prove_scale(product.product_id, [band.sample() for band in bands])
        warnings.append(f"{product.product_id}: scale {scale}, since {proof}")
    if scale is not None:
        return scale, [scale == "collection2"] * len(bands)
    is_dn = [radiometry.is_dn(_sample(band)) for band in bands]
    if is_dn[0]:
        warnings += doubts_about_scale(product.product_id, (band.sample() for band in bands))
    return "collection2" if is_dn[0] else "reflectance", is_dn


def _pan_beside(ms: Raster, pan: Raster, warnings: list[str]) -> Raster:
    """Return pan on the lattice that the grid of MS asks for."""
    check_overlap(ms, pan)
    misfit = grid.misfit_of_pan(ms.geobox, pan.geobox)
    if misfit <= grid.TOLERANCE:
        return pan
    target = grid.pan_geobox(ms.geobox)
    warnings.append(off_lattice(pan.name, misfit, target))
    return pan.warped(target, smooth=True)


def _open(product: ProductFiles, part: str) -> Raster:
    band = product.bands.get(part)
    name = f"{product.product_id}_{part}.TIF"
    if band is not None:
        name = f"{Path(product.parts[part]).name} band {band}"
    elif not product.as_delivered and (own := Path(product.parts.get(part, ""))).is_file():
        name = own.name
    if part not in product.parts:
        raise InputError(f"{name}: missing in {product.source}; download the whole product again")
    raster = open_raster(product.parts[part], name, band=band)
    raster.check_complete()
    return raster


def _metadata(product: ProductFiles) -> Metadata:
    name = Path(product.parts["MTL"]).name
    metadata = parse_mtl(product.read_bytes("MTL"), name)
    inside = ProductName.parse(metadata.product_id)
    if inside is not None and not same_acquisition(inside, product.name):
        raise InputError(
            f"{name}: describes {metadata.product_id}, but the files are {product.product_id}; use files of one product"
        )
    return metadata


def _sample(band: Raster) -> NDArray[Any]:
    """Enough of a band to tell what it holds; integers need no look."""
    return band.sample() if band.dtype.kind == "f" else np.empty(0, band.dtype)
