"""Arrays as odc-stac and rioxarray load them give what the product on disk gives."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray
from odc.geo.geobox import GeoBox

import l8s2
import l8s2.xarray
from l8s2.pipeline import in_memory, in_xarray
from l8s2.predictors.load import load_model
from l8s2.sensors import BANDS
from making.scenes import SUN, make, ms_grid, pan_of, part

pytest.importorskip("dask", reason="arrays are made by odc.geo.xr, which needs dask")
from odc.geo.xr import wrap_xr

NAMES = [band.name for band in BANDS]
DAY = np.datetime64("2023-05-20T10:02:30")


def loaded(path: Path, time: np.datetime64 | None = None) -> xarray.DataArray:
    """A file as odc-stac loads it."""
    with rasterio.open(path) as source:
        box = GeoBox(source.shape, source.transform, str(source.crs))
        array = wrap_xr(source.read(1), box, nodata=source.nodata)
    return array if time is None else array.expand_dims(time=[time])


def as_odc(product: Path, time: np.datetime64 | None = None) -> xarray.Dataset:
    bands = {band.name: loaded(part(product, f"SR_{band.landsat}"), time) for band in BANDS}
    return xarray.Dataset(bands | {"qa_pixel": loaded(part(product, "QA_PIXEL"), time)})


def as_rioxarray(product: Path) -> xarray.DataArray:
    """Bands of one file, counted, with their names aside; the CRS in a grid mapping named so in ``encoding``."""
    found = xarray.concat([as_odc(product)[name] for name in NAMES], "band", combine_attrs="drop")
    found = found.assign_coords(band=np.arange(1, 7)).assign_attrs(_FillValue=0, long_name=tuple(NAMES))
    found.encoding["grid_mapping"] = "spatial_ref"
    return found


def same(found: xarray.Dataset, wanted: xarray.Dataset) -> None:
    for name in (*wanted.data_vars, *wanted.coords):
        assert found[name].variable.identical(wanted[name].variable), name


@pytest.fixture(autouse=True, scope="module")
def loaded_once() -> Iterator[None]:
    """The network, which takes longer to load than to run here."""
    load = cache(load_model)
    with pytest.MonkeyPatch.context() as patch:
        for module in (in_memory, in_xarray):
            patch.setattr(module, "load_model", load)
        yield


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    qa = np.full((40, 50), 21824, np.uint16)
    qa[10:20, 10:20] = 22280
    path = make(tmp_path_factory.mktemp("in"), ms_grid(40, 50), qa_pixel=qa)
    with rasterio.open(part(path, "SR_B4"), "r+") as band:
        values = band.read(1)
        values[:3, :7] = 0
        band.write(values, 1)
    return path


@pytest.fixture(scope="module")
def wanted(product: Path) -> xarray.Dataset:
    return l8s2.harmonize(product)


@pytest.fixture
def pan(product: Path) -> xarray.DataArray:
    return loaded(pan_of(product))


def test_what_odc_loads_gives_the_numbers_of_the_product(
    product: Path, wanted: xarray.Dataset, pan: xarray.DataArray
) -> None:
    found = l8s2.harmonize_xarray(as_odc(product), pan, sun_elevation=SUN)
    same(found, wanted)
    assert "digital numbers of Collection 2" in found.attrs["comment"]


def test_other_forms_give_the_same(product: Path, wanted: xarray.Dataset, pan: xarray.DataArray) -> None:
    ms, qa = as_rioxarray(product), as_odc(product).qa_pixel
    same(l8s2.harmonize_xarray(ms, pan, qa_pixel=qa, sun_elevation=SUN), wanted)
    same(l8s2.harmonize_xarray(ms, pan, qa_pixel=qa.expand_dims(time=[DAY]), sun_elevation=SUN), wanted)
    landsat = as_odc(product).rename({band.name: f"SR_{band.landsat}" for band in BANDS} | {"qa_pixel": "QA_PIXEL"})
    for array in landsat.data_vars.values():
        array.attrs["crs"] = "EPSG:32633"
    landsat = landsat.drop_vars("spatial_ref")
    up = landsat.isel(y=slice(None, None, -1)).transpose("x", "y")  # from south to north
    same(up.l8s2.harmonize(pan, sun_elevation=SUN), wanted)
    masked = as_odc(product)
    masked = masked.where(masked.red.notnull() & (masked != 0))  # NaN is fill
    one_band = pan.where(pan != 0).expand_dims(band=[1])  # as rioxarray has the only band of a file
    same(l8s2.harmonize_xarray(masked, one_band, sun_elevation=SUN), wanted)


def test_reflectance_with_its_fill_scaled_gives_the_same(
    product: Path, wanted: xarray.Dataset, pan: xarray.DataArray
) -> None:
    ms = as_odc(product)
    qa = ms.qa_pixel
    ms = ms[NAMES].astype("float32") * np.float32(2.75e-5) + np.float32(-0.2)
    toa = (pan.astype("float32") * np.float32(2e-5) + np.float32(-0.1)) / np.float32(np.sin(np.radians(SUN)))
    found = l8s2.harmonize_xarray(ms, toa.assign_coords(pan.coords), qa_pixel=qa)
    same(found, wanted)
    assert "taken for reflectance" in found.attrs["comment"]


def test_dask_computes_every_chunk_once(product: Path, wanted: xarray.Dataset, pan: xarray.DataArray) -> None:
    da = pytest.importorskip("dask.array")
    asked: list[Any] = []

    def lazy(array: xarray.DataArray) -> xarray.DataArray:
        def chunk(block: np.ndarray) -> np.ndarray:
            asked.append(block.shape)
            return block

        whole = da.from_array(array.values, chunks=(23, 31))
        return array.copy(data=whole.map_blocks(chunk, dtype=array.dtype, meta=np.empty((0, 0), array.dtype)))

    ms = as_odc(product).map(lazy, keep_attrs=True)
    asked.clear()
    same(l8s2.harmonize_xarray(ms, pan, sun_elevation=SUN), wanted)
    assert len(asked) == 7 * 4


def test_times_are_harmonised_one_by_one(
    product: Path, wanted: xarray.Dataset, pan: xarray.DataArray, tmp_path: Path
) -> None:
    other = make(tmp_path, ms_grid(40, 50))
    days = [DAY, DAY + np.timedelta64(16, "D"), DAY + np.timedelta64(32, "D")]
    ms = xarray.concat([as_odc(path, day) for path, day in zip((product, other, other), days, strict=True)], "time")
    its = xarray.concat([loaded(pan_of(other), days[1]), pan.expand_dims(time=[DAY])], "time")
    found = l8s2.harmonize_xarray(ms, its, sun_elevation=[SUN, SUN, 40])
    assert found.surface_reflectance.dims == ("time", "band", "y", "x")
    np.testing.assert_array_equal(found.time, days)
    same(found.isel(time=0), wanted)
    same(found.isel(time=1), l8s2.harmonize(other))
    assert "no pan" in found.attrs["comment"]
    assert ((found.qa.isel(time=2) & 512) > 0).all()
    one = l8s2.harmonize_xarray(ms.isel(time=[0]), its, sun_elevation=SUN)
    same(one, wanted)
    assert one.time == DAY
    with pytest.raises(l8s2.InputError, match="sun_elevation: 1 given for 3 times"):
        l8s2.harmonize_xarray(ms, its, sun_elevation=SUN)
    with pytest.raises(l8s2.InputError, match="one for 3 times"):
        l8s2.harmonize_xarray(ms, pan)
    late = ms.qa_pixel.isel(time=slice(1, None))
    with pytest.raises(l8s2.InputError, match="qa_pixel: its times are not those of ms"):
        l8s2.harmonize_xarray(ms, its, qa_pixel=late)
    with pytest.raises(l8s2.InputError, match="qa_pixel: its times are not those of ms"):
        l8s2.harmonize_xarray(ms.isel(time=0, drop=True), its, qa_pixel=ms.qa_pixel)
    with pytest.raises(l8s2.InputError, match="its dimension time is empty"):
        l8s2.harmonize_xarray(ms.isel(time=slice(0, 0)))
    with pytest.raises(l8s2.InputError, match="not of the day"):
        l8s2.harmonize_xarray(ms.isel(time=2), its)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1)])
def test_a_row_or_a_pixel_has_its_size_from_the_geotransform(tmp_path: Path, shape: tuple[int, int]) -> None:
    product = make(tmp_path, ms_grid(*shape))
    ms, pan = as_odc(product), loaded(pan_of(product))
    same(l8s2.harmonize_xarray(ms, pan, sun_elevation=SUN), l8s2.harmonize(product))
    del ms.spatial_ref.attrs["GeoTransform"]
    with pytest.raises(l8s2.InputError, match=r"does not tell how large pixels are, .* no GeoTransform; give two"):
        l8s2.harmonize_xarray(ms, pan, sun_elevation=SUN)


def shifted(array: Any, by: float) -> Any:
    return array.assign_coords(x=array.x + by)


def scaled(ms: xarray.Dataset) -> xarray.Dataset:
    for name in NAMES:
        ms[name].attrs["scale_factor"] = 1e-4
    return ms


BAD: dict[str, Any] = {
    "lacks red .or SR_B4.; it has blue": lambda ms: ms.drop_vars("red"),
    "blue: not on the native lattice of Landsat .0.50 pixels off.*anchor='center'": lambda ms: shifted(ms, 15),
    "blue: not on the native lattice of Landsat .60 units a pixel": lambda ms: ms.isel(
        x=slice(0, None, 2), y=slice(0, None, 2)
    ),
    "blue: has no coordinate reference system": lambda ms: ms.drop_vars("spatial_ref"),
    "blue: has dimensions latitude, longitude": lambda ms: ms.rename(y="latitude", x="longitude"),
    "blue: the steps of its coordinate x are uneven": lambda ms: ms.isel(x=[0, 1, 2, 5]),
    "qa_pixel: its grid differs": lambda ms: ms,
    "ms: medians of .* neither reflectance .* nor digital numbers .* give scale": lambda ms: (ms // 50).assign_attrs(),
    "ms: its scale_factor 0.0001 and add_offset 0": scaled,
    "give a Dataset with a variable for each band": lambda ms: ms.red,
}


@pytest.mark.parametrize("message", BAD)
def test_what_cannot_be_used_is_refused_with_the_remedy(product: Path, message: str) -> None:
    ms = as_odc(product)
    qa = ms.qa_pixel[1:] if "qa_pixel" in message else None
    with pytest.raises(l8s2.InputError, match=message):
        l8s2.harmonize_xarray(BAD[message](ms.drop_vars("qa_pixel")), qa_pixel=qa)


def test_pan_that_cannot_be_used_is_refused(product: Path, pan: xarray.DataArray) -> None:
    ms = as_odc(product)
    for bad, message in (
        (pan, "sun_elevation None: pan of digital numbers needs"),
        (shifted(pan, 7.5), "pan: not on the native lattice of Landsat .0.50"),
        (shifted(pan, 90000), "pan: does not touch"),
        (pan // 100, "pan: median of"),
        (pan.to_dataset(name="pan"), "pan: must be a DataArray"),
    ):
        with pytest.raises(l8s2.InputError, match=message):
            l8s2.harmonize_xarray(ms, bad)


def test_scale_settles_what_the_pixels_do_not(product: Path) -> None:
    ms = as_odc(product) // 2
    with pytest.raises(l8s2.InputError, match="give scale"):
        l8s2.harmonize_xarray(ms)
    assert l8s2.harmonize_xarray(ms, scale="collection2").surface_reflectance.mean() < 0.1
    with pytest.raises(l8s2.InputError, match="by scale reflectance the medians"):  # would make nothing but fill
        l8s2.harmonize_xarray(ms, scale="reflectance")
    for other in ("none", "1e-4", "dn"):
        with pytest.raises(l8s2.InputError, match=f"scale {other}: not one of arrays; choose collection2, or refl"):
            l8s2.harmonize_xarray(ms, scale=other)  # type: ignore[arg-type]


@pytest.mark.parametrize("when", ["143054_20230520"])
def test_real_scenes_give_the_numbers_of_the_product(data: Path, when: str) -> None:
    path = next((data / "scenes").glob(f"*_L2SP_{when}_*"), None)
    if path is None:
        pytest.skip(f"no product {when} there")
    with l8s2.open_scene(path) as scene:
        wanted, sun, with_pan = l8s2.harmonize(scene), scene.sun_elevation, scene.pan_id
    ms = xarray.Dataset({band.name: loaded(part(path, f"SR_{band.landsat}")) for band in BANDS})
    qa = loaded(part(path, "QA_PIXEL")) if list(path.glob("*QA_PIXEL*")) else None
    pan = loaded(pan_of(path)) if with_pan else None
    same(l8s2.harmonize_xarray(ms, pan, qa_pixel=qa, sun_elevation=sun), wanted)


def test_of_a_large_pan_only_what_is_near_is_loaded(product: Path, wanted: xarray.Dataset) -> None:
    da = pytest.importorskip("dask.array")
    whole = loaded(pan_of(product))
    rows, columns = 4000, 3000
    padded = da.pad(da.from_array(whole.values), ((rows, rows), (columns, columns))).rechunk(500)
    y, x = (
        float(axis[0]) + step * (np.arange(n) - before)
        for axis, step, n, before in zip((whole.y, whole.x), (-15, 15), padded.shape, (rows, columns), strict=True)
    )
    asked = []

    def count(block: np.ndarray) -> np.ndarray:
        asked.append(block.shape)
        return block

    data = padded.map_blocks(count, dtype=padded.dtype, meta=np.empty((0, 0), padded.dtype))
    pan = xarray.DataArray(data, dims=("y", "x"), coords={"y": y, "x": x, "spatial_ref": whole.spatial_ref})
    same(l8s2.harmonize_xarray(as_odc(product), pan, sun_elevation=SUN), wanted)
    assert len(asked) <= 16
