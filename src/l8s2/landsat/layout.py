"""Which files of a Landsat Collection-2 product lie where: folders, .tar and .tar.gz, by their USGS names."""

from __future__ import annotations

import os
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path, PurePosixPath

from l8s2.errors import InputError
from l8s2.landsat.product_name import FLAGS, LEVEL2, PATTERN, ProductName, same_acquisition
from l8s2.raster import first_bytes, inside
from l8s2.sensors import BANDS, OLI

_FILE = re.compile(rf"(?P<id>{PATTERN})_(?P<part>.+)\.(?P<kind>[a-z]+)", FLAGS)
_BANDS = "|".join((*(f"SR_{band.landsat}" for band in BANDS), OLI.pan_band))
_USED = re.compile(rf"({_BANDS}|TOA_{OLI.pan_band}|QA_PIXEL|QA_RADSAT)\.TIFF?|MTL\.(TXT|JSON|XML)")
_ARCHIVES = (".tar.gz", ".tgz", ".tar")
_LARGEST_MEMBER = 4 << 30
_LARGEST_TEXT = 16 << 20
_GROWTH, _HARMLESS = 100, 256 << 20
"""What a compressed archive may unpack to: so many times its bytes, or so many bytes."""
EXAMPLE = "LC08_L2SP_143054_20230520_20230524_02_T1"


@dataclass(frozen=True, kw_only=True)
class ProductFiles:
    """The files of one product."""

    name: ProductName
    product_id: str
    source: str
    """Folder or archive they were found in."""
    parts: dict[str, str]
    """``SR_B2`` .. ``SR_B7``, ``B8`` (of ARD: TOA_B8), ``QA_PIXEL``, ``QA_RADSAT``, ``MTL`` -> path that GDAL opens;
    existing ones."""
    unpacked: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False, compare=False)
    """Keeps what was taken out of a compressed archive until the product is no longer used."""

    @property
    def is_window(self) -> bool:
        """Whether l8s2 has fetched a part of the scene, whose MTL tells of the whole."""
        try:
            return Path(self.source, "window.json").read_text(encoding="utf-8").strip() != "null"
        except OSError:
            return False

    def read_bytes(self, part: str) -> bytes:
        """Read a small part, such as the MTL."""
        path = self.parts[part]
        try:
            return first_bytes(path, _LARGEST_TEXT)
        except OSError as error:
            raise InputError(f"{Path(path).name}: {error.strerror}; check its permissions") from None


def products_in(path: Path) -> list[ProductFiles]:
    """List every Landsat product in a folder (not below it) or in an archive.

    Raises InputError when there is nothing there, or when an archive is damaged or holds unsafe paths.
    """
    if path.is_dir():
        try:
            return _grouped([(p.name, str(p)) for p in sorted(path.iterdir()) if p.is_file()], str(path))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; check its permissions") from None
    if not path.exists():
        raise InputError(
            f"{path}: no such file or folder; give a Collection-2 Level-2 product (folder, .tar or .tar.gz)"
        )
    if not (path.is_file() and path.name.lower().endswith(_ARCHIVES)):
        raise InputError(f"{path}: not a product; give the folder or the .tar that holds its bands")
    return _in_archive(path)


