"""Pixels that should not be trusted, and the verdict on a whole scene. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from l8s2 import masks
from l8s2.arrays import Float, Mask
from l8s2.landsat.measure_scene import Doubt
from l8s2.metrics.uncertainty import Z_90
from l8s2.sensors import N_BANDS

WIDEST = 0.05
"""Half width of the 90 % interval, reflectance, up to which no pixel is too uncertain."""
WIDEST_SHARE = 0.5
"""The same as a share of the reflectance itself; a pixel is too uncertain where it exceeds both."""
_CLOUD = masks.flag("cloud") | masks.flag("cirrus")
_ROWS = 64
"""Rows that are looked at at a time, so that they stay in the processor's cache."""
UNTRUSTED = (0.05, 0.25)
"""Shares of clear pixels not to be trusted from which a scene gets ``warn``, and ``fail``."""
NO_PAN = 30
"""Percent of a scene with pan that are made without it from which that is said."""
CLEAR = 0.1
"""Share of clear pixels below which a scene gets ``warn``."""


def too_uncertain(mean: Float, sigma: Float) -> Mask:
    """Return (h, w) bool, True where the 90 % interval of any band is too wide; both (6, h, w), NaN never is."""
    result = np.zeros(mean.shape[1:], bool)
    with np.errstate(invalid="ignore"):
        for top in range(0, mean.shape[1], _ROWS):
            rows = slice(top, top + _ROWS)
            for values, error in zip(mean[:, rows], sigma[:, rows], strict=True):
                half = Z_90 * error
                wide = half > WIDEST
                if wide.any():
                    result[rows] |= wide & (half > WIDEST_SHARE * np.abs(values))
    return result


@dataclass
class Count:
    """10 m pixels of what has been made so far."""

    valid: NDArray[np.int64] = field(default_factory=lambda: np.zeros(N_BANDS, np.int64))
    """(6,) with a value, per band."""
    known: int = 0
    """With a value in every band."""
    clear: int = 0
    """Of those, without cloud, its surroundings, cirrus or shadow."""
    cloud: int = 0
    """Of the known ones, with the bit ``cloud`` or ``cirrus``."""
    snow: int = 0
    """Of the known ones, with the bit ``snow``."""
    without_pan: int = 0
    """Of the known ones, with the bit ``no_pan``."""
    untrusted: int = 0
    """Of the clear ones, with the bit ``do_not_trust``."""
    with_sigma: bool = False
    """Whether any value came with a standard error; ``add`` leaves it as it is."""

    def add(self, mean: Float, qa: NDArray[np.uint16]) -> None:
        """Take in a window, (6, h, w) and (h, w)."""
        for index, band in enumerate(mean):
            self.valid[index] += band.size if np.isfinite(band.sum()) else np.isfinite(band).sum()
        known, clear = (qa & masks.flag("fill")) == 0, masks.usable(qa)
        self.known += int(np.count_nonzero(known))
        self.clear += int(np.count_nonzero(clear))
        self.cloud += _number(known, qa, _CLOUD)
        self.snow += _number(known, qa, masks.flag("snow"))
        self.without_pan += _number(known, qa, masks.flag("no_pan"))
        self.untrusted += _number(clear, qa, masks.flag("do_not_trust"))

    def merge(self, other: Count) -> None:
        """Take in what another has taken in."""
        self.valid += other.valid
        self.known += other.known
        self.clear += other.clear
        self.cloud += other.cloud
        self.snow += other.snow
        self.without_pan += other.without_pan
        self.untrusted += other.untrusted
        self.with_sigma = self.with_sigma or other.with_sigma

    @property
    def clear_share(self) -> float:
        """Share of the known pixels that are clear."""
        return self.clear / max(self.known, 1)

    def percent(self, pixels: int) -> float:
        """Return what ``pixels`` are of the known ones, in percent with two decimals."""
        return round(100 * pixels / max(self.known, 1), 2)

    @property
    def untrusted_share(self) -> float:
        """Share of the clear pixels that are not to be trusted."""
        return self.untrusted / max(self.clear, 1)


def _number(of: Mask, qa: NDArray[np.uint16], bits: int) -> int:
    """Count the pixels that have any of some bits."""
    return int(np.count_nonzero(of & ((qa & bits) > 0)))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a product may be used as it is."""

    level: Literal["pass", "warn", "fail"]
    reasons: tuple[str, ...]
    """What lowered the verdict, one line each; empty for ``pass``."""


def assess(count: Count, about_scene: Sequence[Doubt]) -> Verdict:
    """Assess a product; ``about_scene``: what ``SceneMeasures.doubts`` says of its input."""
    doubts: list[Doubt] = []
    if count.untrusted_share > UNTRUSTED[0]:
        text = f"{100 * count.untrusted_share:.1f} % of the clear pixels are not to be trusted (QA bit do_not_trust)"
        doubts.append((count.untrusted_share > UNTRUSTED[1], text))
    if count.clear_share < CLEAR:
        doubts.append((False, f"only {100 * count.clear_share:.1f} % of the scene is clear"))
    doubts += about_scene
    level: Literal["pass", "warn", "fail"] = "fail" if any(bad for bad, _ in doubts) else "warn" if doubts else "pass"
    return Verdict(level=level, reasons=tuple(text for _, text in doubts))
