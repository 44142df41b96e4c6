"""A scene of arrays: the same pixels, and the same numbers, as those of the product they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from l8s2 import grid
from l8s2.arrays import Mask
from l8s2.errors import InputError
from l8s2.landsat.band import Band, Scaling
from l8s2.landsat.checks import check_overlap
from l8s2.landsat.mtl import SR_SCALING
from l8s2.landsat.native_pixels import NativePixels
from l8s2.landsat.scene import PAN_ADD, PAN_MULT
from l8s2.raster import Raster
from l8s2.sensors import BAND_NAMES, MS_GSD, PAN_GSD
from l8s2.xarray_scene.encoding import Encoding, Scale, as_said, encoding_of
from l8s2.xarray_scene.georeference import geobox_of, north_up
from l8s2.xarray_scene.parts import Parts

if TYPE_CHECKING:
    import xarray

_AROUND = 512
"""Pixels of pan around the bands that are loaded: more than a network sees beyond a window."""
_ZERO_DN = -0.19999
"""Surface reflectance up to which a pixel is a digital number 0, fill, that was scaled; that of 1 is -0.19997."""


class XarrayScene(NativePixels):
    """Arrays as a scene; there are no files, and no metadata but the elevation of the sun."""

    def __init__(self, *given: Any, sun_elevation: float | None) -> None:
        """Take what NativePixels takes, and the elevation of the sun."""
        super().__init__(*given)
        self._sun_elevation = sun_elevation

    @property
    def sun_elevation(self) -> float | None:
        """Degrees above the horizon at the scene centre."""
        return self._sun_elevation


class _ArrayRaster(Raster):
    """An array of two dimensions on its grid."""

    above = -np.inf
    """Values up to this are fill, and 0 is: as digital number, and as reflectance, which is never exactly 0."""

    def _read(self, **how: Any) -> NDArray[Any]:
        if window := how.get("window"):
            at = window.toslices()
        else:
            at = tuple(slice(None, None, -(-n // m)) for n, m in zip(self.dataset.shape, how["out_shape"], strict=True))
        values: NDArray[Any] = self.dataset[at]
        return values

    def _known(self, values: NDArray[Any]) -> Mask:
        return np.asarray(super()._known(values) & (values > self.above) & (values != 0))


def open_arrays(
    parts: Parts,
    pan: xarray.DataArray | None,
    name: str,
    *,
    sun_elevation: float | None = None,
    scale: Scale | None = None,
) -> XarrayScene:
    """Open the arrays of one scene; of no time, or of one. What dask is to load is loaded at once, every chunk once.

    Args:
        parts: bands (y, x) and quality bits, on one grid of 30 m.
        pan: (y, x) on its own grid of 15 m: Level-1 digital numbers, or top-of-atmosphere reflectance corrected for the
            sun; None without.
        name: what the scene is called.
        sun_elevation: degrees at the scene centre; needed where pan holds digital numbers.
        scale: what the bands hold; None: their attributes and pixels prove it.

    Raises InputError for pixels that are not on the lattice of Landsat, or of which it is not clear what they hold.
    """
    arrays = dict(zip(BAND_NAMES, parts.bands, strict=True)) | parts.quality
    rasters = {label: _raster(array, label, MS_GSD) for label, array in arrays.items()}
    bands = [rasters[band] for band in BAND_NAMES]
    for label, raster in rasters.items():
        if raster.geobox != bands[0].geobox:
            raise InputError(f"{label}: its grid differs from that of the other bands; load all on one grid")
    pan_raster = None if pan is None else _raster(pan, "pan", PAN_GSD)
    if pan_raster is not None:
        check_overlap(bands[0], pan_raster)
        pan_raster = _near(pan_raster, bands[0])
    _load(list(rasters.values()))
    for band in bands:
        band.above = _ZERO_DN
    encoding = _encoding_of_bands(parts, bands, scale)
    warnings = [encoding.words]
    if "qa_pixel" not in rasters:
        warnings.append("no qa_pixel: clouds are not flagged (QA bit no_qa)")
    pan_band = None
    if pan_raster is None or pan is None:
        warnings.append("no pan: the pan-less network is used")
    else:
        pan_band = _pan_band(pan_raster, pan, sun_elevation, warnings)
    ms = [Band(band, SR_SCALING, encoding.is_dn) for band in bands]
    quality = rasters.get("qa_pixel"), rasters.get("qa_radsat")
    return XarrayScene(name, ms, pan_band, *quality, warnings, sun_elevation=sun_elevation)


def _near(pan: _ArrayRaster, ms: Raster) -> _ArrayRaster:
    """Return the part of pan that lies on the bands or near them, so that no more is loaded."""
    at = grid.pan_offset(ms.geobox, pan.geobox)
    rows, columns = (
        slice(max(0, first - _AROUND), min(size, first + 2 * n + _AROUND))
        for first, n, size in zip(at, ms.geobox.shape, pan.geobox.shape, strict=True)
    )
    return replace(pan, geobox=pan.geobox[rows, columns], dataset=pan.dataset[rows, columns])


def _load(rasters: Sequence[_ArrayRaster]) -> None:
    """Compute what is lazy, all at once."""
    import xarray

    loaded = xarray.Dataset({raster.name: raster.dataset.variable for raster in rasters}).compute()
    for raster in rasters:
        raster.dataset = loaded[raster.name].values


def _encoding_of_bands(parts: Parts, bands: list[_ArrayRaster], scale: Scale | None) -> Encoding:
    if scale is not None:
        if scale not in get_args(Scale):
            raise InputError(
                f"scale {scale}: not one of arrays; choose collection2, or reflectance (steps of 0.0001 times 0.0001)"
            )
        return as_said(scale, bands, SR_SCALING, "ms")
    try:
        return encoding_of(parts.bands, bands, SR_SCALING, "ms")
    except InputError as error:
        raise InputError(f"{error}; scale them, or give scale collection2 or reflectance if they are") from None


def _pan_band(raster: _ArrayRaster, pan: xarray.DataArray, sun_elevation: float | None, warnings: list[str]) -> Band:
    _load([raster])
    raster.above = 0.0
    scaling = Scaling(PAN_MULT, PAN_ADD, sun_elevation)
    encoding = encoding_of([pan], [raster], scaling, "pan")
    warnings.append(encoding.words)
    if not encoding.is_dn:
        warnings.append("pan: taken as top-of-atmosphere, sun angle corrected")
    elif sun_elevation is None or not 0 < sun_elevation <= 90:
        raise InputError(
            f"sun_elevation {sun_elevation}: pan of digital numbers needs that of the scene, in degrees above 0 and"
            " up to 90 (SUN_ELEVATION of the MTL; 90 - view:sun_zenith, or view:sun_elevation, of a STAC item)"
        )
    return Band(raster, scaling, encoding.is_dn)


def _raster(array: xarray.DataArray, name: str, gsd: int) -> _ArrayRaster:
    """Return an array as a raster on the lattice of Landsat; nothing is computed."""
    if array.dtype.kind not in "uif":
        raise InputError(f"{name}: holds {array.dtype}; it must hold numbers")
    array = north_up(array, f"{name}")
    box = geobox_of(array, f"{name}")
    misfit = grid.lattice_misfit(box, gsd)
    if misfit > grid.TOLERANCE:
        off = f"{misfit:.2f} pixels off" if np.isfinite(misfit) else f"{abs(box.affine.a):g} units a pixel in {box.crs}"
        raise InputError(
            f"{name}: not on the native lattice of Landsat ({off}), so its pixels were resampled; load them in the"
            f" UTM zone of the scene, with pixels of {gsd} m and their centres at multiples of {gsd} m (odc.stac.load:"
            f" resolution={gsd}, anchor='center')"
        )
    nodata = array.attrs.get("_FillValue", array.attrs.get("nodata"))
    return _ArrayRaster(name, "", box, array.dtype, nodata, array)
