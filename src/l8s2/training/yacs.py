"""Configurations of the Deep-Harmonization code (a YACS tree), taken over key by key or refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from l8s2.errors import InputError
from l8s2.models import deep_harmonization
from l8s2.sensors import N_BANDS


class Rule(NamedTuple):
    """What becomes of a key: ``to`` puts it there; ``only`` are the values that change nothing; else any value does."""

    to: str | None = None
    """Our key."""
    only: tuple[Any, ...] | None = None
    """Values that are accepted; others are refused with ``why``."""
    why: str = ""
    """Why others are refused, or what the key is here."""
    change: Callable[[Any], Any] | None = None
    """The value for ``to``."""


_REFUSED: tuple[Any, ...] = ()
_LOSSES = {"L1": "L1", "MGL": "mixed_gradient", "SSIM": "SSIM"}
_NO_WANDB = "logging to wandb is not built; metrics.jsonl is written, and TensorBoard with tensorboard true"
_NO_FILTER = "filtering the input is not built: the published networks had it off"
_NO_WEIGHTS = "has no published weights and is not built; take AUNet or AUNet_Gaussian"
_OUTPUT = "here the folder of the run is -o"

RULES: dict[str, Rule] = {
    "gpu_id": Rule(only=("", None), why="choose the GPU with the variable CUDA_VISIBLE_DEVICES"),
    "training_name": Rule(why=_OUTPUT),
    "random_seed": Rule(to="seed"),
    "batch_size": Rule(to="data.batch"),
    "learning_rate": Rule(to="optimizer.learning_rate"),
    "epochs": Rule(to="epochs"),
    "scheduler_mode": Rule(to="schedule.mode"),
    "scheduler_factor": Rule(to="schedule.factor"),
    "scheduler_patience": Rule(to="schedule.patience"),
    "checkpoint_path": Rule(why=_OUTPUT),
    "criterion": Rule(to="loss.kind", only=tuple(_LOSSES), why="use L1, MGL or SSIM", change=_LOSSES.get),
    "pre_interpolate": Rule(only=(True,), why="patches are interpolated to 10 m; the networks take such inputs"),
    "fuse_pan": Rule(
        to="model.config.in_channels",
        only=(True, False),
        why="use true or false",
        change=lambda x: N_BANDS + 1 if x else N_BANDS,
    ),
    "high_pass": Rule(only=(False,), why=_NO_FILTER),
    "band_pass": Rule(only=(False,), why=_NO_FILTER),
    "BOA": Rule(only=(True,), why="only surface reflectance is trained on"),
    "bandpass_model_path": Rule(why="only used with band_pass"),
    "use_cuda": Rule(to="device", only=(True, False), why="use true or false", change=lambda x: "auto" if x else "cpu"),
    "use_parallel": Rule(only=(False,), why="for several GPUs start l8s2 train with torchrun or `slurm`"),
    "iters_to_accumulate": Rule(to="accumulate"),
    "resume_training": Rule(only=(False,), why="a run goes on with `resume`; give other weights as model.start"),
    "resume_weight_path": Rule(why="only used with resume_training"),
    "wandb_resume": Rule(only=(False,), why=_NO_WANDB),
    "wandb_logging": Rule(only=(False,), why=_NO_WANDB),
    "wandb_project": Rule(why=_NO_WANDB),
    "wandb_entity": Rule(why=_NO_WANDB),
    "wandb_description": Rule(why=_NO_WANDB),
    "csv_path": Rule(to="data.deep_harmonization.csv_path"),
    "patch_path": Rule(to="data.deep_harmonization.patch_path"),
    "train_key": Rule(to="data.deep_harmonization.train_key"),
    "test_key": Rule(why="training never looks at these rows"),
    "validation_key": Rule(to="data.deep_harmonization.validation_key"),
    "num_workers": Rule(to="data.workers", change=lambda x: max(1, int(x))),
    "s2_array_size": Rule(to="data.deep_harmonization.size"),
    "l8_array_size": Rule(why="Landsat goes from its own size to that of Sentinel-2 in one interpolation"),
    "model_kind": Rule(only=("AUNet", "AUNet_Gaussian"), why=_NO_WEIGHTS),
    **{
        f"{section}.{key}": rule
        for section in ("AUNet", "AUNet_G")
        for key, rule in {
            "in_channels": Rule(to="model.config.in_channels"),
            "out_channels": Rule(to="model.config.out_channels"),
            "depth": Rule(to="model.config.depth"),
            "spatial_attention": Rule(to="model.config.spatial_attention"),
            "growth_factor": Rule(to="model.config.growth_factor"),
            "interp_mode": Rule(only=("bicubic",), why="inputs are interpolated bicubically"),
            "up_mode": Rule(to="model.config.up_mode"),
            "ca_layer": Rule(to="model.config.ca_layer"),
        }.items()
    },
    **{section: Rule(only=_REFUSED, why=_NO_WEIGHTS) for section in ("UNet_pan", "MB_RRDB", "ESRT", "UNet_mit")},
}  # fmt: skip
"""Every key of the Deep-Harmonization configuration."""

DEFAULTS: dict[str, Any] = {
    "random_seed": 42, "batch_size": 10, "learning_rate": 1e-5, "epochs": 200, "scheduler_mode": "min",
    "scheduler_factor": 0.5, "scheduler_patience": 10, "criterion": "L1", "num_workers": 4, "s2_array_size": 256,
    "model_kind": "AUNet_Gaussian",
}  # fmt: skip
"""Values of keys that a Deep-Harmonization file leaves out, where they are not the defaults here."""

NETWORK: dict[str, Any] = {"depth": 3, "up_mode": "shuffle", "growth_factor": 6}
"""Values of keys of its network that a file leaves out."""
_MARKS = {"model_kind", "csv_path", "patch_path", "criterion", "training_name", "AUNet", "AUNet_G"}


def is_deep_harmonization(content: Mapping[str, Any]) -> bool:
    """Return whether this is a configuration of the Deep-Harmonization code, not one of l8s2."""
    return bool(_MARKS & set(content)) and not {"model", "data"} & set(content)


def translate(content: Mapping[str, Any], name: str) -> tuple[dict[str, Any], list[str]]:
    """Return our configuration, and a note for every key that is not taken over.

    Raises InputError for a key or value that cannot be, by name and with the reason; ``name`` says where it comes from.
    """
    given = _flat(content)
    notes: list[str] = []
    for key, value in given.items():
        rule = RULES.get(key) or RULES.get(
            key.partition(".")[0]
        )  # those of a refused section count for all that is in it
        if rule is None:
            raise InputError(f"{name}: {key} is no key of the Deep-Harmonization configuration, nor of l8s2")
        if rule.only is not None and value not in rule.only:
            why = f"{value} {rule.why}" if key == "model_kind" else f"{value!r}: {rule.why}"
            raise InputError(f"{name}: {key} {why}")
        if rule.to is None and rule.only is None:
            notes.append(f"{key} is not used: {rule.why}")
    settings = DEFAULTS | given
    gaussian = settings["model_kind"] == "AUNet_Gaussian"
    other = "AUNet" if gaussian else "AUNet_G"
    ours: dict[str, Any] = {
        "model": {
            "architecture": deep_harmonization.ARCHITECTURE,
            "config": {**NETWORK, "input_alignment": "lattice", "pan_sun_corrected": False, "gaussian": gaussian},
        },
        "data": {"deep_harmonization": {"min_ssim": 0.81, "min_psnr": 22.0}},
        "loss": {"gradient_weight": 0.1},
        "optimizer": {"kind": "adam", "weight_decay": 0.0, "betas": (0.9, 0.999), "clip": None},
        "schedule": {"kind": "plateau", "warmup": 0},
        "ema": 0.0,
    }
    for key, value in settings.items():
        rule = RULES[key]
        if rule.to is not None and not key.startswith(f"{other}."):
            _set(ours, rule.to, rule.change(value) if rule.change else value)
    notes += [
        f"{key} is not used: model_kind is {settings['model_kind']}" for key in given if key.startswith(f"{other}.")
    ]
    if gaussian:
        ours["loss"]["kind"] = "gaussian_nll"
        notes += ["criterion is not used: AUNet_Gaussian is trained by its likelihood"] if "criterion" in given else []
    ours["data"]["batch"] = int(settings["batch_size"]) * int(settings.get("iters_to_accumulate", 1))
    return ours, notes


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _set(content: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        content = content.setdefault(section, {})
    content[last] = value
