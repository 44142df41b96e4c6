"""The pictures of a report: the whole product, and a detail of it pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Array, Float
from l8s2.evaluation.pictures import data_uri, heat
from l8s2.product.preview import SEPARATOR, Preview
from l8s2.radiometry import decoded
from l8s2.report.finished import Finished
from l8s2.report.landsat_input import Before, joined
from l8s2.report.sample import Place
from l8s2.sensors import BAND_NAMES, N_BANDS, RGB

LONGEST = 600
"""Pixels along the longer side of a picture of the whole product."""
TRUE = list(range(N_BANDS))[RGB]
FALSE = [BAND_NAMES.index(name) for name in ("nir08", "red", "green")]
"""Bands shown as red, green and blue."""
_PERCENTILES, _GAMMA, _GREY = (1.0, 98.5), 1.4, 150

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture as a data URI."""

    caption: str
    uri: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class SigmaMap:
    """The standard error of the whole product."""

    picture: Shown
    scale: float
    """Reflectance at the bright end."""


def true_colour(product: Finished) -> list[Shown]:
    """Show the two halves of the preview; nothing where it is missing or damaged."""
    from PIL import Image

    path = product.paths.get("preview")
    if path is None:
        return []
    height, width = Preview(product.shape).shape
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.size not in ((width, height), (2 * width + SEPARATOR, height)):
                return []
            rgba = np.asarray(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError):
        return []
    rgb = np.where(rgba[:, :, 3:] > 0, rgba[:, :, :3], _GREY).astype(np.uint8)
    halves = [rgb[:, :width], rgb[:, -width:]] if rgb.shape[1] > width else [rgb]
    return [_whole(half, when, "true colour") for half, when in zip(halves, _WHEN[-len(halves) :], strict=True)]


def false_colour(product: Finished, before: Sequence[Before]) -> list[Shown]:
    """Show input, where there is one, and output in near infrared, red and green."""
    shape = overview_shape(product.shape)
    images = [decoded(product.reduced("surface_reflectance", FALSE, shape))]
    if before:
        target = product.geobox.zoom_to(shape)
        images.insert(0, joined([scene.means(FALSE, target) for scene in before]))
    pictures = _coloured(images)
    return [_whole(p, when, "false colour") for p, when in zip(pictures, _WHEN[-len(images) :], strict=True)]


def sigma_map(product: Finished) -> SigmaMap | None:
    """Show the root mean square over bands of the standard error; None where there is none."""
    if product.sigma_kind == "none":
        return None
    sigma = decoded(product.reduced("sigma", list(range(N_BANDS)), overview_shape(product.shape)))
    known = np.isfinite(sigma).all(0)
    if not known.any():
        return None
    rms = np.where(known, np.sqrt(np.mean(np.nan_to_num(sigma) ** 2, axis=0)), np.nan)
    scale = _round_up(float(np.percentile(rms[known], 99)))
    shown = Shown(
        caption="",
        uri=data_uri(heat(rms.astype(np.float32), scale)),
        alt="Map of the standard error: dark is small, yellow is large",
    )
    return SigmaMap(picture=shown, scale=scale)


def detail(product: Finished, before: Sequence[Before], place: Place) -> list[list[Shown]]:
    """Show a place pixel by pixel: a row of input, output and pan in true colour, one of false colour."""
    images = [decoded(product.read("surface_reflectance", *place))]
    read = [scene.read(*place) for scene in before]
    pans = [pixels.pan for _, pixels in read if pixels is not None and pixels.pan is not None]
    if read:
        images.insert(0, joined([under for under, _ in read]))
    rows = []
    for bands, what in ((TRUE, "true colour"), (FALSE, "false colour")):
        pictures = _coloured([image[bands] for image in images])
        rows.append([_pixels(p, f"{when}, {what}") for p, when in zip(pictures, _WHEN[-len(images) :], strict=True)])
    pan = joined(pans) if pans else np.full((1, 1), np.nan, np.float32)
    if np.isfinite(pan).any():
        low, high = np.nanpercentile(pan, _PERCENTILES)
        rows[0].append(_pixels(_light(np.stack([pan] * 3), low, high), "Pan, 15 m (input)"))
    return rows


_WHEN = ("Before: Landsat, 30 m", "After: l8s2, 10 m")


def overview_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of a picture of the whole product."""
    factor = max(1.0, max(shape) / LONGEST)
    return max(1, round(shape[0] / factor)), max(1, round(shape[1] / factor))


def _whole(picture: Picture, when: str, what: str) -> Shown:
    from PIL import Image

    rows, columns = overview_shape((picture.shape[0], picture.shape[1]))
    small = np.asarray(Image.fromarray(picture).resize((columns, rows), Image.Resampling.BOX))
    return Shown(caption=f"{when}, {what}", uri=data_uri(small), alt=f"The whole product. {when}, {what}")


def _pixels(picture: Picture, caption: str) -> Shown:
    return Shown(caption=caption, uri=data_uri(picture, lossless=True), alt=f"Detail at full resolution. {caption}")


def _coloured(images: list[Float]) -> list[Picture]:
    """Show images (3, h, w) of one ground with one stretch, which the last of them settles."""
    known = images[-1][:, np.isfinite(images[-1]).all(0)]
    if not known.size:
        return [_light(image, 0.0, 1.0) for image in images]
    low, high = np.percentile(known, _PERCENTILES, axis=1)[..., None, None]
    return [_light(image, low, high) for image in images]


def _light(image: Float, low: Array | float, high: Array | float) -> Picture:
    """(3, h, w) reflectance as a picture, grey where it is unknown."""
    light = 255 * np.clip((image - low) / np.maximum(high - low, 1e-4), 0, 1) ** (1 / _GAMMA)
    known = np.isfinite(image).all(0)
    return np.where(known, np.nan_to_num(light), _GREY).round().astype(np.uint8).transpose(1, 2, 0)


def _round_up(value: float) -> float:
    """Return the next number of one or two figures: 0.0183 -> 0.019."""
    step = 10.0 ** (math.floor(math.log10(max(value, 1e-4))) - 1)
    return round(math.ceil(value / step) * step, 6)
