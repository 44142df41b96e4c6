"""Products in a .zip: as safe as in a .tar, read in place where nothing is compressed."""

from __future__ import annotations

import stat
import tempfile
import zipfile
from pathlib import Path

import pytest

from l8s2.deliveries.find import level2_product, products_in
from l8s2.errors import InputError
from l8s2.landsat.scene import open_scene
from making.scenes import ID, PAN_ID, make

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


def zipped(product: Path, path: Path, *, prefix: str = "", how: int = DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for file in sorted(product.iterdir()):
            archive.write(file, prefix + file.name)
    return path


@pytest.mark.parametrize("how", [STORED, DEFLATED, zipfile.ZIP_LZMA], ids=["stored", "deflated", "lzma"])
@pytest.mark.parametrize("prefix", ["", "./", f"{ID}/", "a b/größer/"])
@pytest.mark.parametrize("name", [f"{ID}.zip", "X.ZIP", "zip named.tar"])
def test_pixels_are_those_of_the_folder(tmp_path: Path, name: str, prefix: str, how: int) -> None:
    product = make(tmp_path, with_pan=False)
    window = slice(0, 24), slice(0, 31)
    with open_scene(product) as scene:
        expected, warnings = scene.read(*window), scene.warnings
    with open_scene(zipped(product, tmp_path / name, prefix=prefix, how=how)) as scene:
        assert scene.product_id == ID
        assert scene.warnings == warnings
        found = scene.read(*window)
    assert found.ms.tobytes() == expected.ms.tobytes()
    assert found.qa.tobytes() == expected.qa.tobytes()


def test_pan_lies_beside_or_in_the_same_archive(tmp_path: Path) -> None:
    product = make(tmp_path / "in")
    level1 = product.with_name(PAN_ID)
    zipped(level1, tmp_path / f"{PAN_ID}.zip")
    with open_scene(zipped(product, tmp_path / f"{ID}.zip")) as scene:
        assert scene.pan_id == PAN_ID
    both = tmp_path / "elsewhere" / "both.zip"
    both.parent.mkdir()
    with zipfile.ZipFile(both, "w") as archive:
        for file in (*product.iterdir(), *level1.iterdir()):
            archive.write(file, f"{file.parent.name}/{file.name}")
    with open_scene(both) as scene:
        assert scene.pan_id == PAN_ID
        assert scene.warnings == []


@pytest.mark.parametrize("name", ["../x_{}", "/tmp/{}", "a/../../{}", "..\\{}", "C:/{}"])
def test_a_path_out_of_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name.format(f"{ID}_SR_B4.TIF"), b"abc")
    with pytest.raises(InputError, match=r"points outside the archive.*do not use it"):
        products_in(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo(f"{ID}_SR_B4.TIF")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, b"/etc/passwd")
    with pytest.raises(InputError, match="is a link"):
        products_in(tmp_path / "x.zip")


def forged(path: Path, *, at: int, value: bytes) -> None:
    """Overwrite a field of the first entry of the central directory."""
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\1\2")
    content[entry + at : entry + at + len(value)] = value
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [
        (8, b"\1\0", "is encrypted; unpack it"),
        (10, b"\x09\0", "unpack it and give the folder"),
        (24, (3_000_000_000).to_bytes(4, "little"), "would grow more than"),
        (42, (7).to_bytes(4, "little"), "damaged archive"),
    ],
    ids=["encrypted", "method", "bomb", "offset"],
)
@pytest.mark.parametrize("how", [STORED, DEFLATED], ids=["stored", "deflated"])
def test_what_cannot_be_unpacked_is_one_line(tmp_path: Path, at: int, value: bytes, says: str, how: int) -> None:
    path = zipped(make(tmp_path, with_pan=False), tmp_path / "x.zip", how=how)
    forged(path, at=at, value=value)
    with pytest.raises(InputError, match=says) as caught:
        products_in(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", [STORED, DEFLATED], ids=["stored", "deflated"])
def test_a_cut_archive_is_damaged(tmp_path: Path, how: int) -> None:
    path = zipped(make(tmp_path, with_pan=False), tmp_path / "x.zip", how=how)
    whole = path.read_bytes()
    for length in range(2, len(whole) - 1, len(whole) // 40):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"damaged archive .*download it again$"):
            products_in(path)


def test_garbage_in_what_is_compressed_is_noticed(tmp_path: Path) -> None:
    path = zipped(make(tmp_path, with_pan=False), tmp_path / "x.zip")
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        (info,) = (info for info in archive.infolist() if info.filename.endswith("SR_B4.TIF"))
    start = info.header_offset + 200
    path.write_bytes(whole[:start] + bytes(255 - b for b in whole[start : start + 8]) + whole[start + 8 :])
    with pytest.raises(InputError, match="damaged archive"):
        products_in(path)


def test_no_room_to_unpack_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(make(tmp_path / "in", with_pan=False), tmp_path / "x.zip")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(InputError, match="free some space there or unpack the archive yourself"):
        products_in(path)


def test_only_what_is_needed_is_unpacked_and_goes_with_the_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = make(tmp_path / "in", with_pan=False)
    (product / f"{ID}_ST_B10.TIF").write_bytes(b"x" * 99)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    found = level2_product(zipped(product, tmp_path / "x.zip"))
    assert {p.name for p in scratch.glob("*/*")} == {Path(p).name for p in found.parts.values()}
    del found
    assert not list(scratch.iterdir())
