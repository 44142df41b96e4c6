"""Pieces of a page: everything that comes from outside is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

import numpy as np

from l8s2.report.counts import Counts
from l8s2.report.pictures import Shown

_LONGEST = 600
"""Characters of a text from outside."""
_BINS = 48
_WIDTH, _HEIGHT, _FOOT = 300, 110, 18

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def style() -> str:
    """Return the style sheet of every page."""
    return (files("l8s2.report") / "report.css").read_text(encoding="utf-8")


def text(value: object) -> str:
    """Return anything as escaped text, cut where it is very long."""
    whole = "unknown" if value is None else str(value)
    return escape(whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]} ...")


def percent(value: float) -> str:
    """Return a percentage as markup."""
    return ("0" if value == 0 else "&lt;&nbsp;0.01" if value < 0.01 else f"{value:.2f}") + "&nbsp;%"


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole page; ``parts`` are markup. It runs no script and asks nobody for anything."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{text(title)}</title><style>{style()}</style></head><body><main>\n" + "\n".join(parts)
        + "\n</main></body></html>\n"
    )  # fmt: skip


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = False) -> str:
    """Return a table; cells are markup, the first of each row is its heading.

    ``words``: aligned to the left, and on a narrow screen a list in which each cell names its column.
    """
    head = "".join(f'<th scope="col">{cell}</th>' for cell in heads)
    names = [f' data-head="{head}: "' if words else "" for head in heads]
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td{name}>{cell}</td>" for name, cell in zip(names[1:], row[1:], strict=True))
        + "</tr>"
        for row in rows
    )
    kind = ' class="text"' if words else ""
    return (
        f'<div class="wide" tabindex="0"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def figures(shown: Sequence[Shown], *, kind: str) -> str:
    """Return pictures side by side; ``kind``: ``whole`` or ``pixels``."""
    each = "".join(
        f'<figure><img src="{item.uri}" alt="{text(item.alt)}"><figcaption>{text(item.caption)}</figcaption></figure>'
        for item in shown
    )
    return f'<div class="row {kind}">{each}</div>'


def histogram(name: str, band: int, output: Counts, before: Counts) -> str:
    """Return a chart of the output, filled, and of the input, where there is one, as a line."""
    both = [counts for counts in (output, before) if np.isfinite(counts.percentile(50)[band])]
    low = min(float(counts.percentile(0.5)[band]) for counts in both)
    high = max(float(counts.percentile(99.5)[band]) for counts in both)
    step = max(1e-4, 1e-4 * np.ceil((high - low) / _BINS / 1e-4))
    edges = low + step * np.arange(_BINS + 1)
    shares = [counts.shares(band, edges) for counts in both]
    top = max(max(float(share.max()) for share in shares), 1e-9)

    def outline(share: np.ndarray) -> str:
        y = _HEIGHT * (1 - share / top)
        points = [f"{_WIDTH * (i + d) / _BINS:.1f},{y[i]:.1f}" for i in range(_BINS) for d in (0, 1)]
        return f"M0,{_HEIGHT} L{' '.join(points)} L{_WIDTH},{_HEIGHT}"

    lines = [f'<path class="after" d="{outline(shares[0])}"/>']
    lines += [f'<path class="before" d="{outline(share)}"/>' for share in shares[1:]]
    ticks = "".join(
        f'<text x="{_WIDTH * at:.0f}" y="{_HEIGHT + 14}" text-anchor="{anchor}">'
        f"{edges[0] + at * (edges[-1] - edges[0]):.3f}</text>"
        for at, anchor in ((0, "start"), (0.5, "middle"), (1, "end"))
    )
    return (
        f'<figure><figcaption>{name}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT + _FOOT}" role="img" '
        f'aria-label="Histogram of {name}; its numbers are in the table">{"".join(lines)}'
        f'<path class="axis" d="M0,{_HEIGHT} H{_WIDTH}"/>{ticks}</svg></figure>'
    )
