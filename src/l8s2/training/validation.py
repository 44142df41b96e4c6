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
from l8s2.datasets.published import Patches
from l8s2.evaluation.baselines import bicubic
from l8s2.evaluation.places import PlaceScore, of_pair, score, score_image, simulate_place, validation_conditions
from l8s2.metrics.scores import rmse
from l8s2.sensors import BANDS, NATIVE_10M, NATIVE_20M, RGB
from l8s2.training.sources import Prepared

PICTURE = 240
"""Pixels to a side of each of the four parts of a picture, at most."""
ERROR_RANGE = 0.05
"""Mean absolute error, reflectance, that is shown white."""


class Trained:
    """A network straight from training as a predictor of whole images (``predict`` of predictors.Predictor)."""

    def __init__(self, network: nn.Module, device: torch.device | str = "cpu") -> None:
        self.network, self.device = network.eval().to(device), device

    def predict(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """(mean, sigma) (6, 3h, 3w), or (6, H, W) of inputs at 10 m; sigma NaN from a network that has none."""
        inputs = [torch.from_numpy(np.ascontiguousarray(fill_missing(ms)))[None].to(self.device), None]
        if pan is not None and (self.network.uses_pan or pan.shape == ms.shape[1:]):
            inputs[1] = torch.from_numpy(np.ascontiguousarray(fill_missing(pan[None])))[None].to(self.device)
        with torch.inference_mode():
            mean, sigma = self.network(*inputs)
        result: Float = mean[0].float().cpu().numpy()
        return result, np.full_like(result, np.nan) if sigma is None else sigma[0].float().cpu().numpy()


def summary(scores: Sequence[PlaceScore]) -> dict[str, Any]:
    """What is logged: gain over bicubic (dB) and error (reflectance), means over the places of the means over their images."""
    gain, error = band_means(scores, lambda s: s.gain), band_means(scores, lambda s: s.rmse)
    return {
        "gain_db": _plain(_mean(gain)), "gain_10m_db": _plain(_mean(gain[NATIVE_10M])), "gain_20m_db": _plain(_mean(gain[NATIVE_20M])),
        "rmse": _plain(_mean(error), 6), "held_out": len(scores),
    }  # fmt: skip


def band_means(scores: Sequence[PlaceScore], of: Callable[[PlaceScore], Any]) -> Any:
    """(6,) mean over places of the mean over their images of a row of bands; NaN for bands that are nowhere known."""
    places = dict.fromkeys(s.place for s in scores)
    return _mean([_mean([of(s) for s in scores if s.place == place]) for place in places])


def validate(
    network: nn.Module,
    prepared: Prepared,
    *,
    device: torch.device | str = "cpu",
    share: slice = slice(None),
    untidy: bool = False,
) -> list[PlaceScore]:
    """Scores of the held-out images, pairs or patches ``share``, images simulated with the nominal sensor and noise.

    ``untidy``: simulated with sensors that differ as real ones do, every image with others.
    The gain of images and pairs is over Keys bicubic of the Landsat bands, that of patches over their interpolated input.
    """
    trained = Trained(network, device)
    found = [
        score_image(
            trained,
            image.place,
            image.stack,
            image.known_bands,
            validation_conditions(disturbed=False, seed=n, untidy=untidy),
            n,
        )
        for n, image in list(enumerate(prepared.images))[share]
    ]
    if prepared.patches is not None:
        found += [_score_patch(trained, prepared.patches, n) for n in range(len(prepared.patches))[share]]
    if prepared.pairs is not None:
        found += [score(trained, of_pair(prepared.pairs[n])) for n in range(len(prepared.pairs))[share]]
    return found


def _score_patch(trained: Trained, patches: Patches, index: int) -> PlaceScore:
    patch = patches[index]
    mean, _ = trained.predict(patch.ms, patch.pan[0])
    pairs = list(zip(patch.ms, mean, patch.truth, patch.valid, strict=True))
    nothing = np.full(len(BANDS), np.nan)
    return PlaceScore(
        place="patches",
        bicubic_rmse=np.array([rmse(before, truth, valid).value for before, _, truth, valid in pairs]),
        rmse=np.array([rmse(after, truth, valid).value for _, after, truth, valid in pairs]),
        coverage=nothing,
        pearson=nothing,
        pixels=int(patch.valid.all(0).sum()),
    )


def picture(network: nn.Module, prepared: Prepared, path: Path, *, device: torch.device | str = "cpu") -> None:
    """Input | output | truth | error of the first thing held out as a PNG; true colour, and the mean error of all bands."""
    trained = Trained(network, device)
    if prepared.patches is not None:
        patch = prepared.patches[0]
        before, truth = patch.ms, patch.truth
        after, _ = trained.predict(patch.ms, patch.pan[0])
    elif prepared.pairs is not None:
        _, ms, pan, truth, _ = of_pair(prepared.pairs[0])
        before = bicubic(fill_missing(ms))
        after, _ = trained.predict(ms, pan)
    else:
        stack = prepared.images[0].stack[:, :PICTURE, :PICTURE]
        truth, ms, pan, _ = simulate_place(stack, validation_conditions(disturbed=False, seed=0), 0)
        before = bicubic(fill_missing(ms))
        after, _ = trained.predict(ms, pan)
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
