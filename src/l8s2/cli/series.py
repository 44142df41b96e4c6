"""Time series, and what they are good for: cube, extract, study."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from l8s2.cli.shell import JSON, ProgressBar, warn

if TYPE_CHECKING:
    from l8s2.studies.result import Study
    from l8s2.target import BBox


@click.command()
@click.argument("items", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="CUBE.zarr",
              help="The cube, made where it is missing, appended to where it exists.")  # fmt: skip
@click.option("--bbox", nargs=4, type=float, metavar="W S E N", help="Only this area, WGS 84 degrees.")
@click.option("--mgrs", metavar="TILE", help="Exactly the 10 m grid of a Sentinel-2 tile, for example 43PHQ.")
@click.option("--like", type=click.Path(path_type=Path), help="The grid of this raster, on the same 10 m lattice.")
@click.option("--nbar", is_flag=True, help="Bring reflectance to a view from nadir, by the c-factor of the mean view.")
@click.option(
    "--mask", is_flag=True, help="Store no reflectance under clouds and shadows. Default: flagged in qa only."
)
@JSON
def cube(
    items: tuple[Path, ...],
    output: Path,
    bbox: BBox | None,
    mgrs: str | None,
    like: Path | None,
    nbar: bool,
    mask: bool,
    as_json: bool,
) -> None:
    """Put ITEMS side by side into one Zarr cube on Sentinel-2's 10 m lattice, by time, never fused.

    ITEMS are products of l8s2, Sentinel-2 images (.SAFE, its .zip, of l8s2 fetch, or beside their Item), their Items,
    or folders of them. Those that the cube has already are skipped, so a killed call is simply given again.
    """
    from l8s2.cube.build import build_cube
    from l8s2.cube.inputs import find_sources
    from l8s2.target import Area

    area = Area(bbox=bbox or None, mgrs=mgrs, like=like)
    with ProgressBar("writing") as progress:
        done = build_cube(
            find_sources(items, warn), output, area, to_nadir=nbar, mask=mask, progress=progress, warn=warn
        )
    if as_json:
        facts = {"cube": str(output), "collection": str(done.collection), "observations": done.observations}
        click.echo(json.dumps({**facts, "appended": done.appended, "skipped": done.skipped}, indent=2))
        return
    click.echo(str(output))
    click.echo(f"{len(done.appended)} appended, {len(done.skipped)} skipped, {done.observations} in all", err=True)


@click.command()
@click.argument("cube", type=click.Path(path_type=Path))
@click.option("--points", type=click.Path(path_type=Path), metavar="FILE", help="GeoJSON of points, WGS 84.")
@click.option("--polygons", type=click.Path(path_type=Path), metavar="FILE", help="GeoJSON of polygons, WGS 84.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="TABLE",
              help="The table: .csv or .parquet.")  # fmt: skip
@click.option("--index", "indices", multiple=True, type=click.Choice(["ndvi", "ndwi", "nbr"]),
              help="Also this index of the means; may be given several times.")  # fmt: skip
@click.option("--id", "id_property", metavar="PROPERTY", help="Property that names a feature. Default: its id.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE",
              help="Also draw the series, of --index or else of the six bands, as .png or .svg.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing table and plot once the new ones are whole.")
def extract(
    cube: Path,
    points: Path | None,
    polygons: Path | None,
    output: Path,
    indices: tuple[str, ...],
    id_property: str | None,
    plot: Path | None,
    overwrite: bool,
) -> None:
    """Write the series of points or fields of CUBE as a long table: means, standard errors, clear fractions.

    A point is the pixel that it lies in. Pixels of a polygon count by the share that lies inside.
    """
    from l8s2.cube.extract import extract as extract_fields

    fields = points or polygons
    if fields is None or (points and polygons):
        raise click.UsageError("Give --points FILE or --polygons FILE.")
    with ProgressBar("extracting", unit="rows") as progress:
        rows = extract_fields(
            cube, fields, "points" if points else "polygons", output, indices=tuple(dict.fromkeys(indices)),
            id_property=id_property, plot=plot, overwrite=overwrite, progress=progress, warn=warn,
        )  # fmt: skip
    for written in filter(None, (output, plot)):
        click.echo(str(written))
    click.echo(f"{rows} rows", err=True)


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
@click.option("--simulated", is_flag=True, help="PAIRS are .npz archives of Sentinel-2 imagery; Landsat is simulated.")
@OUTPUT
@OVERWRITE
@JSON
def ndvi(
    pairs: tuple[Path, ...], models: tuple[str, ...], side: str | None, simulated: bool, output: Path, **how: Any
) -> None:
    """Compare NDVI of the two sensors on real PAIRS: raw, band-pass adjusted, harmonised.

    PAIRS are as those of evaluate --pair: archives, folders of them, or sets.
    """
    from l8s2.studies.ndvi import study_ndvi

    def make() -> Study:
        with ProgressBar("comparing") as progress:
            return study_ndvi(pairs, models=models, side=side, simulated=simulated, progress=progress, warn=warn)

    _give(make, output, **how)


CUBE = click.argument("cube", required=False, type=click.Path(path_type=Path))
YEAR = click.option("--simulated", is_flag=True, help="Without a CUBE: simulate a year of a small place.")


@study.command()
@CUBE
@YEAR
@OUTPUT
@OVERWRITE
@JSON
def cloudfree(cube: Path | None, simulated: bool, output: Path, **how: Any) -> None:
    """Count the clear days per pixel and month in a CUBE: Sentinel-2, Landsat, both together."""
    if (cube is None) != simulated:
        raise click.UsageError("Give a CUBE or --simulated.")
    from l8s2.studies.cloudfree import study_cloudfree

    def make() -> Study:
        with ExitStack() as stack:
            place = cube or _year(stack)[0]
            progress = stack.enter_context(ProgressBar("counting"))
            return study_cloudfree(place, simulated=simulated, progress=progress)

    _give(make, output, **how)


@study.command()
@CUBE
@click.option("--fields", type=click.Path(path_type=Path), help="GeoJSON of polygons in WGS 84.")
@click.option("--label", help="Property of a feature that names its crop.")
@click.option("--id", "id_property", help="Property that names a feature.")
@YEAR
@OUTPUT
@OVERWRITE
@JSON
def crops(
    cube: Path | None, fields: Path | None, label: str | None, id_property: str | None, simulated: bool, output: Path,
    **how: Any,
) -> None:  # fmt: skip
    """Map crops from a CUBE with and without harmonised Landsat, on fields that the classifier never saw."""
    if any((cube, fields, label, id_property)) if simulated else not (cube and fields and label):
        raise click.UsageError("Give a CUBE, --fields and --label, or --simulated alone.")
    from l8s2.studies.crops import check_installed, study_crops

    def make() -> Study:
        check_installed()
        with ExitStack() as stack:
            place, outlines = (cube, fields) if cube and fields else _year(stack)
            progress = stack.enter_context(ProgressBar("reading", unit="steps"))
            return study_crops(
                place, outlines, label or "crop", id_property=id_property, simulated=simulated, progress=progress
            )

    _give(make, output, **how)


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

    _give(lambda: study_generalisation(scores, places, by, metric=metric, bands=bands), output, **how)


def _year(stack: ExitStack) -> tuple[Path, Path]:
    """Simulate a year; return its cube and its fields, which are gone when the stack is left."""
    from l8s2.studies.year import simulate_year

    folder = Path(stack.enter_context(TemporaryDirectory()))
    with ProgressBar("simulating", unit="passes") as progress:
        return simulate_year(folder, progress=progress)


def _give(make: Callable[[], Study], output: Path, overwrite: bool, as_json: bool) -> None:
    """Check the output folder before the work is done, then write the study into it."""
    from l8s2.studies.result import markdown, study_folder, write_study

    whole = study_folder(output, overwrite=overwrite)
    found = make()
    folder = write_study(found, whole)
    if as_json:
        click.echo(json.dumps({"output": str(folder), **found.as_json()}, indent=2, allow_nan=False))
        return
    click.echo(markdown(found.table))
    click.echo(f"\n{found.paragraph}")
    click.echo(f"figure and table in {folder}", err=True)
