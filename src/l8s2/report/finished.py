"""A finished product, opened for reading. What its Item says is taken for text of a stranger."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from l8s2.deliveries.product_name import ProductName
from l8s2.errors import InputError
from l8s2.product.reader import open_product
from l8s2.product.writer import SUFFIX
from l8s2.radiometry import NODATA
from l8s2.raster import open_dataset
from l8s2.sensors import N_BANDS

AGAIN = "make the product again"
_LARGEST_SIDE = 1 << 17
_RASTERS = {"surface_reflectance": (N_BANDS, "int16"), "sigma": (N_BANDS, "int16"), "qa": (1, "uint16")}
"""Asset -> bands and type of its samples."""


_MOST_SCENES = 30


class SceneFacts(NamedTuple):
    """What an Item says of a Landsat scene that the product was made from."""

    name: ProductName | None
    """By its id; None where the Item does not say it."""
    pan_id: str | None
    """USGS id of the product that pan came from."""
    properties: dict[str, Any]

    def facts(self, name: str) -> dict[str, Any]:
        """Return a property that is an object; empty where it is not."""
        return facts_in(self.properties, name)


def facts_in(properties: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a property that is an object; empty where it is not."""
    value = properties.get(name)
    return value if isinstance(value, dict) else {}


class Item:
    """A STAC Item as it was found; whatever is missing, or not of its kind, is None or empty."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.id = str(found.get("id"))
        self.properties: dict[str, Any] = found["properties"]
        self.assets: dict[str, Any] = found["assets"]
        links = found.get("links")
        self._links = links if isinstance(links, list) else []
        box = found.get("bbox")
        sides = [number(v) for v in box] if isinstance(box, list) else []
        known = [v for v in sides if v is not None]
        self.bbox = (known[0], known[1], known[2], known[3]) if len(known) == len(sides) == 4 else None
        """West, south, east, north, WGS 84 degrees."""

    def text(self, name: str) -> str | None:
        """Return a property that is a text."""
        value = self.properties.get(name)
        return value if isinstance(value, str) else None

    def texts(self, name: str) -> list[str]:
        """Return a property that is a list of texts."""
        value = self.properties.get(name)
        return [line for line in value if isinstance(line, str)] if isinstance(value, list) else []

    def facts(self, name: str) -> dict[str, Any]:
        """Return a property that is an object; empty where it is not."""
        return facts_in(self.properties, name)

    def asset(self, key: str) -> dict[str, Any]:
        """Return an asset; empty where there is none."""
        value = self.assets.get(key)
        return value if isinstance(value, dict) else {}

    @property
    def scenes(self) -> list[SceneFacts]:
        """The Landsat scenes it was made from, at least one."""
        listed = self.properties.get("l8s2:scenes")
        several = [facts for facts in listed if isinstance(facts, dict)] if isinstance(listed, list) else []
        if several:
            return [
                SceneFacts(ProductName.parse(str(facts.get("id"))), _id_in(str(facts.get("pan_id"))), facts)
                for facts in several[:_MOST_SCENES]
            ]
        return [SceneFacts(ProductName.parse(self.id.removesuffix(SUFFIX)), self._linked_pan(), self.properties)]

    def _linked_pan(self) -> str | None:
        """USGS id of the Level-1 product that pan came from, by the links."""
        names = [ProductName.find(str(link.get("href"))) for link in self._links if isinstance(link, dict)]
        return next((name.id for name in names if name and name.level.startswith("L1")), None)


def _id_in(text: str) -> str | None:
    found = ProductName.find(text)
    return found.id if found else None


def number(value: object) -> float | None:
    """Return a finite number; None for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer beyond all floats
        return None


class Finished:
    """The rasters of a product, on one grid; a context manager."""

    def __init__(self, folder: Path) -> None:
        """Open the product in ``folder``. Raises InputError for one that is damaged."""
        import rasterio

        product = open_product(folder)
        self.folder, self.geobox, self.paths = folder, product.geobox, dict(product.rasters)
        self.item = Item(product.item)
        preview = folder / Path(str(self.item.asset("preview").get("href"))).name
        if preview.is_file():
            self.paths["preview"] = preview
        self.shape: tuple[int, int] = (self.geobox.shape[0], self.geobox.shape[1])
        self._files: dict[str, Any] = {}
        with ExitStack() as stack:
            for key, path in self.paths.items():
                size, said = path.stat().st_size, number(self.item.asset(key).get("file:size"))
                if said is not None and size != said:
                    raise InputError(f"{path}: {size} bytes, its Item says {said:.0f}; copy it again, or {AGAIN}")
                if key != "preview":
                    self._files[key] = stack.enter_context(self._opened(rasterio, key, path))
            self._stack = stack.pop_all()
        sigma = self.item.facts("l8s2:sigma")
        self.sigma_kind = (
            "none" if "sigma" not in self._files or sigma.get("kind") == "none" else str(sigma.get("kind"))
        )
        """``total``, ``detail``, ``none`` where there is no standard error."""

    def _opened(self, rasterio: Any, key: str, path: Path) -> Any:
        with _readable(path):
            file = open_dataset(path)
        bands, dtype = _RASTERS[key]
        if file.count != bands or set(file.dtypes) != {dtype} or max(file.shape) > _LARGEST_SIDE:
            raise InputError(f"{path}: not a file {key} of l8s2; {AGAIN}")
        if (file.shape, str(file.crs)) != (self.shape, str(self.geobox.crs)) or file.transform != self.geobox.affine:
            raise InputError(f"{path}: not on the grid of the reflectance; {AGAIN}")
        return file

    def read(self, key: str, rows: slice, columns: slice) -> NDArray[Any]:
        """Read a window of ``surface_reflectance``, ``sigma`` or ``qa`` as it is stored, (bands, h, w)."""
        file = self._files[key]
        window = ((rows.start, rows.stop), (columns.start, columns.stop))
        with _readable(Path(file.name)):
            samples: NDArray[Any] = file.read(window=window)
        return samples

    def reduced(self, key: str, bands: list[int], shape: tuple[int, int]) -> NDArray[np.int16]:
        """Read means of known pixels from the overviews, (len(bands), *shape); ``bands`` from 0."""
        from rasterio.enums import Resampling

        file = self._files[key]
        with _readable(Path(file.name)):
            samples: NDArray[np.int16] = file.read(
                [band + 1 for band in bands], out_shape=(len(bands), *shape), resampling=Resampling.average,
                masked=True, fill_value=NODATA,
            ).filled(NODATA)  # fmt: skip
        return samples

    def __enter__(self) -> Finished:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    try:
        yield
    except (RasterioError, CPLE_BaseError) as error:
        raise InputError(f"{path}: cannot be read, it is damaged or no GeoTIFF; copy it again, or {AGAIN}") from error
