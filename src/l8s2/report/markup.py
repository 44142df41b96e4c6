"""Pieces of a page: everything that comes from outside is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from l8s2.report.counts import Counts
from l8s2.report.pictures import Shown

_LONGEST = 600
"""Characters of a text from outside."""
_BINS = 48
_WIDTH, _HEIGHT, _FOOT = 300, 110, 18

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1a1a1a; --quiet: #4d4d4d; --line: #c4c4c4;
  --accent: #0b57d0; --fill: #a8c4f0; --pass: #0d652d; --warn: #7a4b00; --fail: #a50e0e; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #161616; --text: #f0f0f0; --quiet: #c4c4c4; --line: #565656;
    --accent: #8ab4f8; --fill: #35507c; --pass: #81c995; --warn: #fdd663; --fail: #f5a9a3; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1rem 1.2rem 3rem; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: .4rem 0; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .4rem 0; max-width: 48rem; } .quiet, figcaption { color: var(--quiet); font-size: 13px; }
a { color: var(--accent); } ul { padding-left: 1.2rem; }
dl { margin: .3rem 0; } dt { font-weight: 600; margin-top: .6rem; } dd { margin: 0; max-width: 48rem; }
.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .1rem 1rem; }
.facts dt { margin: 0; } .facts dd { max-width: none; }
.verdict { border-left: .4rem solid var(--line); padding: .3rem .9rem; margin: 1rem 0; }
.verdict > p > b { text-transform: uppercase; }
.verdict.pass { border-color: var(--pass); } .pass > b, .pass > p > b { color: var(--pass); }
.verdict.warn { border-color: var(--warn); } .warn > b, .warn > p > b { color: var(--warn); }
.verdict.fail { border-color: var(--fail); } .fail > b, .fail > p > b { color: var(--fail); }
.row { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .6rem; margin: .6rem 0; }
.row.pixels { grid-template-columns: repeat(3, minmax(0, 1fr)); } .pixels img { image-rendering: pixelated; }
figure { margin: 0; break-inside: avoid; } figure img { width: 100%; height: auto; display: block; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .8rem; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--quiet); font: 11px system-ui, sans-serif; }
.after { fill: var(--fill); } .before { fill: none; stroke: var(--text); stroke-width: 1.5; }
.axis { stroke: var(--quiet); }
.sigma { max-width: 33rem; } .sigma span { display: flex; justify-content: space-between; }
.sigma i { display: block; height: .9rem; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; margin: .5rem 0;
  overflow-wrap: normal; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid var(--line); }
thead th { vertical-align: bottom; } th:first-child, .text td, .text th { text-align: left; }
.text td:last-child { min-width: 13rem; } td code { overflow-wrap: anywhere; }
code, pre { font: 13px/1.4 ui-monospace, monospace; } pre { white-space: pre-wrap; margin: .3rem 0; }
@media (max-width: 40rem) {
  body { padding: .6rem .8rem 2rem; } h1 { font-size: 1.15rem; }
  .facts { grid-template-columns: minmax(0, 1fr); } .facts dd { margin-bottom: .4rem; }
  .row { gap: .3rem; } .row.pixels { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media print {
  body { max-width: none; font-size: 11pt; } h2, h3 { break-after: avoid; } tr, svg { break-inside: avoid; }
}
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def text(value: object) -> str:
    """Return anything as escaped text, cut where it is very long."""
    whole = "unknown" if value is None else str(value)
    return escape(whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]} ...")


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole page; ``parts`` are markup. It runs no script and asks nobody for anything."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head><body><main>\n" + "\n".join(parts)
        + "\n</main></body></html>\n"
    )  # fmt: skip


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = False) -> str:
    """Return a table; cells are markup, the first of each row is its heading. ``words``: aligned to the left."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in heads)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows
    )
    kind = ' class="text"' if words else ""
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def figures(shown: Sequence[Shown], *, pixels: bool = False) -> str:
    """Return pictures side by side."""
    kind = "row pixels" if pixels else "row"
    each = "".join(
        f'<figure><img src="{item.uri}" alt="{text(item.alt)}"><figcaption>{text(item.caption)}</figcaption></figure>'
        for item in shown
    )
    return f'<div class="{kind}">{each}</div>'


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
