# %% [markdown]
# # The example of the published project, remade
#
# [Deep-Harmonization](https://github.com/venkatesh-thiru/Deep-Harmonization) (Sambandham et al., ISPRS Journal 212,
# 2024) shows on a place in Tamil Nadu how its networks turn Landsat-8 into Sentinel-2-like images. Here is the same:
# search, load, call one network, then all four as an ensemble, and look at the uncertainty.
#
# `pip install 'l8s2[notebooks,stac,torch]' transformers` has what this notebook needs. It goes online three times:
#
# * for a search, which is open to all;
# * for Landsat's files. USGS keeps them in `s3://usgs-landsat`, where the reader pays: have AWS credentials at hand;
# * for the networks, some of which are gated: accept their terms on the Hugging Face Hub, and set `HF_TOKEN`.

# %%
import os

CATALOG = os.environ.get("L8S2_CATALOG", "usgs")  # a name of `l8s2 search --catalog`, or the address of a STAC API
BBOX = tuple(float(v) for v in os.environ.get("L8S2_BBOX", "78.083 8.796 78.130 8.843").split())
DATE = os.environ.get("L8S2_DATE", "2023-05-20")
MODELS = os.environ.get(
    "L8S2_MODELS",
    "venkatesh-thiru/s2l8h-UNet-5depth-upsample,venkatesh-thiru/s2l8h-UNet-5depth-shuffle,"
    "venkatesh-thiru/s2l8h-UNet-6depth-upsample,venkatesh-thiru/s2l8h-UNet-6depth-shuffle",
).split(",")

# %% [markdown]
# ## Search
#
# Pan is in another collection than surface reflectance (Level 1, not Level 2). The search joins the two by scene.

# %%
from l8s2.catalogs.query import Query
from l8s2.catalogs.search import search_scenes

found = search_scenes(Query(catalogs=(CATALOG,), bbox=BBOX, datetime=DATE))
assert found.landsat, "no scene there on that day; give another DATE or BBOX"
level2 = found.landsat[-1]
assert level2.scene in found.pans, "no pan of this scene; the published networks need it"
level1 = found.pans[level2.scene]
print(level2.id, "with pan of", level1.id)

# %% [markdown]
# ## Load
#
# With odc-stac, if it is installed; `anchor="center"` keeps Landsat's own pixels, which by default odc-stac moves by
# half a pixel. Without it the same window is fetched with `l8s2`.

# %%
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import l8s2

BANDS = ["blue", "green", "red", "nir08", "swir16", "swir22"]
if find_spec("odc.stac"):
    import odc.stac
    import pystac

    os.environ.setdefault("AWS_REQUEST_PAYER", "requester")
    os.environ.setdefault("AWS_REGION", "us-west-2")

    def load(item, bands, resolution):
        """The window of an Item, digital numbers on its own pixels."""
        return odc.stac.load(
            [pystac.Item.from_dict(item.raw)],
            bands,
            bbox=BBOX,
            crs=f"EPSG:{32600 + item.zone}",
            resolution=resolution,
            anchor="center",
            dtype="uint16",
            nodata=0,
            patch_url=lambda url: url.replace("https://landsatlook.usgs.gov/data/", "s3://usgs-landsat/"),
        ).isel(time=0)

    scene = load(level2, [*BANDS, "qa_pixel"], 30)
    more = {"pan": load(level1, ["pan"], 15)["pan"], "sun_elevation": level2.sun_elevation}
    harmonize = l8s2.harmonize_xarray
    dn = np.stack([scene[band] for band in BANDS])
    before = np.where(dn > 0, dn * 2.75e-5 - 0.2, np.nan).astype(np.float32)
    along = {
        axis: scene[axis].values[0] + step * np.arange(2 * scene.sizes[axis]) for axis, step in (("y", -15), ("x", 15))
    }
    pan = more["pan"].reindex(along, method="nearest", tolerance=1, fill_value=0).values * 2e-5 - 0.1
else:
    from l8s2.acquire.access import Access
    from l8s2.acquire.fetch import fetch_scene

    folder, access = Path(tempfile.mkdtemp()), Access(found.catalogs)
    scene, _ = (fetch_scene(item, folder, access, bbox=BBOX, margin=0) for item in (level2, level1))
    harmonize, more = l8s2.harmonize, {}
    with l8s2.open_scene(scene) as opened:
        pixels = opened.read(*(slice(0, n) for n in opened.shape))
        before, pan = pixels.ms, pixels.pan * np.sin(np.radians(opened.sun_elevation))
print(before.shape, "at 30 m,", pan.shape, "at 15 m")

# %% [markdown]
# ## One network, as the published example calls it
#
# `import l8s2.hf` tells transformers what an `s2l8hModel` is. So no code from the Hub runs, where the published example
# needs `trust_remote_code=True`. The three lines that load it:

# %%
import l8s2.hf
from l8s2.models.names import located
from transformers import AutoModel

model = AutoModel.from_pretrained(located(MODELS[0])).eval()

# %% [markdown]
# It takes reflectance that is interpolated to 10 m already, as arrays that share a corner; so the result lies beside
# Sentinel-2's pixels, not on them. Pan is not corrected for the sun: so it was trained.

# %%
import torch

size = tuple(3 * n for n in before.shape[1:])
l8MS, l8pan = (
    torch.nn.functional.interpolate(torch.tensor(np.nan_to_num(image), dtype=torch.float32)[None], size, mode="bicubic")
    for image in (before, pan[None])
)
with torch.no_grad():
    l8up = model(l8MS, l8pan)[0].numpy()
print(l8up.shape, "at 10 m")

# %% [markdown]
# ## All four as an ensemble
#
# `model` takes names with commas between. Interpolation, Sentinel-2's pixel grid, margins, tiles and quality bits are
# l8s2's part. `published-ensemble` is short for the four names above. The `detail` of sigma is here how far the
# networks differ, because none of them says itself how sure it is.
#
# The four need 6 GB of memory and take minutes on a processor; one name, or `compact`, is faster.

# %%
ensemble = harmonize(scene, model=",".join(MODELS), sigma="detail", **more)
members = ensemble.attrs["model"].split("+")
print(len(members), "networks", *members, sep="\n  ")

# %% [markdown]
# ## Before, after, and how much the networks differ

# %%
import matplotlib.pyplot as plt

after, sigma = ensemble.surface_reflectance.values, ensemble.sigma.values
top, largest = np.nanpercentile(before[:3], 99), np.nanpercentile(sigma[:3], 99)
shown = {
    "Landsat, 30 m": before,
    f"{members[0].rpartition('/')[2]}, as published": l8up,
    "ensemble": after,
    "standard error, visible bands": sigma[:3].mean(0),
}
figure, axes = plt.subplots(2, 4, figsize=(16, 8.5), layout="constrained")  # below: the middle, enlarged
for column, (title, image) in enumerate(shown.items()):
    if image.ndim == 3:
        image = np.nan_to_num(np.clip(image[2::-1] / top, 0, 1)).transpose(1, 2, 0) ** (1 / 1.4)
    rows, columns = (slice(3 * n // 8, 5 * n // 8) for n in image.shape[:2])
    axes[0, column].imshow(image, cmap="magma", vmin=0, vmax=largest)
    drawn = axes[1, column].imshow(image[rows, columns], cmap="magma", vmin=0, vmax=largest)
    axes[0, column].set_title(title)
figure.colorbar(drawn, ax=axes[1, 3], label="reflectance", location="bottom")
for axis in axes.flat:
    axis.set_axis_off()
plt.show()
