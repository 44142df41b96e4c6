"""From a Landsat product: harmonize, info."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from l8s2.cli.shell import JSON, PAN, PANS, PRODUCT, TRUST, ProgressBar, as_options, declared_options, show, warn

if TYPE_CHECKING:
    from l8s2.pipeline.options import ProductOptions


@click.command()
@click.argument("products", nargs=-1, metavar="PRODUCT...", type=click.Path(path_type=Path))
@click.option(
    "--stac",
    multiple=True,
    metavar="ITEM",
    help="Landsat Level-2 STAC item (address, file, or product id) to fetch, instead of PRODUCT.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder that gets <L2SP id>_S2L. Required unless --dry-run."
)
@PANS
@declared_options
@click.option(
    "--align-pan",
    type=click.Choice(["auto", "off"]),
    default="auto",
    show_default=True,
    help="Move pan that lies elsewhere by a shift on which the windows of the scene agree, or never.",
)
@click.option(
    "--model",
    default="compact",
    show_default=True,
    help="compact, compact-nopan, published-ensemble, an ONNX file, a model folder, its .safetensors or .bin, "
    "owner/name on the Hugging Face Hub, or several of these with commas between (an ensemble).",
)
@click.option(
    "--mc-dropout",
    type=click.IntRange(min=2),
    metavar="N",
    help="Predict N times with dropout active, for a sigma from models trained with dropout.",
)
@TRUST
@click.option("--bbox", nargs=4, type=float, metavar="W S E N", help="Only this area, WGS 84 degrees.")
@click.option("--mgrs", metavar="TILE", help="Exactly the 10 m grid of a Sentinel-2 tile, for example 43PHQ.")
@click.option(
    "--crs",
    metavar="CRS",
    help="Warp the product once into this coordinate reference system; native: keep the scene's.",
)
@click.option("--like", type=click.Path(path_type=Path), help="Warp the product once onto the grid of this raster.")
@click.option(
    "--sigma",
    type=click.Choice(["total", "detail"]),
    default="total",
    show_default=True,
    help="Standard error of what Sentinel-2 would measure, or without the disagreement of the sensors in level.",
)
@click.option("--no-sigma", is_flag=True, help="Leave the standard errors out.")
@click.option("--engine", type=click.Choice(["openvino", "torch"]), default="openvino", show_default=True)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where PyTorch runs (published networks, --engine torch); auto: on a GPU where there is one.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Processor threads. Default: all.")
@click.option(
    "--max-memory",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GB",
    default=2.0,
    show_default=True,
    help="Memory at the peak, as far as the model allows. Published networks are faster with 6.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing product once the new one is whole.")
@click.option("--resume", is_flag=True, help="Go on where a killed run of the same product was.")
@click.option("--dry-run", is_flag=True, help="Check the input; show size, time, memory and disk space; write nothing.")
@JSON
def harmonize(
    products: tuple[Path, ...],
    stac: tuple[str, ...],
    output: Path | None,
    pan: tuple[Path, ...],
    overwrite: bool,
    resume: bool,
    dry_run: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Make a 10 m product from a Landsat Level-2 PRODUCT (folder, .tar, .tar.gz, .zip, or one file with all bands).

    Or from an item of a catalogue (--stac), of which --bbox and --mgrs fetch only the part that is needed. What is
    fetched stays in the cache of l8s2 until the product is written.

    Several products (or --stac several times) of one satellite, path and day become one product on the grid of --mgrs,
    --like or --bbox.
    """
    if bool(products) == bool(stac):
        raise click.UsageError("Give a PRODUCT, or --stac ITEM instead of one.")
    if stac and dry_run:
        raise click.UsageError("--dry-run needs the files; it goes with PRODUCT, not with --stac.")
    if output is None and not dry_run:
        raise click.UsageError("Missing option '-o' / '--output'.")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy loads: every thread has work of its own
    options = product_options(given)
    if dry_run or output is None:
        _show_plan(products, options, pan, as_json)
        return
    from l8s2.pipeline.to_product import make_product

    started = time.monotonic()
    with ExitStack() as stack:
        sources, name = [*products], None
        if stac:
            from l8s2.acquire.cache import single_landsat_item
            from l8s2.cli.from_catalog import fetched, finished, id_of_items

            wanted = [single_landsat_item(item) for item in stac]
            name = id_of_items(wanted, options.area)
            if resume and not overwrite and (there := finished(name, output, options, pan)):
                _tell(there, started, as_json)
                return
            sources = stack.enter_context(fetched(wanted, name, output, overwrite, options, pan))
        with ProgressBar("harmonising") as progress:
            folder = make_product(
                sources,
                output,
                options,
                overwrite=overwrite,
                resume=resume,
                pan=pan,
                overpass_id=name if len(stac) > 1 else None,
                progress=progress,
                warn=warn,
            )
    _tell(folder, started, as_json)


