"""Scale sigma so that its intervals hold what they say, and say how well that carries over to new sites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from l8s2.datasets.image_pair import ImagePair
from l8s2.datasets.simulated_pairs import SimulatedPairs
from l8s2.evaluation.image_scores import ImageScore, Model, for_scoring, score_pair
from l8s2.metrics.uncertainty import Z_90
from l8s2.sensors import BANDS
from l8s2.simulate.archives import Image

_SAMPLES = 100_000

Ratios = dict[str, list[NDArray[np.float32]]]
"""Site to |error| / sigma of each of the six bands, the same number from every site."""


def error_ratios(predictor: Model, pairs: Iterable[ImagePair]) -> Ratios:
    """Return errors in units of sigma.

    Args:
        predictor: the model.
        pairs: as their source gives them; ``for_scoring`` says what counts.
    """
    found: dict[str, list[list[NDArray[np.float32]]]] = {}
    for pair in map(for_scoring, pairs):
        mean, sigma = predictor.predict(pair.ms, pair.pan, sun_elevation=pair.sun_elevation)
        bands = found.setdefault(pair.site, [[] for _ in BANDS])
        for b, band in enumerate(bands):
            ok = pair.valid[b] & np.isfinite(mean[b])
            band.append((np.abs(mean[b] - pair.truth[b]) / sigma[b])[ok])
    rng = np.random.default_rng(0)
    return {site: [_drawn(np.concatenate(parts), rng) for parts in bands] for site, bands in found.items()}


def _drawn(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the same number of every site, so that none counts more than another; none where nothing is known."""
    return rng.choice(values, _SAMPLES) if values.size else values


def factors(ratios: Ratios, *, without: str | None = None) -> NDArray[np.float64]:
    """Return (6,) factors of sigma with which +-1.645 sigma holds 90 % of the errors, site ``without`` left out."""
    kept = [bands for site, bands in ratios.items() if site != without]
    pooled = (np.concatenate(band) for band in zip(*kept, strict=True))
    return np.array([np.quantile(band, 0.9) for band in pooled]) / Z_90


def validation_scores(
    predictor: Model, images: Sequence[Image], ratios: Ratios, *, disturbed: bool = False, untidy: bool = False
) -> list[ImageScore]:
    """Score images under the conditions of validation; the sigma of a site is scaled without that site.

    Args:
        predictor: the model.
        images: to simulate pairs from.
        ratios: those that ``predictor`` was calibrated with.
        disturbed: see ``validation_conditions``.
        untidy: see ``validation_conditions``.
    """
    pairs = SimulatedPairs(images, disturbed=disturbed, untidy=untidy)
    return [
        score_pair(predictor, pairs[n], factors(ratios, without=image.site) / factors(ratios))
        for n, image in enumerate(images)
    ]
