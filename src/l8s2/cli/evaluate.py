"""Measures of quality: evaluate, demo."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from l8s2.cli.shell import JSON, PAN, TRUST, ProgressBar, sentinel2_raster, warn


@click.command()
@click.argument("imagery", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder that gets the results; without it only the table."
)
@click.option(
    "--pair",
    "pairs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Instead of IMAGERY: real pairs as a judge; shift, gain and offset are fitted first. An .npz of pairs, a"
    " folder of them, or a set; may be given several times.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    default=("compact", "compact-nopan"),
    show_default=True,
    help="As of harmonize, ensembles included; may be given several times.",
)
@TRUST
@click.option(
    "--sentinel2",
    type=click.Path(path_type=Path),
    help="The truth for one Landsat product: a Sentinel-2 image (.SAFE, its .zip, a folder of l8s2 fetch), or a raster"
    " of six bands on the 10 m lattice.",
)
@PAN
@click.option("--bbox", nargs=4, type=float, metavar="W S E N", help="Only this area of a scene, WGS 84 degrees.")
@click.option("--side", help="Of a set of real pairs.  [default: Test]")
@click.option("--disturbed", is_flag=True, help="Simulate with radiometric disturbance as well.")
@click.option(
    "--as-published", "deep_harmonization_range", is_flag=True, help="Data range 2, not 1, in published_bands.json."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing evaluation once the new one is whole.")
@JSON
def evaluate(imagery: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Score models and all baselines on IMAGERY.

    Sentinel-2 archives (.npz, or folders of them) are the truth of simulated pairs. A set of real pairs (of l8s2,
    OLI2MSI, LS2S2) is scored as it is, and so is a Landsat product with --sentinel2. A Landsat product alone is
    scored without reference: consistency at 30 m, detail against pan, QNR.
    """
    if not imagery and not options["pairs"]:
        raise click.UsageError("nothing to evaluate; give IMAGERY, or real pairs with --pair")
    from l8s2.evaluation.run import run_evaluation

    options["bbox"] = options["bbox"] or None
    with ExitStack() as stack:
        if options["sentinel2"] is not None:
            image = sentinel2_raster(options["sentinel2"], options["bbox"])
            options["sentinel2"] = stack.enter_context(image)
        progress = stack.enter_context(ProgressBar("evaluating"))
        summary, table = run_evaluation(imagery, progress=progress, warn=warn, **options)
    if as_json:
        click.echo(json.dumps(summary, indent=2, allow_nan=False))
    else:
        click.echo(table)
        images, sites = summary["images"], summary["sites"]
        where = f"in {summary['output']}/report.html" if summary["output"] else "with -o FOLDER"
        click.echo(
            f"{images} image{'s'[: images != 1]} of {sites} site{'s'[: sites != 1]}; pictures and every score {where}",
            err=True,
        )


@click.command()
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("l8s2-demo"), show_default=True,
    help="Folder for it: new, empty, or of an earlier demo, which is replaced.",
)  # fmt: skip
@JSON
def demo(output: Path, as_json: bool) -> None:
    """Simulate a small scene, harmonise it, and score it against the truth. No download, under 30 s."""
    from l8s2.demo import run_demo

    result = run_demo(output, report=lambda line: click.echo(line, err=True))
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        show_demo(result)


def show_demo(result: dict[str, Any]) -> None:
    """Print the table and, on a terminal with colours, a small picture."""
    from rich.console import Console

    from l8s2.demo import render

    console = Console()
    colours = console.is_terminal and console.color_system is not None
    console.print(render(result, columns=console.width if colours else None))
