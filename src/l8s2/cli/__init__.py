"""The command line: thin verbs. Results go to stdout, everything for people to stderr."""

from __future__ import annotations

import os

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # before numpy: our products are small, its threads wait for each other

import click

from l8s2._version import __version__
from l8s2.cli.batch import batch
from l8s2.cli.dataset import dataset
from l8s2.cli.doctor import doctor
from l8s2.cli.evaluate import demo, evaluate
from l8s2.cli.export import export
from l8s2.cli.fetch import fetch
from l8s2.cli.harmonize import harmonize, info
from l8s2.cli.models import models
from l8s2.cli.search import search
from l8s2.cli.series import cube, extract, study
from l8s2.cli.shell import Commands
from l8s2.cli.train import finetune, train
from l8s2.cli.trust import report, reproduce, verify
from l8s2.cli.view import view


@click.group("l8s2", cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="l8s2")
def main() -> None:
    """Landsat-8/9 in, Sentinel-2-like surface reflectance at 10 m out."""


for _verb in (
    harmonize,
    batch,
    info,
    view,
    verify,
    reproduce,
    cube,
    extract,
    study,
    report,
    export,
    evaluate,
    demo,
    models,
    train,
    finetune,
    search,
    fetch,
    dataset,
    doctor,
):
    main.add_command(_verb)
