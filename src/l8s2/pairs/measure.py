"""Measure one pair of opened scenes, and cut it into patches.

What is measured is recorded and never applied to the pixels. A pair is measured in up to 144 windows of 1.9 km, without
pixels within 150 m of clouds. A whole Landsat scene with a whole tile takes 1.9 GB of memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from odc.geo.geobox import GeoBox

from l8s2 import grid, masks
from l8s2.arrays import Float, Mask, enlarge, grow
from l8s2.catalogs.footprints import PlaneGeometry, bbox_of, common, on_plane
from l8s2.catalogs.items import S2_SCALE
from l8s2.catalogs.pairing import Pair
from l8s2.errors import InputError
from l8s2.landsat.band import DigitalNumbers
from l8s2.landsat.scene import Scene
from l8s2.landsat.storable import why_not_storable
from l8s2.metrics.scores import correlation, psnr
from l8s2.metrics.similarity import ssim
from l8s2.pairs import offset
from l8s2.pairs.as_oli import BandImage, as_landsat
from l8s2.pairs.clear_share import CLOUD_MARGIN, clear_share, seen
from l8s2.pairs.coregistration import Coregistration, decide, measure_window, windows
from l8s2.pairs.regression import BandFit, fit_bands
from l8s2.pairs.sentinel2 import COARSE_GSD, Sentinel2Scene, Sentinel2Window
from l8s2.patches.patch import Facts, Patch, cells, outline
from l8s2.radiometry import reflectance
from l8s2.sensors import BAND_NAMES, MS_GSD, N_BANDS, NATIVE_20M
from l8s2.target import Area, choose_target

MARGIN = 20
"""20 m pixels of Sentinel-2 around what is looked at: as far as interpolation reaches, moved by the largest shift."""
AROUND = 128
"""MS pixels beyond the patches that are measured too, so that a single patch has windows enough."""
LEAST = 0.5
"""Share of a patch that either sensor must know at least."""
_INFRARED, _ALIKE, _INTERCEPT = range(N_BANDS)[NATIVE_20M], 0.75, 0.05
"""Bands with little haze; correlation from which they show an offset; reflectance beyond haze and changed ground."""
_ROW_BLOCK, _SAMPLE = 252, 4_000_000
"""MS rows read at a time; 20 m pixels among which dark objects are looked for."""
_Window = tuple[slice, slice]


class Rejected(Exception):
    """A pair that cannot be used, and why. It is recorded, since trying again would not help."""


class View(NamedTuple):
    """A window of both as reflectance, NaN where something is not clear."""

    box: GeoBox
    ms: Float
    """(6, h, w)."""
    sentinel2: list[BandImage]
    """Six bands, DN / 10000."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What is known of the pair as a whole."""

    found: Coregistration
    offset: float
    offset_why: str
    lines: tuple[BandFit, ...]


def patches_of(
    pair: Pair, scene: Scene, sentinel2: Sentinel2Scene, area: PlaneGeometry, side: int, record: dict[str, Any]
) -> Iterator[Patch]:
    """Cut the patches of a pair that touch ``area`` and of which each sensor has data in at least half, row by row.

    Args:
        pair: the pair as the catalogues describe it.
        scene: its Landsat scene.
        sentinel2: its Sentinel-2 scene.
        area: the area to cut.
        side: MS pixels to a side of a patch, even.
        record: gets the facts of the pair, plain values.

    Raises:
        Rejected: The pair cannot be used; raised before the first patch.
        InputError: A file cannot be read.
    """
    zone = grid.landsat_convention(scene.geobox).crs
    if zone != sentinel2.crs:
        raise Rejected(f"Landsat is in {zone}, Sentinel-2 in {sentinel2.crs}; patches need both in one UTM zone")
    reason = why_not_storable(scene)
    if reason:
        raise Rejected(reason)
    cuts = patch_windows(scene.geobox, area, side)
    if not cuts:
        raise Rejected(f"no whole patch of {side} MS pixels in what both scenes and the searched area have in common")
    rows, columns = (slice(min(s.start for s in way), max(s.stop for s in way)) for way in zip(*cuts, strict=True))
    measured = measure(scene, sentinel2, rows, columns, record)
    facts = _facts(pair, scene, measured)
    record |= {"decision": measured.found.decision, "reason": measured.found.reason}
    record |= {"cells": len(cuts), "without_data": 0}
    for rows, row in groupby(cuts, key=lambda cut: cut[0]):
        starts = [columns.start for _, columns in row]
        columns = slice(min(starts), max(starts) + side)
        landsat = scene.read_digital_numbers(rows, columns)
        row_block = sentinel2.read(scene.geobox[rows, columns], MARGIN)
        for start in starts:
            part = slice(start - columns.start, start - columns.start + side)
            patch = _patch(scene.geobox[rows, columns][:, part], landsat.part(part), row_block, facts, measured)
            if patch is None:
                record["without_data"] += 1
            else:
                yield patch


