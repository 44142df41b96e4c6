"""The command line: thin verbs. Results go to stdout, everything for people to stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from l8s2 import __version__


class _Commands(click.Group):
    """Turns every expected failure into one line and an exit code: 1 failed, 2 wrong usage, 130 interrupted."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _libraries_silenced():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("l8s2: interrupted; nothing half-written is left", err=True)
            ctx.exit(130)
        except (click.exceptions.Exit, click.ClickException, BrokenPipeError):
            raise
        except Exception as error:
            from l8s2.errors import InputError

            if isinstance(error, InputError):
                click.echo(f"l8s2: {error}", err=True)
                ctx.exit(1)
            if isinstance(error, UnicodeEncodeError):
                click.echo(f"l8s2: {error.object!r}: not valid UTF-8; rename it or give another path", err=True)
                ctx.exit(1)
            if isinstance(error, (OSError, MemoryError)):
                click.echo(f"l8s2: {type(error).__name__}: {error}", err=True)
                ctx.exit(1)
            raise


@contextmanager
def _libraries_silenced() -> Iterator[None]:
    """Discard what C libraries write to descriptor 2 by themselves; what matters of it is said in one line."""
    theirs = sys.stderr
    if theirs is not sys.__stderr__ or not isinstance(theirs, TextIOWrapper):  # somebody else has taken care
        yield
        return
    theirs.flush()
    ours = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    with open(ours, "w", buffering=1, encoding=theirs.encoding, errors=theirs.errors) as sys.stderr:
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(ours, 2)
            sys.stderr = theirs


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="l8s2")
def main() -> None:
    """Landsat-8/9 in, Sentinel-2-like surface reflectance at 10 m out."""


_PRODUCT = click.argument("product", type=click.Path(path_type=Path))
_PAN = click.option(
    "--pan",
    type=click.Path(path_type=Path),
    help="Level-1 product (or its B8.TIF) with the pan band. Default: looked for beside PRODUCT.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")


