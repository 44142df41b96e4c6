"""Do Landsat and Sentinel-2 agree on NDVI, raw, band-pass adjusted, and harmonised?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from l8s2 import grid
from l8s2.arrays import Float, Mask, Values
from l8s2.datasets.open import form_of
from l8s2.errors import InputError
from l8s2.evaluation.baselines import band_pass_bicubic, bicubic
from l8s2.evaluation.cases import Case, Imagery, collect_images
from l8s2.evaluation.fitted_pairs import collect_pairs
from l8s2.evaluation.image_scores import Model
from l8s2.evaluation.run import answers_without_pan
from l8s2.predictors.load import load_model
from l8s2.progress import Progress
from l8s2.sensors import BAND_NAMES, OUTPUT_GSD
from l8s2.studies.bootstrap import Estimate, as_row, blocks, estimates
from l8s2.studies.chart import Panel, chart
from l8s2.studies.result import SIMULATED, Study

BLOCK = 20
"""10 m pixels to a side of the ground that is taken for independent, a field or so."""
_DARKEST = 0.02
"""Sum of red and nir08 below which NDVI is all noise."""
_CONSTANT = 1e-9
"""Variance of NDVI below which a correlation would be that of rounding."""
_RED, _NIR = BAND_NAMES.index("red"), BAND_NAMES.index("nir08")
_Ground = tuple[str, int, int]
"""Where a block lies: a CRS, or a site that has none, and its row and column there."""
RAW, BAND_PASS = "raw", "band-pass"
STATISTICS = ("correlation", "rmse", "bias")
RATIO = "rmse over raw's"


def study_ndvi(
    pairs: Sequence[Path],
    *,
    models: Sequence[str] = ("compact",),
    side: str | None = None,
    simulated: bool = False,
    progress: Progress = lambda done, total, what: None,
    warn: Callable[[str], None] = lambda _: None,
) -> Study:
    """Compare NDVI of Landsat at 10 m with that of Sentinel-2, on real or simulated pairs.

    *raw* is bicubic interpolation of Landsat, *band-pass* the same after the adjustment of its bands to Sentinel-2's.
    All are compared on the same clear pixels of all pairs together, after the shift between the images was taken out.
    The 95 % intervals come of drawing blocks of 200 m of ground again, each with all its dates.

    Args:
        pairs: as ``l8s2 evaluate`` takes real pairs.
        models: as ``load_model`` takes them; ``compact`` answers pairs without pan with its no-pan model.
        side: of sets of pairs.
        simulated: ``pairs`` are archives of Sentinel-2 imagery (``simulate.archives``) or folders of them; Landsat is
            simulated from it as ``l8s2 evaluate`` does, without errors of level, which blocks would share.
        progress: told how many 10 m pixels are done.
        warn: told what is left out, and which model answers for another.

    Raises InputError where nothing is to be compared.
    """
    imagery = _simulated(pairs, side, warn) if simulated else collect_pairs(pairs, side=side, warn=warn)
    predictors = {name: load_model(name) for name in models}
    grounds: dict[_Ground, Values] = {}
    pairs_seen, sites, dates, done, with_pan = 0, set(), set(), 0, False
    for case in imagery.cases:
        done += 9 * case.ms[0].size
        with_pan |= case.pan is not None
        if sums := _sums(case, predictors):
            pairs_seen += 1
            sites.add(case.site)
            dates.add(case.date)
            for ground, values in sums.items():
                grounds[ground] = grounds.get(ground, 0) + values
        progress(min(done, imagery.pixels), imagery.pixels, "comparing")
    if not with_pan:
        for message in answers_without_pan(predictors):
            warn(message)
    methods = [RAW, BAND_PASS, *predictors]
    if not grounds:
        raise InputError("no clear pixel with a defined NDVI in any pair; give other pairs")
    stacked = np.stack(list(grounds.values()))
    found = estimates(stacked, lambda sums: _statistics(sums, methods))
    rows = [
        {"method": method, "statistic": name, **as_row(found[f"{name} {method}"])}
        for name in (*STATISTICS, RATIO)
        for method in methods
        if f"{name} {method}" in found
    ]
    panels = [
        Panel(
            f"NDVI against Sentinel-2's: {name}",
            {"": {method: found[f"{name} {method}"] for method in methods if f"{name} {method}" in found}},
        )
        for name in (*STATISTICS, RATIO)
    ]
    pixels = int(stacked[:, 0].sum())
    facts = {
        "simulated": simulated,
        "pairs": pairs_seen,
        "sites": len(sites),
        "dates": len(dates - {""}),
        "pixels": pixels,
        "blocks": len(stacked),
    }
    text = _paragraph(found, models[0], facts)
    figure = chart(panels, title="NDVI across sensors", note=SIMULATED if simulated else "")
    return Study(name="NDVI across sensors", rows=rows, paragraph=text, facts=facts, figure=figure)


def _simulated(paths: Sequence[Path], side: str | None, warn: Callable[[str], None]) -> Imagery:
    for path in paths:
        if form_of(path) or not (path.suffix == ".npz" or any(path.glob("*.npz"))):
            raise InputError(
                f"{path}: no Sentinel-2 imagery for `simulated`; give .npz archives with x10, x20 and meta, or folders "
                "of them"
            )
    with ExitStack() as stack:
        imagery = collect_images(paths, stack, side=side, warn=warn)
    return imagery


def _sums(case: Case, predictors: Mapping[str, Model]) -> dict[_Ground, Values]:
    """Return (6 a method,) for each block with a usable pixel: n, x, y, xx, yy, xy of NDVI; x is Sentinel-2's."""
    assert case.truth is not None
    made = {RAW: bicubic(case.ms), BAND_PASS: band_pass_bicubic(case.ms)}
    for name, predictor in predictors.items():
        made[name] = predictor.predict(case.ms, case.pan, sun_elevation=case.sun_elevation)[0]
    reference, indices = ndvi(case.truth), [ndvi(image) for image in made.values()]
    usable: Mask = case.valid[[_RED, _NIR]].all(0) & np.isfinite(reference)
    for index in indices:
        usable = usable & np.isfinite(index)
    where_lies, first = _position(case)
    numbers, places = blocks((usable.shape[0], usable.shape[1]), BLOCK, first)
    where = numbers[usable]
    x = reference[usable].astype(np.float64)
    columns = []
    for index in indices:
        y = index[usable].astype(np.float64)
        weights = np.ones_like(x), x, y, x * x, y * y, x * y
        columns += [np.bincount(where, weight, len(places)) for weight in weights]
    sums = np.stack(columns, axis=1)
    return {(where_lies, *place): row for place, row in zip(places, sums, strict=True) if row[0]}


