"""The contents of a product, what is missing, and what its pixels tell of its sensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from l8s2 import grid
from l8s2.deliveries.declared import NOTHING, Declared
from l8s2.grid import footprint
from l8s2.landsat.measure_scene import measure_scene
from l8s2.landsat.pan_shift import to_move
from l8s2.landsat.scene import open_scene
from l8s2.sensors import BANDS, OUTPUT_GSD


def describe_product(path: str | Path, pan: str | Path | None = None, declared: Declared = NOTHING) -> dict[str, Any]:
    """Describe a product in plain values, as ``l8s2 info`` shows them. Raises InputError as open_scene does."""
    with open_scene(path, pan, declared) as scene:
        box = scene.geobox
        output = grid.output_geobox(box)
        metadata, measures = scene.metadata, measure_scene(scene)
        return {
            "product": scene.product_id,
            "satellite": f"Landsat {scene.name.satellite}",
            "acquired": (metadata.acquired if metadata and metadata.acquired else scene.name.acquired).isoformat(),
            "path_row": f"{scene.name.region} {scene.name.path:03d}/{scene.name.row:03d}".strip()
            if scene.name.location
            else None,
            "sun_elevation": scene.sun_elevation,
            "bands": {band.name: band.landsat for band in BANDS},
            "scale": scene.scale,
            "qa_pixel": scene.qa_pixel is not None,
            "qa_radsat": scene.qa_radsat is not None,
            "mtl": scene.has_mtl,
            "pan": scene.pan_id,
            "crs": grid.crs_name(box.crs),
            "shape_30m": list(scene.shape),
            "bbox_wgs84": [round(v, 5) for v in footprint(box)[1]],
            "lattice_misfit_px": round(grid.lattice_misfit(box), 4),
            "output_crs": grid.crs_name(output.crs),
            "output_shape_10m": list(output.shape),
            "output_upper_left": [output.affine.c, output.affine.f],
            "output_gsd": OUTPUT_GSD,
            "sentinel2_tiles": grid.mgrs_tiles(output),
            "align_pan": None if scene.pan is None else to_move(measures.pan_shift)[1],
            "pan_shift": measures.pan_shift,
            "sharpness": measures.sharpness,
            "noise": measures.noise,
            "warnings": scene.warnings,
        }
