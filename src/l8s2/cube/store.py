"""A cube on disk: observations appear whole, one after the other, and what a killed call left is rolled back.

The metadata at the root are the truth. An observation is written into a hidden folder beside the cube, its chunks are
moved to where no reader looks yet, and the last file that is replaced is the root's ``zarr.json``, which holds the
metadata of every array (consolidated), also of those in the groups of the overviews.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2.cube import layout
from l8s2.cube.observation import About
from l8s2.errors import InputError, TryAgainError
from l8s2.files import WholeFolder, fsync, publish_file
from l8s2.sensors import N_BANDS
from l8s2.system.locks import lock

_META = "zarr.json"
_NEEDS = "needs zarr; install it with: pip install 'l8s2[cube]'"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def load_zarr() -> Any:
    """Import zarr. Raises InputError where it is not installed."""
    try:
        import zarr
    except ImportError:
        raise InputError(_NEEDS) from None
    return zarr


def _columns_of(about: About, longitude: float, factor: NDArray[Any], offset: float, why: str) -> dict[str, Any]:
    """Return the value of every column for an observation."""
    seconds = round((about.time - EPOCH).total_seconds())
    level = {f"sigma_level_{kind}": values for kind, values in zip(("absolute", "relative"), about.level, strict=True)}
    return {
        "time": seconds, "sensor": about.sensor, "platform": about.platform, "item_id": about.item_id,
        "orbit": about.orbit, "solar_day": int((seconds + 240 * longitude) // 86400), "boa_offset": offset,
        "boa_offset_why": why, "nbar_factor": factor, **level,
    }  # fmt: skip


class Cube:
    """A cube that exists."""

    def __init__(self, path: Path) -> None:
        """Read its metadata. Raises InputError for anything that is not a cube."""
        self.path = path
        zarr = load_zarr()
        try:
            root = json.loads((path / _META).read_text(encoding="utf-8"))
            self.attributes: dict[str, Any] = root["attributes"]
            known = self.attributes["l8s2:schema"]
            self._nodes: dict[str, Any] = root["consolidated_metadata"]["metadata"]
            shape, transform = self.attributes["spatial:shape"], self.attributes["spatial:transform"]
            self.box = GeoBox((shape[0], shape[1]), Affine(*transform), self.attributes["proj:code"])
            self.overviews = layout.overviews(self.box) if "multiscales" in self.attributes else {}
            """Groups of overviews, from fine to coarse, and their grids."""
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
            raise InputError(f"{path}: not a cube of l8s2; give a folder that l8s2 cube wrote") from None
        if known != layout.SCHEMA:
            raise InputError(
                f"{path}: of schema {known}, this l8s2 reads {layout.SCHEMA}; make it anew, or update l8s2"
            )
        with _readable(path):
            self.group = zarr.open_group(path, mode="r")
        """Zarr group, as it was when the cube was opened."""
        self.columns: dict[str, NDArray[Any]] = {name: self.read(name, ...) for name in layout.COLUMNS}
        """Values of each observation: (n,) or (n, 6)."""
        self._check()

    def _check(self) -> None:
        """Raise InputError unless every array is of one length and of its type."""
        shapes = {name: (len(self), N_BANDS) if c.by_band else (len(self),) for name, c in layout.COLUMNS.items()}
        known = {name: self.columns[name] for name in shapes}
        with _readable(self.path):
            if any(known[name].shape != shape for name, shape in shapes.items()):
                raise ValueError("columns of several lengths")
            if any(c.dtype not in ("string", str(known[name].dtype)) for name, c in layout.COLUMNS.items()):
                raise ValueError("columns of other types")
            if any(self.group[name].shape != (len(self), *box.shape) for name, box in self._layers()):
                raise ValueError("layers of another size")
            _ = self.times

    def _layers(self) -> Iterator[tuple[str, GeoBox]]:
        """Yield the path and the grid of every array of (time, y, x)."""
        yield from ((layer, self.box) for layer in layout.LAYERS)
        for name, box in self.overviews.items():
            yield from ((f"{name}/{layer}", box) for layer in layout.OVERVIEW_LAYERS)

    def read(self, name: str, at: Any) -> Any:
        """Return part of an array as it is stored. Raises InputError where it cannot be read."""
        with _readable(self.path):
            return self.group[name][at]

    def __len__(self) -> int:
        return len(self.columns["time"])

    @property
    def times(self) -> list[datetime]:
        """Times of the observations, UTC."""
        return [EPOCH + timedelta(seconds=int(seconds)) for seconds in self.columns["time"]]

    def roll_back(self) -> None:
        """Remove what a killed call left. For whoever holds the lock."""
        shutil.rmtree(_scratch(self.path), ignore_errors=True)
        for name, metadata in self._nodes.items():
            file = self.path / name / _META
            if name not in self.overviews and json.loads(file.read_text(encoding="utf-8")) != metadata:
                draft = file.with_suffix(".draft")
                draft.write_text(json.dumps(metadata, indent=2), encoding="utf-8")
                publish_file(draft, file)
        for name, _ in self._layers():
            for chunks in (self.path / name / "c").glob("[0-9]*"):
                if int(chunks.name) >= len(self):
                    shutil.rmtree(chunks)

    def append(
        self, about: About, factor: NDArray[Any], offset: float, why: str, fill: Callable[[Any, int], None]
    ) -> None:
        """Append an observation, which is visible when it is whole; read the cube anew afterwards.

        Args:
            about: what is known of it.
            factor: (6,) c-factors that its reflectance was multiplied with.
            offset: of its digital numbers.
            why: how the offset was decided.
            fill: writes its layers into a Zarr group at an index of time.
        """
        new = _columns_of(about, _longitude(self.box), factor, offset, why)
        columns = {name: np.concatenate([old, np.array([new[name]], old.dtype)]) for name, old in self.columns.items()}
        scratch = _scratch(self.path)
        _write(scratch, self.box, self.attributes, columns, lambda group: fill(group, len(self)))
        _merge(scratch, self.path)
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say in one line what Zarr, its codecs or NumPy make of damaged files."""
    try:
        yield
    except Exception as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); make the cube anew") from error


