"""Stored models: what fits is read exactly, what does not is refused in one line, and nothing in them is ever run."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from safetensors import SafetensorError  # noqa: E402

from l8s2 import networks  # noqa: E402
from l8s2.errors import InputError  # noqa: E402
from l8s2.models.deep_harmonization import NOT_SUPPORTED, UNET_SETTINGS, modelling_file  # noqa: E402
from l8s2.models.folder import (  # noqa: E402
    convert_model,
    open_model_folder,
    save_model_folder,
)

SMALL = {"depth": 3, "growth_factor": 3}
KINDS: dict[str, dict[str, Any]] = {
    "plain": SMALL,
    "shuffle": SMALL | {"up_mode": "shuffle", "input_alignment": "corners"},
    "all options": SMALL
    | {"up_mode": "upconv", "spatial_attention": "modified", "ca_layer": True, "dropout": 0.1, "gaussian": True},
    "without pan": SMALL | {"in_channels": 6, "spatial_attention": "standard"},
}
PUBLISHED = [f"s2l8h-UNet-{depth}depth-{mode}" for depth in (5, 6) for mode in ("upsample", "shuffle")]


def network(architecture: str = "UNet", config: dict[str, Any] = SMALL, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return networks.build(architecture, config).eval()


def stored(folder: Path, config: dict[str, Any] = SMALL, architecture: str = "UNet", **how: Any) -> Path:
    save_model_folder(network(architecture, config), architecture, config, folder, "# card\n", **how)
    return folder


def native(uses_pan: bool = True, size: int = 12) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(1)
    ms, pan = (torch.rand(1, n, k * size, k * size, generator=generator) for n, k in ((6, 1), (1, 2)))
    return ms, pan if uses_pan else None


def same(a: Any, b: Any) -> None:
    ms, pan = native(a.uses_pan)
    with torch.no_grad():
        for x, y in zip(a(ms, pan), b(ms, pan), strict=True):
            assert (x is None) == (y is None)
            assert x is None or torch.equal(x, y)


def refusal(path: Path, **how: Any) -> str:
    with pytest.raises(InputError) as caught:
        open_model_folder(path, **how).build()
    (line,) = str(caught.value).splitlines()
    return line


def rewrite(folder: Path, **settings: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_a_unet_comes_back_as_it_was(tmp_path: Path, config: dict[str, Any]) -> None:
    folder = stored(tmp_path / "m", config)
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors", "README.md", "modeling_s2l8h.py"}
    assert len({p.stat().st_mode for p in folder.iterdir()}) == 1
    model = open_model_folder(folder)
    assert (model.name, model.architecture) == ("m", "UNet")
    inputs = {"input_alignment": "lattice", "pan_sun_corrected": True}
    assert inputs | config == {k: model.config[k] for k in inputs | config}
    built = model.build()
    assert not built.training
    same(built, network("UNet", config))
    content = json.loads((folder / "config.json").read_text())
    assert content["model_type"] == "s2l8hModel"
    assert content["architectures"] == ["s2l8hModel"]
    assert all(name.startswith("model.") for name in safetensors.load_file(folder / "model.safetensors"))


@pytest.mark.parametrize("pan", [True, False])
def test_a_compact_network_comes_back_with_its_physics(tmp_path: Path, pan: bool) -> None:
    config = {"width": 8, "blocks": 1, "pan": pan}
    folder = stored(tmp_path / "m", config, "Compact")
    model = open_model_folder(folder)
    assert model.config["blur"] == list(networks.CompactConfig().blur)
    same(model.build(), network("Compact", config))


def test_settings_are_those_of_the_network() -> None:
    assert set(UNET_SETTINGS) == {*networks.OnLattice.INPUTS, *networks.UNetConfig.__dataclass_fields__}


def test_the_plain_network_is_as_good(tmp_path: Path) -> None:
    unet = network()
    save_model_folder(unet.network, "UNet", SMALL, tmp_path / "m", "")
    same(open_model_folder(tmp_path / "m").build(), unet)


def test_a_file_with_its_configuration_beside_it(tmp_path: Path) -> None:
    folder = stored(tmp_path / "m")
    model = open_model_folder(folder / "model.safetensors")
    assert model.sha256 == open_model_folder(folder).sha256
    same(model.build(), network())


def test_the_name_in_a_cache_is_that_on_the_hub(tmp_path: Path) -> None:
    folder = stored(tmp_path / "models--someone--some-model" / "snapshots" / "0123abc")
    assert (
        open_model_folder(folder).name == open_model_folder(folder / "model.safetensors").name == "someone/some-model"
    )


def test_an_existing_folder_is_only_replaced_when_told(tmp_path: Path) -> None:
    folder = stored(tmp_path / "m")
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(InputError, match="`overwrite`"):
        stored(folder, SMALL | {"depth": 2})
    assert (folder / "model.safetensors").read_bytes() == before
    stored(folder, SMALL | {"depth": 2}, overwrite=True)
    assert open_model_folder(folder).config["depth"] == 2
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "precious").write_text("")
    with pytest.raises(InputError, match=r"holds no config\.json"):
        stored(foreign, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["foreign", "m"]


def test_a_failure_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(InputError, match="free some space"):
        stored(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


# what does not fit


def test_the_first_tensor_that_disagrees_is_named(tmp_path: Path) -> None:
    folder = stored(tmp_path / "m")
    weights = folder / "model.safetensors"
    good = safetensors.load_file(weights)
    first = "model.encoding_module.0.block.0.weight"

    def said(*without: str, **more: Any) -> str:
        kept = {name: tensor for name, tensor in good.items() if name not in without}
        safetensors.save_file(kept | more, weights)
        return refusal(folder)

    wrong = {first: torch.zeros(8, 6, 3, 3)}
    assert f"{first} is (8, 6, 3, 3), the configuration asks for (8, 7, 3, 3); give" in said(**wrong)
    assert "model.encoding_module.1.block.2.bias (16,) is missing; give" in said(
        "model.final.weight", "model.encoding_module.1.block.2.bias"
    )
    assert "model.extra is no part" in said(**{"model.extra": torch.zeros(1)})
    assert "in two ways" in said(**{"model.module.final.bias": torch.zeros(6)})
    level = [name for name in good if name.startswith("model.encoding_module.2")]
    assert "model.encoding_module.2.block.0.weight (32, 16, 3, 3) is missing" in said(*level)


def test_weights_in_half_precision_are_used_in_single(tmp_path: Path) -> None:
    folder = stored(tmp_path / "m")
    half = {k: v.half() for k, v in safetensors.load_file(folder / "model.safetensors").items()}
    safetensors.save_file(half, folder / "model.safetensors")
    assert {p.dtype for p in open_model_folder(folder).build().parameters()} == {torch.float32}


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize("rest", [0.0, 0.3, 0.97])
def test_what_is_cut_short_is_to_be_downloaded_again(tmp_path: Path, suffix: str, rest: float) -> None:
    folder = stored(tmp_path / "m")
    path = folder / "model.safetensors"
    if suffix == "bin":
        torch.save(safetensors.load_file(path), folder / "pytorch_model.bin")
        path.unlink()
        path = folder / "pytorch_model.bin"
    content = path.read_bytes()
    path.write_bytes(content[: int(rest * len(content))])
    line = refusal(folder)
    assert line.startswith(f"{path}: ")
    assert line.endswith("perhaps cut short; download it again")


@pytest.mark.parametrize(
    "content", [b"<html>an error page</html>", b"version https://git-lfs.github.com/spec/v1\n", b"\x80\x04."]
)
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_what_is_no_weights_at_all(tmp_path: Path, name: str, content: bytes) -> None:
    folder = stored(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(content)
    assert "download it again" in refusal(folder)


class Payload:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    folder = stored(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    mark = tmp_path / "executed"
    weights = {"model.final.bias": torch.zeros(6), "x": Payload(mark)}
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert re.search(r"a pickle that calls \w+\.system; l8s2 runs no code from weights", refusal(folder))
    assert not mark.exists()


def test_what_is_not_tensors_by_name(tmp_path: Path) -> None:
    folder = stored(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    for content, says in (([torch.zeros(1)], "holds a list"), ({"epoch": 3}, "epoch is a int")):
        torch.save(content, folder / "pytorch_model.bin")
        assert says in refusal(folder)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model_type": "bert"}, "model_type 'bert'; l8s2 opens s2l8hModel"),
        ({"model_type": None}, "model_type None"),
        ({"interp_mode": "bilinear"}, "interp_mode 'bilinear'; only bicubic"),
        ({"depth": "three"}, "depth='three'; it must be"),
        ({"depth": 4}, "is missing"),
        ({"up_mode": "nearest"}, "up_mode='nearest'; it must be"),
        ({"input_alignment": "centre"}, "input_alignment='centre'; it must be"),
        ({"model_type": "l8s2"}, "model_type 'l8s2'"),
        ({"model_type": "l8s2", "architecture": "Abacus", "config": {}}, "architecture='Abacus' is unknown"),
        ({"model_type": "l8s2", "architecture": "Compact", "config": {"wide": 3}}, "'wide' is no key"),
        ({"model_type": "l8s2", "architecture": "Compact", "config": {"width": "wide"}}, "m: "),
        ({"model_type": "l8s2", "architecture": "Compact", "config": {"width": -1}}, "m: "),
        ({"model_type": ["a"], "architecture": {}, "architectures": 3}, "model_type ['a']"),
    ],
)
def test_configurations_that_cannot_be_used(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    assert says in refusal(rewrite(stored(tmp_path / "m"), **settings))


@pytest.mark.parametrize("kind", sorted(NOT_SUPPORTED))
def test_kinds_without_published_weights_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    for settings in ({"model_kind": kind}, {"architectures": [kind]}, {"model_type": kind}, {"architecture": kind}):
        assert f"{kind} has no published weights" in refusal(
            rewrite(stored(tmp_path / "m", overwrite=True), **settings)
        )


def test_a_configuration_that_is_none(tmp_path: Path) -> None:
    folder = stored(tmp_path / "m")
    for content, says in (
        (b"{", "not readable as JSON"),
        (b"[]", "holds a list"),
        (b"\xff\xfe", "not readable as JSON"),
    ):
        (folder / "config.json").write_bytes(content)
        assert says in refusal(folder)
    (folder / "config.json").unlink()
    assert "no such file; the configuration" in refusal(folder)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    assert "no such file; a model is a folder" in refusal(tmp_path)
    assert "no such file" in refusal(tmp_path / "x.safetensors")
    assert "no model folder" in refusal(tmp_path / "x.txt")


def test_a_stored_import_path_is_refused_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stored_network.py").write_text(
        f"import pathlib; pathlib.Path({str(tmp_path / 'imported')!r}).touch()\n"
        "from l8s2.networks import Compact, CompactConfig\n"
        "def Small(): return Compact(CompactConfig(width=8, blocks=1))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    folder = stored(tmp_path / "m", {"width": 8, "blocks": 1}, "Compact")
    rewrite(folder, architecture="stored_network:Small", config={})
    assert "stored_network:Small names code to import" in refusal(folder)
    assert "`trust_architecture` stored_network:Small" in refusal(folder)
    assert "not stored_network:Other; if you trust" in refusal(folder, trust_architecture="stored_network:Other")
    assert not (tmp_path / "imported").exists()
    built = open_model_folder(folder, trust_architecture="stored_network:Small").build()
    same(built, network("Compact", {"width": 8, "blocks": 1}))


def test_without_torch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stored(tmp_path / "m")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install 'l8s2[torch]'" in refusal(folder)


# the published research code, and its models


@pytest.mark.parametrize("prefix", ["", "model.", "module.", "module.model."])
def test_checkpoints_of_the_research_code_are_converted(tmp_path: Path, prefix: str) -> None:
    unet = network(config=KINDS["shuffle"])
    bare = {name.removeprefix("model."): tensor for name, tensor in unet.network.state_dict().items()}
    state = {
        "epoch": 3,
        "model_state_dict": {prefix + name: tensor for name, tensor in bare.items()},
        "optimizer_state_dict": torch.optim.Adam(unet.parameters()).state_dict(),
        "loss": np.float64(0.1),
    }
    torch.save(state, tmp_path / "checkpoint.pth")
    (tmp_path / "settings.json").write_text(json.dumps({"model_type": "s2l8hModel"} | KINDS["shuffle"]))
    convert_model(tmp_path / "checkpoint.pth", tmp_path / "m", config=tmp_path / "settings.json")
    model = open_model_folder(tmp_path / "m")
    assert model.path.name == "model.safetensors"
    same(model.build(), unet)
    assert "checkpoint.pth" in (tmp_path / "m" / "README.md").read_text()


@pytest.fixture(params=PUBLISHED)
def published(request: pytest.FixtureRequest, data: Path, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A folder as on the Hub, whose weights are all zero: a file that is one hole."""
    spec = json.loads((data / "facts" / "published_weights.json").read_text())[request.param]
    (tmp_path / "config.json").write_text(
        json.dumps(
            {"model_type": "s2l8hModel", "architectures": ["s2l8hModel"], "interp_mode": "bicubic", "dtype": "float32"}
            | {
                k: spec[k]
                for k in (
                    "in_channels",
                    "out_channels",
                    "depth",
                    "growth_factor",
                    "up_mode",
                    "spatial_attention",
                    "ca_layer",
                )
            }
        )
    )
    header, end = {}, 0
    for name, shape in spec["tensors"].items():
        begin, end = end, end + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return tmp_path, spec


