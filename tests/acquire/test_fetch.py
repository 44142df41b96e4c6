"""Scenes from servers on loopback: whole or a window, interrupted, damaged, resumed."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import transform as project

from l8s2.acquire import download as patience
from l8s2.acquire import fetch as module
from l8s2.acquire import windows as remote
from l8s2.acquire.fetch import SCENE, WINDOW, fetch_scene, file_name
from l8s2.acquire.windows import BBox, CatalogWindow, download_window
from l8s2.catalogs import http_policy
from l8s2.catalogs.items import SceneItem, item_text, read_item
from l8s2.errors import FetchError, InputError, OutsideError
from l8s2.landsat.describe import describe_product
from l8s2.landsat.scene import open_scene
from l8s2.system.locks import lock
from making.asset_server import PAGE, AssetServer, Fault, assets, s3
from making.scenes import ID, PAN_ID, archive, make, ms_grid
from making.served import access, landsat_item, sentinel2_item

MARGIN = 300.0


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_policy, "BACKOFF", 0.001)
    monkeypatch.setitem(remote._GDAL, "GDAL_HTTP_RETRY_DELAY", "0.001")


def raster(
    path: Path, epsg: int, x: float, y: float, size: float, shape: tuple[int, int] = (330, 300), **how: Any
) -> Path:
    """Noise; x and y: of the upper left corner."""
    options: dict[str, Any] = {
        "driver": "GTiff",
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 64,
        "compress": "deflate",
    }
    values = np.random.default_rng(0).integers(1, 60_000, shape, np.uint16)
    where = {"crs": f"EPSG:{epsg}", "transform": Affine(size, 0, x, 0, -size, y)}
    with rasterio.open(
        path, "w", count=1, height=shape[0], width=shape[1], dtype=np.uint16, **where, **(options | how)
    ) as target:
        target.write(values, 1)
    return path


def lonlat(path: Path, columns: Any, rows: Any) -> tuple[np.ndarray, np.ndarray]:
    with rasterio.open(path) as source:
        x, y = source.transform * (np.asarray(columns, float), np.asarray(rows, float))
        lon, lat = project(source.crs, "EPSG:4326", np.ravel(x), np.ravel(y))
    return (np.array(lon) + 180) % 360 - 180, np.array(lat)


def middle(path: Path) -> BBox:
    """An area in the middle of a raster."""
    with rasterio.open(path) as source:
        height, width = source.shape
    (west, east), (north, south) = lonlat(path, [0.4 * width, 0.6 * width], [0.45 * height, 0.6 * height])
    return float(west), float(south), float(east), float(north)


def assert_part(part: Path, whole: Path, bbox: BBox, margin: float) -> None:
    """A file has the pixels of another one, on its grid: those of an area, and hardly more."""
    with rasterio.open(part) as ours, rasterio.open(whole) as theirs:
        assert (ours.crs, ours.nodata, ours.dtypes) == (theirs.crs, theirs.nodata, theirs.dtypes)
        left, top = ~theirs.transform * (ours.transform.c, ours.transform.f)
        assert (left, top) == (round(left), round(top))
        assert ours.transform == theirs.transform * Affine.translation(left, top)
        rows, columns = (slice(round(first), round(first) + n) for first, n in ((top, ours.height), (left, ours.width)))
        np.testing.assert_array_equal(ours.read(1), theirs.read(1)[rows, columns])
        height, width, size = *theirs.shape, theirs.transform.a
    c, r = np.meshgrid(np.arange(width), np.arange(height))
    lon, lat = lonlat(whole, c + 0.5, r + 0.5)
    west, south, east, north = bbox
    inside = ((lon - west) % 360 <= (east - west) % 360) & (lat >= south) & (lat <= north)
    assert inside.any()
    for wanted, got, end in ((np.ravel(r)[inside], rows, height), (np.ravel(c)[inside], columns, width)):
        first, last = int(wanted.min() - margin // size), int(wanted.max() + 1 + margin // size)
        assert max(first - 3, 0) <= got.start <= max(first, 0)
        assert min(last + 3, end) >= got.stop >= min(last, end)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Landsat Level 2 with its pan beside it, as it lies on the provider's disk."""
    grid = ms_grid(150, 160)
    return make(tmp_path_factory.mktemp("provider"), grid, qa_radsat=np.zeros(grid.shape, np.uint16))