def product_options(given: dict[str, Any]) -> ProductOptions:
    """Take what of the options of ``harmonize`` decides the samples. Raises InputError, and UsageError."""
    from l8s2.deliveries.declared import Declared
    from l8s2.pipeline.options import ProductOptions
    from l8s2.predictors.options import ModelOptions
    from l8s2.target import Area

    def of(*names: str) -> dict[str, Any]:
        return {name: given[name] for name in names}

    if given["no_sigma"] and click.get_current_context().get_parameter_source("sigma") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--sigma and --no-sigma exclude each other; give one of them.")
    return ProductOptions(
        area=Area(bbox=given["bbox"] or None, **of("mgrs", "crs", "like")),
        model=ModelOptions(
            **of("model", "engine", "device", "threads", "max_memory", "mc_dropout", "trust_architecture")
        ),
        sigma=None if given["no_sigma"] else given["sigma"],
        align_pan=given["align_pan"],
        declared=Declared.parse(**of("bands", "scale", "acquired", "platform")),
    )


def _tell(folder: Path, started: float, as_json: bool) -> None:
    """Print which product there is now."""
    seconds = time.monotonic() - started
    if as_json:
        files = sorted(str(p) for p in folder.iterdir())
        click.echo(json.dumps({"product": str(folder), "files": files, "seconds": round(seconds, 2)}, indent=2))
    else:
        click.echo(str(folder))
        click.echo(f"done in {seconds:.1f} s", err=True)


def _show_plan(products: Sequence[Path], options: ProductOptions, pan: Sequence[Path], as_json: bool) -> None:
    """Print what harmonising would need."""
    from dataclasses import asdict

    from l8s2.pipeline.estimate import plan_product

    plan = plan_product(products, options, pan=pan)
    if as_json:
        click.echo(json.dumps(asdict(plan), indent=2))
        return
    for line in plan.warnings:
        warn(line)
    rows, columns = plan.shape
    click.echo(f"{plan.product_id}: {columns} x {rows} pixels of 10 m in {plan.crs}, pan {plan.pan or 'none'}")
    memory, disk = plan.memory_bytes / 1e9, plan.disk_bytes / 1e9
    click.echo(f"about {plan.seconds:.0f} s, {memory:.1f} GB of memory, up to {disk:.2f} GB of disk")


@click.command()
@PRODUCT
@PAN
@declared_options
@JSON
def info(product: Path, pan: Path | None, as_json: bool, **declared: str | None) -> None:
    """Show what PRODUCT holds, what is missing, its lattice, and what is measured on it.

    Measured are the shift of pan against the 30 m bands, the sharpness of the visible bands, and the noise of each.
    """
    from l8s2.deliveries.declared import Declared
    from l8s2.landsat.describe import describe_product

    facts = describe_product(product, pan, Declared.parse(**declared))
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    warnings = facts.pop("warnings")
    facts["align_pan"] = as_options(facts["align_pan"] or "no pan")
    measures = {name: facts.pop(name) for name in _MEASURES}
    show(facts | {name: _in_words(name, measure) for name, measure in measures.items()})
    for line in warnings:
        warn(line)


_MEASURES = ("pan_shift", "sharpness", "noise")


def _in_words(name: str, measure: dict[str, Any] | None) -> str:
    if measure is None:
        return "no pan"
    if measure["verdict"] == "unknown":
        return f"unknown: {measure['reason']}"
    if name == "pan_shift":
        text = f"{measure['length_m']} m (down {measure['down_m']}, right {measure['right_m']})"
        text += f", correlation {measure['correlation']}"
    elif name == "sharpness":
        text = f"visible bands blurred by {measure['blur_m']} m against pan, nominal {measure['nominal_blur_m']}"
        text += f"; MTF {measure['mtf_nyquist']} at Nyquist"
    else:
        bands = measure["bands"].items()
        ratios = (f"{band} {noise['snr']:.0f} ({noise['documented_snr']:.0f})" for band, noise in bands)
        text = f"signal-to-noise ratio (documented): {', '.join(ratios)}"
    return f"{measure['verdict']}: {text}"
