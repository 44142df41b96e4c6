"""From images to scores: every model and every baseline on the same pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from l8s2.arrays import Float, Mask
from l8s2.errors import InputError
from l8s2.evaluation.baselines import BASELINES, NEED_PAN
from l8s2.evaluation.cases import Case, Imagery
from l8s2.evaluation.image_scores import Model
from l8s2.evaluation.metric_table import (
    FITTED,
    FITTED_GROUPS,
    GROUPS,
    INDICES,
    OF_SIGMA,
    PER_BAND,
    PSNR_GAIN,
    SPECTRAL,
    nrmse,
    without_reference,
)
from l8s2.evaluation.pair_scores import score_pair_band
from l8s2.metrics import scores, similarity
from l8s2.metrics.scores import NOTHING, Score
from l8s2.radiometry import total_sigma
from l8s2.registration import Shift
from l8s2.sensors import BAND_NAMES, BANDS

PLAIN = "bicubic"
"""The baseline that ``psnr_gain`` is counted from."""
BASE = "band-pass + bicubic"
"""The baseline that fitted pairs are compared with, and that the best multiple of the detail is added to."""
_THREADS = 4
"""At most so many models are scored at a time; each takes memory."""
DEEP_HARMONIZATION = {"NRMSE": nrmse, "PSNR": scores.psnr, "SSIM": similarity.ssim}
DEEP_HARMONIZATION_BANDS_RANGE = 2.0
"""Data range of PSNR and SSIM in the scores by band of the Deep-Harmonization system; reflectance has 1."""


class Output(NamedTuple):
    """What a model or a baseline makes of an image; (6, 3h, 3w) reflectance each."""

    mean: Float
    sigma: Float | None
    """Standard error of what is compared: on real images ``radiometry.total_sigma``; None without."""
    detail: Float | None = None
    """Standard error that the model gives, of the detail; None without."""


class Record(NamedTuple):
    """One number."""

    model: str
    site: str
    image: str
    bands: str
    """A band, a group of ``metric_table.GROUPS`` or ``FITTED_GROUPS``, or ``visible``."""
    metric: str
    value: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One image, scored."""

    site: str
    name: str
    pixels: int
    """Values (all bands) that every model was scored on; MS pixels without reference."""
    strata: dict[str, str]
    records: list[Record]
    date: str = ""
    """Of the Landsat image, ISO 8601; '' where it is not known."""
    shift: Shift | None = None
    """As ``Case.shift``."""
    deep_harmonization: dict[str, float] = field(default_factory=dict)
    """Scores of the first model by name, as the Deep-Harmonization system writes them."""
    deep_harmonization_bands: dict[str, float] = field(default_factory=dict)


OnScored = Callable[[Case, Mapping[str, Output], Mask, Scored], None]


def evaluate(
    imagery: Imagery,
    predictors: Mapping[str, Model],
    *,
    deep_harmonization_range: bool = False,
    progress: Callable[[int, int], None] | None = None,
    on_scored: OnScored | None = None,
) -> list[Scored]:
    """Score every model, and every baseline that the input allows, on every image.

    A pixel counts where it is usable and every model and baseline has a value. Images without any such pixel are left
    out.

    Args:
        imagery: from ``cases.collect_images``; its images are used up.
        predictors: by the name they get in tables.
        deep_harmonization_range: give ``deep_harmonization_bands`` data range 2, not 1.
        progress: told (10 m pixels done, in all).
        on_scored: shown every image that is scored, with all outputs, the pixels that count and the scores.

    Raises InputError where no image has a usable pixel.
    """
    scored, done = [], 0
    for case in imagery.cases:
        if case.valid.any():
            made = dict(outputs(case, predictors))
            usable = common(case, made)
            if usable.any():
                first = next(iter(predictors))
                scored.append(
                    _scored(
                        case, made, usable, first, DEEP_HARMONIZATION_BANDS_RANGE if deep_harmonization_range else 1.0
                    )
                )
                if on_scored:
                    on_scored(case, made, usable, scored[-1])
        done += 9 * case.ms[0].size
        if progress:
            progress(min(done, imagery.pixels), imagery.pixels)
    if not scored:
        raise InputError("no usable pixel in any image: all cloud, nodata or border; give other imagery")
    return scored


def outputs(case: Case, predictors: Mapping[str, Model]) -> Iterator[tuple[str, Output]]:
    """(name, output) of the models, then of the baselines; what needs pan is left out where there is none."""
    for name, predictor in predictors.items():
        mean, detail = predictor.predict(case.ms, case.pan, sun_elevation=case.sun_elevation)
        if np.isfinite(detail).any():
            yield name, Output(mean, detail if case.simulated else total_sigma(mean, detail), detail)
        else:
            yield name, Output(mean, None)
    for name, baseline in BASELINES.items():
        if case.pan is not None or name not in NEED_PAN:
            yield name, Output(baseline(case.ms, case.pan), None)


