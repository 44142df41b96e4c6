import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from l8s2.deliveries.product_name import ProductName
from l8s2.errors import InputError
from l8s2.landsat.band import Scaling
from l8s2.landsat.mtl import Metadata, parse_mtl
from l8s2.radiometry import DN_MAX, PLAUSIBLE, is_dn, to_reflectance, toa_reflectance
from l8s2.sensors import OLI

ID = "LC09_L2SP_192025_20230520_20230530_02_T1"
NAME = f"{ID}_MTL.txt"

Groups = dict[str, dict[str, str]]
GROUPS: Groups = {
    "PRODUCT_CONTENTS": {"LANDSAT_PRODUCT_ID": ID, "PROCESSING_LEVEL": "L2SP", "COLLECTION_NUMBER": "02"},
    "IMAGE_ATTRIBUTES": {
        "SPACECRAFT_ID": "LANDSAT_9",
        "SENSOR_ID": "OLI_TIRS",
        "WRS_PATH": "192",
        "WRS_ROW": "25",
        "DATE_ACQUIRED": "2023-05-20",
        "SCENE_CENTER_TIME": "10:02:30.1234567Z",
        "SUN_AZIMUTH": "150.25",
        "SUN_ELEVATION": "52.5",
    },
    "PROJECTION_ATTRIBUTES": {
        "PANCHROMATIC_LINES": "15421",
        "PANCHROMATIC_SAMPLES": "15121",
        "REFLECTIVE_LINES": "7711",
        "REFLECTIVE_SAMPLES": "7561",
        "CORNER_UL_PROJECTION_X_PRODUCT": "699900.000",
        "CORNER_UL_PROJECTION_Y_PRODUCT": "-1075500.000",
    },
    "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": {"REFLECTANCE_MULT_BAND_5": "2.75e-05", "REFLECTANCE_ADD_BAND_5": "-0.2"},
    "LEVEL1_RADIOMETRIC_RESCALING": {
        "REFLECTANCE_MULT_BAND_5": "2.0000E-05",
        "REFLECTANCE_ADD_BAND_5": "-0.100000",
        "REFLECTANCE_MULT_BAND_8": "2.0000E-05",
        "REFLECTANCE_ADD_BAND_8": "-0.100000",
    },
}
WHOLE = Metadata(
    product_id=ID,
    spacecraft="LANDSAT_9",
    sensor="OLI_TIRS",
    processing_level="L2SP",
    collection_number=2,
    wrs_path=192,
    wrs_row=25,
    date_acquired=date(2023, 5, 20),
    acquired=datetime(2023, 5, 20, 10, 2, 30, 123456, UTC),
    sun_elevation=52.5,
    sun_azimuth=150.25,
    reflective_shape=(7711, 7561),
    panchromatic_shape=(15421, 15121),
    corner_ul=(699900.0, -1075500.0),
    pan_mult=2e-5,
    pan_add=-0.1,
    surface_reflectance={5: Scaling(2.75e-5, -0.2)},
)


def as_text(groups: Groups) -> bytes:
    lines = ["GROUP = LANDSAT_METADATA_FILE"]
    for name, entries in groups.items():
        values = [f"    {k} = {v}" if v[:1] in "-0123456789" else f'    {k} = "{v}"' for k, v in entries.items()]
        lines += [f"  GROUP = {name}", *values, f"  END_GROUP = {name}"]
    return "\r\n".join([*lines, "END_GROUP = LANDSAT_METADATA_FILE", "END", ""]).encode()


def as_json(groups: Groups) -> bytes:
    return json.dumps({"LANDSAT_METADATA_FILE": groups}).encode()


