"""Arrays that are in memory already, or are loaded as they are needed, harmonised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from l8s2.errors import InputError
from l8s2.pipeline.align_pan import AlignPan, with_aligned_pan
from l8s2.pipeline.in_memory import dataset_of
from l8s2.predictors.engines import Engine
from l8s2.predictors.load import load_model
from l8s2.radiometry import SigmaKind
from l8s2.xarray_scene import Parts, Scale, open_arrays, parts_of

if TYPE_CHECKING:
    import xarray


def harmonize_xarray(
    ms: xarray.Dataset | xarray.DataArray,
    pan: xarray.DataArray | None = None,
    *,
    qa_pixel: xarray.DataArray | None = None,
    qa_radsat: xarray.DataArray | None = None,
    sun_elevation: float | Sequence[float] | None = None,
    scale: Scale | None = None,
    model: str | Path = "compact",
    align_pan: AlignPan = "auto",
    sigma: SigmaKind = "total",
    engine: Engine = "openvino",
    threads: int | None = None,
    mc_dropout: int | None = None,
    trust_architecture: str | None = None,
) -> xarray.Dataset:
    """Harmonise what ``odc.stac.load`` or ``rioxarray.open_rasterio`` return.

    Args:
        ms: surface reflectance of Collection 2 on its native 30 m grid: Dataset with variables ``blue``, ``green``,
            ``red``, ``nir08``, ``swir16``, ``swir22`` (or ``SR_B2`` .. ``SR_B7``), or DataArray with a dimension
            ``band`` of them; (y, x), with or without ``time``. Digital numbers, or reflectance; 0 or NaN is fill.
        pan: (y, x) or (time, y, x) on its own 15 m grid: Level-1 digital numbers, or top-of-atmosphere reflectance
            corrected for the sun. Of several times the one of the same day is taken. None: the pan-less network.
        qa_pixel: Landsat's QA_PIXEL; None looks for a variable of that name in ``ms``.
        qa_radsat: Landsat's QA_RADSAT; likewise.
        sun_elevation: degrees, one for each time of ``ms``; needed where ``pan`` holds digital numbers.
        scale: ``collection2`` (digital numbers) or ``reflectance``; None: proved by attributes and pixels of ``ms``.
        model: see ``load_model``.
        align_pan: see ``harmonize_product``.
        sigma: see ``harmonize``.
        engine: see ``load_model``.
        threads: see ``load_model``.
        mc_dropout: see ``load_model``.
        trust_architecture: see ``load_model``.

    Returns:
        Dataset in memory as ``harmonize`` returns it, of the same numbers as from the product on disk; with a dimension
        ``time`` where ``ms`` has several. What was found odd is said in the attribute ``comment``.

    Raises InputError for pixels that are not on the lattice of Landsat, for bands that are missing, and where it is not
    clear what the pixels hold.
    """
    import xarray

    scenes = _scenes(parts_of(ms, qa_pixel, qa_radsat), pan, sun_elevation)
    predictor = load_model(
        model, engine=engine, threads=threads, mc_dropout=mc_dropout, trust_architecture=trust_architecture
    )
    found = []
    for one, its_pan, sun in scenes:
        time = one.bands[0].coords.get("time")
        name = "arrays" if time is None else f"arrays of {str(time.values)[:16]}"
        scene, _ = with_aligned_pan(
            open_arrays(one, its_pan, name, sun_elevation=sun, scale=scale), predictor, align_pan
        )
        dataset = dataset_of(scene, predictor, sigma)
        found.append(dataset if time is None else dataset.assign_coords(time=time.variable))
    if len(found) == 1:
        return found[0]
    result = xarray.concat(found, "time", combine_attrs="override")
    lines = dict.fromkeys(line for dataset in found for line in dataset.attrs["comment"].splitlines())
    return result.assign_attrs(title="arrays at 10 m", source="arrays", comment="\n".join(lines))


_One = tuple[Parts, "xarray.DataArray | None", float | None]


def _scenes(parts: Parts, pan: xarray.DataArray | None, sun_elevation: float | Sequence[float] | None) -> list[_One]:
    """Take the times apart: arrays, pan and elevation of the sun of each."""
    first = parts.bands[0]
    count = first.sizes.get("time", 1)
    suns = [None] * count if sun_elevation is None else np.ravel(np.asarray(sun_elevation, np.float64)).tolist()
    if not count:
        raise InputError("ms: its dimension time is empty; load at least one")
    if len(suns) != count:
        raise InputError(f"sun_elevation: {len(suns)} given for {count} times of ms; give one for each")
    every = [parts.at(index) for index in range(count)] if "time" in first.dims else [parts]
    if pan is None:
        return [(one, None, sun) for one, sun in zip(every, suns, strict=True)]
    if not hasattr(pan, "dims") or not hasattr(pan, "dtype"):
        raise InputError("pan: must be a DataArray, such as the variable pan of a Dataset")
    if count > 1 and "time" not in pan.dims:
        raise InputError(f"pan: one for {count} times of ms; give it with a dimension time")
    pans = [_of_day(pan, one.bands[0]) for one in every]
    if all(one is None for one in pans):
        raise InputError("pan: not of the day of ms; give that of the same acquisition")
    return list(zip(every, pans, suns, strict=True))


def _of_day(pan: xarray.DataArray, band: xarray.DataArray) -> xarray.DataArray | None:
    """Return the pan of the day of a band, (y, x); None where there is none of it."""
    if "time" not in pan.dims:
        pan = pan.expand_dims("time")
    if "time" not in pan.coords or "time" not in band.coords:
        if pan.sizes["time"] > 1:
            raise InputError("pan: has several times and ms none that says which; select the one of ms")
        return pan.isel(time=0, drop=True)
    if not pan["time"].dtype.kind == band["time"].dtype.kind == "M":
        raise InputError("pan: its times or those of ms are not dates (datetime64); convert them")
    away = np.abs(pan["time"].values - band["time"].values)
    nearest = int(away.argmin())
    return pan.isel(time=nearest, drop=True) if away[nearest] < np.timedelta64(12, "h") else None
