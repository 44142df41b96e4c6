"""Decide whether to trust products: report, verify, reproduce."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from l8s2.cli.shell import JSON, PANS, TRUST, ProgressBar, as_options, warn

if TYPE_CHECKING:
    from l8s2.verify.reproduce import Comparison


@click.command()
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="The page. Default: beside the product, with its name; for a folder of products its index.html. The reports of"
    " several products lie beside their index.",
)
@click.option(
    "--landsat",
    type=click.Path(path_type=Path),
    metavar="INPUT",
    help="Landsat Level-2 product that the product was made from, or a folder with the inputs of several; pan is looked"
    " for beside it. Default: looked for beside OUT.",
)
@click.option("--overwrite", is_flag=True, help="Replace pages that exist.")
@JSON
def report(out: Path, output: Path | None, landsat: Path | None, overwrite: bool, as_json: bool) -> None:
    """Write a page about the product OUT, to decide whether to trust it; or pages about all below it, and an index.

    A page holds everything that it shows. It needs no network and runs no script.
    """
    from l8s2.errors import InputError
    from l8s2.report.make import make_reports

    with ProgressBar("reading") as progress:
        made = make_reports(out, output, landsat=landsat, overwrite=overwrite, progress=progress, say=as_options)
    click.echo(json.dumps(made, indent=2, allow_nan=False) if as_json else made.get("index") or made["report"])
    products = made.get("products", [made])
    for product in products:
        if "error" in product:
            warn(product["error"])
        elif landsat is not None and product["why_not_compared"]:
            warn(f"{product['id']}: not compared with its input: {product['why_not_compared']}")
    bad = [product for product in products if "error" in product]
    if bad:
        raise InputError(f"{out}: {len(bad)} of {len(products)} products cannot be read; see {made['index']}")


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@JSON
@click.pass_context
def verify(context: click.Context, out: Path, as_json: bool) -> None:
    """Check the product OUT, or every product below the folder OUT.

    Files and checksums of the Item, the Item itself, layout of the rasters, grid, nodata and bits of the pixels.
    Exit code 1 where anything is wrong.
    """
    from l8s2.product.reader import product_folders
    from l8s2.verify.product import verify_product

    results = []
    for folder in product_folders(out):
        faults = verify_product(folder)
        results.append({"product": str(folder), "whole": not faults, "faults": [vars(fault) for fault in faults]})
        if not as_json:
            number = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
            click.echo(f"{folder}: {number if faults else 'whole'}")
            for fault in faults:
                click.echo(f"  {fault.file}: {fault.what}")
    if as_json:
        click.echo(json.dumps(results, indent=2))
    context.exit(int(not all(result["whole"] for result in results)))


@click.command()
@click.argument("product", type=click.Path(path_type=Path))
@click.option(
    "--input",
    "source",
    type=click.Path(path_type=Path),
    help="Level-2 product, or the folder that holds it. Default: looked for beside PRODUCT.",
)
@PANS
@click.option("--model", help="The model of the Item, where it is a file of yours. Default: by its name.")
@TRUST
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder that keeps the product made again.")
@JSON
@click.pass_context
def reproduce(
    context: click.Context,
    product: Path,
    source: Path | None,
    pan: tuple[Path, ...],
    model: str | None,
    trust_architecture: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Make PRODUCT (its folder, or its Item) again from its Item, and compare.

    Exit code 0 where every raster has the same bytes, 1 where any differs.
    """
    from dataclasses import asdict

    from l8s2.verify.reproduce import reproduce as make_again

    with ProgressBar("making again") as progress:
        found = make_again(
            product, source, output, pan=pan, model=model, trust_architecture=trust_architecture, progress=progress,
            warn=warn,
        )  # fmt: skip
    if as_json:
        click.echo(json.dumps(asdict(found) | {"same": found.same}, indent=2))
    else:
        _show(found)
    context.exit(int(not found.same))


def _show(found: Comparison) -> None:
    for file, same in found.files.items():
        click.echo(f"{file}: {'same' if same else 'differs'}")
    for text in found.changed:
        click.echo(f"  changed since: {text}")
    for name, difference in found.differences.items():
        size = "" if difference.rms is None else f", at most by {difference.largest}, root mean square {difference.rms}"
        click.echo(f"  {name}: {difference.pixels} of {difference.of} pixels differ{size}")