def as_xml(groups: Groups) -> bytes:
    inside = "".join(
        f"<{name}>{''.join(f'<{k}>{v}</{k}>' for k, v in entries.items())}</{name}>" for name, entries in groups.items()
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<LANDSAT_METADATA_FILE>{inside}</LANDSAT_METADATA_FILE>'.encode()


FORMS = pytest.mark.parametrize("form", [as_text, as_json, as_xml])


def changed(group: str, **entries: str | None) -> Groups:
    """GROUPS with some entries of a group replaced; None takes one out."""
    merged = GROUPS[group] | entries
    return GROUPS | {group: {k: v for k, v in merged.items() if v is not None}}


@FORMS
def test_the_three_forms_say_the_same(form) -> None:
    assert parse_mtl(form(GROUPS), NAME) == WHOLE
    assert parse_mtl(b"\xef\xbb\xbf" + form(GROUPS), NAME) == WHOLE


@FORMS
def test_level_1_and_level_2_constants_are_not_mixed_up(form) -> None:
    for order in (GROUPS, dict(reversed(GROUPS.items()))):
        found = parse_mtl(form(order), NAME)
        assert found.surface_reflectance_scaling(5) == Scaling(2.75e-5, -0.2)
        assert (found.pan_mult, found.pan_add) == (2e-5, -0.1)
    without = {k: v for k, v in GROUPS.items() if not k.startswith("LEVEL2")}
    assert parse_mtl(form(without), NAME).surface_reflectance_scaling(5) == Scaling(OLI.sr_scale, OLI.sr_offset)
    without = {k: v for k, v in GROUPS.items() if not k.startswith("LEVEL1")}
    assert parse_mtl(form(without), NAME).pan_mult is None


@FORMS
def test_only_the_identity_is_required(form) -> None:
    contents = {k: GROUPS["PRODUCT_CONTENTS"][k] for k in ("LANDSAT_PRODUCT_ID", "COLLECTION_NUMBER")}
    bare = parse_mtl(form({"PRODUCT_CONTENTS": contents, "IMAGE_ATTRIBUTES": {"DATE_ACQUIRED": "2023-05-20"}}), NAME)
    assert (bare.spacecraft, bare.processing_level, bare.wrs_path, bare.wrs_row) == ("LANDSAT_9", "L2SP", 192, 25)
    assert bare.date_acquired == date(2023, 5, 20)
    optional = (bare.acquired, bare.sun_elevation, bare.sun_azimuth, bare.reflective_shape, bare.panchromatic_shape)
    assert {*optional, bare.corner_ul, bare.pan_mult, bare.pan_add, bare.sensor} == {None}


@FORMS
@pytest.mark.parametrize(
    ("groups", "says"),
    [
        (changed("PRODUCT_CONTENTS", LANDSAT_PRODUCT_ID=None), "not of Collection 2|no LANDSAT_PRODUCT_ID"),
        (changed("PRODUCT_CONTENTS", LANDSAT_PRODUCT_ID="report.pdf"), "'report.pdf', no USGS product id"),
        (changed("PRODUCT_CONTENTS", COLLECTION_NUMBER=None), "no COLLECTION_NUMBER"),
        (changed("PRODUCT_CONTENTS", COLLECTION_NUMBER="01"), "Collection 1; l8s2 reads Collection 2"),
        (changed("PRODUCT_CONTENTS", COLLECTION_NUMBER="1e308"), "Collection"),
        (changed("IMAGE_ATTRIBUTES", DATE_ACQUIRED=None), "no DATE_ACQUIRED"),
        (changed("IMAGE_ATTRIBUTES", DATE_ACQUIRED="2023-13-20"), "not a Landsat"),
        (changed("IMAGE_ATTRIBUTES", SUN_ELEVATION="nan"), "not a Landsat"),
        (changed("IMAGE_ATTRIBUTES", SUN_ELEVATION="90.5"), "not a Landsat"),
        (changed("PROJECTION_ATTRIBUTES", REFLECTIVE_LINES="-5"), "not a Landsat"),
        (changed("PROJECTION_ATTRIBUTES", REFLECTIVE_LINES="1e300"), "not a Landsat"),
        (
            {"METADATA_FILE_INFO": {"LANDSAT_PRODUCT_ID": ID.replace("_02_", "_01_"), "COLLECTION_NUMBER": "01"}},
            "not of Collection 2",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(form, groups: Groups, says: str) -> None:
    assert_refused(form(groups), says)


def assert_refused(content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        parse_mtl(content, NAME)
    message = str(caught.value)
    assert message.startswith(f"{NAME}: ")
    assert "\n" not in message
    assert len(message) < 250


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"\n<HTML><head></head></HTML>", "web page"),
        (b"<Error><Code>AccessDenied</Code></Error>", "no LANDSAT_PRODUCT_ID"),
        (b'{"message": "Forbidden"}', "no LANDSAT_PRODUCT_ID"),
        (b"{}", "no LANDSAT_PRODUCT_ID"),
        (b"[1]", "not a Landsat"),
        (b'{"LANDSAT_METADATA_FILE": null}', "no LANDSAT_PRODUCT_ID"),
        (
            b'{"PRODUCT_CONTENTS": {"LANDSAT_PRODUCT_ID": ["a"], "COLLECTION_NUMBER": {}}}',
            "no COLLECTION_NUMBER|not of Coll",
        ),
        ("<a>é</a>".encode("utf-16"), "not a Landsat"),
        (as_text(GROUPS)[:150], "breaks off in the group|no COLLECTION_NUMBER"),
        (as_json(GROUPS)[:-1], "not a Landsat"),
        (as_xml(GROUPS)[:-1], "not a Landsat"),
        (b" " * (5 << 20) + as_text(GROUPS), "5 MB"),
        (b'{"a":' * 200_000, "not a Landsat"),
        (b"<a>" * 200_000, "not a Landsat"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not a Landsat"),
    ],
)
def test_rubbish_is_refused_in_one_line(content: bytes, says: str) -> None:
    assert_refused(content, says)


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE a [<!ENTITY b "boom"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>',
        '<!DOCTYPE a SYSTEM "file:///etc/hostname">',
        '<!doctype a [<!entity b SYSTEM "file:///etc/hostname">]>',
    ],
)
def test_xml_that_defines_entities_is_refused_unread(declaration: str) -> None:
    assert_refused(declaration.encode() + as_xml(GROUPS).split(b"\n")[1], "document type")
    assert_refused(as_xml(GROUPS).replace(b"\n", declaration.encode(), 1), "document type")


def parse_or_refuse(content: bytes) -> None:
    """Anything but these two outcomes fails the test that calls this."""
    try:
        found = parse_mtl(content, NAME)
    except InputError as error:
        message = str(error)
    else:
        message = ""
        assert ProductName.parse(found.product_id) is not None
    assert "\n" not in message


@given(st.binary(max_size=300), st.sampled_from([b"", b"{", b"<", b"GROUP = A\n", b"<a>", b'{"PRODUCT_CONTENTS": ']))
def test_any_bytes_give_metadata_or_an_input_error(content: bytes, start: bytes) -> None:
    parse_or_refuse(start + content)


@settings(max_examples=300)
@given(st.sampled_from([as_text, as_json, as_xml]), st.integers(0), st.integers(0, 60), st.binary(max_size=20))
def test_damaged_metadata_gives_metadata_or_an_input_error(form, at: int, cut: int, put: bytes) -> None:
    content = form(GROUPS)
    at %= len(content) + 1
    parse_or_refuse(content[:at] + put + content[at + cut :])


@settings(max_examples=200)
@given(
    st.sampled_from([as_text, as_json]),
    st.sampled_from([(group, key) for group, entries in GROUPS.items() for key in entries]),
    st.one_of(st.text(max_size=20), st.floats().map(repr), st.integers().map(str)),
)
def test_odd_values_give_metadata_or_an_input_error(form, where: tuple[str, str], value: str) -> None:
    parse_or_refuse(form(changed(where[0], **{where[1]: value})))


def test_noise_is_refused() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert_refused(rng.bytes(400), "download it again")


def test_real_metadata(data: Path) -> None:
    paths = sorted(data.glob("*/*_MTL.*"))
    if not paths:
        pytest.skip("no MTL in the folder that L8S2_TEST_DATA names")
    for path in paths:
        found = parse_mtl(path.read_bytes(), path.name)
        name = ProductName.parse(found.product_id)
        assert name is not None
        assert path.name.startswith(found.product_id)
        assert (found.collection_number, found.processing_level) == (2, name.level)
        assert found.spacecraft == f"LANDSAT_{name.satellite}"
        assert (found.wrs_path, found.wrs_row, found.date_acquired) == (name.path, name.row, name.acquired)
        assert found.acquired is not None
        assert found.acquired.tzinfo is UTC
        assert found.acquired.date() == name.acquired
        assert found.sun_elevation is not None
        assert 0 < found.sun_elevation < 90
        assert found.reflective_shape is not None
        assert found.corner_ul is not None
        assert [v % 15 for v in found.corner_ul] == [0, 0]  # a crop of pan may start between MS pixels
        assert (found.pan_mult, found.pan_add) == (2e-5, -0.1)
        assert found.surface_reflectance_scaling(5) == Scaling(OLI.sr_scale, OLI.sr_offset)
        assert (found.panchromatic_shape is None) == (name.level == "L2SP")


@settings(max_examples=30)
@given(at=st.integers(0), cut=st.integers(0, 200), put=st.binary(max_size=30))
def test_damaged_real_metadata_gives_metadata_or_an_input_error(data: Path, at: int, cut: int, put: bytes) -> None:
    for path in sorted(data.glob("*/*_MTL.*"))[:4]:
        content = path.read_bytes()
        here = at % len(content)
        parse_or_refuse(content[:here] + put + content[here + cut :])


@given(
    st.sampled_from(["LC08", "LC09", "LO08", "LO09", "LT08", "LE07", "LT05", "LT04"]),
    st.sampled_from(["L2SP", "L2SR", "L1TP", "L1GT", "L1GS"]),
    st.integers(1, 233),
    st.integers(1, 248),
    st.dates(date(1982, 1, 1), date(2099, 1, 1)),
    st.dates(date(1982, 1, 1), date(2099, 1, 1)),
    st.integers(1, 2),
    st.sampled_from(["RT", "T1", "T2"]),
)
def test_product_names_come_apart(mission, level, path, row, acquired, processed, collection, tier) -> None:
    text = f"{mission}_{level}_{path:03d}{row:03d}_{acquired:%Y%m%d}_{processed:%Y%m%d}_{collection:02d}_{tier}"
    for form in (text, text.lower()):
        name = ProductName.parse(form)
        assert name is not None
        assert (name.sensor, name.satellite, name.level, name.tier) == (mission[1], int(mission[2:]), level, tier)
        assert (name.path, name.row, name.collection) == (path, row, collection)
        assert (name.acquired, name.processed) == (acquired, processed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "LC08",
        f"{ID}\n",
        f" {ID}",
        f"{ID}_SR_B4.TIF",
        ID.replace("0520", "1320"),
        ID.replace("_02_T1", "_02_T9"),
        ID.replace("09", "٠٩", 1),
        "LC81430542023044LGN00",
        "S2A_MSIL2A_20230220T050841_N0509_R019_T43PHQ_20230220T081702",
    ],
)
def test_other_names_are_none(text: str) -> None:
    assert ProductName.parse(text) is None


@pytest.mark.parametrize(
    ("text", "processed"),
    [
        (f"https://x.y/{ID}/{ID}_SR_B4.TIF", True),
        (f"{ID}_SR", True),
        ("_".join([*ID.split("_")[:4], *ID.split("_")[5:]]), False),
        ("LC08_L2SP", None),
        (ID.replace("0520", "1320"), None),
    ],
)
def test_a_product_name_within_a_text(text: str, processed: bool | None) -> None:
    name, whole = ProductName.find(text), ProductName.parse(ID)
    if processed is None:
        assert name is None
    elif processed:
        assert name == whole
    else:
        assert name is not None
        assert name == replace(whole, id=text, processed=None)


@given(st.text(max_size=60))
def test_no_name_is_an_error(text: str) -> None:
    ProductName.parse(text)


DN = arrays(np.uint16, st.integers(1, 30))


@given(DN)
def test_surface_reflectance_comes_back_as_the_same_dn(dn: np.ndarray) -> None:
    reflectance = to_reflectance(dn, OLI.sr_scale, OLI.sr_offset, is_dn=True)
    assert reflectance.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(reflectance), dn == 0)
    back = np.rint((np.nan_to_num(reflectance, nan=OLI.sr_offset).astype(np.float64) - OLI.sr_offset) / OLI.sr_scale)
    np.testing.assert_array_equal(back, dn)
    np.testing.assert_array_equal(
        to_reflectance(dn.astype(np.float32), OLI.sr_scale, OLI.sr_offset, is_dn=True), reflectance
    )


