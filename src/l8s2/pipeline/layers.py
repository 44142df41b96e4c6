"""What lies on the grid of a product, window by window: the pixels of one scene, native or warped."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from l8s2 import grid
from l8s2.arrays import Float, enlarge
from l8s2.landsat.scene import Scene
from l8s2.pipeline.tiles import predict_window
from l8s2.predictors.protocol import Predictor
from l8s2.product.warp import Warped
from l8s2.radiometry import SigmaKind
from l8s2.sensors import RGB
from l8s2.target import Target

Window = tuple[slice, slice]
"""Rows and columns."""


class Part(NamedTuple):
    """A window of a product."""

    before: Float
    """(3, h, w) true colours of the input, reflectance; NaN = nodata."""
    mean: Float
    """(6, h, w) reflectance, NaN = nodata."""
    sigma: Float
    """(6, h, w) its standard error; NaN = nodata, and everywhere from a model without."""
    qa: NDArray[np.uint16]
    """(h, w) bits of ``masks.QA_BITS``."""


class Layer(Protocol):
    """Gives the windows of a product, in any order and to several threads."""

    def part(self, rows: slice, columns: slice) -> Part | None:
        """Make a window of the product; None where it is nothing but fill."""

    def before(self, rows: slice, columns: slice) -> Float | None:
        """Return no more than the true colours of the input; None where all is fill."""


class SceneLayer:
    """A scene on a target that is on its own lattice."""

    def __init__(self, scene: Scene, predictor: Predictor, target: Target, sigma: SigmaKind) -> None:
        self._scene, self._predictor, self._target, self._sigma = scene, predictor, target, sigma

    def part(self, rows: slice, columns: slice) -> Part | None:
        """See Layer."""
        covering = self._covering(rows, columns)
        if not self._touches(covering):
            return None
        tile = predict_window(self._scene, self._predictor, *covering, sigma=self._sigma)
        if np.isnan(tile.ms).all():
            return None
        at = self._inside(rows, columns)
        return Part(enlarge(tile.ms[RGB])[:, *at], tile.mean[:, *at], tile.sigma[:, *at], tile.qa[at])

    def before(self, rows: slice, columns: slice) -> Float | None:
        """See Layer."""
        covering = self._covering(rows, columns)
        if not self._touches(covering):
            return None
        return enlarge(self._scene.read(*covering).ms[RGB])[:, *self._inside(rows, columns)]

    def _covering(self, rows: slice, columns: slice) -> Window:
        """Return the MS pixels of the scene that own a window of the target."""
        down, right = self._target.origin
        return _owners(rows, down), _owners(columns, right)

    def _touches(self, covering: Window) -> bool:
        needed = self._target.rows, self._target.columns
        return all(a.start < b.stop and b.start < a.stop for a, b in zip(covering, needed, strict=True))

    def _inside(self, rows: slice, columns: slice) -> Window:
        """Return where a window lies in the 10 m pixels of the MS pixels that cover it."""
        found = [
            slice(s.start + first - grid.BLOCK * ms.start, s.stop + first - grid.BLOCK * ms.start)
            for s, first, ms in zip((rows, columns), self._target.origin, self._covering(rows, columns), strict=True)
        ]
        return found[0], found[1]


class WarpedLayer:
    """A scene that was predicted on its own lattice, and warped."""

    def __init__(self, warped: Warped) -> None:
        self._warped = warped

    def part(self, rows: slice, columns: slice) -> Part | None:
        """See Layer."""
        before, mean, sigma, qa = self._warped.read(rows, columns)
        if np.isnan(mean).all() and np.isnan(before).all():
            return None
        return Part(before, mean, np.full_like(mean, np.nan) if sigma is None else sigma, qa)

    def before(self, rows: slice, columns: slice) -> Float:
        """See Layer."""
        return self._warped.read(rows, columns)[0]


def _owners(window: slice, first: int) -> slice:
    return slice((window.start + first) // grid.BLOCK, -(-(window.stop + first) // grid.BLOCK))