def patch_windows(ms: GeoBox, area: PlaneGeometry, side: int) -> list[_Window]:
    """Rows and columns of the patches in an MS grid that touch ``area``, which is as ``Footprint.plane``."""
    try:
        target = choose_target(ms, Area(bbox=bbox_of(area)))
    except InputError:  # it lies elsewhere
        return []
    (top, bottom), (left, right) = (
        (max(s.start - side, 0), min(s.stop + side, n))
        for s, n in zip((target.rows, target.columns), ms.shape, strict=True)
    )
    found = []
    for rows, columns in cells(ms[top:bottom, left:right], side):
        cut = slice(rows.start + top, rows.stop + top), slice(columns.start + left, columns.stop + left)
        ring = outline(ms[cut]).tolist()
        if not common(area, on_plane({"type": "Polygon", "coordinates": [ring]})).is_empty:
            found.append(cut)
    return found


def measure(scene: Scene, sentinel2: Sentinel2Scene, rows: slice, columns: slice, record: dict[str, Any]) -> Measured:
    """Clear shares of a part of the scene; co-registration, offset and regression there and around. Raises Rejected."""
    box = scene.geobox[rows, columns]
    clear = clear_share(scene.read_qa_pixel(rows, columns), box, *sentinel2.classification(box))
    record |= {"clear_landsat": clear.landsat, "clear_sentinel2": clear.sentinel2, "clear_both": clear.both}
    rows, columns = (
        slice(max(s.start - AROUND, 0), min(s.stop + AROUND, n))
        for s, n in zip((rows, columns), scene.shape, strict=True)
    )
    box = scene.geobox[rows, columns]
    views = [
        _view(scene, sentinel2, *(
            slice(w.start + s.start, w.stop + s.start) for w, s in zip(at, (rows, columns), strict=True)
        ))
        for at in windows(box)
    ]  # fmt: skip
    found = decide([measure_window(view.ms, view.box, view.sentinel2) for view in views])
    record |= {"windows": found.windows, "tried": found.tried, "model": found.model}
    record |= {"down_m": found.down, "right_m": found.right, "error_m": found.error, "ce90_m": found.ce90}
    if found.decision == "reject":
        raise Rejected(found.reason)
    looks = [
        as_landsat(view.sentinel2, view.box, down=down, right=right)
        for view in views
        for down, right in [applied(found, view.box)]
    ]
    ours, theirs = np.concatenate([view.ms for view in views], axis=1), np.concatenate(looks, axis=1)
    try:
        evidence = [offset.from_dark_objects(dark_sample(sentinel2, box)), offset.from_landsat(theirs, ours)]
        settled = offset.settle(offset.claimed(sentinel2.item), evidence)
    except InputError as error:
        raise Rejected(str(error)) from None
    assert settled.offset is not None
    lines = fit_bands(theirs + np.float32(settled.offset), ours)
    if reason := _doubt(lines, settled.offset):
        raise Rejected(reason)
    record |= {"offset": settled.offset, "offset_why": settled.why}
    record |= {name: [getattr(line, name) for line in lines] for name in ("slope", "intercept", "r", "rmse")}
    return Measured(found=found, offset=settled.offset, offset_why=settled.why, lines=lines)


def _doubt(lines: tuple[BandFit, ...], offset: float) -> str | None:
    """Why an offset of Sentinel-2 cannot be: bands that agree well but for as much as half of it.

    Gains, of sun and view, move what is bright; only offsets move what is dark.
    """
    odd = [
        f"{lines[band].intercept:+.3f} in {BAND_NAMES[band]}"
        for band in _INFRARED
        if lines[band].r >= _ALIKE and abs(lines[band].intercept) > _INTERCEPT
    ]
    if len(odd) < 2:
        return None
    return (
        f"with Sentinel-2's offset {offset:+g} the line to Landsat misses the origin by {', '.join(odd)};"
        " the offset is in doubt"
    )


def applied(found: Coregistration, box: GeoBox) -> tuple[float, float]:
    """Metres down and right that Sentinel-2 is to be moved by at the middle of a grid."""
    return found.at(box) if found.decision == "correct" else (0.0, 0.0)


def dark_sample(sentinel2: Sentinel2Scene, box: GeoBox) -> Float:
    """(6, h, w) digital numbers of evenly spread 20 m pixels, the 10 m bands averaged; 0 is fill."""
    step = math.ceil(math.sqrt(box.shape[0] * box.shape[1] * (MS_GSD / COARSE_GSD) ** 2 / _SAMPLE))
    row_blocks = []
    for top in range(0, box.shape[0], _ROW_BLOCK):
        window = sentinel2.read(box[top : top + _ROW_BLOCK, :])
        quarters = [window.fine[:, i :: 2 * step, j :: 2 * step] for i in (0, 1) for j in (0, 1)]
        fine = np.mean(quarters, axis=0, dtype=np.float32) * np.all(quarters, axis=0)
        row_blocks.append(np.concatenate([fine, window.coarse[:, ::step, ::step].astype(np.float32)]))
    return np.concatenate(row_blocks, axis=1)


