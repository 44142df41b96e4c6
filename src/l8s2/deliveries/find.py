"""The product that a path means: a folder, an archive, one product of several in these, or any file of one."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from l8s2.deliveries.declared import NOTHING, Declared
from l8s2.deliveries.file_name import SURFACE, read_file_name
from l8s2.deliveries.grouping import Unnamed, by_declared, products_among
from l8s2.deliveries.members import Member, Members, Wanted
from l8s2.deliveries.one_file import check_declared, image_at, images_in, product_of_file
from l8s2.deliveries.product_files import ProductFiles
from l8s2.deliveries.product_name import LEVEL2, OURS, ProductName
from l8s2.deliveries.tar_archive import read_tar
from l8s2.deliveries.zip_archive import read_zip
from l8s2.errors import InputError
from l8s2.sensors import OLI

ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")
IMAGES = (".tif", ".tiff")
EXAMPLE = "LC08_L2SP_143054_20230520_20230524_02_T1"
_GIVE = "give a Collection-2 Level-2 product (folder, .tar, .tar.gz, .zip, or one GeoTIFF with all bands)"
_LISTED = 5


def named_in(folder: Path, product_id: str) -> Path | None:
    """Return the folder, archive or GeoTIFF in a folder that is named as a product is; None where there is none."""
    paths = (folder / f"{product_id}{ending}" for ending in ("", *ARCHIVES, *IMAGES))
    return next((path for path in paths if path.exists()), None)


def products_in(path: Path) -> list[ProductFiles]:
    """List every Landsat product in a folder (not below it) or in an archive.

    Raises InputError when there is nothing there, or when an archive is damaged or holds unsafe paths.
    """
    return products_among(_members(path))[0]


def _members(path: Path, wanted: Wanted = lambda name: read_file_name(name).part is not None) -> Members:
    """List a folder or archive; of a compressed archive what is ``wanted`` is taken out."""
    if path.is_dir():
        try:
            files = [Member(p.name, str(path), str(p)) for p in sorted(path.iterdir()) if p.is_file()]
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; check its permissions") from None
        return Members(files, str(path))
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; {_GIVE}")
    if not (path.is_file() and path.name.lower().endswith(ARCHIVES)):
        raise InputError(f"{path}: not a product; give the folder or the archive that holds its bands")
    return (read_zip if _is_zip(path) else read_tar)(path, wanted)


def _is_zip(path: Path) -> bool:
    """Tell by content, as downloads are often misnamed; an archive that is cut begins as a whole one."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"PK" or zipfile.is_zipfile(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; check the file and its permissions") from error


def level2_product(path: Path, declared: Declared = NOTHING) -> ProductFiles:
    """Return the one usable Level-2 product that a path means.

    Args:
        path: a folder or archive; a GeoTIFF with all bands; a file of a product in a folder; or an id within a folder
            or archive, such as ``FOLDER/LC08_L2SP_...``, where several products lie in it.
        declared: what its owner says of it.

    Raises InputError that says what was found instead.
    """
    place, file, wanted = _asked(path)
    if place.name.endswith(OURS):
        raise InputError(f"{path}: is made by l8s2 already; give the Landsat Level-2 product that it was made from")
    members = _members(place)
    products, unknown = products_among(members)
    image = _image(path, members, declared) if file is None and not unknown and not _with_surface(products) else None
    if file is not None and read_file_name(file.name).part is None:
        product = replace(product_of_file(image_at(file), members, declared), source=str(file))
    elif image is not None and wanted is None:
        product = image
    elif len(unknown) == 1 and not _usable(products) and (said := by_declared(members, unknown[0], declared)):
        product = said
    else:
        product = _one_of(products, unknown, path)
    check_declared(product, declared)
    return replace(product, scale=declared.scale, with_pan=tuple(p for p in products if OLI.pan_band in p.parts))


def _with_surface(products: Sequence[ProductFiles]) -> list[ProductFiles]:
    return [product for product in products if SURFACE.keys() & product.parts.keys()]


def _image(path: Path, members: Members, declared: Declared) -> ProductFiles | None:
    """Return the product of the one GeoTIFF in a place; None where there is none."""
    images = images_in(members)
    if len(images) > 1:
        names = ", ".join(image.name for image in images[:_LISTED])
        raise InputError(f"{path}: holds {len(images)} images ({names}) and no product by its names; give one file")
    if images and not images[0].path:
        members = _members(path, lambda name: name == images[0].name or read_file_name(name).part == "MTL")
        images = images_in(members)
    return product_of_file(images[0], members, declared) if images else None


