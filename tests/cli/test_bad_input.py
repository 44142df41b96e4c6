"""Broken, foreign and contradictory products: one line that names the file, nothing written, no other exception."""

from __future__ import annotations

import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

import l8s2.pipeline.to_product
from l8s2 import masks
from l8s2.errors import InputError
from l8s2.landsat.scene import open_scene
from l8s2.pipeline.to_product import harmonize_product
from l8s2.radiometry import NODATA
from making.scenes import ID, PAN_ID, Copying, crop, make, move, ms_grid, pan_of, part, rewrite

Damage = Callable[[Path], Any]
B4 = f"{ID}_SR_B4.TIF"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network has no part in this."""
    monkeypatch.setattr(l8s2.pipeline.to_product, "load_predictor", lambda *_, **__: Copying())


def cut(name: str, share: float) -> Damage:
    def damage(product: Path) -> None:
        path = pan_of(product) if name == "B8" else part(product, name)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    return damage


def overwrite(name: str, content: bytes) -> Damage:
    return lambda product: (pan_of(product) if name == "B8" else part(product, name)).write_bytes(content)


def remove(name: str) -> Damage:
    return lambda product: part(product, name).unlink()


def change(name: str, how: Callable[[Any], Any] = lambda x: x, **profile: Any) -> Damage:
    return lambda product: rewrite(pan_of(product) if name == "B8" else part(product, name), how, **profile)


def all_bands(how: Callable[[Any], Any]) -> Damage:
    def damage(product: Path) -> None:
        for path in product.glob("*_SR_*"):
            rewrite(path, how)

    return damage


def other_text(name: str, old: str, new: str) -> Damage:
    def damage(product: Path) -> None:
        folder = product if name == "L2SP" else pan_of(product).parent
        path = part(folder, "MTL")
        path.write_text(path.read_text().replace(old, new))

    return damage


def as_vrt(product: Path) -> None:
    hidden = product / "hidden.tif"
    path = part(product, "SR_B4")
    path.rename(hidden)
    with rasterio.open(hidden) as source:
        from rasterio.shutil import copy

        copy(source, path, driver="VRT")


def as_png(product: Path) -> None:
    path = part(product, "SR_B4")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", driver="PNG", width=31, height=24, count=1, dtype="uint16") as target:
            target.write(np.ones((1, 24, 31), np.uint16))


def dangling(product: Path) -> None:
    path = part(product, "SR_B4")
    path.unlink()
    path.symlink_to("nowhere.TIF")


def a_folder(product: Path) -> None:
    path = part(product, "SR_B4")
    path.unlink()
    path.mkdir()


def without_place(product: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rewrite(part(product, "SR_B4"), crs=None, transform=Affine.identity())


def crs_without_place(product: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in product.glob("*.TIF"):
            rewrite(path, transform=Affine.identity())


def pan_in_another_zone(product: Path) -> None:
    with rasterio.open(pan_of(product), "r+") as target:
        target.crs = "EPSG:32640"


def endless(product: Path) -> None:
    """A few bytes that claim to be a very wide band."""
    rewrite(
        part(product, "SR_B4"),
        lambda x: x[:, :16, :16],
        height=300,
        width=200_000,
        SPARSE_OK=True,
        blockxsize=16,
        blockysize=16,
    )


HTML = b"\n<!DOCTYPE html><html><body>503 Service Unavailable</body></html>"
CASES: dict[str, tuple[Damage, str]] = {
    "band missing": (remove("SR_B4"), rf"^{B4}: missing in .*download"),
    "band is a dangling link": (dangling, rf"^{B4}: missing"),
    "band is a folder": (a_folder, rf"^{B4}: missing"),
    "band cut": (cut("SR_B4", 0.9), rf"^{B4}: .*download it again"),
    "band cut to its header": (cut("SR_B4", 0.3), rf"^{B4}: .*download it again"),
    "band empty": (overwrite("SR_B4", b""), rf"^{B4}: empty file \(0 bytes\); download it again"),
    "band is a web page": (overwrite("SR_B4", HTML), rf"^{B4}: a web page .*download it again"),
    "band is an error message": (overwrite("SR_B4", b'{"error": "expired"}'), rf"^{B4}: a web page or error message"),
    "band is noise": (overwrite("SR_B4", bytes(range(256)) * 9), rf"^{B4}: not a readable TIFF"),
    "band is a VRT": (as_vrt, rf"^{B4}: .*download it again"),
    "band is a PNG": (as_png, rf"^{B4}: not a readable TIFF"),
    "band has no place": (without_place, rf"^{B4}: has no position on the ground"),
    "all have a zone but no place": (crs_without_place, r"^LC09_.*_SR_B2\.TIF: has no position on the ground"),
    "band of two bands": (change("SR_B4", lambda x: np.concatenate([x, x])), rf"^{B4}: holds 2 x uint16"),
    "band is complex": (change("SR_B4", lambda x: x.astype(np.complex64)), rf"^{B4}: holds 1 x complex64"),
    "band without end": (endless, rf"^{B4}: 300 x 200000 pixels; no Landsat scene"),
    "band elsewhere": (lambda p: move(part(p, "SR_B4"), 30_000, 0), rf"^{B4}: its position differs"),
    "band of another size": (lambda p: crop(part(p, "SR_B4"), slice(0, 23), slice(0, 31)), rf"^{B4}: its size differs"),
    "band of another zone": (change("SR_B4", crs="EPSG:32634"), rf"^{B4}: its coordinate reference system differs"),
    "QA of another size": (change("QA_PIXEL", lambda x: x[:, :-1]), rf"^{ID}_QA_PIXEL\.TIF: its grid differs"),
    "QA is a web page": (overwrite("QA_PIXEL", HTML), rf"^{ID}_QA_PIXEL\.TIF: a web page"),
    "pan cut": (cut("B8", 0.9), rf"^{PAN_ID}_B8\.TIF: .*download it again"),
    "pan is a web page": (overwrite("B8", HTML), rf"^{PAN_ID}_B8\.TIF: a web page"),
    "pan elsewhere": (lambda p: move(pan_of(p), 60_000, 0), rf"^{PAN_ID}_B8\.TIF: does not touch"),
    "pan in another zone and elsewhere": (pan_in_another_zone, rf"^{PAN_ID}_B8\.TIF: does not touch"),
    "pan metadata of another date": (
        other_text("L1TP", "20230520", "20230605"), rf"^{PAN_ID}_MTL\.txt: describes LC09_L1TP_192025_20230605",
    ),
    "metadata of another place": (
        other_text("L2SP", "192025", "192026"), rf"^{ID}_MTL\.txt: describes LC09_L2SP_192026",
    ),
    "metadata of Collection 1": (
        other_text("L2SP", "COLLECTION_NUMBER = 02", "COLLECTION_NUMBER = 01"), rf"^{ID}_MTL\.txt: Collection 1",
    ),
    "metadata empty": (overwrite("MTL", b""), rf"^{ID}_MTL\.txt: empty file"),
    "metadata is a web page": (overwrite("MTL", HTML), rf"^{ID}_MTL\.txt: a web page"),
    "metadata is noise": (overwrite("MTL", bytes(range(256))), rf"^{ID}_MTL\.txt: not a Landsat"),
    "night": (other_text("L1TP", "SUN_ELEVATION = 52.5", "SUN_ELEVATION = -5"), r"sun elevation -5 degrees"),
    "all fill": (all_bands(lambda x: x * 0), rf"^{ID}: no valid pixel"),
    "all NaN": (all_bands(lambda x: np.full(x.shape, np.nan, np.float32)), rf"^{ID}: no valid pixel"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_line_that_names_the_file_and_nothing_written(tmp_path: Path, name: str) -> None:
    damage, says = CASES[name]
    product = make(tmp_path / "in")
    damage(product)
    with pytest.raises(InputError, match=says) as caught:
        harmonize_product(product, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_block_that_does_not_decode_is_found_while_reading(tmp_path: Path) -> None:
    product = make(tmp_path / "in", ms_grid(600, 300), with_pan=False)
    path = part(product, "SR_B4")
    with rasterio.open(path) as source:
        start = int(source.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
    content = path.read_bytes()
    path.write_bytes(content[:start] + bytes(400) + content[start + 400 :])
    with pytest.raises(InputError, match=rf"^{B4}: 1 of 6 blocks unreadable .*download it again"):
        harmonize_product(product, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_band_without_a_valid_pixel_is_said(tmp_path: Path) -> None:
    product = make(tmp_path / "in")
    rewrite(part(product, "SR_B4"), np.zeros_like)
    said: list[str] = []
    folder = harmonize_product(product, tmp_path / "out", warn=said.append)
    assert said == [f"{B4}: no valid pixel in the area asked for", "verdict warn: only 0.0 % of the scene is clear"]
    with rasterio.open(next(folder.glob("*_SR.tif"))) as dataset:
        assert [(band == NODATA).all() for band in dataset.read()] == [False, False, True, False, False, False]
    with rasterio.open(next(folder.glob("*_QA.tif"))) as dataset:
        assert (dataset.read(1) == masks.flag("fill")).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 3), (97, 2)], ids=str)
def test_a_sliver_of_a_scene_is_a_scene(tmp_path: Path, shape: tuple[int, int]) -> None:
    folder = harmonize_product(make(tmp_path / "in", ms_grid(*shape)), tmp_path / "out")
    with rasterio.open(next(folder.glob("*_SR.tif"))) as dataset:
        assert dataset.shape == (3 * shape[0], 3 * shape[1])
        assert (dataset.read() != NODATA).all()


def test_ms_without_pan_are_flagged_and_kept(tmp_path: Path) -> None:
    product = make(tmp_path / "in")
    crop(pan_of(product), slice(0, 47), slice(0, 30))
    folder = harmonize_product(product, tmp_path / "out")
    with rasterio.open(next(folder.glob("*_QA.tif"))) as dataset:
        bits = dataset.read(1) & masks.flag("no_pan") > 0
    assert dataset.shape == (72, 93)
    np.testing.assert_array_equal(bits, np.broadcast_to(np.arange(93) >= 45, bits.shape))


class TestPanOption:
    def refused(self, product: Path, pan: Path) -> str:
        with pytest.raises(InputError) as caught:
            open_scene(product, pan)
        return str(caught.value)

    def test_nothing_there(self, tmp_path: Path) -> None:
        message = self.refused(make(tmp_path), tmp_path / "nothing")
        assert message.startswith(f"`pan` {tmp_path / 'nothing'}: no such file or folder")

    @pytest.mark.parametrize("name", ["SR_B4", "MTL"])
    def test_another_file(self, tmp_path: Path, name: str) -> None:
        product = make(tmp_path)
        path = part(product, name)
        assert str(path) in self.refused(product, path)

    def test_a_product_without_pan(self, tmp_path: Path) -> None:
        product = make(tmp_path)
        assert f"`pan` {product}: no Level-1 pan band" in self.refused(product, product)

    @pytest.mark.parametrize(
        "other", [ID.replace("_20230520_", "_20230605_"), ID.replace("192025", "191025"), ID.replace("LC09", "LC08")]
    )
    def test_another_acquisition(self, tmp_path: Path, other: str) -> None:
        product = make(tmp_path / "a", with_pan=False)
        foreign = pan_of(make(tmp_path / "b", product_id=other))
        for path in (foreign, foreign.parent):
            message = self.refused(product, path)
            assert message.startswith(f"`pan` {other.replace('L2SP', 'L1TP')}: not the acquisition of {ID}")

    @pytest.mark.parametrize("shape", ["folder", "file", "tar"])
    def test_the_right_one_wherever_it_lies(self, tmp_path: Path, shape: str) -> None:
        from making.scenes import archive

        product = make(tmp_path)
        there = pan_of(product).parent.rename(tmp_path / "somewhere else")
        given = {"folder": there, "file": there / f"{PAN_ID}_B8.TIF", "tar": tmp_path / "pan.tar"}[shape]
        if shape == "tar":
            archive(there, given)
        with open_scene(product, given) as scene:
            assert scene.pan_id == PAN_ID
            assert scene.warnings == []


def mangled(content: bytes, rng: random.Random) -> bytes:
    """A file after one accident."""
    at = rng.randrange(len(content))
    kind = rng.randrange(5)
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + content[at + rng.randrange(64) :]
    if kind == 2:
        return content[:at] + rng.randbytes(20) + content[at + 20 :]
    changed = bytearray(content)
    if kind == 3:
        changed[at] ^= 1 << rng.randrange(8)
    else:  # in the header, where everything is decided
        for _ in range(rng.randint(1, 8)):
            changed[rng.randrange(min(len(changed), 300))] = rng.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("form", ["txt", "json", "xml"])
def test_accidents_end_in_one_line_or_a_product(tmp_path: Path, form: Any) -> None:
    original = tmp_path / "original"
    make(original, ms_grid(9, 7), mtl=form)
    outcomes = {"refused": 0, "made": 0}
    for seed in range(36):
        rng = random.Random(seed)
        copy = tmp_path / f"copy{seed}"
        shutil.copytree(original, copy)
        path = rng.choice(sorted(p for p in copy.rglob("*") if p.is_file()))
        path.write_bytes(mangled(path.read_bytes(), rng))
        try:
            folder = harmonize_product(copy / ID, copy / "out")
        except InputError as error:
            message = str(error)
            outcomes["refused"] += 1
        else:
            message = ""
            outcomes["made"] += 1
            assert len(list(folder.iterdir())) == 5
        assert "\n" not in message, (seed, path.name, message)
        assert bool(message) != (copy / "out").exists(), (seed, path.name)
        shutil.rmtree(copy)
    assert outcomes["refused"] > 9
    assert outcomes["made"] > 2
