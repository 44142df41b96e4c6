"""A product as a granule in the layout of HLS (Harmonized Landsat Sentinel-2), at 10 m.

Names of bands, samples, bits and metadata are those of HLS v2.0's Landsat product L30 (user guide, tables on L30 and
the QA layer), so that what reads HLS reads it. The granule calls itself ``L8S2.L10``: it is not NASA's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2._version import __version__
from l8s2.cog import BLOCK, DRAFT, CogFile, Encoding
from l8s2.errors import InputError
from l8s2.files import WholeFolder, fsync
from l8s2.grid import mgrs_tile_of
from l8s2.masks import flag
from l8s2.product.stac import bit_field
from l8s2.progress import Progress
from l8s2.radiometry import NODATA, SCALE
from l8s2.raster import checksum, open_dataset
from l8s2.sensors import BANDS

SHORT_NAME = "L8S2.L10"
NODATA_HLS = -9999
"""Nodata of reflectance and sigma."""
NO_FMASK = 255
_REFLECTANCE = Encoding(dtype="int16", fill=NODATA_HLS, nodata=NODATA_HLS, scale=SCALE, overviews="average")
_FMASK = Encoding(dtype="uint8", fill=NO_FMASK, nodata=NO_FMASK, scale=None, overviews="mode")
_BITS = (
    (0, "cirrus", ("cirrus",)),
    (1, "cloud", ("cloud", "cirrus")),
    (2, "adjacent_to_cloud_or_shadow", ("dilated_cloud",)),
    (3, "cloud_shadow", ("cloud_shadow",)),
    (4, "snow_ice", ("snow",)),
    (5, "water", ("water",)),
)
"""Bit of Fmask, name, the bits of QA that set it. HLS reserves bit 0 and screens by bit 1, so cirrus sets both."""


@dataclass(frozen=True, kw_only=True)
class _Product:
    """A finished product, opened."""

    item: dict[str, Any]
    paths: dict[str, Path]
    """``surface_reflectance``, ``sigma`` where there is one, ``qa``."""
    geobox: GeoBox
    tile: str
    """MGRS, for example ``43PHQ``."""


def write_hls(
    product: str | Path, output: str | Path, *, overwrite: bool = False, progress: Progress | None = None
) -> Path:
    """Write ``output/<granule>/`` from a finished product on the grid of a Sentinel-2 tile; return that folder.

    One COG for each band, ``B02`` .. ``B07`` (int16, reflectance x 10 000, nodata -9999), its standard error
    ``B02_sigma`` .. (the same encoding), ``Fmask`` (uint8, bits of HLS, 255 = nodata) and a STAC Item. Samples are
    those of the product.

    Args:
        product: what ``harmonize_product`` wrote with ``mgrs``: its folder, or its Item.
        output: folder that gets the granule.
        overwrite: replace a granule of the same name.
        progress: told how far it is.

    Raises InputError for what is no product, or one on another grid, and where the disk does not take the granule.
    """
    found = _open(Path(product))
    name = _granule(found)
    with ExitStack() as stack:
        whole = stack.enter_context(WholeFolder(Path(output) / name, overwrite=overwrite))
        sources = {key: stack.enter_context(open_dataset(path)) for key, path in found.paths.items()}
        files = {key: _file(whole.workspace, name, key, found.geobox) for key in _keys("sigma" in sources)}
        for file in files.values():
            stack.callback(file.close)
        done, total = 0, found.geobox.shape[0] * found.geobox.shape[1]
        for rows, columns, samples in _windows(sources, found.geobox.shape):
            for key, band in samples.items():
                files[key].write(rows, columns, band[None])
            done += (rows.stop - rows.start) * (columns.stop - columns.start)
            if progress:
                progress(done, total, "writing")
        for file in files.values():
            file.finish()
            file.path.with_name(f"{file.path.name}{DRAFT}").unlink(missing_ok=True)
        paths = [file.path for file in files.values()]
        item = whole.workspace / f"{name}.json"
        item.write_text(json.dumps(_item(found, name, files), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        for path in (*paths, item):
            fsync(path)
        return whole.publish()


def to_fmask(qa: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the bits of QA as those of HLS's Fmask layer, 255 where there is fill; the aerosol bits stay 0."""
    bits = np.zeros(qa.shape, np.uint8)
    for bit, _, names in _BITS:
        bits |= np.where(qa & sum(map(flag, names)), np.uint8(1 << bit), np.uint8(0))
    bits[qa & flag("fill") > 0] = NO_FMASK
    return bits


def _keys(sigma: bool) -> list[str]:
    """Names of the files of a granule."""
    bands = [_band(index) for index in range(len(BANDS))]
    return [*bands, *([f"{band}_sigma" for band in bands] if sigma else []), "Fmask"]


