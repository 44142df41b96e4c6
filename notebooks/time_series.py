# %% [markdown]
# # A time series of both sensors
#
# Harmonised Landsat and Sentinel-2 side by side in one cube, the NDVI of fields with error bars, and how many more
# clear days the two have together. `pip install 'l8s2[notebooks,cube]'` has what this notebook needs.
#
# With imagery of yours, set `L8S2_ITEMS` to a folder that holds products of `l8s2 harmonize` (or `l8s2 batch`) and
# Sentinel-2 images as `l8s2 fetch` writes them, and `L8S2_FIELDS` to a GeoJSON file of polygons in WGS 84. Without
# them the next cell **simulates a season**: a made-up landscape that grows green, seen by both sensors, with clouds.

# %%
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

work = Path(tempfile.mkdtemp())
items = Path(os.environ.get("L8S2_ITEMS", work / "items"))
fields = Path(os.environ.get("L8S2_FIELDS", work / "fields.geojson"))
simulated = "L8S2_ITEMS" not in os.environ
note = " (simulated)" if simulated else ""

# %% [markdown]
# ## Only without imagery of yours: simulate it
#
# Landsat's products are simulated as the sensor sees the ground, and harmonised; Sentinel-2's are the ground itself.
# Clouds are only flagged, not drawn.