def _one_of(products: list[ProductFiles], unknown: Sequence[Unnamed], path: Path) -> ProductFiles:
    """Return the product that is asked for, or the only one that there is."""
    place, file, wanted = _asked(path)
    if file is not None:
        products = [p for p in products if str(file) in p.parts.values()]
    if wanted is not None:
        products = [p for p in products if is_asked_for(p, wanted)] or products
    usable = _usable(products)
    if not usable and file is None and place.is_dir():
        below = [found for folder in _folders(place) for found in products_in(folder)]
        if wanted is not None:
            below = [p for p in below if is_asked_for(p, wanted)]
        usable = _usable(below)
        products = products or below
    if wanted is not None and not any(is_asked_for(p, wanted) for p in usable):
        raise InputError(f"{place}: {wanted.id} is not in it; it holds {_listed(usable or products)}")
    if len(usable) == 1:
        return usable[0]
    if len(usable) > 1:
        raise InputError(
            f"{path}: holds {len(usable)} Level-2 products ({_listed(usable)}); give one, as"
            f" {place / usable[0].product_id} or by the path of one of its files"
        )
    raise _unusable(path, products, unknown)


def _asked(path: Path) -> tuple[Path, Path | None, ProductName | None]:
    """Return the folder or archive that a path leads to, and the file or the id in it that is asked for."""
    of_product = path.name.lower().endswith(IMAGES) or read_file_name(path.name).part is not None
    if path.is_file() and of_product and not path.name.lower().endswith(ARCHIVES):
        return path.parent, path, None
    if not path.exists() and path.parent.exists() and (wanted := ProductName.find(path.name)):
        return path.parent, None, wanted
    return path, None, None


def is_asked_for(product: ProductFiles, wanted: ProductName) -> bool:
    """Tell whether a product has an id, which may lack the date of processing."""
    full, short = product.name, replace(wanted, processed=None)
    return wanted.id == full.id or (wanted.processed is None and replace(full, id=wanted.id, processed=None) == short)


def _usable(products: Sequence[ProductFiles]) -> list[ProductFiles]:
    fit = [p for p in products if p.name.level in LEVEL2 and _is_oli(p.name) and p.name.collection == 2]
    return [p for p in fit if SURFACE.keys() & p.parts.keys()] or fit


def _is_oli(name: ProductName) -> bool:
    return name.satellite in OLI.satellites and name.sensor == OLI.letter


def _folders(place: Path) -> list[Path]:
    try:
        return sorted(
            p for p in place.iterdir() if p.is_dir() and not p.name.startswith(".") and not p.name.endswith(OURS)
        )
    except OSError as error:
        raise InputError(f"{place}: {error.strerror}; check its permissions") from None


def _listed(products: Sequence[ProductFiles]) -> str:
    names = [f"{p.product_id} ({p.added})" if p.added else p.product_id for p in products]
    more = f", and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(names[:_LISTED]) or "no product") + more


def _unusable(path: Path, products: Sequence[ProductFiles], unknown: Sequence[Unnamed]) -> InputError:
    """Word why none of what there is can be used."""
    level2 = [p for p in products if p.name.level in LEVEL2]
    for product in level2 or products:
        name = product.name
        if name.satellite not in OLI.satellites:
            why = f"Landsat {name.satellite} has another sensor; l8s2 reads Landsat 8 and 9"
        elif name.collection != 2:
            why = f"Collection {name.collection}; l8s2 reads Collection 2, order the scene anew"
        elif name.sensor != OLI.letter:
            why = f"sensor L{name.sensor} lacks OLI or surface reflectance; give an LC08 or LC09 product"
        else:
            why = "Level-1 product; l8s2 needs the Level-2 surface reflectance (L2SP), pan comes with `pan`"
        return InputError(f"{product.product_id}: {why}")
    if unknown:
        files = ", ".join(unknown[0].files[:_LISTED])
        return InputError(
            f"{path}: nothing tells of which product {files} are; put the MTL of the Level-2 product beside them, or"
            " give `acquired` and `platform` for bands that are named as SR_B4 or red"
        )
    return InputError(
        f"{path}: no Landsat Collection-2 Level-2 files such as {EXAMPLE}_SR_B4.TIF; give the folder or archive of one"
        " L2SP product"
    )
