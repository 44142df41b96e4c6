"""What a model is scored on: pairs simulated from Sentinel-2 archives, real pairs, or Landsat alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from l8s2 import masks
from l8s2.arrays import Float, dilate, enlarge
from l8s2.datasets.image_pair import ImagePair, Lattice, Pairs
from l8s2.datasets.open import FORMS, form_of, open_pairs
from l8s2.datasets.simulated_pairs import simulate_pair, validation_conditions
from l8s2.errors import InputError
from l8s2.evaluation.image_scores import BORDER, for_scoring
from l8s2.evaluation.strata import quarter, season_of, strata_from_meta
from l8s2.evaluation.truth import Truth
from l8s2.grid import BLOCK
from l8s2.landsat.scene import Scene, open_scene
from l8s2.registration import Shift
from l8s2.sensors import BANDS
from l8s2.simulate.archives import Image, load_archive
from l8s2.target import Area, choose_target

Mode = Literal["simulated", "pair", "fitted-pair", "no-reference"]
TILE = 256
"""MS pixels to a side of the pieces, about, in which a Landsat scene is scored."""
_MARGIN = BORDER // BLOCK
_SMALLEST = 2 * BORDER + 12
"""10 m pixels to a side of an image in which something is left to score when its border is taken off."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case(ImagePair):
    """One image to score, which may be Landsat alone."""

    truth: Float | None  # type: ignore[assignment]
    """(6, 3h, 3w) reflectance at 10 m; None without reference, and then ``valid`` is (h, w), MS pixels."""
    strata: dict[str, str]
    """What is known of the image, such as level and season."""
    simulated: bool = False
    """Whether both images agree in level: Landsat was made from the truth."""
    shift: Shift | None = None
    """What was measured between Sentinel-2 and Landsat and taken out of ``truth``, 10 m pixels; None where the pair is
    scored as it is. Models are then scored after a gain and an offset as well (``pair_scores``)."""


@dataclass(frozen=True, kw_only=True)
class Imagery:
    """Everything that a run scores on."""

    mode: Mode
    pixels: int
    """10 m pixels in all, borders included; for progress."""
    cases: Iterator[Case]


def collect_images(
    paths: Sequence[Path],
    stack: ExitStack,
    *,
    sentinel2: Path | None = None,
    pan: Path | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    disturbed: bool = False,
    side: str | None = None,
    warn: Callable[[str], None],
) -> Imagery:
    """Find out what ``paths`` are and prepare them.

    Args:
        paths: ``.npz`` archives of Sentinel-2 imagery (``simulate.archives``) or folders of them, a set of real pairs
            (``datasets.open_pairs``), or Landsat products.
        stack: closes what is opened here.
        sentinel2: six-band raster of the same ground as the one Landsat product in ``paths``.
        pan: Level-1 product of that Landsat product.
        bbox: west, south, east, north in WGS 84 degrees: only this part of the Landsat products.
        disturbed: add radiometric disturbance to what is simulated.
        side: of a set of real pairs; None: Test, or everything where a set has no sides.
        warn: told what is left out, and why.

    Raises InputError for what cannot be used.
    """
    forms = [name for path in paths if (name := form_of(path))]
    if forms:
        if len(paths) > 1:
            raise InputError("a set of real pairs beside other imagery; evaluate them one after the other")
        if sentinel2 is not None or pan is not None or bbox is not None or disturbed:
            raise InputError(
                "`sentinel2`, `pan`, `bbox` and `disturbed` are not for a set of real pairs; leave them out"
            )
        return _real(open_pairs(paths[0], side or ("Test" if FORMS[forms[0]].split else None)))
    if side is not None:
        raise InputError(f"`side` {side}: belongs to a set of real pairs; leave it out")
    archives = [_archives(path) for path in paths]
    if all(archives):
        if sentinel2 is not None or pan is not None or bbox is not None:
            raise InputError(
                "`sentinel2`, `pan` and `bbox` are for Landsat products, but Sentinel-2 archives were given"
            )
        return _simulated(archives, disturbed, warn)
    if any(archives):
        raise InputError("Sentinel-2 archives and Landsat products together; evaluate them one after the other")
    if disturbed:
        raise InputError("`disturbed` belongs to simulated pairs; give .npz archives of Sentinel-2 imagery")
    if len(paths) > 1 and (sentinel2 is not None or pan is not None):
        raise InputError(f"`sentinel2` and `pan` belong to one Landsat product; {len(paths)} were given")
    scenes = [stack.enter_context(open_scene(path, pan)) for path in paths]
    for message in (message for scene in scenes for message in scene.warnings):
        warn(message)
    truth = None if sentinel2 is None else stack.enter_context(Truth(sentinel2, scenes[0].geobox))
    plan = [
        (scene, rows, columns)
        for scene in scenes
        for area in [_area(scene, truth, bbox)]
        for rows in _pieces(area[0])
        for columns in _pieces(area[1])
    ]
    pixels = sum(BLOCK**2 * (rows.stop - rows.start) * (columns.stop - columns.start) for _, rows, columns in plan)
    cases = (_of_scene(scene, rows, columns, truth) for scene, rows, columns in plan)
    return Imagery(mode="pair" if truth else "no-reference", pixels=pixels, cases=cases)


