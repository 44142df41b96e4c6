"""From a place and a date to scenes: search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from l8s2.cli.shell import JSON, warn
from l8s2.errors import InputError

if TYPE_CHECKING:
    from l8s2.catalogs.items import SceneItem
    from l8s2.catalogs.recipe import Recipe
    from l8s2.catalogs.search import Found


@click.command()
@click.option(
    "--catalog", "catalogs", multiple=True, metavar="NAME|URL",
    help="usgs, earth-search, planetary-computer, cdse, one of yours, or the address of a STAC API; may be given"
    " several times: each sensor is searched in the first that has it.  [default: usgs, earth-search]",
)  # fmt: skip
@click.option("--catalog-file", type=click.Path(path_type=Path), help="TOML file with catalogues of yours.")
@click.option("--bbox", nargs=4, type=float, metavar="W S E N", help="WGS 84 degrees; W > E crosses the antimeridian.")
@click.option("--intersects", type=click.Path(path_type=Path), help="GeoJSON file with the place, instead of --bbox.")
@click.option("--datetime", metavar="FROM/TO", help="A day, a month, or two as from/to; '..' leaves an end open.")
@click.option("--sensor", type=click.Choice(["landsat", "sentinel-2", "both"]), help="[default: landsat]")
@click.option("--max-cloud", type=float, metavar="PERCENT", help="Of the scene as a whole.")
@click.option("--limit", type=int, help="At most so many scenes of each sensor, or so many pairs.")
@click.option("--pan/--no-pan", default=True, show_default=True, help="Look for the pan band of Landsat scenes.")
@click.option("--pairs", is_flag=True, help="Pair Landsat with Sentinel-2.")
@click.option("--max-days", type=int, default=0, show_default=True, help="Days between the scenes of a pair.")
@click.option(
    "--min-overlap", type=float, default=0.0, show_default=True, help="Share of the smaller footprint, 0 to 1."
)
@click.option("--max-sun-angle", type=float, metavar="DEGREES", help="Between the sun of the two scenes.")
@click.option("--max-view-angle", type=float, metavar="DEGREES", help="Between the views of the two scenes.")
@click.option("--rerun", type=click.Path(path_type=Path), metavar="RECIPE", help="Search for pairs as a recipe says.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Save the pairs as a recipe (JSON).")
@click.option("--overwrite", is_flag=True, help="Replace an existing recipe.")
@JSON
def search(
    pairs: bool, rerun: Path | None, output: Path | None, overwrite: bool, as_json: bool, **options: Any
) -> None:
    """Find Landsat scenes with their pan bands, Sentinel-2 scenes, or pairs of them, in public catalogues.

    With --json the raw STAC items as a FeatureCollection (Landsat's with l8s2:pan), or with --pairs the recipe.
    """
    from l8s2.catalogs import search
    from l8s2.catalogs.endpoints import known_catalogs
    from l8s2.catalogs.recipe import load_recipe, recipe_text, save_recipe
    from l8s2.files import check_free

    if output and not (pairs or rerun):
        raise click.UsageError("-o saves pairs; it goes with --pairs or --rerun.")
    if pairs and options["sensor"] in ("landsat", "sentinel-2"):
        raise click.UsageError("--pairs searches both sensors; leave --sensor out.")
    source = click.get_current_context().get_parameter_source
    if rerun and any(source(name) is ParameterSource.COMMANDLINE for name in (*options, "pairs") if name != "pan"):
        raise click.UsageError("--rerun searches as the recipe says; give no place, time, rule or catalogue with it.")
    if not (pairs or rerun):
        query = _query(options)
        found = search.search_scenes(query, known_catalogs(options["catalog_file"]))
        from l8s2.catalogs.saved_items import feature_collection

        click.echo(json.dumps(feature_collection(found), indent=2) if as_json else _scene_table(found))
        _remarks(found)
        return
    if output:
        check_free(output, overwrite=overwrite)
    if rerun:
        recipe, found = search.rerun(load_recipe(rerun))
    else:
        query, rules = _query(options), _rules(options)
        recipe, found = search.search_pairs(query, rules, known_catalogs(options["catalog_file"]))
    if output and options["pan"] and recipe.query.pan and not found.pan_searched:
        raise InputError(f"{output}: not saved, {found.warnings[0]}; search again, or without pan (--no-pan)")
    if output:
        save_recipe(recipe, output, overwrite=overwrite)
    click.echo(recipe_text(recipe) if as_json else _pair_table(recipe), nl=not as_json)
    _remarks(found)


def _query(options: dict[str, Any]) -> Any:
    from l8s2.catalogs.query import Query, read_area

    if options["datetime"] is None:
        raise click.UsageError("Missing option '--datetime'.")
    if (options["bbox"] is None) == (options["intersects"] is None):
        raise click.UsageError("Give the place: --bbox or --intersects.")
    return Query(
        datetime=options["datetime"],
        bbox=options["bbox"],
        intersects=options["intersects"] and read_area(options["intersects"]),
        sensor=options["sensor"] or "landsat",
        **{name: options[name] for name in ("max_cloud", "limit", "pan")},
        **({"catalogs": options["catalogs"]} if options["catalogs"] else {}),
    )


def _rules(options: dict[str, Any]) -> Any:
    from l8s2.catalogs.pairing import PairRules

    return PairRules(**{n: options[n] for n in ("max_days", "min_overlap", "max_sun_angle", "max_view_angle")})


def _scene_table(found: Found) -> str:
    header = f"{'time (UTC)':16s}  {'satellite':11s}  {'location':8s}  cloud %  sun deg  version  pan  id"
    lines = [
        f"{item.acquired:%Y-%m-%d %H:%M}  {item.platform:11s}  {item.location:8s}  {_cell(item.cloud_cover):>7s}"
        f"  {_cell(item.sun_elevation):>7s}  {item.tier or item.baseline or '-':7s}  {_pan(item, found):3s}  {item.id}"
        for item in sorted((*found.landsat, *found.sentinel2), key=lambda item: item.acquired)
    ]
    return "\n".join([header, *lines])


def _pan(item: SceneItem, found: Found) -> str:
    if item.kind != "landsat-l2":
        return "-"
    return "yes" if item.scene in found.pans else "no" if found.pan_searched else "?"


def _pair_table(recipe: Recipe) -> str:
    header = "days   hours  overlap  clouds %       sun deg  view deg  zone  pan  Landsat and Sentinel-2"
    lines = [
        f"{pair.days:4d}  {pair.hours:6.2f}  {pair.overlap:7.2f}"
        f"  {_cell(pair.landsat.cloud_cover):>6s} {_cell(pair.sentinel2.cloud_cover):>6s}  {_cell(pair.sun_angle):>7s}"
        f"  {_cell(pair.view_angle):>8s}  {_ZONES[pair.same_zone]:4s}"
        f"  {'yes' if pair.pan else 'no':3s}  {pair.landsat.id}  {pair.sentinel2.id}"
        for pair in recipe.pairs
    ]
    return "\n".join([header, *lines])


_ZONES = {True: "same", False: "two", None: "-"}


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _remarks(found: Found) -> None:
    """Print remarks on stderr."""
    for line in found.warnings:
        warn(line)
    if found.left_out:
        warn(f"left out {len(found.left_out)} item(s), such as {found.left_out[0]}")
    if found.replaced:
        old, new = found.replaced[0]
        click.echo(f"{len(found.replaced)} older version(s) gave way, such as {old.id} to {new.id}", err=True)
    missing = [item.id for item in found.landsat if item.scene not in found.pans]
    if missing and found.pan_searched:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        click.echo(f"{len(missing)} Landsat scene(s) without pan: {', '.join(missing[:5])}{more}", err=True)
    click.echo(f"{len(found.landsat)} Landsat, {len(found.sentinel2)} Sentinel-2", err=True)
