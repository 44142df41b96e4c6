"""Does harmonised Landsat make maps of crops better? One classifier, with and without it, on fields it never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Float, Values
from l8s2.cube.fields import Field, read_fields
from l8s2.cube.observation import clear
from l8s2.cube.store import Cube
from l8s2.errors import InputError
from l8s2.progress import Progress
from l8s2.radiometry import decoded
from l8s2.sensors import BAND_NAMES
from l8s2.studies.bootstrap import Estimate, as_row, estimates
from l8s2.studies.chart import Panel, chart
from l8s2.studies.result import SIMULATED, Study
from l8s2.studies.year import SAID

SETS: dict[str, tuple[str, ...]] = {"Sentinel-2": ("msi",), "with Landsat": ("msi", "oli")}
FOLDS = 5
PIXELS = 60
"""Pixels of a field that are used at most."""
_LONGEST_PERIOD = 30
"""Days of which clear values are averaged into one feature."""
_INSIDE = 0.99
"""Share of a pixel that must lie in its field."""


class _Pixels(NamedTuple):
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    field: NDArray[np.intp]
    """Number of the field that each pixel lies in."""


def study_crops(
    path: Path,
    fields: Path,
    label: str,
    *,
    id_property: str | None = None,
    seed: int = 0,
    simulated: bool = False,
    progress: Progress = lambda done, total, what: None,
) -> Study:
    """Classify the pixels of labelled fields from a cube, from Sentinel-2 alone and with Landsat.

    Features are the means of clear values by band and period of at most 30 days; gaps are interpolated in time. A
    random forest is trained on the pixels of four fifths of the fields and asked for the rest, in turn: no field is on
    both sides. Pixels that lie in several fields are left out. Intervals come of drawing fields again.

    Args:
        path: folder of the cube.
        fields: GeoJSON of polygons in WGS 84.
        label: property of a feature that names its crop.
        id_property: see ``cube.fields.read_fields``.
        seed: of folds, pixels and the classifier.
        simulated: they are of ``year.simulate_year``; figure and text say so.
        progress: told how many observations are read and folds answered.

    Raises InputError for what cannot be used: no field in the cube, fewer than two crops, or crops of
    fewer fields than there are folds.
    """
    forest = _forest(seed)
    cube = Cube(path)
    found = _whole(read_fields(fields, "polygons", cube.box, id_property))
    if not found:
        raise InputError(f"{fields}: no field in it has a pixel of the cube {path} to itself; give fields of its area")
    crops = _crops(found, label, fields)
    names = sorted(set(crops))
    classes = np.array([names.index(crop) for crop in crops], np.intp)
    pixels = _drawn(found, np.random.default_rng(seed))
    folds = _folds(classes, np.random.default_rng(seed))
    steps = len(cube) + len(SETS) * FOLDS
    step = iter(range(1, steps + 1))
    features = _features(cube, pixels, lambda: progress(next(step), steps, "reading"))
    totals = []
    for values in features.values():
        answer = _answered(
            forest, values, classes[pixels.field], folds[pixels.field],
            lambda: progress(next(step), steps, "classifying"),
        )  # fmt: skip
        totals.append(_confusion(pixels.field, classes[pixels.field], answer, len(found), len(names)))
    mean = _free("mean", names)
    scores = estimates(np.concatenate(totals, axis=1), lambda sums: _statistics(sums, list(features), names, mean))
    rows = [
        {"features": key, "crop": crop, "score": score, **as_row(scores[f"{score} {crop} {key}"])}
        for crop in (mean, *names)
        for score in ("F1", "IoU")
        for key in (*features, "difference")
    ]
    panels = [
        Panel(title, {crop: {key: scores[f"{score} {crop} {key}"] for key in keys} for crop in (mean, *names)})
        for score in ("F1", "IoU")
        for title, keys in ((score, features), (f"{score}, difference that Landsat makes", ("difference",)))
    ]
    facts = {
        "simulated": simulated, "fields": len(found), "pixels": len(pixels.rows), "folds": FOLDS,
        "fields_by_crop": {name: crops.count(name) for name in names},
        "observations": {
            key: sum(str(s) in members for s in cube.columns["sensor"]) for key, members in SETS.items()
        },
    }  # fmt: skip
    figure = chart(panels, title="Maps of crops", note=SIMULATED if simulated else "")
    text = (SAID if simulated else "") + _paragraph(scores, mean, facts)
    return Study(name="Maps of crops", rows=rows, paragraph=text, facts=facts, figure=figure)


def _free(name: str, taken: Sequence[str]) -> str:
    """Return ``name``, with a star for as long as a crop has it too."""
    while name in taken:
        name += "*"
    return name


def check_installed() -> None:
    """Raise InputError where scikit-learn is not."""
    _forest(0)


def _forest(seed: int) -> Any:
    try:
        from sklearn.ensemble import RandomForestClassifier
    except ImportError:
        raise InputError("needs scikit-learn; install it with: pip install 'l8s2[studies]'") from None
    return RandomForestClassifier(n_estimators=100, min_samples_leaf=3, random_state=seed, n_jobs=1)


def _crops(fields: Sequence[Field], label: str, path: Path) -> list[str]:
    for field in fields:
        if field.properties.get(label) in (None, ""):
            raise InputError(
                f"{path}: feature {field.id!r} has no {label!r}; name another property with `label`, or take it out"
            )
    crops = [str(field.properties[label]) for field in fields]
    counts = {name: crops.count(name) for name in sorted(set(crops))}
    if len(counts) < 2:
        raise InputError(f"{path}: {len(fields)} fields of {len(counts)} crops in the cube; give at least two crops")
    fewest = min(counts, key=lambda name: counts[name])
    if counts[fewest] < FOLDS:
        raise InputError(
            f"{path}: {counts[fewest]} fields of {fewest} in the cube, {FOLDS} are needed; give more, or leave it out"
        )
    return crops


def _whole(fields: Sequence[Field]) -> list[Field]:
    """Return fields with those of their pixels that lie wholly within them and no other; without any, it is left out.

    Else a field that is given twice would be on both sides of a split.
    """
    inside = [np.stack([field.rows, field.columns])[:, field.weights > _INSIDE] for field in fields]
    _, at, times = np.unique(np.concatenate(inside, axis=1), axis=1, return_inverse=True, return_counts=True)
    ends = np.cumsum([pixels.shape[1] for pixels in inside])[:-1]
    once = np.split(times[at.reshape(-1)] == 1, ends)
    return [
        field._replace(rows=pixels[0, alone], columns=pixels[1, alone], weights=np.ones(alone.sum()))
        for field, pixels, alone in zip(fields, inside, once, strict=True)
        if alone.any()
    ]


def _drawn(fields: Sequence[Field], rng: np.random.Generator) -> _Pixels:
    """Draw pixels of each field."""
    rows, columns, numbers = [], [], []
    for number, field in enumerate(fields):
        taken = rng.permutation(len(field.rows))[:PIXELS]
        rows.append(field.rows[taken])
        columns.append(field.columns[taken])
        numbers.append(np.full(len(taken), number, np.intp))
    return _Pixels(*(np.concatenate(parts) for parts in (rows, columns, numbers)))


def _folds(classes: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Deal the fields of each crop evenly."""
    folds = np.empty(len(classes), np.intp)
    for crop in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == crop))
        folds[members] = (np.arange(len(members)) + crop) % FOLDS
    return folds