def _band(index: int) -> str:
    return f"B{int(BANDS[index].landsat[1:]):02d}"


def _file(folder: Path, name: str, key: str, geobox: GeoBox) -> CogFile:
    return CogFile(folder / f"{name}.{key}.tif", geobox, [key], _FMASK if key == "Fmask" else _REFLECTANCE)


def _windows(sources: dict[str, Any], shape: tuple[int, int]) -> Iterator[tuple[slice, slice, dict[str, NDArray[Any]]]]:
    """Yield rows, columns and the samples of every file, tile by tile, without those of nothing but fill."""
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    for top in range(0, shape[0], BLOCK):
        for left in range(0, shape[1], BLOCK):
            rows, columns = slice(top, min(top + BLOCK, shape[0])), slice(left, min(left + BLOCK, shape[1]))
            window = Window.from_slices(rows, columns)
            read: dict[str, Any] = {}
            for key, source in sources.items():
                try:
                    read[key] = source.read(window=window)
                except RasterioError:
                    raise InputError(f"{Path(source.name).name}: cannot be read; make the product again") from None
            if (read["qa"] & flag("fill")).all() and (read["surface_reflectance"] == NODATA).all():
                continue  # what is never written is nodata
            samples: dict[str, NDArray[Any]] = {"Fmask": to_fmask(read["qa"][0])}
            for key, ending in (("surface_reflectance", ""), ("sigma", "_sigma")):
                for index, band in enumerate(read.get(key, ())):
                    limited = np.clip(band, NODATA_HLS + 1, None)
                    samples[f"{_band(index)}{ending}"] = np.where(band == NODATA, np.int16(NODATA_HLS), limited)
            yield rows, columns, samples


def _open(folder: Path) -> _Product:
    """Find the files of a product and its tile."""
    from l8s2.product.reader import one_product, open_product

    folder = one_product(folder)
    product = open_product(folder)
    tile = mgrs_tile_of(product.geobox)
    if tile is None:
        raise InputError(
            f"{folder}: not on the grid of a Sentinel-2 tile, by which HLS names its granules; make the product with"
            " `mgrs`"
        )
    return _Product(item=product.item, paths=product.rasters, geobox=product.geobox, tile=tile)


def _granule(product: _Product) -> str:
    """Name a granule as HLS does: tile, year, day of year, time, version."""
    when = datetime.fromisoformat(product.item["properties"]["datetime"]).astimezone(UTC)
    return f"{SHORT_NAME}.T{product.tile}.{when:%Y%jT%H%M%S}.v{__version__}"


def _item(product: _Product, name: str, files: dict[str, CogFile]) -> dict[str, Any]:
    """Build the STAC Item of a granule from that of the product."""
    item = dict(product.item)
    said = dict(item["properties"]) | {"mgrs:utm_zone": int(product.tile[:-3])}
    said |= {"mgrs:latitude_band": product.tile[-3], "mgrs:grid_square": product.tile[-2:]}
    spectral = item["assets"]["surface_reflectance"].get("bands", [{}] * len(BANDS))
    assets: dict[str, Any] = {}
    for key, file in files.items():
        common = {"file:size": file.path.stat().st_size, "file:checksum": checksum(file.path)}
        band = next((i for i in range(len(BANDS)) if key.startswith(_band(i))), None)
        about: dict[str, Any] = {
            "title": "Quality bits as in HLS v2.0",
            "roles": ["metadata", "data-mask"],
            "data_type": "uint8",
            "nodata": NO_FMASK,
            "classification:bitfields": [
                bit_field(bit, name, f"set by {' or '.join(sources)} of QA") for bit, name, sources in _BITS
            ],
        }
        if band is not None:
            sigma = key.endswith("_sigma")
            title = f"{BANDS[band].name}, 10 m"
            about = {
                "title": f"Standard error of {title}" if sigma else title,
                "roles": ["data", "uncertainty" if sigma else "reflectance"],
                "bands": [{**spectral[band], "nodata": NODATA_HLS}],
                **({_UNCERTAINTY: told} if sigma and (told := item["assets"]["sigma"].get(_UNCERTAINTY)) else {}),
            }
        assets[key] = {"href": f"./{file.path.name}", "type": _COG, **about, **common}
    extension = "https://stac-extensions.github.io/mgrs/v1.0.0/schema.json"
    links = [link for link in item.get("links", []) if link.get("rel") == "derived_from"]
    return item | {
        "id": name,
        "properties": said,
        "assets": assets,
        "links": links,
        "stac_extensions": [*item["stac_extensions"], extension],
    }


_UNCERTAINTY = "l8s2:uncertainty"
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
