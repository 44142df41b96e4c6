"""Decide whether to trust products: report."""

from __future__ import annotations

import json
from pathlib import Path

import click

from l8s2.cli.shell import JSON, ProgressBar, as_options, warn


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
    """Write a page about the product OUT, to decide whether to trust it; or pages about all in a folder, and an index.

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