@main.command()
@_PRODUCT
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder that gets <L2SP id>_S2L. Required unless --dry-run."
)
@_PAN
@click.option(
    "--model", default="compact", show_default=True, help="compact, compact-nopan, or an ONNX file exported by l8s2."
)
@click.option("--bbox", nargs=4, type=float, metavar="W S E N", help="Only this area, WGS 84 degrees.")
@click.option("--mgrs", metavar="TILE", help="Exactly the 10 m grid of a Sentinel-2 tile, for example 43PHQ.")
@click.option("--crs", metavar="CRS", help="Warp the product once into this coordinate reference system.")
@click.option("--like", type=click.Path(path_type=Path), help="Warp the product once onto the grid of this raster.")
@click.option("--sigma/--no-sigma", default=True, show_default=True, help="Write the standard errors.")
@click.option("--engine", type=click.Choice(["openvino", "torch"]), default="openvino", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Processor threads. Default: all.")
@click.option("--overwrite", is_flag=True, help="Replace an existing product once the new one is whole.")
@click.option("--dry-run", is_flag=True, help="Check the input and tell size, time, memory and disk; write nothing.")
@_JSON
def harmonize(
    product: Path, output: Path | None, dry_run: bool, overwrite: bool, as_json: bool, **options: Any
) -> None:
    """Make a 10 m product from a Landsat Level-2 PRODUCT (folder, .tar or .tar.gz)."""
    from l8s2.pipeline import harmonize_product
    from l8s2.plan import plan_product

    options["bbox"] = options["bbox"] or None
    if dry_run:
        from dataclasses import asdict

        plan = asdict(plan_product(product, **options))
        if as_json:
            click.echo(json.dumps(plan, indent=2))
        else:
            for line in plan.pop("warnings"):
                _warn(line)
            rows, columns = plan["shape"]
            click.echo(
                f"{plan['product_id']}: {columns} x {rows} pixels of 10 m in {plan['crs']}, pan {plan['pan'] or 'none'}"
            )
            click.echo(
                f"about {plan['seconds']:.0f} s, {plan['memory_bytes'] / 1e9:.1f} GB of memory, up to {plan['disk_bytes'] / 1e9:.2f} GB of disk"
            )
        return
    if output is None:
        raise click.UsageError("Missing option '-o' / '--output'.")
    started = time.monotonic()
    with _progress("harmonising") as progress:
        folder = harmonize_product(product, output, overwrite=overwrite, progress=progress, warn=_warn, **options)
    seconds = time.monotonic() - started
    if as_json:
        files = sorted(str(p) for p in folder.iterdir())
        click.echo(json.dumps({"product": str(folder), "files": files, "seconds": round(seconds, 2)}, indent=2))
    else:
        click.echo(str(folder))
        click.echo(f"done in {seconds:.1f} s", err=True)


@main.command()
@_PRODUCT
@_PAN
@_JSON
def info(product: Path, pan: Path | None, as_json: bool) -> None:
    """Show what PRODUCT holds, what is missing, its lattice, and the measured shift of pan against MS."""
    from l8s2.info import describe

    facts = describe(product, pan)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    warnings, shift = facts.pop("warnings"), facts.pop("pan_shift")
    for key, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = " ".join(map(str, value))
        elif isinstance(value, bool):
            value = "yes" if value else "no"
        click.echo(f"{key.replace('_', ' '):20s} {'unknown' if value is None else value}")
    if shift is None:
        text = "no pan"
    elif shift["verdict"] == "unknown":
        text = f"unknown: {shift['reason']}"
    else:
        text = (f"{shift['verdict']}: {shift['length_m']} m (down {shift['down_m']}, right {shift['right_m']}), "
                f"correlation {shift['correlation']}")  # fmt: skip
    click.echo(f"{'pan shift':20s} {text}")
    for line in warnings:
        _warn(line)


@main.command()
@click.argument("imagery", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder that gets the results.")
@click.option(
    "--model",
    "models",
    multiple=True,
    default=("compact", "compact-nopan"),
    show_default=True,
    help="compact, compact-nopan, or an ONNX file exported by l8s2; may be given several times.",
)
@click.option(
    "--sentinel2",
    type=click.Path(path_type=Path),
    help="Six-band raster on the 10 m lattice: the truth for one Landsat product.",
)
@_PAN
@click.option("--bbox", nargs=4, type=float, metavar="W S E N", help="Only this area of a scene, WGS 84 degrees.")
@click.option("--disturbed", is_flag=True, help="Simulate with radiometric disturbance as well.")
@click.option("--as-published", is_flag=True, help="Data range 2, not 1, in published_bands.json.")
@click.option("--overwrite", is_flag=True, help="Replace an existing evaluation once the new one is whole.")
@_JSON
def evaluate(imagery: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Score models and all baselines on IMAGERY.

    Sentinel-2 archives (.npz, or folders of them) play the truth of simulated pairs. A Landsat product with --sentinel2 is
    a real pair; alone it is scored without reference: consistency at 30 m, detail against pan, QNR.
    """
    from l8s2.evaluation.run import run_evaluation

    options["bbox"] = options["bbox"] or None
    with _progress("evaluating") as progress:
        summary, table = run_evaluation(imagery, progress=progress, warn=_warn, **options)
    if as_json:
        click.echo(json.dumps(summary, indent=2, allow_nan=False))
    else:
        click.echo(table)
        images, places = summary["images"], summary["places"]
        click.echo(
            f"{images} image{'s'[: images != 1]} of {places} place{'s'[: places != 1]}; pictures and every score in"
            f" {summary['output']}/report.html",
            err=True,
        )


@main.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("l8s2-demo"), show_default=True)
@_JSON
def demo(output: Path, as_json: bool) -> None:
    """Simulate a small scene, harmonise it, and score it against the truth. No download, under 30 s."""
    from l8s2.demo import run_demo, show

    result = run_demo(output, report=lambda line: click.echo(line, err=True))
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        show(result)


def _warn(message: str) -> None:
    click.echo(f"warning: {message}", err=True)


class _progress:
    """A bar with rate and time left on a terminal; elsewhere a plain line now and then, never before two seconds."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.bar: Any = None
        self.started = self.spoken = time.monotonic()

    def __enter__(self) -> Callable[..., None]:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self.bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
                TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self.task = self.bar.add_task(self.label, total=None, rate="")
            self.bar.start()
        return self.update

    def update(self, done: int, total: int, what: str | None = None) -> None:
        now = time.monotonic()
        if what is not None and what != self.label:
            self.label, self.started = what, now
            if self.bar is not None:
                self.bar.reset(self.task, description=what)
        rate = done / 1e6 / max(now - self.started, 1e-6)
        speed = f"{rate:.1f} Mpx/s" if rate >= 1 else f"{1000 * rate:.0f} kpx/s"
        if self.bar is not None:
            self.bar.update(self.task, completed=done, total=total, rate=speed)
        elif now - self.spoken > 10:
            self.spoken = now
            left = (total - done) / 1e6 / max(rate, 1e-6)
            click.echo(f"{self.label}: {100 * done / total:.0f} %, {speed}, {left:.0f} s left", err=True)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()


if __name__ == "__main__":
    main()
