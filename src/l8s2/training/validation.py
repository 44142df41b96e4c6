"""How good a network in training is on what was held out, in decibels over bicubic, and a picture of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Picture
from torch import nn

from l8s2.arrays import Float, fill_missing
from l8s2.datasets.image_pair import Pairs
from l8s2.evaluation.image_scores import ImageScore, for_scoring, interpolated, score_pair
from l8s2.sensors import NATIVE_10M, NATIVE_20M, RGB

PICTURE = 240
"""Pixels to a side of each of the four parts of a picture, at most."""
ERROR_RANGE = 0.05
"""Mean absolute error, reflectance, that is shown white."""


class Trained:
    """A network straight from training as a predictor of whole images (``predict`` of predictors.Predictor)."""

    def __init__(self, network: nn.Module, device: torch.device | str = "cpu") -> None:
        self.network, self.device = network.eval().to(device), device

    def predict(self, ms: Float, pan: Float | None, *, sun_elevation: float | None = None) -> tuple[Float, Float]:
        """Return (mean, sigma) (6, 3h, 3w), or (6, H, W) of inputs at 10 m; sigma is NaN where a network has none.

        ``sun_elevation`` makes no difference: pan goes in as in training.
        """
        inputs = [torch.from_numpy(np.ascontiguousarray(fill_missing(ms)))[None].to(self.device), None]
        if pan is not None and (self.network.uses_pan or pan.shape == ms.shape[1:]):
            inputs[1] = torch.from_numpy(np.ascontiguousarray(fill_missing(pan[None])))[None].to(self.device)
        with torch.inference_mode():
            mean, sigma = self.network(*inputs)
        result: Float = mean[0].float().cpu().numpy()
        return result, np.full_like(result, np.nan) if sigma is None else sigma[0].float().cpu().numpy()


def summary(scores: Sequence[ImageScore]) -> dict[str, Any]:
    """Return what is logged: gain over bicubic (dB) and error (reflectance), means over sites of means over images."""
    gain, error = band_means(scores, lambda s: s.gain), band_means(scores, lambda s: s.rmse)
    return {
        "gain_db": _plain(_mean(gain)), "gain_10m_db": _plain(_mean(gain[NATIVE_10M])),
        "gain_20m_db": _plain(_mean(gain[NATIVE_20M])), "rmse": _plain(_mean(error), 6), "held_out": len(scores),
    }  # fmt: skip


def band_means(scores: Sequence[ImageScore], of: Callable[[ImageScore], Any]) -> Any:
    """Return (6,) means over sites of means over their images; NaN for bands that are nowhere known."""
    sites = dict.fromkeys(s.site for s in scores)
    return _mean([_mean([of(s) for s in scores if s.site == site]) for site in sites])


def validate(
    network: nn.Module, held_out: Pairs, *, device: torch.device | str = "cpu", share: slice = slice(None)
) -> list[ImageScore]:
    """Return the scores of the held-out pairs ``share``, see ``evaluation.image_scores``."""
    trained = Trained(network, device)
    return [score_pair(trained, held_out[n]) for n in range(len(held_out))[share]]


def picture(network: nn.Module, held_out: Pairs, path: Path, *, device: torch.device | str = "cpu") -> None:
    """Draw input, output, truth and error of the first held-out pair as a PNG.

    Images are in true colour, the error is the mean of all bands.
    """
    pair = for_scoring(held_out[0])
    truth, before = pair.truth, interpolated(pair)
    after, _ = Trained(network, device).predict(pair.ms, pair.pan)
    shown = np.nan_to_num(truth[RGB])
    low, high = (np.percentile(shown, p, axis=(1, 2))[:, None, None] for p in (1, 99))
    parts = [(np.nan_to_num(x[RGB]) - low) / np.maximum(high - low, 1e-3) for x in (before, after, truth)]
    parts.append(np.repeat(np.nan_to_num(np.abs(after - truth)).mean(0, keepdims=True) / ERROR_RANGE, 3, axis=0))
    gap = np.ones((3, truth.shape[1], 4))
    row = np.concatenate([p for x in parts for p in (x[:, :PICTURE, :PICTURE], gap[:, :PICTURE])][:-1], axis=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray((np.clip(row, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)).save(path)


def _mean(rows: Any) -> Any:
    """Mean over the first axis of what is not NaN; NaN where nothing is left, without a warning."""
    rows = np.asarray(rows, dtype=np.float64)
    known = np.isfinite(rows)
    number = known.sum(0)
    return np.where(number > 0, np.where(known, rows, 0).sum(0) / np.maximum(number, 1), np.nan)


def _plain(value: Any, digits: int = 4) -> float:
    return round(float(value), digits)
