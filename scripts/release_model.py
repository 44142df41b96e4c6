"""Calibrate sigma, export, and write the model card.

``python scripts/release_model.py RUN IMAGERY SPLIT -o NAME.onnx``
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from l8s2._version import __version__
from l8s2.arrays import fill_missing
from l8s2.datasets.simulated_pairs import RandomlySimulatedPairs
from l8s2.evaluation.calibration import Ratios, error_ratios, factors, validation_scores
from l8s2.evaluation.image_scores import mean_by_site
from l8s2.files import whole_file
from l8s2.models.card_head import Scores, card_head
from l8s2.models.domain import Domain, local_mean
from l8s2.models.onnx_export import export_onnx
from l8s2.networks import Compact, HarmonizationNetwork, build
from l8s2.predictors.load import load_model
from l8s2.predictors.network_predictor import NetworkPredictor
from l8s2.predictors.protocol import Predictor
from l8s2.predictors.torch_network import TorchNetwork
from l8s2.sensors import BAND_NAMES
from l8s2.simulate.archives import Image
from l8s2.training.archive_split import read_split, split_folder
from l8s2.training.config import Model
from l8s2.training.run_folder import read_checkpoint
from l8s2.training.start import initial_network

KINDS = {
    "clean": "with the nominal sensor and noise, an upper bound",
    "disturbed": "with the nominal sensor, noise and errors of level between the sensors",
    "untidy": "with two sensors that differ as real ones do",
}
"""Conditions of validation, and what they are."""


def colours(images: list[Image], each: int = 800) -> np.ndarray:
    """Return (n, 6) locally averaged reflectance at random pixels of ``images``, for the domain.

    The pixels are taken as they are and brighter or darker.
    """
    rng = np.random.default_rng(0)
    found = []
    for image in images:
        if all(image.known_bands):
            coarse = local_mean(fill_missing(image.stack[:, 1::3, 1::3]))[
                :, np.isfinite(image.stack[:, 1::3, 1::3]).all(0)
            ]
            drawn = coarse[:, rng.integers(0, coarse.shape[1], min(each, coarse.shape[1]))].T
            found += [drawn, drawn * np.exp(rng.normal(0, 0.2, (len(drawn), 1)))]
    return np.concatenate(found).astype(np.float32)


def validate(predictor: Predictor, images: list[Image], ratios: Ratios, kind: str) -> dict[str, dict[str, list[float]]]:
    """Scores by site as plain lists; the sigma of a site is calibrated without it."""
    scores = validation_scores(predictor, images, ratios, disturbed=kind == "disturbed", untidy=kind == "untidy")
    return {p: {k: [round(float(x), 5) for x in v] for k, v in row.items()} for p, row in mean_by_site(scores).items()}


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("imagery", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("split", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The .onnx file; its card goes beside it as .md.",
)
@click.option(
    "--detail-gain",
    nargs=6,
    type=float,
    default=(1.0,) * 6,
    help="What the learned detail of each band is multiplied by, as real pairs ask (best multiple of the detail).",
)
@click.option(
    "--back-projection-steps",
    "steps",
    nargs=6,
    type=float,
    help="Of each band, instead of those of the training: the product must say at 30 m what went in.",
)
@click.option("--stages", default="", help="What came before the run, for the card.")
def main(
    run: Path,
    imagery: Path,
    split: Path,
    output: Path,
    detail_gain: tuple[float, ...],
    steps: tuple[float, ...] | None,
    stages: str,
) -> None:
    """Turn the checkpoint of RUN into a model file, scored on the archives of IMAGERY that SPLIT holds out."""
    state = read_checkpoint(run / "last.pt")
    network, architecture, config = initial_network(Model(start=str(run / "last.pt")))
    if steps:
        trained, config = network, {**config, "back_projection_steps": list(steps)}
        network = build(architecture, config)
        network.load_state_dict(trained.state_dict())
    network.eval()
    if network.sigma_scale is None:
        raise click.UsageError(f"{run}: {architecture} has no sigma to scale; see l8s2 models export")
    if detail_gain != (1.0,) * len(BAND_NAMES):
        multiply_detail(network, detail_gain)
    training, calibration, validation = split_folder(imagery, read_split(split))
    checkpoint = TorchNetwork(lambda: deepcopy(network))
    untidy = bool((state["training_config"].get("data", {}).get("simulated") or {}).get("untidy", False))
    pairs = RandomlySimulatedPairs(calibration + validation, untidy=untidy)
    ratios = error_ratios(NetworkPredictor("in training", "", checkpoint, None), pairs)
    network.sigma_scale.mul_(torch.tensor(factors(ratios)))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    card = {
        "name": output.stem, "architecture": architecture, "version": __version__, "commit": commit,
        "steps": state["step"],
        "training": _recipe(state["training_config"]), "stages": stages,
        "detail_gain": list(detail_gain), "back_projection_steps": list(steps or ()),
        "sites": sorted({i.site for i in training}), "calibration": sorted({i.site for i in calibration}),
    }  # fmt: skip
    domain = Domain.fit(colours(training))
    export_onnx(network, output, architecture=architecture, config=config, card=card, domain=domain)
    predictor = load_model(output)
    tables = {kind: validate(predictor, validation, ratios, kind) for kind in KINDS}
    with whole_file(output.with_suffix(".md")) as draft:
        text = card_head(output.stem, simulated_scores(tables)) + model_card(network, card, tables)
        draft.write_text(text, encoding="utf-8")  # what real pairs say is put in by hand
    click.echo(json.dumps(tables["clean"]["mean"]))


def multiply_detail(network: HarmonizationNetwork, gain: Sequence[float]) -> None:
    """Multiply the detail of each band that the body predicts, (6,) factors."""
    if not isinstance(network, Compact):
        raise click.UsageError(f"--detail-gain is for Compact networks, not a {type(network).__name__}; leave it out")
    each = network.tail.out_channels // 2 // len(BAND_NAMES)
    factors = torch.tensor(gain).repeat_interleave(each)
    with torch.no_grad():
        network.tail.weight[: len(factors)] *= factors[:, None, None, None]
        assert network.tail.bias is not None
        network.tail.bias[: len(factors)] *= factors


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _recipe(config: dict[str, Any]) -> dict[str, Any]:
    """Return steps, seed, batch and size of a run."""
    data = config["data"]
    return {
        "steps": config["steps"],
        "seed": config["seed"],
        "batch": data["batch"],
        "size": data["simulated"]["size"],
    }


def simulated_scores(tables: dict[str, dict[str, dict[str, list[float]]]]) -> list[Scores]:
    """Return the means over the validation sites, for the head of the card."""
    found = []
    for kind, table in tables.items():
        gain, coverage = table["mean"]["gain"], table["mean"]["coverage"]
        values = {}
        for bands, part in (("10 m bands", slice(3)), ("20 m bands", slice(3, None))):
            values[f"PSNR over bicubic, {bands}, dB"] = round(float(np.mean(gain[part])), 2)
            values[f"Coverage of the 90 % interval of the detail, {bands}"] = round(float(np.mean(coverage[part])), 3)
        on = f"{', '.join(site for site in table if site != 'mean')}; {kind}, {KINDS[kind]}"
        found.append(Scores(kind="simulated", on=on, values=values))
    return found


def model_card(
    network: HarmonizationNetwork, card: dict[str, Any], tables: dict[str, dict[str, dict[str, list[float]]]]
) -> str:
    """Markdown: what the model is, what it was trained on and how well it does."""
    parameters = sum(p.numel() for p in network.parameters())
    training, with_pan = card["training"], "with" if network.uses_pan else "without"
    stages = f", after {card['stages']}" if card["stages"] else ""
    steps = card["back_projection_steps"]
    gains = ", ".join(f"{name} {g:g}" for name, g in zip(BAND_NAMES, card["detail_gain"], strict=True) if g != 1)
    lines = [
        f"# {card['name']}",
        "",
        f"{card['architecture']} network, {with_pan} pan: {parameters:,} parameters, "
        f"receptive field {network.receptive_field} MS pixels. Input: Landsat-8/9 surface reflectance at 30 m "
        "(blue, green, red, nir08, swir16, swir22)"
        f"{' and top-of-atmosphere pan at 15 m' if network.uses_pan else ''}. "
        "Output: reflectance as Sentinel-2A would see it at 10 m, and its standard error. "
        "nir08, swir16 and swir22 imitate B8A, B11 and B12, which are 20 m native: there the output is as sharp "
        "as 20 m.",
        "",
        f"* **Data**: pairs simulated from Sentinel-2 and HLS imagery of {', '.join(card['sites'])}. "
        "Contains modified Copernicus Sentinel data. "
        f"Sigma was scaled on rows of {', '.join(card['calibration'])} "
        "that were not trained on and on the validation sites; "
        "coverage below is that of a scaling without the site it is shown for.",
        "* **Licence** of the weights: MIT.",
        f"* **Recipe**: `l8s2 train --config configs/compact{'' if network.uses_pan else '-nopan'}.yaml "
        "-o RUN data.simulated.folder IMAGERY "
        f"steps {training['steps']}`, then "
        f"`python scripts/release_model.py RUN IMAGERY configs/embedded-split.yaml -o {card['name']}.onnx`; "
        f"stopped at step {card['steps']}, seed {training['seed']}{stages}, "
        f"batches of {training['batch']} crops of {training['size']} x {training['size']} MS pixels; "
        f"l8s2 {card['version']}, commit {card['commit']}.",
        *(
            [f"* **Interpolation** worth {_listed(steps)} steps of back-projection, chosen after training."]
            if steps
            else []
        ),
        *([f"* **Detail**: what the network adds is multiplied by {gains}, as real pairs ask."] if gains else []),
        "* **Limits**: trained on about 10 Mpx of ground, simulated, no real Landsat; "
        "haze, cloud edges and snow are rare in it.",
    ]
    for kind, table in tables.items():
        lines += [
            "",
            f"## Validation sites, {kind}",
            "",
            f"Gain in PSNR over Keys bicubic of the Landsat bands (dB), simulated {KINDS[kind]}; "
            "coverage of +-1.645 sigma.",
            "",
            "| site | " + " | ".join(BAND_NAMES) + " | 10 m bands | 20 m bands | coverage 10 m | coverage 20 m |",
            "|---|" + "---|" * 10,
        ]
        for site, row in table.items():
            gain, coverage = row["gain"], row["coverage"]
            cells = [f"{g:+.2f}" for g in gain] + [f"{np.mean(gain[:3]):+.2f}", f"{np.mean(gain[3:]):+.2f}"]
            cells += [f"{np.mean(coverage[:3]):.3f}", f"{np.mean(coverage[3:]):.3f}"]
            lines.append(f"| {site} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