def _real(pairs: Pairs) -> Imagery:
    """Return pairs as they are, brought onto the lattice."""

    def cases() -> Iterator[Case]:
        for pair in (pairs[n] for n in range(len(pairs))):
            yield Case(**vars(for_scoring(pair)), strata=season_of(pair.date))

    return Imagery(mode="pair", pixels=len(pairs) * pairs[0].truth[0].size, cases=cases())


def _area(scene: Scene, truth: Truth | None, bbox: tuple[float, float, float, float] | None) -> tuple[slice, slice]:
    """Return rows and columns, MS pixels, that are asked for and known."""
    target = choose_target(scene.geobox, Area(bbox=bbox))
    if truth is None:
        return target.rows, target.columns
    shared = [
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in ((target.rows, truth.rows), (target.columns, truth.columns))
    ]
    if any(s.start >= s.stop for s in shared):
        raise InputError(f"`bbox`: does not touch {truth.name}; give an area that both images cover")
    return shared[0], shared[1]


def _archives(path: Path) -> list[Path]:
    """Return the archives that ``path`` stands for; none where it can only be a Landsat product."""
    if not path.exists():
        raise InputError(
            f"{path}: no such file or folder; give .npz archives of Sentinel-2 imagery or a Landsat product"
        )
    if path.is_dir():
        return sorted(path.glob("*.npz"))
    return [path] if path.suffix == ".npz" else []


def _simulated(archives: list[list[Path]], disturbed: bool, warn: Callable[[str], None]) -> Imagery:
    loaded: list[tuple[Image, dict[str, str]]] = []
    paths = dict.fromkeys(path for paths in archives for path in paths)
    for path in paths:
        try:
            archive = load_archive(path)
        except InputError as error:
            if [path] in archives:  # asked for by its name
                raise
            warn(f"{error}; left out")
            continue
        large = [image for image in archive.images if min(image.stack.shape[1:]) >= _SMALLEST]
        if len(large) < archive.count:
            reason = f"smaller than {_SMALLEST} x {_SMALLEST} pixels or mostly nodata"
            warn(f"{path.name}: {archive.count - len(large)} of {archive.count} images left out ({reason})")
        loaded += [(image, strata_from_meta(archive.meta, image.index, archive.count)) for image in large]
    if not loaded:
        raise InputError("no image that could be scored; give .npz archives with x10, x20 and meta (docs/training.md)")
    if len({path.stem for path in paths}) < len(paths):
        raise InputError("two archives have one name; rename one, images are known by it")

    def cases() -> Iterator[Case]:
        for image, strata in loaded:
            conditions = validation_conditions(disturbed=disturbed, seed=image.index)
            pair = for_scoring(simulate_pair(image, conditions, image.index))
            yield Case(**vars(pair), strata=strata, simulated=True)

    return Imagery(mode="simulated", pixels=sum(image.stack[0].size for image, _ in loaded), cases=cases())


def _pieces(span: slice) -> list[slice]:
    """Cut ``span`` into equal pieces of no more than TILE."""
    edges = np.linspace(span.start, span.stop, -(-(span.stop - span.start) // TILE) + 1).astype(int).tolist()
    return [slice(a, b) for a, b in pairwise(edges)]


def _of_scene(scene: Scene, rows: slice, columns: slice, truth: Truth | None) -> Case:
    """Return a piece of a scene, with as much around it as is not scored."""
    wide = [
        slice(max(s.start - _MARGIN, 0), min(s.stop + _MARGIN, n))
        for s, n in zip((rows, columns), scene.shape, strict=True)
    ]
    pixels = scene.read(wide[0], wide[1])
    missing = np.asarray(np.isnan(pixels.ms).any(axis=0))
    usable = masks.usable(pixels.qa) & ~dilate(missing, _MARGIN)
    usable[:_MARGIN] = usable[-_MARGIN:] = usable[:, :_MARGIN] = usable[:, -_MARGIN:] = False
    fine = None
    if truth is not None:
        fine = truth.read(wide[0], wide[1])
        usable = enlarge(usable) & np.isfinite(fine)
    return Case(
        ms=pixels.ms,
        pan=pixels.pan,
        truth=fine,
        valid=usable,
        bands_known=(True,) * len(BANDS),
        id=f"{scene.product_id}_row{rows.start}_column{columns.start}",
        lattice=Lattice(),
        site=scene.name.location or scene.product_id,
        date=f"{scene.name.acquired:%Y-%m-%d}",
        sun_elevation=scene.pan_sun_elevation,
        strata={"season": quarter(scene.name.acquired.month)},
    )
