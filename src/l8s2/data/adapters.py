"""Sources of pairs behind ``data.dataset.Pairs``: our own sets, folders of GeoTIFFs, simulated and published pairs."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2.data.brdf import c_factor, nbar
from l8s2.data.dataset import Lattice, Sample, inner, moved
from l8s2.data.patch import Facts, Patch, reflectance
from l8s2.data.patches import PatchSet
from l8s2.errors import InputError
from l8s2.grid import landsat_convention
from l8s2.sensors import BAND_NAMES, MS_GSD, OUTPUT_GSD, PAN_GSD
from l8s2.tiling import Float, Mask, enlarge

if TYPE_CHECKING:
    from l8s2.data.published import Patches
    from l8s2.training.imagery import Crops


class ShardPairs:
    """Patches of a set that l8s2 has built, all of them or those on one side, in the order of their ids."""

    nbar = False
    """Whether both images are given as seen from nadir, see ``seen_from_nadir``."""

    def __init__(self, folder: Path, side: str | None = None) -> None:
        """Raises InputError where there is no set, or nothing in it or on that side."""
        self.patches = PatchSet(folder)
        names = self.patches.facts["patch_id"]
        self.indices = np.arange(len(names))
        where, remedy = "", "build some, and put them on sides with l8s2 dataset split"
        if side is not None:
            sides = self.patches.sides()
            of = [sides[name].pair_type if name in sides else "" for name in names]
            self.indices = np.flatnonzero([name == side for name in of])
            where = f" on side {side}"
            if there := sorted({name for name in of if name}):
                remedy = f"it has patches on {', '.join(there)}"
        if not self.indices.size:
            raise InputError(f"{folder}: no patches{where}; {remedy}")

    def column(self, name: str) -> NDArray[np.float64]:
        """Numbers of a column of the index, one for each patch; NaN where not known. Raises InputError where there is no such."""
        facts = self.patches.facts
        numbers = [n for n in facts.dtype.names or () if facts.dtype[n] == np.float64]
        if name not in numbers:
            raise InputError(f"{self.patches.folder}: no column {name} of numbers; it has {', '.join(numbers)}")
        values: NDArray[np.float64] = facts[name][self.indices]
        return values

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Leave out the patches where ``kept`` (len(self),) is False."""
        self.indices = self.indices[kept]

    @property
    def fingerprint(self) -> str:
        """Of the ids in order, and of names and sizes of the files that hold them."""
        rows = self.patches.facts[self.indices]
        files = {unit: (self.patches.shards / f"{unit}.h5").stat().st_size for unit in sorted(set(rows["unit"]))}
        return hashlib.sha256(repr([list(rows["patch_id"]), files]).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        patch = self.patches.read(int(self.indices[index]))
        sample = sample_of(patch)
        return seen_from_nadir(sample, patch.facts) if self.nbar else sample


def sample_of(patch: Patch) -> Sample:
    """A patch as reflectance on the lattice of its MS pixels.

    Sentinel-2's 20 m bands are interpolated; all of it is moved by the shift measured where the decision is to correct it.
    What has been interpolated does not count within 40 m of clouds, fill and the border.
    """
    facts = patch.facts
    correct = facts.decision == "correct"
    down, right = (facts.shift_down_m, facts.shift_right_m) if correct else (0.0, 0.0)
    fine, coarse = (reflectance(dn, facts.s2_scale, facts.s2_offset) for dn in (patch.s2_10m[:3], patch.s2_20m))
    known = np.stack([complete(fine), enlarge(complete(coarse), 2)]) & patch.s2_usable
    down, right = down / OUTPUT_GSD, right / OUTPUT_GSD
    known[1] = inner(known[1], down, right)
    if correct:
        fine, known[0] = moved(fine, down, right), inner(known[0], down, right)
    coarse = moved(coarse, down / 2 - 0.25, right / 2 - 0.25, step=0.5)
    ms = reflectance(patch.ms, facts.ms_scale, facts.ms_offset)
    return Sample(
        ms=ms,
        pan=None if patch.pan is None else reflectance(patch.pan, facts.pan_scale, facts.pan_offset),
        truth=np.concatenate([fine, coarse]),
        valid=np.repeat(known & enlarge(patch.landsat_usable & complete(ms)), 3, axis=0),
        bands_known=(True,) * 6,
        id=patch.id,
        lattice=Lattice(ms=patch.box),
        place=facts.location,
        date=facts.landsat_time,
        sun_elevation=facts.landsat_sun_elevation if np.isfinite(facts.landsat_sun_elevation) else None,
    )


def seen_from_nadir(sample: Sample, facts: Facts) -> Sample:
    """Both images as seen from nadir under Landsat's sun, by the c-factors of ``brdf`` for the scenes' mean directions.

    Raises InputError where a direction is not known.
    """
    factors = []
    for name in ("landsat", "sentinel2"):
        elevation, sun, zenith, view = (
            float(getattr(facts, f"{name}_{angle}"))
            for angle in ("sun_elevation", "sun_azimuth", "view_zenith", "view_azimuth")
        )
        apart = 0.0 if zenith == 0 else sun - view
        if not np.isfinite([elevation, zenith, apart]).all():
            raise InputError(
                f"{sample.id}: its catalogue does not say where {name} looked from; leave nbar out, or build from another"
            )
        factors.append(c_factor(90 - elevation, zenith, apart, 90 - facts.landsat_sun_elevation))
    return replace(sample, ms=nbar(sample.ms, factors[0]), truth=nbar(sample.truth, factors[1]))


def complete(image: Float) -> Mask:
    """(bands, h, w) -> (h, w), True where every band has a value."""
    return np.asarray(np.isfinite(image).all(axis=0))


class Image(NamedTuple):
    """What a GeoTIFF holds."""

    values: Float
    """(bands, h, w) reflectance, NaN is nodata."""
    box: GeoBox | None
    """None where it has no position on the ground."""
    names: tuple[str, ...]
    """Band descriptions, '' where there are none."""


def read_tiff(path: Path, rows: slice = slice(None), columns: slice = slice(None), scale: float | None = None) -> Image:
    """Read a window of a GeoTIFF.

    Args:
        path: of the file.
        rows, columns: of the window; all by default.
        scale: reflectance of one digital number, for files of integers that do not say it themselves.

    Raises InputError for what cannot be read, and for integers of unknown scale.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.windows import Window

    try:
        with warnings.catch_warnings(), rasterio.open(path, driver="GTiff") as file:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            (top, bottom, _), (left, right, _) = rows.indices(file.height), columns.indices(file.width)
            window = Window(left, top, right - left, bottom - top)
            stored = file.read(window=window)
            known = np.isfinite(stored) if file.nodata is None else np.isfinite(stored) & (stored != file.nodata)
            scales, offsets = np.array(file.scales), np.array(file.offsets)
            georeferenced = file.crs is not None and not file.transform.is_identity
            transform, crs = file.transform * Affine.translation(left, top), str(file.crs)
            names = tuple(name or "" for name in file.descriptions)
    except (RasterioError, OSError) as error:
        raise InputError(f"{path}: not a readable GeoTIFF ({error}); copy it again") from None
    if stored.dtype.kind in "iu" and (scales == 1).all():
        if scale is None:
            raise InputError(
                f"{path}: {stored.dtype} without a scale; set it in the file (reflectance = scale * number)"
            )
        scales = scales * scale
    values = stored * scales[:, None, None] + offsets[:, None, None]
    box = GeoBox(stored.shape[1:], transform, crs) if georeferenced else None
    return Image(np.where(known, values, np.nan).astype(np.float32), box, names)


class TiffPairs:
    """Folders of GeoTIFFs with equal names: 30 m against 10 m, with 15 m pan and masks where there are such."""

    def __init__(
        self,
        ms: Path,
        truth: Path,
        pan: Path | None = None,
        valid: Path | None = None,
        bands: Sequence[str] | None = None,
    ) -> None:
        """Check the names.

        Args:
            ms, truth: folders of reflectance, bands as ``bands``; truth has three times the pixels of ms.
            pan: folder of one band, twice the pixels of ms.
            valid: folder of one band or as many as truth has: not 0 = counts.
            bands: our names of the bands, in the order of the files; None takes the files' descriptions, or six bands as ours.

        Raises InputError where a folder has no files, or a file no partner.
        """
        self.folders = {"ms": ms, "truth": truth, "pan": pan, "valid": valid}
        self.bands = bands
        names = {kind: _names(folder) for kind, folder in self.folders.items() if folder is not None}
        for kind, found in names.items():
            if odd := found ^ names["ms"]:
                raise InputError(f"{min(odd)}: only in one of {ms} and {self.folders[kind]}; each needs its partner")
        self.names = sorted(names["ms"])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        found = {
            k: read_tiff(f / self.names[index], scale=1.0 if k == "valid" else None)
            for k, f in self.folders.items()
            if f
        }
        ms, truth, name = found["ms"], found["truth"], f"{self.folders['ms']}/{self.names[index]}"
        h, w = ms.values.shape[1:]
        for kind, times in (("truth", 3), ("pan", 2), ("valid", 3)):
            if kind in found and found[kind].values.shape[1:] != (times * h, times * w):
                raise InputError(
                    f"{name}: {h} x {w} pixels, {kind} {found[kind].values.shape[1:]}; that must be {times} times as many"
                )
        placed, known = (self._six(image, name) for image in (ms, truth))
        bands = [bool(np.isfinite(band).any()) for band in known]
        valid = np.isfinite(known) & enlarge(complete(placed[bands]))
        if "valid" in found:
            mask = found["valid"].values
            valid &= (self._six(found["valid"], name) if len(mask) > 1 else mask) > 0
        return Sample(
            ms=placed,
            pan=found["pan"].values[0] if "pan" in found else None,
            truth=known,
            valid=valid,
            bands_known=tuple(bands),
            id=Path(self.names[index]).stem,
            lattice=lattice_of(ms.box, truth.box, found["pan"].box if "pan" in found else None),
        )

    def _six(self, image: Image, name: str) -> Float:
        """(6, h, w), NaN for bands that are not there."""
        names = self.bands or (image.names if any(image.names) else BAND_NAMES)
        if len(names) != len(image.values) or not set(names) <= set(BAND_NAMES):
            raise InputError(
                f"{name}: {len(image.values)} bands, {' '.join(names)}; describe them as {' '.join(BAND_NAMES)}"
            )
        result = np.full((6, *image.values.shape[1:]), np.nan, np.float32)
        result[[BAND_NAMES.index(band) for band in names]] = image.values
        return result


def _names(folder: Path) -> set[str]:
    found = {p.name for p in folder.glob("*") if p.suffix.lower() in (".tif", ".tiff")} if folder.is_dir() else set()
    if not found:
        raise InputError(f"{folder}: no .tif files; give the folder that holds them")
    return found


def lattice_of(ms: GeoBox | None, truth: GeoBox | None, pan: GeoBox | None) -> Lattice | None:
    """Where the arrays lie by their georeferences; None where one has none, or they are of two zones or other pixel sizes."""
    if ms is None or truth is None:
        return None
    boxes = [landsat_convention(ms), landsat_convention(truth), landsat_convention(pan or ms)]
    for box, gsd in zip(boxes, (MS_GSD, OUTPUT_GSD, PAN_GSD if pan else MS_GSD), strict=True):
        if box.crs != boxes[0].crs or not np.allclose(box.affine[:6:4], (gsd, -gsd)) or box.affine.b:
            return None
    a, b, c = (box.affine for box in boxes)
    edge, half = (MS_GSD - OUTPUT_GSD) / 4, (MS_GSD - PAN_GSD) / 2 if pan else 0.0
    return Lattice(
        ms=ms,
        truth_off=_tidy(a.f - edge - b.f, b.c - edge - a.c),
        pan_off=_tidy(a.f - half - c.f, c.c - half - a.c),
    )


def _tidy(*metres: float) -> tuple[float, float]:
    """Without the rounding errors of coordinates."""
    down, right = (round(float(value), 3) + 0.0 for value in metres)
    return down, right


def oli2msi(folder: Path, part: str = "train") -> TiffPairs:
    """OLI2MSI (Wang et al. 2021): red, green, blue; ``part`` is ``train`` or ``test``."""
    return TiffPairs(folder / f"{part}_lr", folder / f"{part}_hr", bands=("red", "green", "blue"))


class SimulatedPairs:
    """A fixed number of simulated pairs; the same index is always the same pair."""

    def __init__(self, crops: Crops, count: int) -> None:
        self.crops, self.count = crops, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        step, number = divmod(range(self.count)[index], self.crops.batch)
        batch = self.crops(step, slice(number, number + 1))
        assert batch.pan is not None
        arrays = batch.ms[0], batch.pan[0, 0], batch.truth[0], batch.valid[0]
        return _of_arrays(*arrays, f"simulated_{index:06d}", Lattice())


class PublishedPairs:
    """The patches of the published system as ``data.published`` reads them: all three arrays at 10 m."""

    def __init__(self, patches: Patches) -> None:
        self.patches = patches

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: int) -> Sample:
        patch = self.patches[index]
        return _of_arrays(patch.ms, patch.pan[0], patch.truth, patch.valid, self.patches.ids[index], None)


def _of_arrays(ms: Float, pan: Float, truth: Float, valid: Mask, name: str, lattice: Lattice | None) -> Sample:
    known = tuple(bool(band.any()) for band in valid)
    return Sample(ms=ms, pan=pan, truth=truth, valid=valid, bands_known=known, id=name, lattice=lattice)
