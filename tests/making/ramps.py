"""Images whose pixels hold their own coordinates, and a predictor that interpolates them without an error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.ndimage import map_coordinates

from l8s2 import grid
from making.scenes import Copying, centres

_METRE = 20.0
"""Digital numbers to a metre."""
_FIRST = 12_000.0
"""Digital number at the upper left corner of the frame; reflectance 0.13."""


def ramp(
    box: GeoBox | None, frame: GeoBox, axis: int, at: tuple[Any, Any] | None = None
) -> NDArray[np.float64]:
    """Digital numbers that are linear in x (``axis`` 0) or y (1) from the corner of ``frame``, at most 2 km."""
    if at is None:
        assert box is not None
        at = centres(box)
    corner = (frame.affine.c, frame.affine.f)[axis]
    return np.rint(_FIRST + _METRE * (1 - 2 * axis) * (at[axis] - corner))


def decoded(values: Any, frame: GeoBox, axis: int, *, reflectance: bool = False) -> Any:
    """The coordinate in digital numbers, or in surface reflectance."""
    numbers = (values + 0.2) / 2.75e-5 if reflectance else values
    return (frame.affine.c, frame.affine.f)[axis] + (1 - 2 * axis) * (numbers - _FIRST) / _METRE


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
