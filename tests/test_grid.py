import math

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo import CRS
from odc.geo.geobox import GeoBox

from l8s2.errors import InputError
from l8s2.grid import (
    FALSE_NORTHING,
    epsg,
    is_utm,
    landsat_convention,
    lattice_misfit,
    mgrs_tile,
    mgrs_tile_of,
    mgrs_tiles,
    ms_centres_at_10m,
    ms_centres_at_15m,
    output_centres_at_30m,
    output_geobox,
    pan_centres_at_10m,
    pan_geobox,
    pan_offset,
    sentinel2_convention,
    snap,
)

ZONES = st.integers(1, 60)
SIDES = st.integers(1, 40)
COLUMN, ROW = st.integers(6_000, 27_000), st.integers(-300_000, 310_000)  # MS pixels from the zone's origin


def box(zone: int, x: float, y: float, rows: int, columns: int, gsd: float = 30) -> GeoBox:
    """A grid in Landsat's naming whose pixel (0, 0) is centred on (x, y)."""
    return GeoBox((rows, columns), Affine(gsd, 0, x - gsd / 2, 0, -gsd, y + gsd / 2), f"EPSG:{32600 + zone}")


@st.composite
def native(draw: st.DrawFn) -> GeoBox:
    return box(draw(ZONES), 30 * draw(COLUMN), 30 * draw(ROW), draw(SIDES), draw(SIDES))


def centre(geobox: GeoBox, row: float, column: float) -> tuple[float, float]:
    x, y = geobox.affine * (column + 0.5, row + 0.5)
    return x, y


