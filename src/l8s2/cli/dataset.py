"""Training sets of real pairs: build, resume, inspect, stats, split, export."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click

from l8s2.cli.shell import JSON, ProgressBar, tell, warn
from l8s2.errors import InputError

FOLDER = click.argument("folder", type=click.Path(path_type=Path))
SIDE = click.option("--side", metavar="NAME", help="Only this side: Train, Validation, Test. Default: everything.")
OUTPUT = click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder that gets the files."
)
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace what is there once the new one is whole.")


@click.group()
def dataset() -> None:
    """Training sets of real pairs: build them, look at them, split them, hand them on.

    FOLDER is a set that l8s2 has built; inspect and stats also take OLI2MSI and LS2S2.
    """


@dataset.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder that gets the set.")
@click.option("--size", default=84, show_default=True, help="Side of a patch in 30 m pixels, even.")
@click.option(
    "--products", type=click.Path(path_type=Path), help="Folder with products that you have; the others are fetched."
)
@JSON
def build(recipe: Path, output: Path, size: int, products: Path | None, as_json: bool) -> None:
    """Fetch the pairs of RECIPE (l8s2 search --pairs -o), measure them, and cut them into patches.

    May be stopped at any time and resumed, and run by several processes at once.
    """
    from l8s2.catalogs.recipe import load_recipe
    from l8s2.pairs.build import create_build

    create_build(load_recipe(recipe), output, size=size, products=products)
    _build(output, as_json)


@dataset.command()
@FOLDER
@JSON
def resume(folder: Path, as_json: bool) -> None:
    """Go on with the set that l8s2 dataset build began in FOLDER; what could not be fetched is tried again."""
    _build(folder, as_json)


def _build(folder: Path, as_json: bool) -> None:
    from l8s2.pairs import build
    from l8s2.patches.split import SHARES

    started, first = time.monotonic(), -1

    def report(done: int, total: int, line: str) -> None:
        nonlocal first
        first = done - 1 if first < 0 else first
        left = (time.monotonic() - started) / max(done - first, 1) * (total - done)
        tell(f"[{done}/{total}, about {timedelta(seconds=round(left))} left] {line}")

    try:
        found = build.resume_build(folder, report=report, bar=partial(ProgressBar, unit="B"))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"go on with l8s2 dataset resume {folder}") from None
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **asdict(found)}, indent=2))
    else:
        click.echo(
            f"{found.patches} patches of {found.accepted + found.corrected} pairs"
            f" ({found.corrected} with a shift to undo) in {folder};"
            f" {len(found.rejected)} of {found.pairs} pairs rejected, {len(found.failed)} failed"
        )
        if found.sides:
            click.echo(", ".join(f"{name} {count}" for name, count in found.sides.items()))
        for pair, reason in found.rejected.items():
            click.echo(f"rejected {pair}: {reason}")
    if found.sides and not found.failed:
        _warn_of_empty(SHARES, found.sides)
    if found.failed:
        for pair, lines in found.failed.items():
            for line in lines:
                tell(f"failed {pair}: {line}")
        raise InputError(
            f"{len(found.failed)} of {found.pairs} pairs failed; try again with l8s2 dataset resume {folder}"
        )


@dataset.command()
@FOLDER
@OUTPUT
@click.option("--count", default=24, show_default=True, type=click.IntRange(min=1), help="Patches to show.")
@click.option("--lowest", metavar="COLUMN", help="Those lowest in this column, such as ssim. Default: evenly spread.")
@SIDE
@OVERWRITE
def inspect(folder: Path, output: Path, count: int, lowest: str | None, side: str | None, overwrite: bool) -> None:
    """Draw patches of FOLDER: Landsat, Sentinel-2, difference, masks; sheet.png, and index.html with their columns."""
    from l8s2.datasets.contact_sheet import write_sheet
    from l8s2.datasets.open import open_pairs
    from l8s2.datasets.set_pairs import ShardPairs
    from l8s2.datasets.summary import evenly

    pairs = open_pairs(folder, side)
    header: list[str] = []
    lines: list[list[str]] = []
    if isinstance(pairs, ShardPairs):
        header, lines = pairs.patches.index()
        lines = [lines[i] for i in pairs.indices]
    if lowest is None:
        chosen = evenly(len(pairs), count)
    elif isinstance(pairs, ShardPairs):
        chosen = pairs.patches.lowest(lowest, count, pairs.indices.tolist())
    else:
        raise InputError(f"--lowest {lowest}: {folder} has no index; give a set built by l8s2, or leave --lowest out")
    columns = [dict(zip(header, lines[i], strict=True)) if lines else {} for i in chosen]
    click.echo(str(write_sheet(pairs, chosen, columns, output, overwrite=overwrite)))


@dataset.command()
@FOLDER
@click.option(
    "--count", default=1000, show_default=True, type=click.IntRange(min=1), help="Patches whose pixels are read."
)
@SIDE
@JSON
def stats(folder: Path, count: int, side: str | None, as_json: bool) -> None:
    """Summarise the columns of FOLDER, and the reflectance of its bands."""
    from l8s2.datasets.open import open_pairs
    from l8s2.datasets.summary import evenly, summarize

    pairs = open_pairs(folder, side)
    found = summarize(pairs, evenly(len(pairs), count))
    if as_json:
        click.echo(json.dumps(found, indent=2, allow_nan=False))
        return
    sides = ", ".join(f"{name} {n}" for name, n in found["sides"].items())
    click.echo(f"{found['patches']} patches{': ' if sides else ''}{sides}; pixels of {found['read']} read\n")
    numbers = {name: c for name, c in found["columns"].items() if "median" in c and c["known"]}
    texts = {name: c for name, c in found["columns"].items() if "distinct" in c and c["known"]}
    _table("column", numbers)
    _table("column", texts)
    rows = {f"{band} {sensor}": values for band, both in found["bands"].items() for sensor, values in both.items()}
    _table("reflectance", {name: values for name, values in rows.items() if values["pixels"]})


def _table(first: str, rows: dict[str, dict[str, Any]]) -> None:
    heads = list(dict.fromkeys(head for row in rows.values() for head in row))
    cells = [[first, *heads]] + [[name, *(_cell(row.get(head)) for head in heads)] for name, row in rows.items()]
    widths = [max(len(line[k]) for line in cells) for k in range(len(heads) + 1)]
    for line in cells if rows else ():
        click.echo(
            "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        )
    if rows:
        click.echo()


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


@dataset.command()
@FOLDER
@click.option("--train", default=0.8, show_default=True, help="Share of the patches on side Train.")
@click.option("--validation", default=0.1, show_default=True, help="Of Validation.")
@click.option("--test", default=0.1, show_default=True, help="Of Test.")
@click.option(
    "--strips", is_flag=True, help="Of a single region: deal strips of ground from north to south, not places."
)
@click.option("--anew", is_flag=True, help="Forget the sides dealt so far.")
@JSON
def split(folder: Path, train: float, validation: float, test: float, strips: bool, anew: bool, as_json: bool) -> None:
    """Put every patch of FOLDER on a side, so that no ground is on two: by MGRS tile, path/row and place.

    What is on a side stays there; new patches follow their place. One that joins two sides is Excluded.
    """
    from l8s2.patches.patch_set import PatchSet

    shares = {"Train": train, "Validation": validation, "Test": test}
    patches = PatchSet(folder)
    before = patches.sides()
    sides = patches.split(shares, strips=strips, anew=anew)
    counts = patches.counts()
    reasons = dict(sorted(Counter(side.reason for side in sides.values() if side.reason).items()))
    if as_json:
        click.echo(json.dumps({"sides": counts, "reasons": reasons, "index": str(folder / "index.csv")}, indent=2))
        return
    for name, count in counts.items():
        click.echo(f"{name:12s} {count}")
    for reason, count in reasons.items():
        click.echo(f"excluded: {count} {reason}", err=True)
    if before == sides and not anew:
        click.echo("all patches had a side already; --anew deals them again", err=True)
    _warn_of_empty(shares, counts, strips)


def _warn_of_empty(shares: Mapping[str, float], counts: Mapping[str, int], strips: bool = False) -> None:
    remedy = ", or hold out strips of this one: l8s2 dataset split --strips --anew"
    if empty := [name for name, share in shares.items() if share > 0 and name not in counts]:
        warn(
            f"nothing on side {', '.join(empty)}; add patches of another region, far from the others"
            f"{'' if strips else remedy}"
        )


@dataset.command()
@FOLDER
@OUTPUT
@click.option("--format", "layout", type=click.Choice(["published", "geotiff"]), required=True)
@SIDE
@OVERWRITE
def export(folder: Path, output: Path, layout: str, side: str | None, overwrite: bool) -> None:
    """Write FOLDER in another form.

    published: one HDF5 file for each patch, and a CSV. geotiff: folders of GeoTIFFs with equal names.
    """
    from l8s2.datasets import export as exports
    from l8s2.datasets.set_pairs import ShardPairs

    run = exports.export_deep_harmonization if layout == "published" else exports.export_geotiff
    with ProgressBar("exporting") as progress:
        click.echo(str(run(ShardPairs(folder, side), output, overwrite=overwrite, progress=progress)))
