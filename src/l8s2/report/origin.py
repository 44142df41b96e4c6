"""Where a product lies, what it was made of, how to make it again and how to cite it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from l8s2 import grid
from l8s2.deliveries.product_name import ProductName
from l8s2.product.writer import SUFFIX
from l8s2.report.finished import Finished, SceneFacts, number
from l8s2.report.markup import table, text

_USGS = "https://landsatlook.usgs.gov/stac-server/collections"
_LOW_SUN = 20.0
"""Degrees."""
_SCENES = "Landsat 8-9 Collection 2 Level-2", "https://doi.org/10.5066/P9OGBGM6"
_ARD = "Landsat Collection 2 U.S. Analysis Ready Data", "https://doi.org/10.5066/P960F8OC"


def facts(product: Finished) -> Iterator[tuple[str, str]]:
    """Yield what heads the page: names, and values as markup."""
    item = product.item
    known = [scene.name for scene in item.scenes if scene.name is not None]
    yield "Observed", f"{_moment(item.text('datetime'))} by {text(item.text('platform'))}"
    if known and known[0].region:
        yield "Tile of U.S. ARD", f"{known[0].region}, horizontal {known[0].path}, vertical {known[0].row}"
    elif known:
        rows = ", ".join(str(name.row) for name in known)
        yield "WRS-2", f"path {known[0].path}, row{'s'[: len(known) != 1]} {rows}"
    if item.bbox is not None:
        west, south, east, north = item.bbox
        longitude, latitude = (west + east + 360 * (west > east)) / 2, (south + north) / 2
        longitude = (longitude + 180) % 360 - 180
        address = f"https://www.openstreetmap.org/?mlat={latitude:.4f}&amp;mlon={longitude:.4f}"
        yield "Centre", f'<a href="{address}">{_degrees(latitude, "NS")}, {_degrees(longitude, "EW")}</a>'
        yield (
            "Extent",
            f"{_degrees(west, 'EW')} to {_degrees(east, 'EW')}, {_degrees(south, 'NS')} to {_degrees(north, 'NS')}",
        )
    yield "Lattice", text(_lattice(product))
    sun = number(item.properties.get("view:sun_elevation"))
    low = ": long shadows, and Landsat's own reflectance is less certain" if sun is not None and sun < _LOW_SUN else ""
    yield "Sun", "unknown" if sun is None else f"{sun:.1f}&deg; above the horizon{low}"
    models = [item.text("l8s2:model"), item.text("l8s2:model_without_pan")]
    yield (
        "Made",
        f"{_moment(item.text('processing:datetime'))} by l8s2 {text(_version(product))}, model "
        f"{text(models[0])}{f', where pan is missing {text(models[1])}' if models[1] else ''}",
    )


def _moment(said: str | None) -> str:
    """Return a time as an Item has it, to the second."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z", said or "")
    return f"{found[1]} {found[2]} UTC" if found else text(said)


def _degrees(value: float, names: str) -> str:
    return f"{abs(value):.4f}&deg;&nbsp;{names[value < 0]}"


def _lattice(product: Finished) -> str:
    a, (height, width) = product.geobox.affine, product.shape
    crs = product.geobox.crs
    assert crs is not None
    size = f"{width} x {height} pixels of {a.a:g} x {abs(a.e):g} {crs.units[0]} in {grid.crs_name(crs)}"
    if product.item.properties.get("l8s2:warped"):
        return f"{size}; warped once from the scene's own grid, pixels are interpolated"
    where = f"{'on' if grid.on_sentinel2_lattice(product.geobox) else 'not on'} the 10 m lattice of Sentinel-2"
    return f"{size}, upper left corner at {a.c:.0f} E, {a.f:.0f} N; {where}"


def sections(product: Finished) -> Iterator[str]:
    """Yield provenance and citation as markup."""
    yield "<h2>Provenance</h2>"
    yield table(["What", "Value"], [[name, value] for name, value in _provenance(product)], words=True)
    yield "<h3>Files</h3>"
    yield table(["File", "Bytes", "SHA-256, as the Item says"], list(_files(product)), words=True)
    yield '<p class="quiet">Sizes agree with the Item. Contents were not compared with SHA-256; <code>sha256sum</code> '
    yield "shows that of a file.</p>"
    yield "<h3>To make it again</h3>"
    yield f"<pre>{text(command(product))}</pre>"
    yield '<p class="quiet"><code>l8s2 reproduce</code> with the Item makes it again and compares the bytes.</p>'
    yield from _citation(product)


