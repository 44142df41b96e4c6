"""From a Landsat product: harmonize, info."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from l8s2.cli.shell import JSON, PAN, PRODUCT, TRUST, ProgressBar, show, warn
from l8s2.errors import InputError


@click.command()
@click.argument("product", required=False, type=click.Path(path_type=Path))
@click.option(
    "--stac",
    metavar="ITEM",
    help="Landsat Level-2 STAC item (address, file, or product id) to fetch, instead of PRODUCT.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder that gets <L2SP id>_S2L. Required unless --dry-run."
)
@PAN
@click.option(
    "--model",
    default="compact",
    show_default=True,
    help="compact, compact-nopan, published-ensemble, an ONNX file, a model folder, its .safetensors or .bin, owner/name on "
    "the Hugging Face Hub, or several of these with commas between (an ensemble).",
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
@click.option("--crs", metavar="CRS", help="Warp the product once into this coordinate reference system.")
@click.option("--like", type=click.Path(path_type=Path), help="Warp the product once onto the grid of this raster.")
@click.option("--sigma/--no-sigma", default=True, show_default=True, help="Write the standard errors.")
@click.option("--engine", type=click.Choice(["openvino", "torch"]), default="openvino", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Processor threads. Default: all.")
@click.option("--overwrite", is_flag=True, help="Replace an existing product once the new one is whole.")
@click.option("--dry-run", is_flag=True, help="Check the input and tell size, time, memory and disk; write nothing.")
@JSON
def harmonize(
    product: Path | None,
    stac: str | None,
    output: Path | None,
    dry_run: bool,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Make a 10 m product from a Landsat Level-2 PRODUCT (folder, .tar or .tar.gz).

    Or from an item of a catalogue (--stac), with --bbox and --mgrs of only as much of it as is needed. What is fetched lies in
    l8s2's cache until the product is whole.
    """
    if (product is None) == (stac is None):
        raise click.UsageError("Give a PRODUCT, or --stac ITEM instead of one.")
    if stac is not None and dry_run:
        raise click.UsageError("--dry-run wants the files; it goes with PRODUCT, not with --stac.")
    from l8s2.pipeline.estimate import plan_product
    from l8s2.pipeline.to_product import harmonize_product

    options["bbox"] = options["bbox"] or None
    if dry_run:
        from dataclasses import asdict

        assert product is not None
        plan = asdict(plan_product(product, **options))
        if as_json:
            click.echo(json.dumps(plan, indent=2))
        else:
            for line in plan.pop("warnings"):
                warn(line)
            rows, columns = plan["shape"]
            click.echo(
                f"{plan['product_id']}: {columns} x {rows} pixels of 10 m in {plan['crs']}, pan {plan['pan'] or 'none'}"
            )
            click.echo(
                f"about {plan['seconds']:.0f} s, {plan['memory_bytes'] / 1e9:.1f} GB of memory, up to {plan['disk_bytes'] / 1e9:.2f} GB of disk"
            )
        return
    if output is None:
        raise click.UsageError("Missing option '-o' / '--output'.")
    started = time.monotonic()
    with ExitStack() as stack:
        source = product or stack.enter_context(_fetched(stac or "", output, overwrite, options))
        with ProgressBar("harmonising") as progress:
            folder = harmonize_product(source, output, overwrite=overwrite, progress=progress, warn=warn, **options)
    seconds = time.monotonic() - started
    if as_json:
        files = sorted(str(p) for p in folder.iterdir())
        click.echo(json.dumps({"product": str(folder), "files": files, "seconds": round(seconds, 2)}, indent=2))
    else:
        click.echo(str(folder))
        click.echo(f"done in {seconds:.1f} s", err=True)


@contextmanager
def _fetched(stac: str, output: Path, overwrite: bool, options: dict[str, Any]) -> Iterator[Path]:
    """What is needed of an item, as a product on disk; first all that can be checked without it is."""
    from l8s2.acquire.cache import fetched, landsat_of
    from l8s2.files import WholeFolder
    from l8s2.predictors.load import load_model
    from l8s2.product.writer import SUFFIX
    from l8s2.sensors import MS_GSD
    from l8s2.target import area_of

    _check(options)
    wanted = landsat_of(stac)
    WholeFolder(output / f"{wanted.landsat[0].product}{SUFFIX}", overwrite=overwrite)
    how = {name: options[name] for name in ("engine", "threads", "mc_dropout", "trust_architecture")}
    model = load_model(options["model"], **how)
    margin, pan = MS_GSD * (model.margin + 20), options["pan"] is None and model.uses_pan
    bbox, bar = area_of(options["bbox"], options["mgrs"]), partial(ProgressBar, "fetching", unit="B")
    with fetched(wanted, bbox=bbox, margin=margin, pan=pan, bar=bar, warn=warn) as product:
        yield product


def _check(options: dict[str, Any]) -> None:
    """What harmonize_product would find fault with only once everything is fetched. Raises InputError."""
    from odc.geo import CRS

    from l8s2.target import _grid_of

    pan, crs, like = options["pan"], options["crs"], options["like"]
    if pan is not None and not pan.exists():
        raise InputError(f"--pan {pan}: no such file or folder; give a Level-1 product, or its B8.TIF")
    if sum(options[name] is not None for name in ("mgrs", "crs", "like")) > 1:
        raise InputError("--mgrs, --crs and --like each settle the grid; give one of them")
    if options["bbox"] is not None and like is not None:
        raise InputError("--bbox and a full grid (--mgrs, --like) exclude each other; give one of them")
    if like is not None:
        _grid_of(like)
    if crs is not None:
        try:
            CRS(crs)
        except Exception:  # pyproj has many
            what = " ".join(crs.split())[:60]
            raise InputError(f"--crs {what}: not a coordinate reference system; give for example EPSG:3035") from None


@click.command()
@PRODUCT
@PAN
@JSON
def info(product: Path, pan: Path | None, as_json: bool) -> None:
    """Show what PRODUCT holds, what is missing, its lattice, and the measured shift of pan against MS."""
    from l8s2.landsat.describe import describe_product

    facts = describe_product(product, pan)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    warnings, shift = facts.pop("warnings"), facts.pop("pan_shift")
    show(facts)
    if shift is None:
        text = "no pan"
    elif shift["verdict"] == "unknown":
        text = f"unknown: {shift['reason']}"
    else:
        text = (f"{shift['verdict']}: {shift['length_m']} m (down {shift['down_m']}, right {shift['right_m']}), "
                f"correlation {shift['correlation']}")  # fmt: skip
    click.echo(f"{'pan shift':20s} {text}")
    for line in warnings:
        warn(line)
