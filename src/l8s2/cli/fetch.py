"""From scenes found to files: fetch."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from l8s2.cli.shell import JSON, ProgressBar, tell, warn
from l8s2.errors import FetchError, InputError, L8S2Error, OutsideError

if TYPE_CHECKING:
    from l8s2.acquire.fetch_request import FetchRequest

GOES_ON = "what was fetched stays; the same command goes on where it stopped"


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="WHAT...")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder that gets the scenes.")
@click.option("--bbox", nargs=4, type=float, metavar="W S E N", help="Only this area, WGS 84 degrees.")
@click.option("--catalog-file", type=click.Path(path_type=Path), help="TOML file with catalogues of yours.")
@JSON
def fetch(
    what: tuple[str, ...],
    output: Path,
    bbox: tuple[float, float, float, float] | None,
    catalog_file: Path | None,
    as_json: bool,
) -> None:
    """Fetch the scenes that WHAT names, a folder for each, Landsat's with their pan bands.

    WHAT is a file saved from l8s2 search --json, a recipe from l8s2 search --pairs -o, a STAC item as file or address
    (https://...), the id of a Landsat Level-2 product (LC08_L2SP_...), or - for standard input. Files that are
    complete already are not fetched again.
    """
    from l8s2.acquire.access import Access
    from l8s2.acquire.fetch import fetch_scene
    from l8s2.acquire.fetch_request import find_missing_pans, merge
    from l8s2.catalogs.endpoints import known_catalogs
    from l8s2.target import Area

    Area(bbox=bbox or None)
    known = known_catalogs(catalog_file)
    searched = find_missing_pans(merge(_parsed(each, known) for each in what))
    for line in searched.without_pan:
        warn(line)
    access = Access(searched.request.catalogs.values(), known.values())
    scenes: list[dict[str, Any]] = []
    failures = [*searched.failures]
    items = searched.request.items()
    if not items:
        click.echo(f"{', '.join(what)}: names no scene; nothing was fetched", err=True)
    for i, item in enumerate(items, 1):
        folder, status = output / item.product, "fetched"
        whole = (folder / "scene.json").exists()
        try:
            with ProgressBar(f"[{i}/{len(items)}] {item.id}", unit="B") as bar:
                folder = fetch_scene(
                    item, output, access, bbox=bbox, progress=lambda done, total, _, bar=bar: bar(done, total)
                )
            if whole or not (folder / "scene.json").exists():
                status = "there already"
        except OutsideError as error:
            warn(str(error))
            status = "outside"
        except L8S2Error as error:
            failures += error.failures if isinstance(error, FetchError) else [str(error)]
            status = "failed"
        except KeyboardInterrupt:
            raise KeyboardInterrupt(GOES_ON) from None
        scenes.append({"id": item.id, "folder": str(folder), "status": status})
        click.echo(f"{item.id}: {status}", err=True)
        if not as_json and status not in ("failed", "outside"):
            click.echo(str(folder))
    outside = sum(scene["status"] == "outside" for scene in scenes)
    if as_json:
        click.echo(json.dumps({"scenes": scenes, "failures": failures}, indent=2))
    for line in failures:
        tell(f"failed: {line}")
    if failures:
        bad = sum(scene["status"] == "failed" for scene in scenes)
        lines = {
            "{} of {} scenes are not whole": bad,
            "pan of {} scenes could not be looked for": len(searched.failures),
        }
        said = ", ".join(line.format(n, len(scenes)) for line, n in lines.items() if n)
        raise InputError(f"{said}; {GOES_ON}")
    if outside and outside == len(scenes):
        raise InputError("nothing was fetched; give a --bbox that the scenes cover")


def _parsed(what: str, known: dict[str, Any]) -> FetchRequest:
    from l8s2.acquire.fetch_request import parse_request

    if what != "-":
        return parse_request(what, known)
    with tempfile.TemporaryDirectory(prefix="l8s2-") as folder:  # Windows opens no file twice that removes itself
        piped = Path(folder) / "piped.json"
        piped.write_bytes(sys.stdin.buffer.read())
        try:
            return parse_request(str(piped), known)
        except InputError as error:
            raise InputError(str(error).replace(str(piped), "standard input")) from None
