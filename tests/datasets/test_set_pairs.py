"""Every source of pairs in the same form: shapes, NaN, masks, and where the images lie."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from l8s2 import grid
from l8s2.datasets import geotiffs, set_pairs
from l8s2.datasets.brdf import c_factor
from l8s2.datasets.image_pair import ImagePair, Lattice, erode_valid, on_lattice
from l8s2.datasets.ls2s2 import Ls2s2
from l8s2.datasets.open import open_pairs
from l8s2.errors import InputError
from l8s2.patches.patch_set import PatchSet
from l8s2.sensors import BAND_NAMES
from making.pairs import grid_of, ground, seen, write_ls2s2, write_oli2msi, write_tiff
from making.patches import box_at, coordinates, of_unit

pytest.importorskip("h5py")


def check_form(sample: ImagePair) -> None:
    bands, h, w = sample.ms.shape
    assert bands == 6
    assert sample.truth.shape == sample.valid.shape == (6, 3 * h, 3 * w)
    assert sample.pan is None or sample.pan.shape == (2 * h, 2 * w)
    assert {a.dtype for a in (sample.ms, sample.truth)} == {np.dtype(np.float32)}
    assert sample.valid.dtype == bool
    assert np.isfinite(sample.truth[sample.valid]).all()
    for band, known in enumerate(sample.bands_known):
        assert known or not sample.valid[band].any()


def test_oli2msi(tmp_path: Path) -> None:
    truth = write_oli2msi(tmp_path)
    pairs = open_pairs(tmp_path)
    assert len(pairs) == 2
    sample = pairs[1]
    check_form(sample)
    assert sample.id == "img_1"
    assert sample.pan is None
    assert sample.bands_known == (True, True, True, False, False, False)
    assert np.array_equal(sample.truth[0], truth[2])  # the file begins with red
    assert np.isnan(sample.ms[3:]).all()
    assert np.isnan(sample.truth[3:]).all()
    assert sample.valid[:3].all()
    assert sample.lattice is not None
    assert sample.lattice.truth_off == (-5, -5)  # common corners, which is half a 10 m pixel off the blocks
    assert len(geotiffs.oli2msi(tmp_path, "test")) == 2


def test_on_lattice_moves_what_shares_corners(tmp_path: Path) -> None:
    world = ground(240, 6)
    corner = (60.0, 60.0)
    ms = seen(world, 32, 30, sigma=14.8, off=corner)
    pan = seen(world[:1], 64, 15, sigma=12, off=corner)
    truth = seen(world, 96, 10, sigma=12, off=corner)
    for name, values, gsd in (("ms", ms, 30), ("pan", pan, 15), ("truth", truth, 10)):
        write_tiff(tmp_path / name / "a.tif", values, grid_of(gsd, values.shape[1]))
    sample = geotiffs.TiffPairs(tmp_path / "ms", tmp_path / "truth", tmp_path / "pan")[0]
    check_form(sample)
    assert sample.lattice is not None
    assert sample.lattice.pan_off == (-7.5, -7.5)
    moved = on_lattice(sample)
    assert moved.lattice == Lattice(ms=sample.lattice.ms)
    there = (slice(None), slice(24, -24), slice(24, -24))
    right_truth = seen(world, 96, 10, sigma=12, off=(65.0, 65.0))
    right_pan = seen(world[:1], 64, 15, sigma=12, off=(67.5, 67.5))
    assert np.abs(moved.truth - right_truth)[there].max() < 2e-3 < np.abs(sample.truth - right_truth)[there].max()
    assert moved.pan is not None
    assert np.abs(moved.pan - right_pan[0])[24:-24, 24:-24].max() < 2e-3
    assert not moved.valid[:, :4].any()
    assert moved.valid[:, 4:-5, 4:-5].all()
    with pytest.raises(InputError, match="the position of its images is not known"):
        on_lattice(replace(sample, lattice=None))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_folders_on_the_lattice_and_without_position(tmp_path: Path) -> None:
    box = box_at(-187_001, 15_001, side=8)
    fine, pan = grid.output_geobox(box), grid.pan_geobox(box)
    rng = np.random.default_rng(1)
    write_tiff(tmp_path / "ms/a.tif", rng.random((6, 8, 8)).astype(np.float32), box)
    truth = rng.random((6, 24, 24)).astype(np.float32)
    truth[:, 3, 4] = np.nan
    write_tiff(tmp_path / "truth/a.tif", truth[::-1], fine, names=BAND_NAMES[::-1])
    write_tiff(tmp_path / "pan/a.tif", rng.random((1, 16, 16)).astype(np.float32), pan)
    write_tiff(tmp_path / "valid/a.tif", np.ones((1, 24, 24), np.uint8), fine)
    folders = [tmp_path / name for name in ("ms", "truth", "pan", "valid")]
    sample = geotiffs.TiffPairs(*folders)[0]
    check_form(sample)
    assert np.array_equal(sample.truth, truth, equal_nan=True)  # put in order by their descriptions
    assert sample.lattice == Lattice(ms=box)
    assert not sample.valid[:, 3, 4].any()
    assert sample.valid.sum() == 6 * (24 * 24 - 1)
    write_tiff(tmp_path / "truth/a.tif", truth, None)
    assert geotiffs.TiffPairs(*folders)[0].lattice is None


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_is_wrong_with_folders_is_said_in_one_line(tmp_path: Path) -> None:
    ms, truth = tmp_path / "ms", tmp_path / "truth"
    with pytest.raises(InputError, match=r"no \.tif files"):
        geotiffs.TiffPairs(ms, truth)
    write_tiff(ms / "a.tif", np.ones((6, 8, 8), np.float32), None)
    write_tiff(truth / "b.tif", np.ones((6, 24, 24), np.float32), None)
    with pytest.raises(InputError, match=r"a\.tif: only in one of"):
        geotiffs.TiffPairs(ms, truth)
    write_tiff(ms / "b.tif", np.ones((6, 8, 9), np.float32), None)
    (ms / "a.tif").unlink()
    pairs = geotiffs.TiffPairs(ms, truth)
    with pytest.raises(InputError, match=r"8 x 9 pixels, truth \(24, 24\)"):
        pairs[0]
    write_tiff(ms / "b.tif", np.ones((3, 8, 8), np.float32), None)
    with pytest.raises(InputError, match="3 bands"):
        pairs[0]
    write_tiff(ms / "b.tif", np.ones((6, 8, 8), np.int16), None)
    with pytest.raises(InputError, match="int16 without a scale"):
        pairs[0]
    (ms / "b.tif").write_bytes(b"<html>")
    with pytest.raises(InputError, match="not a readable GeoTIFF"):
        pairs[0]
    with pytest.raises(InputError, match="no training set that l8s2 knows"):
        open_pairs(tmp_path)


@pytest.mark.parametrize(
    ("landsat_off", "pan_off", "found", "of_pan"),
    [
        ((0.0, 0.0), (0.0, 0.0), (-5, -5), (-7.5, -7.5)),  # as the files say
        ((15.0, 15.0), (7.5, 7.5), (-20, -20), (-15.0, -15.0)),
        ((0.0, -15.0), (0.0, -15.0), (-5, 10), (-7.5, -7.5)),
    ],
)  # fmt: skip
def test_ls2s2_measures_where_its_content_lies(
    tmp_path: Path, landsat_off: tuple[float, float], pan_off: tuple[float, float], found: tuple[float, float],
    of_pan: tuple[float, float],
) -> None:  # fmt: skip
    write_ls2s2(tmp_path / "31TAB_7", landsat_off=landsat_off, pan_off=pan_off)
    pairs = Ls2s2(tmp_path, size=22)
    assert len(pairs) == 2 * 9
    sample = pairs[4]
    check_form(sample)
    assert sample.id == "31TAB_7_2022-05-01_1_1"
    assert sample.valid.all()
    assert sample.lattice is not None
    assert sample.lattice.truth_off == found
    assert sample.lattice.pan_off == of_pan
    assert pairs[9].pan is None
    assert not pairs[0].valid[:, :6, :6].any()
    assert pairs[0].valid[:, 6:, 6:].all()
    assert np.isfinite(pairs[0].ms).all()  # under clouds there are pixels all the same
    moved = on_lattice(sample)
    assert (moved.truth[2, 20:46, 20:46] != sample.truth[2, 20:46, 20:46]).any()


def test_ls2s2_off_by_something_else_is_refused(tmp_path: Path) -> None:
    write_ls2s2(tmp_path / "31TAB_7", landsat_off=(8.0, 0.0), pan_off=(8.0, 0.0))
    with pytest.raises(InputError, match=r"Sentinel-2 lies 8\.\d m down"):
        Ls2s2(tmp_path, size=22)[0]
    (tmp_path / "31TAB_7/landsat/index.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no column 'valid'"):
        Ls2s2(tmp_path)


def test_sides(tmp_path: Path) -> None:
    patches = PatchSet(tmp_path)
    patches.add("empty", [])
    with pytest.raises(InputError, match="no patches; build some"):
        set_pairs.ShardPairs(tmp_path)
    patches.add("a", of_unit(0))
    far = coordinates(box_at(197_001, 15_001), location="43PHQ", path_row="143054")
    patches.add("b", [far])
    with pytest.raises(InputError, match=r"no patches on side Train; .* with l8s2 dataset split"):
        set_pairs.ShardPairs(tmp_path, "Train")
    patches.split({"Train": 0.7, "Test": 0.3})
    one, three = sorted((set_pairs.ShardPairs(tmp_path, side) for side in ("Train", "Test")), key=len)
    assert (len(one), len(three)) == (1, 3)
    assert one[0].id == far.id
    before = (tmp_path / "index.csv").read_bytes()
    assert before.count(b",Train,") + before.count(b",Test,") == 4
    patches.split({"Train": 1, "Test": 9})  # what is on a side stays there
    assert (tmp_path / "index.csv").read_bytes() == before


def test_both_images_from_nadir_under_one_sun(tmp_path: Path) -> None:
    angles = {
        "landsat_sun_elevation": 50.0, "landsat_sun_azimuth": 150.0, "landsat_view_zenith": 0.0,
        "sentinel2_sun_elevation": 53.0, "sentinel2_sun_azimuth": 155.0, "sentinel2_view_zenith": 8.0,
    }  # fmt: skip
    box = box_at(187_001, 15_001)
    PatchSet(tmp_path / "set").add("a", [coordinates(box, **angles, sentinel2_view_azimuth=105.0)])
    PatchSet(tmp_path / "less").add("a", [coordinates(box, **angles)])
    pairs = set_pairs.ShardPairs(tmp_path / "set")
    plain = pairs[0]
    pairs.nbar = True
    sample = pairs[0]
    np.testing.assert_allclose(sample.ms, plain.ms, rtol=1e-6)  # Landsat looks down, and its sun is kept
    factor = c_factor(37.0, 8.0, 50.0, 40.0)
    assert np.abs(factor - 1).max() > 0.01
    np.testing.assert_allclose(sample.truth, plain.truth * factor[:, None, None], rtol=1e-5)
    less = set_pairs.ShardPairs(tmp_path / "less")
    less.nbar = True
    with pytest.raises(InputError, match="does not say where sentinel2 looked from"):
        less[0]


def test_simulated_pairs() -> None:
    from l8s2.datasets.simulated_pairs import RandomlySimulatedPairs, SimulatedPairs
    from l8s2.simulate.archives import Image

    images = [Image(site="a", stack=ground(200, 6), known_bands=(True,) * 3 + (False,) * 3, index=n) for n in range(2)]
    for pairs, count in ((SimulatedPairs(images), 2), (RandomlySimulatedPairs(images), 6)):
        assert len(pairs) == count
        sample = pairs[count - 1]
        check_form(sample)
        assert sample.truth.shape == (6, 198, 198)
        assert sample.bands_known == (True,) * 3 + (False,) * 3
        assert (sample.site, sample.id) == ("a", "a_001")
        assert np.array_equal(pairs[count - 1].ms, sample.ms)
        assert not np.array_equal(pairs[count - 2].ms, sample.ms)
        assert on_lattice(sample).lattice == Lattice()
        with pytest.raises(IndexError):
            pairs[count]


def test_deep_harmonization_patches(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    h5py = pytest.importorskip("h5py")
    from l8s2.datasets.deep_harmonization import DeepHarmonizationPatches

    (tmp_path / "a/b").mkdir(parents=True)
    with h5py.File(tmp_path / "a/b/x.h5", "w") as file:
        file["s2_image"], file["l8_image"] = np.full((6, 30, 30), 800, np.int16), np.full((6, 10, 10), 9000, np.uint16)
        file["l8_pan"] = np.full((20, 20), 0.1, np.float32)
    (tmp_path / "a.csv").write_text("patch_id,pair_type\nx,Train\n")
    pairs = DeepHarmonizationPatches(tmp_path / "a.csv", tmp_path, "Train", 30)
    sample = pairs[0]
    assert len(pairs) == 1
    assert sample.ms.shape == sample.truth.shape == sample.valid.shape == (6, 30, 30)
    assert sample.at_10m
    assert sample.pan is not None
    assert sample.pan.shape == (30, 30)
    assert sample.lattice is None
    assert sample.id == "x"


def test_a_source_does_not_load_torch(tmp_path: Path) -> None:
    PatchSet(tmp_path).add("u", of_unit(0))
    code = (
        "import sys\nfrom pathlib import Path\nfrom l8s2.datasets.open import open_pairs\n"
        f"pairs = open_pairs(Path({str(tmp_path)!r}))\nprint(len(pairs), pairs[0].id != '', 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "True", "False"]


def test_erosion_looks_where_it_is_told() -> None:
    known = np.ones((40, 40), bool)
    known[20, 20] = False
    assert erode_valid(known).sum() == 32 * 32 - 81
    assert not erode_valid(known, 3, -2)[13:22, 18:27].any()
    assert erode_valid(known, 3, -2)[12, 22]
    assert not erode_valid(known, 0, 12)[:, 24:].any()
