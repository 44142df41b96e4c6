# %% [markdown]
# # First steps with a scene
#
# Open a Landsat product, look at what it holds, harmonise it in memory, and read sigma, quality and single pixels.
# `pip install 'l8s2[notebooks]'` has what this notebook needs.
#
# Set `L8S2_SCENE` to a Level-2 product of yours (folder or archive, its Level-1 product with pan beside it). Without
# it **the scene is simulated**: the one of `l8s2 demo`, and nothing below is real data.

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import l8s2

scene_path = os.environ.get("L8S2_SCENE")
simulated = not scene_path
if simulated:
    from l8s2.demo import run_demo

    scene_path = run_demo(Path(tempfile.mkdtemp()), report=print)["input"]
note = " (simulated)" if simulated else ""

# %% [markdown]
# ## What is there
#
# `l8s2 info SCENE` shows the same: bands, quality layers, pan, how far pan is off, and what is odd.

# %%
scene = l8s2.open_scene(scene_path)
print(scene.product_id, scene.shape, scene.geobox.crs)
print(
    "sun elevation:", scene.sun_elevation, "degrees; pan:", scene.pan_id or "none, so the network without pan is used"
)
for line in scene.warnings:
    print("warning:", line)

# %% [markdown]
# ## Harmonise in memory
#
# For a whole scene of 7 700 x 7 600 pixels use `l8s2 harmonize`, which writes tile by tile.

# %%
harmonised = l8s2.harmonize(scene)
before = scene.read(slice(0, scene.shape[0]), slice(0, scene.shape[1])).ms  # (6, h, w) at 30 m, NaN where missing
harmonised

# %% [markdown]
# ## Before and after
#
# Both in the same true colours; below the middle of the scene, enlarged.

# %%
after = harmonised.surface_reflectance.values
top = np.nanpercentile(after[:3], 97)


def colours(image):
    """Red, green, blue for the screen from (6, h, w) reflectance; missing pixels are black."""
    return np.nan_to_num(np.clip(image[2::-1] / top, 0, 1)).transpose(1, 2, 0) ** (1 / 1.4)


def middle(image, share=0.25):
    """The middle of an image (..., h, w)."""
    (h, w), s = image.shape[-2:], share / 2
    return image[..., int(h * (0.5 - s)) : int(h * (0.5 + s)), int(w * (0.5 - s)) : int(w * (0.5 + s))]


figure, axes = plt.subplots(2, 2, figsize=(10, 10), layout="constrained")
for column, (image, title) in enumerate(((before, "Landsat, 30 m"), (after, "l8s2, 10 m"))):
    axes[0, column].imshow(colours(image))
    axes[1, column].imshow(colours(middle(image)))
    axes[0, column].set_title(title + note)
for axis in axes.flat:
    axis.set_axis_off()
plt.show()

# %% [markdown]
# ## How sure is each pixel?
#
# `sigma` is the standard error of what Sentinel-2 would measure; ±1.645 sigma is to hold 90 % of it. It is larger at
# edges, where the network had to guess, and on bright ground, where the two sensors differ more.

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
for axis, band in zip(axes, ("red", "nir08"), strict=True):
    sigma = harmonised.sigma.sel(band=band)
    drawn = axis.imshow(sigma, cmap="magma", vmin=0, vmax=float(sigma.quantile(0.99)))
    axis.set_title(f"sigma of {band}{note}")
    axis.set_axis_off()
    figure.colorbar(drawn, ax=axis, label="reflectance")
plt.show()

# %% [markdown]
# ## Quality
#
# `qa` is a bit mask, 0 is clean. Its attributes name the bits, as the CF conventions have it.

# %%
qa = harmonised.qa
bits = dict(zip(qa.flag_meanings.split(), (int(value) for value in qa.flag_masks), strict=True))
for name, bit in bits.items():
    share = float((qa & bit > 0).mean())
    if share:
        print(f"{name:14s} {100 * share:5.1f} %")
hidden = sum(
    bits[name] for name in ("fill", "dilated_cloud", "cirrus", "cloud", "cloud_shadow", "out_of_range", "do_not_trust")
)
clear = (qa & hidden) == 0

figure, axis = plt.subplots(figsize=(5, 5), layout="constrained")
axis.imshow(np.where(clear.values[..., None], colours(after), (0.9, 0.1, 0.4)))
axis.set_title("not clear, or not to be trusted: red" + note)
axis.set_axis_off()
plt.show()

# %% [markdown]
# ## The spectrum of a pixel
#
# Choose by coordinates of the grid: `harmonised.sel(x=..., y=..., method="nearest")`. Here it is the pixel of the
# highest NDVI among the clear ones.

# %%
red, nir = (harmonised.surface_reflectance.sel(band=band, drop=True) for band in ("red", "nir08"))
ndvi = ((nir - red) / (nir + red)).where(clear & (red > 0))
pixel = harmonised.isel(ndvi.fillna(-1).argmax(("y", "x")))

figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
axis.errorbar(pixel.band, pixel.surface_reflectance, 1.645 * pixel.sigma, fmt="o-", capsize=4)
axis.set(ylabel="surface reflectance", title=f"x {float(pixel.x):.0f}, y {float(pixel.y):.0f}: 90 % intervals{note}")
plt.show()

# %% [markdown]
# ## The mean of a field
#
# The standard error of a mean has two parts. The *detail* is what the network does not know within the field, and it
# averages out over Landsat's pixels. The *level* is how far the two sensors disagree over a whole scene, and it does
# not. The page on [time series](../docs/time-series.md) has the formula, and `l8s2 extract` does this for polygons.

# %%
from l8s2 import grid
from l8s2.cube.statistics import field_mean, native_blocks
from l8s2.radiometry import LEVEL_ABSOLUTE, LEVEL_RELATIVE, detail_sigma

side = 15  # 10 m pixels; the field is the greenest square of 150 m
best = ndvi.coarsen(y=side, x=side, boundary="trim").reduce(np.mean).fillna(-1).argmax(("y", "x"))
top_left = int(best["y"]) * side, int(best["x"]) * side
rows, columns = (index.ravel() + start for index, start in zip(np.indices((side, side)), top_left, strict=True))
detail = detail_sigma(after, harmonised.sigma.values)
blocks = native_blocks(rows, columns, grid.output_geobox(scene.geobox), 30)
field = {}
print(f"{'band':8s} {'mean':>7s} {'sigma':>7s} {'of detail':>10s} {'of level':>9s}")
for index, band in enumerate(harmonised.band.values):
    field[band] = field_mean(
        after[index, rows, columns],
        detail[index, rows, columns],
        np.ones(rows.size),
        clear.values[rows, columns],
        blocks,
        np.array([LEVEL_ABSOLUTE[index], LEVEL_RELATIVE[index]]),
    )
    mean = field[band]
    print(f"{band:8s} {mean.mean:7.4f} {mean.sigma:7.4f} {mean.detail:10.4f} {mean.level:9.4f}")
scene.close()
