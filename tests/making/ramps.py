"""Images whose pixels hold their own coordinates, and a predictor that interpolates them without an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from scipy.ndimage import map_coordinates

from l8s2 import grid
from making.scenes import Copying, centres

_METRE = 20.0
"""Digital numbers to a metre."""
_FIRST = 12_000.0
"""Digital number at the upper left corner of the frame; reflectance 0.13."""


def ramp(box: GeoBox, frame: GeoBox, axis: int, at: tuple[Any, Any] | None = None) -> NDArray[np.float64]:
    """Digital numbers that are linear in x (``axis`` 0) or y (1) from the corner of ``frame``, at most 2 km.

    ``at``: x and y of the pixels of ``box`` in the projection of ``frame``, where that is another.
    """
    at = centres(box) if at is None else at
    corner = (frame.affine.c, frame.affine.f)[axis]
    return np.rint(_FIRST + _METRE * (1 - 2 * axis) * (at[axis] - corner))


def decoded(values: Any, frame: GeoBox, axis: int, *, reflectance: bool = False) -> Any:
    """The coordinate in digital numbers, or in surface reflectance."""
    numbers = (values + 0.2) / 2.75e-5 if reflectance else values
    return (frame.affine.c, frame.affine.f)[axis] + (1 - 2 * axis) * (numbers - _FIRST) / _METRE


def write_band(path: Path, values: NDArray[Any], box: GeoBox) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", height=box.shape[0], width=box.shape[1], count=1, dtype="uint16", nodata=0,
        crs=str(box.crs), transform=box.affine,
    ) as file:  # fmt: skip
        file.write(values.astype(np.uint16), 1)


def ramp_scene(folder: Path, box: GeoBox, product_id: str) -> Path:
    """A product whose bands hold their own x and y in turn, with clear QA_PIXEL."""
    for n in range(2, 8):
        write_band(folder / product_id / f"{product_id}_SR_B{n}.TIF", ramp(box, box, n % 2), box)
    write_band(folder / product_id / f"{product_id}_QA_PIXEL.TIF", np.full(box.shape, 21824), box)
    return folder / product_id


def check_ramps(folder: Path, scene: GeoBox) -> tuple[GeoBox, dict[str, Any]]:
    """Check that every pixel of a product holds the coordinates of its centre to 0.02 of a pixel.

    Two MS pixels from the rim of ``scene``, where kernels are cut. Returns the grid and the properties of the Item.
    """
    with rasterio.open(next(folder.glob("*_SR.tif"))) as file:
        box = GeoBox(file.shape, file.transform, str(file.crs))
        values = np.where(file.read() == file.nodata, np.nan, file.read() * 1e-4)
    x, y = Transformer.from_crs(str(box.crs), str(scene.crs), always_xy=True).transform(*centres(box))
    column, row = ~scene.affine * (x, y)
    inner = (column > 2) & (row > 2) & (column < scene.shape[1] - 2) & (row < scene.shape[0] - 2)
    assert inner.sum() > min(inner.size, 9 * (scene.shape[0] - 4) * (scene.shape[1] - 4)) / 2
    for axis, expected in ((0, x), (1, y)):
        for band in values[axis::2]:
            found = decoded(band, scene, axis, reflectance=True)
            np.testing.assert_allclose(found[inner], expected[inner], atol=0.2)
    return box, json.loads(next(folder.glob("*.json")).read_text())["properties"]


class Ramps(Copying):
    """Gives every 10 m pixel what lies on the plane through its neighbours: exact on ramps."""

    def predict_window(self, ms: Any, pan: Any, origin: Any, *, sun_elevation: Any = None) -> tuple[Any, Any, Any]:
        _, sigma, with_pan = super().predict_window(ms, pan, origin)
        rows, columns = (grid.output_centres_at_30m(3 * (n - 4)) + 2 for n in ms.shape[1:])
        at = np.meshgrid(rows, columns, indexing="ij")
        filled = [np.where(np.isnan(b), 0, b) for b in ms]
        mean = np.stack([map_coordinates(band, at, order=1) for band in filled]).astype(np.float32)
        mean[np.isnan(sigma)] = np.nan
        return mean, sigma, with_pan
