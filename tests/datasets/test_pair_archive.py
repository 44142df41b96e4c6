"""Pairs handed over as an archive: where their pixels lie, what is clear in them, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l8s2.datasets import open_pairs
from l8s2.datasets.pair_archive import PairArchive
from l8s2.errors import InputError
from making.pairs import write_pair_archive

CENTRE = (501_390, 5_629_650)
METRES = st.floats(-30, 30).map(lambda x: round(x, 1))


def eastings_and_northings(shape: tuple[int, int], gsd: int, left: float, top: float) -> list[np.ndarray]:
    """Metres from CENTRE, right and up, of the pixel centres of a raster."""
    x = left + gsd * (np.arange(shape[1]) + 0.5) - CENTRE[0]
    y = top - gsd * (np.arange(shape[0]) + 0.5) - CENTRE[1]
    return [np.broadcast_to(x, shape), np.broadcast_to(y[:, None], shape)]


def own_coordinates(path: Path, edges: dict[str, tuple[float, float]]) -> PairArchive:
    """An archive whose pixels hold their position: odd bands metres to the right of CENTRE, even ones metres up."""
    made: dict[str, Any] = {}
    for name, bands, gsd, side in (("ms", 6, 30, 8), ("x10", 4, 10, 60), ("x20", 3, 20, 30)):
        left, top = edges.get(name, (CENTRE[0] - 15, CENTRE[1] + 15))
        position = eastings_and_northings((side, side), gsd, left, top)
        made[name] = np.rint(10 * np.stack([position[b % 2] for b in range(bands)])[None]).astype(np.int16)
    meta = {"ms_centre_00": CENTRE} | {f"{name}_edge": edge for name, edge in edges.items()}
    np.savez(path, **made, meta=json.dumps(meta))
    return PairArchive(path)


@given(METRES, METRES, METRES, METRES)
def test_every_pixel_lies_where_the_archive_says(
    tmp_path_factory: pytest.TempPathFactory, right: float, down: float, right_20m: float, down_20m: float
) -> None:
    edges = {
        "x10": (CENTRE[0] - 170 + right, CENTRE[1] + 170 - down),
        "x20": (CENTRE[0] - 170 + right_20m, CENTRE[1] + 170 - down_20m),
    }
    pair = own_coordinates(tmp_path_factory.mktemp("in") / "x.npz", edges)[0]
    assert pair.truth.shape == (6, 24, 24)
    assert pair.valid.all()
    block = -10.0 + 10 * np.arange(24) + 5  # the block of the first MS pixel begins 10 m left of, and above, its centre
    for band, image in enumerate(pair.truth):
        expected = np.broadcast_to(block, (24, 24)) if band in (0, 2, 3, 5) else -np.broadcast_to(block, (24, 24)).T
        np.testing.assert_allclose(image * 1e3, expected, atol=0.3)
    centres = 3 * np.arange(8) + 0.5  # of MS pixels, in 10 m pixels
    np.testing.assert_allclose(np.interp(centres, np.arange(24), pair.truth[0, 0]) * 1e3, pair.ms[0, 0] * 1e3, atol=0.2)


def test_pixels_on_the_lattice_are_taken_as_they_are(tmp_path: Path) -> None:
    path = write_pair_archive(tmp_path / "x.npz")
    (pair,) = open_pairs(path)
    with np.load(path) as archive:
        assert np.array_equal(pair.ms, archive["ms"][0] * np.float32(1e-4))
        np.testing.assert_allclose(pair.truth[:3], archive["x10"][0, :3, 4:76, 4:76] * 1e-4, atol=1e-7)
    assert (pair.id, pair.site, pair.date) == ("x", "x", "2019-07-01")
    assert pair.valid.all()


@pytest.mark.parametrize("word", [21824, 322])
def test_what_either_sensor_calls_cloud_is_not_valid(tmp_path: Path, word: int) -> None:
    qa = np.full((1, 24, 24), word, np.uint16)
    qa[0, 5, 7] = {21824: 22280, 322: 352}[word]  # cloud in Collection 2, and in Collection 1
    scl = np.full((1, 40, 40), 5, np.uint8)
    scl[0, 20, 10] = 9
    pair = PairArchive(write_pair_archive(tmp_path / "x.npz", l8_qa=qa, scl=scl))[0]
    expected = np.ones((72, 72), bool)
    expected[15:18, 21:24] = False
    expected[36:38, 16:18] = False  # 400 m below and 200 m right of the edges; the block grid begins at 40 m
    assert np.array_equal(pair.valid, np.broadcast_to(expected, pair.valid.shape))
    assert np.isfinite(pair.ms).all()


def test_fill_is_nan_and_what_lies_beyond_sentinel2_is_not_valid(tmp_path: Path) -> None:
    path = write_pair_archive(tmp_path / "x.npz")
    with np.load(path) as archive:
        x10, x20, qa = archive["x10"][:, :, :40], archive["x20"].copy(), archive["l8_qa"].copy()
    qa[0, 0, 0] = 1
    x20[0, 1, 10, 10] = -32768
    pair = PairArchive(write_pair_archive(tmp_path / "y.npz", x10=x10, x20=x20, l8_qa=qa))[0]
    assert np.isnan(pair.ms[:, 0, 0]).all()
    assert np.isfinite(pair.ms).sum() == 6 * (24 * 24 - 1)
    assert not pair.valid[:, :3, :3].any()
    assert not pair.valid[:, 36:].any()
    assert not pair.valid[:, 16, 16].any()
    assert pair.valid[:, 30, 30].all()
    assert np.isfinite(pair.truth).all()


def test_a_classification_that_may_lie_in_two_ways_hides_in_both(tmp_path: Path) -> None:
    scl = np.full((1, 41, 40), 5, np.uint8)
    scl[0, 20, 10] = 8
    pair = PairArchive(write_pair_archive(tmp_path / "x.npz", scl=scl))[0]
    rows, columns = (np.flatnonzero(~pair.valid[0].all(axis)).tolist() for axis in (1, 0))
    assert (rows, columns) == ([34, 35, 36, 37], [16, 17])


def test_pan_and_several_dates(tmp_path: Path) -> None:
    one = write_pair_archive(tmp_path / "one.npz")
    with np.load(one) as archive:
        twice = {name: np.concatenate([archive[name]] * 2) for name in ("ms", "x10", "x20", "l8_qa", "scl")}
        meta = json.loads(str(archive["meta"])) | {
            "dates": [["2019-07-01", "2019-07-02"], ["2020-01-05", "2020-01-05"]]
        }
    pan = np.arange(2 * 48 * 48, dtype=np.int16).reshape(2, 48, 48)
    pairs = PairArchive(write_pair_archive(tmp_path / "two.npz", **twice, pan=pan, meta=json.dumps(meta)))
    assert [(pair.id, pair.date) for pair in pairs] == [("two_000", "2019-07-01"), ("two_001", "2020-01-05")]
    assert np.array_equal(pairs[1].pan, pan[1] * np.float32(1e-4))
    assert PairArchive(one)[0].pan is None
    assert (pairs.unmasked, PairArchive(write_pair_archive(one, scl=None)).unmasked) == ([], ["scl"])


def text(path: Path) -> Path:
    path.write_text("no archive")
    return path


def meta_of(path: Path, **changes: object) -> Path:
    with np.load(write_pair_archive(path)) as archive:
        meta = json.loads(str(archive["meta"])) | changes
    return write_pair_archive(path, meta=json.dumps(meta))


BAD: dict[str, tuple[Any, str]] = {
    "no file": (lambda p: p, "no such file"),
    "no archive": (text, "not an .npz archive"),
    "no ms": (lambda p: write_pair_archive(p, ms=None), "no ms in it"),
    "neither": (lambda p: write_pair_archive(p, x20=None, meta=None), "no x20, meta in it"),
    "objects": (lambda p: write_pair_archive(p, ms=np.array([{}], object)), "cannot be read"),
    "reflectance": (
        lambda p: write_pair_archive(p, ms=np.ones((1, 6, 24, 24))),
        "ms is float64; it must hold integers",
    ),
    "bands": (
        lambda p: write_pair_archive(p, x10=np.ones((1, 3, 80, 80), int)),
        "it must be (dates, 4, rows, columns)",
    ),
    "axes": (lambda p: write_pair_archive(p, x20=np.ones((3, 40, 40), int)), "x20 has shape (3, 40, 40)"),
    "dates": (lambda p: write_pair_archive(p, x20=np.ones((2, 3, 40, 40), int)), "x20 has shape (2, 3, 40, 40)"),
    "mask": (lambda p: write_pair_archive(p, l8_qa=np.ones((1, 20, 24), int)), "it must be (1, 24, 24)"),
    "scl": (lambda p: write_pair_archive(p, scl=np.ones((1, 80, 80), int)), "it must be (1, 40, 40)"),
    "pan": (lambda p: write_pair_archive(p, pan=np.ones((1, 72, 72), int)), "it must be (1, 48, 48)"),
    "no JSON": (lambda p: write_pair_archive(p, meta="{"), "cannot be read"),
    "a list": (lambda p: write_pair_archive(p, meta="[]"), "meta is not a JSON object"),
    "no edge": (lambda p: meta_of(p, x20_edge=None), "no x20_edge as [x, y] in metres"),
    "nowhere": (lambda p: meta_of(p, ms_centre_00=[1, float("nan")]), "no ms_centre_00 as [x, y]"),
    "one day": (lambda p: meta_of(p, dates=["2019-07-01"]), "dates in its meta must be 1 pairs of times"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_pair_archive_is_said_in_one_line(name: str, tmp_path: Path) -> None:
    make, words = BAD[name]
    with pytest.raises(InputError, match=r"^[^\n]*$") as caught:
        PairArchive(make(tmp_path / "x.npz"))
    assert words in str(caught.value)


def test_an_archive_has_no_sides(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pair archive has no sides"):
        open_pairs(write_pair_archive(tmp_path / "x.npz"), "Test")
