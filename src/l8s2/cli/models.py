"""Models: list, info, convert, export, push."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from l8s2.cli.shell import JSON, TRUST, show

OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace what is there once the new one is whole.")


@click.group()
def models() -> None:
    """Models: list them, describe them, convert, export and publish them.

    A model is an embedded one (compact), a folder with config.json and model.safetensors, a file of weights with
    config.json beside it, an ONNX file exported by l8s2, or owner/name on the Hugging Face Hub.
    """


@models.command("list")
@JSON
def list_models(as_json: bool) -> None:
    """Show the embedded models, the published ones, and what is in the cache."""
    from l8s2.models.describe import available

    found = available()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for row in found:
        click.echo(f"{row['name']:45s} {row['kind']:10s} {row['path'] or 'not in the cache'}")


@models.command()
@click.argument("name")
@TRUST
@JSON
def info(name: str, trust_architecture: str | None, as_json: bool) -> None:
    """Show architecture, configuration, size, reach, cost, checksum and card of the model NAME."""
    from l8s2.models.describe import describe

    facts = describe(name, trust_architecture=trust_architecture)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    show(facts, width=24)


@models.command()
@click.argument("source")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The model folder.")
@click.option("--config", type=click.Path(path_type=Path), help="config.json, where none lies beside SOURCE.")
@TRUST
@OVERWRITE
def convert(source: str, **options: Any) -> None:
    """Make a model folder (safetensors) from SOURCE.

    SOURCE: pytorch_model.bin, a checkpoint of the published research code, a model folder, an ONNX file of a compact
    network, or a name. Nothing in it is executed; --trust-architecture runs code that is installed.
    """
    from l8s2.models.describe import convert as run

    click.echo(str(run(source, **options)))


@models.command()
@click.argument("name")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The .onnx file.")
@TRUST
@OVERWRITE
def export(name: str, **options: Any) -> None:
    """Write the model NAME as ONNX, checked against the network.

    Inputs: ms and pan. Outputs: mean and, if the model has one, sigma.
    """
    from l8s2.models.describe import export as run

    click.echo(str(run(name, **options)))


@models.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("name", metavar="OWNER/NAME")
@TRUST
@click.option("--dry-run", is_flag=True, help="List what would be sent.")
def push(folder: Path, name: str, trust_architecture: str | None, dry_run: bool) -> None:
    """Send a model FOLDER to the Hugging Face Hub. Needs HF_TOKEN."""
    from l8s2.models import hub

    for file in hub.push(folder, name, trust_architecture=trust_architecture, dry_run=dry_run):
        click.echo(str(folder / file))
