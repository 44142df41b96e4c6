"""Small folders in the layouts of other datasets, whose images really show one ground."""

import json
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2.arrays import Float
from l8s2.optics import resample

FINE = 5.0
"""Metres to a pixel of the made-up ground."""


def ground(size: int, bands: int = 1, seed: int = 0) -> Float:
    """(bands, size, size) reflectance at 5 m with structure of 40 m and more."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((bands, size // 8 + 8, size // 8 + 8)).astype(np.float32)
    at = np.arange(size) / 8 + 2
    return 0.1 + 0.3 * resample(coarse, at, at, 0.9)


def seen(world: Float, count: int, gsd: float, *, sigma: float, off: tuple[float, float] = (0.0, 0.0)) -> Float:
    """The world by pixels of ``gsd`` metres, the first one's corner ``off`` metres (down, right) of the world's."""
    rows, columns = (((np.arange(count) + 0.5) * gsd + metres) / FINE - 0.5 for metres in off)
    return resample(world, rows, columns, sigma / FINE)


def write_tiff(
    path: Path,
    values: NDArray[np.generic],
    box: GeoBox | None,
    *,
    nodata: float | None = None,
    names: tuple[str, ...] = (),
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    place = {} if box is None else {"crs": str(box.crs), "transform": box.affine}
    bands, height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=bands, height=height, width=width, dtype=values.dtype, nodata=nodata, **place
    ) as file:
        file.write(values)
        if names:
            file.descriptions = names


def grid_of(gsd: int, count: int, left: float = 300_010.0, top: float = 5_000_020.0) -> GeoBox:
    return GeoBox((count, count), Affine(gsd, 0, left, 0, -gsd, top), "EPSG:32631")


def write_ls2s2(
    area: Path,
    *,
    landsat_off: tuple[float, float] = (0.0, 0.0),
    pan_off: tuple[float, float] = (0.0, 0.0),
    count: int = 66,
) -> None:
    """Two dates, 2022-05-01 with pan and 2022-06-02 without.

    ``landsat_off`` and ``pan_off``: metres by which content of Landsat's files lies too far up, left.
    """
    world = ground(6 * count + 32, 10, seed=3)[:, 16:, 16:]
    stamps = ("20220501", "20220602")
    for sensor, name, bands, gsd, sigma, off in (
        ("sentinel2", "index.csv", 10, 10, 5.2, (0.0, 0.0)),
        ("landsat", "index.csv", 8, 30, 14.8, landsat_off),
        ("landsat", "index_pan.csv", 1, 15, 7.4, pan_off),
    ):
        what = "pan" if "pan" in name else "bands"
        # Landsat's B01 .. B07, B10 see what Sentinel-2's B02, B02, B03, B04, B8A, B11, B12, B12 see
        order = {10: range(10), 8: (0, 0, 1, 2, 7, 8, 9, 9), 1: (0, 1, 2)}[bands]
        pixels = 30 * count // gsd
        light = world[list(order)] if bands > 1 else world[:3].mean(0, keepdims=True)
        values = np.rint(seen(light, pixels, gsd, sigma=sigma, off=off) * 1e4).astype(np.int16)
        mask = np.zeros((1, pixels, pixels), np.uint8)
        mask[:, : 60 // gsd, : 60 // gsd] = 1
        box = grid_of(gsd, pixels)
        lines = ["\t".join(("product_id", "acquisition_date", "clear_pixel_rate", "valid", "bands", "mask"))]
        for stamp in (*stamps, "20220703") if sensor == "landsat" else stamps:
            valid = stamp != "20220703" and (bands != 1 or stamp == stamps[0])
            files = [
                f"{stamp}/{sensor}_{kind}_{stamp}.tif" for kind in (what, f"{what}_mask" if bands == 1 else "mask")
            ]
            day = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:]}"
            lines.append("\t".join((f"{sensor}_{stamp}", day, "0.98", str(valid), *(files if valid else ("", "")))))
            if valid:
                write_tiff(area / sensor / files[0], values, box, nodata=-10000)
                write_tiff(area / sensor / files[1], mask, box, nodata=0)
        (area / sensor / name).write_text("\n".join(lines) + "\n")


def write_oli2msi(folder: Path, count: int = 2) -> Float:
    """OLI2MSI's layout, images of 16 x 16 MS pixels; returns the last truth, which is the same on both sides."""
    for part in ("train", "test"):
        for number in range(count):
            world = ground(120, 3, seed=number)
            ms, truth = (seen(world, n, gsd, sigma=10) for n, gsd in ((16, 30), (48, 10)))
            write_tiff(folder / f"{part}_lr" / f"img_{number}.TIF", ms, grid_of(30, 16))
            write_tiff(folder / f"{part}_hr" / f"img_{number}.TIF", truth, grid_of(10, 48))
    return truth


def write_pair_archive(
    path: Path,
    *,
    count: int = 24,
    moved: tuple[float, float] = (0.0, 0.0),
    edge: tuple[float, float] = (0.0, 0.0),
    **arrays: object,
) -> Path:
    """A pair archive (``l8s2.datasets.pair_archive``) of one date, clear throughout, that shows one ground.

    ``moved``: metres (down, right) by which Sentinel-2's content lies off its position. ``edge``: the same for the
    edges of its pixels, without any effect on the content. ``arrays`` replace what would be there, None removes it.
    Sentinel-2 begins 40 m before the block grid and ends 40 m behind it.
    """
    margin = 35  # the block grid begins 5 m further in than the MS pixels
    world = ground((30 * count + 200) // int(FINE), 6, seed=5)
    ms = seen(world, count, 30, sigma=14.8, off=(2 * margin, 2 * margin))
    at = tuple(margin - metres + step for metres, step in zip(moved, edge, strict=True))
    wide = 3 * count + 8
    fine, coarse = (seen(world, wide * 10 // gsd, gsd, sigma=sigma, off=at) for gsd, sigma in ((10, 5.2), (20, 10.5)))
    left, top = 500_000 + edge[1], 5_600_000 - edge[0]
    meta = {
        "ms_centre_00": [500_000 + margin + 15, 5_600_000 - margin - 15],
        "x10_edge": [left, top],
        "x20_edge": [left, top],
        "dates": [["2019-07-01 10:30:00", "2019-07-02 10:50:00"]],
    }
    stored: dict[str, object] = {
        "ms": dn_of(ms),
        "x10": dn_of(np.concatenate([fine[:3], fine[2:3]])),
        "x20": dn_of(coarse[3:]),
        "l8_qa": np.full((1, count, count), 322, np.uint16),
        "scl": np.full((1, wide // 2, wide // 2), 4, np.uint8),
        "meta": json.dumps(meta),
    }
    np.savez(path, **{key: np.asarray(value) for key, value in (stored | arrays).items() if value is not None})
    return path


def dn_of(reflectance: Float) -> NDArray[np.int16]:
    """Reflectance (bands, h, w) as the integers of an archive of one date."""
    return np.rint(reflectance[None] * 1e4).astype(np.int16)