# %%
if simulated:
    import rasterio
    from affine import Affine
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import box

    import l8s2
    from l8s2 import grid
    from l8s2.catalogs.items import SceneItem, item_text
    from l8s2.sensors import BANDS
    from l8s2.simulate import Conditions, observe
    from l8s2.simulate.landscape import landscape
    from l8s2.simulate.product_folder import quality, write_product

    size = 48  # Landsat pixels along each side
    ms_grid = GeoBox((size, size), Affine(30, 0, 450_015, 0, -30, 5_660_025), "EPSG:32633")
    fine_grid = grid.output_geobox(ms_grid)
    drawn = landscape(0, (size, size)).truth
    vigour = np.clip((drawn[3] - drawn[2]) / (drawn[3] + drawn[2]), 0, 1)  # NDVI when the season is at its height

    def ground(when):
        """(6, H, W) reflectance; how green it is depends on the day, from April to September."""
        season = np.sin(np.pi * (when.timetuple().tm_yday - 90) / 180)
        change = np.array([-0.2, 0.0, -0.4, 0.4, -0.2, -0.3])[:, None, None] * vigour * (season - 1)
        return (drawn * (1 + change)).astype(np.float32)

    def clouded(when, shape):
        """Where a cloud is: in the north on every third day of the month, everywhere on every tenth."""
        rows = np.broadcast_to(np.arange(shape[0])[:, None] / shape[0], shape)
        return rows < (1.0 if when.day % 10 == 0 else 0.6 if when.day % 3 == 0 else 0.0)

    def landsat(when, seed):
        """Simulate a product and harmonise it."""
        cloud, none = clouded(when, (size, size)), np.zeros((size, size), bool)
        product = write_product(
            work / "landsat",
            observe(ground(when), Conditions(noise=1.0), np.random.default_rng(seed)),
            geobox=ms_grid,
            product_id=f"LC08_L2SP_192024_{when:%Y%m%d}_{when:%Y%m%d}_02_T1",
            sun_elevation=56.0,
            qa_pixel=quality(fill=none, cloud=cloud, dilated_cloud=none, shadow=none, water=none),
        )
        l8s2.harmonize_product(product, items)

    def sentinel2(when):
        """Write an image as `l8s2 fetch` does: digital numbers, classes, and what a catalogue says of it."""
        name = f"S2A_MSIL2A_{when:%Y%m%dT%H%M%S}_N0510_R022_T33UVS_{when:%Y%m%d}T160000"
        item = SceneItem(
            id=name, kind="sentinel-2-l2a", catalog="simulated", collection="simulated", product=name, scene=name,
            acquired=when, platform="sentinel-2a", location="33UVS", zone=33, footprint={}, cloud_cover=None,
            sun_elevation=56.0, sun_azimuth=150.0, view_zenith=4.0, view_azimuth=105.0, tier=None, correction=None,
            baseline="05.10", processed=None, datastrip=None, scale=1e-4, offset=-0.1, offset_removed=False, assets={},
        )  # fmt: skip
        (items / name).mkdir(parents=True)
        numbers = np.rint(1e4 * ground(when) + 1000).astype(np.uint16)
        classes = np.where(clouded(when, fine_grid.shape), 9, 4).astype(np.uint8)
        files = {band.sentinel2: (image, band.sentinel2_gsd) for band, image in zip(BANDS, numbers, strict=True)}
        for band, (image, gsd) in {**files, "SCL": (classes, 20)}.items():
            step = gsd // 10
            pixels = image.reshape(image.shape[0] // step, step, -1, step).mean((1, 3)).astype(image.dtype)
            profile = {"driver": "GTiff", "count": 1, "dtype": pixels.dtype, "nodata": 0, "crs": str(fine_grid.crs)}
            profile |= {"height": pixels.shape[0], "width": pixels.shape[1]}
            profile["transform"] = fine_grid.affine * Affine.scale(step)
            with rasterio.open(items / name / f"{band}.tif", "w", **profile) as raster:
                raster.write(pixels, 1)
        (items / name / "scene.json").write_text(item_text(item))

    for seed, day in enumerate(("0412", "0514", "0615", "0701", "0802", "0903")):
        landsat(datetime.strptime(f"2023{day}", "%Y%m%d"), seed)
    for day in ("0407", "0422", "0511", "0527", "0604", "0620", "0714", "0729", "0817", "0830", "0918"):
        sentinel2(datetime.strptime(f"2023{day}101031", "%Y%m%d%H%M%S").replace(tzinfo=UTC))

    side = 12  # 10 m pixels: two squares of 120 m off the edges, the greenest one and a middling one
    means = vigour.reshape(vigour.shape[0] // side, side, -1, side).mean((1, 3))[1:-1, 1:-1]
    features = []
    for name, rank in (("green field", -1), ("other field", means.size // 2)):
        place = np.unravel_index(np.argsort(means.ravel())[rank], means.shape)
        row, column = (side * (int(index) + 1) for index in place)
        corners = fine_grid[row : row + side, column : column + side].boundingbox
        geometry = box(corners.left, corners.bottom, corners.right, corners.top, fine_grid.crs).to_crs("EPSG:4326").json
        features.append({"type": "Feature", "id": name, "properties": {}, "geometry": geometry})
    fields.write_text(json.dumps({"type": "FeatureCollection", "features": features}))

# %% [markdown]
# ## The cube
#
# `l8s2 cube ITEMS -o place.zarr` does the same. Every observation is a step of time of its own; nothing is fused.

# %%
import xarray

from l8s2.cube.build import build_cube
from l8s2.cube.inputs import find_sources
from l8s2.target import Area

path = work / ("simulated.zarr" if simulated else "place.zarr")
build_cube(find_sources([items], print), path, Area(), warn=print)
cube = xarray.open_zarr(path, chunks=None, decode_coords="all").sortby("time")
print(dict(cube.sizes))
for sensor in ("oli", "msi"):
    print(sensor, *cube.time[cube.sensor == sensor].dt.strftime("%m-%d").values)

# %% [markdown]
# ## The series of fields, both sensors
#
# `l8s2 extract place.zarr --polygons fields.geojson -o series.csv --index ndvi --plot series.png` does the same, for up
# to 60 fields. The bars are ±1 sigma of a Landsat value: how far it may lie from what Sentinel-2 would have shown on
# that day. So Sentinel-2 has none. The columns of the table are told in [time series](../docs/time-series.md).

# %%
import csv

from IPython.display import Image

from l8s2.cube.extract import extract

extract(path, fields, "polygons", work / "series.csv", indices=["ndvi"], plot=work / "series.png", warn=print)
with (work / "series.csv").open(newline="") as file:
    series = [row for row in csv.DictReader(file) if row["band"] == "ndvi" and float(row["clear_fraction"]) > 0.9]
print(len(series), "observations of fields that are nine tenths clear")
Image(filename=work / "series.png")

# %% [markdown]
# ## More clear days
#
# `l8s2 study cloudfree place.zarr -o clear` does the same, with a figure and a table in files.

# %%
from l8s2.studies.cloudfree import SETS, study_cloudfree

study = study_cloudfree(path)
months = [row for row in study.rows if row["month"] != "all"]
figure, axis = plt.subplots(figsize=(9, 3.5), layout="constrained")
for offset, name in zip((-0.27, 0, 0.27), SETS, strict=True):
    axis.bar(np.arange(len(months)) + offset, [row[f"{name}, clear days"] for row in months], 0.25, label=name)
axis.set_xticks(range(len(months)), [row["month"] for row in months])
axis.set(ylabel="clear days, mean of pixels", title="Clear days" + note)
axis.legend()
plt.show()
print(study.paragraph)
