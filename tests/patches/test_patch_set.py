"""The storage: what is written comes back where it was."""

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l8s2 import grid
from l8s2.datasets.set_pairs import ShardPairs
from l8s2.errors import InputError
from l8s2.grid import mgrs_tile
from l8s2.patches.patch import Patch, cells, check_lattice, outline, position
from l8s2.patches.patch_set import DEEP_HARMONIZATION_COLUMNS, PatchSet
from making.patches import START, STEP, box_at, build, coded, coordinates, made_facts, of_unit, s2_grids

pytest.importorskip("h5py")


def same(a: Patch, b: Patch) -> bool:
    ours, theirs = a.arrays(), b.arrays()
    return ours.keys() == theirs.keys() and all(
        np.array_equal(ours[k], theirs[k]) and ours[k].dtype == theirs[k].dtype for k in ours
    )


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    wanted = {patch.id: patch for unit in (3, 1) for patch in of_unit(unit)}
    build(tmp_path, [3, 1])
    patches = PatchSet(tmp_path)
    assert len(patches) == 6
    assert patches.pair_ids() == ["u01", "u03"]
    found = [patches.read(i) for i in range(6)]
    assert [p.id for p in found] == sorted(wanted)
    for patch in found:
        assert same(patch, wanted[patch.id])
        assert patch.box == wanted[patch.id].box
        assert repr(patch.facts) == repr(wanted[patch.id].facts)  # NaN included


def test_without_pan_in_int16_and_without_patches(tmp_path: Path) -> None:
    patch = next(of_unit(0))
    arrays = {k: v.astype(np.int16) for k, v in patch.arrays().items() if v.dtype == np.uint16 and k != "pan"}
    patches = PatchSet(tmp_path)
    assert patches.add("a", [replace(patch, pan=None, **arrays)])
    assert patches.add("b", [])
    assert not patches.add("b", [patch])
    assert patches.read(0).pan is None
    assert patches.read(0).ms.dtype == np.int16
    assert len(patches) == 1
    assert patches.pair_ids() == ["a", "b"]


@pytest.mark.parametrize("epsg", [32601, 32633, 32660])
@pytest.mark.parametrize("row", [-187_001, -31, 200_001])
def test_pixels_stay_at_their_coordinates(tmp_path: Path, epsg: int, row: int) -> None:
    """Three zones, north, across and south of the equator; every array against its own georeference, to 0.02 pixels."""
    box = box_at(row, 15_001, side=64, epsg=epsg)
    patches = PatchSet(tmp_path)
    patches.add("unit", [coordinates(box)])
    patch, fact = patches.read(0), patches.facts[0]
    sample = ShardPairs(tmp_path)[0]
    assert grid.landsat_convention(patch.box) == box
    fine, coarse = s2_grids(patch.box)
    assert fact["s2_crs"] == f"EPSG:{grid.epsg(fine.crs)}"
    assert tuple(fact["s2_transform"]) == tuple(fine.affine[:6])
    assert not np.any(np.array([fine.affine.c, fine.affine.f]) % 20)  # whole 20 m pixels, in Sentinel-2's own naming
    pairs = [(patch.ms, box, 30), (patch.s2_10m, fine, 10), (patch.s2_20m, coarse, 20), (sample.ms, box, 30)]
    pairs += [(sample.truth[:3], fine, 10), (np.stack([patch.pan] * 1), grid.pan_geobox(box), 15)]
    for values, at, gsd in pairs:
        for band, image in enumerate(values):
            assert np.abs(image - coded(box, at, 1 - band % 2).astype(float)).max() * STEP < 0.02 * gsd
    inside = (slice(None), slice(24, -24), slice(24, -24))  # what is interpolated, away from the border
    expected = np.stack([coded(box, fine, 1 - band % 2) for band in range(3)]).astype(float)
    assert np.abs(sample.truth[3:] - expected)[inside].max() * STEP < 0.02 * 10
    assert sample.truth[0, 0, 0] == START + 10 / STEP  # the first 10 m pixel is centred 10 m right of MS's corner


@pytest.mark.parametrize(("down", "right"), [(0.0, 12.5), (-7.0, 4.0)])
def test_a_shift_to_be_corrected_is_undone(tmp_path: Path, down: float, right: float) -> None:
    box = box_at(187_001, 15_001, side=64)
    patch = coordinates(box, decision="correct", shift_down_m=down, shift_right_m=right)
    patches = PatchSet(tmp_path)
    patches.add("unit", [patch])
    sample = ShardPairs(tmp_path)[0]
    fine, _ = s2_grids(box)
    for band in range(6):
        across = 1 - band % 3 % 2
        moved = (right if across else down) / STEP
        wrong = sample.truth[band] - moved - coded(box, fine, across)
        assert np.abs(wrong[40:-40, 40:-40]).max() * STEP < 0.2
    assert not sample.valid[:, :4].any()
    assert sample.valid[:, 8:-8, 8:-8].all()


def test_clouds_and_fill_do_not_count(tmp_path: Path) -> None:
    patch = coordinates(box_at(187_001, 15_001, side=32))
    landsat, s2, ms, s2_20m = patch.landsat_usable.copy(), patch.s2_usable.copy(), patch.ms.copy(), patch.s2_20m.copy()
    landsat[4, 5], s2[40, 50], ms[2, 8, 8], s2_20m[1, 30, 30] = False, False, 0, 0
    patches = PatchSet(tmp_path)
    patches.add("unit", [replace(patch, landsat_usable=landsat, s2_usable=s2, ms=ms, s2_20m=s2_20m)])
    sample = ShardPairs(tmp_path)[0]
    assert not sample.valid[:, 12:15, 15:18].any()
    assert not sample.valid[:, 40, 50].any()
    assert sample.valid[:3, 40, 51].all()  # copied
    assert not sample.valid[3:, 40, 51].any()  # interpolated close to it
    assert sample.valid[3:, 40, 55].all()
    assert np.isnan(sample.ms[2, 8, 8])
    assert not sample.valid[:, 24:27, 24:27].any()
    assert not sample.valid[3:, 58:64, 58:64].any()
    assert np.isfinite(sample.truth[sample.valid]).all()


