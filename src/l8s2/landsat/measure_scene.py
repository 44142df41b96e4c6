"""What a scene tells about its own sensor: where pan lies, how sharp the visible bands are, how noisy all are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from l8s2.landsat.clear_windows import clear_windows
from l8s2.landsat.noise import NOISE, measure_noise
from l8s2.landsat.pan_shift import PAN_CORRELATION, PAN_SHIFT, measure_pan_shift
from l8s2.landsat.scene import Scene
from l8s2.landsat.sharpness import NOMINAL, SHARPNESS, measure_sharpness

Doubt = tuple[bool, str]
"""Whether it makes a product unusable, and the reason in words."""


@dataclass(frozen=True, kw_only=True)
class SceneMeasures:
    """Plain values, each with a ``verdict``; ``unknown`` comes with a ``reason``."""

    pan_shift: dict[str, Any] | None
    """As ``measure_pan_shift`` returns it; None without pan."""
    sharpness: dict[str, Any] | None
    """As ``measure_sharpness`` returns it; None without pan."""
    noise: dict[str, Any]
    """As ``measure_noise`` returns it."""

    def known(self) -> dict[str, dict[str, Any]]:
        """Return what was measured, and what could not be, by name."""
        every = {"pan_shift": self.pan_shift, "sharpness": self.sharpness, "noise": self.noise}
        return {name: facts for name, facts in every.items() if facts is not None}

    def doubts(self, *, with_pan: bool = True) -> list[Doubt]:
        """Word what lies outside of what the networks were trained for; without pan, where the model takes none."""
        return [*(self._doubts_about_pan() if with_pan else ()), *self._doubts_about_noise()]

    def _doubts_about_pan(self) -> list[Doubt]:
        doubts = []
        shift = (self.pan_shift or {}).get("length_m", 0.0)
        if shift > PAN_SHIFT[0]:
            doubts.append((shift > PAN_SHIFT[1], f"pan lies {shift:.1f} m off the 30 m bands"))
        correlation = (self.pan_shift or {}).get("correlation", 1.0)
        if correlation < PAN_CORRELATION:
            text = f"contours of pan and of the 30 m bands correlate by {correlation:.2f}"
            doubts.append((False, f"{text}; with pan of the same date by more than {PAN_CORRELATION:g}"))
        if self.sharpness is not None and self.sharpness["verdict"] == "doubtful":
            low, high = (share * NOMINAL for share in SHARPNESS)
            text = f"the visible bands are blurred by {self.sharpness['blur_m']:.1f} m against pan"
            doubts.append((False, f"{text}; the networks know {low:.1f} to {high:.1f} m"))
        return doubts

    def _doubts_about_noise(self) -> list[Doubt]:
        ratios = {
            name: band["documented_snr"] / band["snr"]
            for name, band in self.noise.get("bands", {}).items()
            if band["documented_snr"] > NOISE * band["snr"]
        }
        if not ratios:
            return []
        which = ", ".join(f"{name} {ratio:.1f}" for name, ratio in ratios.items())
        return [(False, f"noise is stronger than documented ({which} times); the networks were tried up to {NOISE:g}")]


def measure_scene(scene: Scene, pan_shift: dict[str, Any] | None = None) -> SceneMeasures:
    """Measure a scene on a few windows of it, read once; no more for a large scene than for a small one.

    ``pan_shift``: what ``measure_pan_shift`` has told of the same windows; None has it measured.
    """
    windows = clear_windows(scene)
    noise = measure_noise(windows)
    if scene.pan is None:
        return SceneMeasures(pan_shift=None, sharpness=None, noise=noise)
    shift = pan_shift or measure_pan_shift(windows)
    return SceneMeasures(pan_shift=shift, sharpness=measure_sharpness(windows, shift), noise=noise)