@pytest.fixture(scope="module")
def bbox(product: Path) -> BBox:
    return middle(product / f"{ID}_SR_B2.TIF")


@pytest.fixture
def server(product: Path) -> Iterator[AssetServer]:
    with assets(product.parent) as running:
        yield running


def items(product: Path, server: AssetServer, under: str = "") -> tuple[SceneItem, SceneItem]:
    """Level 2 and Level 1."""

    def address(path: Path) -> str:
        return f"{server.url}{under}/{path.relative_to(product.parent)}"

    return landsat_item(product, address), landsat_item(product.with_name(PAN_ID), address)


@pytest.fixture
def item(product: Path, server: AssetServer) -> SceneItem:
    return items(product, server)[0]


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def assert_whole(folder: Path, original: Path) -> None:
    assert visible(folder) == visible(original) | {SCENE, WINDOW}
    for path in original.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()


def assert_window(folder: Path, original: Path, bbox: BBox, margin: float) -> None:
    assert visible(folder) == visible(original) | {SCENE, WINDOW}
    for path in original.glob("*.TIF"):
        assert_part(folder / path.name, path, bbox, margin)


def failures(*arguments: Any, **how: Any) -> list[str]:
    with pytest.raises(FetchError) as caught:
        fetch_scene(*arguments, **how)
    assert str(caught.value).startswith(f"{arguments[0].id}: {caught.value.failures[0]}")
    assert not any("\n" in line for line in caught.value.failures)
    return list(caught.value.failures)


