"""Landsat products and Sentinel-2 folders of one ground on disk, their recipe, and a stand-in for fetching.

python made_products.py FOLDER STORE SECONDS    builds the set begun in FOLDER from what lies in STORE, SECONDS a scene
"""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from l8s2 import grid
from l8s2.catalogs.footprints import Footprint, bbox_of
from l8s2.catalogs.items import S2_OFFSET, Asset, SceneItem, item_text
from l8s2.catalogs.pairing import Pair, PairRules
from l8s2.catalogs.query import Query
from l8s2.catalogs.recipe import Recipe
from l8s2.errors import FetchError
from l8s2.optics import resample
from l8s2.pairs.build import resume_build
from l8s2.patches.patch import outline
from l8s2.sensors import BANDS
from l8s2.simulate import Conditions, observe
from l8s2.simulate.product_folder import quality, write_product
from making.patches import s2_grids

DAY = datetime(2023, 5, 20, 10, 2, 3, tzinfo=UTC)


def landsat_item(box: GeoBox, day: datetime = DAY, level: str = "L2SP", path_row: str = "192025") -> SceneItem:
    product = f"LC09_{level}_{path_row}_{day:%Y%m%d}_20230630_02_T1"
    level2 = level.startswith("L2")
    return SceneItem(
        id=f"{product}_SR" if level2 else product, kind="landsat-l2" if level2 else "landsat-l1", catalog="made",
        collection="made", product=product, scene=f"landsat-9 {path_row} {day:%Y-%m-%d}", acquired=day,
        platform="landsat-9", location=path_row, zone=grid.epsg(box.crs) % 100, footprint=_footprint(box),
        cloud_cover=1.0, sun_elevation=52.5, sun_azimuth=150.0, view_zenith=0.0, view_azimuth=None, tier="T1",
        correction=level, baseline=None, processed="2023-06-30", datastrip=None, scale=2.75e-5 if level2 else None,
        offset=-0.2 if level2 else None, offset_removed=False, assets={"red": Asset(href="https://example.org/red")},
    )  # fmt: skip


def sentinel2_item(box: GeoBox, day: datetime = DAY, tile: str = "33UVS", baseline: str = "05.09") -> SceneItem:
    product = f"S2A_MSIL2A_{day:%Y%m%d}T101031_N{baseline.replace('.', '')}_R022_T{tile}_{day:%Y%m%d}T160000"
    return SceneItem(
        id=f"S2A_{tile}_{day:%Y%m%d}_0_L2A", kind="sentinel-2-l2a", catalog="made", collection="made",
        product=product, scene=f"sentinel-2a {tile} {day:%Y%m%d}T101031", acquired=day + timedelta(minutes=8),
        platform="sentinel-2a", location=tile, zone=grid.epsg(box.crs) % 100, footprint=_footprint(box),
        cloud_cover=2.0, sun_elevation=53.0, sun_azimuth=152.0, view_zenith=4.5, view_azimuth=105.0,
        tier=None, correction=None, baseline=baseline, processed=None, datastrip=None, scale=1e-4,
        offset=S2_OFFSET if baseline >= "04.00" else 0.0, offset_removed=False,
        assets={"red": Asset(href="https://example.org/red")},
    )  # fmt: skip


def _footprint(box: GeoBox) -> dict[str, object]:
    return {"type": "Polygon", "coordinates": [outline(box).tolist()]}


def pair_of(box: GeoBox, day: datetime = DAY, tile: str = "33UVS", baseline: str = "05.09") -> Pair:
    return Pair(
        landsat=landsat_item(box, day), pan=landsat_item(box, day, "L1TP"),
        sentinel2=sentinel2_item(box, day, tile, baseline), days=0, hours=0.13, overlap=1.0, overlap_km2=15.0,
        sun_angle=1.0, view_angle=4.5, same_zone=True,
    )  # fmt: skip


def located(pair: Pair, store: Path) -> Pair:
    """The pair with the files that lie in ``store`` as assets."""

    def at(item: SceneItem, names: dict[str, str]) -> SceneItem:
        paths = {ours: store / item.product / name.format(item.product) for ours, name in names.items()}
        return replace(item, assets={ours: Asset(href=str(path)) for ours, path in paths.items()})

    mtl = {"mtl": "{}_MTL.txt"}
    sr = {band.name: f"{{}}_SR_{band.landsat}.TIF" for band in BANDS} | {"qa_pixel": "{}_QA_PIXEL.TIF"}
    msi = {band.name: f"{band.sentinel2}.tif" for band in BANDS} | {"scl": "SCL.tif"}
    assert pair.pan is not None
    return replace(
        pair, landsat=at(pair.landsat, sr | mtl), pan=at(pair.pan, {"pan": "{}_B8.TIF"} | mtl),
        sentinel2=at(pair.sentinel2, msi),
    )  # fmt: skip


