"""What harmonised imagery is good for, on imagery of one's own: study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from l8s2.cli.shell import JSON, ProgressBar, warn

if TYPE_CHECKING:
    from l8s2.studies.result import Study

OUTPUT = click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder that gets figure, table and text."
)
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace an earlier study once the new one is whole.")


@click.group()
def study() -> None:
    """Ask imagery of your own what harmonising is good for; each study makes a figure, a table and a paragraph."""


@study.command()
@click.argument("pairs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", "models", multiple=True, default=("compact",), show_default=True, help="As of harmonize.")
@click.option("--side", help="Of sets of real pairs.  [default: Test]")
@OUTPUT
@OVERWRITE
@JSON
def ndvi(pairs: tuple[Path, ...], models: tuple[str, ...], side: str | None, output: Path, **how: Any) -> None:
    """Compare NDVI of the two sensors on real PAIRS: raw, band-pass adjusted, harmonised.

    PAIRS are as those of evaluate --pair: archives, folders of them, or sets.
    """
    from l8s2.studies.ndvi import study_ndvi

    with ProgressBar("comparing") as progress:
        found = study_ndvi(pairs, models=models, side=side, progress=progress, warn=warn)
    _give(found, output, **how)


@study.command()
@click.argument("cube", type=click.Path(path_type=Path))
@OUTPUT
@OVERWRITE
@JSON
def cloudfree(cube: Path, output: Path, **how: Any) -> None:
    """Count the clear days per pixel and month in a CUBE: Sentinel-2, Landsat, both together."""
    from l8s2.studies.cloudfree import study_cloudfree

    with ProgressBar("counting") as progress:
        found = study_cloudfree(cube, progress=progress)
    _give(found, output, **how)


@study.command()
@click.argument("cube", type=click.Path(path_type=Path))
@click.option("--fields", required=True, type=click.Path(path_type=Path), help="GeoJSON of polygons in WGS 84.")
@click.option("--label", required=True, help="Property of a feature that names its crop.")
@click.option("--id", "id_property", help="Property that names a feature.")
@OUTPUT
@OVERWRITE
@JSON
def crops(cube: Path, fields: Path, label: str, id_property: str | None, output: Path, **how: Any) -> None:
    """Map crops from a CUBE with and without harmonised Landsat, on fields that the classifier never saw."""
    from l8s2.studies.crops import study_crops

    with ProgressBar("reading", unit="observations") as progress:
        found = study_crops(cube, fields, label, id_property=id_property, progress=progress)
    _give(found, output, **how)


@study.command()
@click.argument("scores", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--places", required=True, type=click.Path(path_type=Path), help="CSV: site, and columns to group by.")
@click.option("--by", multiple=True, required=True, help="Column of --places, such as continent; may be given again.")
@click.option("--metric", default="psnr_gain", show_default=True, help="As scores.csv names it.")
@click.option("--bands", default="all", show_default=True, help="all, 10 m, 20 m or a band.")
@OUTPUT
@OVERWRITE
@JSON
def generalisation(
    scores: tuple[Path, ...], places: Path, by: tuple[str, ...], metric: str, bands: str, output: Path, **how: Any
) -> None:
    """Split SCORES (scores.csv of evaluate) by what is known of the places: continent, biome, season."""
    from l8s2.studies.generalisation import study_generalisation

    _give(study_generalisation(scores, places, by, metric=metric, bands=bands), output, **how)


def _give(found: Study, output: Path, overwrite: bool, as_json: bool) -> None:
    from l8s2.studies.result import markdown, write_study

    folder = write_study(found, output, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps({"output": str(folder), **found.as_json()}, indent=2, allow_nan=False))
        return
    click.echo(markdown(found.rows))
    click.echo(f"\n{found.paragraph}")
    click.echo(f"figure and table in {folder}", err=True)
