"""A harmonised scene in memory, for work in Python."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from l8s2 import grid, masks
from l8s2.landsat.native_pixels import NativePixels
from l8s2.landsat.scene import Scene, open_scene
from l8s2.pipeline.align_pan import AlignPan, with_aligned_pan
from l8s2.pipeline.tiles import fine, predict_tiles
from l8s2.predictors.engines import Device, Engine
from l8s2.predictors.load import load_model
from l8s2.predictors.protocol import Predictor
from l8s2.radiometry import SigmaKind, describe_sigma
from l8s2.sensors import BAND_NAMES, N_BANDS

if TYPE_CHECKING:
    import xarray
    from odc.geo.geobox import GeoBox


def harmonize(
    scene: Scene | str | Path,
    *,
    model: str | Path = "compact",
    pan: str | Path | None = None,
    align_pan: AlignPan = "auto",
    sigma: SigmaKind = "total",
    engine: Engine = "openvino",
    device: Device = "auto",
    threads: int | None = None,
    mc_dropout: int | None = None,
    trust_architecture: str | None = None,
) -> xarray.Dataset:
    """Harmonise a whole scene in memory.

    Args:
        scene: an opened scene, or a path as ``open_scene`` takes it.
        model: see ``load_model``.
        pan: as ``open_scene`` takes it; not used where ``scene`` is opened already.
        align_pan: see ``harmonize_product``.
        sigma: ``total``: standard error of what Sentinel-2 would measure; ``detail``: without the disagreement of the
            sensors in level (``l8s2.radiometry``).
        engine: see ``load_model``.
        device: see ``load_model``.
        threads: see ``load_model``.
        mc_dropout: see ``load_model``.
        trust_architecture: see ``load_model``.

    Returns:
        Dataset with ``surface_reflectance`` and ``sigma`` (band, y, x) float32, NaN where missing, and ``qa`` (y, x)
        uint16 on the 10 m Sentinel-2 lattice, CF attributes, coordinates of pixel centres and a ``spatial_ref``.

    Raises InputError for input that cannot be used.
    """
    predictor = load_model(
        model, engine=engine, device=device, threads=threads, mc_dropout=mc_dropout,
        trust_architecture=trust_architecture,
    )  # fmt: skip
    with ExitStack() as stack:
        if not isinstance(scene, Scene):
            scene = stack.enter_context(open_scene(scene, pan))
        scene, _ = with_aligned_pan(scene, predictor, align_pan)
        return dataset_of(scene, predictor, sigma)


def dataset_of(scene: NativePixels, predictor: Predictor, sigma: SigmaKind) -> xarray.Dataset:
    """Predict a whole scene into a Dataset as ``harmonize`` returns it."""
    import xarray

    box = grid.output_geobox(scene.geobox)
    mean = np.empty((N_BANDS, *box.shape), np.float32)
    errors = np.empty_like(mean)
    qa = np.empty(box.shape, np.uint16)
    whole = slice(0, scene.shape[0]), slice(0, scene.shape[1])
    for part in predict_tiles(scene, predictor, *whole, sigma=sigma):
        at = fine(part.rows), fine(part.columns)
        mean[:, *at], errors[:, *at], qa[at] = part.mean, part.sigma, part.qa
    common: dict[str, Any] = {"units": "1", "grid_mapping": "spatial_ref"}
    dataset = xarray.Dataset(
        {
            "surface_reflectance": (
                ("band", "y", "x"), mean,
                {"standard_name": "surface_bidirectional_reflectance",
                 "long_name": "surface reflectance as Sentinel-2A would see it",
                 "ancillary_variables": "sigma qa", **common},
            ),
            "sigma": (
                ("band", "y", "x"), errors,
                {"standard_name": "surface_bidirectional_reflectance standard_error",
                 "long_name": "standard error; +-1.645 sigma is the 90 % interval", **describe_sigma(sigma), **common},
            ),
            "qa": (
                ("y", "x"), qa,
                {"standard_name": "quality_flag", "grid_mapping": "spatial_ref",
                 "flag_masks": np.array([1 << bit.bit for bit in masks.QA_BITS], np.uint16),
                 "flag_meanings": " ".join(bit.name for bit in masks.QA_BITS)},
            ),
        },
        coords={"band": list(BAND_NAMES), **_coordinates(box)},
        attrs={"Conventions": "CF-1.11", "title": f"{scene.product_id} at 10 m", "source": scene.product_id,
               "model": predictor.name, "model_sha256": predictor.sha256, "history": "l8s2",
               **({"comment": "\n".join(scene.warnings)} if scene.warnings else {})},
    )  # fmt: skip
    return dataset


def _coordinates(box: GeoBox) -> dict[str, Any]:
    """Pixel centres and the CF grid mapping of a grid in metres; odc.geo.xr would want dask."""
    import pyproj

    a = box.affine
    centres = {"y": a.f + a.e * (np.arange(box.shape[0]) + 0.5), "x": a.c + a.a * (np.arange(box.shape[1]) + 0.5)}
    axes = {k: (k, v, {"standard_name": f"projection_{k}_coordinate", "units": "metre"}) for k, v in centres.items()}
    mapping = pyproj.CRS(str(box.crs)).to_cf() | {"GeoTransform": " ".join(map(str, a.to_gdal()))}
    return {**axes, "spatial_ref": ((), 0, mapping)}