def recipe_of(pairs: list[Pair], boxes: list[GeoBox]) -> Recipe:
    """Searched in just what the boxes cover."""
    bounds = np.array([bbox_of(Footprint(_footprint(box)).plane) for box in boxes])
    (west, south), (east, north) = bounds[:, :2].min(0), bounds[:, 2:].max(0)
    query = Query(datetime="2023", sensor="both", bbox=(float(west), float(south), float(east), float(north)))
    return Recipe(l8s2="0", query=query, rules=PairRules(), catalogs=(), pairs=tuple(pairs))


def write_sentinel2(
    store: Path, item: SceneItem, box: GeoBox, fine: NDArray[np.uint16], coarse: NDArray[np.uint16],
    scl: NDArray[np.uint8] | None = None, suffix: str = ".tif",
) -> Path:  # fmt: skip
    """What ``l8s2 fetch`` makes of a scene.

    (3, 3h, 3w) and (3, 3h/2, 3w/2) digital numbers under the MS grid ``box``.
    """
    folder = store / item.product
    folder.mkdir(parents=True)
    grids = s2_grids(box)
    scl = np.full(grids[1].shape, 4, np.uint8) if scl is None else scl
    images = [*((band, 0) for band in fine), *((band, 1) for band in coarse), (scl, 1)]
    for name, (image, which) in zip([*(band.sentinel2 for band in BANDS), "SCL"], images, strict=True):
        at = grid.sentinel2_convention(grids[which])
        profile = {"driver": "GTiff", "tiled": True, "compress": "deflate", "nodata": 0}
        if suffix == ".jp2":
            profile = {"driver": "JP2OpenJPEG", "quality": "100", "reversible": "yes"}
        with rasterio.open(
            folder / f"{name}{suffix}", "w", count=1, height=image.shape[0], width=image.shape[1], dtype=image.dtype,
            crs=str(at.crs), transform=at.affine, **profile,
        ) as file:  # fmt: skip
            file.write(image, 1)
    (folder / "scene.json").write_text(item_text(item))
    return folder


def write_pair(
    store: Path, pair: Pair, box: GeoBox, truth: NDArray[np.float32], *, shift: tuple[float, float] = (0.0, 0.0),
    added: float = 1000.0, cloud: NDArray[np.bool_] | None = None, sentinel2_box: GeoBox | None = None,
    seed: int = 0, gain: float = 1.0,
) -> None:  # fmt: skip
    """What both see of ``truth`` (6, 3h, 3w) under the MS grid.

    Args:
        shift: metres by which the content of Sentinel-2 lies too far down and right.
        added: to its digital numbers.
        cloud: (h, w) that is flagged in QA_PIXEL.
        sentinel2_box: where Sentinel-2 says that it lies, if elsewhere.
        gain: of Sentinel-2, as sun and view make it.
    """
    none = np.zeros(box.shape, bool)
    qa = quality(fill=none, cloud=none if cloud is None else cloud, dilated_cloud=none, shadow=none, water=none)
    seen = observe(truth, replace(Conditions(), noise=1.0), np.random.default_rng(seed))
    write_product(store, seen, geobox=box, product_id=pair.landsat.product, sun_elevation=52.5, qa_pixel=qa)
    moved = resample(truth, *(np.arange(n) - s / 10 for n, s in zip(truth.shape[1:], shift, strict=True)), 0.0)
    dn = np.clip(np.rint(gain * moved * 1e4 + added), 1, 65535)
    count, height, width = moved[3:].shape
    coarse = dn[3:].reshape(count, height // 2, 2, width // 2, 2).mean((2, 4))
    images = dn[:3].astype(np.uint16), np.rint(coarse).astype(np.uint16)
    write_sentinel2(store, pair.sentinel2, sentinel2_box or box, *images)


@dataclass
class Copying:
    """Fetches by copying out of ``store``."""

    store: Path
    seconds: float = 0.0
    failing: set[str] = field(default_factory=set)
    """Product ids."""
    asked: list[str] = field(default_factory=list)

    def __call__(
        self, item: SceneItem, directory: Path, *, bbox: tuple[float, float, float, float], margin: float
    ) -> Path:
        self.asked.append(item.product)
        if item.product in self.failing:
            raise FetchError(item.product, ["red: no route to host; try again", "scl: 403; sign in"])
        directory.mkdir(parents=True, exist_ok=True)
        time.sleep(self.seconds)
        return Path(shutil.copytree(self.store / item.product, directory / item.product, dirs_exist_ok=True))


if __name__ == "__main__":
    where, store, seconds = sys.argv[1:]
    resume_build(Path(where), Copying(Path(store), float(seconds)), lambda done, *_: print(done, flush=True))
