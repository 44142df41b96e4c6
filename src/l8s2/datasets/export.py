"""Patches of a set in other layouts: that of the Deep-Harmonization code, and folders of GeoTIFFs."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.arrays import Float, enlarge, fill_missing
from l8s2.datasets.set_pairs import ShardPairs, image_pair_of
from l8s2.errors import InputError
from l8s2.files import WholeFolder, fsync
from l8s2.optics import resample
from l8s2.patches.patch import Patch
from l8s2.patches.shard import DeferredErrorFile, hdf5
from l8s2.radiometry import NODATA, SCALE, encoded
from l8s2.raster import open_dataset
from l8s2.sensors import BAND_NAMES, OLI

Progress = Callable[[int, int], None]
"""Told how many of how many 10 m pixels are written."""


def export_deep_harmonization(
    pairs: ShardPairs, folder: Path, *, overwrite: bool = False, progress: Progress = lambda done, total: None
) -> Path:
    """Write ``patches.csv`` and ``patches/<tile>/<date>/<patch_id>.h5``.

    ``s2_image`` (6, 3h, 3w) int16 is reflectance x 10^4 with the offset taken off and the shift corrected, 0 where it
    does not count; ``l8_image`` (6, h, w) uint16 are Landsat's numbers, ``l8_zoomed`` (6, 3h, 3w) the same on
    Sentinel-2's pixels; ``l8_pan`` (2h, 2w) is reflectance *without* the sun's elevation, as the Deep-Harmonization
    weights know it. Whoever lays them corner upon corner errs by half a 10 m pixel. Raises InputError for patches
    without pan.
    """
    h5py = hdf5()
    with WholeFolder(folder, overwrite=overwrite, mark="patches.csv") as whole:
        header, lines = _index(pairs)
        for number, (index, line) in enumerate(zip(pairs.indices, lines, strict=True)):
            patch = pairs.patches.read(int(index))
            path = Path("patches", patch.facts.location, patch.facts.landsat_time[:10], f"{patch.id}.h5")
            line[header.index("pair_path")] = path.as_posix()
            (whole.workspace / path).parent.mkdir(parents=True, exist_ok=True)
            with DeferredErrorFile(whole.workspace / path, "w+") as target, h5py.File(target, "w") as file:
                for name, array in _deep_harmonization(patch).items():
                    file[name] = array
            fsync(whole.workspace / path)
            pixels = patch.s2_usable.size
            progress((number + 1) * pixels, len(lines) * pixels)
        return _finish(whole, header, lines)


def _deep_harmonization(patch: Patch) -> dict[str, Any]:
    facts, pair = patch.facts, image_pair_of(patch)
    if pair.pan is None:
        raise InputError(f"{patch.id}: has no pan, which the published layout needs; export geotiff instead")
    light = np.sin(np.radians(facts.landsat_sun_elevation))
    if np.isnan(light):
        raise InputError(
            f"{patch.id}: no sun elevation, by which pan is multiplied in the published layout; export geotiff instead"
        )
    truth = encoded(pair.truth)
    truth[truth == 0] = 1  # 0 is fill
    h, w = patch.box.shape
    rows, columns = (grid.output_centres_at_30m(3 * n) for n in (h, w))
    zoomed = np.where(enlarge(np.isnan(pair.ms)), np.nan, resample(fill_missing(pair.ms), rows, columns, 0.0))
    return {
        "s2_image": np.where(pair.valid, truth, np.int16(0)),
        "l8_image": _landsat_dn(pair.ms),
        "l8_zoomed": _landsat_dn(zoomed),
        "l8_pan": np.nan_to_num(pair.pan * np.float32(light)),
    }


def _landsat_dn(values: Float) -> np.ndarray[Any, Any]:
    """Reflectance as Collection 2 writes it; fill is 0."""
    dn = np.clip(np.rint((values.astype(np.float64) - OLI.sr_offset) / OLI.sr_scale), 1, 65535)
    return np.where(np.isnan(values), 0, dn).astype(np.uint16)


def export_geotiff(
    pairs: ShardPairs, folder: Path, *, overwrite: bool = False, progress: Progress = lambda done, total: None
) -> Path:
    """Write ``landsat``, ``sentinel2``, ``pan`` and ``valid`` with a ``<patch_id>.tif`` each, and ``patches.csv``.

    Reflectance x 10^4 in int16, six bands (pan one) described by our names; ``valid`` has six bands, 1 = counts.
    ``datasets.geotiffs.TiffPairs`` reads them.
    """
    with WholeFolder(folder, overwrite=overwrite, mark="patches.csv") as whole:
        header, lines = _index(pairs)
        for kind in ("landsat", "sentinel2", "valid"):
            (whole.workspace / kind).mkdir()
        for number, line in enumerate(lines):
            pair = pairs[number]
            assert pair.lattice is not None
            assert pair.lattice.ms is not None
            box, name = pair.lattice.ms, f"{pair.id}.tif"
            fine = grid.output_geobox(box)
            line[header.index("pair_path")] = f"landsat/{name}"
            _write_tiff(whole.workspace / "landsat" / name, pair.ms, box, BAND_NAMES)
            _write_tiff(whole.workspace / "sentinel2" / name, pair.truth, fine, BAND_NAMES)
            _write_tiff(whole.workspace / "valid" / name, pair.valid, fine, BAND_NAMES)
            if pair.pan is not None:
                (whole.workspace / "pan").mkdir(exist_ok=True)
                _write_tiff(whole.workspace / "pan" / name, pair.pan[None], grid.pan_geobox(box), ("pan",))
            pixels = pair.valid[0].size
            progress((number + 1) * pixels, len(lines) * pixels)
        return _finish(whole, header, lines)


def _write_tiff(path: Path, values: np.ndarray[Any, Any], box: GeoBox, names: tuple[str, ...]) -> None:
    import rasterio
    from rasterio.errors import RasterioError

    nodata = None if values.dtype == bool else NODATA
    stored = values.astype(np.uint8) if nodata is None else encoded(values)
    try:
        with rasterio.open(
            path, "w", driver="GTiff", count=len(stored), height=stored.shape[1], width=stored.shape[2],
            dtype=stored.dtype, crs=str(box.crs), transform=box.affine, nodata=nodata, compress="deflate", predictor=2,
        ) as file:  # fmt: skip
            file.write(stored)
            file.descriptions = names
            if nodata is not None:
                file.scales = (SCALE,) * len(stored)
        with open_dataset(path) as file:  # GDAL does not tell of all that fails
            file.read()
    except RasterioError:
        raise InputError(f"{path.name}: cannot be written (disk full?); make room, then run it again") from None
    fsync(path)


def _index(pairs: ShardPairs) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the patches chosen."""
    header, lines = pairs.patches.index()
    return header, [lines[i] for i in pairs.indices]


def _finish(whole: WholeFolder, header: list[str], lines: list[list[str]]) -> Path:
    path = whole.workspace / "patches.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *lines])
    fsync(path)
    return whole.publish()
