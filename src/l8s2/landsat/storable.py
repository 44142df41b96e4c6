"""Whether the pixels of a scene can be stored as they are, for training sets."""

from __future__ import annotations

from l8s2.landsat.scene import Scene


def why_not_storable(scene: Scene) -> str | None:
    """Return why pixels cannot be stored: resampled, no digital numbers, clouds or scale unknown. None: they can."""
    bands = scene.bands if scene.pan is None else [*scene.bands, scene.pan]
    if scene.qa_pixel is None:
        return f"{scene.product_id}: no QA_PIXEL, so clouds are not known"
    if not all(band.raster.is_native for band in bands):
        return f"{scene.product_id}: not on the native Landsat lattice; patches hold native pixels only"
    if not all(band.is_dn for band in bands) or len({band.scaling for band in scene.bands}) > 1:
        return f"{scene.product_id}: not digital numbers of one scale; patches hold those of USGS only"
    if scene.pan is not None and scene.pan.scaling.sun_elevation is None:
        return f"{scene.pan_id}: no MTL tells the sun's elevation, so the scale of pan is not known"
    return None
