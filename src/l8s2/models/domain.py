"""The colours of the ground that a network was trained on."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from l8s2.arrays import Float, Mask
from l8s2.sensors import N_BANDS

REACH = 3
"""MS pixels to each side over which the colour of the surroundings is averaged."""

_EXEMPLARS = 128

_PIXELS = 256
"""Pixels at a time: few enough for OpenBLAS not to spread them over threads, which elsewhere have work to do."""


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
    """Distance from the nearest exemplar beyond which a colour is out of the domain."""

    @classmethod
    def fit(cls, colours: Float) -> Domain:
        """Return the domain of many training pixels: ``colours`` (n, 6), reflectance averaged over the surroundings.

        Exemplars are chosen by farthest-point sampling; the limit is one and a half times the distance within which
        they cover all of ``colours``.
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
        colours = (_logarithms(local_mean(ms)) - self.mean[:, None, None]).reshape(N_BANDS, -1)
        half = (self.exemplars**2).sum(1) / 2
        result = np.empty(colours.shape[1], np.float32)
        for first in range(0, result.size, _PIXELS):
            points = self.whitening @ colours[:, first : first + _PIXELS]
            nearest = (self.exemplars @ points - half[:, None]).max(0)  # |p - e|^2 = |p|^2 - 2 (p.e - |e|^2 / 2)
            squared = (points**2).sum(0) - 2 * nearest
            result[first : first + _PIXELS] = np.sqrt(np.maximum(squared, 0))
        return result.reshape(ms.shape[1:])

    def out_of_domain(self, ms: Float) -> Mask:
        """Return (h, w) bool, True where the surroundings in ms (6, h, w) are unlike any training imagery. No NaN."""
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
