"""Which files belong to which product, in folders and in archives of every shape they come in."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from l8s2.deliveries.find import level2_product, products_in
from l8s2.deliveries.pan import pan_partner
from l8s2.errors import InputError
from l8s2.product.writer import SUFFIX
from l8s2.raster import first_bytes, open_raster
from making.scenes import ID, PAN_ID, archive, make, part

PARTS = {*(f"SR_B{n}" for n in range(2, 8)), "QA_PIXEL", "MTL"}


def folder(product: Path) -> Path:
    return product


def renamed(product: Path) -> Path:
    return product.rename(product.with_name("my scene, größer {1} 日本"))


def lower_case(product: Path) -> Path:
    for file in product.iterdir():
        file.rename(file.with_name(file.name.lower()))
    return product


def long_suffix(product: Path) -> Path:
    for file in product.glob("*.TIF"):
        file.rename(file.with_suffix(".tiff"))
    return product


def links(product: Path) -> Path:
    there = product.parent / "links"
    there.mkdir()
    for file in product.iterdir():
        (there / file.name).symlink_to(file)
    return there


def tar(product: Path) -> Path:
    return archive(product, product.parent / f"{ID}.tar")


def tar_with_subfolder(product: Path) -> Path:
    return archive(product, product.parent / "x.tar", prefix=f"{ID}/")


def tar_of_dot(product: Path) -> Path:
    return archive(product, product.parent / "x.tar", prefix="./")


def tar_in_odd_folder(product: Path) -> Path:
    there = product.parent / "a b, {c} ü.tar"
    there.mkdir()
    return archive(product, there / "X.TAR")


def tar_behind_link(product: Path) -> Path:
    archive(product, product.parent / "blob")
    link = product.parent / "x.tar"
    link.symlink_to("blob")
    return link


def tar_gz(product: Path) -> Path:
    return archive(product, product.parent / "x.tar.gz", mode="w:gz")


def gz_named_tar(product: Path) -> Path:
    return archive(product, product.parent / "x.tar", mode="w:gz")


def tar_named_tgz(product: Path) -> Path:
    return archive(product, product.parent / "x.tgz")


SHAPES = [
    folder, renamed, lower_case, long_suffix, links, tar, tar_with_subfolder, tar_of_dot, tar_in_odd_folder,
    tar_behind_link, tar_gz, gz_named_tar, tar_named_tgz,
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=lambda f: f.__name__)
def test_a_product_is_found_in_every_shape(tmp_path: Path, shape: Callable[[Path], Path]) -> None:
    product = make(tmp_path, with_pan=False)
    text = part(product, "MTL").read_bytes()
    with open_raster(str(part(product, "SR_B5")), "SR_B5").dataset as band:
        expected = band.read(1).tolist()
    found = level2_product(shape(product))
    assert found.product_id == ID
    assert set(found.parts) == PARTS
    assert found.read_bytes("MTL") == text
    with open_raster(found.parts["SR_B5"], "SR_B5").dataset as band:
        assert band.read(1).tolist() == expected


def test_relative_paths_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    product = make(tmp_path)
    tar(product)
    monkeypatch.chdir(tmp_path)
    for path in (Path(ID), Path(f"{ID}.tar")):
        found = level2_product(path)
        assert first_bytes(found.parts["SR_B2"], 2) == b"II"
        partner = pan_partner(found)
        assert partner is not None
        assert partner.product_id == PAN_ID
    monkeypatch.chdir(product)
    partner = pan_partner(level2_product(Path()))
    assert partner is not None


def test_only_what_is_needed_leaves_a_compressed_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    product = make(tmp_path / "in", with_pan=False)
    for name in (f"{ID}_ST_B10.TIF", f"{ID}_SR_B1.TIF", f"{ID}_thumb.jpeg", "README.md"):
        (product / name).write_bytes(b"x")
    path = tar_gz(product)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    found = level2_product(path)
    assert {p.name for p in scratch.glob("*/*")} == {Path(p).name for p in found.parts.values()}
    assert set(found.parts) == PARTS
    del found
    assert list(scratch.iterdir()) == []


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    info.size = 3 if kind == tarfile.REGTYPE else 0
    return info


HOSTILE = [
    member(f"../{ID}_SR_B4.TIF"),
    member(f"/tmp/{ID}_SR_B4.TIF"),
    member(f"{ID}/../../{ID}_SR_B4.TIF"),
    member("../../etc/passwd"),
    member(f"{ID}_SR_B4.TIF", tarfile.SYMTYPE, "/etc/passwd"),
    member(f"{ID}_SR_B4.TIF", tarfile.LNKTYPE, "/etc/passwd"),
    member(f"{ID}_SR_B4.TIF", tarfile.FIFOTYPE),
    member(f"{ID}_SR_B4.TIF", tarfile.CHRTYPE),
]


@pytest.mark.parametrize("info", HOSTILE, ids=lambda i: f"{i.name[:12]}-{i.type!r}")
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_hostile_archive_is_refused_and_nothing_leaves_it(tmp_path: Path, info: tarfile.TarInfo, mode: str) -> None:
    path = archive(make(tmp_path / "in", with_pan=False), tmp_path / "x.tar", mode=mode)
    with tarfile.open(path, "w") as target:
        target.addfile(info, io.BytesIO(b"abc") if info.size else None)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="do not use it") as caught:
        products_in(path)
    assert info.name in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("shape", [tar, tar_gz], ids=lambda f: f.__name__)
def test_a_cut_archive_is_never_taken_for_a_whole_one(tmp_path: Path, shape: Callable[[Path], Path]) -> None:
    path = shape(make(tmp_path, with_pan=False))
    whole = path.read_bytes()
    messages = []
    for length in range(0, len(whole), len(whole) // 150):
        path.write_bytes(whole[:length])
        try:
            found = products_in(path)
        except InputError as error:
            messages.append(str(error))
        else:  # whole but for the padding, or cut between two members, where nothing tells
            assert (found and set(found[0].parts) == PARTS) or length % tarfile.BLOCKSIZE == 0, length
    assert len(messages) > 100
    assert all("damaged archive" in message and "\n" not in message for message in messages)


def test_garbage_in_a_compressed_archive_is_noticed(tmp_path: Path) -> None:
    path = tar_gz(make(tmp_path, with_pan=False))
    whole = path.read_bytes()
    for start in range(20, len(whole), len(whole) // 40):
        path.write_bytes(whole[:start] + bytes(255 - b for b in whole[start : start + 8]) + whole[start + 8 :])
        with pytest.raises(InputError, match="damaged archive"):
            products_in(path)


@pytest.mark.parametrize("content", [b"", b"<html>503</html>", b"PK\x03\x04" + bytes(100), bytes(3)])
@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tgz"])
def test_what_is_no_archive_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"^{name}: damaged archive .*download it again$"):
        products_in(tmp_path / name)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("LC09", "LE07", "Landsat 7"),
        ("LC09", "LT05", "Landsat 5"),
        ("LC09", "LT08", "sensor LT"),
        ("_02_T1", "_01_T1", "Collection 1"),
        ("L2SP", "L1TP", "Level-1 product"),
    ],
)
def test_a_wrong_product_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    product = make(tmp_path, with_pan=False)
    for file in product.iterdir():
        file.rename(file.with_name(file.name.replace(old, new)))
    with pytest.raises(InputError, match=says) as caught:
        level2_product(product)
    assert str(caught.value).startswith(ID.replace(old, new))


def test_collection_1_surface_reflectance_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "LC08_L1TP_192025_20170520_20170530_01_T1_sr_band4.tif").write_bytes(b"x")
    with pytest.raises(InputError, match="Collection 1"):
        level2_product(tmp_path)


def test_a_folder_with_two_products_is_refused_and_both_are_named(tmp_path: Path) -> None:
    other = ID.replace("_20230520_", "_20230605_")
    product = make(tmp_path, with_pan=False)
    for file in make(tmp_path, product_id=other, with_pan=False).iterdir():
        file.rename(product / file.name)
    with pytest.raises(InputError, match=f"{ID}, {other}"):
        level2_product(product)


def test_a_stray_picture_of_another_product_does_no_harm(tmp_path: Path) -> None:
    product = make(tmp_path, with_pan=False)
    (product / f"{ID.replace('_20230520_', '_20230605_')}_thumb_large.jpeg").write_bytes(b"x")
    assert level2_product(product).product_id == ID


@pytest.mark.parametrize("name", ["nothing", "x.zip", "x.TIF"])
def test_what_is_no_product_is_refused(tmp_path: Path, name: str) -> None:
    if name != "nothing":
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=f"{name}: .*(folder|damaged archive)"):
        products_in(tmp_path / name)


def test_what_l8s2_made_is_no_input(tmp_path: Path) -> None:
    """Neither the folder of a product, nor its rasters, nor the folder above."""
    ours = tmp_path / "out" / f"{ID}{SUFFIX}"
    ours.mkdir(parents=True)
    for name in (f"{ID}_SR.tif", f"{ID}_QA.tif", f"{ID}.json"):
        (ours / name).touch()
    for path in (ours, ours / f"{ID}_SR.tif", ours / f"{ID}_QA.tif"):
        with pytest.raises(InputError, match="is made by l8s2 already; give the Landsat Level-2 product"):
            level2_product(path)
    with pytest.raises(InputError, match="no Landsat Collection-2 Level-2 files"):
        level2_product(ours.parent)


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.tar")
    with pytest.raises(InputError, match=r"x\.tar: not a product"):
        products_in(tmp_path / "x.tar")


def test_an_empty_folder_says_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no Landsat Collection-2 Level-2 files such as LC08_.*_SR_B4\.TIF"):
        level2_product(tmp_path)


class TestPanPartner:
    def found(self, product: Path) -> str | None:
        partner = pan_partner(level2_product(product))
        return partner and partner.source

    def test_beside_as_a_folder(self, tmp_path: Path) -> None:
        assert self.found(make(tmp_path)) == str(tmp_path / PAN_ID)

    def test_in_the_same_folder(self, tmp_path: Path) -> None:
        product = make(tmp_path)
        for file in (tmp_path / PAN_ID).iterdir():
            file.rename(product / file.name)
        (tmp_path / PAN_ID).rmdir()
        assert self.found(product) == str(product)

    @pytest.mark.parametrize("name", [f"{PAN_ID}.tar", f"{PAN_ID}.tar.gz", f"{PAN_ID}.tgz", f"{PAN_ID}.TAR"])
    def test_beside_as_an_archive(self, tmp_path: Path, name: str) -> None:
        product = make(tmp_path)
        level1 = tmp_path / PAN_ID
        archive(level1, tmp_path / name, mode="w:gz" if "g" in name.lower().rpartition("t1")[2] else "w")
        level1.rename(tmp_path / "elsewhere")
        assert self.found(product) == str(tmp_path / name)

    def test_the_newest_of_several(self, tmp_path: Path) -> None:
        newer = ID.replace("_20230530_", "_20240101_")
        make(tmp_path, product_id=newer)
        assert self.found(make(tmp_path)) == str(tmp_path / newer.replace("L2SP", "L1TP"))

    @pytest.mark.parametrize(
        "other", [ID.replace("0520_", "0521_"), ID.replace("192025", "192026"), ID.replace("LC09", "LC08")]
    )
    def test_not_that_of_another_acquisition(self, tmp_path: Path, other: str) -> None:
        make(tmp_path, product_id=other)
        assert self.found(make(tmp_path, with_pan=False)) is None

    def test_not_a_file_that_only_has_the_name(self, tmp_path: Path) -> None:
        (tmp_path / PAN_ID).write_text("")
        assert self.found(make(tmp_path, with_pan=False)) is None

    def test_a_damaged_one_is_named(self, tmp_path: Path) -> None:
        (tmp_path / f"{PAN_ID}.tar").write_text("<html></html>")
        with pytest.raises(InputError, match=rf"^{PAN_ID}\.tar: damaged"):
            self.found(make(tmp_path, with_pan=False))
