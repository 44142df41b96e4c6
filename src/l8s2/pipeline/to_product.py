"""From a scene to a product on disk, tile by tile."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, time
from functools import partial
from pathlib import Path
from typing import Any

from l8s2 import grid
from l8s2._version import __version__
from l8s2.errors import InputError
from l8s2.landsat.measure_scene import measure_scene
from l8s2.landsat.scene import Scene, open_scene
from l8s2.pipeline.align_pan import AlignPan, with_aligned_pan
from l8s2.pipeline.feed import feed
from l8s2.pipeline.provenance import (
    INPUTS,
    OPTIONS,
    PROCESSOR,
    SOFTWARE,
    InputFacts,
    processor,
    software,
    used_options,
)  # fmt: skip
from l8s2.pipeline.verdict import Count, assess
from l8s2.predictors.engines import Device, Engine
from l8s2.predictors.load import load_predictor
from l8s2.predictors.options import COMPACT, ModelOptions
from l8s2.predictors.protocol import Predictor
from l8s2.product.stac import ItemInfo
from l8s2.product.writer import ProductWriter, product_folder
from l8s2.progress import Progress
from l8s2.radiometry import SigmaKind, describe_sigma
from l8s2.sensors import OLI
from l8s2.target import Area, Target, choose_target

GDAL_CACHE = 256 << 20
"""Bytes; GDAL itself would take a share of the machine, and gain nothing by it here."""
NO_SIGMA = "gives no uncertainty"
NO_SIGMA_FACT = {"kind": "none", "reason": f"the model {NO_SIGMA}"}


def harmonize_product(
    path: str | Path,
    output: str | Path,
    *,
    model: str | Path = "compact",
    bbox: tuple[float, float, float, float] | None = None,
    mgrs: str | None = None,
    crs: str | None = None,
    like: str | Path | None = None,
    sigma: SigmaKind | None = "total",
    engine: Engine = "openvino",
    device: Device = "auto",
    threads: int | None = None,
    max_memory: float = COMPACT.max_memory,
    mc_dropout: int | None = None,
    trust_architecture: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    pan: str | Path | None = None,
    align_pan: AlignPan = "auto",
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Harmonise the product at ``path`` into ``output/<L2SP id>_S2L`` and return that folder.

    Args:
        path: folder, ``.tar`` or ``.tar.gz`` of the L2SP product, files by their USGS names.
        output: folder that gets the product; made where it does not exist.
        model: see ``load_model``.
        bbox: west, south, east, north in WGS 84 degrees; None takes the whole scene.
        mgrs: a Sentinel-2 tile such as ``43PHQ``; the product gets exactly its 10 m grid.
        crs: coordinate reference system; the product is warped into it once, at the end. ``native`` keeps the scene's.
        like: raster whose grid the product gets, by one warp at the end.
        sigma: ``total``: SIGMA is the standard error of what Sentinel-2 would measure; ``detail``: without the
            disagreement of the sensors in level (``l8s2.radiometry``); None leaves the file out.
        engine: see ``load_model``.
        device: see ``load_model``.
        threads: see ``load_model``.
        max_memory: see ``load_model``.
        mc_dropout: see ``load_model``.
        trust_architecture: see ``load_model``.
        overwrite: replace a product of the same name once the new one is whole.
        resume: go on where a killed run of the same product, model and area was; a whole product is returned as it is.
        pan: Level-1 product of the same acquisition, or its ``_B8.TIF``; None looks beside ``path``.
        align_pan: ``auto``: pan that lies elsewhere by a shift on which the windows of the scene agree is moved, once,
            band-limited; ``off``: never.
        progress: told how far it is.
        warn: told every warning.

    Raises InputError with one clear line; then nothing is written and nothing old is lost.
    """
    return make_product(
        path,
        output,
        Area(bbox=bbox, mgrs=mgrs, crs=crs, like=like),
        ModelOptions(
            model=model,
            engine=engine,
            device=device,
            threads=threads,
            max_memory=max_memory,
            mc_dropout=mc_dropout,
            trust_architecture=trust_architecture,
        ),
        sigma=sigma,
        overwrite=overwrite,
        resume=resume,
        pan=pan,
        align_pan=align_pan,
        progress=progress,
        warn=warn,
    )


