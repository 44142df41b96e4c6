"""Configurations: what is refused, in one line that names the key.

The keys of the Deep-Harmonization code are tried one by one.
"""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic")
pytest.importorskip("torch")
pytest.importorskip("yaml")

import yaml

import l8s2
from l8s2.errors import InputError
from l8s2.training import yacs
from l8s2.training.config import RunConfig, known_keys, parse, read_config

MINIMAL: dict[str, Any] = {
    "model": {"architecture": "Compact"},
    "data": {"simulated": {"folder": "imagery"}},
    "steps": 100,
}
DEEP_HARMONIZATION_KEYS = [
    "gpu_id",
    "training_name",
    "random_seed",
    "batch_size",
    "learning_rate",
    "epochs",
    "scheduler_mode",
    "scheduler_factor",
    "scheduler_patience",
    "checkpoint_path",
    "criterion",
    "pre_interpolate",
    "fuse_pan",
    "high_pass",
    "band_pass",
    "BOA",
    "bandpass_model_path",
    "use_cuda",
    "use_parallel",
    "iters_to_accumulate",
    "resume_training",
    "resume_weight_path",
    "wandb_resume",
    "wandb_logging",
    "wandb_project",
    "wandb_entity",
    "wandb_description",
    "csv_path",
    "patch_path",
    "train_key",
    "test_key",
    "validation_key",
    "num_workers",
    "s2_array_size",
    "l8_array_size",
    "model_kind",
]
NETWORK_KEYS = [
    "in_channels",
    "out_channels",
    "depth",
    "spatial_attention",
    "growth_factor",
    "interp_mode",
    "up_mode",
    "ca_layer",
]
PATHS = {"csv_path": "pairs.csv", "patch_path": "patches"}


