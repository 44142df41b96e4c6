"""Where a product should not be trusted, and what that makes of a whole scene. Pure numpy."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from l8s2 import masks
from l8s2.tiling import Float, Mask

REACH = 3
"""MS pixels to each side over which the colour of the surroundings is averaged."""
WIDEST = 0.05
"""Half width of the 90 % interval, reflectance, up to which it is never called useless."""
WIDEST_SHARE = 0.5
"""The same as a share of the reflectance itself; useless is what exceeds both."""
UNTRUSTED = (0.05, 0.25)
"""Shares of clear pixels not to be trusted from which a scene gets ``warn``, and ``fail``."""
CLEAR = 0.1
"""Share of clear pixels below which a scene gets ``warn``."""
PAN_SHIFT = (3.0, 7.5)
"""Metres between pan and MS from which a scene gets ``warn``, and ``fail``. Landsat's band-to-band registration is specified
to 4.5 m; 7.5 m is the classical half-pixel mistake."""
Z_90 = 1.645
"""Half width, in standard deviations, of the interval that holds 90 % of a normal distribution."""
_EXEMPLARS = 128
_ROWS = 32


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The colours that a network met in training: exemplars in a space of six logarithms of reflectance."""

    mean: Float
    """(6,) of the logarithms."""
    whitening: Float
    """(6, 6); ``whitening @ (logarithms - mean)`` has unit covariance over the training imagery."""
    exemplars: Float
    """(n, 6) whitened; spread so that every colour of the training imagery is close to one."""
    limit: float
    """Distance from the nearest exemplar beyond which a colour is strange."""

    @classmethod
    def fit(cls, colours: Float) -> Domain:
        """From the surroundings of many training pixels: (n, 6) reflectance, locally averaged.

        Exemplars are chosen by farthest-point sampling; the limit is one and a half times the distance within which they cover
        all of ``colours``.
        """
        logarithms = _logarithms(colours.T)
        mean = logarithms.mean(1)
        whitening = np.linalg.inv(np.linalg.cholesky(np.cov(logarithms)))
        points = (whitening @ (logarithms - mean[:, None])).T
        chosen = [points[int(np.argmin((points**2).sum(1)))]]
        distance = ((points - chosen[0]) ** 2).sum(1)
        while len(chosen) < _EXEMPLARS:
            chosen.append(points[int(np.argmax(distance))])
            distance = np.minimum(distance, ((points - chosen[-1]) ** 2).sum(1))
        return cls(
            mean=mean.astype(np.float32),
            whitening=whitening.astype(np.float32),
            exemplars=np.array(chosen, np.float32),
            limit=1.5 * float(np.sqrt(distance.max())),
        )

    @classmethod
    def from_json(cls, text: str) -> Domain:
        """Back from ``to_json``."""
        found = json.loads(text)
        arrays = {key: np.array(found[key], np.float32) for key in ("mean", "whitening", "exemplars")}
        return cls(**arrays, limit=found["limit"])

    def to_json(self) -> str:
        """For the metadata of a model file."""
        arrays = {key: getattr(self, key).round(4).tolist() for key in ("mean", "whitening", "exemplars")}
        return json.dumps({**arrays, "limit": round(self.limit, 4)})

    def distance(self, ms: Float) -> Float:
        """(h, w) distance of the surroundings of each pixel of ms (6, h, w) from the nearest exemplar. No NaN."""
        colours = _logarithms(local_mean(ms)) - self.mean[:, None, None]
        half = (self.exemplars**2).sum(1) / 2
        result = np.empty(ms.shape[1:], np.float32)
        for top in range(0, ms.shape[1], _ROWS):
            strip = colours[:, top : top + _ROWS]
            points = self.whitening @ strip.reshape(6, -1)
            nearest = (self.exemplars @ points - half[:, None]).max(0)  # |p - e|^2 = |p|^2 - 2 (p.e - |e|^2 / 2)
            squared = (points**2).sum(0) - 2 * nearest
            result[top : top + _ROWS] = np.sqrt(np.maximum(squared, 0)).reshape(strip.shape[1:])
        return result

    def strange(self, ms: Float) -> Mask:
        """(h, w) bool, True where the surroundings in ms (6, h, w) are unlike any training imagery. No NaN."""
        far: Mask = self.distance(ms) > self.limit
        return far


