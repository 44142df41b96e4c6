"""Files of any size, from windows in any order and from several threads, read back by GDAL."""

from __future__ import annotations

import random
import struct
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rio_cogeo import cog_validate

from l8s2.cog import DRAFT, CogFile, Encoding, deflate
from l8s2.cog.deflate import compress_tile, decompress_tile
from l8s2.cog.header import gdal_tags, header
from l8s2.cog.layout import levels
from l8s2.cog.reduce import average, mode

NODATA = -32768
REFLECTANCE = Encoding(dtype="int16", fill=NODATA, nodata=NODATA, scale=1e-4, overviews="average")
BITS = Encoding(dtype="uint16", fill=1, nodata=None, scale=None, overviews="mode")
BANDS = ("blue", "green", "red")


def box(height: int, width: int, epsg: int = 32633) -> GeoBox:
    return GeoBox((height, width), Affine(10, 0, 500_000, 0, -10, 5_000_000), f"EPSG:{epsg}")


def values(shape: tuple[int, ...], encoding: Encoding, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    if encoding.nodata is None:
        return rng.integers(0, 3, shape).astype(encoding.dtype)
    samples = rng.integers(-32767, 32768, shape).astype(encoding.dtype)
    samples[:, rng.random(shape[1:]) < 0.2] = encoding.nodata
    samples[:, : shape[1] // 2, : shape[2] // 3] = encoding.nodata
    return samples


def write(path: Path, samples: Any, encoding: Encoding, tile: int, threads: int = 1, seed: int = 0) -> Path:
    bands, height, width = samples.shape
    file = CogFile(path, box(height, width), BANDS[:bands], encoding)
    windows = [
        (slice(r, min(r + tile, height)), slice(c, min(c + tile, width)))
        for r in range(0, height, tile)
        for c in range(0, width, tile)
    ]
    random.Random(seed).shuffle(windows)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda w: file.write(*w, samples[:, *w]), windows))
    file.finish()
    path.with_name(f"{path.name}{DRAFT}").unlink()
    return path


def reduced(samples: Any, encoding: Encoding) -> Any:
    return average(samples, NODATA) if encoding.overviews == "average" else mode(samples)


@settings(max_examples=10, deadline=None)
@given(
    st.integers(2, 1100), st.integers(2, 1100), st.integers(190, 900), st.integers(1, 3),
    st.sampled_from([REFLECTANCE, BITS]),
)  # fmt: skip
def test_gdal_reads_what_was_written(height: int, width: int, tile: int, threads: int, encoding: Encoding) -> None:
    samples = values((2 if encoding.scale else 1, height, width), encoding)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.tif", samples, encoding, tile, threads)
        assert path.read_bytes() == write(Path(folder) / "b.tif", samples, encoding, 1300).read_bytes()
        valid, problems, notes = cog_validate(path, strict=True, quiet=True)
        assert valid, (problems, notes)
        with rasterio.open(path) as dataset:
            assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert dataset.nodata == encoding.nodata
            assert np.array_equal(dataset.read(), samples)
            number = len(dataset.overviews(1))
        for level in range(number):
            samples = reduced(samples, encoding)
            with rasterio.open(path, overview_level=level) as dataset:
                assert np.array_equal(dataset.read(), samples)
        assert max(samples.shape) <= 512


def test_several_threads_give_the_bytes_of_one(tmp_path: Path) -> None:
    samples = values((3, 1100, 700), REFLECTANCE)
    one, four = (write(tmp_path / f"{n}.tif", samples, REFLECTANCE, 217, n, n).read_bytes() for n in (1, 4))
    assert one == four


@pytest.mark.parametrize("encoding", [REFLECTANCE, BITS], ids=["average", "mode"])
def test_reduced_images_are_those_of_gdal(tmp_path: Path, encoding: Encoding) -> None:
    samples = values((1, 300, 420), encoding)
    profile = {"driver": "GTiff", "dtype": encoding.dtype, "count": 1, "height": 300, "width": 420}
    path = tmp_path / "gdal.tif"
    with rasterio.open(path, "w", nodata=encoding.nodata, transform=Affine(10, 0, 0, 0, -10, 0), **profile) as dataset:
        dataset.write(samples)
        dataset.build_overviews([2], Resampling[encoding.overviews])
    with rasterio.open(path, overview_level=0) as dataset:
        assert np.array_equal(dataset.read(), reduced(samples, encoding))


