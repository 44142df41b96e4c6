"""Numbers with intervals, drawn as SVG without any other program."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from l8s2.studies.bootstrap import Estimate

_COLOURS = ("#777777", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Of Okabe and Ito, which people who are blind to some colours tell apart. A second round of them is hollow."""
_WIDTH, _LETTER, _LONGEST = 480, 7, 42
"""Pixels of the axes and, about, of a letter; letters of a name that are shown."""
_ROW, _GAP, _TITLE, _TICKS, _MARGIN = 16, 8, 34, 40, 20


class Panel(NamedTuple):
    """One set of axes."""

    title: str
    groups: Mapping[str, Mapping[str, Estimate]]
    """Name at the left -> series -> number."""


def chart(panels: Sequence[Panel], *, title: str, note: str = "") -> str:
    """Draw panels below each other: a row and a colour for each series, a dot for its number, a line for its interval.

    Names stand in lines of their own, so that none covers another however long it is; ``note`` stands above all.
    """
    series = list(dict.fromkeys(name for panel in panels for group in panel.groups.values() for name in group))
    names = [_short(name) for panel in panels for name in panel.groups]
    left = 2 * _MARGIN + _LETTER * max(map(len, names), default=0)
    parts, top = _legend(series, note)
    for panel in panels:
        drawn, top = _panel(panel, series, left, top)
        parts += drawn
    letters = max(len(_short(name)) for name in (note, *series, *(panel.title for panel in panels)))
    width = max(left + _WIDTH, 3 * _MARGIN + 8 * letters) + 2 * _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" viewBox="0 0 {width} {top}" role="img"'
        f' font-family="sans-serif" font-size="12"><title>{html.escape(title)}</title>'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _legend(series: Sequence[str], note: str) -> tuple[list[str], int]:
    """Return the note, one line for each series, and where the panels begin."""
    parts, y = [], _MARGIN
    if note:
        parts, y = [_text(_MARGIN, y + 4, note, 'font-weight="bold"')], y + _ROW
    for index, name in enumerate(series):
        parts += [_dot(_MARGIN, y, index), _text(_MARGIN + 12, y + 4, name)]
        y += _ROW
    return parts, y


def _panel(panel: Panel, series: Sequence[str], left: int, top: int) -> tuple[list[str], int]:
    """Return a panel, and where the next one begins."""
    ends = [v for group in panel.groups.values() for e in group.values() for v in e if math.isfinite(v)]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    pad = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    start, stop = low - pad, high + pad

    def x(value: float) -> float:
        return left + _WIDTH * (value - start) / (stop - start)

    first = top + _TITLE
    own = [index for index, name in enumerate(series) if any(name in group for group in panel.groups.values())]
    bottom = first + len(panel.groups) * (len(own) * _ROW + _GAP)
    parts = [_text(_MARGIN, top + 22, panel.title, 'font-weight="bold"')]
    for tick in _ticks(max(start, 0) if low >= 0 else start, stop):
        parts.append(f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{first}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(_text(x(tick), bottom + 16, f"{tick:.6g}", 'text-anchor="middle"'))
    y = first + _GAP
    for name, group in panel.groups.items():
        middle = y + _ROW * (len(own) - 1) / 2 + 4
        parts.append(_text(left - 10, middle, name, 'text-anchor="end"'))
        for index in own:
            estimate = group.get(series[index])
            if estimate is not None and math.isfinite(estimate.value):
                parts += _estimate(estimate, x, y, index)
            y += _ROW
        y += _GAP
    return parts, bottom + _TICKS


def _estimate(estimate: Estimate, x: Callable[[float], float], y: float, index: int) -> list[str]:
    parts = []
    if math.isfinite(estimate.low):
        low, high = x(estimate.low), x(estimate.high)
        parts.append(
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{_COLOURS[index % len(_COLOURS)]}"'
            ' stroke-width="2"/>'
        )
    return [*parts, _dot(x(estimate.value), y, index)]


def _dot(x: float, y: float, index: int) -> str:
    colour = _COLOURS[index % len(_COLOURS)]
    fill = "white" if index // len(_COLOURS) % 2 else colour
    return f'<circle cx="{x:.1f}" cy="{y}" r="4.5" fill="{fill}" stroke="{colour}" stroke-width="2"/>'


def _text(x: float, y: float, words: str, how: str = "") -> str:
    """Return a line of text; of a long name the middle is left out, and a viewer shows the whole when pointed at."""
    whole = f"<title>{html.escape(words)}</title>" if _short(words) != words else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" {how}>{html.escape(_short(words))}{whole}</text>'


def _short(name: str) -> str:
    name = "".join(letter if letter.isprintable() else " " for letter in name)
    half = _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[:half]}…{name[1 - half :]}"


def _ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers from low to high."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= raw)
    return [round(number * step, 12) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
