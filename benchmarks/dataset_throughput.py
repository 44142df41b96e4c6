"""Patches a second out of our shards and out of one file a patch in the published layout.

    python benchmarks/dataset_throughput.py [--patches 400] [--side 86]

Both hold the same patches, read in the same run. ``read`` is what comes from the disk; ``DataLoader`` is ready to train
on: reflectance, masks, 20 m bands at 10 m (ours), or everything interpolated to 10 m (published). Files are in the
system's cache. Every figure is the best of three passes, and every process has one thread: more of them for matrices as
small as these cost time.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy

import click
import h5py
import numpy as np
import torch
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2.datasets.deep_harmonization import DeepHarmonizationPatches
from l8s2.datasets.export import export_deep_harmonization
from l8s2.datasets.image_pair import Pairs, fill_gaps
from l8s2.datasets.set_pairs import ShardPairs
from l8s2.patches.patch import Facts, Patch
from l8s2.patches.patch_set import PatchSet

BATCH = 16


def made(count: int, side: int, unit: int) -> Iterator[Patch]:
    """Noise with a cloud in every fourth patch."""
    rng = np.random.default_rng(unit)
    facts = Facts(
        landsat_id=f"L{unit}", sentinel2_id=f"S{unit}", landsat_time="2023-05-20", sentinel2_time="2023-05-20",
        location="33UVS", path_row="192025", s2_offset=-0.1, pan_scale=2e-5, pan_offset=-0.1,
        landsat_sun_elevation=50.0,
    )  # fmt: skip
    shapes = {"ms": (6, side, side), "pan": (2 * side, 2 * side), "s2_10m": (3, 3 * side, 3 * side)}
    shapes["s2_20m"] = (3, 3 * side // 2, 3 * side // 2)
    for number in range(count):
        transform = Affine(30, 0, 30 * 15_001 - 15, 0, -30, 15 + 30 * (187_001 - side * number))
        pixels = {k: rng.integers(7500, 12000, shape).astype(np.uint16) for k, shape in shapes.items()}
        clear = np.ones((3 * side, 3 * side), bool)
        clear[: side // 2, :side] = number % 4 > 0
        yield Patch(
            **pixels, landsat_usable=clear[::3, ::3].copy(), s2_usable=clear,
            box=GeoBox((side, side), transform, "EPSG:32633"), facts=facts,
        )  # fmt: skip


def rate(count: int, once: Callable[[], object]) -> float:
    """Patches a second, best of three."""
    best = np.inf
    for _ in range(3):
        started = time.perf_counter()
        once()
        best = min(best, time.perf_counter() - started)
    return count / best


class Tensors:
    """Pairs as PyTorch's DataLoader takes them, without NaN. Workers open their own files."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, object]:
        pair = fill_gaps(self.pairs[index])
        arrays = {name: torch.from_numpy(getattr(pair, name)) for name in ("ms", "pan", "truth", "valid")}
        return {**arrays, "id": pair.id}


def loaded(pairs: Pairs, workers: int) -> None:
    loader = torch.utils.data.DataLoader(Tensors(pairs), batch_size=BATCH, shuffle=True, num_workers=workers)
    assert sum(len(batch["id"]) for batch in loader) == len(pairs)


def read_files(files: list[Path]) -> None:
    for path in files:
        with h5py.File(path, "r") as file:
            for name in ("s2_image", "l8_image", "l8_pan"):
                file[name][()]


@click.command()
@click.option("--patches", default=400, show_default=True)
@click.option("--side", default=86, show_default=True, help="MS pixels, even.")
def main(patches: int, side: int) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = PatchSet(folder / "ours")
        for unit in range(4):
            ours.add(f"u{unit}", made(patches // 4, side, unit))
        ours.split({"Train": 1})
        export_deep_harmonization(ShardPairs(folder / "ours"), folder / "published")
        files = sorted(folder.glob("published/patches/*/*/*.h5"))
        pairs = {
            "shards": ShardPairs(folder / "ours"),
            "published": DeepHarmonizationPatches(
                folder / "published/patches.csv", folder / "published/patches", "Train", 3 * side
            ),
        }
        count = len(files)
        order = np.random.default_rng(0).permutation(count)
        found = {
            ("shards", "read"): rate(count, lambda: [ours.read(int(i)) for i in order]),
            ("published", "read"): rate(count, lambda: read_files([files[i] for i in order])),
        }
        for workers in (0, 2):
            for kind, source in pairs.items():
                found[kind, f"DataLoader, {workers} workers"] = rate(count, lambda s=source, w=workers: loaded(s, w))
        size = sum(f.stat().st_size for f in folder.glob("ours/shards/*")) / count / 1e6
    print(f"{count} patches of {side} MS pixels, {size:.2f} MB each in shards; patches a second")
    for what in dict.fromkeys(what for _, what in found):
        print(f"{what:24s} shards {found['shards', what]:7.0f}   one file a patch {found['published', what]:7.0f}")


if __name__ == "__main__":
    main()
