"""Any set of image pairs by its folder or file."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from l8s2.datasets.image_pair import Pairs
from l8s2.errors import InputError


class Form(NamedTuple):
    """One form of data set on disk."""

    holds: Callable[[Path], bool]
    """Whether a folder or file is of this form."""
    open: Callable[[Path, str | None], Pairs]
    """Folder and side (None: all there is, or the side to train on) -> its pairs."""
    split: bool
    """Whether it has sides, among them Test; ``open`` refuses those that it does not have."""


def _set(folder: Path, side: str | None) -> Pairs:
    from l8s2.datasets.set_pairs import ShardPairs

    return ShardPairs(folder, side)


def _oli2msi(folder: Path, side: str | None) -> Pairs:
    from l8s2.datasets.geotiffs import oli2msi

    part = (side or "Train").lower()
    if part not in ("train", "test"):
        raise InputError(f"{folder}: no side {side}; give Train or Test, which OLI2MSI has")
    return oli2msi(folder, part)


def _ls2s2(folder: Path, side: str | None) -> Pairs:
    from l8s2.datasets.ls2s2 import Ls2s2

    return Ls2s2(folder)


def _pair_archive(path: Path, side: str | None) -> Pairs:
    from l8s2.datasets.pair_archive import PairArchive

    return PairArchive(path)


def _is_pair_archive(path: Path) -> bool:
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "ms.npy" in archive.namelist()  # imagery to simulate from has Sentinel-2 alone


FORMS: dict[str, Form] = {
    "l8s2": Form(lambda folder: (folder / "shards").is_dir(), _set, split=True),
    "OLI2MSI": Form(lambda folder: (folder / "train_lr").is_dir(), _oli2msi, split=True),
    "LS2S2": Form(lambda folder: any(folder.glob("**/landsat/index.csv")), _ls2s2, split=False),
    "pair archive": Form(_is_pair_archive, _pair_archive, split=False),
}
"""Forms of data sets by name; the first that holds is taken."""


def form_of(folder: Path) -> str | None:
    """Return the name in FORMS of a folder or file; None for anything else."""
    return next((name for name, form in FORMS.items() if form.holds(folder)), None)


def open_pairs(folder: Path, side: str | None = None) -> Pairs:
    """Open the data set in a folder, by what lies in it.

    Args:
        folder: a set that l8s2 has built, or another of FORMS.
        side: of the data set; None: all of a set that l8s2 has built, the side to train on of another one.

    Raises InputError where the folder is none of them, and for a side that it does not have.
    """
    name = form_of(folder)
    if name is None:
        raise InputError(f"{folder}: no training set that l8s2 knows; give one of the forms {', '.join(FORMS)}")
    form = FORMS[name]
    if side is not None and not form.split:
        raise InputError(
            f"{folder}: {name} has no sides, so none is called {side}; leave the side out, or give a set with sides"
        )
    return form.open(folder, side)
