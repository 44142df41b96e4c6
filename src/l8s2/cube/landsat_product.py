"""Products of l8s2 as observations of a cube."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.cube.observation import About, Layers, Opened, check_lattice, overlap, with_fill
from l8s2.deliveries.product_name import ProductName
from l8s2.errors import InputError
from l8s2.product.reader import RASTERS
from l8s2.product.writer import FILL_BIT
from l8s2.radiometry import LEVEL_ABSOLUTE, LEVEL_RELATIVE, NODATA, decoded, detail_sigma
from l8s2.raster import open_dataset
from l8s2.sensors import N_BANDS


@dataclass(frozen=True)
class LandsatProduct:
    """A product that ``l8s2 harmonize`` wrote."""

    about: About
    files: dict[str, Path]
    """``surface_reflectance``, ``qa``, and ``sigma`` where the product has it."""
    total: bool
    """Whether its sigma holds the level."""

    @contextmanager
    def open(self, area: GeoBox) -> Iterator[Opened]:
        """See ``Source``."""
        from rasterio.errors import RasterioError

        with ExitStack() as stack:
            try:
                rasters = {name: stack.enter_context(open_dataset(path)) for name, path in self.files.items()}
            except RasterioError:
                raise InputError(f"{self.about.item_id}: a raster cannot be opened; harmonise it again") from None
            for name, raster in rasters.items():
                if raster.count != (1 if name == "qa" else N_BANDS) or raster.shape != tuple(self.about.box.shape):
                    raise InputError(f"{self.files[name]}: is not as its Item says; harmonise the scene again")
            yield Opened(lambda window: self._read(rasters, window), 0.0, "")

    def _read(self, rasters: dict[str, Any], window: GeoBox) -> Layers:
        samples = np.full((N_BANDS, *window.shape), NODATA, np.int16)
        errors = samples.copy()
        qa = np.full(window.shape, FILL_BIT, np.uint16)
        there, here = overlap(window, self.about.box), overlap(self.about.box, window)
        if there is not None and here is not None:
            samples[:, *here] = self._window(rasters["surface_reflectance"], there)
            qa[here] = self._window(rasters["qa"], there)[0]
            if "sigma" in rasters:
                errors[:, *here] = self._window(rasters["sigma"], there)
        reflectance, detail = decoded(samples), decoded(errors)
        if self.total:
            detail = detail_sigma(reflectance, detail, *self.about.level)
        return Layers(reflectance, detail, with_fill(reflectance, qa))

    def _window(self, raster: Any, at: tuple[slice, slice]) -> NDArray[Any]:
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        try:
            values: NDArray[Any] = raster.read(window=Window.from_slices(*at))
        except RasterioError:
            raise InputError(f"{raster.name}: a block cannot be read; harmonise the scene again") from None
        return values


def landsat_product(path: Path, item: dict[str, Any]) -> LandsatProduct:
    """Describe a product by its Item, read from ``path``. Raises InputError for one that cannot be used."""
    try:
        properties, assets = item["properties"], item["assets"]
        files = {name: path.parent / assets[name]["href"] for name in RASTERS if name in assets}
        sigma = properties.get("l8s2:sigma") or {}
        shape, transform = properties["proj:shape"], properties["proj:transform"]
        box = GeoBox((shape[0], shape[1]), Affine(*transform[:6]), properties["proj:code"])
        time = datetime.fromisoformat(properties["datetime"]).astimezone(UTC).replace(microsecond=0)
        about = About(
            item_id=item["id"], time=time, sensor="oli", platform=properties["platform"],
            orbit=_path(item), box=grid.sentinel2_convention(box),
            level=(
                tuple(map(float, sigma.get("level_absolute", LEVEL_ABSOLUTE))),
                tuple(map(float, sigma.get("level_relative", LEVEL_RELATIVE))),
            ),
            sun=(properties.get("view:sun_elevation"), properties.get("view:sun_azimuth")),
            view=(0.0, 0.0),
        )  # fmt: skip
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise InputError(f"{path}: not the Item of a product ({error}); harmonise the scene again") from None
    check_lattice(str(path), box)
    missing = [str(file) for file in files.values() if not file.is_file()] or [
        name for name in ("surface_reflectance", "qa") if name not in files
    ]
    if missing or any(len(level) != N_BANDS or not all(map(math.isfinite, level)) for level in about.level):
        raise InputError(f"{path}: lacks {', '.join(missing) or 'its level'}; harmonise the scene again")
    return LandsatProduct(about, files, sigma.get("kind") == "total")


def _path(item: dict[str, Any]) -> int:
    """Return the WRS-2 path by the names of the product and its inputs; -1 of tiles of ARD, which have none."""
    texts = item["id"], *(file["name"] for file in item["properties"].get("l8s2:inputs", ()))
    names = (ProductName.find(text) for text in texts)
    return next((name.path for name in names if name and not name.region), -1)
