"""Which variable or band of what was loaded is which band of Landsat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from l8s2.errors import InputError
from l8s2.sensors import BANDS

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What belongs to one scene, or to several with a dimension ``time``."""

    bands: list[xarray.DataArray]
    """blue, green, red, nir08, swir16, swir22."""
    quality: dict[str, xarray.DataArray]
    """``qa_pixel`` and ``qa_radsat``, as far as they are there."""

    def at(self, index: int) -> Parts:
        """Take what belongs to one time, by its number."""
        return Parts(
            bands=[band.isel(time=index) for band in self.bands],
            quality={name: x.isel(time=index) if "time" in x.dims else x for name, x in self.quality.items()},
        )


def parts_of(
    ms: xarray.Dataset | xarray.DataArray,
    qa_pixel: xarray.DataArray | None = None,
    qa_radsat: xarray.DataArray | None = None,
) -> Parts:
    """Find the bands by name: ``blue`` or ``SR_B2``, and so on; ``qa_pixel`` and ``qa_radsat`` too where not given.

    Args:
        ms: Dataset with a variable for each band, or DataArray with a dimension ``band`` of such names.
        qa_pixel: Landsat's QA_PIXEL.
        qa_radsat: Landsat's QA_RADSAT.

    Raises InputError that names the bands which are missing.
    """
    found = {name.lower(): array for name, array in _named(ms).items()}
    bands = {name: found.get(name, found.get(number)) for name, number in _NAMES.items()}
    known = [band for band in bands.values() if band is not None]
    if len(known) < len(bands):
        missing = ", ".join(f"{name} (or {_NAMES[name].upper()})" for name, band in bands.items() if band is None)
        raise InputError(f"ms: lacks {missing}; it has {', '.join(found) or 'none'}: load all six, or rename them")
    given = {"qa_pixel": qa_pixel, "qa_radsat": qa_radsat}
    quality = {name: found.get(name) if array is None else array for name, array in given.items()}
    there = {name: array for name, array in quality.items() if array is not None}
    return Parts(bands=known, quality={name: _of_times(name, array, known[0]) for name, array in there.items()})


def _of_times(name: str, array: xarray.DataArray, band: xarray.DataArray) -> xarray.DataArray:
    """Return quality bits of the times of a band; bits of one time fit a band without the dimension."""
    if "time" not in array.dims:
        return array
    if "time" not in band.dims and array.sizes["time"] == 1:
        array = array.isel(time=0)
    both = all("time" in (*x.dims, *x.coords) for x in (array, band))
    differ = both and not np.array_equal(array["time"].values, band["time"].values)
    if differ or ("time" in array.dims and "time" not in band.dims):
        raise InputError(f"{name}: its times are not those of ms; select those")
    return array


_NAMES = {band.name: f"sr_{band.landsat}".lower() for band in BANDS}


def _named(ms: xarray.Dataset | xarray.DataArray) -> dict[str, xarray.DataArray]:
    import xarray

    if isinstance(ms, xarray.Dataset):
        return {str(name): array for name, array in ms.data_vars.items()}
    if not isinstance(ms, xarray.DataArray) or "band" not in ms.dims:
        raise InputError("ms: give a Dataset with a variable for each band, or a DataArray with a dimension band")
    names = ms["band"].values.tolist()
    described = ms.attrs.get("long_name")  # rioxarray has the names of the bands of a file there, the band counts them
    if not all(isinstance(name, str) for name in names) and isinstance(described, tuple | list):
        names = described
    return {str(name): ms.isel(band=index, drop=True) for index, name in enumerate(names)}
