"""Numbers with intervals, drawn as SVG without any other program."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from l8s2.studies.bootstrap import Estimate

_COLOURS = ("#777777", "#c2571a", "#1668a8", "#3a8a3a", "#8a3a8a")
_LEFT, _RIGHT, _TOP, _HEIGHT, _STEP = 60, 20, 34, 220, 26


class Panel(NamedTuple):
    """One set of axes."""

    title: str
    groups: Mapping[str, Mapping[str, Estimate]]
    """What stands side by side -> series -> number."""


def chart(panels: Sequence[Panel], *, title: str) -> str:
    """Draw panels below each other: a dot for each number, a line for its interval, a colour for each series."""
    series = list(dict.fromkeys(name for panel in panels for group in panel.groups.values() for name in group))
    widths = [_LEFT + _RIGHT + sum(_STEP * (len(series) + 1) for _ in panel.groups) for panel in panels]
    width = max([*widths, 90 * len(series) + _LEFT, 420])
    parts, top = [], 40
    for index, name in enumerate(series):
        x = _LEFT + index * (width - _LEFT) / len(series)
        parts.append(f'<circle cx="{x:.0f}" cy="20" r="5" fill="{_COLOURS[index % len(_COLOURS)]}"/>')
        parts.append(f'<text x="{x + 10:.0f}" y="24">{html.escape(name)}</text>')
    for panel in panels:
        parts += _panel(panel, series, top, width)
        top += _TOP + _HEIGHT + 40
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" viewBox="0 0 {width} {top}" role="img"'
        f' font-family="sans-serif" font-size="12"><title>{html.escape(title)}</title>'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _panel(panel: Panel, series: Sequence[str], top: int, width: float) -> list[str]:
    ends = [v for group in panel.groups.values() for e in group.values() for v in e if math.isfinite(v)]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    pad = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    ticks = _ticks(low - pad, high + pad)
    bottom = top + _TOP + _HEIGHT

    def y(value: float) -> float:
        return bottom - _HEIGHT * (value - ticks[0]) / (ticks[-1] - ticks[0])

    parts = [f'<text x="{_LEFT}" y="{top + 20}" font-weight="bold">{html.escape(panel.title)}</text>']
    for tick in ticks:
        parts.append(
            f'<line x1="{_LEFT}" x2="{width - _RIGHT:.0f}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#ddd"/>'
        )
        parts.append(f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.6g}</text>')
    x: float = _LEFT + _STEP
    for name, group in panel.groups.items():
        middle = x + _STEP * (len(series) - 1) / 2
        parts.append(f'<text x="{middle:.0f}" y="{bottom + 18}" text-anchor="middle">{html.escape(name)}</text>')
        for index, one in enumerate(series):
            estimate = group.get(one)
            if estimate is not None and math.isfinite(estimate.value):
                parts += _dot(x, estimate, y, _COLOURS[index % len(_COLOURS)])
            x += _STEP
        x += _STEP
    return parts


def _dot(x: float, estimate: Estimate, y: object, colour: str) -> list[str]:
    assert callable(y)
    parts = []
    if math.isfinite(estimate.low):
        parts.append(
            f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{y(estimate.low):.1f}" y2="{y(estimate.high):.1f}" stroke="{colour}"'
            ' stroke-width="2"/>'
        )
    return [*parts, f'<circle cx="{x:.0f}" cy="{y(estimate.value):.1f}" r="5" fill="{colour}"/>']


def _ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers that span low to high."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= raw)
    first = math.floor(low / step)
    return [round((first + i) * step, 12) for i in range(math.ceil(high / step) - first + 1)]
