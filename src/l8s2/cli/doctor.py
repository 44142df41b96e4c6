"""What works on this machine: doctor."""

from __future__ import annotations

import json
from pathlib import Path

import click

from l8s2.cli.shell import JSON, as_options


@click.command()
@click.argument("output", required=False, type=click.Path(path_type=Path))
@click.option("--offline", is_flag=True, help="Do not ask whether the catalogues can be reached.")
@click.option("--catalog-file", type=click.Path(path_type=Path), help="TOML file with catalogues of yours.")
@JSON
@click.pass_context
def doctor(
    context: click.Context, output: Path | None, offline: bool, catalog_file: Path | None, as_json: bool
) -> None:
    """Show what works on this machine, which accesses to imagery are open, and the remedy for the others.

    With OUTPUT, a folder of products: show instead what killed runs have left there, and who is at work.

    Exit code 1 only where harmonising a product on disk would not work, or OUTPUT cannot be read.
    """
    from dataclasses import asdict

    from l8s2.doctor import examine

    findings = []
    for finding in examine(output, offline=offline, catalog_file=catalog_file):
        findings.append(finding)
        if not as_json:
            click.echo(f"{finding.status:8s} {finding.what:24s} {as_options(finding.text)}")
    broken = any(finding.core and finding.status != "ok" for finding in findings)
    if as_json:
        click.echo(json.dumps({"healthy": not broken, "findings": [asdict(f) for f in findings]}, indent=2))
    context.exit(int(broken))
