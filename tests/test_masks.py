import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from l8s2.masks import QA_BITS, flag, from_pixel_qa, from_qa_pixel, saturated_bits, scl_to_bits, usable

SHAPES = st.tuples(st.integers(0, 6), st.integers(0, 6))
WORDS = arrays(np.uint16, SHAPES)
OLI = [1, 2, 3, 4, 5, 6, 7, 9]
DOCUMENTED = [
    "fill", "dilated_cloud", "cirrus", "cloud", "cloud_shadow", "snow", "water", "saturated", "out_of_range", "no_pan",
    "no_qa", "near_fill", "do_not_trust",
]  # fmt: skip


def test_the_bits_are_the_documented_ones() -> None:
    assert [(bit.bit, bit.name) for bit in QA_BITS] == list(enumerate(DOCUMENTED))
    assert all(bit.description for bit in QA_BITS)
    assert [flag(name) for name in DOCUMENTED] == [1 << n for n in range(len(DOCUMENTED))]
    with pytest.raises(KeyError):
        flag("haze")


def bit_by_bit(word: int) -> int:
    """QA_PIXEL as its format document tells it; ``clear`` (6) and the confidences (8-15) say nothing new."""
    said = {0: "fill", 1: "dilated_cloud", 2: "cirrus", 3: "cloud", 4: "cloud_shadow", 5: "snow", 7: "water"}
    return sum(2 ** DOCUMENTED.index(name) for place, name in said.items() if word // 2**place % 2 == 1)


@pytest.mark.parametrize("place", range(16))
def test_each_bit_of_qa_pixel_alone(place: int) -> None:
    word = np.array([[1 << place]], np.uint16)
    assert from_qa_pixel(word).tolist() == [[bit_by_bit(1 << place)]]


@pytest.mark.parametrize(
    ("word", "names"),
    [
        (1, ["fill"]),
        (21824, []),
        (21952, ["water"]),
        (22280, ["cloud"]),
        (21762, ["dilated_cloud"]),
        (23888, ["cloud_shadow"]),
        (30048, ["snow"]),
        (54596, ["cirrus"]),
    ],
)
def test_words_of_real_products(word: int, names: list[str]) -> None:
    assert from_qa_pixel(np.array([[word]], np.uint16)).item() == sum(flag(name) for name in names)


@pytest.mark.parametrize(
    ("word", "names"),
    [
        (1, ["fill"]),
        (322, []),
        (324, ["water"]),
        (328, ["cloud_shadow"]),
        (336, ["snow"]),
        (480, ["cloud"]),
        (834, ["cirrus"]),
        (992, ["cloud", "cirrus"]),
        (1346, []),  # terrain occlusion
    ],
)
def test_words_of_collection_1(word: int, names: list[str]) -> None:
    """From the table of values in the product guide of Landsat 8 surface reflectance, Collection 1."""
    assert from_pixel_qa(np.array([[word]], np.uint16)).item() == sum(flag(name) for name in names)


@given(WORDS)
def test_qa_pixel_agrees_with_a_slow_reader(words: np.ndarray) -> None:
    bits = from_qa_pixel(words)
    assert bits.dtype == np.uint16
    assert bits.shape == words.shape
    assert bits.ravel().tolist() == [bit_by_bit(int(word)) for word in words.ravel()]


@pytest.mark.parametrize("band", OLI)
def test_each_saturated_band_alone(band: int) -> None:
    word = np.array([[1 << (band - 1)]], np.uint16)
    assert saturated_bits(word, [band]).item() == flag("saturated")
    assert saturated_bits(word, [other for other in OLI if other != band]).item() == 0


def test_terrain_occlusion_is_not_saturation() -> None:
    assert saturated_bits(np.array([[1 << 11]], np.uint16), OLI).item() == 0


@given(WORDS, st.lists(st.sampled_from(OLI)))
def test_saturation_agrees_with_a_slow_reader(words: np.ndarray, bands: list[int]) -> None:
    bits = saturated_bits(words, bands)
    assert bits.dtype == np.uint16
    expected = [flag("saturated") * any(int(word) // 2 ** (b - 1) % 2 for b in bands) for word in words.ravel()]
    assert bits.ravel().tolist() == expected


@given(arrays(np.uint8, SHAPES))
def test_scl_agrees_with_its_table(scl: np.ndarray) -> None:
    table = {0: "fill", 1: "saturated", 3: "cloud_shadow", 6: "water", 8: "cloud", 9: "cloud", 10: "cirrus", 11: "snow"}
    bits = scl_to_bits(scl)
    assert bits.dtype == np.uint16
    assert bits.ravel().tolist() == [flag(table[int(v)]) if int(v) in table else 0 for v in scl.ravel()]


@given(WORDS)
def test_usable_is_ground_one_can_see(words: np.ndarray) -> None:
    hidden = ("fill", "dilated_cloud", "cirrus", "cloud", "cloud_shadow")
    seen = usable(words)
    assert seen.dtype == bool
    assert seen.ravel().tolist() == [not any(int(word) & flag(name) for name in hidden) for word in words.ravel()]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_only_fill_and_clouds_make_a_pixel_unusable(name: str) -> None:
    hides = name in ("fill", "dilated_cloud", "cirrus", "cloud", "cloud_shadow")
    assert usable(np.array([[flag(name)]], np.uint16)).item() is not hides