def test_pixels_that_changed_on_disk_are_noticed(tmp_path: Path) -> None:
    patches = PatchSet(tmp_path)
    patches.add("u", of_unit(1))
    (first, *_), path = of_unit(1), tmp_path / "shards/u.h5"
    pixels, content = first.s2_10m.tobytes(), path.read_bytes()
    assert content.count(pixels) == 1
    path.write_bytes(content.replace(pixels, pixels[:100] + bytes([pixels[100] ^ 1]) + pixels[101:]))
    for number, name in enumerate(patches.facts["patch_id"]):
        if name == first.id:
            with pytest.raises(InputError, match=r"u\.h5: damaged; delete it and resume the build"):
                patches.read(number)
        else:
            patches.read(number)


def test_the_index_does_not_depend_on_the_order(tmp_path: Path) -> None:
    first = build(tmp_path / "a", [0, 1, 2, 3])
    assert build(tmp_path / "b", [3, 1, 0, 2]) == first
    with (tmp_path / "a/index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0])[: len(DEEP_HARMONIZATION_COLUMNS)] == DEEP_HARMONIZATION_COLUMNS
    assert [row["patch_id"] for row in rows] == sorted(row["patch_id"] for row in rows)
    assert {row["date"] for row in rows} == {"2023-05-20"}
    assert rows[0]["psnr"] == "inf"
    assert rows[0]["Field_counts"] == ""
    assert rows[0]["pair_type"] == ""
    assert (tmp_path / "a" / rows[0]["pair_path"]).exists()
    assert re.fullmatch(r"POLYGON \(\((-?\d+\.\d{6} -?\d+\.\d{6}(, )?){5}\)\)", rows[0]["geometry"])


def test_ids_come_from_scenes_and_place_alone() -> None:
    patch = next(of_unit(0))
    assert re.fullmatch(r"33UVS_20230520_[0-9a-f]{16}", patch.id)
    assert replace(patch, ms=patch.ms + 1, facts=replace(patch.facts, ssim=0.1)).id == patch.id
    there = grid.sentinel2_convention(patch.box)
    assert replace(patch, box=there).id == patch.id
    assert replace(patch, facts=replace(patch.facts, sentinel2_id="another")).id != patch.id
    assert replace(patch, box=box_at(187_003, 15_001)).id != patch.id


def test_a_patch_that_comes_twice_counts_once(tmp_path: Path) -> None:
    patches = PatchSet(tmp_path)
    assert patches.add("a", of_unit(0))
    assert patches.add("b", of_unit(0))
    assert len(patches) == 3
    with pytest.raises(ValueError, match="comes twice"):
        patches.add("c", [*of_unit(1), *of_unit(1)])
    assert not patches.recorded("c")


@given(
    row=st.integers(-200_000, 200_000), column=st.integers(5_000, 30_000), rows=st.integers(0, 70),
    columns=st.integers(0, 70), side=st.sampled_from([2, 4, 10, 32]),
    moved=st.tuples(st.integers(0, 50), st.integers(0, 50)),
)  # fmt: skip
def test_cells_hold_whole_20_m_pixels_and_have_fixed_places(
    row: int, column: int, rows: int, columns: int, side: int, moved: tuple[int, int]
) -> None:
    from affine import Affine
    from odc.geo.geobox import GeoBox

    def places(r: int, c: int) -> set[tuple[int, int]]:
        box = GeoBox((rows, columns), Affine(30, 0, 30 * c - 15, 0, -30, 15 - 30 * r), "EPSG:32633")
        found = [box[cell] for cell in cells(box, side)]
        for part in found:
            check_lattice(part)
            assert part.shape == (side, side)
        return {position(part) for part in found}

    here, there = places(row, column), places(row + moved[0], column + moved[1])
    assert all((a - b) % side == 0 and (c - d) % side == 0 for a, c in here for b, d in there)
    assert len(here) >= max(rows // side - 1, 0) * max(columns // side - 1, 0)


def test_lattice_and_shapes_are_checked() -> None:
    patch = next(of_unit(0))
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: replace(patch, box=box_at(187_000, 15_001)), "must be odd"),
        (lambda: replace(patch, box=grid.output_geobox(patch.box)), "native UTM lattice"),
        (lambda: replace(patch, pan=patch.pan[:-1]), r"pan has shape \(15, 16\)"),  # type: ignore[index]
        (lambda: replace(patch, s2_10m=patch.s2_10m[:2]), "s2_10m has shape"),
        (lambda: replace(patch, ms=patch.ms.astype(np.float32)), "ms is float32"),  # type: ignore[arg-type]
        (lambda: list(cells(patch.box, 3)), "side=3"),
        (lambda: made_facts(decision="reject"), "leave this one out"),
        (lambda: made_facts(slope=(1.0,) * 5), "slope has 5 numbers; give one for each of 6 bands"),
        (lambda: made_facts(decision="correct", shift_down_m=float("nan")), "needs shift_down_m"),
    ]
    for make, message in cases:
        with pytest.raises(ValueError, match=message):
            make()


def test_outlines_run_across_the_antimeridian() -> None:
    around = outline(mgrs_tile("01KAB"))
    assert around[:, 0].max() > 180 > around[:, 0].min() > 179
    assert made_facts().location == "33UVS"
