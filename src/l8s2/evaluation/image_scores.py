"""How good a model is on one image pair, simulated or real, against its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Float, Mask, dilate, enlarge, fill_missing
from l8s2.datasets.image_pair import ImagePair, fill_unknown_bands, on_lattice
from l8s2.evaluation.baselines import bicubic
from l8s2.metrics.scores import rmse
from l8s2.metrics.uncertainty import coverage, error_correlation
from l8s2.sensors import BANDS

BORDER = 18
"""10 m pixels at the border of an image, and around missing ones, that never count."""


class Model(Protocol):
    """What is asked of a model here; ``predictors.Predictor`` has it."""

    def predict(self, ms: Float, pan: Float | None, *, sun_elevation: float | None = None) -> tuple[Float, Float]:
        """See ``predictors.Predictor.predict``."""
        ...


@dataclass(frozen=True, kw_only=True)
class ImageScore:
    """Errors of one image; arrays are (6,), one value per band."""

    site: str
    bicubic_rmse: NDArray[np.float64]
    """Root mean square error of Keys bicubic of the Landsat bands (of a pair at 10 m: of its input), reflectance."""
    rmse: NDArray[np.float64]
    """Root mean square error of the model, reflectance."""
    coverage: NDArray[np.float64]
    """Share of pixels within +-1.645 sigma of the truth."""
    pearson: NDArray[np.float64]
    """Correlation of sigma with the absolute error."""
    pixels: int

    @property
    def gain(self) -> NDArray[np.float64]:
        """Decibels of PSNR over bicubic."""
        return 20 * np.log10(self.bicubic_rmse / self.rmse)


def for_scoring(pair: ImagePair, border: int = BORDER) -> ImagePair:
    """Return the pair as it is scored: on the lattice, with unknown bands filled, and nothing valid within the border.

    A pair at 10 m is scored as it is. Raises InputError where the position of its arrays is not known.

    Args:
        pair: as its source gives it.
        border: 10 m pixels at the border of the image, and around missing ones, that do not count.
    """
    if pair.at_10m:
        return pair
    pair = on_lattice(pair)
    ms = fill_unknown_bands(pair.ms)
    return replace(pair, ms=ms, valid=_without_border(pair.valid, ms, border), site=pair.site or "pairs")


def _without_border(valid: Mask, ms: Float, border: int) -> Mask:
    """Return ``valid`` (6, 3h, 3w) less what is nearer than ``border`` to the border or to NaN of ms (6, h, w)."""
    usable = np.zeros_like(valid)
    within = np.s_[:, border:-border, border:-border]
    usable[within] = valid[within]
    missing = np.asarray(np.isnan(ms).any(0))
    if missing.any():
        usable &= ~dilate(enlarge(missing), border)
    return usable


def interpolated(pair: ImagePair) -> Float:
    """Return what a model is compared with, at 10 m: Keys bicubic of ``ms``, or ``ms`` itself where it is at 10 m."""
    return pair.ms if pair.at_10m else bicubic(fill_missing(pair.ms))


def score_pair(predictor: Model, pair: ImagePair, sigma_factors: NDArray[np.float64] | None = None) -> ImageScore:
    """Predict and compare with the truth.

    Args:
        predictor: the model.
        pair: as its source gives it, see ``for_scoring``.
        sigma_factors: (6,) what sigma is multiplied with first, to assess a calibration that left this site out.
    """
    pair = for_scoring(pair)
    mean, sigma = predictor.predict(pair.ms, pair.pan, sun_elevation=pair.sun_elevation)
    scaled = sigma if sigma_factors is None else sigma * sigma_factors[:, None, None]
    coarse = interpolated(pair)
    rows = []
    for b in range(len(BANDS)):
        truth, ok = pair.truth[b], pair.valid[b] & np.isfinite(mean[b])
        rows.append(
            (
                rmse(coarse[b], truth, ok).value,
                rmse(mean[b], truth, ok).value,
                coverage(mean[b], scaled[b], truth, ok).value,
                error_correlation(mean[b], scaled[b], truth, ok).value,
            )
        )
    of_bicubic, of_model, covered, pearson = np.array(rows, dtype=np.float64).T
    return ImageScore(
        site=pair.site,
        bicubic_rmse=of_bicubic,
        rmse=of_model,
        coverage=covered,
        pearson=pearson,
        pixels=int(pair.valid.any(0).sum()),
    )


def mean_by_site(scores: Sequence[ImageScore]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return means over the images of each site, and ``mean`` over sites: gain, coverage, pearson, rmse, (6,) each."""
    sites = dict.fromkeys(s.site for s in scores)
    table = {
        site: {
            key: np.mean([getattr(s, key) for s in scores if s.site == site], axis=0)
            for key in ("gain", "coverage", "pearson", "rmse", "bicubic_rmse")
        }
        for site in sites
    }
    table["mean"] = {key: np.mean([row[key] for row in table.values()], axis=0) for key in next(iter(table.values()))}
    return table
