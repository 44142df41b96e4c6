"""The -1000 of Sentinel-2: found in pixels in both directions, never guessed, and held against what is claimed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from l8s2.catalogs.endpoints import known_catalogs
from l8s2.catalogs.items import scene_item
from l8s2.errors import InputError
from l8s2.pairs.offset import Evidence, claimed, from_dark_objects, from_landsat, settle
from l8s2.simulate import Conditions, observe
from l8s2.simulate.archives import load_archive
from l8s2.simulate.landscape import landscape
from making.items import sentinel2

IN, OUT = -0.1, 0.0
"""Offsets of digital numbers with the 1000 in them, and without."""
STATES = pytest.mark.parametrize("offset", [IN, OUT])


@cache
def ground(seed: int = 3) -> NDArray[np.float32]:
    return landscape(seed, (100, 100)).truth


def dn(reflectance: NDArray[np.float32], offset: float) -> NDArray[np.int32]:
    """As stored; an archive that takes the 1000 off writes 1 at least."""
    known = np.isfinite(reflectance)
    stored = np.rint((np.where(known, reflectance, 0) - offset) * 1e4)
    return np.where(known, np.maximum(stored, 1), 0).astype(np.int32)


def as_stored(reflectance: NDArray[np.float32], offset: float) -> NDArray[np.float32]:
    """DN / 10000 as OLI would see it."""
    return observe(reflectance, Conditions(), np.random.default_rng(0)).ms - np.float32(offset)


def disturbed(seed: int) -> Conditions:
    rng = np.random.default_rng(seed)
    drawn = Conditions.random(rng, disturbed=True)
    return replace(drawn, gain=tuple(rng.normal(1, 0.06, 6)), offset=tuple(rng.normal(0, 0.015, 6)))


@STATES
@pytest.mark.parametrize("seed", range(4))
def test_landsat_tells(offset: float, seed: int) -> None:
    ms = observe(ground(), disturbed(seed), np.random.default_rng(seed)).ms
    evidence = from_landsat(as_stored(ground(), offset), ms)
    assert evidence.offset in (offset, None)
    nominal = observe(ground(), Conditions(noise=1.0), np.random.default_rng(seed)).ms
    evidence = from_landsat(as_stored(ground(), offset), nominal)
    assert evidence.offset == offset
    assert evidence.why.startswith("against Landsat ")
    assert evidence.why.count(" in ") == 3


@settings(max_examples=30)
@given(
    offset=st.sampled_from([IN, OUT]),
    gain=st.floats(0.6, 1.6),
    haze=st.floats(-0.06, 0.12),
    noise=st.floats(0, 0.1),
    seed=st.integers(0, 99),
)
def test_haze_and_changed_ground_never_lead_to_a_wrong_answer(
    offset: float, gain: float, haze: float, noise: float, seed: int
) -> None:
    """Haze falls with the wavelength as it does; up to 0.12 in nir08."""
    rng = np.random.default_rng(seed)
    ms = observe(ground(), Conditions(), rng).ms
    air = haze * np.array([3.0, 2.2, 1.6, 1.0, 0.35, 0.2], np.float32)[:, None, None]
    seen = gain * as_stored(ground(), 0.0) + air + rng.normal(0, noise, ms.shape) - offset
    assert from_landsat(seen, ms).offset in (offset, None)


def test_ground_that_has_nothing_in_common_tells_nothing() -> None:
    ms = observe(ground(4), Conditions(), np.random.default_rng(0)).ms
    assert from_landsat(as_stored(ground(), IN), ms) == Evidence(None, "no likeness with Landsat")
    assert from_landsat(np.full_like(ms, np.nan), ms).offset is None


def lake(water: float = 0.004, land: float = 0.3, grain: float = 0.001, green: float = 0.05) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    image = rng.normal(land, 0.05, (6, 60, 60))
    image[:, 10:30, 10:50] = np.array([1.1, 1, 0.6, 0.3, 0, 0])[:, None, None] * green + water
    return (image + rng.normal(0, grain, image.shape)).astype(np.float32)


@STATES
def test_a_lake_tells(offset: float) -> None:
    evidence = from_dark_objects(dn(lake(), offset))
    assert evidence.offset == offset
    assert ("water at DN 10" in evidence.why) == (offset == IN)


def test_dark_woods_tell_only_that_the_offset_is_off() -> None:
    woods = (np.array([0.02, 0.04, 0.025, 0.3, 0.13, 0.045])[:, None, None] + 0.2 * ground()).astype(np.float32)
    assert from_dark_objects(dn(woods, IN)).offset is None
    assert from_dark_objects(dn(0.8 * ground(), OUT)).offset == OUT


@pytest.mark.parametrize(
    "image",
    [
        lake(0.1, green=0.0),  # asphalt, ash: flat, dark, beside land
        lake(0.1, grain=0.006),  # sun glint
        lake(0.1, green=0.7),  # a shaded snow field
        lake(0.1) + 0.1,  # nothing dark at all
        np.full((6, 60, 60), 0.1, np.float32),
        np.full((6, 60, 60), np.nan, np.float32),
        lake()[:, 10:20, 10:20],
    ],
    ids=["asphalt", "glint", "snow", "bright", "flat", "nothing", "too small"],
)
def test_a_dark_image_without_the_offset_is_not_taken_for_water_with_it(image: NDArray[np.float32]) -> None:
    assert from_dark_objects(dn(image, OUT)).offset is None


@settings(max_examples=40)
@given(offset=st.sampled_from([IN, OUT]), seed=st.integers(0, 5), scale=st.floats(0.2, 2), add=st.floats(-0.02, 0.08))
def test_dark_objects_never_give_a_wrong_answer(offset: float, seed: int, scale: float, add: float) -> None:
    image = scale * ground(seed)[:, :150, :150] + add
    assert from_dark_objects(dn(image.astype(np.float32), offset)).offset in (offset, None)


@pytest.mark.parametrize(
    ("style", "how", "offset", "why"),
    [
        ("earth-search", {"baseline": "05.09", "removed": True}, OUT, "offset removed"),
        ("earth-search", {"baseline": "05.09", "removed": False}, IN, "baseline 05.09"),
        ("earth-search", {"baseline": "03.01", "removed": False}, OUT, "baseline 03.01"),
        ("cdse", {"baseline": "04.00"}, IN, "baseline 04.00"),
    ],
)
def test_what_a_catalogue_claims(style: str, how: dict[str, object], offset: float, why: str) -> None:
    raw = sentinel2(style=style, **how)  # type: ignore[arg-type]
    collection = next(c for c in known_catalogs()[style].collections if c.id == raw["collection"])
    claim = claimed(scene_item(raw, style, collection))
    assert claim.offset == offset
    assert why in claim.why


YES, NO, UNKNOWN = (
    Evidence(IN, "water at DN 1004"),
    Evidence(OUT, "darkest pixels at DN 40"),
    Evidence(None, "too bright"),
)
CLAIM_IN, CLAIM_OUT, NO_CLAIM = (Evidence(o, "the catalogue") for o in (IN, OUT, None))


@pytest.mark.parametrize(
    ("claim", "seen", "result"),
    [
        (CLAIM_IN, [YES, YES], YES), (CLAIM_OUT, [UNKNOWN, NO], NO), (NO_CLAIM, [UNKNOWN, YES], YES),
        (CLAIM_IN, [UNKNOWN], CLAIM_IN), (CLAIM_OUT, [], CLAIM_OUT),
    ],
)  # fmt: skip
def test_pixels_decide_and_claims_fill_in(claim: Evidence, seen: list[Evidence], result: Evidence) -> None:
    assert settle(claim, seen) == result


@pytest.mark.parametrize(
    ("claim", "seen", "says"),
    [
        (CLAIM_OUT, [YES], "-0.1 by water at DN 1004, but 0 by the catalogue; leave this image out"),
        (CLAIM_IN, [UNKNOWN, NO], "0 by darkest pixels at DN 40, but -0.1 by the catalogue; leave this image out"),
        (NO_CLAIM, [YES, NO], "-0.1 by water at DN 1004, but 0 by darkest pixels at DN 40"),
        (NO_CLAIM, [UNKNOWN], "unknown to the catalogue, and pixels do not tell [(]too bright[)]; take the image"),
    ],
)
def test_contradictions_are_refused_in_one_line(claim: Evidence, seen: list[Evidence], says: str) -> None:
    with pytest.raises(InputError, match=f"^Sentinel-2 offset: {says}") as caught:
        settle(claim, seen)
    assert "\n" not in str(caught.value)


def test_real_images_with_and_without_the_offset(data: Path) -> None:
    """Every real image, in both states: never a wrong answer, and most of them tell."""
    paths = [p for p in sorted(data.glob("patches/*.npz")) if not p.name.startswith(("barkbeetle", "sachrang"))]
    if not paths:
        pytest.skip("no patches in the folder that L8S2_TEST_DATA names")
    told = {"dark": [], "landsat": []}
    for path in paths:
        for image in load_archive(path).images[::4]:
            if not all(image.known_bands):
                continue
            rows, columns = (slice(0, min(n, 384) // 3 * 3) for n in image.stack.shape[1:])
            truth = image.stack[:, rows, columns]
            ms = observe(truth, disturbed(image.index), np.random.default_rng(image.index)).ms
            for offset in (IN, OUT):
                for how, evidence in (
                    ("dark", from_dark_objects(dn(truth, offset))),
                    ("landsat", from_landsat(as_stored(truth, offset), ms)),
                ):
                    assert evidence.offset in (offset, None), (image.site, image.index, offset, evidence)
                    told[how].append((offset, evidence.offset is not None))
    shares = {(how, offset): np.mean([t for o, t in told[how] if o == offset]) for how in told for offset in (IN, OUT)}
    assert shares["landsat", IN] > 0.6
    assert shares["landsat", OUT] > 0.6
    assert shares["dark", OUT] > 0.85
    assert shares["dark", IN] > 0.2