def test_dark_water_stays_negative() -> None:
    assert to_reflectance(np.array([7272], np.uint16), OLI.sr_scale, OLI.sr_offset, is_dn=True).item() < 0


@given(DN, st.floats(0.5, 90))
def test_pan_comes_back_as_the_same_dn(dn: np.ndarray, elevation: float) -> None:
    reflectance = toa_reflectance(dn, 2e-5, -0.1, elevation)
    assert reflectance.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(reflectance), dn == 0)
    plain = np.nan_to_num(reflectance).astype(np.float64) * np.sin(np.radians(elevation))
    np.testing.assert_array_equal(np.where(dn == 0, 0, np.rint((plain + 0.1) / 2e-5)), dn)


@pytest.mark.parametrize("elevation", [0.0, -5.0, 90.1, float("nan")])
def test_pan_without_sunlight_is_refused(elevation: float) -> None:
    with pytest.raises(InputError, match="sun elevation"):
        toa_reflectance(np.ones(1, np.uint16), 2e-5, -0.1, elevation)


@pytest.mark.filterwarnings("error")
def test_what_is_not_a_dn_is_fill() -> None:
    odd = np.array([0, -9999, np.nan, np.inf, -np.inf, 1e20, DN_MAX + 1.0])
    assert np.isnan(to_reflectance(odd, OLI.sr_scale, OLI.sr_offset, is_dn=True)).all()
    assert np.isnan(toa_reflectance(odd, 2e-5, -0.1, 45)).all()