def test_odd_images_average_what_there_is() -> None:
    samples = np.array([[[1, 3, 10], [5, 7, NODATA], [2, 3, -5]]], np.int16)
    assert average(samples, NODATA).tolist() == [[[4, 10], [3, -5]]]
    assert mode(np.array([[[4, 5, 6], [5, 4, 7], [8, 9, 9]]], np.uint16)).tolist() == [[[5, 6], [8, 9]]]


@pytest.mark.parametrize("height", [1, 511, 512])
def test_a_tile_comes_back(height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = values((3, height, 300), REFLECTANCE)
    for compress in (deflate.compress, zlib.compress):
        monkeypatch.setattr(deflate, "compress", compress)
        found = decompress_tile(compress_tile(samples, NODATA), 3, "int16")
        assert np.array_equal(found[:, :height, :300], samples)


def test_files_beyond_four_gigabytes_are_bigtiff() -> None:
    images = levels(40_000, 30_000)
    grid = box(40_000, 30_000)
    tags = gdal_tags(grid, BANDS, REFLECTANCE, [{}] * 3)
    for size, magic in ((900, 42), (1_000_000, 43)):
        sizes = [[size] * (image.rows * image.columns) for image in images]
        head = header(tags, images, sizes)
        assert struct.unpack_from("<H", head, 2) == (magic,)
        whole = len(head) + sum(len(s) * (size + 8) for s in sizes)
        assert (whole >= 1 << 32) == (magic == 43)
        with rasterio.MemoryFile(head + bytes(1000)) as memory, memory.open() as dataset:
            assert dataset.shape == (40_000, 30_000)
            assert dataset.overviews(1) == [2, 4, 8, 16, 32, 64, 128]
            first = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
            assert first == whole - len(sizes[0]) * (size + 8) + 4


def test_a_window_beyond_the_raster_or_written_before_is_a_mistake(tmp_path: Path) -> None:
    file = CogFile(tmp_path / "a.tif", box(600, 600), ("qa",), BITS)
    block = np.zeros((1, 512, 512), np.uint16)
    file.write(slice(0, 512), slice(0, 512), block)
    for first in (0, 100, 500):
        with pytest.raises(ValueError, match="rows"):
            file.write(slice(first, first + 512), slice(0, 512), block)
    with pytest.raises(ValueError, match="samples"):
        file.write(slice(512, 514), slice(0, 512), block)
    file.close()


def test_what_the_disk_lost_is_noticed(tmp_path: Path) -> None:
    file = CogFile(tmp_path / "a.tif", box(512, 512), ("qa",), BITS)
    file.write(slice(0, 512), slice(0, 512), values((1, 512, 512), BITS))
    file._spool.flush()
    content = bytearray(file._spool.path.read_bytes())
    content[300] ^= 1
    file._spool.path.write_bytes(content)
    with pytest.raises(OSError, match="does not hold what was written"):
        file.finish()
    file.close()


def test_the_format_is_plain_zlib() -> None:
    assert len(zlib.decompress(compress_tile(values((2, 10, 10), REFLECTANCE), NODATA))) == 2 * 2 * 512 * 512


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 1), st.sampled_from([REFLECTANCE, BITS]))
def test_a_killed_writer_is_taken_up_where_it_was(seed: int, share: float, encoding: Encoding) -> None:
    """Whatever part of the temporary file reached the disk, the bytes are those of an undisturbed run."""
    height, width = 1300, 800
    samples = values((1, height, width), encoding)
    windows = [
        (slice(r, min(r + 512, height)), slice(c, min(c + 512, width))) for r in (0, 512, 1024) for c in (0, 512)
    ]
    random.Random(seed).shuffle(windows)
    with tempfile.TemporaryDirectory() as folder:
        whole = write(Path(folder) / "a.tif", samples, encoding, 1300)
        killed = CogFile(Path(folder) / "b.tif", box(height, width), BANDS[:1], encoding)
        for window in windows[: 1 + seed % len(windows)]:
            killed.write(*window, samples[:, *window])
        killed.close()
        draft = killed._spool.path
        draft.write_bytes(draft.read_bytes()[: round(share * draft.stat().st_size)])
        file = CogFile(Path(folder) / "b.tif", box(height, width), BANDS[:1], encoding)
        for window in windows:
            if file.holds(*window):
                assert np.array_equal(file.stored(*window), samples[:, *window])
            else:
                file.write(*window, samples[:, *window])
        file.finish()
        assert whole.read_bytes() == file.path.read_bytes()
