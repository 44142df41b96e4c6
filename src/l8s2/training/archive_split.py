"""Which archives of Sentinel-2 imagery are trained on, and what is held out to validate and to calibrate on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import yaml
from pydantic import Field, ValidationError, model_validator

from l8s2.errors import InputError
from l8s2.simulate.archives import MSI_SIGMA, Image, load_archive
from l8s2.training.config import Section, SimulatedConfig

HELD_OUT = 0.25
"""Share of the rows of an image, the lowest ones, that ``hold_out_latitude_bands`` holds out."""
GAP = 0.05
"""Share of the rows beside held-out ones that is used for nothing, in latitude bands at least GAP_PIXELS."""
GAP_PIXELS = 30
BAND_PIXELS = 90
"""Smallest height of a held-out latitude band, 10 m pixels: a border of 18 at both ends never counts."""


class ArchiveRole(Section):
    """What is known of one archive beside its pixels."""

    role: Literal["training", "validation", "calibration", "unused"] = "training"
    rows: tuple[float, float] | None = None
    """Rows, as fractions of the height, that a calibration archive keeps out of training. Training ends above them."""
    reason: str | None = None
    """Reason why it is unused, for people."""
    sharpness: tuple[float, float] = MSI_SIGMA
    """Sharpness of the 10 m and of the 20 m bands, Gaussian sigma in pixels of the file."""
    smallest_scale: float = Field(default=1.0, ge=1)
    """Factor by which the image must at least be shrunk before its pixels pass for 10 m ones."""

    @model_validator(mode="after")
    def _consistent(self) -> ArchiveRole:
        if (self.role == "calibration") != (self.rows is not None):
            raise ValueError("rows belong to role calibration; give both, or neither")
        if self.rows is not None and not 0 < self.rows[0] < self.rows[1] <= 1:
            raise ValueError(f"rows {list(self.rows)}: give two fractions of the height, in order, such as [0.8, 1.0]")
        if (self.role == "unused") != (self.reason is not None):
            raise ValueError("reason belongs to role unused; give both, or neither")
        return self


class ArchiveSplit(Section):
    """Archives by their names without .npz; those that are not named are trained on."""

    archives: dict[str, ArchiveRole] = Field(default_factory=dict)


class SplitImages(NamedTuple):
    """Images of a folder by what they are for."""

    training: list[Image]
    calibration: list[Image]
    validation: list[Image]


def read_split(path: Path) -> ArchiveSplit:
    """Read a split from YAML. Raises InputError, in one line, for what is no split."""
    try:
        return ArchiveSplit.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a YAML file such as configs/embedded-split.yaml") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = f"{where}: {first['msg'].removeprefix('Value error, ')}"
        raise InputError(f"{path}: {message}; correct it, see configs/embedded-split.yaml") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())}); correct it") from None


def split_folder(folder: Path, split: ArchiveSplit) -> SplitImages:
    """Load the archives of a folder by their roles. Raises InputError where there is nothing to train on."""
    found = SplitImages([], [], [])
    for path in _archives(folder):
        of = split.archives.get(path.stem, ArchiveRole())
        if of.role == "unused":
            continue
        for loaded in load_archive(path).images:
            image = replace(loaded, sigma=of.sharpness, smallest_scale=of.smallest_scale)
            if of.role == "validation":
                found.validation.append(image)
            elif of.rows is None:
                found.training.append(image)
            else:
                height = image.stack.shape[1]
                first, last = (int(f * height) for f in of.rows)
                found.calibration.append(_rows(image, first, last))
                found.training.append(_rows(image, 0, first - int(GAP * height)))
    if not found.training:
        raise InputError(f"{folder}: none of its archives is for training; give a folder that holds some")
    return found


def images_of(config: SimulatedConfig) -> tuple[list[Image], list[Image]]:
    """Return the images to train on, and those held out, as the configuration says.

    Raises InputError for what cannot be read, and where there is nothing to train on or to hold out.
    """
    if config.split is not None:
        training, _, validation = split_folder(config.folder, read_split(config.split))
        return training, validation
    paths = _archives(config.folder)
    if missing := set(config.held_out) - {path.stem for path in paths}:
        names = ", ".join(path.stem for path in paths)
        raise InputError(f"data.simulated.held_out: {config.folder} has no archive {min(missing)}; it has {names}")
    if config.held_out:
        roles = {name: ArchiveRole(role="validation") for name in config.held_out}
        training, _, validation = split_folder(config.folder, ArchiveSplit(archives=roles))
        return training, validation
    return hold_out_latitude_bands([image for path in paths for image in load_archive(path).images], str(config.folder))


def hold_out_latitude_bands(images: list[Image], name: str) -> tuple[list[Image], list[Image]]:
    """Hold out the lowest rows of every image that is high enough, with a gap above.

    Smaller images are trained on whole. The images of a file (dates, chips) are cut at the same rows, so ground seen on
    several dates stays on one side. Where no image is high enough, the last site is held out whole.

    Args:
        images: to split.
        name: of the folder, for messages.

    Returns:
        The images to train on, and those held out. Raises InputError where nothing can be held out.
    """
    cut, held_out = [], []
    for image in images:
        rows = image.stack.shape[1]
        first = min(int((1 - HELD_OUT) * rows), rows - BAND_PIXELS)
        last = first - max(GAP_PIXELS, int(GAP * rows))
        if last < BAND_PIXELS:
            cut.append(image)
            continue
        cut.append(_rows(image, 0, last))
        held_out.append(_rows(image, first, rows))
    if held_out:
        return cut, held_out
    sites = sorted({image.site for image in images})
    if len(sites) < 2:
        raise InputError(
            f"{name}: one site, of less than {2 * BAND_PIXELS + GAP_PIXELS} rows, so nothing can be held out; "
            "give a second site"
        )
    return [i for i in images if i.site != sites[-1]], [i for i in images if i.site == sites[-1]]


def _archives(folder: Path) -> list[Path]:
    """Return the archives of a folder, sorted. Raises InputError where there is none."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise InputError(f"{folder}: no .npz imagery to train on; give the folder that holds x10/x20 archives")
    return paths


def _rows(image: Image, first: int, last: int) -> Image:
    return replace(image, stack=image.stack[:, first:last])
