"""The files of one product, whatever they are called and wherever they lie."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from l8s2.deliveries.declared import Scale
from l8s2.deliveries.product_name import ProductName
from l8s2.errors import InputError
from l8s2.raster import first_bytes

_LARGEST_TEXT = 16 << 20
Unpacked = tempfile.TemporaryDirectory[str]
"""What was taken out of a compressed archive; it is removed with the last product that holds it."""


@dataclass(frozen=True, kw_only=True)
class ProductFiles:
    """The files of one product."""

    name: ProductName
    product_id: str
    source: str
    """Folder, archive or file they were found in."""
    parts: dict[str, str]
    """``SR_B2`` .. ``SR_B7``, ``B8`` (of ARD: TOA_B8), ``QA_PIXEL``, ``QA_RADSAT``, ``MTL`` -> path that GDAL opens;
    existing ones."""
    bands: dict[str, int] = field(default_factory=dict)
    """Part -> its band, from 1, in a file of several."""
    tags: dict[str, str] = field(default_factory=dict)
    """Of a file of several bands, names in capitals."""
    scale: Scale | None = None
    """As its owner declares it; None: as the files tell."""
    added: str = ""
    """What its owner has added to the names of the files."""
    notes: tuple[str, ...] = ()
    """How it was told what the files are, where their names do not, one line each."""
    as_delivered: bool = True
    """Whether the files bear the names of USGS, so that the scale of Collection 2 may be relied on."""
    with_pan: tuple[ProductFiles, ...] = field(default=(), repr=False, compare=False)
    """Products with a pan band in the same place."""
    unpacked: Unpacked | None = field(default=None, repr=False, compare=False)

    @property
    def is_window(self) -> bool:
        """Whether l8s2 has fetched a part of the scene, whose MTL tells of the whole."""
        try:
            return Path(self.source, "window.json").read_text(encoding="utf-8").strip() != "null"
        except OSError:
            return False

    def read_bytes(self, part: str) -> bytes:
        """Read a small part, such as the MTL. Raises InputError where it cannot be read."""
        return read_small(self.parts[part])


def read_small(path: str) -> bytes:
    """Read a small file. Raises InputError where it cannot be read."""
    try:
        return first_bytes(path, _LARGEST_TEXT)
    except OSError as error:
        raise InputError(f"{Path(path).name}: {error.strerror}; check its permissions") from None


def read_text(path: str) -> str:
    """Read a small file as text, without regard to what is none. Raises InputError where it cannot be read."""
    return read_small(path).decode("utf-8", "replace")
