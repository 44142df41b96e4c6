"""Which files of a Landsat Collection-2 product lie where: folders, .tar and .tar.gz, by their USGS names."""

from __future__ import annotations

import re
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from l8s2.errors import InputError
from l8s2.radiometry import ProductName, parse_product_name

_FILE = re.compile(
    r"(?P<id>L[A-Z]\d\d_[A-Z0-9]{4}_\d{6}_\d{8}_\d{8}_\d\d_[A-Z0-9]{2})_(?P<part>SR_B\d|B\d+|QA_PIXEL|QA_RADSAT|MTL)"
    r"\.(?P<kind>tiff?|txt|json|xml)",
    re.IGNORECASE,
)
_ARCHIVES = (".tar", ".tar.gz", ".tgz")
_LARGEST_MEMBER = 4 << 30
EXAMPLE = "LC08_L2SP_143054_20230520_20230524_02_T1"


@dataclass(frozen=True, kw_only=True)
class ProductFiles:
    """The files of one product."""

    name: ProductName
    product_id: str
    source: str
    """Folder or archive they were found in."""
    parts: dict[str, str]
    """``SR_B2`` .. ``SR_B7``, ``B8``, ``QA_PIXEL``, ``QA_RADSAT``, ``MTL`` -> path that GDAL opens."""
    unpacked: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False, compare=False)
    """Keeps what was taken out of a compressed archive until the product is no longer used."""

    def read_bytes(self, part: str) -> bytes:
        """The content of a small part, such as the MTL."""
        path = self.parts[part]
        if path.startswith("/vsitar/"):
            with tarfile.open(self.source) as archive:
                member = archive.extractfile(path.removeprefix(f"/vsitar/{self.source}/"))
                return member.read() if member else b""
        return Path(path).read_bytes()


def products_in(path: Path) -> list[ProductFiles]:
    """Every Landsat product in a folder (not below it) or in an archive.

    Raises InputError when there is nothing there, or when an archive is damaged or holds unsafe paths.
    """
    if path.is_dir():
        return _grouped(((p.name, str(p)) for p in sorted(path.iterdir()) if p.is_file()), str(path))
    if not path.exists():
        raise InputError(
            f"{path}: no such file or folder; give a Collection-2 Level-2 product (folder, .tar or .tar.gz)"
        )
    if not path.name.lower().endswith(_ARCHIVES):
        raise InputError(f"{path}: not a product; give the folder or the .tar that holds its bands")
    return _in_archive(path)


def _in_archive(path: Path) -> list[ProductFiles]:
    members: list[tuple[str, str]] = []
    unpacked: tempfile.TemporaryDirectory[str] | None = None
    path = path.resolve()
    try:
        with tarfile.open(path) as archive:
            compressed = not path.name.lower().endswith(".tar")
            for member in archive:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise InputError(
                        f"{path.name}: member {member.name!r} points outside the archive; it is not a USGS product, do not use it"
                    )
                if not _FILE.fullmatch(name.name):
                    continue
                if not member.isfile() or member.size > _LARGEST_MEMBER:
                    raise InputError(
                        f"{path.name}: member {member.name!r} is a link or larger than 4 GiB; it is not a USGS product, do not use it"
                    )
                if compressed:  # random access into gzip would decompress from the start each time
                    unpacked = unpacked or tempfile.TemporaryDirectory(prefix="l8s2-")
                    target = Path(unpacked.name) / name.name
                    content = archive.extractfile(member)
                    assert content is not None
                    with target.open("wb") as out:
                        while chunk := content.read(1 << 22):
                            out.write(chunk)
                    members.append((name.name, str(target)))
                else:
                    members.append((name.name, f"/vsitar/{path}/{member.name}"))
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(
                f"{path.name}: {error.strerror}; free space in the temporary folder or unpack it yourself"
            ) from None
        raise InputError(f"{path.name}: damaged archive ({error}); download it again") from None
    return _grouped(members, str(path), unpacked)


def _grouped(
    members: object, source: str, unpacked: tempfile.TemporaryDirectory[str] | None = None
) -> list[ProductFiles]:
    parts: dict[str, dict[str, str]] = {}
    for name, path in members:  # type: ignore[attr-defined]
        if match := _FILE.fullmatch(name):
            known = parts.setdefault(match["id"].upper(), {})
            known.setdefault(match["part"].upper(), path)
    found = []
    for product_id, files in parts.items():
        product_name = parse_product_name(product_id)
        if product_name is not None:
            found.append(
                ProductFiles(name=product_name, product_id=product_id, source=source, parts=files, unpacked=unpacked)
            )
    return found


def level2_product(path: Path) -> ProductFiles:
    """The one usable Level-2 product at ``path``; InputError that says what was found instead."""
    products = products_in(path)
    level2 = [p for p in products if p.name.level in ("L2SP", "L2SR")]
    usable = [p for p in level2 if p.name.satellite in (8, 9) and p.name.collection == 2 and p.name.sensor == "C"]
    if len(usable) == 1:
        return usable[0]
    if len(usable) > 1:
        names = ", ".join(p.product_id for p in usable[:3])
        raise InputError(f"{path}: holds {len(usable)} Level-2 products ({names}); give one")
    for product in level2 or products:
        name = product.name
        if name.satellite not in (8, 9):
            raise InputError(
                f"{product.product_id}: Landsat {name.satellite} has another sensor; l8s2 reads Landsat 8 and 9"
            )
        if name.collection != 2:
            raise InputError(
                f"{product.product_id}: Collection {name.collection}; l8s2 reads Collection 2, order the scene anew"
            )
        if name.sensor != "C":
            raise InputError(
                f"{product.product_id}: sensor L{name.sensor} lacks OLI or surface reflectance; give an LC08 or LC09 product"
            )
        raise InputError(
            f"{product.product_id}: Level-1 product; l8s2 needs the Level-2 surface reflectance (L2SP), pan comes with --pan"
        )
    raise InputError(
        f"{path}: no Landsat Collection-2 Level-2 files such as {EXAMPLE}_SR_B4.TIF; give the folder or .tar of one L2SP product"
    )


def pan_partner(product: ProductFiles) -> ProductFiles | None:
    """The Level-1 product of the same acquisition with a pan band, in the same folder or beside it; None without."""
    here = Path(product.source)
    found: list[ProductFiles] = []
    places = [here] if here.is_dir() else []
    for sibling in sorted(here.parent.iterdir()) if here.parent.is_dir() else []:
        name = sibling.name
        for ending in (*_ARCHIVES[::-1], ""):
            name = name.removesuffix(ending) if ending else name
        parsed = parse_product_name(name)
        if parsed is not None and parsed.level.startswith("L1") and same_acquisition(parsed, product.name):
            places.append(sibling)
    for place in places:
        found += [
            p
            for p in products_in(place)
            if p.name.level.startswith("L1") and "B8" in p.parts and same_acquisition(p.name, product.name)
        ]
    return max(found, key=lambda p: (p.name.level == "L1TP", p.name.processed), default=None)


def same_acquisition(a: ProductName, b: ProductName) -> bool:
    """Same satellite, path/row and date; processing date and level may differ."""
    return (a.satellite, a.path, a.row, a.acquired) == (b.satellite, b.path, b.row, b.acquired)
