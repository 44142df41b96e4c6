"""A product as an HLS-like granule: names, samples, bits, metadata."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rio_cogeo.cogeo import cog_validate

from l8s2.cli import main
from l8s2.errors import InputError
from l8s2.exports.hls import NO_FMASK, to_fmask, write_hls
from l8s2.masks import QA_BITS, flag
from l8s2.pipeline import harmonize_product
from making.scenes import ID, make, ms_grid
from making.stac import check_stac

TILE = "33UVS"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hls")
    scene = make(folder / "in", ms_grid(40, 40))
    return harmonize_product(scene, folder / "out", mgrs=TILE)


@pytest.fixture(scope="module")
def granule(product: Path) -> Path:
    done = CliRunner().invoke(main, ["export", str(product), "-o", str(product.parent / "hls"), "--json"])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    folder = Path(told["granule"])
    assert sorted(told["files"]) == sorted(map(str, folder.iterdir()))
    return folder


def values(path: Path, index: int = 1) -> np.ndarray:
    """The part of the tile around the scene."""
    with rasterio.open(path) as source:
        return source.read(index, window=source.window(449_000, 5_658_000, 452_000, 5_661_000))


def test_files_are_named_as_hls_names_them(granule: Path) -> None:
    assert granule.name.startswith("L8S2.L10.T33UVS.2023140T")
    bands = [f"B{n:02d}" for n in range(2, 8)]
    expected = {*(f"{b}.tif" for b in bands), *(f"{b}_sigma.tif" for b in bands), "Fmask.tif", "json"}
    assert {path.name.removeprefix(f"{granule.name}.") for path in granule.iterdir()} == expected


def test_samples_are_those_of_the_product(granule: Path, product: Path) -> None:
    for raster, ending in (("SR", ""), ("SIGMA", "_sigma")):
        for index in range(6):
            theirs = values(product / f"{ID}_{raster}.tif", index + 1)
            path = granule / f"{granule.name}.B{index + 2:02d}{ending}.tif"
            ours = values(path)
            known = theirs != -32768
            assert known.any()
            np.testing.assert_array_equal(ours[known], theirs[known])
            assert (ours[~known] == -9999).all()
            with rasterio.open(path) as source, rasterio.open(product / f"{ID}_SR.tif") as original:
                assert (source.nodata, source.scales, source.dtypes) == (-9999, (0.0001,), ("int16",))
                assert (source.transform, source.crs) == (original.transform, original.crs)


def test_everything_is_a_cog(granule: Path) -> None:
    for path in granule.glob("*.tif"):
        valid, errors, warnings = cog_validate(path, strict=True, quiet=True)
        assert valid, (path.name, errors, warnings)


def test_fmask_is_that_of_the_qa(granule: Path, product: Path) -> None:
    fmask, qa = values(granule / f"{granule.name}.Fmask.tif"), values(product / f"{ID}_QA.tif")
    np.testing.assert_array_equal(fmask, to_fmask(qa))
    assert (fmask == NO_FMASK).any()
    assert (fmask != NO_FMASK).any()


@given(st.integers(0, (1 << len(QA_BITS)) - 1))
def test_bits_are_those_of_hls(bits: int) -> None:
    found = int(to_fmask(np.array([[bits]], np.uint16))[0, 0])
    names = {bit.name for bit in QA_BITS if bits & flag(bit.name)}
    if "fill" in names:
        assert found == NO_FMASK
        return
    assert found >> 6 == 0
    assert bool(found & 2) == bool(names & {"cloud", "cirrus"})
    order = ("cirrus", None, "dilated_cloud", "cloud_shadow", "snow", "water")
    for bit, name in enumerate(order):
        if name:
            assert bool(found >> bit & 1) == (name in names)


def test_the_item_tells_the_files_and_where_they_come_from(granule: Path, product: Path) -> None:
    import pystac

    path = granule / f"{granule.name}.json"
    check_stac(json.loads(path.read_text(encoding="utf-8")))
    item = pystac.Item.from_file(str(path))
    before = pystac.Item.from_file(str(product / f"{ID}.json"))
    assert (item.id, item.datetime, item.geometry) == (granule.name, before.datetime, before.geometry)
    assert item.properties["mgrs:grid_square"] == "VS"
    assert item.properties["l8s2:model_sha256"] == before.properties["l8s2:model_sha256"]
    bits = item.assets["Fmask"].extra_fields["classification:bitfields"]
    assert [(bit["offset"], bit["name"]) for bit in bits][:2] == [(0, "cirrus"), (1, "cloud")]
    assert item.assets["B05"].to_dict()["bands"][0]["eo:common_name"] == "nir08"
    for asset in item.assets.values():
        path = granule / Path(asset.href).name
        assert asset.extra_fields["file:size"] == path.stat().st_size


def test_a_granule_is_not_replaced_unasked(granule: Path, product: Path) -> None:
    with pytest.raises(InputError, match=r"exists already; give `overwrite`"):
        write_hls(product, granule.parent)


def test_other_grids_are_refused(tmp_path: Path) -> None:
    scene = make(tmp_path / "in", ms_grid(12, 14))
    folder = harmonize_product(scene, tmp_path / "out")
    done = CliRunner().invoke(main, ["export", str(folder), "-o", str(tmp_path / "hls")])
    assert done.exit_code == 1
    assert "not on the grid of a Sentinel-2 tile" in done.stderr
    assert "--mgrs" in done.stderr
    assert not (tmp_path / "hls").exists()


@pytest.mark.parametrize("what", ["nothing", "file", "no item", "no raster"])
def test_what_is_no_product_is_refused(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    if what == "file":
        folder.write_text("x")
    elif what != "nothing":
        folder.mkdir()
    if what == "no raster":
        item = {"properties": {"l8s2:model": "compact"}, "assets": {"surface_reflectance": {"href": "./a_SR.tif"}}}
        (folder / "a.json").write_text(json.dumps(item))
    with pytest.raises(InputError, match=r"no such file or folder|no STAC Item|holds no product|is missing"):
        write_hls(folder, tmp_path / "hls")