def own_memory() -> int:
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return 1000 * int(found[1])


def test_published_weights_open_strictly_and_cost_no_memory_before_use(published: tuple[Path, dict[str, Any]]) -> None:
    folder, spec = published
    before = own_memory() if Path("/proc/self/status").exists() else None
    model = open_model_folder(folder)
    built: Any = model.build()
    assert (built.input_alignment, built.pan_sun_corrected) == ("lattice", False)
    assert sum(p.numel() for p in built.parameters()) == spec["parameters"]
    assert not any(p.is_meta for p in (*built.parameters(), *built.buffers()))
    if before is not None:
        assert own_memory() - before < 50e6


# transformers


@pytest.fixture(scope="module")
def transformers() -> Any:
    return pytest.importorskip("transformers")


IN_A_CLEAN_PROCESS = """
import sys
class NoL8s2:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "l8s2":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, NoL8s2())
import torch
from transformers import AutoModel
l8MS, l8pan, expected = torch.load("inputs.pt", weights_only=True)
model = AutoModel.from_pretrained("model", trust_remote_code=True)
with torch.no_grad():
    found = model(l8MS, l8pan)
for a, b in zip(*(x if isinstance(x, (list, tuple)) else [x] for x in (found, expected)), strict=True):
    assert (a - b).abs().max() <= 1e-6
assert not any(name.partition(".")[0] == "l8s2" for name in sys.modules)
model.save_pretrained("saved_again")
"""


