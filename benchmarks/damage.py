"""Damage to everything that l8s2 reads, and what became of it: refused in one line, read, or a violation.

    python benchmarks/damage.py [--kind tiff] [--seed 0] [--most 50] [--commands 40] [--json]

Each kind runs in a process of its own, with 1 GiB and 10 seconds for a case. Ends with 1 where a rule was broken.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


@click.command()
@click.option("--kind", "kinds", multiple=True, help="Some kinds; by default all.")
@click.option("--seed", default=0, show_default=True)
@click.option("--most", default=0, help="Cases of each kind; by default all.")
@click.option("--commands", default=0, help="So many cases through the command line instead.")
@click.option("--json", "as_json", is_flag=True)
def main(kinds: tuple[str, ...], seed: int, most: int, commands: int, as_json: bool) -> None:
    from damage.command import through_commands
    from damage.kinds import KINDS
    from damage.run import Outcome, run

    found: list[Outcome] = []
    for name in kinds or KINDS if not commands else ():
        found += run([name], seed, most)
        click.echo(f"{name}: {len([o for o in found if o.kind == name])} cases", err=True)
    found += through_commands(kinds or tuple(KINDS), seed, commands)
    wrong = [outcome for outcome in found if outcome.what == "violation"]
    if as_json:
        click.echo(json.dumps([outcome._asdict() for outcome in found], indent=1))
    else:
        click.echo("| kind | cases | refused in one line | read | violations | longest, s |\n|---|---|---|---|---|---|")
        for name in [*dict.fromkeys(outcome.kind for outcome in found), "all"]:
            here = [outcome for outcome in found if name in (outcome.kind, "all")]
            counts = Counter(outcome.what for outcome in here)
            cells = [
                name,
                len(here),
                counts["refused"],
                counts["read"],
                counts["violation"],
                f"{max((o.seconds for o in here), default=0):.1f}",
            ]
            click.echo("| " + " | ".join(map(str, cells)) + " |")
        for outcome in wrong:
            click.echo(f"{outcome.kind}: {outcome.name}: {outcome.said}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