@given(native())
def test_every_ms_pixel_owns_the_same_block(ms: GeoBox) -> None:
    out = output_geobox(ms)
    assert out.shape == (3 * ms.shape[0], 3 * ms.shape[1])
    named_alike = landsat_convention(out)
    for r, c in {(0, 0), (ms.shape[0] - 1, ms.shape[1] - 1), (ms.shape[0] // 2, ms.shape[1] // 3)}:
        x, y = centre(ms, r, c)
        for i, j in np.ndindex(3, 3):
            expected = x + (-5, 5, 15)[j], y - (-5, 5, 15)[i]
            assert centre(named_alike, 3 * r + i, 3 * c + j) == expected


@given(native())
def test_output_lies_on_sentinel_2s_lattice(ms: GeoBox) -> None:
    a = output_geobox(ms).affine
    assert (a.a, a.b, a.d, a.e) == (10, 0, 0, -10)
    assert (a.c % 10, a.f % 10) == (0, 0)


@given(native())
def test_output_is_named_as_sentinel_2_does(ms: GeoBox) -> None:
    out = output_geobox(ms)
    zone = epsg(ms.crs) - 32600
    south = centre(ms, (ms.shape[0] - 1) / 2, 0)[1] - 5 < 0
    assert epsg(out.crs) == (32700 if south else 32600) + zone
    assert epsg(landsat_convention(out).crs) == 32600 + zone


@given(native())
def test_the_two_names_of_a_pixel(ms: GeoBox) -> None:
    renamed = sentinel2_convention(ms)
    assert landsat_convention(renamed) == ms
    assert sentinel2_convention(renamed) == renamed
    assert landsat_convention(ms) == ms
    moved = renamed.affine.f - ms.affine.f
    assert moved == (FALSE_NORTHING if is_utm(renamed.crs) and epsg(renamed.crs) > 32700 else 0)


def test_names_are_the_same_place_on_earth() -> None:
    north = box(23, 600_000, -2_220_000, 10, 10)
    south = sentinel2_convention(north)
    a, b = (g.geographic_extent.boundingbox for g in (north, south))
    np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.parametrize("code", ["EPSG:4326", "EPSG:3031", "EPSG:3857", "EPSG:26917"])
def test_other_crs_keep_their_name(code: str) -> None:
    other = GeoBox((4, 4), Affine(30, 0, -600, 0, -30, -600), code)
    assert not is_utm(other.crs)
    assert sentinel2_convention(other) == other
    assert landsat_convention(other) == other


def test_no_crs_has_no_code() -> None:
    assert epsg(None) == 0
    assert not is_utm(None)


@pytest.mark.parametrize("gsd", [15, 30])
@given(native(), st.integers(-14, 15), st.integers(-14, 15))
def test_misfit_is_the_distance_to_the_nearest_centre(gsd: int, ms: GeoBox, right: int, up: int) -> None:
    x, y = centre(ms, 0, 0)
    moved = box(epsg(ms.crs) - 32600, x + right, y + up, 3, 3, gsd)
    expected = max(min(v % gsd, -v % gsd) for v in (right, up)) / gsd
    assert lattice_misfit(moved, gsd) == pytest.approx(expected, abs=1e-9)
    assert lattice_misfit(sentinel2_convention(moved), gsd) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "transform",
    [
        Affine(29.9, 0, 0, 0, -29.9, 0),
        Affine(30, 0, 0, 0, 30, 0),
        Affine(30, 0.1, 0, 0, -30, 0),
        Affine(10, 0, 0, 0, -10, 0),
    ],
)
def test_another_pixel_is_not_on_the_lattice(transform: Affine) -> None:
    assert math.isinf(lattice_misfit(GeoBox((4, 4), transform, "EPSG:32633")))


@given(native(), st.integers(-50, 50), st.integers(-50, 50), st.booleans(), st.booleans())
def test_pan_offset_finds_the_shared_centre(
    ms: GeoBox, rows: int, columns: int, rename_ms: bool, rename_pan: bool
) -> None:
    x, y = centre(ms, 0, 0)
    pan = box(epsg(ms.crs) - 32600, x - 15 * columns, y + 15 * rows, 120, 130, 15)
    pair = (sentinel2_convention(g) if rename else g for g, rename in ((ms, rename_ms), (pan, rename_pan)))
    assert pan_offset(*pair) == (rows, columns)
    assert centre(pan, rows, columns) == (x, y)


@given(native())
def test_pan_grid_of_an_ms_grid(ms: GeoBox) -> None:
    pan = pan_geobox(ms)
    assert pan.shape == (2 * ms.shape[0], 2 * ms.shape[1])
    assert lattice_misfit(pan, 15) == 0
    assert pan_offset(ms, pan) == (0, 0)
    r, c = ms.shape[0] - 1, ms.shape[1] - 1
    assert centre(pan, 2 * r, 2 * c) == centre(ms, r, c)


def test_a_full_pan_band_has_edges_7_5_m_inside() -> None:
    ms = box(43, 699_900, 1_075_500, 7711, 7561)
    pan = pan_geobox(ms)[:15421, :15121]
    assert (pan.affine.c - ms.affine.c, ms.affine.f - pan.affine.f) == (7.5, 7.5)
    assert centre(pan, 15420, 15120) == centre(ms, 7710, 7560)


def test_pan_of_another_zone_is_refused() -> None:
    with pytest.raises(InputError, match="one UTM zone"):
        pan_offset(box(32, 300_000, 5_000_010, 4, 4), box(33, 300_000, 5_000_010, 4, 4, 15))


@given(native())
def test_snap_leaves_the_lattice_alone(ms: GeoBox) -> None:
    assert snap(ms) == ms
    assert snap(sentinel2_convention(ms)) == ms
    pan = pan_geobox(ms)
    assert snap(pan, 15) == pan


@given(
    ZONES,
    st.integers(180_000, 800_000),
    st.integers(-8_000_000, 8_000_000),
    SIDES,
    SIDES,
    st.sampled_from([10, 30, 37.5]),
)
def test_snap_covers_the_box_with_the_lattice(zone: int, x: int, y: int, rows: int, columns: int, gsd: float) -> None:
    given_box = box(zone, x, y, rows, columns, gsd)
    found = snap(given_box)
    assert lattice_misfit(found) == 0
    assert found.crs == given_box.crs
    for r, c in ((0, 0), (rows - 1, columns - 1)):
        column, row = ~found.affine * centre(given_box, r, c)
        assert 0 <= row <= found.shape[0]
        assert 0 <= column <= found.shape[1]
    a, b = found.boundingbox, given_box.boundingbox
    assert max(b.left - a.left, a.top - b.top, a.right - b.right, b.bottom - a.bottom) < 30


@settings(max_examples=25, deadline=None)
@given(st.floats(-179, 179), st.floats(-75, 75), st.sampled_from(["EPSG:4326", "EPSG:3857"]))
def test_snap_takes_other_crs_to_utm(longitude: float, latitude: float, code: str) -> None:
    degrees = GeoBox.from_bbox((longitude - 0.02, latitude - 0.02, longitude + 0.02, latitude + 0.02), shape=(50, 50))
    given_box = degrees if code == "EPSG:4326" else degrees.to_crs(code)
    found = snap(given_box)
    assert lattice_misfit(found) == 0
    assert 32601 <= epsg(found.crs) <= 32660
    middle = given_box.extent.centroid.to_crs(found.crs).coords[0]
    column, row = ~found.affine * middle
    assert row == pytest.approx(found.shape[0] / 2, abs=2)
    assert column == pytest.approx(found.shape[1] / 2, abs=2)


def test_snap_keeps_polar_stereographic() -> None:
    found = snap(GeoBox((20, 20), Affine(30, 0, 100_003, 0, -30, -200_004), "EPSG:3031"))
    assert found.crs == CRS("EPSG:3031")
    assert [v % 30 for v in centre(found, 0, 0)] == [0, 0]


def test_snap_needs_a_crs() -> None:
    with pytest.raises(InputError, match="coordinate reference system"):
        snap(GeoBox((4, 4), Affine(30, 0, 0, 0, -30, 0), None))


TILES = [  # upper left corners as Sentinel-2 products state them
    ("31TCJ", 32631, 300_000, 4_900_020),
    ("32TPS", 32632, 600_000, 5_200_020),
    ("33UUP", 32633, 300_000, 5_400_000),
    ("43PHQ", 32643, 799_980, 1_500_000),
    ("29TNG", 32629, 499_980, 4_700_040),
    ("35HKC", 32735, 199_980, 6_300_040),
    ("53JNM", 32753, 499_980, 7_200_040),
]


@pytest.mark.parametrize(
    "name", ["44PJQ", "43PHQ", "33UVS", "05WPM", "32VKM", "01CDP", "60KXF", "23KNV", "31NAA", "33XWJ"]
)
def test_a_tile_is_known_by_its_grid(name: str) -> None:
    tile = mgrs_tile(name)
    assert mgrs_tile_of(tile) == name
    assert mgrs_tile_of(tile[1:]) is None
    assert mgrs_tile_of(tile.zoom_out(2)) is None


@pytest.mark.parametrize(
    ("code", "centre", "expected"),
    [
        (32643, (839_190, 978_960), ["43PHK"]),
        (32643, (799_980, 978_960), ["43PGK", "43PHK"]),  # tiles overlap by 9.8 km
        (32632, (550_000, 4_595_000), ["32TNL", "32TNM"]),  # to the south as well
        (32632, (494_770, 4_550_000), ["32TML", "32TNL"]),  # and begin at whole multiples of 60 m
        (32722, (600_000, 7_800_000), ["22KEC", "22KED", "22KFC", "22KFD"]),
        (32622, (600_000, -2_200_000), ["22KEC", "22KED", "22KFC", "22KFD"]),  # as Landsat names it
        (3031, (0, 0), []),
    ],
)
def test_tiles_that_a_scene_touches(code: int, centre: tuple[int, int], expected: list[str]) -> None:
    box = GeoBox((531, 522), Affine(10, 0, centre[0], 0, -10, centre[1]), f"EPSG:{code}")
    assert mgrs_tiles(box) == expected
    for name in expected:
        assert mgrs_tile(name).extent.intersects(sentinel2_convention(box).extent)


@pytest.mark.parametrize(("name", "code", "left", "top"), TILES)
def test_mgrs_tiles_are_where_sentinel_2_has_them(name: str, code: int, left: int, top: int) -> None:
    for spelled in (name, f"T{name}", name.lower()):
        tile = mgrs_tile(spelled)
        assert tile == GeoBox((10980, 10980), Affine(10, 0, left, 0, -10, top), f"EPSG:{code}")


@pytest.mark.parametrize(
    "name", ["", "T", "31T", "31TC", "99TCJ", "31ICJ", "31TZZ", "paris", "31TCJ12", "31TCJ1234567890", "é"]
)
def test_what_is_no_tile_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="43PHQ"):
        mgrs_tile(name)


@given(native())
def test_centres_along_an_axis_follow_from_the_grids(ms: GeoBox) -> None:
    pan, out = pan_geobox(ms), landsat_convention(output_geobox(ms))
    rules = (
        (ms_centres_at_10m, ms, out),
        (ms_centres_at_15m, ms, pan),
        (pan_centres_at_10m, pan, out),
        (output_centres_at_30m, out, ms),
    )
    for rule, of, on in rules:
        for axis, n in enumerate(of.shape):
            metres = [centre(of, k, k)[1 - axis] for k in range(n)]
            points = (~on.affine * ((x, on.affine.f) if axis else (on.affine.c, x)) for x in metres)
            np.testing.assert_allclose(rule(n), [point[1 - axis] - 0.5 for point in points], atol=1e-6)