@pytest.mark.parametrize("kind", ["shuffle", "all options"])
def test_automodel_runs_the_folder_where_there_is_no_l8s2(transformers: Any, tmp_path: Path, kind: str) -> None:
    stored(tmp_path / "model", KINDS[kind])
    unet = network(config=KINDS[kind])
    ms, pan = torch.rand(1, 6, 36, 36), torch.rand(1, 1, 36, 36)
    with torch.no_grad():
        result = unet.network(ms, pan)
    torch.save((ms, pan, list(result) if isinstance(result, tuple) else result), tmp_path / "inputs.pt")
    done = subprocess.run(
        [sys.executable, "-I", "-c", IN_A_CLEAN_PROCESS],
        cwd=tmp_path,
        env=os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    same(open_model_folder(tmp_path / "saved_again").build(), unet)


def test_what_transformers_saves_opens_here_without_its_code(transformers: Any, tmp_path: Path) -> None:
    from l8s2.hf import s2l8hConfig, s2l8hModel

    torch.manual_seed(0)
    theirs = s2l8hModel(s2l8hConfig(**SMALL, interp_mode="bicubic")).eval()
    theirs.save_pretrained(tmp_path)
    (tmp_path / "evil.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'executed')!r}).touch()\n")
    rewrite(tmp_path, auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})
    ours: Any = open_model_folder(tmp_path).build()
    ms, pan = torch.rand(1, 6, 24, 24), torch.rand(1, 1, 24, 24)
    with torch.no_grad():
        assert torch.equal(ours.network(ms, pan), theirs(ms, pan))
    assert (ours.input_alignment, ours.pan_sun_corrected) == ("lattice", False)
    assert not (tmp_path / "executed").exists()


def test_the_published_usage_in_three_lines(transformers: Any, tmp_path: Path) -> None:
    import l8s2.hf

    folder = stored(tmp_path / "m")
    l8MS, l8pan = torch.rand(1, 6, 24, 24), torch.rand(1, 1, 24, 24)
    model = transformers.AutoModel.from_pretrained(folder)
    with torch.no_grad():
        assert torch.equal(model(l8MS, l8pan), network().network(l8MS, l8pan))
    assert type(model) is l8s2.hf.s2l8hModel  # ours, not the folder's


def test_the_modelling_file_needs_nothing_of_ours() -> None:
    text = modelling_file()
    assert not re.search(r"^\s*(from|import) l8s2", text, re.MULTILINE)
    assert text.count("from __future__") == 1
    compile(text, "modeling_s2l8h.py", "exec")