def told(*arguments: Any, **how: Any) -> str:
    with pytest.raises(InputError) as caught:
        fetch_scene(*arguments, **how)
    assert not isinstance(caught.value, FetchError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# whole scenes


def test_a_whole_product_is_that_of_the_provider(product: Path, server: AssetServer, tmp_path: Path) -> None:
    level2, level1 = items(product, server)
    seen = []

    def progress(done: int, wanted: int, what: str) -> None:
        seen.append((tmp_path / ID / WINDOW).exists() and not (tmp_path / ID / SCENE).exists())

    assert fetch_scene(level2, tmp_path, access(server.url), progress=progress) == tmp_path / ID
    assert all(seen)
    assert len(seen) >= len(level2.assets)
    assert fetch_scene(level1, tmp_path, access(server.url)) == tmp_path / PAN_ID
    assert_whole(tmp_path / ID, product)
    assert_whole(tmp_path / PAN_ID, product.with_name(PAN_ID))
    assert read_item(tmp_path / ID / SCENE) == level2
    facts = describe_product(tmp_path / ID)
    assert facts["pan"] is not None
    assert not facts["warnings"]
    server.requests.clear()
    fetch_scene(level2, tmp_path, access(server.url))
    fetch_scene(level2, tmp_path, access(server.url), bbox=(0, 0, 1, 1))  # the whole has every window
    assert not server.requests


def test_over_s3_whose_reader_pays(product: Path, bbox: BBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = landsat_item(product, lambda path: f"s3://usgs-landsat/{path.relative_to(product.parent)}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    with s3(product.parent) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        by = access(url, "s3-requester-pays")
        assert_whole(fetch_scene(item, tmp_path, by), product)
        assert_window(fetch_scene(item, tmp_path / "part", by, bbox=bbox, margin=MARGIN), product, bbox, MARGIN)


def test_each_failure_is_told_and_the_rest_is_kept(
    product: Path, server: AssetServer, item: SceneItem, tmp_path: Path
) -> None:
    bad = {f"{ID}_SR_B3.TIF": [Fault(404)], f"{ID}_SR_B5.TIF": [PAGE, PAGE], f"{ID}_QA_PIXEL.TIF": [Fault(403)] * 2}
    for name, faults in bad.items():
        server.fault(name, *faults)
    lines = failures(item, tmp_path, access(server.url))
    assert [line.partition(":")[0] for line in lines] == sorted(bad)
    kept = visible(tmp_path / ID)
    assert kept == visible(product) - set(bad) | {WINDOW}
    server.requests.clear()
    assert_whole(fetch_scene(item, tmp_path, access(server.url)), product)
    assert server.requests == dict.fromkeys(bad, 1)


def test_files_with_damage_are_found_by_decoding(product: Path, tmp_path: Path) -> None:
    root = tmp_path / "server" / ID
    root.mkdir(parents=True)
    for path in product.iterdir():
        (root / path.name).write_bytes(path.read_bytes())
    cut, garbled = root / f"{ID}_SR_B3.TIF", root / f"{ID}_SR_B4.TIF"
    cut.write_bytes(cut.read_bytes()[:-2000])
    content = bytearray(garbled.read_bytes())
    content[1000:-1000] = b"\xff" * (len(content) - 2000)
    garbled.write_bytes(content)
    with assets(root.parent) as server:
        item = landsat_item(root, lambda path: f"{server.url}/{ID}/{path.name}")
        by = access(server.url)
        for lines in (
            failures(item, tmp_path, by),
            failures(item, tmp_path / "part", by, bbox=middle(root / f"{ID}_SR_B2.TIF")),
        ):
            assert [line.partition(":")[0] for line in lines] == [cut.name, garbled.name]
        lines = failures(item, tmp_path, by)
        assert all("1 of 1 blocks unreadable" in line and "after 2 attempts; try again later" in line for line in lines)
    assert not (tmp_path / ID / cut.name).exists()


def test_checksums_of_the_catalogue_are_verified(server: AssetServer, item: SceneItem, tmp_path: Path) -> None:
    wrong = {name: replace(asset, checksum="1220" + 64 * "0") for name, asset in item.assets.items() if name == "red"}
    (line,) = failures(replace(item, assets=item.assets | wrong), tmp_path, access(server.url))
    assert "its checksum is not that of the catalogue" in line


def test_a_file_that_is_no_mtl(server: AssetServer, item: SceneItem, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("root:x:0:0")
    mtl = {"mtl": replace(item.assets["mtl"], href=str(tmp_path / "secret"))}
    (line,) = failures(replace(item, assets=item.assets | mtl), tmp_path, access(server.url))
    assert "MTL" in line
    assert not list((tmp_path / ID).glob("*_MTL*"))


# what is there already


@pytest.mark.parametrize("ending", ["", ".tar", ".tar.gz"])
def test_what_was_delivered_is_taken(product: Path, server: AssetServer, tmp_path: Path, ending: str) -> None:
    level2, level1 = items(product, server)
    for folder in (product, product.with_name(PAN_ID)):
        path = tmp_path / f"{folder.name}{ending}"
        if ending:
            archive(folder, path, mode="w:gz" if ending == ".tar.gz" else "w")
        else:
            path.symlink_to(folder)
    for item in (level2, level1):
        for bbox in (None, (0, 0, 1, 1)):
            assert fetch_scene(item, tmp_path, access(server.url), bbox=bbox) == tmp_path / f"{item.product}{ending}"
    assert not server.requests


def test_files_of_somebody_else_do_not_mix_with_a_window(
    product: Path, bbox: BBox, server: AssetServer, item: SceneItem, tmp_path: Path
) -> None:
    (tmp_path / ID).mkdir()
    name = f"{ID}_SR_B2.TIF"
    (tmp_path / ID / name).write_bytes((product / name).read_bytes())
    assert "give another folder" in told(item, tmp_path, access(server.url), bbox=bbox)
    assert_whole(fetch_scene(item, tmp_path, access(server.url)), product)
    assert name not in server.requests


def test_another_window_needs_another_folder(server: AssetServer, item: SceneItem, bbox: BBox, tmp_path: Path) -> None:
    by = access(server.url)
    fetch_scene(item, tmp_path, by, bbox=bbox, margin=MARGIN)
    server.requests.clear()
    fetch_scene(item, tmp_path, by, bbox=bbox, margin=MARGIN)
    for how in ({"bbox": bbox, "margin": 301.0}, {"bbox": (bbox[0] + 0.001, *bbox[1:]), "margin": MARGIN}, {}):
        assert "holds the window" in told(item, tmp_path, by, **how)
    server.fault(f"{ID}_SR_B3.TIF", Fault(404))
    failures(item, tmp_path / "whole", by)
    assert "holds the whole scene, or a part of it" in told(item, tmp_path / "whole", by, bbox=bbox)
    (tmp_path / ID / WINDOW).write_text("{")
    assert "damaged; delete the folder" in told(item, tmp_path, by)


def test_sentinel_2_of_two_archives_is_not_mixed(tmp_path: Path) -> None:
    names = ("B02", "B03", "B04", "B8A", "B11", "B12", "SCL")
    for name in names:
        raster(tmp_path / f"{name}.tif", 32644, 600_000, 900_000, 20, (64, 64))
    with assets(tmp_path) as server:
        item = sentinel2_item(tmp_path, lambda path: f"{server.url}/{path.name}")
        server.fault("B11.tif", Fault(404))
        failures(item, tmp_path / "out", access(server.url))
        other = replace(item, collection="sentinel-2-c1-l2a", offset=0.0, offset_removed=True)
        assert "holds the scene as made sentinel-2-l2a has it" in told(other, tmp_path / "out", access(server.url))
        assert read_item(fetch_scene(item, tmp_path / "out", access(server.url)) / SCENE).offset == item.offset


def test_two_processes_at_one_folder(server: AssetServer, item: SceneItem, bbox: BBox, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    (tmp_path / ID).mkdir()
    with lock(tmp_path / ID):
        assert "another process is fetching it" in told(item, tmp_path, access(server.url))
    assert not server.requests


def test_another_process_was_faster(
    server: AssetServer, item: SceneItem, bbox: BBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def late(folder: Path) -> Iterator[bool]:
        monkeypatch.setattr(module, "lock", lock)
        fetch_scene(item, tmp_path, access(server.url), bbox=bbox)
        yield True

    monkeypatch.setattr(module, "lock", late)
    assert "holds the window" in told(item, tmp_path, access(server.url))


def test_a_folder_that_cannot_be_made(item: SceneItem, server: AssetServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be made (Not a directory)" in told(item, tmp_path / "file", access(server.url))


def test_a_full_disk(server: AssetServer, item: SceneItem, bbox: BBox, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
    try:
        whole = failures(item, tmp_path, access(server.url))
        part = failures(item, tmp_path / "part", access(server.url), bbox=bbox, margin=1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert all("mend that, then run it again" in line for line in whole + part)
    assert len(whole) == len(part) == 7  # bands and MTL; QA is small
    assert not list((tmp_path / "part" / ID).glob("*_SR_*"))


# windows


GRIDS = {
    "ms 30 m": (32633, 449_985, 5_660_025, 30),
    "pan 15 m": (32633, 449_992.5, 5_660_017.5, 15),
    "10 m": (32644, 600_000, 900_000, 10),
    "20 m": (32644, 600_000, 900_000, 20),
    "20 m, south": (32733, 600_000, 7_900_000, 20),
    "negative northings": (32644, 353_685, -683_685, 30),
    "at the edge of the zone": (32633, 722_985, 5_660_025, 30),
    "beyond the edge of the zone": (32633, 802_995, 7_660_005, 15),
    "zone 1 across 180": (32601, 343_845, 7_000_005, 30),
    "zone 60 across 180": (32660, 647_145, 7_000_005, 30),
}


@pytest.mark.parametrize("margin", [0.0, 400.0])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_a_window_is_a_slice_of_the_whole(grid: tuple[int, float, float, float], margin: float, tmp_path: Path) -> None:
    whole, part = raster(tmp_path / "whole.tif", *grid), tmp_path / "part.tif"
    bbox = middle(whole)
    assert (bbox[0] > bbox[2]) == (grid[0] in (32601, 32660))
    download_window(lambda fresh: str(whole), part, CatalogWindow(bbox, margin))
    assert_part(part, whole, bbox, margin)


def test_a_window_over_the_border_ends_there(tmp_path: Path) -> None:
    whole, part = raster(tmp_path / "whole.tif", *GRIDS["10 m"]), tmp_path / "part.tif"
    west, south, east, north = middle(whole)
    bbox = (west, south, east + 0.02, north + 0.02)
    download_window(lambda fresh: str(whole), part, CatalogWindow(bbox, 50))
    assert_part(part, whole, bbox, 50)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_a_window_that_is_the_whole_world(grid: tuple[int, float, float, float], tmp_path: Path) -> None:
    whole, part = raster(tmp_path / "whole.tif", *grid), tmp_path / "part.tif"
    download_window(lambda fresh: str(whole), part, CatalogWindow((-180, -90, 180, 90), 0))
    with rasterio.open(whole) as theirs, rasterio.open(part) as ours:
        assert (ours.shape, ours.transform) == (theirs.shape, theirs.transform)


@pytest.mark.parametrize("bbox", [(14.0, 40.0, 14.1, 40.1), (-100.0, 51.0, -99.0, 52.0), (14.3, 52, 14.4, 50)])
def test_a_window_outside(server: AssetServer, item: SceneItem, bbox: BBox, tmp_path: Path) -> None:
    said = f"^{item.id}: has no pixel in {' '.join(f'{v:g}' for v in bbox)}; give a bbox inside the scene$"
    with pytest.raises(OutsideError, match=said):
        fetch_scene(item, tmp_path, access(server.url), bbox=bbox, margin=0)
    assert list(tmp_path.iterdir()) == []


def test_a_window_of_a_product_is_opened_as_a_scene(
    product: Path, server: AssetServer, bbox: BBox, tmp_path: Path
) -> None:
    for item in items(product, server):
        folder = fetch_scene(item, tmp_path, access(server.url), bbox=bbox, margin=MARGIN)
        assert_window(folder, product.with_name(item.product), bbox, MARGIN)
        sizes = [path.stat().st_size for path in folder.glob("*.TIF")]
        assert max(sizes) < 80_000
    with open_scene(tmp_path / ID) as part, open_scene(product) as whole:
        assert part.geobox.crs == whole.geobox.crs
        assert part.shape < whole.shape
        assert part.warnings == whole.warnings
    assert describe_product(tmp_path / ID)["pan"] is not None


def test_jpeg_2000_becomes_an_equal_geotiff(tmp_path: Path) -> None:
    for name in ("B02", "B03", "B04", "B8A", "B11", "B12", "SCL"):
        size = 10 if name in ("B02", "B03", "B04") else 20
        raster(
            tmp_path / f"{name}.jp2", 32644, 600_000, 900_000, size, (2400 // size, 2400 // size), driver="JP2OpenJPEG",
            nodata=None, QUALITY=100, REVERSIBLE="YES", tiled=None, compress=None,
        )  # fmt: skip
    with assets(tmp_path) as server:
        item = sentinel2_item(tmp_path, lambda path: f"{server.url}/{path.name}", ".jp2")
        bbox = middle(tmp_path / "B02.jp2")
        whole = fetch_scene(item, tmp_path / "whole", access(server.url))
        part = fetch_scene(item, tmp_path / "part", access(server.url), bbox=bbox, margin=MARGIN)
    assert visible(whole) == {file_name(item, name) for name in item.assets} | {SCENE, WINDOW}
    for original in tmp_path.glob("*.jp2"):
        with rasterio.open(whole / f"{original.stem}.tif") as ours, rasterio.open(original) as theirs:
            assert (ours.driver, ours.crs, ours.transform) == ("GTiff", theirs.crs, theirs.transform)
            np.testing.assert_array_equal(ours.read(), theirs.read())
        assert_part(part / f"{original.stem}.tif", original, bbox, MARGIN)


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """Of a size that takes several requests."""
    (tmp_path / "server").mkdir()
    return raster(tmp_path / "server" / "noise.tif", *GRIDS["10 m"], shape=(1100, 1000))


@pytest.fixture
def jpeg(tmp_path: Path, noise: Path) -> Path:
    how = {
        "driver": "JP2OpenJPEG",
        "QUALITY": 100,
        "REVERSIBLE": "YES",
        "tiled": None,
        "compress": None,
        "nodata": None,
    }
    size = {"blockxsize": 256, "blockysize": 256}
    return raster(noise.with_suffix(".jp2"), *GRIDS["10 m"], shape=(1100, 1000), **how, **size)


@pytest.mark.parametrize("kind", ["noise", "jpeg"])
def test_windows_over_a_network_that_fails(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    original = request.getfixturevalue(kind)
    bad = [Fault(500), Fault(drop_after=100), Fault(429), Fault(503), Fault(drop_after=9000), Fault(body=b"short")]
    for first in (0, 2, 4):  # healthy requests before the first that fails
        with assets(original.parent) as server:
            server.fault(original.name, *[Fault(drop_after=1 << 30)] * first, *bad)
            part = tmp_path / f"{first}.tif"
            download_window(lambda fresh, url=server.url: f"{url}/{original.name}", part, None)  # type: ignore[misc]
            assert not server.faults[original.name]
        assert_part(part, original, (-180, -89, 179.9, 89), 0)


def test_a_window_goes_on_where_it_was(noise: Path, tmp_path: Path) -> None:
    """Rows that are there are not read again, and an address is signed anew as often as it expires."""
    signed, total = [], noise.stat().st_size
    with assets(noise.parent) as server:

        def address(fresh: bool) -> str:
            signed.append(fresh)
            return f"{server.url}/signed/noise.tif?sig={server.signature}"

        server.expire()
        watch = patience.FetchProgress(lambda done, wanted, what: server.expire() if done else None)
        download_window(address, tmp_path / "noise.tif", None, watch)
        # GDAL learns the size of a file from an answer that it breaks off: how much of that was sent depends on timing
        assert server.ranges["noise.tif"] < 1.2 * total
    assert_part(tmp_path / "noise.tif", noise, (-180, -89, 179.9, 89), 0)
    assert signed.count(True) >= 3


def test_a_refused_window_is_one_line(server: AssetServer, item: SceneItem, bbox: BBox, tmp_path: Path) -> None:
    server.fault(f"{ID}_SR_B3.TIF", *[Fault(403)] * 99)
    server.fault(f"{ID}_SR_B4.TIF", *[Fault(404)] * 99)
    server.fault(f"{ID}_SR_B5.TIF", *[PAGE] * 99)
    server.fault(f"{ID}_SR_B6.TIF", *[Fault(500)] * 99)
    lines = failures(item, tmp_path, access(server.url), bbox=bbox)
    for line, why in zip(lines, ("refused (403)", "not there (404)", "a web page", "fails (500)"), strict=True):
        assert why in line


def test_what_is_no_band_on_the_ground(tmp_path: Path) -> None:
    plain = raster(tmp_path / "plain.tif", *GRIDS["10 m"])
    (tmp_path / "x.tif").write_bytes(b"no raster")
    with pytest.raises(InputError, match="no raster, or damaged"):
        download_window(lambda fresh: str(tmp_path / "x.tif"), tmp_path / "part.tif", None)
    with (
        pytest.warns(),
        rasterio.open(tmp_path / "two.tif", "w", driver="GTiff", count=2, height=9, width=9, dtype="uint8"),
    ):
        pass
    with pytest.raises(InputError, match="2 bands, None; one band with a position"):
        download_window(lambda fresh: str(tmp_path / "two.tif"), tmp_path / "part.tif", None)
    assert visible(tmp_path) == {plain.name, "x.tif", "two.tif"}


# interruptions


def test_an_interrupted_fetch_goes_on(product: Path, server: AssetServer, item: SceneItem, tmp_path: Path) -> None:
    def progress(done: int, wanted: int, what: str) -> None:
        if done > 50_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_scene(item, tmp_path, access(server.url), progress=progress)
    assert not (tmp_path / ID / SCENE).exists()
    assert_whole(fetch_scene(item, tmp_path, access(server.url)), product)


PROGRAM = """
import sys
sys.path[:0] = sys.path[:0] + sys.argv[1:3]
from pathlib import Path
from making.served import access
from l8s2.acquire.fetch import fetch_scene
from l8s2.catalogs.items import read_item
fetch_scene(read_item(Path(sys.argv[3])), Path(sys.argv[4]), access("http://nowhere.invalid"), bbox=eval(sys.argv[5]))
"""


@pytest.mark.posix
@pytest.mark.parametrize("windowed", [False, True], ids=["whole", "window"])
def test_ctrl_c_does_not_wait_for_a_silent_server(product: Path, bbox: BBox, tmp_path: Path, windowed: bool) -> None:
    here = Path(__file__).parents[1]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        item = landsat_item(product, lambda path: f"http://127.0.0.1:{silent.getsockname()[1]}/{path.name}")
        (tmp_path / "item.json").write_text(item_text(item))
        arguments = [here.parent, here, tmp_path / "item.json", tmp_path, bbox if windowed else None]
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, *map(str, arguments)], stderr=subprocess.PIPE)
        for _ in range(module.THREADS):
            silent.accept()[0].detach()
        time.sleep(0.2)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert time.monotonic() - begun < 3
    assert process.returncode == -signal.SIGINT, errors
    assert (tmp_path / ID / WINDOW).exists()
    with lock(tmp_path / ID) as free:
        assert free


# real products


@pytest.mark.parametrize("way", ["https", "s3-requester-pays"])
def test_a_real_product(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    root = data / "scenes" if (data / "scenes").is_dir() else data
    found = sorted(path for path in root.glob("LC0*_L2SP_*_02_T1") if list(path.glob("*_QA_PIXEL.TIF")))
    if not found:
        pytest.skip("no product with QA_PIXEL there")
    original = found[0]
    (tmp_path / "server").mkdir()
    shutil.copytree(original, tmp_path / "server" / original.name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    serve: Callable[[Path], Any] = assets if way == "https" else s3
    with serve(tmp_path / "server") as running:
        url = running.url if way == "https" else running
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        place = url if way == "https" else "s3://usgs-landsat"
        item = real_item(original, lambda path: f"{place}/{original.name}/{path.name}")
        whole = fetch_scene(item, tmp_path, access(url, way))
        bbox = middle(original / f"{original.name}_SR_B4.TIF")
        part = fetch_scene(item, tmp_path / "part", access(url, way), bbox=bbox)
    for path in original.glob("*.TIF"):
        assert (whole / path.name).read_bytes() == path.read_bytes()
        assert_part(part / path.name, path, bbox, module.MARGIN)
    with open_scene(whole) as scene, open_scene(original) as expected:
        assert scene.geobox == expected.geobox


def real_item(original: Path, address: Callable[[Path], str]) -> SceneItem:
    from l8s2.catalogs.endpoints import Collection
    from l8s2.catalogs.items import scene_item
    from making.items import landsat

    sensor, _, place, day, processed, _, tier = original.name.split("_")
    raw = landsat(day, place, satellite=int(sensor[2:]), processed=processed, tier=tier)
    files = {name: original / asset["href"].rpartition("/")[2] for name, asset in raw["assets"].items()}
    raw["assets"] = {name: {"href": address(path)} for name, path in files.items() if path.exists()}
    return scene_item(raw, "made", Collection(id="landsat-c2l2-sr", kind="landsat-l2"))
