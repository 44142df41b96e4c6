"""What is in a source of pairs, in numbers: its columns, and the reflectance of its bands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from l8s2.datasets.image_pair import Pairs
from l8s2.datasets.set_pairs import ShardPairs
from l8s2.patches.shard import table_type
from l8s2.sensors import BAND_NAMES, N_BANDS

_PLACE = ("patch_id", "geometry", "bounds", "ms_transform", "s2_transform")
"""Columns that no summary makes sense of."""
_QUANTILES = {"min": 0.0, "p05": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}


def evenly(count: int, most: int) -> list[int]:
    """At most ``most`` of ``count`` indices, evenly spread."""
    return sorted(set(np.linspace(0, count - 1, min(most, count)).round().astype(int).tolist()))


def summarize(pairs: Pairs, indices: Sequence[int]) -> dict[str, Any]:
    """Return everything that ``l8s2 dataset stats`` shows, as plain values; numbers that are not known are None.

    ``columns`` are over all patches of a set of ours (empty for other sources), ``bands`` over the patches ``indices``:
    reflectance as read, of Landsat (all known pixels), pan, and Sentinel-2 (those that count, whose share is
    ``valid``).
    """
    result: dict[str, Any] = {"patches": len(pairs), "read": len(indices), "sides": {}, "columns": {}}
    if isinstance(pairs, ShardPairs):
        facts, sides = pairs.patches.facts[pairs.indices], pairs.patches.sides()
        names = (sides[name].pair_type if name in sides else "not split" for name in facts["patch_id"])
        result["sides"] = dict(sorted(Counter(names).items()))
        for name in (n for n in table_type().names or () if n not in _PLACE):
            if facts[name].ndim == 2:
                result["columns"] |= {
                    f"{name}_{b}": _numbers(v) for b, v in zip(BAND_NAMES, facts[name].T, strict=True)
                }
            else:
                result["columns"][name] = _texts(facts[name]) if facts[name].dtype == object else _numbers(facts[name])
    result["bands"] = _bands(pairs, indices)
    return result


def _numbers(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    known = values[~np.isnan(values)].astype(float)
    quantiles = np.quantile(known, list(_QUANTILES.values())) if np.isfinite(known).any() else [np.nan] * 5
    return {"known": int(known.size), **{k: _plain(v) for k, v in zip(_QUANTILES, quantiles, strict=True)}}


def _texts(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    counts = Counter(value for value in values if value)
    most = min(counts, key=lambda text: (-counts[text], text)) if counts else None
    return {"known": sum(counts.values()), "distinct": len(counts), "most_common": most}


def _plain(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


class _Moments:
    """Of the pixels of one band."""

    def __init__(self) -> None:
        self.count, self.total, self.squares, self.low, self.high = 0, 0.0, 0.0, np.inf, -np.inf

    def add(self, values: np.ndarray[Any, Any]) -> None:
        values = values[np.isfinite(values)].astype(np.float64)
        if values.size:
            self.count += values.size
            self.total += float(values.sum())
            self.squares += float(values @ values)
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def summary(self) -> dict[str, Any]:
        mean = self.total / self.count if self.count else np.nan
        deviation = np.sqrt(max(self.squares / self.count - mean**2, 0.0)) if self.count else np.nan
        found = {"mean": mean, "std": float(deviation), "min": self.low, "max": self.high}
        return {"pixels": self.count, **{name: _plain(value) for name, value in found.items()}}


def _bands(pairs: Pairs, indices: Sequence[int]) -> dict[str, Any]:
    landsat, sentinel2 = ([_Moments() for _ in BAND_NAMES] for _ in range(2))
    pan, counted, pixels = _Moments(), np.zeros(N_BANDS), 0
    for index in indices:
        pair = pairs[index]
        for band in range(N_BANDS):
            landsat[band].add(pair.ms[band])
            sentinel2[band].add(pair.truth[band][pair.valid[band]])
        if pair.pan is not None:
            pan.add(pair.pan.ravel())
        counted += pair.valid.sum(axis=(1, 2))
        pixels += pair.valid[0].size
    bands = {
        name: {"landsat": a.summary(), "sentinel2": b.summary() | {"valid": _plain(n / max(pixels, 1))}}
        for name, a, b, n in zip(BAND_NAMES, landsat, sentinel2, counted, strict=True)
    }
    return {**bands, "pan": {"landsat": pan.summary()}}
