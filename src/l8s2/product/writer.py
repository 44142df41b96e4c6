"""The only writer of products: a folder of cloud-optimised GeoTIFFs, a preview and a STAC Item, whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2.cog import DRAFT, CogFile, Encoding
from l8s2.deliveries.product_name import OURS
from l8s2.errors import TryAgainError
from l8s2.files import WholeFolder, fsync, write_whole
from l8s2.grid import BLOCK, footprint
from l8s2.product.preview import Preview
from l8s2.product.sink import Stored, disk_errors_explained
from l8s2.radiometry import NODATA, SCALE, decoded, encoded
from l8s2.sensors import BAND_NAMES, N_BANDS, RGB

if TYPE_CHECKING:
    from l8s2.product.stac import ItemInfo

SUFFIX = OURS
FILL_BIT = 1
"""QA of pixels that are not written."""

_REFLECTANCE = Encoding(dtype="int16", fill=NODATA, nodata=NODATA, scale=SCALE, overviews="average")
_QA = Encoding(dtype="uint16", fill=FILL_BIT, nodata=None, scale=None, overviews="mode")
_JOURNAL = "journal"
"""File beside the drafts that says what they are of."""
_COMPRESSED = 0.75
"""Size of deflated reflectance over its plain size."""


def estimate_bytes(geobox: GeoBox, sigma: bool = True) -> int:
    """Estimate the disk space that writing a product takes at its peak, for a grid full of valid pixels."""
    plain = 2 * geobox.shape[0] * geobox.shape[1]
    files = [N_BANDS * plain, N_BANDS * plain] if sigma else [N_BANDS * plain]
    drafts = sum(files) + plain // 8
    return int(_COMPRESSED * 2 * drafts * 4 / 3) + (8 << 20)


def product_folder(output: Path, product_id: str) -> Path:
    """Return the folder that a product gets."""
    return output / f"{product_id}{SUFFIX}"


class ProductWriter:
    """Writer of ``<output>/<product_id>_S2L/``; a context manager. Leaving it before ``finish`` removes everything.

    The folder appears under its name only when it is whole. Until then it grows in a hidden folder beside it.
    """

    def __init__(
        self,
        output: Path,
        product_id: str,
        geobox: GeoBox,
        *,
        sigma: bool = True,
        overwrite: bool = False,
        journal: str = "",
        resume: bool = False,
    ) -> None:
        """Check that the product can be written, without writing anything.

        Args:
            output: folder that gets the product; made where it does not exist.
            product_id: USGS product id of the Level-2 input.
            geobox: grid of the product, in any coordinate reference system.
            sigma: whether there is a SIGMA file.
            overwrite: replace a product of the same name, once the new one is whole.
            journal: everything that the samples depend on.
            resume: go on with what a killed writer of the same grid and ``journal`` has left.

        Raises:
            ExistsError: The product exists.
            TryAgainError: There is no room on the disk.
            InputError: It cannot be written.
        """
        str(output).encode()  # a UnicodeEncodeError for what is no text, before any work
        self.geobox = geobox
        self.name, self.product_id = f"{product_id}{SUFFIX}", product_id
        self._journal = f"{journal}\n{geobox}\n{sigma}\n"
        self._resume = resume
        self._whole = WholeFolder(output / self.name, overwrite=overwrite, adopt=self._adopt)
        self._output, self._sigma = output, sigma
        there = self._disk_folder()
        free, need = shutil.disk_usage(there).free, estimate_bytes(geobox, sigma)
        if free < need / 2:  # half: a scene may be mostly nodata
            room = f"{_size(free)} free, about {_size(need)} needed"
            raise TryAgainError(f"{there}: {room}; free some space or give another output folder")

    @property
    def workspace(self) -> Path:
        """Hidden folder, also for files that others need until the product is whole."""
        return self._whole.scratch

    def _disk_folder(self) -> Path:
        """Return the nearest folder that exists."""
        return next(path for path in (self._output, *self._output.absolute().parents) if path.exists())

    def __enter__(self) -> ProductWriter:
        self._files: dict[str, CogFile] = {}
        self._preview = Preview((self.geobox.shape[0], self.geobox.shape[1]))
        with self._disk():
            self._whole.__enter__()
        try:
            with self._disk():
                if not (self.workspace / _JOURNAL).exists():  # else it was adopted
                    write_whole(self.workspace / _JOURNAL, self._journal)
                self._create("surface_reflectance", "SR.tif", BAND_NAMES, _REFLECTANCE)
                if self._sigma:
                    self._create("sigma", "SIGMA.tif", BAND_NAMES, _REFLECTANCE)
                self._create("qa", "QA.tif", ("qa",), _QA)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _create(self, key: str, ending: str, bands: Sequence[str], encoding: Encoding) -> None:
        watch = self._show if key == "surface_reflectance" else None
        self._files[key] = CogFile(self._path(ending), self.geobox, bands, encoding, watch)

    def _adopt(self, folder: Path) -> bool:
        """Go on from the drafts of a killed writer, if they are of the same product; remove what else is there."""
        journal = folder / _JOURNAL
        if not (self._resume and journal.is_file() and journal.read_text(encoding="utf-8") == self._journal):
            return False
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != journal and path.suffix != DRAFT:
                path.unlink()
        return True

    def stored(self, rows: slice, columns: slice) -> Stored | None:
        """See TileSink."""
        if not all(file.holds(rows, columns) for file in self._files.values()):
            return None
        errors = self._files.get("sigma")
        samples = self._files["surface_reflectance"].stored(rows, columns)
        return Stored(decoded(samples), self._files["qa"].stored(rows, columns)[0], errors is None or errors.any_known)

    def _path(self, ending: str) -> Path:
        """Name a file in the hidden folder; it gets its final name with the folder, so that it never looks complete."""
        return self.workspace / f"{self.product_id}_{ending}.part"

    def write(
        self,
        rows: slice,
        columns: slice,
        mean: NDArray[np.float32],
        sigma: NDArray[np.float32] | None,
        qa: NDArray[np.uint16],
    ) -> None:
        """Write one window; windows in any order, no pixel twice. Pixels never written are nodata, and fill in QA.

        Args:
            rows: of the window, in pixels of the grid.
            columns: of the window, in pixels of the grid.
            mean: (6, h, w) reflectance, band order of ``sensors.BANDS``; NaN = nodata.
            sigma: (6, h, w) standard error, reflectance; NaN = nodata. Not needed where no SIGMA file was asked for.
            qa: (h, w) bits of ``masks.QA_BITS``.

        Raises InputError where the disk does not take it.
        """
        samples = encoded(mean)
        known = samples != NODATA
        with self._disk():
            self._files["surface_reflectance"].write(rows, columns, samples)
            if self._sigma:
                if sigma is None:
                    raise ValueError("sigma is None, but this product has a SIGMA file")
                errors = _errors(sigma, known)
                self._files["sigma"].write(rows, columns, errors)
            self._files["qa"].write(rows, columns, qa[None])

    def write_before(self, rows: slice, columns: slice, rgb: NDArray[np.float32]) -> None:
        """Show the input of a window in the preview.

        ``rgb``: (3, h', w') red, green, blue reflectance, NaN = nodata, of any shape; stretched over the window by
        nearest neighbour, so it may come at 30 m or at 10 m.
        """
        pixel = max(n for n in range(1, BLOCK + 1) if self._preview.step % n == 0)  # about one of each MS pixel
        height, width = rows.stop - rows.start, columns.stop - columns.start
        r, c = np.arange(-rows.start % pixel, height, pixel), np.arange(-columns.start % pixel, width, pixel)
        if not (r.size and c.size):
            return
        samples = encoded(rgb[:, (r * rgb.shape[1] // height)[:, None], c * rgb.shape[2] // width])
        top, left = rows.start + int(r[0]), columns.start + int(c[0])  # the same samples whatever the windows are
        self._preview.add("before", top, left, pixel, samples, (samples != NODATA).all(0))

    def _show(self, level: int, top: int, left: int, samples: NDArray[np.int16]) -> None:
        """Show a tile of reflectance in the preview, if it is of the level that is shown."""
        if level == self._preview.level:
            known = (samples[RGB] != NODATA).all(0)
            self._preview.add("after", top << level, left << level, 1 << level, samples[RGB], known)

    def finish(self, info: ItemInfo, progress: Callable[[int, int], None] = lambda _done, _total: None) -> Path:
        """Make the product whole and give it its name; returns its folder. Nothing can be written afterwards.

        ``progress`` is told (samples done, samples in all) of the files.

        Raises:
            ExistsError: Another process has made the product meanwhile.
            InputError: The disk does not take it; a product that was to be replaced is then still there.
        """
        from l8s2.product.stac import build_item
        from l8s2.product.uncertainty import tags_of

        with self._disk():
            total = sum(file.samples for file in self._files.values())
            done = 0
            progress(done, total)
            for key, file in self._files.items():
                file.finish(
                    lambda share, first=done, file=file: progress(first + int(share * file.samples), total),  # type: ignore[misc]
                    tags_of(key, info.uncertainty),
                )
                done += file.samples
            paths = {key: file.path for key, file in self._files.items()}
            paths["preview"] = self._path("preview.png")
            self._preview.save(paths["preview"])
            files = {key: (path, path.name.removesuffix(".part")) for key, path in paths.items()}
            encoding = {"data_type": "int16", "nodata": NODATA, "unit": "1", "raster:scale": SCALE, "raster:offset": 0}
            place = footprint(self.geobox, self._preview.known)
            item = build_item(self.name, self.geobox, place, info, files, encoding)
            json_path = self.workspace / f"{self.product_id}.json.part"
            json_path.write_text(json.dumps(item, indent=2, allow_nan=False) + "\n", encoding="utf-8")
            for path in (*paths.values(), json_path):
                fsync(path)
            for path in (*paths.values(), json_path):  # drafts and journal stay, for who goes on after a kill
                path.rename(self._whole.workspace / path.name.removesuffix(".part"))
            self._whole.publish()
        return self._output / self.name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        self._whole.__exit__(kind, error, trace)

    def _disk(self) -> AbstractContextManager[None]:
        return disk_errors_explained(self._refused)

    def _refused(self, reason: str) -> str:
        free, need = shutil.disk_usage(self._disk_folder()).free, estimate_bytes(self.geobox, self._sigma)
        return (
            f"{self._output}: {self.name} could not be written ({reason}; {_size(free)} left, about {_size(need)}"
            " needed in all); free some space or give another output folder"
        )


def _errors(sigma: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Return sigma as it is stored: at least one step, NODATA where it or the reflectance is unknown."""
    samples = encoded(sigma)
    low = samples < 1
    if low.any():
        samples[low & (samples != NODATA)] = 1
    if not known.all():
        samples[~known] = NODATA
    return samples


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 5e8 else f"{number / 1e6:.1f} MB"
