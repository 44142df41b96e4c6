"""What the rest of l8s2 asks of a model: native arrays in, mean and sigma on the 10 m block grid out."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Float, Mask, windows
from l8s2.errors import InputError
from l8s2.sensors import N_BANDS


class Predictor(Protocol):
    """A model as the rest of l8s2 sees it.

    A prediction leaves no trace in it that another could see: what varies from scene to scene is an argument.
    """

    name: str
    sha256: str
    uses_pan: bool
    """Whether pan makes a difference; False for a model of the bands alone."""
    margin: int
    """MS pixels of context that ``predict_window`` expects on every side."""
    streams: int
    """How many threads may predict at a time, each with the memory of its window; more wait."""

    @property
    def no_pan_model(self) -> Predictor | None:
        """The model that answers where pan is missing; None for a model that needs no pan, or has no such model."""
        ...

    @property
    def tile(self) -> int:
        """Side of the tiles that are best predicted at a time, MS pixels.

        What ``predict_window`` gives does not depend on it.
        """
        ...

    def out_of_domain(self, ms: Float) -> Mask:
        """Return (h, w) bool, True where ms (6, h, w), NaN where missing, is unlike all ground of the training."""
        ...

    def predict(self, ms: Float, pan: Float | None, *, sun_elevation: float | None = None) -> tuple[Float, Float]:
        """Return (mean, sigma), each (6, 3h, 3w), from ms (6, h, w) and pan (2h, 2w) or None.

        Reflectance; ms at 30 m, pan top-of-atmosphere at 15 m with pan[2r, 2c] centred on ms[:, r, c], the result
        on the Sentinel-2 lattice. NaN is missing: an MS band that is NaN stays NaN, a missing pan pixel is left
        to the no-pan model, and is missing in the result where there is none. Sigma is the standard error of the
        detail, to which ``radiometry.total_sigma`` adds that of the level; a model without uncertainty gives NaN.

        ``sun_elevation`` (degrees): the sun by whose sine pan was divided. Networks that were trained on pan without
        that division need it (the published ones do); for all others it makes no difference. Raises InputError where it
        is needed and missing, or not in (0, 90], and for arrays of a wrong shape or type.
        """
        ...

    def predict_window(
        self, ms: Float, pan: Float | None, origin: tuple[int, int], *, sun_elevation: float | None = None
    ) -> tuple[Float, Float, Mask]:
        """Predict, as ``predict`` does, a window read with ``margin`` MS pixels of context on every side.

        The context is NaN beyond the image. ``origin``: row and column in the image of ms[:, 0, 0], negative where the
        margin begins beyond it. Returns mean and sigma of the window without its margin, and (h, w) bool, True where
        pan was used. Every pixel is the same number in whatever window it is predicted.
        """
        ...

    def memory(self, pixels: int) -> int:
        """Return about how many bytes predicting a window of so many MS pixels, margin included, takes at the peak."""
        ...

    def release(self) -> None:
        """Free the memory of what the next prediction can load again."""
        ...


def predict_in_tiles(
    predictor: Predictor, ms: Float, pan: Float | None, sun_elevation: float | None
) -> tuple[Float, Float]:
    """Answer ``Predictor.predict`` by means of ``Predictor.predict_window``."""
    ms = _checked(ms, "ms", 3)
    if ms.shape[0] != N_BANDS:
        raise InputError(f"ms has shape {ms.shape}; it must be (6, h, w): blue, green, red, nir08, swir16, swir22")
    height, width = ms.shape[1:]
    m = predictor.margin
    if pan is not None:
        pan = _checked(pan, "pan", 2)
        if pan.shape != (2 * height, 2 * width):
            raise InputError(f"pan has shape {pan.shape}; for ms {ms.shape} it must be {(2 * height, 2 * width)}")
        pan = np.pad(pan, 2 * m, constant_values=np.nan)
    ms = np.pad(ms, ((0, 0), (m, m), (m, m)), constant_values=np.nan)
    mean = np.empty((N_BANDS, 3 * height, 3 * width), np.float32)
    sigma = np.empty_like(mean)
    for r, c in windows((height, width), predictor.tile):
        wide = slice(r.start, r.stop + 2 * m), slice(c.start, c.stop + 2 * m)
        fine = None if pan is None else pan[tuple(slice(2 * s.start, 2 * s.stop) for s in wide)]
        at = slice(3 * r.start, 3 * r.stop), slice(3 * c.start, 3 * c.stop)
        mean[:, *at], sigma[:, *at], _ = predictor.predict_window(
            ms[:, *wide], fine, (r.start - m, c.start - m), sun_elevation=sun_elevation
        )
    return mean, sigma


def _checked(values: NDArray[Any], name: str, ndim: int) -> Float:
    values = np.asarray(values)
    if values.ndim != ndim or values.dtype.kind != "f":
        raise InputError(
            f"{name} is {values.dtype} of shape {values.shape}; it must be floating-point reflectance with {ndim} axes"
        )
    return values.astype(np.float32, copy=False)
