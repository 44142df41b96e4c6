"""What a product holds, what it lacks, and how well its pan fits its MS bands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from l8s2 import grid, masks
from l8s2.registration import measure_shift
from l8s2.scene import Scene, open_scene
from l8s2.sensors import BANDS, MS_GSD, OUTPUT_GSD, PAN_BLUR, PAN_WEIGHTS
from l8s2.simulate.optics import resample
from l8s2.stac import footprint
from l8s2.tiling import windows
from l8s2.trust import PAN_SHIFT

_PATCH = 256
_PATCHES = 4
_BLOCK = 128
"""MS pixels to a side that are measured at a time, so that clouds nobody has flagged spoil few of them."""


def describe(path: str | Path, pan: str | Path | None = None) -> dict[str, Any]:
    """Everything ``l8s2 info`` shows, as plain values. Raises InputError as open_scene does."""
    with open_scene(path, pan) as scene:
        box = scene.geobox
        output = grid.output_geobox(box)
        metadata = scene.metadata
        return {
            "product": scene.product_id,
            "satellite": f"Landsat {scene.name.satellite}",
            "acquired": (metadata.acquired if metadata and metadata.acquired else scene.name.acquired).isoformat(),
            "path_row": f"{scene.name.path:03d}/{scene.name.row:03d}",
            "sun_elevation": scene.sun_elevation,
            "bands": {band.name: band.landsat for band in BANDS},
            "qa_pixel": scene.qa_pixel is not None,
            "qa_radsat": scene.qa_radsat is not None,
            "mtl": metadata is not None,
            "pan": scene.pan_id,
            "crs": f"EPSG:{box.crs.epsg}" if box.crs and box.crs.epsg else str(box.crs),
            "shape_30m": list(scene.shape),
            "bbox_wgs84": [round(v, 5) for v in footprint(box)[1]],
            "lattice_misfit_px": round(grid.lattice_misfit(box), 4),
            "output_crs": f"EPSG:{grid.epsg(output.crs)}",
            "output_shape_10m": list(output.shape),
            "output_upper_left": [output.affine.c, output.affine.f],
            "output_gsd": OUTPUT_GSD,
            "pan_shift": pan_shift(scene),
            "warnings": scene.warnings,
        }


def pan_shift(scene: Scene) -> dict[str, Any] | None:
    """Where the content of pan lies against the visible bands, metres (down, right), and what to think of it.

    Median over the cloud-free blocks of up to four windows; None without pan. ``verdict`` is ``good``, ``doubtful``, ``bad`` or
    ``unknown`` where there is nothing to compare.
    """
    if scene.pan is None:
        return None
    found = []
    for rows, columns in _windows(scene.shape):
        pixels = scene.read(rows, columns)
        if pixels.pan is None:
            continue
        cloudy = (pixels.qa & (masks.flag("cloud") | masks.flag("dilated_cloud") | masks.flag("cirrus"))) > 0
        bright = np.nan_to_num(pixels.ms[:3].max(0)) > 0.5
        visible = np.tensordot(np.array(PAN_WEIGHTS, np.float32), pixels.ms[:3], axes=1)
        known = np.isfinite(pixels.pan)
        if known.mean() < 0.2:
            continue
        filled = np.where(known, pixels.pan, np.nanmean(pixels.pan))
        rows_at, columns_at = (2.0 * np.arange(n) for n in visible.shape)
        coarse = resample(filled, rows_at, columns_at, PAN_BLUR)
        coarse[~known.reshape(visible.shape[0], 2, -1, 2).all(axis=(1, 3))] = np.nan
        clear = ~(cloudy | bright)
        shifts = [measure_shift(visible[at], coarse[at], clear[at]) for at in windows(visible.shape, _BLOCK)]
        found += [shift for shift in shifts if not shift.reason and shift.correlation > 0.5]
    if not found:
        return {"verdict": "unknown", "reason": "no clear, textured ground under pan"}
    down, right = (float(np.median([getattr(s, axis) for s in found])) * MS_GSD for axis in ("down", "right"))
    length = float(np.hypot(down, right))
    verdict = "good" if length <= PAN_SHIFT[0] else "doubtful" if length <= PAN_SHIFT[1] else "bad"
    return {
        "down_m": round(down, 2),
        "right_m": round(right, 2),
        "length_m": round(length, 2),
        "correlation": round(float(np.median([s.correlation for s in found])), 4),
        "windows": len(found),
        "verdict": verdict,
    }


def _windows(shape: tuple[int, int]) -> list[tuple[slice, slice]]:
    """A few windows spread along the diagonals of the scene; all of a small scene."""
    if max(shape) <= 2 * _PATCH:
        return [(slice(0, shape[0]), slice(0, shape[1]))]
    centres = ((0.35, 0.4), (0.4, 0.65), (0.65, 0.35), (0.6, 0.6))[:_PATCHES]
    result = []
    for centre in centres:
        window = []
        for n, c in zip(shape, centre, strict=True):
            first = max(0, min(n - _PATCH, int(c * n) - _PATCH // 2))
            window.append(slice(first, min(n, first + _PATCH)))
        result.append((window[0], window[1]))
    return result
