"""A model for one's own region: a few careful steps, and a verdict on ground that was held out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from l8s2._version import __version__
from l8s2.datasets.open import form_of, open_pairs
from l8s2.errors import InputError
from l8s2.evaluation.calibration import error_ratios
from l8s2.evaluation.image_scores import ImageScore
from l8s2.metrics.uncertainty import Z_90
from l8s2.models.folder import save_model_folder
from l8s2.networks import HarmonizationNetwork
from l8s2.sensors import BAND_NAMES
from l8s2.training.archive_split import images_of
from l8s2.training.config import RunConfig, SimulatedConfig, parse
from l8s2.training.loop import Report, train
from l8s2.training.run_folder import RunFolder, read_checkpoint
from l8s2.training.sources import Source, prepare
from l8s2.training.start import initial_network
from l8s2.training.validation import Trained, band_means, validate

SIMULATED = "simulated with two sensors that differ as real ones do"
"""What the comparison is on, unless it is on real pairs."""
WORTH = 0.1
"""Decibels, mean of the bands, by which new weights must be better to be recommended; no band may lose as much."""
CALIBRATION_PAIRS = 72
"""Number of training pairs, at most, that sigma is scaled on."""
COVERAGE = (0.85, 0.95)
"""Share of errors within +-1.645 sigma, 0.90 ideally, outside of which a warning is due."""


def finetune(
    model: str,
    imagery: Path,
    folder: Path,
    *,
    steps: int,
    learning_rate: float,
    batch: int = 8,
    trust_architecture: str | None = None,
    resume: bool = False,
    max_minutes: float = math.inf,
    report: Report,
) -> dict[str, Any]:
    """Go on training ``model`` on a region, and compare it with bicubic and with what it was.

    Pairs are simulated from archives: what ``archive_split.hold_out_latitude_bands`` holds out is not trained on. Of
    real pairs side Train is trained on, and side Test held out. The sigma of a network with a calibration is scaled on
    the ground that was trained on.

    Args:
        model: as ``model.start`` in the configuration.
        imagery: folder of .npz archives of Sentinel-2, see ``simulate.archives``, or a set of real pairs, see
            ``datasets.open``.
        folder: of the run; the finished model is its ``model``.
        steps: of training.
        learning_rate: at its highest.
        batch: pairs to a step.
        trust_architecture: as ``model.trust_architecture`` in the configuration.
        resume: as ``loop.train``.
        max_minutes: as ``loop.train``.
        report: as ``loop.train``.

    Returns:
        ``verdict`` in words and ``use`` as a bool; ``psnr`` and ``coverage`` by bicubic, start, finetuned: a list of
        bands.
    """
    start = {"start": model, "trust_architecture": trust_architecture}
    config = _config(start, imagery, steps, learning_rate, batch)
    before, architecture, model_config = initial_network(config.model)
    prepared = prepare(config.data, config.seed, pan=bool(before.uses_pan), report=report)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    held_out = prepared.untidy or prepared.held_out
    first = validate(before, held_out, device=device)
    if not any(np.isfinite(score.rmse).any() for score in first):
        raise InputError(
            f"{imagery}: no pixel of the ground held out counts (clouds, or patches too small); give more of the region"
        )
    outcome = train(config, folder, resume=resume, max_minutes=max_minutes, prepared=prepared, report=report)
    after, _, _ = initial_network(config.model)
    state = read_checkpoint(RunFolder(folder).last)  # not the best: the held-out ground must have no say
    after.load_state_dict(state["average"])
    if after.sigma_scale is not None:
        report("scaling sigma on the ground that was trained on")
        _scale_sigma(after, prepared.training, device)
    report("comparing with the starting weights on the held-out ground")
    found = verdict(first, validate(after, held_out, device=device), "real pairs" if config.data.pairs else SIMULATED)
    card = (
        f"# {folder.name}\n\n{architecture}, {state['step']} steps of fine-tuning from {model} "
        f"with l8s2 {__version__}.\n\n"
        f"```\n{table(found)}\n```\n"
    )
    save_model_folder(after, architecture, model_config, outcome.model, card, overwrite=True)
    return {"model": str(outcome.model), "start": model, "step": state["step"], **found}


def _scale_sigma(network: HarmonizationNetwork, source: Source, device: str) -> None:
    """Make +-1.645 sigma hold 90 % of the errors on what was trained on, each band by itself."""
    count = len(source.pairs)
    some = np.unique(np.linspace(0, count - 1, min(count, CALIBRATION_PAIRS)).round().astype(int))
    observed = (source.pairs[int(n)] for n in some)
    ratios = error_ratios(Trained(network, device), observed)
    bands = [np.concatenate(band) for band in zip(*ratios.values(), strict=True)]
    scale = [np.quantile(band, 0.9) / Z_90 if band.size else 1.0 for band in bands]
    assert network.sigma_scale is not None
    network.sigma_scale.mul_(torch.tensor(scale).to(network.sigma_scale))


def _config(model: dict[str, str | None], imagery: Path, steps: int, rate: float, batch: int) -> RunConfig:
    if form_of(imagery):
        kind, data = "pairs", {"folder": imagery, "validation_side": "Test"}
        data["size"] = min(40, min(open_pairs(imagery, "Train")[0].ms.shape[1:]) - 1)
    else:
        kind, data = "simulated", {"folder": imagery, "untidy": 1}
        images, _ = images_of(SimulatedConfig.model_validate(data))
        data["size"] = min(40, max(min(image.stack.shape[1:]) // 3 for image in images))
    return parse(
        {
            "model": model,
            "data": {"batch": batch, kind: data},
            "optimizer": {"learning_rate": rate},
            "schedule": {"warmup": min(20, steps // 4)},
            "steps": steps,
            "validate_every": steps,
            "ema": 0.99,
            "checkpoint_every": 50,
            "log_every": 50,
        },
        "finetune",
    )


def verdict(before: list[ImageScore], after: list[ImageScore], kind: str = SIMULATED) -> dict[str, Any]:
    """Compare the scores of the starting and of the new weights on the same held-out images of ``kind``."""
    baseline = band_means(before, lambda s: -20 * np.log10(s.bicubic_rmse))
    start, new = (band_means(scores, lambda s: -20 * np.log10(s.rmse)) for scores in (before, after))
    gain, worst = float(np.nanmean(new - start)), int(np.nanargmin(new - start))
    over_bicubic, loss = float(np.nanmean(new - baseline)), float((new - start)[worst])
    if gain >= WORTH and loss > -WORTH and over_bicubic > 0:
        use, words = (
            True,
            f"Use the new weights: on ground they never saw they are {gain:+.2f} dB better than the starting weights",
        )
    elif gain >= WORTH and over_bicubic > 0:
        use, words = (
            False,
            (
                f"Keep the starting weights unless {BAND_NAMES[worst]} does not matter to you: the new ones are "
                f"{gain:+.2f} dB better in the mean but {loss:+.2f} dB in that band"
            ),
        )
    else:
        use, words = False, f"Keep the starting weights: the new ones differ by {gain:+.2f} dB in the mean"
    words += f" and {over_bicubic:+.2f} dB over bicubic."
    covered = band_means(after, lambda s: s.coverage)
    outside = [
        n for n, c in zip(BAND_NAMES, covered, strict=True) if not (np.isnan(c) or COVERAGE[0] <= c <= COVERAGE[1])
    ]
    if use and outside:
        words += f" Their sigma is off in {', '.join(outside)}: its 90 % interval does not hold 90 %."
    psnr = {"bicubic": baseline, "start": start, "finetuned": new}
    coverage = {"start": band_means(before, lambda s: s.coverage), "finetuned": covered}
    return {
        "verdict": words,
        "use": use,
        "held_out": kind,
        "held_out_images": len(before),
        "held_out_sites": len({s.site for s in before}),
        "bands": list(BAND_NAMES),
        "psnr": {name: _plain(row) for name, row in psnr.items()},
        "coverage": {name: _plain(row) for name, row in coverage.items()},
    }


def _plain(row: Any) -> list[float | None]:
    return [round(float(x), 3) if np.isfinite(x) else None for x in row]


def table(result: dict[str, Any]) -> str:
    """Return the verdict as a table for people."""
    lines = [f"{'PSNR, dB':12s}" + "".join(f"{band:>9s}" for band in result["bands"]) + f"{'mean':>9s}"]
    for kind, row in result["psnr"].items():
        known = [x for x in row if x is not None]
        lines.append(f"{kind:12s}" + "".join(_cell(x, "9.2f") for x in [*row, sum(known) / max(len(known), 1)]))
    lines.append("coverage of the 90 % interval")
    lines += [f"{kind:12s}" + "".join(_cell(x, "9.3f") for x in row) for kind, row in result["coverage"].items()]
    images, sites = result["held_out_images"], result["held_out_sites"]
    lines += [
        f"on {images} held-out image{'s'[: images != 1]} of {sites} site{'s'[: sites != 1]}, {result['held_out']}",
        result["verdict"],
    ]
    return "\n".join(lines)


def _cell(value: float | None, form: str) -> str:
    return f"{'-':>9s}" if value is None else f"{value:{form}}"
