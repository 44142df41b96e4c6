import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from l8s2.simulate.product_folder import quality, write_product
from l8s2.simulate.sensor import Conditions, Observation

ID = "LC09_L2SP_192025_20230520_20230530_02_T1"
PAN_ID = ID.replace("L2SP", "L1TP")
GRID = GeoBox((5, 7), Affine(30, 0, 449_985, 0, -30, 5_660_025), "EPSG:32633")
SUN = 52.5


@pytest.fixture
def observation() -> Observation:
    rng = np.random.default_rng(0)
    ms = rng.uniform(-0.05, 0.9, (6, 5, 7)).astype(np.float32)
    ms[:, 0, 0] = np.nan
    return Observation(ms=ms, pan=rng.uniform(0, 0.6, (10, 14)).astype(np.float32), conditions=Conditions())


def write(folder: Path, observation: Observation, **changes: object) -> Path:
    options = {"geobox": GRID, "product_id": ID, "sun_elevation": SUN, "qa_pixel": None} | changes
    return write_product(folder, observation, **options)


def test_surface_reflectance_survives_the_round_trip(tmp_path, observation):
    folder = write(tmp_path, observation)
    assert folder == tmp_path / ID
    for number, expected in zip(range(2, 8), observation.ms, strict=True):
        with rasterio.open(folder / f"{ID}_SR_B{number}.TIF") as dataset:
            assert dataset.dtypes == ("uint16",)
            assert dataset.nodata == 0
            assert dataset.crs.to_epsg() == 32633
            assert dataset.transform == GRID.affine
            dn = dataset.read(1)
        assert dn[0, 0] == 0
        assert (dn.ravel()[1:] > 0).all()
        np.testing.assert_allclose((dn * 0.0000275 - 0.2).ravel()[1:], expected.ravel()[1:], atol=0.0000138)


def test_pan_is_a_full_level_1_band(tmp_path, observation):
    """2N - 1 samples, the first centred on the first MS pixel, DN without sun angle correction."""
    write(tmp_path, observation)
    with rasterio.open(tmp_path / PAN_ID / f"{PAN_ID}_B8.TIF") as dataset:
        assert dataset.shape == (9, 13)
        assert dataset.transform == Affine(15, 0, 450_000 - 7.5, 0, -15, 5_660_010 + 7.5)
        reflectance = (dataset.read(1) * 2.0e-5 - 0.1) / np.sin(np.radians(SUN))
    np.testing.assert_allclose(reflectance, observation.pan[:9, :13], atol=1.3e-5)


def test_the_south_has_negative_northings_in_the_northern_zone(tmp_path, observation):
    grid = GeoBox((5, 7), Affine(30, 0, 449_985, 0, -30, 7_000_005), "EPSG:32733")
    folder = write(tmp_path, observation, geobox=grid)
    with rasterio.open(folder / f"{ID}_SR_B2.TIF") as dataset:
        assert dataset.crs.to_epsg() == 32633
        assert dataset.transform.f == -2_999_995


def test_quality_files_are_written_as_given(tmp_path, observation):
    qa = np.full((5, 7), 21824, np.uint16)
    qa[0, 0] = 1
    saturation = np.zeros((5, 7), np.uint16)
    saturation[2, 3] = 16
    folder = write(tmp_path, observation, qa_pixel=qa, qa_radsat=saturation)
    for name, expected in (("QA_PIXEL", qa), ("QA_RADSAT", saturation)):
        with rasterio.open(folder / f"{ID}_{name}.TIF") as dataset:
            np.testing.assert_array_equal(dataset.read(1), expected)


def test_what_is_not_asked_for_is_not_there(tmp_path, observation):
    folder = write(tmp_path, observation, with_pan=False, mtl=None)
    assert [path.name for path in sorted(tmp_path.rglob("*.*"))] == [f"{ID}_SR_B{n}.TIF" for n in range(2, 8)]
    assert list(tmp_path.iterdir()) == [folder]


