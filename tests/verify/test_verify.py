"""What ``l8s2 verify`` finds: damaged files, foreign files, Items and rasters that contradict themselves."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from rio_cogeo import cog_validate

from l8s2.cli import main
from l8s2.cog.inspect import faults_of_layout
from l8s2.errors import InputError
from l8s2.product.reader import product_folders
from l8s2.radiometry import NODATA
from l8s2.verify import verify_product
from making.scenes import ID, rewrite
from making.sealed import change_item, item_of, reseal

SR, SIGMA, QA, ITEM = f"{ID}_SR.tif", f"{ID}_SIGMA.tif", f"{ID}_QA.tif", f"{ID}.json"


def said(product: Path) -> list[str]:
    return [f"{fault.file}: {fault.what}" for fault in verify_product(product)]


def test_what_was_made_is_whole(product: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("goes online")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert said(product) == []


def flip(name: str) -> Callable[[Path], None]:
    def change(product: Path) -> None:
        content = bytearray((product / name).read_bytes())
        content[-100] ^= 1
        (product / name).write_bytes(content)

    return change


def link(product: Path) -> None:
    (product / QA).rename(product.parent / "elsewhere.tif")
    (product / QA).symlink_to(product.parent / "elsewhere.tif")


def item(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    return lambda product: change_item(product, change)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file gone": (lambda p: (p / SIGMA).unlink(), f"{SIGMA}: is missing"),
    "a bit turned": (flip(SR), f"{SR}: has another checksum than the Item says"),
    "a bit turned in the picture": (flip(f"{ID}_preview.png"), f"{ID}_preview.png: has another checksum"),
    "a file cut": (lambda p: (p / SR).write_bytes((p / SR).read_bytes()[:-9]), f"{SR}: has "),
    "a link": (link, f"{QA}: is not a plain file"),
    "a folder": (lambda p: ((p / QA).unlink(), (p / QA).mkdir()), f"{QA}: is not a plain file"),
    "a foreign file": (lambda p: (p / "notes.txt").touch(), "notes.txt: is not of this product"),
    "a hidden file": (lambda p: (p / f".{SR}.swp").touch(), f".{SR}.swp: is not of this product"),
    "no Item": (lambda p: item_of(p).unlink(), f"{ID}_S2L: holds 0 .json files"),
    "two Items": (lambda p: shutil.copy(item_of(p), p / "b.json"), f"{ID}_S2L: holds 2 .json files"),
    "Item cut": (lambda p: item_of(p).write_text(item_of(p).read_text()[:-9]), f"{ITEM}: no STAC Item"),
    "Item nested": (lambda p: item_of(p).write_text("[" * 9000), f"{ITEM}: no STAC Item"),
    "Item large": (lambda p: item_of(p).write_text(" " * (1 << 25)), f"{ITEM}: larger than"),
    "Item with NaN": (item(lambda i: i["properties"].update(gsd=float("nan"))), f"{ITEM}: no STAC Item"),
    "Item of another version": (item(lambda i: i.update(stac_version="1.0.0")), f"{ITEM}: stac_version: "),
    "Item without a time": (item(lambda i: i["properties"].pop("datetime")), f"{ITEM}: properties: 'datetime'"),
    "Item without a place": (item(lambda i: i.pop("geometry")), f"{ITEM}: Item: 'geometry' is a required"),
    "an extension not named": (item(lambda i: i["stac_extensions"].pop(0)), f"{ITEM}: stac_extensions: "),
    "view not named": (item(lambda i: i["stac_extensions"].pop()), f"{ITEM}: stac_extensions: "),
    "a field that is none": (item(lambda i: i["properties"].update({"proj:epsg": 1})), f"{ITEM}: properties: "),
    "a time of no zone": (
        item(lambda i: i["properties"].update({"processing:datetime": "2023-05-20T05:05:09"})),
        f"{ITEM}: properties/processing:datetime: ",
    ),
    "samples of no scale": (
        item(lambda i: i["assets"]["sigma"]["bands"][0].pop("raster:scale")), f"{ITEM}: assets/sigma/bands/0: ",
    ),
    "bits of no name": (item(lambda i: i["assets"]["qa"].pop("classification:bitfields")), f"{ITEM}: assets/qa: "),
    "a file elsewhere": (
        item(lambda i: i["assets"]["qa"].update(href="../../../secret")), f"{ITEM}: assets/qa/href: ",
    ),
    "a file on the network": (
        item(lambda i: i["assets"]["qa"].update(href="http://127.0.0.1/a.tif")), f"{ITEM}: assets/qa/href: ",
    ),
    "a weak checksum": (
        item(lambda i: i["assets"]["qa"].update({"file:checksum": "1114" + "0" * 40})), f"{ITEM}: assets/qa/file:",
    ),
    "a band of no name": (
        item(lambda i: i["assets"]["sigma"]["bands"][0].update({"eo:common_name": "B02"})),
        f"{ITEM}: assets/sigma/bands/0/eo:common_name: 'B02'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found(product: Path, kind: str) -> None:
    damage, expected = DAMAGE[kind]
    damage(product)
    (found, *more) = said(product)
    assert found.startswith(expected)
    assert not more or kind.startswith("Item")


def altered(name: str, change: Callable[[Any], Any] = lambda x: x, **profile: Any) -> Callable[[Path], None]:
    """Write a raster anew as a good COG, and have the Item agree."""

    def damage(product: Path) -> None:
        rewrite(product / name, change)
        options = {"driver": "COG", "blocksize": 512, "overviews": "none", "compress": "deflate"} | profile
        with rasterio.open(product / name) as source:
            values, crs, transform, nodata = source.read(), source.crs, source.transform, source.nodata
        shape = {"count": len(values), "height": values.shape[1], "width": values.shape[2], "dtype": values.dtype}
        place = {"crs": crs, "transform": transform, "nodata": nodata}
        with rasterio.open(product / name, "w", **(shape | place | options)) as target:
            target.write(values)
        reseal(product)

    return damage


def put(value: int, *, where: tuple[int, ...] = (0, 5, 7)) -> Callable[[Any], Any]:
    def change(values: Any) -> Any:
        values[where] = value
        return values

    return change


def moved(item: dict[str, Any]) -> None:
    """Put the Item a degree east, as that of another tile."""
    (ring,) = item["geometry"]["coordinates"]
    item["geometry"]["coordinates"] = [[[x + 1, y] for x, y in ring]]
    item["bbox"] = [value + (k % 2 == 0) for k, value in enumerate(item["bbox"])]


EAST = Affine(10, 0, 450_015, 0, -10, 5_660_025)
CONTRADICTIONS: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "nothing": (altered(QA), []),
    "bits of no meaning": (altered(QA, put(1 << 15)), [f"{QA}: has bits that have no meaning (1 pixels)"]),
    "fill that is known": (altered(QA, put(1)), [f"{QA}: says fill where every band is known (1 pixels)"]),
    "unknown without a word": (
        altered(SR, put(NODATA)),
        [f"{QA}: says nothing of a band that is not known (1 pixels)",
         f"{SIGMA}: is known where reflectance is not (1 pixels)"],
    ),
    "no sigma": (altered(SIGMA, put(NODATA)), [f"{SIGMA}: is not known where reflectance is (1 pixels)"]),
    "sigma of nothing": (altered(SIGMA, put(0)), [f"{SIGMA}: is below one step (1 pixels)"]),
    "another grid": (altered(QA, transform=EAST), [f"{QA}: lies at "]),
    "another zone": (altered(QA, crs="EPSG:32634"), [f"{QA}: is in EPSG:32634, the Item says EPSG:32633"]),
    "another size": (altered(QA, lambda x: x[:, :-1]), [f"{QA}: has 599 x 90 pixels, the Item says [600, 90]"]),
    "another type": (altered(QA, lambda x: x.astype(np.int16)), [f"{QA}: holds 1 x int16, not 1 x uint16"]),
    "five bands": (altered(SR, lambda x: x[:5]), [f"{SR}: holds 5 x int16, not 6 x int16"]),
    "another place": (item(moved), [f"{SR}: has pixels outside of the geometry of its Item, such as that at row 0, "]),
    "no place": (
        item(lambda i: i["geometry"]["coordinates"][0].pop()), [f"{SR}: the geometry of its Item is no closed polygon"],
    ),
    "another nodata": (altered(SIGMA, nodata=0), [f"{SIGMA}: nodata is 0.0, not -32768"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", CONTRADICTIONS)
def test_contradictions_are_found(product: Path, kind: str) -> None:
    damage, expected = CONTRADICTIONS[kind]
    damage(product)
    found = [fault for fault in said(product) if "the smallest image is" not in fault]
    assert len(found) == len(expected)
    assert all(fault.startswith(start) for fault, start in zip(sorted(found), sorted(expected), strict=True))


def test_a_block_that_cannot_be_read(product: Path) -> None:
    path = product / SR
    with rasterio.open(path) as source:
        place = int(source.get_tag_item("BLOCK_OFFSET_0_1", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[place : place + 100] = bytes(100)
    path.write_bytes(content)
    reseal(product)
    assert said(product) == [f"{SR}: the tile at row 512, column 0 cannot be read"]


# --- the layout, beside another's opinion ---------------------------------------------------------------------------


def as_cog(path: Path, **options: Any) -> None:
    from rasterio.shutil import copy

    plain(path.with_suffix(".plain"), tiled=False)
    copy(path.with_suffix(".plain"), path, driver="COG", blocksize=512, compress="deflate", **options)


def plain(path: Path, *, size: int = 1100, overviews: bool = False, **options: Any) -> None:
    rng = np.random.default_rng(0)
    with rasterio.open(
        path, "w", driver="GTiff", width=size, height=size, count=1, dtype="uint16", crs="EPSG:32633",
        transform=Affine(10, 0, 0, 0, -10, 0), **options,
    ) as target:  # fmt: skip
        target.write(rng.integers(0, 99, (1, size, size)).astype(np.uint16))
    if overviews:
        with rasterio.open(path, "r+") as target:
            target.build_overviews([2, 4])


TILES = {"tiled": True, "blockxsize": 512, "blockysize": 512}
FILES: dict[str, Callable[[Path], None]] = {
    "COG": as_cog,
    "COG of another software, BigTIFF": lambda p: as_cog(p, bigtiff="YES"),
    "strips": lambda p: plain(p, tiled=False),
    "tiles alone": lambda p: plain(p, **TILES),
    "small": lambda p: plain(p, size=400, **TILES),
    "reduced images behind": lambda p: plain(p, overviews=True, **TILES),
    "big, reduced images behind": lambda p: plain(p, overviews=True, bigtiff="YES", **TILES),
}


@pytest.mark.parametrize("kind", FILES)
def test_layout_as_others_see_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.tif"
    FILES[kind](path)
    valid, _, warnings = cog_validate(path, quiet=True)
    assert (not faults_of_layout(path)) == (valid and not warnings)


def test_layout_of_a_product_as_others_see_it(made: Path) -> None:
    for path in made.glob("*.tif"):
        assert cog_validate(path, strict=True, quiet=True)[0]
        assert faults_of_layout(path) == []


@pytest.mark.parametrize("keep", [0, 3, 9, 40, 300])
def test_layout_of_what_is_cut(made: Path, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes((made / SR).read_bytes()[:keep])
    assert faults_of_layout(path)


def test_layout_in_a_circle(made: Path, tmp_path: Path) -> None:
    content = bytearray((made / QA).read_bytes())
    first = int.from_bytes(content[4:8], "little")
    after = first + 2 + 12 * int.from_bytes(content[first : first + 2], "little")
    content[after : after + 4] = content[4:8]
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    assert faults_of_layout(path) == ["no whole TIFF (its images go in a circle, or are too many)"]


# --- the command ----------------------------------------------------------------------------------------------------


def test_a_folder_of_products(product: Path) -> None:
    other = Path(shutil.copytree(product, product.parent / "deep" / product.name))
    (other / QA).unlink()
    (product.parent / f".{product.name}.1234").mkdir()
    result = CliRunner().invoke(main, ["verify", str(product.parent)])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [f"{product}: whole", f"{other}: 1 fault", f"  {QA}: is missing"]
    told = json.loads(CliRunner().invoke(main, ["verify", str(product.parent), "--json"]).stdout)
    assert [entry["whole"] for entry in told] == [True, False]
    assert told[1]["faults"] == [{"file": QA, "what": "is missing"}]
    assert CliRunner().invoke(main, ["verify", str(product)]).exit_code == 0


def test_the_output_of_a_batch(product: Path) -> None:
    """Tables and Collection of a batch, which lie beside the products, are no Items."""
    for name in ("batch.json", "catalog.json", "collection.json"):
        (product.parent / name).write_text("{}")
    assert product_folders(product.parent) == [product]
    shutil.move(product, product.parent / "renamed")
    assert product_folders(product.parent / "renamed") == [product.parent / "renamed"]


def test_a_granule_is_no_product(product: Path, tmp_path: Path) -> None:
    granule = tmp_path / "L8S2.L10.T33UVS.2023140T051022.v0.1.0"
    granule.mkdir()
    item = json.loads(item_of(product).read_text())
    item["assets"] = {"Fmask": item["assets"]["qa"]}
    (granule / f"{granule.name}.json").write_text(json.dumps(item))
    with pytest.raises(InputError, match=r"a granule that `l8s2 export` wrote; give the product"):
        product_folders(granule)


def test_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no product of l8s2"):
        product_folders(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        product_folders(tmp_path / "nowhere")
