"""Means of fields against numeric oracles, their standard errors against Monte-Carlo."""

from __future__ import annotations

import csv
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

pytest.importorskip("zarr")
pytest.importorskip("exactextract")
import shapely
from click.testing import CliRunner
from pyproj import Transformer

from l8s2 import grid
from l8s2.cli import main
from l8s2.cube.extract import extract
from l8s2.cube.fields import read_fields
from l8s2.cube.statistics import INDICES, Mean, field_mean, index_of, native_blocks
from l8s2.errors import InputError
from l8s2.radiometry import LEVEL_ABSOLUTE, LEVEL_RELATIVE
from l8s2.sensors import BAND_NAMES
from making.cubes import BOX, SHAPE, both_sensors, ramp
from making.patches import box_at

A = BOX.affine
Points = list[tuple[float, float]]


def in_degrees(points: Points) -> list[list[float]]:
    """Columns and rows of BOX as longitudes and latitudes."""
    to = Transformer.from_crs(str(BOX.crs), "EPSG:4326", always_xy=True)
    return [list(to.transform(*(A * point))) for point in points]


def polygon(name: str, points: Points) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": [in_degrees([*points, points[0]])]}
    return {"type": "Feature", "id": name, "properties": {"crop": "wheat"}, "geometry": geometry}


