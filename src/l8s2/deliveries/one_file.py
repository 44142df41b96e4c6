"""A product as one file of several bands, as Earth Engine, openEO or gdal_merge write it."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date
from pathlib import Path

from l8s2.deliveries.declared import EXAMPLE, Declared
from l8s2.deliveries.file_name import SURFACE, fit_for_a_file, part_in, read_file_name
from l8s2.deliveries.members import Member, Members
from l8s2.deliveries.product_files import ProductFiles, read_text
from l8s2.deliveries.product_name import ProductName, same_acquisition
from l8s2.errors import InputError
from l8s2.raster import open_raster
from l8s2.sensors import BANDS, OLI

_GIVE = f"give `bands`, such as {EXAMPLE}"


def product_of_file(file: Member, members: Members, declared: Declared) -> ProductFiles:
    """Return the product that a GeoTIFF of several bands is.

    Args:
        file: the GeoTIFF.
        members: what else lies beside it, of which an MTL is taken that is named as the file or of its acquisition.
        declared: what its owner says of it.

    Raises InputError where its bands, its date or its satellite are not told.
    """
    names, tags = _told(file)
    bands = dict(declared.bands) if declared.bands else _bands(file.name, names)
    if (largest := max(bands.values())) > len(names):
        raise InputError(f"`bands` {largest}: {file.name} holds {len(names)} bands; {_GIVE}")
    name = _name(file, members, tags, declared)
    mtl = [m for m in members.files if read_file_name(m.name).part == "MTL" and _describes(m, file, name)]
    parts = dict.fromkeys(bands, file.path) | ({"MTL": mtl[0].path} if mtl else {})
    return ProductFiles(
        name=name, product_id=name.id, source=members.source, parts=parts, bands=bands, tags=tags,
        as_delivered=False, unpacked=members.unpacked,
    )  # fmt: skip


def _told(file: Member) -> tuple[list[str], dict[str, str]]:
    """Return what each band is called, empty where it is not, and the tags of the file, names in capitals."""
    with open_raster(file.path, file.name, band=1).dataset as dataset:
        descriptions = zip(dataset.descriptions, map(dataset.tags, dataset.indexes), strict=True)
        names = [text or _named_in({k.upper(): v for k, v in tags.items()}) for text, tags in descriptions]
        return names, dict(_whole_tag(key, value) for key, value in dataset.tags().items())


def _whole_tag(key: str, value: str) -> tuple[str, str]:
    """Return a tag with its name in capitals; GDAL takes ``system:index=...`` apart at the colon."""
    rest, equals, after = value.partition("=")
    return (f"{key}:{rest}".upper(), after) if key.lower() == "system" and equals else (key.upper(), value)


def _named_in(tags: dict[str, str]) -> str:
    return next((tags[key] for key in ("LONG_NAME", "DESCRIPTION", "NAME", "BAND_NAME", "BANDNAME") if key in tags), "")


def _bands(file: str, names: list[str]) -> dict[str, int]:
    found: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(names, 1):
        part, _ = part_in(name)
        if part in {band.landsat for band in BANDS}:
            raise InputError(
                f"{file}: band {number} is called {name}, which tells neither surface reflectance nor top of"
                f" atmosphere; if it is the former, {_GIVE}"
            )
        if part is not None:
            found[part].append(number)
    shown = ", ".join(name or "without a name" for name in names[:8]) + (" ..." if len(names) > 8 else "")
    missing = [colour for part, colour in SURFACE.items() if part not in found]
    if len(names) < len(BANDS):
        raise InputError(
            f"{file}: holds {len(names)} bands ({shown}); give the folder of a Level-2 product, or one file with"
            f" {', '.join(SURFACE.values())}"
        )
    for part in (*SURFACE, "QA_PIXEL", "QA_RADSAT"):
        if len(found.get(part, ())) > 1:
            which = " and ".join(map(str, found.get(part, ())[:2]))
            raise InputError(f"{file}: bands {which} both are called {SURFACE.get(part, part)}; {_GIVE}")
    if not any(names):
        raise InputError(f"{file}: its {len(names)} bands have no names; {_GIVE}")
    if missing:
        raise InputError(f"{file}: no band is called {' or '.join(missing)}, there are {shown}; {_GIVE}")
    return {part: numbers[0] for part, numbers in found.items() if numbers and part != OLI.pan_band}


def _name(file: Member, members: Members, tags: dict[str, str], declared: Declared) -> ProductName:
    """Return what is known of the acquisition: by the file's name, its tags, an MTL of its name, what is declared."""
    stem = file.name.rpartition(".")[0]
    own_name = fit_for_a_file(stem)
    if (told := ProductName.find(stem)) and told.level.startswith("L1"):
        raise InputError(f"{file.name}: a Level-1 product by its name; l8s2 needs surface reflectance (L2SP)")
    texts = [stem, *(tags.get(key, "") for key in ("LANDSAT_PRODUCT_ID", "SYSTEM:INDEX", "SYSTEM:ID", "ID"))]
    texts += [read_text(m.path) for m in members.files if m.name.lower().startswith(f"{stem.lower()}_mtl.")]
    full = [name for name in map(ProductName.find, texts) if name and name.level.startswith("L2")]
    known = full or [name for name in map(ProductName.find_scene, texts) if name]
    told = known[0] if known else _of_tags(own_name, tags)
    if told is None:
        lacking = [n for n in ("acquired", "platform") if getattr(declared, n) is None]
        if declared.acquired is None or declared.platform is None:
            raise InputError(
                f"{file.name}: neither its name nor its tags tell date and satellite; give"
                f" {' and '.join(f'`{n}`' for n in lacking)}"
            )
        told = ProductName.of_image(own_name, int(declared.platform[-1]), declared.acquired)
    if told.satellite not in OLI.satellites:
        raise InputError(f"{file.name}: Landsat {told.satellite} has another sensor; l8s2 reads Landsat 8 and 9")
    return told


