"""One evaluation from paths to a folder of results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from l8s2._version import __version__
from l8s2.errors import InputError
from l8s2.evaluation import tables
from l8s2.evaluation.baselines import BASELINES
from l8s2.evaluation.cases import Case, collect_images
from l8s2.evaluation.evaluate import Scored, evaluate
from l8s2.evaluation.fitted_pairs import collect_pairs
from l8s2.evaluation.pair_table import pair_facts, pair_table
from l8s2.evaluation.pictures import Gallery
from l8s2.evaluation.report import report
from l8s2.files import WholeFolder, fsync
from l8s2.predictors.load import load_model
from l8s2.predictors.protocol import Predictor

MARK = "scores.json"
"""The file by which a folder is known as one of ours."""


def run_evaluation(
    paths: Sequence[Path],
    output: Path | None,
    *,
    pairs: Sequence[Path] = (),
    models: Sequence[str] = ("compact", "compact-nopan"),
    sentinel2: Path | None = None,
    pan: Path | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    disturbed: bool = False,
    side: str | None = None,
    deep_harmonization_range: bool = False,
    trust_architecture: str | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> tuple[dict[str, Any], str]:
    """Score models and all baselines and write the folder ``output``.

    Args:
        paths: as ``cases.collect_images``.
        output: folder of the results; None writes nothing.
        pairs: instead of ``paths``: real pairs to judge models by, as ``fitted_pairs.collect_pairs``.
        models: as ``load_model`` takes them; with commas between, an ensemble.
        sentinel2: as ``cases.collect_images``.
        pan: as ``cases.collect_images``.
        bbox: as ``cases.collect_images``.
        disturbed: as ``cases.collect_images``.
        side: as ``cases.collect_images``.
        deep_harmonization_range: see ``evaluate``.
        trust_architecture: as ``load_model``.
        overwrite: replace an evaluation that is there, once the new one is whole.
        progress: told (10 m pixels done, in all).
        warn: told every warning.

    Returns:
        The summary and the short table.

    Raises InputError with one clear line; then nothing is written.
    """
    if pairs and (paths or sentinel2 is not None or pan is not None or bbox is not None or disturbed):
        raise InputError(
            "`pair` stands alone; leave out other imagery, `sentinel2`, `pan`, `bbox` and `disturbed`, or evaluate "
            "them one after the other"
        )
    folder = None if output is None else WholeFolder(output, overwrite=overwrite, mark=MARK)
    warnings: list[str] = []

    def note(message: str) -> None:
        warnings.append(message)
        if warn:
            warn(message)

    with ExitStack() as stack:
        if pairs:
            imagery = collect_pairs(pairs, side=side, warn=note)
        else:
            imagery = collect_images(
                paths, stack, sentinel2=sentinel2, pan=pan, bbox=bbox, disturbed=disturbed, side=side, warn=note
            )
        loaded = _loaded(models, trust_architecture)
        gallery, with_pan = Gallery(list(loaded)), set[bool]()
        scored = evaluate(
            replace(imagery, cases=_watched(imagery.cases, with_pan)),
            loaded,
            deep_harmonization_range=deep_harmonization_range,
            progress=progress,
            on_scored=gallery if folder else None,
        )
    if True not in with_pan:
        for message in answers_without_pan(loaded):
            note(message)
    facts = {
        "l8s2": __version__,
        "mode": imagery.mode,
        "disturbed": disturbed,
        "models": {name: predictor.sha256 for name, predictor in loaded.items()},
        "warnings": warnings,
    }
    if folder is not None:
        _write(folder, _files(scored, facts, gallery))
    summary = {"output": None if output is None else str(output), **tables.summary(scored, facts)}
    if imagery.mode == "fitted-pair":
        return tables.strict({**summary, "pairs": pair_facts(scored)}), pair_table(scored, loaded)
    return tables.strict(summary), tables.short_table(tables.means(tables.all_records(scored)), imagery.mode)


def _watched(cases: Iterable[Case], with_pan: set[bool]) -> Iterator[Case]:
    """Pass cases on, and note whether they have pan."""
    for case in cases:
        with_pan.add(case.pan is not None)
        yield case


def answers_without_pan(loaded: Mapping[str, Predictor]) -> Iterator[str]:
    """Say which model answers for which where no image has pan."""
    for name, predictor in loaded.items():
        other = predictor.no_pan_model
        if predictor.uses_pan and other is not None:
            same = f": the figures of {name} are those of {other.name}" if other.name in loaded else ""
            yield f"no image has pan, so {other.name} answers for {name}{same}"


def _files(scored: Sequence[Scored], facts: dict[str, Any], gallery: Gallery) -> dict[str, str]:
    """Name -> text."""
    files = {
        MARK: tables.scores_json(scored, facts),
        "scores.csv": tables.scores_csv(scored),
        "report.html": report(scored, facts, gallery.shown),
    }
    if facts["mode"] != "no-reference":
        files["published.json"] = tables.deep_harmonization_json(scored, by_band=False)
        files["published_bands.json"] = tables.deep_harmonization_json(scored, by_band=True)
    return files


def _write(folder: WholeFolder, files: dict[str, str]) -> None:
    """Write ``files`` (name to text).

    Raises InputError where the disk does not take it; what was there is then still there.
    """
    try:
        with folder:
            for name, text in files.items():
                (folder.workspace / name).write_text(text, encoding="utf-8", newline="\n")
                fsync(folder.workspace / name)
            folder.publish()
    except OSError as error:
        raise InputError(f"{folder.folder}: cannot be written ({error.strerror}); give another output folder") from None


def _loaded(models: Sequence[str], trust_architecture: str | None) -> dict[str, Predictor]:
    """By the names they have in tables."""
    found: dict[str, Predictor] = {}
    for model in models:
        predictor = load_model(model, trust_architecture=trust_architecture)
        if predictor.name in found or predictor.name in BASELINES:
            raise InputError(
                f"`model` {model}: another is called {predictor.name} too; give it once, or rename the file"
            )
        found[predictor.name] = predictor
    return found
