"""Everything a run depends on, as typed sections, read from YAML with ``KEY VALUE`` overrides."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from l8s2.errors import InputError
from l8s2.training import yacs
from l8s2.training.losses import Kind


class Section(BaseModel):
    """A part of the configuration; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(Section):
    """What is trained: an architecture from scratch, or an existing model."""

    architecture: str | None = None
    """A name in ``l8s2.networks.ARCHITECTURES`` or ``package.module:Class``, as ``l8s2.networks.build`` takes it."""
    config: dict[str, Any] = {}
    """Its own configuration."""
    start: str | None = None
    """Instead of both: compact, compact-nopan, an .onnx of ours, a model folder, or owner/name on the Hub."""
    trust_architecture: str | None = None
    """The one ``package.module:Class`` that may be imported for ``start``, where what is stored there names it."""
    as_interpolation: bool = False
    """A network from scratch begins with bicubic interpolation as its answer; not all can."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Model:
        if self.as_interpolation and self.architecture is None:
            raise ValueError(
                "as_interpolation: only a network from scratch can; leave it out, or give model.architecture"
            )
        if (self.architecture is None) == (self.start is None) or (self.start and self.config):
            raise ValueError("give either model.architecture (with model.config) or model.start")
        if self.trust_architecture is not None and self.start is None:
            raise ValueError("model.trust_architecture: only model.start needs it; leave it out")
        return self


class CropsConfig(Section):
    """Windows of images that are larger."""

    folder: Path
    size: int = Field(default=40, ge=4)
    """MS pixels to a side of a crop."""
    border: int = Field(default=3, ge=0)
    """MS pixels at the border of a crop that do not count."""

    @model_validator(mode="after")
    def _something_counts(self) -> CropsConfig:
        if 2 * self.border >= self.size:
            raise ValueError(f"a border of {self.border} leaves nothing of a crop of {self.size}; take a smaller one")
        return self


class SimulatedConfig(CropsConfig):
    """Pairs simulated from Sentinel-2 imagery, see ``simulate.archives``."""

    disturbed: bool = False
    """Add radiometric errors that no network can undo."""
    untidy: float = Field(default=0, ge=0, le=1)
    """Share of the crops in which OLI differs from Sentinel-2 as real sensors do, see ``Conditions.random``."""
    split: Path | None = None
    """YAML file of what each archive is for, see ``training.archive_split``; relative to the configuration."""
    held_out: tuple[str, ...] = ()
    """Names of the archives, without .npz, that are held out whole to validate on, instead of a split."""

    @model_validator(mode="after")
    def _one_split(self) -> SimulatedConfig:
        if self.split is not None and self.held_out:
            raise ValueError(
                "give either split or held_out; without both the lowest rows of every archive are held out"
            )
        return self


class PairsConfig(CropsConfig):
    """Real pairs: a set that l8s2 has built, OLI2MSI or LS2S2, see ``datasets.open``."""

    train_side: str | None = "Train"
    """Of the set; null: all of it."""
    validation_side: str | None = "Validation"
    """Null: nothing is held out."""
    at_least: dict[str, float] = {}
    """Column of the index -> lowest value that is trained on, such as r: 0.8; what is not known is left out. Validation
    patches are never left out."""
    at_most: dict[str, float] = {}
    """Column of the index -> highest value that is trained on, such as landsat_cloud: 0.2."""
    nbar: bool = False
    """Bring both images to a view from nadir, by the c-factor (``datasets.brdf``); of sets that l8s2 has built."""
    augment: bool = True
    """Turn and mirror; a patch must then have one MS pixel more than ``size``."""


class DeepHarmonizationConfig(Section):
    """HDF5 patches of the Deep-Harmonization system, see ``datasets.deep_harmonization``."""

    csv_path: Path
    patch_path: Path
    train_key: str = "Train"
    """``pair_type`` of the rows to train on."""
    validation_key: str = "Validation"
    size: int = Field(default=256, ge=12)
    """10 m pixels to a side; larger patches are cut, smaller ones padded with invalid pixels."""
    min_ssim: float = 0.0
    """Rows below are not trained on (Deep-Harmonization: 0.81). Validation rows are never dropped."""
    min_psnr: float = 0.0
    """Decibels of PSNR that rows must exceed to be trained on (Deep-Harmonization: 22, exclusive)."""
    augment: bool = True
    """Turn and mirror. A shift between input and truth, as these patches have it, is turned with them."""


class Data(Section):
    """What is trained on: one of ``simulated``, ``pairs`` and ``deep_harmonization``."""

    batch: int = Field(default=16, ge=1)
    """Pairs to a step, over all processes and pieces."""
    workers: int = Field(default=1, ge=1)
    """Threads that prepare batches."""
    simulated: SimulatedConfig | None = None
    pairs: PairsConfig | None = None
    deep_harmonization: DeepHarmonizationConfig | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Data:
        if [self.simulated, self.pairs, self.deep_harmonization].count(None) != 2:
            raise ValueError(
                "give one of data.simulated.folder, data.pairs.folder, data.deep_harmonization.csv_path and patch_path"
            )
        return self


class Loss(Section):
    """See ``training.losses``."""

    kind: Kind = "detail"
    gradient_weight: float = Field(default=0.5, ge=0)
    """Of the gradients in ``detail`` and ``mixed_gradient`` (Lu & Chen: 0.1)."""
    sigma_weight: float = Field(default=0.1, ge=0)
    """Of the likelihood in ``detail``."""


class Optimizer(Section):
    """Adam, or Adam with decoupled weight decay."""

    kind: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = Field(default=1.5e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float | None = Field(default=1.0, gt=0)
    """Largest norm of the gradient; null: none."""


class Schedule(Section):
    """How the learning rate goes on after a linear warm-up."""

    kind: Literal["cosine", "plateau", "constant"] = "cosine"
    """Half a cosine down to zero; times ``factor`` after ``patience`` validations without improvement; as it is."""
    warmup: int = Field(default=200, ge=0)
    """Steps."""
    mode: Literal["max", "min"] = "max"
    """What ``plateau`` watches: the gain over bicubic, or the root mean square error."""
    factor: float = Field(default=0.5, gt=0, lt=1)
    patience: int = Field(default=10, ge=0)


class RunConfig(Section):
    """One training run."""

    model: Model
    data: Data
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    steps: int | None = Field(default=None, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    """Instead of steps, for data that have an end."""
    accumulate: int = Field(default=1, ge=1)
    """Pieces in which each process works off its share of a batch, to save memory."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of the convolutions; fp16 needs a GPU."""
    ema: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the average of the weights that is validated and kept; 0: no average."""
    seed: int = Field(default=42, ge=0)
    device: Literal["auto", "cpu"] = "auto"
    checkpoint_every: int = Field(default=250, ge=1)
    """Steps."""
    validate_every: int = Field(default=0, ge=0)
    """Steps; 0: once an epoch, and at the end."""
    log_every: int = Field(default=100, ge=1)
    """Steps."""
    tensorboard: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> RunConfig:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        if self.epochs and self.data.simulated:
            raise ValueError("epochs: simulated imagery has no end; give steps")
        return self


def read_config(path: Path, overrides: Sequence[str] = ()) -> tuple[RunConfig, list[str]]:
    """Read a YAML file, ours or of the Deep-Harmonization code (``training.yacs``), and note what was not taken over.

    Args:
        path: the file.
        overrides: key, value, key, value, ...; keys are dotted, values YAML.

    Raises InputError with one line that names the key.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a YAML file, such as those in configs/") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())}); correct it") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}; a configuration is a mapping of keys")
    _resolve_split(content, path.parent)
    if len(overrides) % 2:
        raise InputError(f"{overrides[-1]}: has no value; overrides are pairs KEY VALUE")
    for key, text in zip(overrides[::2], overrides[1::2], strict=True):
        _put(content, key, text)
    notes: list[str] = []
    if yacs.is_deep_harmonization(content):
        content, notes = yacs.translate(content, str(path))
    return parse(content, str(path)), notes