def _of_tags(own_name: str, tags: dict[str, str]) -> ProductName | None:
    craft = re.search(r"LANDSAT[-_ ]?(\d)\b", f"{tags.get('SPACECRAFT_ID', '')} {tags.get('PLATFORM', '')}", re.I)
    day = re.match(r"\d{4}-\d\d-\d\d", tags.get("DATE_ACQUIRED", ""))
    if craft is None or day is None:
        return None
    place = [tags.get(key, "") for key in ("WRS_PATH", "WRS_ROW")]
    path, row = (int(v) if v.isdecimal() else 0 for v in place)
    try:
        return ProductName.of_image(own_name, int(craft[1]), date.fromisoformat(day[0]), path, row)
    except ValueError:
        return None


def _describes(mtl: Member, file: Member, name: ProductName) -> bool:
    if mtl.name.lower().startswith(f"{file.name.rpartition('.')[0].lower()}_mtl."):
        return True
    told = ProductName.find(mtl.name)
    return told is not None and same_acquisition(told, name)


def check_declared(product: ProductFiles, declared: Declared) -> None:
    """Check that what is declared is what the files tell. Raises InputError where it is not."""
    name = product.name
    if declared.acquired not in (None, name.acquired):
        raise InputError(
            f"`acquired` {declared.acquired}: {product.product_id} is of {name.acquired}; leave the option out"
        )
    if declared.platform not in (None, OLI.platform(name.satellite)):
        raise InputError(
            f"`platform` {declared.platform}: {product.product_id} is of {OLI.platform(name.satellite)}; leave the"
            " option out"
        )
    if declared.bands and not product.bands:
        raise InputError(f"`bands`: {product.product_id} has a file for each band; leave the option out")


def images_in(members: Members) -> list[Member]:
    """Return the GeoTIFFs that are no file of a product by their names."""
    return [member for member in members.files if is_image(member.name)]


def is_image(name: str) -> bool:
    """Tell whether a GeoTIFF is not named as a part of a product, be it one of no use: ``<id>_ST_B10.TIF``."""
    told = read_file_name(name)
    stem, _, kind = name.rpartition(".")
    of_usgs = told.product is not None and bool(told.product.tier) and stem.upper().startswith(f"{told.product.id}_")
    return kind.lower() in ("tif", "tiff") and told.part is None and not of_usgs


def image_at(path: Path) -> Member:
    """Return a file on disk as a member of its folder."""
    return Member(path.name, str(path.parent), str(path))