def _in_archive(path: Path) -> list[ProductFiles]:
    members: list[tuple[str, str]] = []
    unpacked: tempfile.TemporaryDirectory[str] | None = None
    try:
        archive, compressed = _open_archive(path)
        with archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise InputError(
                        f"{path.name}: member {member.name!r} points outside the archive; it is not a USGS product,"
                        " do not use it"
                    )
                if compressed and member.offset_data + member.size > max(_HARMLESS, _GROWTH * path.stat().st_size):
                    raise InputError(
                        f"{path.name}: unpacks to more than {_GROWTH} times its size; it is not a USGS product, do not"
                        " use it"
                    )
                if not (match := _FILE.fullmatch(name.name)):
                    continue
                if not member.isfile() or member.issparse() or member.size > _LARGEST_MEMBER:
                    raise InputError(
                        f"{path.name}: member {member.name!r} is a link or larger than 4 GiB; it is not a USGS product,"
                        " do not use it"
                    )
                if not compressed:
                    members.append((name.name, inside(os.path.abspath(path), member.offset_data, member.size)))
                elif _part(match):  # random access into gzip would decompress from the start each time
                    # Windows removes no file that is still open: what cannot be removed stays
                    unpacked = unpacked or tempfile.TemporaryDirectory(prefix="l8s2-", ignore_cleanup_errors=True)
                    members.append((name.name, _unpack(archive, member, Path(unpacked.name) / name.name)))
                else:
                    members.append((name.name, ""))
            _check_end(archive)
    except (tarfile.TarError, EOFError, zlib.error, OverflowError, MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{path}: {error.strerror}; check the file and its permissions") from error
        raise InputError(f"{path.name}: damaged archive ({error}); download it again") from None
    return _grouped(members, str(path), unpacked)


def _open_archive(path: Path) -> tuple[tarfile.TarFile, bool]:
    """Open an archive; also tell whether it is compressed, by its content, as downloads are often misnamed."""
    for mode in ("r:", "r:gz"):
        try:
            return tarfile.open(path, mode), mode == "r:gz"
        except tarfile.ReadError:
            continue
    raise tarfile.ReadError("neither .tar nor .tar.gz; an error page saved under that name?")


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> str:
    content = archive.extractfile(member)
    assert content is not None
    with target.open("wb") as out:
        while chunk := content.read(1 << 22):
            try:
                out.write(chunk)
                out.flush()
            except OSError as error:
                raise InputError(
                    f"{member.name}: cannot be unpacked into {target.parent.parent} ({error.strerror});"
                    " free some space there or unpack the archive yourself"
                ) from error
    return str(target)


def _check_end(archive: tarfile.TarFile) -> None:
    """Refuse an archive that does not end where an archive ends; tarfile takes that for the end."""
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if any(archive.fileobj.read(tarfile.BLOCKSIZE)):
        raise tarfile.ReadError("it breaks off or is garbled in the middle")
    for _ in range(_HARMLESS >> 20):  # the checksum of a compressed one is at its very end
        if not archive.fileobj.read(1 << 20):
            return
    raise tarfile.ReadError("far more behind its end than belongs there")


def _part(match: re.Match[str]) -> str | None:
    """Which part a file is, or None for one that is of no use here."""
    part = match["part"].upper()
    return part.removeprefix("TOA_") if _USED.fullmatch(f"{part}.{match['kind'].upper()}") else None


def _grouped(
    members: Iterable[tuple[str, str]], source: str, unpacked: tempfile.TemporaryDirectory[str] | None = None
) -> list[ProductFiles]:
    products: dict[str, dict[str, str]] = {}
    for name, path in members:
        if match := _FILE.fullmatch(name):
            parts = products.setdefault(match["id"].upper(), {})
            if part := _part(match):
                parts.setdefault(part, path)
    return [
        ProductFiles(name=parsed, product_id=product_id, source=source, parts=parts, unpacked=unpacked)
        for product_id, parts in products.items()
        if (parsed := ProductName.parse(product_id)) is not None
    ]


def _is_oli(name: ProductName) -> bool:
    return name.satellite in OLI.satellites and name.sensor == OLI.letter


def level2_product(path: Path) -> ProductFiles:
    """Return the one usable Level-2 product at ``path``. Raises InputError that says what was found instead."""
    products = products_in(path)
    level2 = [p for p in products if p.name.level in LEVEL2]
    usable = [p for p in level2 if _is_oli(p.name) and p.name.collection == 2]
    usable = [p for p in usable if any(part.startswith("SR_") for part in p.parts)] or usable
    if len(usable) == 1:
        return usable[0]
    if len(usable) > 1:
        names = ", ".join(p.product_id for p in usable[:3])
        raise InputError(f"{path}: holds {len(usable)} Level-2 products ({names}); give one")
    for product in level2 or products:
        name = product.name
        if name.satellite not in OLI.satellites:
            raise InputError(
                f"{product.product_id}: Landsat {name.satellite} has another sensor; l8s2 reads Landsat 8 and 9"
            )
        if name.collection != 2:
            raise InputError(
                f"{product.product_id}: Collection {name.collection}; l8s2 reads Collection 2, order the scene anew"
            )
        if name.sensor != OLI.letter:
            raise InputError(
                f"{product.product_id}: sensor L{name.sensor} lacks OLI or surface reflectance; give an LC08 or LC09"
                " product"
            )
        raise InputError(
            f"{product.product_id}: Level-1 product; l8s2 needs the Level-2 surface reflectance (L2SP), pan comes with"
            " `pan`"
        )
    raise InputError(
        f"{path}: no Landsat Collection-2 Level-2 files such as {EXAMPLE}_SR_B4.TIF; give the folder or .tar of one"
        " L2SP product"
    )


def pan_partner(product: ProductFiles) -> ProductFiles | None:
    """Find the Level-1 product with pan of the same acquisition, in the same folder or beside it; None without.

    Archives are opened only where no folder has it.
    """
    here = Path(os.path.abspath(product.source))
    try:
        siblings = sorted(here.parent.iterdir())
    except OSError:
        siblings = []
    beside = [s for s in siblings if _is_level1_of(s.name, product.name)]
    folders = [here, *(s for s in beside if s.is_dir())] if here.is_dir() else [s for s in beside if s.is_dir()]
    archives = [s for s in beside if s.is_file() and s.name.lower().endswith(_ARCHIVES)]
    for places in (folders, archives):
        found = [
            p for place in places for p in products_in(place) if _has_pan(p) and same_acquisition(p.name, product.name)
        ]
        if found:
            return max(found, key=lambda p: (p.name.level == "L1TP", p.name.processed or date.min))
    return None


def pan_given(path: Path, product: ProductFiles) -> ProductFiles:
    """Return the Level-1 product at ``path`` that is of the same acquisition. Raises InputError where none is."""
    candidates = pan_products(path)
    for candidate in candidates:
        if same_acquisition(candidate.name, product.name) or _of_tile(candidate.name, product.name):
            return candidate
    raise InputError(
        f"`pan` {candidates[0].product_id}: not the acquisition of {product.product_id}; path/row and date must agree"
    )


def pan_products(path: Path) -> list[ProductFiles]:
    """List the Level-1 products with a pan band in a folder or archive, or the one of a ``_B8.TIF``.

    Raises InputError where there is none.
    """
    if not path.exists():
        raise InputError(f"`pan` {path}: no such file or folder; give the Level-1 product of the same acquisition")
    is_file = path.is_file() and path.suffix.lower() in (".tif", ".tiff")
    found = [p for p in products_in(path.parent if is_file else path) if _has_pan(p)]
    if is_file:
        found = [p for p in found if Path(p.parts["B8"]) == path]
    if not found:
        raise InputError(f"`pan` {path}: no Level-1 pan band (.._B8.TIF by its USGS name) there; give the L1TP product")
    return found


def _is_level1_of(name: str, wanted: ProductName) -> bool:
    """Whether a folder or archive is named as a product with pan of an acquisition."""
    ending = next((e for e in _ARCHIVES if name.lower().endswith(e)), "")
    parsed = ProductName.parse(name[: len(name) - len(ending)].upper().removesuffix("_TOA"))
    return parsed is not None and _may_have_pan(parsed) and same_acquisition(parsed, wanted)


def _of_tile(scene: ProductName, tile: ProductName) -> bool:
    """Whether a Level-1 scene is of the day of a tile of ARD, which may be made of it."""
    return bool(tile.region) and (scene.satellite, scene.acquired) == (tile.satellite, tile.acquired)


def _may_have_pan(name: ProductName) -> bool:
    return name.level.startswith("L1") or bool(name.region)


def _has_pan(product: ProductFiles) -> bool:
    return _may_have_pan(product.name) and OLI.pan_band in product.parts
