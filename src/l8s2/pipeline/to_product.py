"""From a scene, or scenes of one overpass, to a product on disk, tile by tile."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from l8s2._version import __version__
from l8s2.deliveries.declared import NOTHING, Declared
from l8s2.errors import ExistsError, InputError
from l8s2.landsat.measure_scene import measure_scene
from l8s2.landsat.scene import open_scene
from l8s2.pipeline.align_pan import AlignPan
from l8s2.pipeline.estimate import GDAL_CACHE, memory_warnings
from l8s2.pipeline.finished import asked_for, finished_product, inputs_of
from l8s2.pipeline.item_info import about_time, doubts_about, item_info, scene_facts
from l8s2.pipeline.overpass import aligned, as_paths, choose_source
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
from l8s2.pipeline.verdict import NO_PAN, Count, assess
from l8s2.pipeline.write_pixels import write_pixels
from l8s2.predictors.engines import Device, Engine
from l8s2.predictors.load import load_predictor
from l8s2.predictors.options import COMPACT, ModelOptions
from l8s2.product.writer import ProductWriter
from l8s2.progress import Progress
from l8s2.radiometry import SigmaKind, describe_sigma
from l8s2.target import Area

NO_SIGMA = "gives no uncertainty"
NO_SIGMA_FACT = {"kind": "none", "reason": f"the model {NO_SIGMA}"}


def harmonize_product(
    path: str | Path | Sequence[str | Path],
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
    declared: Declared = NOTHING,
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Harmonise the product at ``path`` into ``output/<L2SP id>_S2L`` and return that folder.

    Args:
        path: folder, ``.tar``, ``.tar.gz`` or ``.zip`` of the L2SP product, one GeoTIFF with all bands, or what else
            docs/inputs.md lists. Several of one overpass (satellite, path and day) become one product on the grid of
            ``mgrs``, ``like`` or ``bbox``: docs/product.md.
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
        resume: go on where a killed run of the same product, model and area was; a finished product of the same
            options is returned as it is, one of others refused.
        pan: Level-1 product of the same acquisition, or any GeoTIFF of its pan band; None looks beside ``path``.
        align_pan: ``auto``: pan that lies elsewhere by a shift on which the windows of the scene agree is moved, once,
            band-limited; ``off``: never.
        declared: what the files of the input do not tell, see ``open_scene``.
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
        declared=declared,
        progress=progress,
        warn=warn,
    )


def make_product(
    path: str | Path | Sequence[str | Path],
    output: str | Path,
    area: Area,
    options: ModelOptions,
    *,
    sigma: SigmaKind | None = "total",
    overwrite: bool = False,
    resume: bool = False,
    pan: str | Path | None = None,
    align_pan: AlignPan = "auto",
    declared: Declared = NOTHING,
    overpass_id: str | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Do what harmonize_product does, with values that were checked before; ``overpass_id``: see ``choose_source``."""
    import rasterio

    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE))
        source = choose_source(
            [stack.enter_context(open_scene(each, pan, declared)) for each in as_paths(path)], area, overpass_id
        )
        for message in source.warnings:
            if warn:
                warn(message)
        predictor = load_predictor(options)
        asked = asked_for(predictor, options, area, sigma, align_pan, source.geobox, declared) | inputs_of(
            [(scene.product_id, scene.pan_id) for scene in source.scenes]
        )

        def finished() -> Path | None:
            return finished_product(Path(output), source.product_id, asked) if resume and not overwrite else None

        if there := finished():
            return there
        for message in memory_warnings(predictor, source.targets, options):
            if warn:
                warn(message)
        told = [len(scene.warnings) for scene in source.scenes]
        source, pans = aligned(source, predictor, align_pan)
        moved = [pan.moved for pan in pans]
        for scene, known in zip(source.scenes, told, strict=True):
            for message in scene.warnings[known:]:
                if warn:
                    warn(message)
        journal = json.dumps([__version__, predictor.sha256,
                              predictor.no_pan_model and predictor.no_pan_model.sha256, options.engine, options.device,
                              options.mc_dropout, predictor.tile, sigma and describe_sigma(sigma),
                              *([scene.product_id, scene.pan_id, str(scene.geobox), scene.input_files(), scene.scale]
                                for scene in source.scenes), moved, declared.texts()])  # fmt: skip
        inputs = stack.enter_context(InputFacts([part for scene in source.scenes for part in scene.parts()]))
        writer = stack.enter_context(
            ProductWriter(
                Path(output),
                source.product_id,
                source.geobox,
                sigma=sigma is not None,
                overwrite=overwrite,
                journal=journal,
                resume=resume,
            )
        )
        count, valid = write_pixels(source, predictor, writer, sigma, progress)
        if not valid.any():
            raise InputError(
                f"{source.product_id}: no valid pixel in the area asked for (all fill); nothing was written"
            )
        lacking = [
            f"{band.name}: no valid pixel in the area asked for"
            for band, n in zip(source.scenes[0].bands, valid, strict=True)
            if not n
        ]
        if not count.with_sigma:
            lacking.append(f"model {predictor.name} {NO_SIGMA}: sigma is nodata, and none is too large to be trusted")
        expected = predictor.uses_pan and any(scene.pan for scene in source.scenes)
        if expected and (bare := count.percent(count.without_pan)) >= NO_PAN:
            lacking.append(
                f"pan is not known under {bare:g} % of the pixels, which are made without it (QA bit no_pan)"
            )
        lacking += about_time(source)
        for message in lacking:
            if warn:
                warn(message)
        measures = [measure_scene(scene, pan.shift) for scene, pan in zip(source.scenes, pans, strict=True)]
        verdict = assess(count, doubts_about(source, measures, with_pan=predictor.uses_pan))
        for reason in verdict.reasons:
            if warn:
                warn(f"verdict {verdict.level}: {reason}")
        facts = {
            OPTIONS: used_options(area, options, sigma, align_pan) | declared.texts(),
            INPUTS: inputs.wait(),
            SOFTWARE: software(),
            PROCESSOR: processor(),
            "l8s2:verdict": verdict.level,
            "l8s2:verdict_reasons": list(verdict.reasons),
            "l8s2:untrusted_percent": round(100 * count.untrusted_share, 2),
            **scene_facts(source, measures, moved),
            **(_covers(count) if all(scene.qa_pixel for scene in source.scenes) else {}),
            **({} if count.with_sigma else {"l8s2:sigma": NO_SIGMA_FACT}),
            **({"l8s2:sigma": describe_sigma(sigma)} if sigma and count.with_sigma else {}),
            **({"l8s2:mc_dropout": options.mc_dropout} if options.mc_dropout else {}),
        }
        info = item_info(source, predictor, lacking, facts, sigma if count.with_sigma else None)
        try:
            return writer.finish(info, partial(progress, what="finishing")) if progress else writer.finish(info)
        except ExistsError:
            if there := finished():
                return there
            raise


def _covers(count: Count) -> dict[str, float]:
    """Return what QA_PIXEL alone tells."""
    shares = {"l8s2:clear_percent": count.clear, "eo:cloud_cover": count.cloud, "eo:snow_cover": count.snow}
    return {name: count.percent(pixels) for name, pixels in shares.items()}
