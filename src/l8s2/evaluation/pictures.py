"""Pictures of the worst cases and curves of calibration, as text that fits into a web page."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Float, Mask, enlarge
from l8s2.evaluation.cases import Case
from l8s2.evaluation.evaluate import BASE, Output, Scored
from l8s2.evaluation.metric_table import GROUPS
from l8s2.evaluation.pair_scores import at_level
from l8s2.sensors import NATIVE_20M, RGB

WORST = 12
"""Images of which pictures are kept."""
SIDE = 180
"""10 m pixels to a side of what is shown of an image."""
_GAP = 4
_GAMMA = 0.8
HEAT_COLOURS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], dtype=np.float64)
"""Red, green, blue of ``heat`` from 0 to the brightest, in equal steps."""
_GREY = 150
_COMPOSITES = (RGB, NATIVE_20M)
"""Red, green, blue; nir08, swir16, swir22."""
_LINES = ("#1668a8", "#c2571a", "#3a8a3a", "#8a3a8a", "#777700", "#333333")

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class PictureRow:
    """One model on one image."""

    model: str
    headings: tuple[str, ...]
    """Of the columns, all equally wide."""
    scale: float
    """Reflectance at the bright end of error and sigma."""
    uri: str
    """The picture, true colour above and infrared below, as a data URI."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Pictures of one image."""

    name: str
    site: str
    badness: float
    window: tuple[int, int, int, int]
    """First and last row, first and last column that are shown."""
    model_rows: list[PictureRow]


class Gallery:
    """Keeps pictures of the images in which the first model does worst; hand it to ``evaluate`` as ``on_scored``."""

    def __init__(self, models: Sequence[str]) -> None:
        self.models = models
        self.shown: list[Shown] = []
        """Worst first."""

    def __call__(self, case: Case, made: Mapping[str, Output], usable: Mask, scored: Scored) -> None:
        """Draw the image if it is among the worst so far."""
        badness = badness_of(scored, self.models[0])
        if len(self.shown) == WORST and badness <= self.shown[-1].badness:
            return
        if case.shift is not None:
            made = {name: _at_level(made[name], case, usable) for name in (*self.models, BASE)}
        worst = _misfit(case, made[self.models[0]], usable)
        rows, columns = _worst_square(worst)
        window = (rows.start, rows.stop - 1, columns.start, columns.stop - 1)
        scale = max(float(np.nanpercentile(worst[rows, columns], 98)) if np.isfinite(worst).any() else 0.0, 1e-4)
        before = ("input, 30 m", enlarge(case.ms)) if case.shift is None else ("bicubic, 10 m", made[BASE].mean)
        model_rows = [
            _picture_row(case, name, made[name], before, usable, rows, columns, scale) for name in self.models
        ]
        self.shown.append(Shown(name=case.id, site=case.site, badness=badness, window=window, model_rows=model_rows))
        self.shown = sorted(self.shown, key=lambda s: -s.badness)[:WORST]


def badness_of(scored: Scored, model: str) -> float:
    """Rises with the trouble a model has: its gain over bicubic, negative, or its inconsistency at 30 m.

    Of fitted pairs it is RMSE over that of bicubic.
    """
    metrics = ("psnr_gain", "consistency") if scored.shift is None else ("rmse_ratio",)
    for record in scored.records:
        if record.model == model and record.bands == "all" and record.metric in metrics:
            value = -record.value if record.metric == "psnr_gain" else record.value
            return -np.inf if np.isnan(value) else value
    return -np.inf


def _at_level(output: Output, case: Case, usable: Mask) -> Output:
    """Return an output with the gain and offset per band that fit it to the truth; sigma as it is."""
    assert case.truth is not None
    bands = [at_level(*images) for images in zip(output.mean, case.truth, usable, strict=True)]
    return output._replace(mean=np.stack(bands).astype(np.float32))


def _misfit(case: Case, output: Output, usable: Mask) -> Float:
    """(H, W) RMS over bands of the error, or of sigma where there is no truth; NaN where nothing counts."""
    if case.truth is None:
        sigma = np.zeros_like(output.mean) if output.sigma is None else output.sigma
        return np.where(enlarge(usable), _rms(sigma), np.nan)
    return _rms(np.where(usable, output.mean - case.truth, np.nan))


def _rms(bands: Float) -> Float:
    """Over the bands that have a value; NaN where none has."""
    known = np.isfinite(bands)
    total = np.where(known, bands, 0) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(total.sum(axis=0) / known.sum(axis=0)), dtype=np.float32)


