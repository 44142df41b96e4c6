"""Real pairs as a judge of detail: Sentinel-2 is moved onto Landsat, and clouds are left out.

The difference of level is left to ``pair_scores``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from l8s2.datasets.image_pair import Pairs
from l8s2.datasets.open import FORMS, form_of, open_pairs
from l8s2.datasets.pair_archive import PairArchive
from l8s2.errors import InputError
from l8s2.evaluation.cases import Case, Imagery
from l8s2.evaluation.image_scores import for_scoring
from l8s2.evaluation.pair_scores import registered
from l8s2.evaluation.strata import season_of

BORDER = 6
"""10 m pixels at the border of a pair that do not count: a shift of 2 pixels and its interpolation reach so far. Pairs
are small; a network that sees further is judged as at the edge of a scene."""


def collect_pairs(paths: Sequence[Path], *, side: str | None, warn: Callable[[str], None]) -> Imagery:
    """Open real pairs and prepare them.

    Args:
        paths: pair archives (``datasets.pair_archive``), folders of them, or sets (``datasets.open_pairs``).
        side: of the sets; None: Test, or everything where a set has no sides.
        warn: told which pairs have no clear pixel, and which archives no masks.

    Raises InputError for what cannot be used.
    """
    sources = [_open(path, side) for given in paths for path in _archives(given)]
    for source in sources:
        if isinstance(source, PairArchive) and source.unmasked:
            warn(f"{source.path.name}: no {' and no '.join(source.unmasked)} in it, so clouds count")
    pixels = sum(len(source) * source[0].truth[0].size for source in sources)
    return Imagery(mode="fitted-pair", pixels=pixels, cases=_cases(sources, warn))


def _archives(path: Path) -> list[Path]:
    """Return what ``path`` stands for: the archives in a folder, or itself."""
    return (sorted(path.glob("*.npz")) if path.is_dir() and form_of(path) is None else []) or [path]


def _open(path: Path, side: str | None) -> Pairs:
    form = form_of(path)
    if form is not None:
        return open_pairs(path, side or ("Test" if FORMS[form].split else None))
    if path.suffix != ".npz":
        raise InputError(
            f"{path}: holds no real pairs; give an .npz of pairs, a folder of them, or a set of real pairs"
        )
    return PairArchive(path)  # says what is wrong with it


def _cases(sources: Sequence[Pairs], warn: Callable[[str], None]) -> Iterator[Case]:
    seen = set()
    for pair in (source[n] for source in sources for n in range(len(source))):
        if pair.id in seen:
            raise InputError(f"two pairs are called {pair.id}; evaluate them one after the other")
        seen.add(pair.id)
        moved, found = registered(pair)
        case = Case(**vars(for_scoring(moved, BORDER)), strata=season_of(pair.date), shift=found)
        if not case.valid.any():
            warn(f"{pair.id}: no clear pixel; left out")
        yield case