def test_quality_flags_have_the_values_of_real_products():
    names = ("fill", "cloud", "dilated_cloud", "shadow", "water")
    masks = {name: np.zeros((1, 6), bool) for name in names}
    for column, name in enumerate(names):
        masks[name][0, column] = True
    assert quality(**masks).tolist() == [[1, 22280, 21762, 23888, 21952, 21824]]


def groups_of(path: Path) -> dict[str, dict[str, str]]:
    if path.suffix == ".json":
        return json.loads(path.read_text())["LANDSAT_METADATA_FILE"]
    if path.suffix == ".xml":
        root = ElementTree.parse(path).getroot()
        assert root.tag == "LANDSAT_METADATA_FILE"
        return {group.tag: {entry.tag: entry.text or "" for entry in group} for group in root}
    found: dict[str, dict[str, str]] = {}
    for line in path.read_text().splitlines():
        key, _, value = line.strip().partition(" = ")
        if key == "GROUP":
            found[value] = {}
        elif key not in ("END_GROUP", "END"):
            assert re.fullmatch(r'"[^"]+"|[-0-9.:eETZ+]+', value), line
            found[list(found)[-1]][key] = value.strip('"')
    del found["LANDSAT_METADATA_FILE"]
    return found


@pytest.mark.parametrize("form", ["txt", "json", "xml"])
def test_metadata_says_what_the_files_are(tmp_path, observation, form):
    folder = write(tmp_path, observation, mtl=form)
    level2 = groups_of(folder / f"{ID}_MTL.{form}")
    level1 = groups_of(tmp_path / PAN_ID / f"{PAN_ID}_MTL.{form}")

    assert level2["PRODUCT_CONTENTS"]["LANDSAT_PRODUCT_ID"] == ID
    assert level2["PRODUCT_CONTENTS"]["PROCESSING_LEVEL"] == "L2SP"
    assert level2["PRODUCT_CONTENTS"]["COLLECTION_NUMBER"] == "02"
    assert "imulated" in level2["PRODUCT_CONTENTS"]["ORIGIN"]
    assert level2["LEVEL1_PROCESSING_RECORD"]["LANDSAT_PRODUCT_ID"] == PAN_ID
    assert float(level2["LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"]["REFLECTANCE_MULT_BAND_5"]) == 0.0000275
    assert float(level2["LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"]["REFLECTANCE_ADD_BAND_5"]) == -0.2
    assert "PANCHROMATIC_LINES" not in level2["PROJECTION_ATTRIBUTES"]

    assert level1["PRODUCT_CONTENTS"]["LANDSAT_PRODUCT_ID"] == PAN_ID
    assert float(level1["LEVEL1_RADIOMETRIC_RESCALING"]["REFLECTANCE_MULT_BAND_8"]) == 2.0e-5
    assert float(level1["LEVEL1_RADIOMETRIC_RESCALING"]["REFLECTANCE_ADD_BAND_8"]) == -0.1
    image = level1["IMAGE_ATTRIBUTES"]
    assert (image["SPACECRAFT_ID"], image["SENSOR_ID"]) == ("LANDSAT_9", "OLI_TIRS")
    assert (image["WRS_PATH"], image["WRS_ROW"], image["DATE_ACQUIRED"]) == ("192", "25", "2023-05-20")
    assert image["SCENE_CENTER_TIME"].endswith("Z")
    assert float(image["SUN_ELEVATION"]) == SUN
    projection = level1["PROJECTION_ATTRIBUTES"]
    assert (projection["PANCHROMATIC_LINES"], projection["PANCHROMATIC_SAMPLES"]) == ("9", "13")
    assert (projection["REFLECTIVE_LINES"], projection["REFLECTIVE_SAMPLES"]) == ("5", "7")
    corners = {c: [float(projection[f"CORNER_{c}_PROJECTION_{a}_PRODUCT"]) for a in "XY"] for c in ("UL", "LR")}
    assert corners == {"UL": [450_000, 5_660_010], "LR": [450_180, 5_659_890]}


def test_a_grid_of_another_size_is_refused(tmp_path, observation):
    with pytest.raises(ValueError, match=r"geobox is \(6, 7\)"):
        write(tmp_path, observation, geobox=GeoBox((6, 7), GRID.affine, GRID.crs))