def _features(cube: Cube, pixels: _Pixels, progress: Callable[[], None]) -> dict[str, Float]:
    """Return (pixels, periods x bands) for each set of sensors."""
    days = np.asarray(cube.columns["solar_day"], np.int64)
    first, last = int(days.min()), int(days.max())
    periods = max(1, -(-(last - first + 1) // _LONGEST_PERIOD))
    period = np.minimum((days - first) * periods // (last - first + 1), periods - 1)
    shape = (periods, len(BAND_NAMES), len(pixels.rows))
    sums = {key: (np.zeros(shape), np.zeros(shape)) for key in SETS}
    top, left = int(pixels.rows.min()), int(pixels.columns.min())
    window = slice(top, int(pixels.rows.max()) + 1), slice(left, int(pixels.columns.max()) + 1)
    at = pixels.rows - top, pixels.columns - left
    for time in range(len(days)):
        members = [key for key, sensors in SETS.items() if str(cube.columns["sensor"][time]) in sensors]
        seen = clear(cube.read("qa", (time, *window))[at])
        for band, name in enumerate(BAND_NAMES) if members and seen.any() else ():
            values = decoded(cube.read(name, (time, *window))[at])
            known = seen & np.isfinite(values)
            for key in members:
                sums[key][0][period[time], band, known] += values[known]
                sums[key][1][period[time], band, known] += 1
        progress()
    found = {}
    for key, (total, count) in sums.items():
        with np.errstate(invalid="ignore", divide="ignore"):
            found[key] = _interpolated(total / count).reshape(-1, shape[2]).T.astype(np.float32)
        if not count.any():
            raise InputError(f"{cube.path}: no clear observation of {key} on the fields; append some with l8s2 cube")
    return found


def _interpolated(means: Values) -> Values:
    """Fill gaps of (periods, bands, pixels) linearly in time, at the ends by the nearest; 0 where all is unknown."""
    times = np.arange(len(means))
    filled = np.zeros_like(means)
    for band in range(means.shape[1]):
        for pixel in range(means.shape[2]):
            series = means[:, band, pixel]
            known = np.isfinite(series)
            if known.any():
                filled[:, band, pixel] = np.interp(times, times[known], series[known])
    return filled


def _answered(
    forest: Any,
    features: Float,
    classes: NDArray[np.intp],
    folds: NDArray[np.intp],
    progress: Callable[[], None],
) -> NDArray[np.intp]:
    """Return what the forest answers for the pixels of each fold, trained on the others."""
    answer = np.empty(len(classes), np.intp)
    for fold in range(FOLDS):
        held_out = folds == fold
        answer[held_out] = forest.fit(features[~held_out], classes[~held_out]).predict(features[held_out])
        progress()
    return answer


def _confusion(
    field: NDArray[np.intp], truth: NDArray[np.intp], answer: NDArray[np.intp], fields: int, classes: int
) -> Values:
    """Return (fields, classes^2) pixel counts, truth first; a field counts as one whatever its size."""
    counts = np.zeros((fields, classes * classes))
    np.add.at(counts, (field, truth * classes + answer), 1.0)
    return np.asarray(counts / counts.sum(1, keepdims=True))


def _statistics(sums: Values, keys: Sequence[str], names: Sequence[str], mean: str = "mean") -> dict[str, Values]:
    """Return scores of (n, sets x classes^2) confusions as (n,); NaN for a crop that is neither there nor said.

    ``mean``: what that of all crops is called.
    """
    found: dict[str, Values] = {}
    size = len(names) ** 2
    for index, key in enumerate(keys):
        confusion = sums[:, index * size : (index + 1) * size].reshape(-1, len(names), len(names))
        hit = confusion.diagonal(axis1=1, axis2=2)
        true, said = confusion.sum(2), confusion.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            scores = {"F1": 2 * hit / (true + said), "IoU": hit / (true + said - hit)}
        for score, values in scores.items():
            found |= {f"{score} {name} {key}": values[:, i] for i, name in enumerate(names)}
            found[f"{score} {mean} {key}"] = np.asarray(np.nanmean(values, axis=1))
    for score in ("F1", "IoU"):
        for name in (mean, *names):
            found[f"{score} {name} difference"] = (
                found[f"{score} {name} {keys[1]}"] - found[f"{score} {name} {keys[0]}"]
            )
    return found


def _paragraph(scores: dict[str, Estimate], mean: str, facts: dict[str, Any]) -> str:
    alone, both = (scores[f"F1 {mean} {key}"].value for key in SETS)
    difference = scores[f"F1 {mean} difference"]
    verdict = "no difference that these fields can tell"
    if difference.low > 0:
        verdict = "better with Landsat on these fields"
    elif difference.high < 0:
        verdict = "worse with Landsat on these fields"
    return (
        f"F1 over crops is {alone:.3f} from Sentinel-2 alone and {both:.3f} with harmonised Landsat (difference "
        f"{difference.value:+.3f}, 95 % interval {difference.low:+.3f} to {difference.high:+.3f}): {verdict}. "
        f"{facts['fields']} fields, {facts['pixels']} pixels, {facts['folds']} folds by field; every field has the "
        "same weight. Fields side by side share soil and weather, so the numbers are of this area and year, and kinder "
        "than those of another. The classifier is a plain one: compare the two columns with each other, not with the "
        "best maps there are."
    )
