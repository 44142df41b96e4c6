"""From a scene, or scenes of one overpass, to a product on disk, tile by tile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from l8s2._version import __version__
from l8s2.deliveries.declared import NOTHING, Declared
from l8s2.errors import ExistsError, InputError
from l8s2.files import Paths, as_paths
from l8s2.landsat.measure_scene import measure_scene
from l8s2.landsat.scene import open_scene
from l8s2.pipeline.align_pan import Alignment, AlignPan
from l8s2.pipeline.estimate import GDAL_CACHE, memory_warnings
from l8s2.pipeline.finished import asked_for, finished_product, inputs_of
from l8s2.pipeline.item_info import about_time, doubts_about, item_info, scene_facts
from l8s2.pipeline.options import ProductOptions
from l8s2.pipeline.overpass import Source, aligned, choose_source
from l8s2.pipeline.provenance import INPUTS, OPTIONS, PROCESSOR, SOFTWARE, InputFacts, processor, software
from l8s2.pipeline.verdict import NO_PAN, Count, Verdict, assess
from l8s2.pipeline.write_pixels import write_pixels
from l8s2.predictors.engines import Device, Engine
from l8s2.predictors.load import load_predictor
from l8s2.predictors.options import COMPACT, ModelOptions
from l8s2.predictors.protocol import Predictor
from l8s2.product.writer import ProductWriter
from l8s2.progress import Progress
from l8s2.radiometry import SigmaKind, describe_sigma
from l8s2.target import Area


def harmonize_product(
    path: Paths,
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
    pan: Paths | None = None,
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
        pan: Level-1 product of the same acquisition, or any GeoTIFF of its pan band, of several scenes one for
            each; None looks beside ``path``.
        align_pan: ``auto``: pan that lies elsewhere by a shift on which the windows of the scene agree is moved, once,
            band-limited; ``off``: never.
        declared: what the files of the input do not tell, see ``open_scene``.
        progress: told how far it is.
        warn: told every warning.

    Raises InputError with one clear line; then nothing is written and nothing old is lost.
    """
    options = ProductOptions(
        area=Area(bbox=bbox, mgrs=mgrs, crs=crs, like=like),
        model=ModelOptions(
            model=model,
            engine=engine,
            device=device,
            threads=threads,
            max_memory=max_memory,
            mc_dropout=mc_dropout,
            trust_architecture=trust_architecture,
        ),
        sigma=sigma,
        align_pan=align_pan,
        declared=declared,
    )
    return make_product(
        path, output, options, overwrite=overwrite, resume=resume, pan=pan, progress=progress, warn=warn
    )


def make_product(
    path: Paths,
    output: str | Path,
    options: ProductOptions,
    *,
    overwrite: bool = False,
    resume: bool = False,
    pan: Paths | None = None,
    overpass_id: str | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Do what harmonize_product does, with values that were checked before; ``overpass_id``: see ``choose_source``."""
    import rasterio

    output = Path(output)

    def tell(lines: Iterable[str]) -> None:
        for line in lines:
            if warn:
                warn(line)

    def finished() -> Path | None:
        return finished_product(output, source.product_id, asked) if resume and not overwrite else None

    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE))
        scenes = [stack.enter_context(open_scene(each, pan, options.declared)) for each in as_paths(path)]
        source = choose_source(scenes, options.area, overpass_id)
        tell(known := source.warnings)
        predictor = load_predictor(options.model)
        asked = asked_for(predictor, options, source.geobox) | inputs_of(source.inputs)
        if there := finished():
            return there
        tell(memory_warnings(predictor, source.targets, options.model))
        source, pans = aligned(source, predictor, options.align_pan)
        tell(line for line in source.warnings if line not in known)
        inputs = stack.enter_context(InputFacts([part for scene in source.scenes for part in scene.parts()]))
        writer = ProductWriter(
            output, source.product_id, source.geobox, sigma=options.sigma is not None, overwrite=overwrite,
            journal=_journal(source, predictor, options, pans), resume=resume,
        )  # fmt: skip
        stack.enter_context(writer)
        count = write_pixels(source, predictor, writer, options.sigma, progress)
        tell(lacking := _lacking(source, predictor, count))
        measures = [measure_scene(scene, pan.shift) for scene, pan in zip(source.scenes, pans, strict=True)]
        verdict = assess(count, doubts_about(source, measures, with_pan=predictor.uses_pan))
        tell(f"verdict {verdict.level}: {reason}" for reason in verdict.reasons)
        facts = {
            OPTIONS: options.told(),
            INPUTS: inputs.wait(),
            SOFTWARE: software(),
            PROCESSOR: processor(),
            **scene_facts(source, measures, [pan.moved for pan in pans]),
            **_pixel_facts(count, verdict, options, with_qa=all(scene.qa_pixel for scene in source.scenes)),
        }
        info = item_info(source, predictor, lacking, facts, options.sigma if count.with_sigma else None)
        try:
            return writer.finish(info, partial(progress, what="finishing")) if progress else writer.finish(info)
        except ExistsError:
            if there := finished():
                return there
            raise


def _journal(source: Source, predictor: Predictor, options: ProductOptions, pans: Sequence[Alignment]) -> str:
    """Return what must be the same for the drafts of a killed run to be gone on with."""
    without_pan, model = predictor.no_pan_model, options.model
    scenes = [[s.product_id, s.pan_id, str(s.geobox), s.input_files(), s.scale] for s in source.scenes]
    return json.dumps([
        __version__, predictor.sha256, without_pan and without_pan.sha256, model.engine, model.device, model.mc_dropout,
        predictor.tile, options.sigma and describe_sigma(options.sigma), options.declared.texts(), scenes,
        [pan.moved for pan in pans],
    ])  # fmt: skip


def _lacking(source: Source, predictor: Predictor, count: Count) -> list[str]:
    """Word what a product lacks. Raises InputError where that is everything."""
    nothing = "no valid pixel in the area asked for"
    if not count.valid.any():
        raise InputError(f"{source.product_id}: {nothing} (all fill); nothing was written")
    found = [f"{band.name}: {nothing}" for band, n in zip(source.scenes[0].bands, count.valid, strict=True) if not n]
    if not count.with_sigma:
        found.append(
            f"model {predictor.name} gives no uncertainty: sigma is nodata, and none is too large to be trusted"
        )
    bare = count.percent(count.without_pan)
    if bare >= NO_PAN and predictor.uses_pan and any(scene.pan for scene in source.scenes):
        found.append(f"pan is not known under {bare:g} % of the pixels, which are made without it (QA bit no_pan)")
    return found + about_time(source)


def _pixel_facts(count: Count, verdict: Verdict, options: ProductOptions, *, with_qa: bool) -> dict[str, Any]:
    """Return what the pixels of a product tell, as properties; ``with_qa``: whether QA_PIXEL told of clouds."""
    found: dict[str, Any] = {
        "l8s2:verdict": verdict.level,
        "l8s2:verdict_reasons": list(verdict.reasons),
        "l8s2:untrusted_percent": round(100 * count.untrusted_share, 2),
    }
    if with_qa:
        shares = {"l8s2:clear_percent": count.clear, "eo:cloud_cover": count.cloud, "eo:snow_cover": count.snow}
        found |= {name: count.percent(pixels) for name, pixels in shares.items()}
    if not count.with_sigma:
        found["l8s2:sigma"] = {"kind": "none", "reason": "the model gives no uncertainty"}
    elif options.sigma:
        found["l8s2:sigma"] = describe_sigma(options.sigma)
    if options.model.mc_dropout:
        found["l8s2:mc_dropout"] = options.model.mc_dropout
    return found