def written(folder: Path, content: object) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_defaults_and_overrides(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL)
    config, notes = read_config(path, ["optimizer.learning_rate", "1e-4", "model.config.pan", "false", "steps", "7"])
    assert config.optimizer.learning_rate == 1e-4
    assert config.model.config == {"pan": False}
    assert (config.steps, config.data.batch, config.loss.kind, notes) == (7, 16, "detail", [])
    assert parse(config.model_dump(mode="json"), "again") == config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["optimizer.learing_rate", "1"],
            "unknown key optimizer.learing_rate; the nearest known one is optimizer.learning_rate",
        ),
        (["learning_rate", "1"], "unknown key learning_rate; the nearest known one is optimizer.learning_rate"),
        (["data.simulated.foldr", "x"], "nearest known one is data.simulated.folder"),
        (["optimizer.learning_rate", "-1"], "optimizer.learning_rate -1: input should be greater than 0"),
        (["precision", "fp8"], "precision 'fp8': input should be 'fp32', 'bf16' or 'fp16'"),
        (["data.simulated.border", "20"], "border of 20 leaves nothing"),
        (["data.deep_harmonization.csv_path", "x"], "data.deep_harmonization.patch_path is missing"),
        (["steps", "null"], "give either steps or epochs"),
        (["epochs", "3", "steps", "null"], "epochs: simulated imagery has no end"),
        (["model.start", "compact"], "either model.architecture .* or model.start"),
        (["data.simulated", "null"], "give one of data.simulated"),
        (["steps"], "steps: has no value"),
        (["steps.more", "1"], "steps is no section"),
        (["steps", "[1"], "not a YAML value"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_config(written(tmp_path, MINIMAL), overrides)
    assert "\n" not in str(caught.value)


def test_a_split_lies_beside_the_configuration_that_names_it(tmp_path: Path) -> None:
    content = MINIMAL | {"data": {"simulated": {"folder": "imagery", "split": "split.yaml"}}}
    for overrides, expected in (
        ([], tmp_path / "split.yaml"),
        (["data.simulated.split", "other.yaml"], Path("other.yaml")),
    ):
        config, _ = read_config(written(tmp_path, content), overrides)
        assert config.data.simulated is not None
        assert config.data.simulated.split == expected
    for name in ("compact", "compact-nopan"):
        config, _ = read_config(Path(__file__).parents[2] / "configs" / f"{name}.yaml")
        assert config.data.simulated is not None
        assert config.data.simulated.split is not None
        assert config.data.simulated.split.is_file()


@pytest.mark.parametrize(("text", "message"), [("a: [", "not YAML"), ("- 1", "holds a list")])
def test_files_that_hold_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_config(path)
    with pytest.raises(InputError, match="No such file"):
        read_config(tmp_path / "none.yaml")


def test_a_missing_extra_is_named_in_one_line() -> None:
    code = (
        "import sys\nsys.modules['pydantic'] = None\nfrom l8s2.cli import main\nmain(['train', '--config', 'x.yaml'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "l8s2: training needs pydantic; install it with: pip install 'l8s2[train]'\n"


def test_every_field_is_read_somewhere() -> None:
    source = Path(l8s2.__file__).parent
    read = {
        node.attr
        for path in source.rglob("*.py")
        if path.name not in ("config.py", "yacs.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    assert not {key.rpartition(".")[2] for key in known_keys()} - read


def test_every_deep_harmonization_key_is_in_the_table() -> None:
    keys = {*DEEP_HARMONIZATION_KEYS, *(f"{section}.{key}" for section in ("AUNet", "AUNet_G") for key in NETWORK_KEYS)}
    assert not keys - set(yacs.RULES)
    for rule in yacs.RULES.values():
        assert rule.to or rule.why
        assert rule.to is None or rule.to.startswith("model.config.") or rule.to in known_keys()


def test_a_deep_harmonization_configuration_becomes_ours(tmp_path: Path) -> None:
    content = PATHS | {
        "model_kind": "AUNet", "AUNet": {"depth": 5, "up_mode": "upsample"}, "AUNet_G": {"depth": 6}, "batch_size": 4,
        "iters_to_accumulate": 3, "learning_rate": "1e-4", "criterion": "MGL", "scheduler_patience": 5,
        "num_workers": 0,
        "use_cuda": False, "wandb_project": "mine", "training_name": "x",
    }  # fmt: skip
    config, notes = read_config(written(tmp_path, content), ["AUNet.growth_factor", "3", "epochs", "2"])
    assert isinstance(config, RunConfig)
    assert config.model.architecture == "UNet"
    assert config.model.config == {
        "depth": 5, "up_mode": "upsample", "growth_factor": 3, "input_alignment": "lattice",
        "pan_sun_corrected": False, "gaussian": False,
    }  # fmt: skip
    assert (config.data.batch, config.accumulate, config.data.workers, config.epochs) == (12, 3, 1, 2)
    assert (config.loss.kind, config.loss.gradient_weight) == ("mixed_gradient", 0.1)
    assert (config.optimizer.kind, config.optimizer.learning_rate, config.optimizer.clip) == ("adam", 1e-4, None)
    assert (config.schedule.kind, config.schedule.mode, config.schedule.patience) == ("plateau", "min", 5)
    assert config.device == "cpu"
    assert config.data.deep_harmonization is not None
    assert (config.data.deep_harmonization.min_ssim, config.data.deep_harmonization.min_psnr) == (0.81, 22.0)
    assert {note.split()[0] for note in notes} == {"wandb_project", "training_name", "AUNet_G.depth"}


def test_the_deep_harmonization_default_is_gaussian(tmp_path: Path) -> None:
    config, _ = read_config(written(tmp_path, PATHS))
    assert (config.loss.kind, config.model.config["gaussian"], config.model.config["depth"]) == (
        "gaussian_nll",
        True,
        3,
    )
    assert (config.epochs, config.seed, config.data.batch) == (200, 42, 10)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model_kind", "MB-RRDB", "model_kind MB-RRDB has no published weights"),
        ("model_kind", "SMP_UNet_mit", "model_kind SMP_UNet_mit has no published weights"),
        ("ESRT.num_heads", "4", "ESRT.num_heads 4: has no published weights"),
        ("wandb_logging", "true", "wandb_logging True: logging to wandb is not built; metrics.jsonl"),
        ("high_pass", "true", "high_pass True"),
        ("use_parallel", "true", "use_parallel True: .*torchrun"),
        ("resume_training", "true", "resume_training True: .*`resume`"),
        ("pre_interpolate", "false", "pre_interpolate False"),
        ("criterion", "L2", "criterion 'L2': use L1, MGL or SSIM"),
        ("AUNet.interp_mode", "bilinear", "AUNet.interp_mode 'bilinear'"),
        ("batchsize", "3", "batchsize is no key of the Deep-Harmonization configuration"),
    ],
)
def test_what_cannot_be_taken_over_is_refused_by_name(tmp_path: Path, key: str, value: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_config(written(tmp_path, PATHS), [key, value])
