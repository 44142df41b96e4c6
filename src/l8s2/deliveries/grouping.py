"""Which files of one place belong together, and of which product they are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from l8s2.deliveries.declared import Declared
from l8s2.deliveries.file_name import SURFACE, fit_for_a_file, read_file_name
from l8s2.deliveries.members import Member, Members
from l8s2.deliveries.product_files import ProductFiles, read_text
from l8s2.deliveries.product_name import FLAGS, LEVEL2, PATTERN, ProductName, same_acquisition
from l8s2.errors import InputError
from l8s2.sensors import BANDS, OLI

_IDS = re.compile(rf"LANDSAT_PRODUCT_ID\W+(?P<id>{PATTERN})", FLAGS)
_BANDS = {*SURFACE, *(band.landsat for band in BANDS), OLI.pan_band}
_Named = dict[str, list[Member]]
"""Part -> the files that are named so."""


@dataclass(frozen=True)
class Unnamed:
    """Bands whose names do not tell the product, and that have no MTL which would."""

    folder: str
    added: str
    parts: _Named

    @property
    def files(self) -> list[str]:
        """Names of the files."""
        return sorted(file.name for found in self.parts.values() for file in found)


def products_among(members: Members) -> tuple[list[ProductFiles], list[Unnamed]]:
    """Return the products in a place, and what cannot be told. Raises InputError where two files claim to be one."""
    named: dict[str, dict[str, _Named]] = defaultdict(dict)
    names: dict[str, ProductName] = {}
    unnamed: dict[str, dict[str, _Named]] = defaultdict(dict)
    for member in members.files:
        name = read_file_name(member.name)
        if name.product is not None:
            names.setdefault(name.product.id, name.product)
            _put(named[name.product.id], name.added, name.part, member)
        elif name.part is not None:
            _put(unnamed[member.folder], name.added, name.part, member)
    products = [
        _identified(members, names[product_id], parts, added)
        for product_id, sets in named.items()
        for added, parts in _sets_of_bands(sets)
    ]
    unknown = []
    for folder, sets in unnamed.items():
        for added, parts in _sets_of_bands(sets):
            if not _BANDS & parts.keys():
                continue
            found = _without_id(members, folder, parts, added, products)
            products += found
            if not found:
                unknown.append(Unnamed(folder, added, parts))
    return products, unknown


def by_declared(members: Members, bands: Unnamed, declared: Declared) -> ProductFiles | None:
    """Return the product of bands of surface reflectance, where its owner declares date and satellite; else None."""
    if declared.acquired is None or declared.platform is None or not SURFACE.keys() & bands.parts.keys():
        return None
    place = Path(members.source)
    own_name = fit_for_a_file(place.resolve().name if place.is_dir() else place.name.partition(".")[0])
    name = ProductName.of_image(own_name, int(declared.platform[-1]), declared.acquired)
    return _product(members, name, bands.parts, bands.added, [], named=False)


def _put(sets: dict[str, _Named], added: str, part: str | None, member: Member) -> None:
    parts = sets.setdefault(added if part else "", {})
    if part is not None:
        parts.setdefault(part, []).append(member)


def _sets_of_bands(sets: dict[str, _Named]) -> Iterable[tuple[str, _Named]]:
    """Yield what has bands, by what its owner added to the names; quality and MTL are of every set that lacks them."""
    with_bands = [added for added, parts in sets.items() if _BANDS & parts.keys()] or [min(sets, key=len)]
    for added in with_bands:
        parts = dict(sets[added])
        for other in sorted(sets, key=len):
            for part, files in sets[other].items():
                if part == "MTL" or other not in with_bands:
                    parts.setdefault(part, files)
        yield added, parts


def _identified(members: Members, name: ProductName, parts: _Named, added: str) -> ProductFiles:
    """Make a product of files that bear its id; the MTL may complete that."""
    notes = []
    if name.processed is None and "MTL" in parts:
        told = _ids(parts["MTL"][0].path)
        full = next((n for n in told if same_acquisition(n, name) and n.level == name.level), None)
        if full is not None:
            notes.append(f"{name.id}: the names of its files lack the date of processing; its MTL says {full.id}")
            name = full
    return _product(members, name, parts, added, notes)


def _product(
    members: Members, name: ProductName, parts: _Named, added: str, notes: list[str], *, named: bool = True
) -> ProductFiles:
    """Make a product; ``named``: its files bear its id."""
    of_usgs = bool(name.tier or name.region)
    level2 = name.level in LEVEL2 and of_usgs  # B4 of Earth Engine is at the top of the atmosphere
    single: dict[str, str] = {}
    for part, files in sorted(parts.items(), key=lambda each: each[0] not in SURFACE):  # SR_B4 goes before B4
        known = f"SR_{part}" if level2 and f"SR_{part}" in SURFACE else part
        if known in _BANDS - SURFACE.keys() - {OLI.pan_band} or known in single:
            continue  # a band of Level 1 other than pan
        if len(files) > 1 and part != "MTL":
            both = " and ".join(file.name for file in files[:2])
            raise InputError(f"{members.source}: {both} both could be {part} of {name.id}; move one of them away")
        single[known] = files[0].path
    return ProductFiles(
        name=name, product_id=name.id, source=members.source, parts=single, unpacked=members.unpacked,
        added=added, notes=tuple(notes), as_delivered=of_usgs and not added and named,
    )  # fmt: skip


def _without_id(
    members: Members, folder: str, parts: _Named, added: str, products: list[ProductFiles]
) -> list[ProductFiles]:
    """Make a product, and that of its pan, of files without an id; nothing where neither MTL nor folder tells it."""
    mtl = parts.get("MTL", [])
    if not mtl and not any(SURFACE.keys() & p.parts.keys() for p in products):
        beside = {p.parts["MTL"] for p in products if "MTL" in p.parts and p.name.level in LEVEL2}
        mtl = [file for file in members.files if file.path in beside]
    told = [ids for file in mtl if (ids := _ids(file.path))]
    if not told and (called := ProductName.find(f"{members.source}/{folder}")):
        told, how = [[called]], "what their folder or archive is called"
    else:
        how = f"what {mtl[0].name} describes" if mtl else ""
    if len({ids[0].id for ids in told}) != 1:
        return []
    name = told[0][0]
    note = f"{name.id}: its files have names of their own; it is {how}"
    found = [_product(members, name, {**parts, "MTL": mtl[:1]} if mtl else parts, added, [note], named=False)]
    if OLI.pan_band in parts and name.level in LEVEL2:
        level1 = next((n for n in told[0] if n.level.startswith("L1")), None)
        level1 = level1 or replace(name, id=name.id.replace(name.level, "L1TP"), level="L1TP")
        found.append(_product(members, level1, {OLI.pan_band: parts[OLI.pan_band]}, added, [], named=False))
    return found


def _ids(path: str) -> list[ProductName]:
    """Return the product ids in an MTL, that of its own product first."""
    return [name for match in _IDS.finditer(read_text(path)) if (name := ProductName.parse(match["id"]))]