def _position(case: Case) -> tuple[str, tuple[int, int]]:
    """Return a CRS, and row and column in 10 m pixels of the upper left pixel of ``truth`` in it.

    Without a position the site stands for the CRS: all pairs of a site then begin at one place, as those of a pair
    archive do.
    """
    ms = case.lattice.ms if case.lattice is not None else None
    if ms is None:
        return case.site, (0, 0)
    box = grid.output_geobox(ms)
    return str(box.crs), (round(-box.affine.f / OUTPUT_GSD), round(box.affine.c / OUTPUT_GSD))


def ndvi(image: Float) -> Float:
    """Return NDVI of (6, h, w) reflectance; NaN where red and nir08 are too dark for it, or negative."""
    red, nir = image[_RED], image[_NIR]
    with np.errstate(invalid="ignore", divide="ignore"):
        result = np.where((red >= 0) & (nir >= 0) & (red + nir > _DARKEST), (nir - red) / (nir + red), np.nan)
    return np.asarray(result, np.float32)


def _statistics(sums: Values, methods: Sequence[str]) -> dict[str, Values]:
    """Return every statistic of (n, 6 a method) sums as (n,); NaN where it is not defined."""
    found: dict[str, Values] = {}
    for index, method in enumerate(methods):
        n, x, y, xx, yy, xy = sums[:, 6 * index : 6 * index + 6].T
        with np.errstate(invalid="ignore", divide="ignore"):
            covariance = xy / n - x * y / n**2
            spreads = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2
            defined = np.minimum(*spreads) > _CONSTANT
            found[f"correlation {method}"] = np.where(defined, covariance / np.sqrt(np.multiply(*spreads)), np.nan)
            found[f"rmse {method}"] = np.sqrt(np.maximum(xx - 2 * xy + yy, 0) / n)
            found[f"bias {method}"] = (y - x) / n
            if method != RAW:
                found[f"{RATIO} {method}"] = found[f"rmse {method}"] / found[f"rmse {RAW}"]
    return found


def _paragraph(found: Mapping[str, Estimate], model: str, facts: Mapping[str, int]) -> str:
    ours, raw = (_correlation(found[f"correlation {method}"].value) for method in (model, RAW))
    ratio = found[f"{RATIO} {model}"]
    known = np.isfinite(ratio.low)
    times = (
        f"{ratio.value:.3f} times that of raw" if np.isfinite(ratio.value) else "not to be divided by raw's, which is 0"
    )
    times += f" (95 % interval {ratio.low:.3f} to {ratio.high:.3f})" if known else " (no interval)"
    verdict = "no difference from raw that these pairs can tell"
    if known and ratio.high < 1:
        verdict = "closer to Sentinel-2 than raw Landsat on these pairs"
    elif known and ratio.low > 1:
        verdict = "farther from Sentinel-2 than raw Landsat on these pairs"
    told = (
        "Landsat is simulated from Sentinel-2 as its sensor is documented, with noise but at the level of Sentinel-2: "
        "real sensors differ by more, so gains are an upper bound."
        if facts["simulated"]
        else "The two images are of different hours or days, so what changed in truth counts as error of every method "
        "alike."
    )
    return (
        f"NDVI of {model} correlates with Sentinel-2's by {ours}, that of raw Landsat by {raw}; its RMSE is "
        f"{times}: {verdict}. {facts['pixels']} clear pixels in {facts['blocks']} blocks of 200 m of ground, "
        f"{facts['pairs']} pair{'s'[: facts['pairs'] != 1]} of {facts['sites']} site{'s'[: facts['sites'] != 1]}. "
        f"{told} Intervals come of drawing blocks again, each with all its dates. They are of these places and dates "
        "and say nothing of other ones, and blocks side by side, of one crop or under one sky, are less independent "
        "than they count."
    )


def _correlation(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "nothing that is defined (an NDVI is constant)"