def create(
    path: Path,
    box: GeoBox,
    settings: dict[str, Any],
    observations: Sequence[About] = (),
    fill: Callable[[Any], None] = lambda _: None,
) -> None:
    """Write a cube, by default without observations.

    Args:
        path: where nothing is yet.
        box: its grid.
        settings: see ``layout.group_attributes``.
        observations: of known reflectance, not multiplied by c-factors.
        fill: writes their layers into a Zarr group.

    Raises InputError where something is there already.
    """
    load_zarr()
    longitude = _longitude(box)
    rows = [_columns_of(about, longitude, np.ones(N_BANDS), 0.0, "") for about in observations]
    columns = {}
    for name, column in layout.COLUMNS.items():
        dtype = np.dtypes.StringDType() if column.dtype == "string" else column.dtype
        columns[name] = np.array([row[name] for row in rows], dtype).reshape((-1, N_BANDS) if column.by_band else -1)
    with WholeFolder(path) as whole:
        _write(whole.workspace, box, layout.group_attributes(box, settings), columns, fill)
        whole.publish()


def _longitude(box: GeoBox) -> float:
    """Return that of its middle, degrees."""
    return float(box.geographic_extent.centroid.coords[0][0])


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on a cube. Raises TryAgainError while another process holds it."""
    with lock(path) as mine:
        if not mine:
            raise TryAgainError(f"{path}: another process is writing into it; try again when that has ended")
        yield


def _scratch(path: Path) -> Path:
    return path.absolute().with_name(f".{path.name}.append")


def _write(
    folder: Path,
    box: GeoBox,
    attributes: dict[str, Any],
    columns: dict[str, NDArray[Any]],
    fill: Callable[[Any], None],
) -> None:
    zarr = load_zarr()
    group = zarr.open_group(folder, mode="w", zarr_format=3, attributes=attributes)
    layout.make_arrays(group, box, columns)
    for name, coarser in (layout.overviews(box) if "multiscales" in attributes else {}).items():
        below = group.create_group(name, attributes=layout.overview_attributes(coarser))
        layout.make_arrays(below, coarser, columns, layout.OVERVIEW_LAYERS)
    fill(group)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consolidated metadata are not in the specification, readers may ignore them
        zarr.consolidate_metadata(folder)


def _merge(scratch: Path, cube: Path) -> None:
    """Move every file of ``scratch`` to its place, chunks first, then metadata of arrays, that of the root last."""
    files = [Path(here) / name for here, _, names in os.walk(scratch) for name in names]
    order = {scratch / _META: 2} | {file: 1 for file in files if file.name == _META and file.parent != scratch}
    for file in sorted(files, key=lambda file: (order.get(file, 0), file)):
        target = cube / file.relative_to(scratch)
        target.parent.mkdir(parents=True, exist_ok=True)
        fsync(file)
        file.replace(target)
        if file.name == _META:
            fsync(target.parent)
