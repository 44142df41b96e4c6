"""How far the means of 3 x 3 output pixels lie from the 30 m input: `python benchmarks/block_means.py PRODUCT...`.

RMS difference by band, in reflectance, of whole Level-2 products. It has three parts: the band-pass of Sentinel-2, the
blur of OLI that the output has not, and errors of the model.
"""

from __future__ import annotations

import sys

import numpy as np

import l8s2


def block_means_off_by(product: str) -> np.ndarray:
    """Return the six differences."""
    output = l8s2.harmonize(product)["surface_reflectance"].to_numpy()
    with l8s2.open_scene(product) as scene:
        rows, columns = scene.shape
        ms = scene.read(slice(0, rows), slice(0, columns)).ms
    off = output.reshape(6, rows, 3, columns, 3).mean(axis=(2, 4)) - ms
    return np.sqrt(np.nanmean(off**2, axis=(1, 2)))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(name, *(f"{value:.4f}" for value in block_means_off_by(name)))