def _view(scene: Scene, sentinel2: Sentinel2Scene, rows: slice, columns: slice) -> View:
    landsat, box = scene.read_digital_numbers(rows, columns), scene.geobox[rows, columns]
    ms = reflectance(landsat.ms, scene.bands[0].scaling.mult, scene.bands[0].scaling.add)
    reach = round(CLOUD_MARGIN / MS_GSD)  # of clouds beyond the window
    bits = masks.from_qa_pixel(scene.read_qa_pixel(grow(rows, reach), grow(columns, reach)))
    ms[:, ~seen(bits, MS_GSD)[1][reach:-reach, reach:-reach]] = np.nan
    window = sentinel2.read(box, MARGIN)
    return View(box, ms, window.rasters(seen(window.bits, COARSE_GSD)[1]))


def _facts(pair: Pair, scene: Scene, measured: Measured) -> Facts:
    """Of the pair; those of each patch are still missing."""
    landsat, sentinel2 = pair.landsat, pair.sentinel2
    pan: dict[str, Any] = {}
    if scene.pan is not None:
        scaling = scene.pan.scaling
        sine = math.sin(math.radians(scaling.sun_elevation or 90))
        pan = {"pan_id": scene.pan_id or "", "pan_scale": scaling.mult / sine, "pan_offset": scaling.add / sine}
    angles: dict[str, Any] = {
        f"{name}_{angle}": float("nan") if value is None else value
        for name, item in (("landsat", landsat), ("sentinel2", sentinel2))
        for angle in ("sun_elevation", "sun_azimuth", "view_zenith", "view_azimuth")
        for value in [getattr(item, angle)]
    }
    lines: dict[str, Any] = {
        name: tuple(round(getattr(line, name), 6) for line in measured.lines) for name in ("slope", "intercept")
    }
    return Facts(
        landsat_id=scene.product_id, sentinel2_id=sentinel2.product,
        landsat_time=landsat.acquired.isoformat(), sentinel2_time=sentinel2.acquired.isoformat(),
        location=sentinel2.location, path_row=landsat.location,
        ms_scale=scene.bands[0].scaling.mult, ms_offset=scene.bands[0].scaling.add,
        s2_scale=S2_SCALE, s2_offset=measured.offset, offset_decision=measured.offset_why,
        ce90_m=round(measured.found.ce90, 3), **lines, **pan, **angles,
    )  # fmt: skip


def _patch(
    box: GeoBox, landsat: DigitalNumbers, row_block: Sentinel2Window, facts: Facts, measured: Measured
) -> Patch | None:
    """None where a sensor knows too little."""
    window = row_block.part(box)
    known, fine, coarse = (np.asarray((dn > 0).all(axis=0)) for dn in (landsat.ms, window.fine, window.coarse))
    s2_known = fine & enlarge(coarse, 2)
    if min(known.mean(), s2_known.mean()) < LEAST:
        return None
    defective = masks.flag("saturated")  # in Sentinel-2's classes: saturated or defective
    seen_by = [masks.usable(bits) & ((bits & defective) == 0) for bits in (landsat.bits, window.bits)]
    usable, s2_usable = known & seen_by[0], s2_known & enlarge(seen_by[1], 2)
    down, right = measured.found.at(box)
    return Patch(
        ms=landsat.ms, pan=landsat.pan, s2_10m=window.fine, s2_20m=window.coarse,
        landsat_usable=usable, s2_usable=s2_usable, box=box,
        facts=replace(
            facts,
            decision=measured.found.decision, shift_down_m=round(down, 3), shift_right_m=round(right, 3),
            landsat_cloud=_hidden(known, usable), sentinel2_cloud=_hidden(s2_known, s2_usable),
            **_likeness(box, landsat, usable, row_block, facts, measured),
        ),
    )  # fmt: skip


def _hidden(known: Mask, usable: Mask) -> float:
    return round(float(1 - usable.sum() / known.sum()), 4)


def _likeness(
    box: GeoBox, landsat: DigitalNumbers, usable: Mask, row_block: Sentinel2Window, facts: Facts, measured: Measured
) -> dict[str, Any]:
    """Compute SSIM, PSNR and r at 30 m of Landsat and Sentinel-2 as OLI would see it, shifted, on the pair's lines."""
    around = row_block.part(box, MARGIN)
    down, right = applied(measured.found, box)
    theirs = as_landsat(around.rasters(masks.usable(around.bits)), box, down=down, right=right)
    for band, slope, intercept in zip(theirs, facts.slope, facts.intercept, strict=True):
        band += np.float32(facts.s2_offset)
        if np.isfinite([slope, intercept]).all():
            band *= np.float32(slope)
            band += np.float32(intercept)
    ours = reflectance(landsat.ms, facts.ms_scale, facts.ms_offset)
    return {
        "ssim": round(ssim(theirs, ours, usable).value, 4),
        "psnr": round(psnr(theirs, ours, usable).value, 2),
        "r": round(correlation(theirs, ours, usable).value, 4),
    }
