# %% [markdown]
# # A time series of both sensors
#
# Harmonised Landsat and Sentinel-2 side by side in one cube, the NDVI of fields with error bars, and how many more
# clear days the two have together. `pip install 'l8s2[notebooks,cube]'` has what this notebook needs.
#
# With imagery of yours, set `L8S2_ITEMS` to a folder that holds products of `l8s2 harmonize` (or `l8s2 batch`) and
# Sentinel-2 images as `l8s2 fetch` writes them, and `L8S2_FIELDS` to a GeoJSON file of polygons in WGS 84. Without
# them the next cell **simulates a season**: made-up fields of crops, seen by both sensors, with clouds.

# %%
import json
import os
import tempfile
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
# `l8s2.simulate.season` draws the fields, how they grow, and clouds. Landsat is simulated as its sensor sees them, and
# harmonised; Sentinel-2 is the ground itself, with errors of level. The whole year of a larger place is what
# `l8s2 study cloudfree --simulated` and `l8s2 study crops --simulated` ask.

# %%
if simulated:
    from l8s2.studies.year import simulate_year

    path, whole = simulate_year(work, days=range(95, 270), size=30)
    features = {feature["properties"]["crop"]: feature for feature in json.loads(whole.read_text())["features"]}
    chosen = [features[crop] | {"id": crop} for crop in ("winter wheat", "maize")]
    fields.write_text(json.dumps({"type": "FeatureCollection", "features": chosen}))

# %% [markdown]
# ## The cube
#
# `l8s2 cube ITEMS -o place.zarr` does the same. Every observation is a step of time of its own; nothing is fused.

# %%
import xarray

from l8s2.cube.build import build_cube
from l8s2.cube.inputs import find_sources
from l8s2.target import Area

if not simulated:
    path = work / "place.zarr"
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

study = study_cloudfree(path, simulated=simulated)
months = [row for row in study.rows if row["month"] != "all"]
figure, axis = plt.subplots(figsize=(9, 3.5), layout="constrained")
for offset, name in zip((-0.27, 0, 0.27), SETS, strict=True):
    axis.bar(np.arange(len(months)) + offset, [row[f"{name}, clear days"] for row in months], 0.25, label=name)
axis.set_xticks(range(len(months)), [row["month"] for row in months])
axis.set(ylabel="clear days, mean of pixels", title="Clear days" + note)
axis.legend()
plt.show()
print(study.paragraph)
