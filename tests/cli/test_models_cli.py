"""``l8s2 models`` as users run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from l8s2 import load_model, networks  # noqa: E402
from l8s2.cli import main  # noqa: E402
from l8s2.models.folder import open_model_folder, save_model_folder  # noqa: E402
from l8s2.models.names import located  # noqa: E402

CONFIG = {"depth": 2, "growth_factor": 3, "gaussian": True, "ca_layer": True}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["models", *map(str, arguments)])


def refusal(*arguments: object) -> str:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("l8s2: ")
    return line.removeprefix("l8s2: ")


def facts(name: object) -> Any:
    done = run("info", name, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    card = "---\nlicense: mit\n---\n# m\n\nMade for a test.\n"
    save_model_folder(networks.build("UNet", CONFIG), "UNet", CONFIG, tmp_path / "m", card)
    return tmp_path / "m"


def test_wrong_usage_is_told_apart_from_failure() -> None:
    assert run("info").exit_code == run("convert", "compact").exit_code == run("bake").exit_code == 2
    assert run("--help").exit_code == 0


def test_list_names_what_there_is(folder: Path, tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--someone--model" / "snapshots" / "0123"
    cached.parent.mkdir(parents=True)
    folder.rename(cached)
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert rows["compact"]["kind"] == rows["compact-nopan"]["kind"] == "embedded"
    assert rows["someone/model"] == {"name": "someone/model", "kind": "cached", "path": str(cached)}
    members = rows["published-ensemble"]["members"]
    assert len(members) == 4
    assert all(rows[name] == {"name": name, "kind": "published", "path": None} for name in members)
    text = run("list").stdout
    assert all(name in text for name in rows)
    assert len(json.loads(run("info", "published-ensemble", "--json").stdout)["members"]) == 4


def test_info_of_an_embedded_model() -> None:
    found = facts("compact")
    assert found["architecture"] == "Compact"
    assert found["parameters"] == 588_588
    assert found["receptive_field_ms_pixels"] == 35
    assert found["sha256"] == load_model("compact").sha256
    assert found["licence"] == "MIT"
    weights = 9 * (16 * 64 + 14 * 64 * 64 + 64 * 108)  # of the convolutions: a product and a sum each, for nine pixels
    assert found["kflop_per_output_pixel"] == pytest.approx(2 * weights / 9 / 1000, rel=0.01)


def test_info_of_a_folder(folder: Path) -> None:
    found = facts(folder)
    assert found["configuration"] | CONFIG == found["configuration"]
    assert found["parameters"] == sum(p.numel() for p in open_model_folder(folder).build().parameters())
    assert (found["stride_ms_pixels"], found["gives_sigma"], found["uses_pan"]) == (2, True, True)
    assert (found["licence"], found["card"]) == ("mit", "Made for a test.")
    text = run("info", folder).stdout
    assert found["sha256"] in text
    assert "gives sigma              yes" in text


@pytest.mark.parametrize("name", ["compact", "compact-nopan"])
def test_an_embedded_network_becomes_a_folder_and_an_onnx_file_again(name: str, tmp_path: Path) -> None:
    folder, file = tmp_path / "m", tmp_path / "again.onnx"
    done = run("convert", name, "-o", folder)
    assert (done.exit_code, done.stdout) == (0, f"{folder}\n"), done.stderr
    assert "Licence" in (folder / "README.md").read_text()
    assert "exists already; give --overwrite" in refusal("convert", name, "-o", folder)
    done = run("export", folder, "-o", file)
    assert (done.exit_code, done.stdout) == (0, f"{file}\n"), done.stderr
    rng = np.random.default_rng(0)
    ms = rng.uniform(0.05, 0.3, (6, 12, 14)).astype(np.float32)
    pan = rng.uniform(0.05, 0.3, (24, 28)).astype(np.float32)
    for a, b in zip(load_model(file).predict(ms, pan), load_model(name).predict(ms, pan), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_unet_becomes_an_onnx_file_that_answers_like_it(folder: Path, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    file = tmp_path / "unet.onnx"
    done = run("export", folder, "-o", file)
    assert done.exit_code == 0, done.stderr
    onnx.checker.check_model(str(file), full_check=True)
    info = {p.key: p.value for p in onnx.load(file).metadata_props}
    assert (info["architecture"], info["stride"]) == ("UNet", "2")
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert [x.name for x in session.get_inputs()] == ["ms", "pan"]
    network = open_model_folder(folder).build()
    for height, width in ((2, 2), (14, 6)):
        ms, pan = torch.rand(1, 6, height, width), torch.rand(1, 1, 2 * height, 2 * width)
        found = session.run(["mean", "sigma"], {"ms": ms.numpy(), "pan": pan.numpy()})
        with torch.no_grad():
            for a, b in zip(found, network(ms, pan), strict=True):
                np.testing.assert_allclose(a, b.numpy(), atol=1e-4)
    assert "exists already" in refusal("export", folder, "-o", file)
    assert not list(tmp_path.glob(".*"))


def test_an_onnx_file_that_answers_otherwise_is_not_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    monkeypatch.setattr("l8s2.models.onnx_export._difference", lambda *_: 0.3)
    assert "differs from the network by 0.3" in refusal("export", folder, "-o", tmp_path / "x.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_what_is_already_onnx_is_copied(tmp_path: Path) -> None:
    assert run("export", "compact", "-o", tmp_path / "x.onnx").exit_code == 0
    assert (tmp_path / "x.onnx").read_bytes() == located("compact").read_bytes()


def test_pickled_weights_become_safetensors(folder: Path, tmp_path: Path) -> None:
    network: Any = open_model_folder(folder).build()
    torch.save({"epoch": 1, "model_state_dict": network.network.state_dict()}, tmp_path / "last.pt")
    done = run("convert", tmp_path / "last.pt", "-o", tmp_path / "new", "--config", folder / "config.json")
    assert done.exit_code == 0, done.stderr
    assert facts(tmp_path / "new")["sha256"] == facts(folder)["sha256"]


def test_what_cannot_be_used_is_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rubbish.onnx").write_bytes(b"rubbish" * 99)
    assert "neither a name nor a file; give compact, compact-nopan" in refusal("info", "nonsense")
    assert "neither a name nor a file" in refusal("info", "no/such.safetensors")
    assert "HF_HUB_OFFLINE" in refusal("info", "someone/nothing")
    for verb in ("info", "convert"):
        assert "rubbish.onnx" in refusal(
            verb, tmp_path / "rubbish.onnx", *(["-o", tmp_path / "y"] * (verb == "convert"))
        )
    assert "no such folder" in refusal("export", "compact", "-o", tmp_path / "no" / "x.onnx")
    assert "no such file" in refusal("push", tmp_path, "someone/model")


def test_push_can_be_tried(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("push", folder, "someone/model", "--dry-run")
    assert done.exit_code == 0
    assert {Path(line).name for line in done.stdout.splitlines()} == {p.name for p in folder.iterdir()}
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(folder / "token"))
    assert "set HF_TOKEN" in refusal("push", folder, "someone/model")
