"""Sentinel-2 Level 2A as Copernicus delivers it: a ``.SAFE`` folder, or the ``.zip`` of one."""

from __future__ import annotations

import re
from pathlib import Path

from l8s2.deliveries.members import Member, Members
from l8s2.deliveries.zip_archive import read_zip
from l8s2.errors import InputError
from l8s2.pairs.safe_metadata import SafeMetadata
from l8s2.raster import first_bytes
from l8s2.sensors import BANDS

PRODUCT, TILE = "MTD_MSIL2A.xml", "MTD_TL.xml"
_LEVEL1 = "MTD_MSIL1C.xml"
_NAME = re.compile(r"S2[A-D]_")
_OLD = re.compile(r"S2[A-D]_(USER|OPER)_(PRD|MTD)_")
"""Names of the format before December 2016, with many tiles in a product."""
_ENDINGS = {
    **{band.sentinel2: f"_{band.sentinel2}_{band.sentinel2_gsd}m.jp2" for band in BANDS},
    "SCL": "_SCL_20m.jp2",
}
"""Band -> how its file ends; what stands before differs between baselines."""
_LARGEST = 16 << 20
"""Bytes of a metadata file; the tile's has half a megabyte."""
_GIVE = "give the .SAFE folder or the .zip of a Level-2A product (S2A_MSIL2A_...) as Copernicus delivers it"


def safe_files(path: Path) -> tuple[Members, SafeMetadata, dict[str, Member]]:
    """Return what lies in a SAFE folder or archive: all of it, the metadata, and the images by band and ``SCL``.

    Of an archive, members that are stored are read in place; of compressed ones what is needed is taken out into a
    temporary folder, which lives as long as the Members.

    Raises:
        InputError: Level 1C, the format before 2016, several tiles, something missing, or an unsafe or damaged archive.
    """
    members = _in_folder(path) if path.is_dir() else read_zip(path, lambda _: False)
    _check(members, path)
    if not path.is_dir():
        members = read_zip(path, _is_needed)
    metadata = SafeMetadata(*(_read(_one(members, name)) for name in (PRODUCT, TILE)))
    return members, metadata, {band: _one(members, ending) for band, ending in _ENDINGS.items()}


def is_safe(path: Path) -> bool:
    """Whether a path is a Sentinel-2 product in SAFE format, of any level: by its name, or by its metadata file."""
    if path.is_dir():
        return path.name.upper().endswith(".SAFE") or any((path / name).is_file() for name in (PRODUCT, _LEVEL1))
    return path.suffix.lower() == ".zip" and _NAME.match(path.name) is not None and path.is_file()


def is_level2a(path: Path) -> bool:
    """Whether ``is_safe``, and not Level 1 by its name: what is taken of a folder with both."""
    return is_safe(path) and "_MSIL1C_" not in path.name


def safe_of(folder: Path, product: str) -> Path | None:
    """Return the SAFE folder or archive of a product in a folder, None where there is none."""
    return next(filter(is_safe, (folder / f"{product}{ending}" for ending in (".SAFE", ".SAFE.zip", ".zip"))), None)


def _is_needed(name: str) -> bool:
    return name in (PRODUCT, TILE) or name.endswith(tuple(_ENDINGS.values()))


def _in_folder(path: Path) -> Members:
    nested = [below for below in path.glob("*.SAFE") if below.is_dir()]
    if len(nested) == 1 and not (path / PRODUCT).exists():  # as unpacking into a folder of the same name leaves it
        path = nested[0]
    patterns = (PRODUCT, _LEVEL1, "*_MTD_*", f"GRANULE/*/{TILE}", "GRANULE/*/IMG_DATA/R*m/*.jp2")
    try:
        found = [file for pattern in patterns for file in sorted(path.glob(pattern)) if file.is_file()]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; check its permissions") from None
    return Members([Member(file.name, str(file.parent), str(file)) for file in found], str(path))


def _one(members: Members, ending: str) -> Member:
    return next(member for member in members.files if member.name.endswith(ending))


def _check(members: Members, path: Path) -> None:
    """Refuse what is not one whole product, before anything is taken out of an archive."""
    names = [path.name, *(member.name for member in members.files)]
    if PRODUCT not in names:
        if any(map(_OLD.search, names)):
            raise InputError(
                f"{path}: in the format before December 2016 (S2A_USER_PRD_...), which l8s2 does not read; Copernicus"
                " has the same image as S2A_MSIL2A_... of Collection 1 (N0500 and later)"
            )
        if _LEVEL1 in names or "MSIL1C_" in path.name:
            raise InputError(
                f"{path}: Level 1C, reflectance at the top of the atmosphere; get the Level-2A product of it (MSIL2A)"
            )
        raise InputError(f"{path}: holds no {PRODUCT}; {_GIVE}")
    for ending in (PRODUCT, TILE, *_ENDINGS.values()):
        what, count = ending.removeprefix("_"), sum(name.endswith(ending) for name in names)
        if not count:
            raise InputError(f"{path}: holds no file {what}; it is not whole, download it again")
        if count > 1:
            raise InputError(f"{path}: holds {count} files {what}, so more than one tile or product; give one of one")


def _read(member: Member) -> bytes:
    try:
        content = first_bytes(member.path, _LARGEST)
    except OSError as error:
        raise InputError(f"{member.name}: {error.strerror}; check the file and its permissions") from None
    if len(content) == _LARGEST:
        raise InputError(f"{member.name}: larger than any metadata file; download it again")
    return content