def _provenance(product: Finished) -> Iterator[tuple[str, str]]:
    item = product.item
    for scene in item.scenes:
        if scene.name is not None:
            yield from (_tile(scene.name, scene) if scene.name.region else _scene(scene.name, scene.pan_id))
    for title, name in (("Model", "l8s2:model"), ("Model where pan is missing", "l8s2:model_without_pan")):
        if item.text(name) is not None:
            yield title, f"{text(item.text(name))}, SHA-256 <code>{text(item.text(f'{name}_sha256'))}</code>"
    yield "l8s2", text(_version(product))
    yield "Lineage", f'<span class="lines">{text(item.text("processing:lineage"))}</span>'


def _scene(name: ProductName, pan: str | None) -> Iterator[tuple[str, str]]:
    yield "Landsat Level 2", _link(f"{_USGS}/landsat-c2l2-sr/items/{name.id}_SR", name.id)
    yield "Pan, Level 1", _link(f"{_USGS}/landsat-c2l1/items/{pan}", pan) if pan else "none"


def _tile(name: ProductName, scene: SceneFacts) -> Iterator[tuple[str, str]]:
    """Of U.S. ARD, whose pan is in the top-of-atmosphere reflectance of the same tile."""
    yield "U.S. ARD", _link(f"{_USGS}/landsat-c2ard-sr/items/{name.id}_SR", name.id)
    has_pan = scene.facts("l8s2:pan_shift") or scene.pan_id
    yield "Pan, U.S. ARD", _link(f"{_USGS}/landsat-c2ard-ta", f"{name.id}, TOA") if has_pan else "none"


def _version(product: Finished) -> str:
    return str(product.item.facts("processing:software").get("l8s2", "unknown"))


def _link(address: str, name: str) -> str:
    """Link to an address of ours, ``name`` being checked to be a USGS id."""
    return f'<a href="{text(address)}">{text(name)}</a>'


def _files(product: Finished) -> Iterator[list[str]]:
    for key, path in product.paths.items():
        said = product.item.asset(key).get("file:checksum")
        checksum = said.removeprefix("1220") if isinstance(said, str) else None
        yield [text(path.name), f"{path.stat().st_size:,}", f"<code>{text(checksum)}</code>"]


def command(product: Finished) -> str:
    """Return the command line that makes the product again, as far as its Item tells; options in backticks."""
    item, times = product.item, number(product.item.properties.get("l8s2:mc_dropout"))
    asked = item.facts("l8s2:options")
    bbox = asked.get("bbox")
    given: dict[str, str | None] = {
        "model": item.text("l8s2:model"),
        "engine": "torch" if asked.get("engine") == "torch" else None,
        "pan": item.scenes[0].pan_id if len(item.scenes) == 1 else None,
        **{name: str(asked[name]) for name in ("mgrs", "crs", "like") if name in asked},
        "align_pan": "off" if asked.get("align_pan") == "off" else None,
        "sigma": "detail" if product.sigma_kind == "detail" else None,
        "mc_dropout": None if times is None else f"{times:.0f}",
    }
    options = [f"`{name}` {shlex.quote(value)}" for name, value in given.items() if value is not None]
    if isinstance(bbox, list):
        options.append(f"`bbox` {' '.join(shlex.quote(str(value)) for value in bbox)}")
    if "sigma" not in item.assets:
        options.append("`no_sigma`")
    ids = [scene.name.id for scene in item.scenes if scene.name] or [shlex.quote(item.id.removesuffix(SUFFIX))]
    return " ".join(["l8s2 harmonize", *ids, "-o out", *options])


def _citation(product: Finished) -> Iterator[str]:
    year = (product.item.text("processing:datetime") or "")[:4]
    yield "<h2>How to cite</h2><ul>"
    yield (
        f"<li>l8s2 contributors ({text(year)}): l8s2: Landsat-8/9 in, Sentinel-2-like surface reflectance at 10 m out. "
        f"Version {text(_version(product))}.</li>"
    )
    names = [scene.name for scene in product.item.scenes if scene.name is not None]
    title, doi = _ARD if names and names[0].region else _SCENES
    yield f'<li>{title}, U.S. Geological Survey, <a href="{doi}">{doi}</a>.</li>'
    yield f"<li>{text(product.item.text('l8s2:attribution'))}</li></ul>"
