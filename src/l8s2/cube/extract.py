"""The series of fields out of a cube, as a long table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l8s2.arrays import Float
from l8s2.cube.fields import Field, Kind, read_fields
from l8s2.cube.layout import CHUNK, SIGMA
from l8s2.cube.observation import clear
from l8s2.cube.plot import check_plot, save_plot
from l8s2.cube.statistics import Mean, field_mean, index_of, native_blocks
from l8s2.cube.store import Cube
from l8s2.cube.table import Row, open_table
from l8s2.errors import InputError
from l8s2.progress import Progress
from l8s2.radiometry import decoded
from l8s2.sensors import BAND_NAMES, BANDS, MS_GSD

_NONE = np.float32(np.nan)


def extract(
    path: Path,
    fields: Path,
    kind: Kind,
    output: Path,
    *,
    indices: Sequence[str] = (),
    id_property: str | None = None,
    plot: Path | None = None,
    overwrite: bool = False,
    progress: Progress = lambda done, total, what: None,
    warn: Callable[[str], None] = lambda _: None,
) -> int:
    """Write means of fields, their standard errors and clear fractions, and return the number of rows.

    Rows of one field stand together in order of time; fields are in order of where they lie in the cube.

    Args:
        path: folder of the cube.
        fields: GeoJSON in WGS 84.
        kind: what its features are; a point is the pixel it lies in.
        output: ``.csv`` or ``.parquet``.
        indices: of ``statistics.INDICES``, besides the six bands.
        id_property: see ``read_fields``.
        plot: ``.png`` or ``.svg`` in which the indices are drawn, or the six bands where there are none.
        overwrite: replace existing files.
        progress: gets fields times observations.
        warn: gets a line for each field outside the cube.

    Raises:
        InputError: Something cannot be read or written, no field touches the cube, or too many are to be drawn.
    """
    cube = Cube(path)
    found = read_fields(fields, kind, cube.box, id_property)
    for field in found:
        if not field.weights.size:
            warn(f"{field.id}: lies outside the cube; left out")
    inside = [field for field in found if field.weights.size]
    if not inside:
        raise InputError(f"{fields}: nothing in it touches the cube {path}; give fields of its area")
    if not len(cube):
        raise InputError(f"{path}: holds no observation yet; append some with l8s2 cube")
    n, done, bands, drawn = 0, 0, tuple(indices) or BAND_NAMES, list[Row]()
    if plot:  # what forbids it is said before any work is done
        check_plot(plot, len(inside), len(bands), overwrite=overwrite)
    with open_table(output, overwrite=overwrite) as table:
        for group in _neighbours(inside):
            rows = _rows(cube, group, indices)
            table.write(rows)
            n, done = n + len(rows), done + len(group)
            drawn += [row for row in rows if plot and row["band"] in bands]
            progress(done * len(cube), len(inside) * len(cube), "extracting")
    if plot:
        order = [field.id for field in inside]
        drawn.sort(key=lambda row: order.index(row["id"]))
        save_plot(drawn, plot, f"{path.stem}: {kind} of {fields.name}")
    return n


def _neighbours(fields: list[Field]) -> Iterator[list[Field]]:
    """Yield the fields that begin in the same chunk, so that chunks are read together."""
    groups: dict[tuple[int, int], list[Field]] = {}
    for field in fields:
        groups.setdefault((field.rows.min() // CHUNK, field.columns.min() // CHUNK), []).append(field)
    yield from (groups[key] for key in sorted(groups))


def _rows(cube: Cube, group: list[Field], indices: Sequence[str]) -> list[Row]:
    """Return the rows of fields that lie together."""
    rows, columns = (
        slice(min(at.min() for at in ways), max(at.max() for at in ways) + 1)
        for ways in ([f.rows for f in group], [f.columns for f in group])
    )
    blocks = [
        {gsd: native_blocks(field.rows, field.columns, cube.box, gsd) for gsd in (MS_GSD, 20, 10)} for field in group
    ]
    by_field: list[list[Row]] = [[] for _ in group]
    for time in np.argsort(cube.columns["time"], kind="stable"):
        at = int(time), rows, columns
        image, errors, qa = _read(cube, at)
        common = _common(cube, int(time))
        level = np.stack([cube.columns[f"sigma_level_{kind}"][time] for kind in ("absolute", "relative")], axis=1)
        for number, field in enumerate(group):
            pixels = field.rows - rows.start, field.columns - columns.start
            seen = clear(qa[pixels]) & np.isfinite(image[:, *pixels]).all(0)
            means = [
                field_mean(
                    image[b][pixels], errors[b][pixels], field.weights, seen,
                    blocks[number][MS_GSD if common["sensor"] == "oli" else band.sentinel2_gsd], level[b],
                )
                for b, band in enumerate(BANDS)
            ]  # fmt: skip
            fraction = float(field.weights[seen].sum() / field.size)
            named = [*zip(BAND_NAMES, means, strict=True), *((name, index_of(name, means)) for name in indices)]
            by_field[number] += [_row(field.id, common, name, mean, fraction) for name, mean in named]
    return [row for of_field in by_field for row in of_field]


def _read(cube: Cube, at: tuple[int, slice, slice]) -> tuple[Float, Float, NDArray[np.uint16]]:
    image = np.stack([decoded(cube.read(name, at)) for name in BAND_NAMES])
    if cube.columns["sensor"][at[0]] != "oli":
        return image, np.broadcast_to(_NONE, image.shape), cube.read("qa", at)
    return image, np.stack([decoded(cube.read(SIGMA.format(name), at)) for name in BAND_NAMES]), cube.read("qa", at)


def _common(cube: Cube, time: int) -> dict[str, Any]:
    said = {name: str(cube.columns[name][time]) for name in ("sensor", "platform", "item_id")}
    return {"time": cube.times[time].strftime("%Y-%m-%dT%H:%M:%SZ"), **said}


def _row(name: str, common: dict[str, Any], band: str, mean: Mean, clear_fraction: float) -> Row:
    return {
        "id": name, **common, "band": band, "mean": float(mean.mean), "n_eff": float(mean.n_eff),
        "sigma": float(mean.sigma), "sigma_detail": float(mean.detail), "sigma_level": float(mean.level),
        "clear_fraction": min(clear_fraction, 1.0),
    }  # fmt: skip