def saved(path: Path, *features: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Landsat with a cloud on columns 30 and more, and Sentinel-2 a day later."""
    return both_sensors(tmp_path_factory.mktemp("cube"))


SLANTED: Points = [(12.3, 11.2), (27.8, 14.1), (24.4, 30.9), (10.1, 25.5)]


def oracle(points: Points, fine: int = 40) -> NDArray[np.float64]:
    """Share of each pixel of BOX inside a polygon, by counting fine x fine points in it."""
    at = (np.arange(max(SHAPE) * fine) + 0.5) / fine
    inside = shapely.contains_xy(shapely.Polygon(points), *np.meshgrid(at[: SHAPE[1] * fine], at[: SHAPE[0] * fine]))
    result: NDArray[np.float64] = inside.reshape(SHAPE[0], fine, SHAPE[1], fine).mean((1, 3))
    return result


def test_weights_are_the_covered_shares(tmp_path: Path) -> None:
    (field,) = read_fields(saved(tmp_path / "f.geojson", polygon("a", SLANTED)), "polygons", BOX)
    weights = np.zeros(SHAPE)
    weights[field.rows, field.columns] = field.weights
    np.testing.assert_allclose(weights, oracle(SLANTED), atol=0.02)
    assert field.size == pytest.approx(shapely.Polygon(SLANTED).area, rel=1e-4)
    half: Points = [(10.5, 10), (20, 10), (20, 20), (10.5, 20)]
    (field,) = read_fields(saved(tmp_path / "h.geojson", polygon("h", half)), "polygons", BOX)
    np.testing.assert_allclose(field.weights[(field.columns == 10) & (field.weights > 1e-4)], 0.5, atol=1e-3)


def test_means_and_clear_fractions(cube: Path, tmp_path: Path) -> None:
    over_cloud: Points = [(25, 10), (35, 10), (35, 20), (25, 20)]
    fields = saved(tmp_path / "f.geojson", polygon("slanted", SLANTED), polygon("cloudy", over_cloud))
    assert extract(cube, fields, "polygons", tmp_path / "o.csv", indices=["ndvi"]) == 2 * 2 * 7
    rows = {(row["id"], row["sensor"], row["band"]): row for row in table(tmp_path / "o.csv")}
    weights = oracle(SLANTED)
    for b, name in enumerate(BAND_NAMES):
        wanted = (weights * ramp()[b]).sum() / weights.sum()
        found = rows["slanted", "oli", name]
        assert float(found["mean"]) == pytest.approx(wanted, abs=1e-5)
        assert float(found["clear_fraction"]) == pytest.approx(1, abs=1e-4)
        level = np.hypot(LEVEL_ABSOLUTE[b], LEVEL_RELATIVE[b] * wanted)
        assert float(found["sigma_level"]) == pytest.approx(level, rel=1e-4)
        assert float(found["sigma_detail"]) == pytest.approx(0.01 / np.sqrt(float(found["n_eff"])), rel=0.02)
        assert float(found["sigma"]) == pytest.approx(np.hypot(float(found["sigma_detail"]), level), rel=1e-4)
        assert float(rows["slanted", "msi", name]["mean"]) == pytest.approx(wanted, abs=1e-4)
        assert rows["slanted", "msi", name]["sigma"] == ""
        cloudy = rows["cloudy", "oli", name]
        assert float(cloudy["clear_fraction"]) == pytest.approx(0.5, abs=1e-3)
        assert float(cloudy["mean"]) == pytest.approx(ramp()[b, 10:20, 25:30].mean(), abs=1e-5)
    red, nir = (float(rows["slanted", "oli", name]["mean"]) for name in ("red", "nir08"))
    assert float(rows["slanted", "oli", "ndvi"]["mean"]) == pytest.approx((nir - red) / (nir + red), abs=1e-4)
    assert rows["slanted", "oli", "red"]["time"] == "2023-05-20T10:02:03Z"


def test_under_cloud_nothing_is_known(cube: Path, tmp_path: Path) -> None:
    fields = saved(tmp_path / "f.geojson", polygon("a", [(32, 10), (36, 10), (36, 14), (32, 14)]))
    extract(cube, fields, "polygons", tmp_path / "o.csv", indices=["nbr"])
    found = [row for row in table(tmp_path / "o.csv") if row["sensor"] == "oli"]
    assert {(row["mean"], row["sigma"], row["n_eff"], row["clear_fraction"]) for row in found} == {("", "", "0", "0")}


def test_a_point_is_the_pixel_it_lies_in(cube: Path, tmp_path: Path) -> None:
    at = [(12.01, 15.99), (12.99, 15.01), (200.0, 3.0)]
    features = [
        {"type": "Feature", "properties": {"plot": f"p{i}"}, "geometry": {"type": "Point", "coordinates": place}}
        for i, place in enumerate(in_degrees(at))
    ]  # fmt: skip
    said: list[str] = []
    fields = saved(tmp_path / "p.geojson", *features)
    extract(cube, fields, "points", tmp_path / "o.csv", id_property="plot", warn=said.append)
    assert said == ["p2: lies outside the cube; left out"]
    for name in ("p0", "p1"):
        (row,) = [r for r in table(tmp_path / "o.csv") if (r["id"], r["sensor"], r["band"]) == (name, "oli", "green")]
        assert float(row["mean"]) == pytest.approx(ramp()[1, 15, 12], abs=1e-6)
        assert row["n_eff"] == "1"


@given(st.integers(-100, 100), st.integers(1, 9), st.integers(0, 11), st.integers(0, 11))
def test_blocks_are_those_of_landsat(row: int, column: int, top: int, left: int) -> None:
    box = grid.output_geobox(box_at(row, 16000 + column, 8))[top:, left:]
    rows, columns = (x.ravel() for x in np.mgrid[: box.shape[0], : box.shape[1]])
    wanted = (rows + top) // 3 * 8 + (columns + left) // 3
    np.testing.assert_array_equal(
        native_blocks(rows, columns, box, 30), np.unique(wanted, return_inverse=True)[1].reshape(-1)
    )
    assert native_blocks(rows, columns, box, 10).max() == len(rows) - 1


def drawn_field() -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
    weights = oracle(SLANTED)
    rows, columns = np.nonzero(weights)
    detail = (0.005 + 0.01 * (rows % 5) / 5).astype(np.float32)
    return native_blocks(rows, columns, BOX, 30), weights[rows, columns], ramp()[3][rows, columns], detail


def test_sigma_of_a_mean_is_that_of_drawn_errors() -> None:
    """Errors go together under a Landsat pixel, are free of each other beyond, and share one level."""
    blocks, weights, truth, detail = drawn_field()
    level, rng, everywhere = np.array([0.007, 0.05]), np.random.default_rng(0), np.ones(len(truth), bool)
    found = field_mean(truth, detail, weights, everywhere, blocks, level)
    draws = 20_000
    errors = rng.standard_normal((draws, blocks.max() + 1)).astype(np.float32)[:, blocks] * detail
    means = errors @ (weights / weights.sum())
    assert found.detail == pytest.approx(means.std(), rel=0.03)
    level_error = level[0] * rng.standard_normal(draws) + level[1] * rng.standard_normal(draws) * found.mean
    assert found.sigma == pytest.approx((means + level_error).std(), rel=0.03)
    alike = field_mean(truth, np.full_like(detail, 0.01), weights, everywhere, blocks, level)
    assert alike.detail == pytest.approx(0.01 / np.sqrt(alike.n_eff), rel=1e-5)


def test_whole_blocks_count_as_one_each() -> None:
    rows, columns = (x.ravel() for x in np.mgrid[0:12, 0:12])
    blocks, ones = native_blocks(rows, columns, BOX, 30), np.ones(144)
    assert field_mean(ones, ones, ones, ones > 0, blocks, np.zeros(2)).n_eff == pytest.approx(144 / 9)


def test_the_mean_of_a_large_field_is_as_good_as_the_level() -> None:
    rows, columns = (x.ravel() for x in np.mgrid[0:300, 0:300])
    box, ones = GeoBox((300, 300), A, BOX.crs), np.ones(90_000)
    found = field_mean(
        0.2 * ones, 0.01 * ones, ones, ones > 0, native_blocks(rows, columns, box, 30), np.array([0, 0.05])
    )
    assert found.detail == pytest.approx(1e-4)
    assert found.sigma == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("name", ["ndvi", "ndwi", "nbr"])
def test_sigma_of_an_index_is_that_of_drawn_errors(name: str) -> None:
    rng = np.random.default_rng(1)
    means = np.array([0.05, 0.08, 0.06, 0.3, 0.2, 0.12])
    sigma = 0.01 * means + 0.001

    def index(values: NDArray[np.float64]) -> NDArray[np.float64]:
        zero = np.zeros_like(values)
        draws = [Mean(np.asarray(v), zero[0], zero[0], zero[0]) for v in values]
        return np.asarray(index_of(name, draws).mean)

    bands = [Mean(*map(np.float64, (m, 9, s, 0))) for m, s in zip(means, sigma, strict=True)]  # type: ignore[arg-type]
    drawn = np.array([index(means + sigma * rng.standard_normal(6)) for _ in range(4000)])
    assert index_of(name, bands).detail == pytest.approx(drawn.std(), rel=0.05)


def test_the_command_offers_every_index() -> None:
    (option,) = [o for o in main.commands["extract"].params if o.name == "indices"]
    assert set(option.type.choices) == set(INDICES)  # type: ignore[attr-defined]


def test_parquet_holds_the_same(cube: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet")
    fields = saved(tmp_path / "f.geojson", polygon("a", SLANTED))
    for ending in ("csv", "parquet"):
        extract(cube, fields, "polygons", tmp_path / f"o.{ending}")
    rows = pyarrow.read_table(tmp_path / "o.parquet").to_pylist()
    plain = table(tmp_path / "o.csv")
    assert [row["band"] for row in rows] == [row["band"] for row in plain]
    np.testing.assert_allclose([r["mean"] for r in rows], [float(r["mean"]) for r in plain], rtol=1e-5)
    assert rows[-1]["sigma"] is None


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"geometry": {"type": "Point", "coordinates": [15, 52]}}, "is Point, not one of Polygon"),
        ({"geometry": None}, "is None"),
        ({"geometry": {"type": "Polygon", "coordinates": [in_degrees([(1, 1), (9, 9), (9, 1), (1, 9), (1, 1)])]}},
         "crosses itself"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[5e5, 5e6], [5e5, 6e6], [6e5, 6e6], [5e5, 5e6]]]}},
         "not in degrees"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[5, 5], [5, 6], [6, 6], [5, 5]]]}}, "touches the cube"),
        ({"id": "same"}, "occurs twice"),
    ],
)  # fmt: skip
def test_fields_that_cannot_be_used_are_said_in_one_line(
    cube: Path, tmp_path: Path, change: dict[str, Any], match: str
) -> None:
    features = [polygon("a", SLANTED) | change]
    if change == {"id": "same"}:
        features *= 2
    fields = saved(tmp_path / "f.geojson", *features)
    with pytest.raises(InputError, match=match) as error:
        extract(cube, fields, "polygons", tmp_path / "o.csv")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "o.csv").exists()


def test_three_real_dates(data: Path, tmp_path: Path) -> None:
    """A town and its fields in India, through the command line, two windows of 0.8 km."""
    from l8s2.pipeline.to_product import harmonize_product

    folder = data / "scenes" if (data / "scenes").is_dir() else data
    scenes = sorted(folder.glob("LC08_L2SP_143054_2023*"))
    if len(scenes) < 3:
        pytest.skip("no three dates of 143054 there")
    for scene in scenes:
        harmonize_product(scene, tmp_path / "p", bbox=(78.102, 8.815, 78.110, 8.823), threads=1)
    field = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [
        [[78.104, 8.817], [78.107, 8.8175], [78.1065, 8.82], [78.104, 8.8195], [78.104, 8.817]]]}}  # fmt: skip
    saved(tmp_path / "f.geojson", field)
    ran = CliRunner().invoke(main, ["cube", str(tmp_path / "p"), "-o", str(tmp_path / "c.zarr"), "--json"])
    assert ran.exit_code == 0, ran.output
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ran = CliRunner().invoke(main, ["extract", str(tmp_path / "c.zarr"), "--polygons", str(tmp_path / "f.geojson"),
                                        "-o", str(tmp_path / "o.csv"), "--index", "ndvi"])  # fmt: skip
    assert ran.exit_code == 0, ran.output
    rows = [row for row in table(tmp_path / "o.csv") if row["band"] == "ndvi"]
    assert [row["time"][:10] for row in rows] == ["2023-02-13", "2023-04-18", "2023-05-20"]
    for row in rows:
        if float(row["clear_fraction"]) > 0.5:
            assert 0.05 < float(row["mean"]) < 0.9
            assert 0 < float(row["sigma_detail"]) < float(row["sigma_level"]) < 0.1


def test_what_programs_write_around_features_is_read(tmp_path: Path) -> None:
    """A byte order mark, ``crs`` null, ids null."""
    features = [polygon("a", SLANTED) | {"id": None}, polygon("b", SLANTED) | {"id": None, "properties": {"id": 7}}]
    content = json.dumps({"type": "FeatureCollection", "crs": None, "features": features})
    (tmp_path / "f.geojson").write_text(content, encoding="utf-8-sig")
    assert [field.id for field in read_fields(tmp_path / "f.geojson", "polygons", BOX)] == ["1", "7"]
    saved(tmp_path / "f.geojson", polygon("a", SLANTED) | {"properties": [1]})
    with pytest.raises(InputError, match="properties that are no object"):
        read_fields(tmp_path / "f.geojson", "polygons", BOX)
