"""Time series: cube, extract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from l8s2.cli.shell import JSON, ProgressBar, warn

if TYPE_CHECKING:
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

    ITEMS are products of l8s2, Sentinel-2 images as l8s2 fetch writes them, their Items, or folders of them. Those that
    the cube has already are skipped, so a killed call is simply given again.
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
@click.option("--overwrite", is_flag=True, help="Replace an existing table once the new one is whole.")
def extract(
    cube: Path,
    points: Path | None,
    polygons: Path | None,
    output: Path,
    indices: tuple[str, ...],
    id_property: str | None,
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
            id_property=id_property, overwrite=overwrite, progress=progress, warn=warn,
        )  # fmt: skip
    click.echo(str(output))
    click.echo(f"{rows} rows", err=True)