def _resolve_split(content: dict[str, Any], folder: Path) -> None:
    """Resolve ``data.simulated.split`` of a file relative to the folder of that file."""
    data = content.get("data")
    simulated = data.get("simulated") if isinstance(data, dict) else None
    if isinstance(simulated, dict) and isinstance(simulated.get("split"), str):
        simulated["split"] = str(folder / simulated["split"])


def parse(content: Mapping[str, Any], name: str) -> RunConfig:
    """Check a configuration; ``name`` says where it comes from. Raises InputError for the first thing that is wrong."""
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            (near,) = difflib.get_close_matches(key, known_keys(), 1, cutoff=0)
            raise InputError(f"{name}: unknown key {key}; the nearest known one is {near}") from None
        if first["type"] == "missing":
            raise InputError(f"{name}: {key} is missing; it has no default") from None
        message = first["msg"].removeprefix("Value error, ")
        value = "" if isinstance(first["input"], dict) else f" {first['input']!r}"
        where = f"{key}{value}: " if key else ""
        raise InputError(f"{name}: {where}{message[0].lower()}{message[1:]}") from None


def known_keys() -> list[str]:
    """Every key that has a value, dotted."""
    return list(_keys(RunConfig, ""))


def _keys(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
        sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not sections:
            yield prefix + name
        for kind in sections:
            yield from _keys(kind, f"{prefix}{name}.")


def _put(content: dict[str, Any], key: str, text: str) -> None:
    """Set a dotted key; sections on the way are made."""
    *sections, last = key.split(".")
    for section in sections:
        if content.get(section) is None:
            content[section] = {}
        content = content[section]
        if not isinstance(content, dict):
            raise InputError(f"{key}: {section} is no section; give a key of the configuration")
    try:
        content[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"{key} {text}: not a YAML value; put it in quotes") from None
