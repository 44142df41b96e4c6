"""Patches to look at: Landsat, Sentinel-2, their difference and what counts, as one PNG and one web page."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Float, enlarge
from l8s2.datasets.image_pair import ImagePair, Pairs
from l8s2.files import WholeFolder, fsync
from l8s2.sensors import RGB

PANELS = ("Landsat", "Sentinel-2", "difference", "masks")
DIFFERENCE = 0.1
"""Reflectance (RMS over bands) that is shown at the bright end."""
SHOWN = ("pair_type", "ssim", "psnr", "r", "decision", "shift_down_m", "shift_right_m", "ce90_m")
"""Columns that the PNG has room for."""
_SIDE = 252
"""Pixels to which smaller patches are enlarged, in whole steps; wide enough for the line above them."""
_GAP, _LINE = 4, 14
_GREY = 150
_SOME, _NONE = (230, 140, 30), (0, 0, 0)
_STYLE = (
    "body{font:14px sans-serif;margin:1em;max-width:1100px}figure{margin:0 0 2em}img{max-width:100%}"
    "td{padding:0 1em 0 0;vertical-align:top}details{color:#555}"
)

Picture = NDArray[np.uint8]


def write_sheet(
    pairs: Pairs,
    indices: Sequence[int],
    columns: Sequence[Mapping[str, str]],
    folder: Path,
    *,
    overwrite: bool = False,
) -> Path:
    """Write ``sheet.png`` and ``index.html``, which needs nothing beside it.

    Args:
        pairs: where the patches come from.
        indices: which of them, in this order.
        columns: of each of these, name -> text.
        folder: appears when it is whole.
        overwrite: replace a sheet that is there, once the new one is whole.

    Raises InputError where the folder exists, or a patch cannot be read.
    """
    from PIL import Image, ImageDraw

    with WholeFolder(folder, overwrite=overwrite, mark="sheet.png") as whole:
        figures, rows = [], []
        for index, texts in zip(indices, columns, strict=True):
            pair = pairs[index]
            picture = picture_row(pair)
            known = {name: text for name, text in texts.items() if text}
            rows.append((picture, f"{pair.id}  " + "  ".join(f"{n} {known[n]}" for n in SHOWN if n in known)))
            figures.append(_figure(pair.id, picture, known))
        size = max(p.shape[1] for p, _ in rows), sum(p.shape[0] + _LINE + _GAP for p, _ in rows)
        sheet = Image.new("RGB", size, "white")
        draw, top = ImageDraw.Draw(sheet), 0
        for picture, label in rows:
            draw.text((0, top), label, fill="black")
            sheet.paste(Image.fromarray(picture), (0, top + _LINE))
            top += picture.shape[0] + _LINE + _GAP
        sheet.save(whole.workspace / "sheet.png")
        page = (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Patches</title><style>{_STYLE}</style>'
            f"<h1>{len(rows)} patches</h1><p>From left to right: {', '.join(PANELS)}. Colours are red, green, blue. "
            f"The difference is the RMS over bands, black 0, yellow {DIFFERENCE:g} and more. In masks white counts in "
            f"every band, orange in some, black in none.</p>{''.join(figures)}</html>\n"
        )
        (whole.workspace / "index.html").write_text(page, encoding="utf-8")
        for path in whole.workspace.iterdir():
            fsync(path)
        return whole.publish()


def picture_row(pair: ImagePair) -> Picture:
    """Draw the four panels side by side, (height, width, 3)."""
    ms = pair.ms if pair.ms.shape == pair.truth.shape else enlarge(pair.ms)
    known = list(pair.bands_known)
    error = np.where(pair.valid, ms - pair.truth, np.nan)[known]
    counted = np.isfinite(error)
    with np.errstate(invalid="ignore", divide="ignore"):
        rms = np.sqrt((np.where(counted, error, 0) ** 2).sum(0) / counted.sum(0))
    low, high = _stretch(pair.truth[RGB])
    share = pair.valid[known].mean(0)[..., None]
    masks = np.where(share == 1, 255, np.where(share > 0, _SOME, _NONE)).astype(np.uint8)
    panels = [_colour(ms[RGB], low, high), _colour(pair.truth[RGB], low, high), _heat(rms), masks]
    factor = max(1, _SIDE // max(masks.shape[:2]))
    panels = [panel.repeat(factor, 0).repeat(factor, 1) for panel in panels]
    gap = np.full((panels[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.concatenate([part for panel in panels for part in (panel, gap)][:-1], axis=1)


def _stretch(image: Float) -> tuple[Float, Float]:
    """(3, 1, 1) reflectance that is shown black, and white."""
    known = image[:, np.isfinite(image).all(axis=0)]
    if not known.size:
        return np.zeros((3, 1, 1), np.float32), np.ones((3, 1, 1), np.float32)
    low, high = np.percentile(known, (1, 99), axis=1)[..., None, None].astype(np.float32)
    return low, np.maximum(high, low + np.float32(0.01))


def _colour(image: Float, low: Float, high: Float) -> Picture:
    """(3, h, w) reflectance, red first; grey where it is unknown."""
    light = 255 * np.clip((image - low) / (high - low), 0, 1) ** 0.8
    return np.where(np.isfinite(image).all(axis=0), light, _GREY).transpose(1, 2, 0).astype(np.uint8)


def _heat(values: Float) -> Picture:
    """(h, w) as black over red to yellow, grey where nothing counts."""
    at = np.clip(np.nan_to_num(values) / DIFFERENCE, 0, 1)[..., None] * np.array([2.0, 2.0, 1.0]) - np.array(
        [0, 1, 1.5]
    )
    return np.where(np.isfinite(values)[..., None], 255 * np.clip(at, 0, 1), _GREY).astype(np.uint8)


def _figure(name: str, picture: Picture, texts: Mapping[str, str]) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="JPEG", quality=90)
    uri = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    cells = "".join(f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>" for k, v in texts.items())
    short = ", ".join(f"{html.escape(k)} {html.escape(texts[k])}" for k in SHOWN if k in texts)
    table = f"<details><summary>{short or 'columns'}</summary><table>{cells}</table></details>" if cells else ""
    image = f'<img alt="{", ".join(PANELS)}" src="{uri}">'
    return f"<figure><figcaption><b>{html.escape(name)}</b></figcaption>{image}{table}</figure>"
