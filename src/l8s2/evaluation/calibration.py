"""Scale sigma so that its intervals hold what they say, and say how well that carries over to new places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l8s2.evaluation.places import Observed, PlaceScore, score_image, simulate_place, validation_conditions
from l8s2.metrics.uncertainty import Z_90
from l8s2.sensors import BANDS
from l8s2.simulate import Conditions

_DRAWS = 3
_SAMPLES = 100_000

Ratios = dict[str, list[NDArray[np.float32]]]
"""Place to |error| / sigma of each of the six bands, as many of every place."""


def simulated(images: Sequence[Any], *, untidy: bool = False) -> Iterator[Observed]:
    """Each image three times under random conditions: noise, haze, optics, jitter, and ``untidy`` as ``Conditions.random``.

    ``images``: with ``place``, ``stack`` (6, H, W) and ``known_bands``, as training.imagery.Image.
    """
    for i, image in enumerate(images):
        for draw in range(_DRAWS):
            conditions = Conditions.random(np.random.default_rng((i, draw)), untidy=untidy)
            truth, ms, pan, usable = simulate_place(image.stack, conditions, seed=draw)
            known = np.array(image.known_bands)[:, None, None]
            yield Observed(image.place, ms, pan, truth, usable & known)


def error_ratios(predictor: Any, observed: Iterable[Observed]) -> Ratios:
    """Errors in units of sigma. ``predictor`` keeps predictors.Predictor's contract."""
    found: dict[str, list[list[NDArray[np.float32]]]] = {}
    for place, ms, pan, truth, usable in observed:
        mean, sigma = predictor.predict(ms, pan)
        bands = found.setdefault(place, [[] for _ in BANDS])
        for b, band in enumerate(bands):
            ok = usable[b] & np.isfinite(mean[b])
            band.append((np.abs(mean[b] - truth[b]) / sigma[b])[ok])
    rng = np.random.default_rng(0)
    return {place: [_drawn(np.concatenate(parts), rng) for parts in bands] for place, bands in found.items()}


def _drawn(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The same number of every place, so that none counts more than another; none where nothing is known."""
    return rng.choice(values, _SAMPLES) if values.size else values


def factors(ratios: Ratios, *, without: str | None = None) -> NDArray[np.float64]:
    """(6,) what sigma has to be multiplied with so that +-1.645 sigma holds 90 % of the errors, place ``without`` left out."""
    kept = [bands for place, bands in ratios.items() if place != without]
    pooled = (np.concatenate(band) for band in zip(*kept, strict=True))
    return np.array([np.quantile(band, 0.9) for band in pooled]) / Z_90


def validation_scores(predictor: Any, images: Sequence[Any], ratios: Ratios, *, disturbed: bool) -> list[PlaceScore]:
    """Scores of images under the conditions of validation; the sigma of a place is scaled without that place.

    ``ratios``: what ``predictor`` was calibrated with.
    """
    return [
        score_image(
            predictor,
            image.place,
            image.stack,
            image.known_bands,
            validation_conditions(disturbed=disturbed, seed=i),
            i,
            factors(ratios, without=image.place) / factors(ratios),
        )
        for i, image in enumerate(images)
    ]
