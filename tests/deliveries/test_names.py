"""Products whose files have other names than those of USGS, and places with several products."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from l8s2.deliveries.declared import Declared
from l8s2.deliveries.file_name import read_file_name
from l8s2.deliveries.find import level2_product
from l8s2.errors import InputError
from l8s2.landsat.scene import open_scene
from l8s2.sensors import BANDS
from making.scenes import ID, PAN_ID, archive, make, ms_grid, part, smooth

SHORT = ID.replace("_20230530", "")
OTHER = ID.replace("_20230520_", "_20230605_")


@pytest.mark.parametrize(
    ("name", "part", "added"),
    [
        (f"{ID}_SR_B4.TIF", "SR_B4", ""),
        (f"{ID.lower()}_sr_b4.tiff", "SR_B4", ""),
        (f"{SHORT}_SR_B4.TIF", "SR_B4", ""),
        (f"{SHORT}.red.tif", "SR_B4", ""),
        (f"clip_{ID}_SR_B4_utm (1).tif", "SR_B4", "clip_utm_1"),
        ("SR_B4.tif", "SR_B4", ""),
        ("B4.tif", "B4", ""),
        ("B04.tif", "B4", ""),
        ("B4_red.tif", "SR_B4", ""),
        ("nir.tif", "SR_B5", ""),
        ("swir22.TIF", "SR_B7", ""),
        ("red_river_SR_B2.tif", "SR_B2", "red_river"),
        ("qa_pixel.tif", "QA_PIXEL", ""),
        ("mtl.xml", "MTL", ""),
        ("pan.tif", "B8", ""),
        (f"{PAN_ID}_B8.TIF", "B8", ""),
        (f"{ID}_SR_B4.TIF.aux.xml", None, None),
        (f"{ID}_SR_B1.TIF", None, None),
        (f"{ID}_ST_B10.TIF", None, None),
        (f"{ID}_SR_QA_AEROSOL.TIF", None, None),
        (f"{ID}_SR_B4_SR_B5_ratio.tif", None, None),
        (f"{ID}_thumb_small.jpeg", None, None),
        ("LC09_CU_003010_20230520_20230605_02_TOA_B4.TIF", None, None),
        ("LC09_CU_003010_20230520_20230605_02_TOA_B8.TIF", "B8", ""),
        ("toa_red.tif", None, None),
        ("NB4X.tif", None, None),
        ("MTL.tif", None, None),
    ],
)
def test_what_a_name_tells(name: str, part: str | None, added: str | None) -> None:
    found = read_file_name(name)
    assert found.part == part
    if added is not None:
        assert found.added == added
    assert (found.product is not None) == ("LC09" in name.upper())


def renamed(how: Callable[[str, str], str]) -> Callable[[Path], None]:
    """Give every file of a product the name that ``how`` makes of its part and ending."""

    def change(product: Path) -> None:
        for file in list(product.iterdir()):
            file.rename(file.with_name(how(file.stem.removeprefix(f"{ID}_"), file.suffix)))

    return change


WORDS = {f"SR_{band.landsat}": band.name for band in BANDS} | {"QA_PIXEL": "qa_pixel", "MTL": "mtl"}
WITH_ID = {
    "without date of processing": renamed(lambda part, end: f"{SHORT}_{part}{end}"),
    "names of assets": renamed(lambda part, end: f"{SHORT}_{WORDS[part]}{end.lower()}"),
    "dots between": renamed(lambda part, end: f"{ID}.{part}{end}"),
    "prefix": renamed(lambda part, end: f"mine-{ID}_{part}{end}"),
    "suffix": renamed(lambda part, end: f"{ID}_{part}_v2{end}"),
    "suffix of the bands only": renamed(lambda part, end: f"{ID}_{part}{'_clip' * (part[:2] == 'SR')}{end}"),
}
WITHOUT_ID = {
    "parts only": renamed(lambda part, end: f"{part}{end}"),
    "numbers only": renamed(lambda part, end: f"{part.removeprefix('SR_')}{end}"),
    "words": renamed(lambda part, end: f"{WORDS[part]}{end.lower()}"),
    "a name of its own": renamed(lambda part, end: f"my scene {part.lower()}{end}"),
    "only the MTL kept its name": renamed(lambda part, end: f"{f'{ID}_' * (part == 'MTL')}{part.lower()}{end}"),
}


def of_folder(product: Path) -> bytes:
    with open_scene(product) as scene:
        assert scene.product_id == ID
        return scene.read(slice(0, 24), slice(0, 31)).ms.tobytes()


@pytest.mark.parametrize("how", [*WITH_ID, *WITHOUT_ID])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar"])
def test_a_renamed_product_is_the_same_product(tmp_path: Path, how: str, packed: bool) -> None:
    product = make(tmp_path)
    expected = of_folder(product)
    (WITH_ID | WITHOUT_ID)[how](product)
    place = archive(product, tmp_path / "x.tar", prefix="sub/") if packed else product
    with open_scene(place) as scene:
        assert scene.pan_id == PAN_ID
        told = [line for line in scene.warnings if ": scale collection2" not in line]
        assert len(told) == (how in WITHOUT_ID or how in ("without date of processing", "names of assets"))
    assert of_folder(place) == expected


def test_pan_among_files_without_id_belongs_to_them(tmp_path: Path) -> None:
    product = make(tmp_path)
    with open_scene(product) as scene:
        expected = scene.read(slice(0, 24), slice(0, 31)).pan
    shutil.move(part(tmp_path / PAN_ID, "B8"), product / "B8.tif")
    shutil.rmtree(tmp_path / PAN_ID)
    WITHOUT_ID["numbers only"](product)
    with open_scene(product) as scene:
        assert scene.pan_id == PAN_ID
        found = scene.read(slice(0, 24), slice(0, 31)).pan
    assert expected is not None
    assert found is not None
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("form", ["txt", "json", "xml"])
def test_the_id_is_found_in_every_form_of_the_metadata(tmp_path: Path, form: str) -> None:
    product = make(tmp_path, mtl=form, with_pan=False)
    WITHOUT_ID["words"](product)
    assert level2_product(product).product_id == ID


def test_without_metadata_nothing_tells_the_product(tmp_path: Path) -> None:
    product = make(tmp_path, with_pan=False, mtl=None)
    WITHOUT_ID["words"](product)
    mine, said = product.rename(tmp_path / "mine"), Declared.parse(acquired="2023-05-20", platform="landsat-9")
    with pytest.raises(InputError, match=r"nothing tells of which product blue\.tif, .* are; put the MTL"):
        level2_product(mine)
    with open_scene(mine, declared=said) as scene:
        assert (scene.product_id, scene.name.satellite) == ("mine", 9)
        np.testing.assert_allclose(scene.read(slice(0, 24), slice(0, 31)).ms, smooth(ms_grid()).ms, atol=1.5e-5)
    assert level2_product((tmp_path / "mine").rename(product.with_name(SHORT))).product_id == SHORT


def test_an_mtl_of_other_ground_does_not_name_the_bands(tmp_path: Path) -> None:
    product = make(tmp_path, ms_grid(centre=(750_000, 5_660_010)), with_pan=False)
    there = part(make(tmp_path / "there", with_pan=False), "MTL").read_bytes()
    part(product, "MTL").write_bytes(there)
    WITHOUT_ID["parts only"](product)
    with pytest.raises(InputError, match="its MTL describes other ground than"):
        open_scene(product)


def test_two_sets_of_one_product_are_both_named_and_a_file_tells_which(tmp_path: Path) -> None:
    product = make(tmp_path, with_pan=False)
    for file in list(product.glob("*_SR_*")):
        shutil.copy(file, product / f"crop_{file.name}")
    with pytest.raises(InputError, match=rf"holds 2 Level-2 products .*{ID} \(crop\)"):
        level2_product(product)
    for name, added in ((f"{ID}_SR_B4.TIF", ""), (f"crop_{ID}_SR_B4.TIF", "crop")):
        found = level2_product(product / name)
        assert found.added == added
        assert "MTL" in found.parts
        assert Path(found.parts["SR_B2"]).name == name.replace("B4", "B2")


@pytest.mark.parametrize("name", ["B4.TIF", "TOA_B4.TIF", "red_toa.tif"])
def test_a_band_at_the_top_of_the_atmosphere_is_never_taken(tmp_path: Path, name: str) -> None:
    product = make(tmp_path, with_pan=False)
    expected = of_folder(product)
    (product / f"{ID}_{name}").write_bytes(b"no raster")
    assert of_folder(product) == expected


def test_two_files_for_one_part_are_both_named(tmp_path: Path) -> None:
    product = make(tmp_path, with_pan=False)
    file = part(product, "SR_B4")
    shutil.copy(file, file.with_suffix(".tiff"))
    with pytest.raises(InputError, match=r"SR_B4\.TIF and .*SR_B4\.tiff both could be SR_B4"):
        level2_product(product)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with the files of two products."""
    product = make(tmp_path / "in")
    other = make(tmp_path / "in", product_id=OTHER)
    for folder in (other, product.with_name(PAN_ID), other.with_name(OTHER.replace("L2SP", "L1TP"))):
        for file in folder.iterdir():
            file.rename(product / file.name)
    return product.rename(tmp_path / "two")


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar"])
def test_one_of_several_is_asked_for_by_its_id(tmp_path: Path, two: Path, packed: bool) -> None:
    place = archive(two, tmp_path / "two.tar") if packed else two
    with pytest.raises(InputError, match=f"holds 2 Level-2 products .*{ID}, {OTHER}.*give one, as .*/{ID} or"):
        level2_product(place)
    assert level2_product(place / OTHER).product_id == OTHER
    with open_scene(place / OTHER) as scene:
        assert scene.pan_id == OTHER.replace("L2SP", "L1TP")
    assert level2_product(place / SHORT).product_id == ID
    missing = ID.replace("192025", "192026")
    with pytest.raises(InputError, match=f"{missing} is not in it; it holds {ID}, {OTHER}"):
        level2_product(place / missing)


@pytest.mark.parametrize("name", ["SR_B4.TIF", "MTL.txt", "QA_PIXEL.TIF"])
def test_a_file_means_its_product(two: Path, name: str) -> None:
    for product_id in (ID, OTHER):
        assert level2_product(two / f"{product_id}_{name}").product_id == product_id


def test_a_folder_of_one_product_means_that_and_of_several_lists_them(tmp_path: Path) -> None:
    make(tmp_path)
    assert level2_product(tmp_path).product_id == ID
    make(tmp_path, product_id=OTHER)
    with pytest.raises(InputError, match=f"holds 2 Level-2 products .*{ID}, {OTHER}"):
        level2_product(tmp_path)
