"""Write finished products in the layouts of other systems: export."""

from __future__ import annotations

import json
from pathlib import Path

import click

from l8s2.cli.shell import JSON, ProgressBar


@click.command()
@click.argument("product", metavar="PRODUCT", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder that gets the granule.")
@click.option(
    "--layout",
    type=click.Choice(["hls"]),
    default="hls",
    show_default=True,
    help="hls: one COG a band, named, encoded and flagged as HLS L30 is, at 10 m.",
)
@click.option("--overwrite", is_flag=True, help="Replace a granule of the same name once the new one is whole.")
@JSON
def export(product: Path, output: Path, layout: str, overwrite: bool, as_json: bool) -> None:
    """Write a finished PRODUCT (out/ID_S2L, made with --mgrs) in the layout of another system."""
    from l8s2.exports.hls import write_hls

    assert layout == "hls"
    with ProgressBar("writing") as progress:
        folder = write_hls(product, output, overwrite=overwrite, progress=progress)
    if as_json:
        files = sorted(str(path) for path in folder.iterdir())
        click.echo(json.dumps({"granule": str(folder), "files": files}, indent=2))
    else:
        click.echo(str(folder))
