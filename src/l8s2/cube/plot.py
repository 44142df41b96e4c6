"""The series of fields as a figure: a panel for each field and band, with both sensors in it."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l8s2.cube.statistics import INDICES
from l8s2.cube.table import Row
from l8s2.errors import InputError
from l8s2.files import check_free, whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLEAR = 0.9
"""Of a field; values of which less is clear are pale."""
PANELS = 60
"""Most that a figure has."""
_SENSORS = {"oli": ("Landsat, harmonised", "o", "#d55e00"), "msi": ("Sentinel-2", "s", "#0072b2")}
"""Name, marker and colour; the colours are of Okabe and Ito, which people blind to some colours tell apart."""
_CAPTION = (
    "Bars: ±1 standard error (k = 1) of a Landsat value, how far it may lie from what Sentinel-2 would have shown;"
    " Sentinel-2 comes without. Values are means of what is clear, pale ones where that is less than"
    f" {CLEAR:.0%} of the field. Lines join the others of each sensor."
)
_STYLE = {"svg.hashsalt": "l8s2", "svg.fonttype": "none", "text.parse_math": False, "font.size": 9, "timezone": "UTC"}


def check_plot(path: Path, fields: int, bands: int, *, overwrite: bool) -> None:
    """Raise InputError where a figure of so many fields and bands cannot be drawn into a file."""
    if path.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"{path}: is neither .png nor .svg; give `plot` a name that ends so")
    if fields * bands > PANELS:
        raise InputError(
            f"`plot`: {fields} fields with {bands} bands or indices each are {fields * bands} panels, more than"
            f" {PANELS}; give fewer fields, or one `index`"
        )
    if find_spec("matplotlib") is None:
        raise InputError("`plot` needs matplotlib; install it with: pip install 'l8s2[cube]'")
    check_free(path, overwrite=overwrite)


def save_plot(rows: Sequence[Row], path: Path, title: str) -> None:
    """Write the figure that ``draw`` makes as ``.png`` or ``.svg``, which appears when it is whole."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a letter that the font lacks is drawn as a box
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = draw(rows, title)
        with whole_file(path) as draft:
            kind = path.suffix.lower().removeprefix(".")
            figure.savefig(draft, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else None)


def draw(rows: Sequence[Row], title: str) -> Figure:
    """Draw the rows of a table over time: a panel for each id and band, in the order in which they occur.

    Panels of one band have the same axes. Lines join the clear values of one sensor.
    """
    from matplotlib.figure import Figure

    names, bands = (list(dict.fromkeys(row[key] for row in rows)) for key in ("id", "band"))
    n = len(names) * len(bands)
    columns = len(bands) if min(len(names), len(bands)) > 1 else 1 if n < 4 else 2 if n < 11 else 3
    width, height = (8.0, 2.8) if columns == 1 else (4.2, 2.3)
    deep = math.ceil(n / columns)
    figure = Figure((max(columns * width, 8), 1.2 + deep * height), layout="constrained")
    times, limits = _dates(rows), {band: _limits([row for row in rows if row["band"] == band]) for band in bands}
    for number, (name, band) in enumerate((name, band) for name in names for band in bands):
        axes = figure.add_subplot(deep, columns, number + 1)
        _panel(axes, [row for row in rows if (row["id"], row["band"]) == (name, band)])
        axes.set_title(_wrapped(name, 12 * width))
        axes.set(xlim=times, ylim=limits[band], ylabel=band.upper() if band in INDICES else f"{band} reflectance (1)")
        if number + columns >= n:
            axes.set_xlabel("date (UTC)")
    labelled = {k: v for axes in figure.axes for v, k in zip(*axes.get_legend_handles_labels(), strict=True)}
    labels = sorted(labelled)
    wide = figure.get_figwidth()
    figure.legend(
        [labelled[label] for label in labels], labels, title=_wrapped(title, 9 * wide), title_fontsize=12,
        loc="outside upper center", ncols=min(int(wide / 2.5), len(labels)), frameon=False,
    )  # fmt: skip
    beyond = sum(row["band"] in INDICES and abs(row["mean"]) > 1 for row in rows)
    said = f" Beyond ±1 and not shown: {beyond}, where reflectance is about zero." if beyond else ""
    figure.supxlabel(_wrapped(_CAPTION + said, 15 * wide), fontsize=8)
    return figure


def _panel(axes: Any, rows: Sequence[Row]) -> None:
    """Draw what both sensors saw of one field in one band into ``axes`` of matplotlib."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    for sensor, (label, marker, colour) in _SENSORS.items():
        seen = [row for row in rows if row["sensor"] == sensor and math.isfinite(row["mean"])]
        clear = [row for row in seen if row["clear_fraction"] >= CLEAR]
        axes.plot([_time(row) for row in clear], [row["mean"] for row in clear], color=colour, alpha=0.4, lw=0.8)
        unclear = [row for row in seen if row["clear_fraction"] < CLEAR]
        for some, alpha, how in ((clear, 1.0, ""), (unclear, 0.3, f", less than {CLEAR:.0%} clear")):
            if some:
                sigmas = [row["sigma"] for row in some]
                axes.errorbar(
                    [_time(row) for row in some], [row["mean"] for row in some],
                    None if all(map(math.isnan, sigmas)) else sigmas,
                    fmt=marker, ms=4.5, color=colour, alpha=alpha, capsize=2.5, elinewidth=1, label=label + how,
                )  # fmt: skip
    if hidden := [_time(row) for row in rows if not math.isfinite(row["mean"])]:
        axes.plot(hidden, [0.03] * len(hidden), "|", color="0.5", transform=axes.get_xaxis_transform(),
                  label="no clear pixel")  # fmt: skip
    ticks = AutoDateLocator(minticks=2, maxticks=6)
    axes.xaxis.set_major_locator(ticks)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(ticks))
    axes.grid(color="0.9")


def _time(row: Row) -> datetime:
    return datetime.fromisoformat(row["time"])


def _dates(rows: Sequence[Row]) -> tuple[datetime, datetime]:
    """Return the ends of the axis of time, a few days at least."""
    first, last = min(map(_time, rows)), max(map(_time, rows))
    margin = max((last - first) / 30, timedelta(days=2))
    return first - margin, last + margin


def _limits(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the ends of the axis of values, error bars inside; of an index they lie within -1 and 1."""
    seen = [(row["mean"], 0.0 if math.isnan(row["sigma"]) else row["sigma"]) for row in rows]
    ends = [end for mean, sigma in seen if math.isfinite(mean) for end in (mean - sigma, mean + sigma)] or [0.0, 1.0]
    if rows[0]["band"] in INDICES:
        ends = [min(max(end, -1.0), 1.0) for end in ends]
    margin = max(0.06 * (max(ends) - min(ends)), 0.02)
    return min(ends) - margin, max(ends) + margin


def _wrapped(text: str, letters: float) -> str:
    """Return text on lines of about so many letters, without what cannot be printed."""
    return textwrap.fill("".join(letter if letter.isprintable() else " " for letter in text), int(letters))