def make_product(
    path: str | Path,
    output: str | Path,
    area: Area,
    options: ModelOptions,
    *,
    sigma: SigmaKind | None = "total",
    overwrite: bool = False,
    resume: bool = False,
    pan: str | Path | None = None,
    align_pan: AlignPan = "auto",
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Do what harmonize_product does, with values that were checked before."""
    import rasterio

    with_sigma = sigma is not None
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE))
        scene = stack.enter_context(open_scene(path, pan))
        target = choose_target(scene.geobox, area)
        for message in (*scene.warnings, *target.notes):
            if warn:
                warn(message)
        there = product_folder(Path(output), scene.product_id)
        if resume and not overwrite and (there / f"{scene.product_id}.json").is_file():
            return there
        predictor = load_predictor(options)
        told = len(scene.warnings)
        scene, moved = with_aligned_pan(scene, predictor, align_pan)
        for message in scene.warnings[told:]:
            if warn:
                warn(message)
        journal = json.dumps([__version__, scene.product_id, scene.pan_id, str(scene.geobox), predictor.sha256,
                              predictor.no_pan_model and predictor.no_pan_model.sha256, options.engine, options.device,
                              options.mc_dropout, predictor.tile, sigma and describe_sigma(sigma),
                              scene.input_files(), moved])  # fmt: skip
        inputs = stack.enter_context(InputFacts(scene.parts()))
        writer = stack.enter_context(
            ProductWriter(
                Path(output),
                scene.product_id,
                target.geobox,
                sigma=with_sigma,
                overwrite=overwrite,
                journal=journal,
                resume=resume,
            )
        )
        if target.warped:
            from l8s2.product.warp import WarpBuffer

            with WarpBuffer(writer.workspace, target.native, sigma=with_sigma) as buffer:
                count = feed(scene, predictor, target, buffer, progress, sigma=sigma or "detail")
                valid = buffer.warp_into(writer)
        else:
            count = feed(scene, predictor, target, writer, progress, sigma=sigma or "detail")
            valid = count.valid
        if not valid.any():
            raise InputError(
                f"{scene.product_id}: no valid pixel in the area asked for (all fill); nothing was written"
            )
        lacking = [
            f"{band.name}: no valid pixel in the area asked for"
            for band, n in zip(scene.bands, valid, strict=True)
            if not n
        ]
        if not count.with_sigma:
            lacking.append(f"model {predictor.name} {NO_SIGMA}: sigma is nodata, and none is too large to be trusted")
        for message in lacking:
            if warn:
                warn(message)
        measures = measure_scene(scene)
        verdict = assess(count, measures.doubts(with_pan=predictor.uses_pan))
        for reason in verdict.reasons:
            if warn:
                warn(f"verdict {verdict.level}: {reason}")
        facts = {
            OPTIONS: used_options(area, options, sigma, align_pan),
            INPUTS: inputs.wait(),
            SOFTWARE: software(),
            PROCESSOR: processor(),
            "l8s2:verdict": verdict.level,
            "l8s2:verdict_reasons": list(verdict.reasons),
            "l8s2:clear_percent": count.percent(count.clear),
            "l8s2:untrusted_percent": round(100 * count.untrusted_share, 2),
            **(_covers(count) if scene.qa_pixel is not None else {}),
            **{f"l8s2:{name}": value for name, value in measures.known().items()},
            **({"l8s2:pan_aligned_m": {"down": moved[0], "right": moved[1]}} if moved else {}),
            **({} if count.with_sigma else {"l8s2:sigma": NO_SIGMA_FACT}),
            **({"l8s2:sigma": describe_sigma(sigma)} if sigma and count.with_sigma else {}),
            **({"l8s2:mc_dropout": options.mc_dropout} if options.mc_dropout else {}),
        }
        info = _item_info(scene, predictor, target, lacking, facts, sigma if count.with_sigma else None)
        return writer.finish(info, partial(progress, what="finishing")) if progress else writer.finish(info)


def _covers(count: Count) -> dict[str, float]:
    return {"eo:cloud_cover": count.percent(count.cloud), "eo:snow_cover": count.percent(count.snow)}


def _item_info(
    scene: Scene,
    predictor: Predictor,
    target: Target,
    warnings: list[str],
    facts: dict[str, Any],
    uncertainty: SigmaKind | None,
) -> ItemInfo:
    metadata = scene.metadata
    acquired = metadata.acquired if metadata else None
    if acquired is None:
        acquired = datetime.combine(scene.name.acquired, time(), UTC)
    without_pan = {}
    if predictor.no_pan_model is not None:
        without_pan = {
            "l8s2:model_without_pan": predictor.no_pan_model.name,
            "l8s2:model_without_pan_sha256": predictor.no_pan_model.sha256,
        }
    return ItemInfo(
        datetime=acquired,
        sun_elevation=metadata.sun_elevation if metadata else None,
        sun_azimuth=metadata.sun_azimuth if metadata else None,
        off_nadir=metadata.off_nadir if metadata else None,
        geometric_rmse=metadata.geometric_rmse if metadata else None,
        uncertainty=uncertainty,
        platform=OLI.platform(scene.name.satellite),
        l2_id=scene.product_id,
        l2_collection="landsat-c2ard-sr" if scene.name.region else "landsat-c2l2-sr",
        l1_id=scene.pan_id,
        model=predictor.name,
        model_sha256=predictor.sha256,
        version=__version__,
        warnings=[*scene.warnings, *target.notes, *warnings],
        extra={
            "l8s2:warped": target.warped,
            "l8s2:sentinel2_lattice": grid.on_sentinel2_lattice(target.geobox),
            **without_pan,
            **facts,
        },
    )
