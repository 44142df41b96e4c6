# %% [markdown]
# # Fine-tune on your region
#
# A network that is trained a little further on pairs of your own region may do better there, or worse. `l8s2 finetune`
# holds ground out, compares before and after on it, and says which weights to keep. This notebook does it in Python.
#
# `pip install 'l8s2[notebooks,train]'` has what it needs.
#
# ## Pairs
#
# A set of real pairs is searched, fetched, co-registered and cut by two commands
# ([training sets](../docs/dataset.md)):
#
#     l8s2 search --pairs --bbox 3.9 50.6 5.2 51.2 --datetime 2023-04/2023-09 -o recipe.json
#     l8s2 dataset build recipe.json -o my_region
#
# Set `L8S2_PAIRS` to such a set. Without it **two made-up landscapes play the region** and the pairs are simulated;
# then the verdict below says nothing about real imagery. `L8S2_STEPS` is 300 unless you say so; a few show the way.

# %%
import json
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

work = Path(tempfile.mkdtemp())
pairs = os.environ.get("L8S2_PAIRS")
steps = int(os.environ.get("L8S2_STEPS", 300 if pairs else 10))
model = os.environ.get("L8S2_MODEL", "compact")
if pairs:
    region = Path(pairs)
else:
    from l8s2.simulate.landscape import landscape

    region = work / "region"
    region.mkdir()
    for site in range(2):
        truth = np.rint(1e4 * landscape(site, (100, 60)).truth).astype(np.int16)
        coarse = truth[3:].reshape(3, 150, 2, 90, 2).mean((2, 4)).astype(np.int16)  # B8A, B11, B12 at 20 m
        fine = truth[:4]  # B02, B03, B04; nir08 stands in for B08, which l8s2 does not use
        np.savez(
            region / f"simulated{site}.npz", x10=fine[None], x20=coarse[None], meta=json.dumps({"simulated": True})
        )

# %% [markdown]
# ## What the pairs look like
#
# Of a real set, the first pair of side Train: Landsat, and Sentinel-2 on the same ground.

# %%
if pairs:
    from l8s2.datasets.open import open_pairs

    first = open_pairs(region, "Train")[0]
    images = {"Landsat, 30 m": first.ms, "Sentinel-2, 10 m": first.truth}
else:
    images = {"simulated Sentinel-2, 10 m": truth / 1e4}
figure, axes = plt.subplots(1, len(images), figsize=(5 * len(images), 5), layout="constrained", squeeze=False)
top = max(np.nanpercentile(image[:3], 99) for image in images.values())
for axis, (title, image) in zip(axes.flat, images.items(), strict=True):
    axis.imshow(np.nan_to_num(np.clip(image[2::-1] / top, 0, 1)).transpose(1, 2, 0))
    axis.set_title(title)
    axis.set_axis_off()
plt.show()

# %% [markdown]
# ## Train a little
#
# Real pairs have sides: what is called Test is never trained on. Of simulated ones the lowest quarter of the rows of
# each image is held out, with a gap above it. The learning rate is small, so that the network forgets little.

# %%
from l8s2.training.finetune import finetune, table

result = finetune(model, region, work / "run", steps=steps, learning_rate=1e-4, batch=4, report=print)

# %% [markdown]
# ## The verdict
#
# PSNR on the held-out ground, for bicubic interpolation, for the weights as they were and for the new ones. New weights
# are recommended if they are better by 0.1 dB in the mean and worse by 0.1 dB in no band.

# %%
print(table(result))

psnr = {kind: np.array(row, float) for kind, row in result["psnr"].items()}  # None, of an unknown band, becomes NaN
figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
for offset, kind in ((-0.2, "start"), (0.2, "finetuned")):
    axis.bar(np.arange(len(psnr[kind])) + offset, psnr[kind] - psnr["bicubic"], 0.4, label=kind)
axis.axhline(0, color="black", linewidth=0.8)
axis.set_xticks(range(len(result["bands"])), result["bands"])
axis.set(ylabel="PSNR over bicubic on held-out ground, dB", title=result["held_out"])
axis.legend()
plt.show()

# %% [markdown]
# ## Use it
#
# The folder of the model goes wherever a model is named: `l8s2 harmonize SCENE -o out --model FOLDER`,
# `l8s2.harmonize(scene, model=FOLDER)`. Keep it only if the verdict says so.

# %%
print(result["verdict"])
print("model:", result["model"])