def local_mean(x: Float) -> Float:
    """Mean of (..., h, w) over a square of REACH pixels to each side; beyond the edge the last pixel repeats."""
    size = 2 * REACH + 1
    for axis in (-1, -2):
        x = np.moveaxis(x, axis, -1)
        n = x.shape[-1]
        padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(REACH, REACH)], mode="edge")
        x = np.add.reduce([padded[..., i : i + n] for i in range(size)]) / np.float32(size)
        x = np.moveaxis(x, -1, axis)
    return x


def _logarithms(reflectance: Float) -> Float:
    return np.log(np.maximum(reflectance, 0) + np.float32(0.02))


def useless(mean: Float, sigma: Float) -> Mask:
    """(h, w) bool, True where the 90 % interval of any band is too wide to be of use; both (6, h, w), NaN never is."""
    with np.errstate(invalid="ignore"):
        wide = np.asarray(Z_90 * sigma > np.maximum(WIDEST, WIDEST_SHARE * np.abs(mean)))
    return np.asarray(wide.any(axis=0))


@dataclass
class Count:
    """10 m pixels of what has been made so far."""

    valid: NDArray[np.int64] = field(default_factory=lambda: np.zeros(6, np.int64))
    """(6,) with a value, per band."""
    known: int = 0
    """With a value in every band."""
    clear: int = 0
    """Of those, without cloud, its surroundings, cirrus or shadow."""
    untrusted: int = 0
    """Of the clear ones, with the bit ``do_not_trust``."""
    with_sigma: bool = False
    """Whether any value came with a standard error; ``add`` leaves it as it is."""

    def add(self, mean: Float, qa: NDArray[np.uint16]) -> None:
        """Take in a window, (6, h, w) and (h, w)."""
        self.valid += np.isfinite(mean).sum((1, 2))
        self.known += int(((qa & masks.flag("fill")) == 0).sum())
        clear = masks.usable(qa)
        self.clear += int(clear.sum())
        self.untrusted += int((clear & ((qa & masks.flag("do_not_trust")) > 0)).sum())

    @property
    def clear_share(self) -> float:
        """Of the known ones."""
        return self.clear / max(self.known, 1)

    @property
    def untrusted_share(self) -> float:
        """Of the clear ones."""
        return self.untrusted / max(self.clear, 1)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a product may be used without a second look."""

    level: Literal["pass", "warn", "fail"]
    reasons: tuple[str, ...]
    """What speaks against it, one line each; empty for ``pass``."""


def judge(count: Count, pan_shift: float | None) -> Verdict:
    """The verdict on a scene; ``pan_shift``: metres between pan and the visible bands, None where it is not known."""
    doubts: list[tuple[bool, str]] = []
    if count.untrusted_share > UNTRUSTED[0]:
        text = f"{100 * count.untrusted_share:.1f} % of the clear pixels are not to be trusted (QA bit do_not_trust)"
        doubts.append((count.untrusted_share > UNTRUSTED[1], text))
    if count.clear_share < CLEAR:
        doubts.append((False, f"only {100 * count.clear_share:.1f} % of the scene is clear"))
    if pan_shift is not None and pan_shift > PAN_SHIFT[0]:
        doubts.append((pan_shift > PAN_SHIFT[1], f"pan lies {pan_shift:.1f} m off the 30 m bands"))
    level: Literal["pass", "warn", "fail"] = "fail" if any(bad for bad, _ in doubts) else "warn" if doubts else "pass"
    return Verdict(level=level, reasons=tuple(text for _, text in doubts))
