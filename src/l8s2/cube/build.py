"""Write a cube, or append to it: one observation after the other, each chunk by chunk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.arrays import windows
from l8s2.cube.layout import CHUNK, LAYERS
from l8s2.cube.observation import About, Opened, Source, clear, overlap, same_zone, touches
from l8s2.cube.overviews import write_overviews
from l8s2.cube.stac import collection_file, write_collection
from l8s2.cube.store import Cube, create, load_zarr, locked
from l8s2.datasets.brdf import c_factor, nbar
from l8s2.errors import InputError
from l8s2.progress import Progress
from l8s2.radiometry import encoded
from l8s2.sensors import N_BANDS
from l8s2.target import Area, ElsewhereError, Target, choose_target

_GDAL_CACHE = 128 << 20


class Written(NamedTuple):
    """What a call has done."""

    appended: tuple[str, ...]
    """Ids of the observations."""
    skipped: tuple[str, ...]
    observations: int
    """In the cube by now."""
    collection: Path


def build_cube(
    sources: Sequence[Source],
    path: Path,
    area: Area,
    *,
    to_nadir: bool = False,
    mask: bool = False,
    progress: Progress = lambda done, total, what: None,
    warn: Callable[[str], None] = lambda _: None,
) -> Written:
    """Write observations into a cube that is made where it is missing; those that are in it are skipped.

    After a kill the same call goes on: what is whole stays, what is not is rolled back.

    Args:
        sources: observations in order of time.
        path: folder of the cube; a STAC Collection is written beside it.
        area: what the cube covers, on Sentinel-2's 10 m lattice; by default all that ``sources`` cover.
        to_nadir: multiply reflectance with the c-factor of the mean view of the scene.
        mask: store no reflectance where pixels are not clear.
        progress: gets pixels.
        warn: gets a line for each observation that is skipped, and what else there is to say.

    Raises:
        InputError: zarr is not installed, an observation cannot be used, or the cube is of another area or made
            another way.
    """
    load_zarr()
    settings = {"nbar": to_nadir, "masked": mask, "bbox": list(area.bbox) if area.bbox else None}
    factors = {source.about.item_id: _factor(source.about, to_nadir) for source in sources}
    if not path.exists():
        box = _grid(sources, area)
        whole = area.grid is None and area.bbox is None
        _check_zone(sources if whole else [s for s in sources if touches(box, s.about.box)], box)
        if collection_file(path).exists():
            raise InputError(f"{collection_file(path)}: exists already; move it away, or give the cube another name")
        create(path, box, settings)
    with locked(path):
        cube = Cube(path)
        _check_same(cube, area, settings)
        cube.roll_back()
        wanted, skipped = _wanted(sources, cube, warn)
        _check_zone(wanted, cube.box)
        size = cube.box.shape[0] * cube.box.shape[1]
        try:
            for number, source in enumerate(wanted):
                watch = partial(_told, progress, number * size, len(wanted) * size)
                _append(Cube(path), source, factors[source.about.item_id], mask, watch)
        except Exception:
            if not len(Cube(path)):
                shutil.rmtree(path)
            raise
        cube = Cube(path)
        return Written(tuple(source.about.item_id for source in wanted), skipped, len(cube), write_collection(cube))


def _told(progress: Progress, before: int, total: int, done: int) -> None:
    progress(before + done, total, "writing")


def _factor(about: About, to_nadir: bool) -> NDArray[Any]:
    """Return the (6,) c-factors to a view from nadir under the sun of the observation."""
    if not to_nadir:
        return np.ones(N_BANDS)
    (elevation, sun), (zenith, azimuth) = about.sun, about.view
    if zenith == 0:
        return np.ones(N_BANDS)
    if elevation is None or sun is None or zenith is None or azimuth is None:
        raise InputError(
            f"{about.item_id}: its Item does not say where sun and sensor were; leave `nbar` out, or fetch it from a"
            " catalogue that states view:incidence_angle and view:azimuth"
        )
    return c_factor(90 - elevation, zenith, sun - azimuth)


def _grid(sources: Sequence[Source], area: Area) -> GeoBox:
    """Return the grid of a new cube: that of ``mgrs`` and ``like``, or in the zone of the first observation there."""
    if not sources:
        raise InputError("a new cube needs at least one observation; give products or images")
    if area.crs is not None:
        raise InputError("`crs`: a cube is on Sentinel-2's 10 m lattice; give `mgrs`, `like` or `bbox`")
    if area.grid is None and area.bbox is None:
        return _around(sources)
    there: list[Source] = []
    targets: list[Target] = []
    for source in sources:
        try:
            targets.append(_target([source], area))
            there.append(source)
        except ElsewhereError as error:
            outside = f"{source.about.item_id}: {error}"
    if not targets:
        raise ElsewhereError(outside if len(sources) == 1 else f"no observation lies in the area; {outside}")
    if area.bbox is not None:
        return _target(there, area).geobox
    for target in targets:
        if not target.warped:
            return target.geobox
    zone = grid.crs_name(there[0].about.box.crs)
    raise InputError(f"{targets[0].notes[0]}: a cube is not warped; give a grid on the 10 m lattice of {zone}")


def _target(sources: Sequence[Source], area: Area) -> Target:
    return choose_target(grid.snap(_around(sources).pad(3)), area)


def _around(sources: Sequence[Source]) -> GeoBox:
    """Return the grid around the observations that are in the zone of the first one."""
    boxes = [grid.landsat_convention(source.about.box) for source in sources]
    bounds = [box.boundingbox for box in boxes if box.crs == boxes[0].crs]
    left, bottom = min(b.left for b in bounds), min(b.bottom for b in bounds)
    right, top = max(b.right for b in bounds), max(b.top for b in bounds)
    a = boxes[0].affine
    shape = round((top - bottom) / a.a), round((right - left) / a.a)
    return grid.sentinel2_convention(GeoBox(shape, type(a)(a.a, 0, left, 0, a.e, top), boxes[0].crs))


def _check_zone(sources: Sequence[Source], box: GeoBox) -> None:
    for source in sources:
        if not same_zone(source.about.box, box):
            raise InputError(
                f"{source.about.item_id}: is in {source.about.box.crs}, the cube in {box.crs}; leave it out, or"
                " harmonise it with `like` or `mgrs` in that zone"
            )


def _check_same(cube: Cube, area: Area, settings: dict[str, Any]) -> None:
    there = cube.attributes["l8s2:settings"]
    for name in ("nbar", "masked"):
        if there[name] != settings[name]:
            what = "`nbar`" if name == "nbar" else "`mask`"
            raise InputError(
                f"{cube.path}: was made {'with' if there[name] else 'without'} {what}; do the same, or make another"
            )
    other = area.grid is not None and area.grid != cube.box
    if other or area.crs is not None or (settings["bbox"] is not None and settings["bbox"] != there["bbox"]):
        raise InputError(f"{cube.path}: covers another area; leave the area out to append to it, or make another cube")


def _wanted(sources: Sequence[Source], cube: Cube, warn: Callable[[str], None]) -> tuple[list[Source], tuple[str, ...]]:
    """Return what is to be appended, and the ids of what is not."""
    there, wanted, skipped = set(cube.columns["item_id"].tolist()), [], []
    for source in sources:
        about = source.about
        if about.item_id in there:
            warn(f"{about.item_id}: is in the cube already; skipped")
            skipped.append(about.item_id)
        elif not touches(cube.box, about.box):
            warn(f"{about.item_id}: lies outside the cube; skipped")
            skipped.append(about.item_id)
        else:
            wanted.append(source)
    if wanted and len(cube) and wanted[0].about.time < max(cube.times):
        warn(
            "some of what is appended is older than what is in the cube, so time is not in order;"
            ' sort with .sortby("time") on reading'
        )
    return wanted, tuple(skipped)


def _append(cube: Cube, source: Source, factor: NDArray[Any], mask: bool, progress: Callable[[int], None]) -> None:
    import rasterio

    with rasterio.Env(GDAL_CACHEMAX=_GDAL_CACHE), source.open(cube.box) as opened:

        def fill(group: Any, index: int) -> None:
            for rows, columns in windows((cube.box.shape[0], cube.box.shape[1]), CHUNK):
                window = cube.box[rows, columns]
                if overlap(window, source.about.box) is not None:
                    _write_window(group, (index, rows, columns), opened, window, factor, mask)
                progress(rows.start * cube.box.shape[1] + (rows.stop - rows.start) * columns.stop)
            write_overviews(group, index, cube.overviews)

        cube.append(source.about, factor, opened.offset, opened.offset_why, fill)


def _write_window(
    group: Any, at: tuple[int, slice, slice], opened: Opened, window: GeoBox, factor: NDArray[Any], mask: bool
) -> None:
    layers = opened.read(window)
    reflectance, detail = nbar(layers.reflectance, factor), nbar(layers.detail, factor)
    if mask:
        reflectance = np.where(clear(layers.qa), reflectance, np.float32(np.nan))
    detail = np.where(np.isfinite(reflectance), detail, np.float32(np.nan))
    for name, samples in zip(LAYERS, (*encoded(reflectance), *encoded(detail), layers.qa), strict=True):
        group[name][at] = samples
