"""Many scenes: batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from copy import copy
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from l8s2.cli.harmonize import harmonize, product_options
from l8s2.cli.shell import JSON, show, tell, warn
from l8s2.errors import TRY_AGAIN

if TYPE_CHECKING:
    from l8s2.batch.run import Batch, Summary

_OWN = {"products", "stac", "output", "pan", "overwrite", "dry_run", "as_json", "resume"}
"""Parameters of harmonize that a batch sets by itself; all others are passed on."""
_NO_MATTER = {"threads", "max_memory"}
"""Those that do not change the product, so that machines may differ in them."""
PASSED = [copy(parameter) for parameter in harmonize.params if parameter.name not in _OWN]
for _parameter in PASSED:
    if isinstance(_parameter, click.Option) and _parameter.name == "threads":
        _parameter.help = "Processor threads of each scene. Default: all, shared by the workers."


@click.command()
@click.argument("scenes", nargs=-1, required=True, metavar="SCENES...")
@click.option("-o", "--output", required=True, metavar="FOLDER|s3://...", help="Gets products, ledger and tables.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Scenes at a time. Default: one for two cores and 3 GB of memory."
)
@click.option("--shard", metavar="I/N", help="Only this part of the scenes, I from 0 to N - 1; for arrays of jobs.")
@click.option("--scheduler", metavar="tcp://...", help="Work on the workers of this Dask cluster, one scene each.")
@click.option("--max-attempts", type=click.IntRange(min=1), default=3, show_default=True, help="For each scene.")
@click.option("--retry-failed", is_flag=True, help="Try the scenes again that have failed.")
@click.option(
    "--lease", type=click.FloatRange(min=1), default=300, show_default=True, metavar="SECONDS",
    help="A scene of a machine that gave no sign of life for so long is taken by another.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Tell what there is to do; do nothing.")
@JSON
def batch(
    scenes: tuple[str, ...],
    output: str,
    workers: int | None,
    shard: str | None,
    scheduler: str | None,
    max_attempts: int,
    retry_failed: bool,
    lease: float,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Make 10 m products of many SCENES, on any number of machines that see one output.

    SCENES are products (folder, archive or one file with all bands), folders of them or with a catalog.json that leads
    to them, text files with one on each line, files saved from l8s2 search --json, STAC items, ids of Level-2 products,
    or - for a search on standard input. Each scene is worked on by a process of its own, l8s2 harmonize, with the
    options below that are not of the batch itself. The same command goes on where it stopped, on the same or on another
    machine. Exit code: 0 all done, 1 some failed, 75 some failed by what may pass.
    """
    from l8s2.batch.ledger import Rules
    from l8s2.batch.run import Batch, run_batch, shard_of
    from l8s2.batch.scenes import by_overpass, read_scenes

    found = read_scenes(scenes, sys.stdin.read() if "-" in scenes else None)
    for line in found.notes:
        warn(line)
    asked = _checked(options)
    if options["mgrs"]:
        found = by_overpass(found.scenes, options["mgrs"])
        for line in found.notes:
            warn(line)
    job = Batch(
        scenes=shard_of(found.scenes, shard) if shard else found.scenes,
        output=output if output.startswith("s3://") else os.path.abspath(output),
        options=_arguments(options, {str(p.name) for p in PASSED} - _NO_MATTER),
        own_options=(*_arguments(options, _NO_MATTER), *(() if output.startswith("s3://") else ("--resume",))),
        rules=Rules(max_attempts=max_attempts, lease=lease),
        retry_failed=retry_failed,
        asked=asked,
    )
    if dry_run:
        _show_plan(_on_this_machine(job, workers), as_json)
        return
    with ExitStack() as stack:
        if scheduler is None:
            summary = run_batch(_on_this_machine(job, workers), tell)
        else:
            from l8s2.batch.on_dask import dask_executor

            executor, count = stack.enter_context(dask_executor(scheduler))
            summary = run_batch(replace(job, workers=workers or count), tell, executor)
    _show_summary(summary, output, as_json)
    if summary.failed:
        click.get_current_context().exit(TRY_AGAIN if summary.may_pass == summary.failed else 1)


batch.params.extend(PASSED)


def _checked(options: dict[str, Any]) -> dict[str, str]:
    """Refuse what would make every scene fail; return what the products are to be made with. Raises InputError."""
    from l8s2.pipeline.finished import asked_for
    from l8s2.predictors.load import load_predictor

    wanted = product_options(options)
    return asked_for(load_predictor(wanted.model), wanted)


def _on_this_machine(job: Batch, workers: int | None) -> Batch:
    """Settle how many scenes are worked on at a time, and share the processor among them."""
    from l8s2.batch.machine import default_workers
    from l8s2.system.machine import cores

    at_a_time = workers or default_workers()
    shared = () if "--threads" in job.own_options else ("--threads", str(max(1, cores() // at_a_time)))
    return replace(job, workers=at_a_time, own_options=(*job.own_options, *shared))


def _arguments(options: dict[str, Any], names: set[str]) -> tuple[str, ...]:
    """Write options as the command line has them, without those that are not given."""
    found: list[str] = []
    for parameter in PASSED:
        value = options[str(parameter.name)]
        if parameter.name not in names or value is None or value is False or value == parameter.default:
            continue
        values = () if value is True else value if isinstance(value, tuple) else (value,)
        found += [parameter.opts[0], *map(str, values)]
    return tuple(found)


def _show_plan(job: Batch, as_json: bool) -> None:
    """Print how far the batch is, and an estimate from the first scene that is on disk."""
    from l8s2.batch.run import summarize

    plan = asdict(summarize(job)) | {"workers": job.workers}
    overpasses = {scene.id: [each.id for each in scene.members] for scene in job.scenes if scene.members}
    sample = next((scene for scene in job.scenes if scene.is_on_disk), None)
    if sample:
        command = (*job.program, *sample.arguments(Path()), "--dry-run", "--json", *job.options, *job.own_options)
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            each = json.loads(done.stdout)
            plan["seconds_each"], plan["memory_bytes_each"] = each["seconds"], each["memory_bytes"]
            plan["hours"] = round(plan["free"] * each["seconds"] / job.workers / 3600, 2)
        else:
            warn(f"no estimate: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else sample.id}")
    if as_json:
        click.echo(json.dumps(plan | {"overpasses": overpasses}, indent=2))
    else:
        show(plan)
        for name, members in overpasses.items():
            click.echo(f"{name}: {', '.join(members)}")


def _show_summary(summary: Summary, output: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"output": output, **asdict(summary)}, indent=2))
        return
    click.echo(f"{summary.done} of {summary.scenes} scenes in {output}; results.csv has a row for each")
    if summary.failed:
        tell(f"{summary.failed} failed; `retry_failed` tries them again")
