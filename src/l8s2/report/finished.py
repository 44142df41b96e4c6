"""A finished product, opened for reading. What its Item says is taken for text of a stranger."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2.errors import InputError
from l8s2.landsat.product_name import ProductName
from l8s2.product.writer import SUFFIX
from l8s2.radiometry import NODATA
from l8s2.sensors import N_BANDS

AGAIN = "make the product again"
_LARGEST_ITEM = 1 << 20
_LARGEST_SIDE = 1 << 17
_RASTERS = {"surface_reflectance": (N_BANDS, "int16"), "sigma": (N_BANDS, "int16"), "qa": (1, "uint16")}
"""Asset -> bands and type of its samples."""


@dataclass(frozen=True)
class Item:
    """A STAC Item as it was found; whatever is missing, or not of its kind, is None."""

    id: str
    properties: dict[str, Any]
    assets: dict[str, Any]
    bbox: tuple[float, float, float, float] | None
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
        value = self.properties.get(name)
        return value if isinstance(value, dict) else {}

    def asset(self, key: str) -> dict[str, Any]:
        """Return an asset; empty where there is none."""
        value = self.assets.get(key)
        return value if isinstance(value, dict) else {}

    @property
    def scene(self) -> ProductName | None:
        """The Landsat product it was made from, by its id."""
        return ProductName.parse(self.id.removesuffix(SUFFIX))

    @property
    def pan_id(self) -> str | None:
        """USGS id of the product that pan came from, by the last word on the inputs."""
        _, _, rest = (self.text("processing:lineage") or "").partition(" and the panchromatic band of ")
        found = ProductName.find(rest)
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

        self.folder = folder
        self.item = read_item(folder)
        self._files: dict[str, Any] = {}
        with ExitStack() as stack:
            for key, (bands, dtype) in _RASTERS.items():
                path = self.path_of(key)
                if path is None and key == "sigma":
                    continue
                if path is None:
                    raise InputError(f"{folder}: its Item names no file {key}; {AGAIN}")
                with _readable(path):
                    file = stack.enter_context(rasterio.open(path, driver="GTiff"))
                if file.count != bands or set(file.dtypes) != {dtype} or max(file.shape) > _LARGEST_SIDE:
                    raise InputError(f"{path}: not a file {key} of l8s2; {AGAIN}")
                self._files[key] = file
            first = self._files["surface_reflectance"]
            if any(
                (f.shape, f.transform, f.crs) != (first.shape, first.transform, first.crs) for f in self._files.values()
            ):
                raise InputError(f"{folder}: its rasters are not on one grid; {AGAIN}")
            if first.crs is None:
                raise InputError(f"{first.name}: has no coordinate reference system; {AGAIN}")
            self._stack = stack.pop_all()
        self.shape: tuple[int, int] = first.shape
        self.geobox = GeoBox(first.shape, first.transform, first.crs.to_string())
        sigma = self.item.facts("l8s2:sigma")
        self.sigma_kind = (
            "none" if "sigma" not in self._files or sigma.get("kind") == "none" else str(sigma.get("kind"))
        )
        """``total``, ``detail``, ``none`` where there is no standard error."""

    def path_of(self, key: str) -> Path | None:
        """Return the file of an asset; None where the Item has none. Raises InputError where it is not whole."""
        asset = self.item.asset(key)
        href = asset.get("href")
        if not isinstance(href, str):
            return None
        path = self.folder / href
        if "\0" in href or path.parent.resolve() != self.folder.resolve() or path.is_symlink():
            raise InputError(f"{self.folder}: its Item names {href!r}, which is not beside it; {AGAIN}")
        if not path.is_file():
            raise InputError(f"{path}: missing; {AGAIN}")
        size, said = path.stat().st_size, number(asset.get("file:size"))
        if said is not None and size != said:
            raise InputError(f"{path}: {size} bytes, its Item says {said:.0f}; copy it again, or {AGAIN}")
        return path

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


def is_product(folder: Path) -> bool:
    """Tell whether a folder is meant to be a product."""
    return folder.is_dir() and folder.name.endswith(SUFFIX) and not folder.name.startswith(".")


def read_item(folder: Path) -> Item:
    """Read the Item in the folder of a product. Raises InputError."""
    others = sorted(folder.glob("*.json"))
    path = others[0] if len(others) == 1 else folder / f"{folder.name.removesuffix(SUFFIX)}.json"
    try:
        if path.stat().st_size > _LARGEST_ITEM:
            raise ValueError("too large")
        found = json.loads(
            path.read_text(encoding="utf-8"), parse_constant=lambda _: None, parse_float=lambda x: number(float(x))
        )
        properties, assets = found["properties"], found["assets"]
        if not (isinstance(properties, dict) and isinstance(assets, dict) and "l8s2:model" in properties):
            raise ValueError("no Item of l8s2")
    except FileNotFoundError:
        raise InputError(f"{path}: missing; give the folder of a product, or {AGAIN}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; check its permissions") from error
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{path}: not the STAC Item of a product of l8s2; {AGAIN}") from None
    box = found.get("bbox")
    bbox = [number(v) for v in box] if isinstance(box, list) and len(box) == 4 else []
    known = tuple(v for v in bbox if v is not None)
    return Item(str(found.get("id")), properties, assets, known if len(known) == 4 else None)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    try:
        yield
    except (RasterioError, CPLE_BaseError) as error:
        raise InputError(f"{path}: cannot be read, it is damaged or no GeoTIFF; copy it again, or {AGAIN}") from error