def common(case: Case, made: Mapping[str, Output]) -> Mask:
    """Where ``case.valid`` holds and every output has a value; of the shape of ``case.valid``."""
    finite = np.logical_and.reduce([np.isfinite(output.mean) for output in made.values()])
    if case.truth is None:
        h, w = case.valid.shape
        finite = finite.reshape(len(BANDS), h, 3, w, 3).all(axis=(0, 2, 4))
    usable: Mask = case.valid & finite
    return usable


def _scored(case: Case, made: Mapping[str, Output], usable: Mask, first: str, bands_range: float) -> Scored:

    def one(output: Output) -> dict[tuple[str, str], Score]:
        return score(output, made, case, usable)

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        found = zip(made, pool.map(one, made.values()), strict=True)
        records = [
            Record(name, case.site, case.id, *key, float(s.value), s.n)
            for name, scores in found
            for key, s in scores.items()
        ]
    deep_harmonization: dict[str, float] = {}
    deep_harmonization_bands: dict[str, float] = {}
    if case.truth is not None:
        mean = made[first].mean
        deep_harmonization = {name: float(f(mean, case.truth, usable).value) for name, f in DEEP_HARMONIZATION.items()}
        for i, band in enumerate(BANDS):
            for name, f in DEEP_HARMONIZATION.items():
                how = {} if name == "NRMSE" else {"data_range": bands_range}
                deep_harmonization_bands[f"{name}_{band.landsat}"] = float(
                    f(mean[i], case.truth[i], usable[i], **how).value
                )
    return Scored(
        site=case.site,
        name=case.id,
        pixels=int(usable.sum()),
        strata=case.strata,
        records=records,
        date=case.date,
        shift=case.shift,
        deep_harmonization=deep_harmonization,
        deep_harmonization_bands=deep_harmonization_bands,
    )


def score(output: Output, made: Mapping[str, Output], case: Case, usable: Mask) -> dict[tuple[str, str], Score]:
    """(bands, metric) -> score of one output, by band and by group.

    Args:
        output: what was made of the image.
        made: what all models and baselines make of it, PLAIN and BASE among them.
        case: the image.
        usable: as ``case.valid``.
    """
    if case.truth is None:
        found = without_reference(output.mean, case.ms, case.pan, usable)
    else:
        found = {}
        for i, band in enumerate(BAND_NAMES):
            of_band = output.mean[i], case.truth[i], usable[i]
            found[band, "psnr_gain"] = PSNR_GAIN.score(of_band[0], made[PLAIN].mean[i], *of_band[1:])
            found |= {(band, name): metric.score(*of_band) for name, metric in PER_BAND.items()}
            if output.sigma is not None:
                of_sigma = output.mean[i], output.sigma[i], case.truth[i], usable[i]
                found |= {(band, name): metric.score(*of_sigma) for name, metric in OF_SIGMA.items()}
            if case.shift is not None:
                sigmas = [None if x is None else x[i] for x in (output.sigma, output.detail)]
                fitted = score_pair_band(of_band[0], made[BASE].mean[i], *of_band[1:], *sigmas)
                names = [name for name in FITTED if output.detail is not None or name != "fitted_coverage"]
                found |= {(band, name): Score(getattr(fitted, name), fitted.pixels) for name in names}
    found |= _means_over_bands(found, GROUPS if case.shift is None else GROUPS | FITTED_GROUPS)
    if case.truth is not None:
        for group, members in GROUPS.items():
            known = [i for i in members if usable[i].any()]
            for name, metric in SPECTRAL.items():
                some = metric.score(output.mean[known], case.truth[known], usable[known]) if known else NOTHING
                found[group, name] = some
        indices = scores.index_scores(output.mean, case.truth, usable)
        found |= {("all", name): getattr(indices[index], part) for name, (index, part) in INDICES.items()}
    return found


def _means_over_bands(
    found: Mapping[tuple[str, str], Score], groups: Mapping[str, Sequence[int]]
) -> dict[tuple[str, str], Score]:
    """Return the mean of every score over the bands of each group that have it."""
    names = dict.fromkeys(name for band, name in found if band in BAND_NAMES)
    return {
        (group, name): mean_score([found[BAND_NAMES[i], name] for i in members])
        for group, members in groups.items()
        for name in names
    }


def mean_score(scores: Sequence[Score]) -> Score:
    """Mean of those that are not NaN; n is the sum of theirs."""
    some = [score for score in scores if not np.isnan(score.value)]
    if not some:
        return NOTHING
    with np.errstate(invalid="ignore"):
        return Score(float(np.mean([score.value for score in some])), sum(score.n for score in some))