def _worst_square(worst: Float) -> tuple[slice, slice]:
    """Rows and columns of the square of SIDE, or of the whole image where it is smaller, with the largest sum."""
    height, width = (min(SIDE, n) for n in worst.shape)
    total = np.pad(np.nan_to_num(worst).astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    sums = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    row, column = (int(i) for i in np.unravel_index(np.argmax(sums), sums.shape))
    return slice(row, row + height), slice(column, column + width)


def _picture_row(
    case: Case,
    model: str,
    output: Output,
    compared: tuple[str, Float],
    usable: Mask,
    rows: slice,
    columns: slice,
    scale: float,
) -> PictureRow:
    """Draw what a model makes of an image beside ``compared``: the heading and (6, 3h, 3w) reflectance of another."""
    lines = []
    for bands in _COMPOSITES:
        before = compared[1][bands][:, rows, columns]
        after = output.mean[bands][:, rows, columns]
        reference = before if case.truth is None else case.truth[bands][:, rows, columns]
        low, high = _stretch(reference)
        panels = {compared[0]: _colour(before, low, high), "output, 10 m": _colour(after, low, high)}
        if case.truth is not None:
            error = np.where(usable[bands], output.mean[bands] - case.truth[bands], np.nan)[:, rows, columns]
            panels = {"truth, 10 m": _colour(reference, low, high), **panels, "|error|": heat(_rms(error), scale)}
        if output.sigma is not None:
            panels["sigma"] = heat(_rms(output.sigma[bands][:, rows, columns]), scale)
        gap = np.full((after.shape[1], _GAP, 3), 255, np.uint8)
        lines.append(np.concatenate([part for panel in panels.values() for part in (panel, gap)][:-1], axis=1))
    gap = np.full((_GAP, lines[0].shape[1], 3), 255, np.uint8)
    return PictureRow(
        model=model,
        headings=tuple(panels),
        scale=scale,
        uri=data_uri(np.concatenate([lines[0], gap, lines[1]])),
    )


def _stretch(image: Float) -> tuple[Any, Any]:
    """(3, 1, 1) reflectance that is shown black, and white."""
    known = image[:, np.isfinite(image).all(axis=0)]
    if not known.size:
        return np.zeros((3, 1, 1)), np.ones((3, 1, 1))
    low, high = np.percentile(known, (1, 99), axis=1)[..., None, None]
    return low, np.maximum(high, low + 0.01)


def _colour(image: Float, low: Any, high: Any) -> Picture:
    """(3, h, w) reflectance as a picture, grey where it is unknown."""
    light = 255 * np.clip((image - low) / (high - low), 0, 1) ** _GAMMA
    return np.where(np.isfinite(image).all(axis=0), light, _GREY).transpose(1, 2, 0).astype(np.uint8)


def heat(values: Float, scale: float) -> Picture:
    """(h, w) as black (0) over red to yellow (``scale`` and more), grey where nothing counts."""
    at = np.clip(np.nan_to_num(values) / scale, 0, 1)
    steps = np.linspace(0, 1, len(HEAT_COLOURS))
    heat = np.stack([np.interp(at, steps, channel) for channel in HEAT_COLOURS.T], axis=-1)
    return np.where(np.isfinite(values)[..., None], heat, _GREY).astype(np.uint8)


def data_uri(picture: Picture, *, lossless: bool = False) -> str:
    """Return a JPEG, or with ``lossless`` a PNG, as a data URI."""
    from PIL import Image

    file, kind = io.BytesIO(), "png" if lossless else "jpeg"
    Image.fromarray(picture).save(file, format=kind, quality=88, optimize=lossless)
    return f"data:image/{kind};base64," + base64.b64encode(file.getvalue()).decode("ascii")


def calibration_svg(curves: Mapping[str, Mapping[str, Iterable[tuple[float, float]]]]) -> str:
    """Model -> group -> (nominal, observed) shares, drawn against the diagonal; 10 m bands solid, 20 m bands dashed."""
    size, left, top = 300, 46, 12

    def at(x: float, y: float) -> str:
        return f"{left + size * x:.1f},{top + size * (1 - y):.1f}"

    parts = [f'<rect x="{left}" y="{top}" width="{size}" height="{size}" fill="none" stroke="#999"/>']
    parts.append(f'<polyline points="{at(0, 0)} {at(1, 1)}" stroke="#bbb" fill="none"/>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        x, y = left + size * share, top + size * (1 - share)
        parts.append(f'<text x="{x}" y="{top + size + 16}" text-anchor="middle">{share:g}</text>')
        parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{share:g}</text>')
    parts.append(f'<text x="{left + size / 2}" y="{top + size + 34}" text-anchor="middle">nominal share</text>')
    parts.append(f'<text x="14" y="{top + size / 2}" text-anchor="middle" transform="rotate(-90 14 {top + size / 2})">'
                 "share found</text>")  # fmt: skip
    y = top + 14
    for i, (model, groups) in enumerate(curves.items()):
        colour = _LINES[i % len(_LINES)]
        for group, points in groups.items():
            dash = "" if group == next(iter(GROUPS)) else ' stroke-dasharray="6 4"'
            path = " ".join(at(*point) for point in points)
            parts.append(f'<polyline points="{path}" stroke="{colour}" stroke-width="2" fill="none"{dash}/>')
            x = left + size + 12
            parts.append(f'<line x1="{x}" y1="{y}" x2="{x + 26}" y2="{y}" stroke="{colour}" stroke-width="2"{dash}/>')
            parts.append(f'<text x="{x + 32}" y="{y + 4}">{html.escape(model)}, {html.escape(group)} bands</text>')
            y += 18
    return f'<svg width="640" height="{size + 56}" viewBox="0 0 640 {size + 56}" role="img">{"".join(parts)}</svg>'
