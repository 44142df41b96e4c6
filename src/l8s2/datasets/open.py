"""Any set of image pairs by its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from l8s2.datasets.image_pair import Pairs
from l8s2.errors import InputError


def kind_of(folder: Path) -> Literal["set", "OLI2MSI", "LS2S2"] | None:
    """Tell what a folder holds: a set that l8s2 has built, one of these two, or None."""
    if (folder / "shards").is_dir():
        return "set"
    if (folder / "train_lr").is_dir():
        return "OLI2MSI"
    return "LS2S2" if any(folder.glob("**/landsat/index.csv")) else None


def open_pairs(folder: Path, side: str | None = None) -> Pairs:
    """Open the source in a folder, by what lies in it: a set that l8s2 has built, OLI2MSI, or LS2S2; or a pair archive.

    ``side``: of a set that l8s2 has built, as it was split (None: all); Train (also None) or Test of OLI2MSI. Raises
    InputError where the folder is none of them, and for a side that it does not have.
    """
    from l8s2.datasets import geotiffs, ls2s2, pair_archive, set_pairs

    kind = kind_of(folder)
    if kind == "set":
        return set_pairs.ShardPairs(folder, side)
    if kind == "OLI2MSI":
        part = (side or "Train").lower()
        if part not in ("train", "test"):
            raise InputError(f"{folder}: no side {side}; give Train or Test, which OLI2MSI has")
        return geotiffs.oli2msi(folder, part)
    if kind == "LS2S2" or folder.suffix == ".npz":
        if side is not None:
            what = kind or "a pair archive"
            raise InputError(
                f"{folder}: {what} has no sides, so none is called {side}; leave the side out, or give a set with sides"
            )
        return ls2s2.Ls2s2(folder) if kind else pair_archive.PairArchive(folder)
    raise InputError(f"{folder}: no training set that l8s2 knows; give a folder with shards, train_lr, or LS2S2 areas")
