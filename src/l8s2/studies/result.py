"""A study on disk: figure, table, paragraph and everything as JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l8s2._version import __version__
from l8s2.files import WholeFolder, fsync

MARK = "study.json"
"""The file by which a folder is known as one of ours."""
SIMULATED = "Simulated, not measured"
"""Stands in the figure and the text of a study of simulated imagery."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """What a study found."""

    name: str
    rows: Sequence[dict[str, Any]]
    """Of the table; every row has the same columns."""
    paragraph: str
    """What it may and may not be taken for."""
    figure: str
    """SVG."""
    facts: dict[str, Any]
    """Numbers of units, inputs, settings; fit for JSON."""

    @property
    def table(self) -> list[dict[str, Any]]:
        """The rows; where imagery is simulated a column says so."""
        said = {"imagery": "simulated"} if self.facts.get("simulated") else {}
        return [{**row, **said} for row in self.rows]

    def as_json(self) -> dict[str, Any]:
        """Return everything but the figure."""
        return {
            "study": self.name, "version": __version__, **self.facts, "table": self.table,
            "paragraph": self.paragraph,
        }  # fmt: skip


def study_folder(output: Path, *, overwrite: bool = False) -> WholeFolder:
    """Return the folder that a study is to be written into. Raises InputError where it exists or cannot be written."""
    return WholeFolder(output, overwrite=overwrite, mark=MARK)


def write_study(study: Study, folder: WholeFolder) -> Path:
    """Write ``study.json``, ``table.csv``, ``figure.svg`` and ``study.md``; the folder appears when it is whole.

    Raises InputError where it cannot be written.
    """
    with folder as whole:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(study.table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(study.table)
        files = {
            MARK: json.dumps(study.as_json(), indent=2, allow_nan=False) + "\n",
            "table.csv": text.getvalue(),
            "figure.svg": study.figure,
            "study.md": (
                f"# {study.name}\n\n![](figure.svg)\n\n{_escaped(study.paragraph)}\n\n{markdown(study.table)}\n"
            ),
        }
        for name, content in files.items():
            (whole.workspace / name).write_text(content, encoding="utf-8")
            fsync(whole.workspace / name)
        return whole.publish()


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as a Markdown table."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([_cell(row[name]) for name in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else _escaped(str(value))


def _escaped(text: str) -> str:
    """Return text on one line, without what ends a cell of a Markdown table or begins a tag of HTML."""
    return re.sub(r"([\\|<`])", r"\\\1", " ".join(text.split()))