@pytest.mark.filterwarnings("error")
def test_reflectance_passes_unchanged_and_the_implausible_is_fill() -> None:
    values = np.array([-0.2, 0.0, 0.3, 1.6, np.nan, np.inf, -9999, 1e20, -3.4e38])
    passed = to_reflectance(values, OLI.sr_scale, OLI.sr_offset, is_dn=False)
    assert passed.dtype == np.float32
    np.testing.assert_array_equal(passed[:4], values[:4].astype(np.float32))
    assert np.isnan(passed[4:]).all()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.int32])
def test_integers_are_dn(kind: type) -> None:
    assert is_dn(np.array([0, 1, 2], kind))


FILL = st.sampled_from([0.0, np.nan, -9999.0, -np.inf, np.inf])


@given(arrays(np.float32, 40, elements=st.floats(*PLAUSIBLE, width=32)), arrays(bool, 40), FILL)
def test_floating_reflectance_is_recognised_around_fill(values: np.ndarray, missing: np.ndarray, fill: float) -> None:
    assert not is_dn(np.where(missing, np.float32(fill), values))


@given(arrays(np.uint16, 40, elements=st.integers(4, DN_MAX)), arrays(bool, 40), FILL)
def test_floating_dn_are_recognised_around_fill(values: np.ndarray, missing: np.ndarray, fill: float) -> None:
    sample = np.where(missing, np.float32(fill), values.astype(np.float32))
    assert is_dn(sample) is not bool(missing.all())
