"""A network of one's own, stored, and run by the commands: only where the user trusts exactly its name."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result

torch = pytest.importorskip("torch")

from l8s2 import load_model, masks  # noqa: E402
from l8s2.arrays import enlarge  # noqa: E402
from l8s2.cli import main  # noqa: E402
from l8s2.errors import InputError  # noqa: E402
from l8s2.models.folder import save_model_folder  # noqa: E402
from l8s2.networks import build  # noqa: E402
from making.scenes import ID, make, ms_grid  # noqa: E402

NAME = "own_network:Own"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    config = {"start": 0.5}
    save_model_folder(build(NAME, config), NAME, config, tmp_path / "model", "# mine\n")
    return tmp_path / "model"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_a_trusted_network_makes_a_product(model: Path, tmp_path: Path) -> None:
    product = make(tmp_path / "in", ms_grid(20, 24))
    done = run("harmonize", product, "-o", tmp_path, "--model", model, "--trust-architecture", NAME)
    assert done.exit_code == 0, done.stderr
    item = json.loads((tmp_path / f"{ID}_S2L" / f"{ID}.json").read_text())
    assert item["properties"]["l8s2:model_without_pan"] == "compact-nopan"
    with rasterio.open(tmp_path / f"{ID}_S2L" / f"{ID}_SR.tif") as dataset:
        found = dataset.read()
    with rasterio.open(tmp_path / f"{ID}_S2L" / f"{ID}_QA.tif") as dataset:
        with_pan = (dataset.read(1) & masks.flag("no_pan")) == 0
    assert with_pan.mean() > 0.5
    blocks = (found[:, i::3, j::3][:, with_pan[::3, ::3]] for i in range(3) for j in range(3))
    first, *others = blocks
    for other in others:
        np.testing.assert_array_equal(first, other)  # each MS pixel nine times
    done = run("harmonize", product, "-o", tmp_path, "--model", model, "--trust-architecture", NAME, "--dry-run")
    assert done.exit_code == 0, done.stderr


def test_its_numbers_and_its_no_pan_model(model: Path) -> None:
    rng = np.random.default_rng(0)
    ms, pan = rng.random((6, 12, 10), np.float32), rng.random((24, 20), np.float32)
    predictor = load_model(model, trust_architecture=NAME)
    np.testing.assert_allclose(predictor.predict(ms, pan)[0], 0.5 * enlarge(ms), rtol=1e-6)
    expected = load_model("compact-nopan").predict(ms, None)
    np.testing.assert_array_equal(predictor.predict(ms, None), expected)


@pytest.mark.parametrize("trusted", [(), ("--trust-architecture", "own_network:Other")], ids=["untrusted", "another"])
@pytest.mark.parametrize("command", ["harmonize", "evaluate"])
def test_without_that_name_it_is_refused(
    model: Path, tmp_path: Path, command: str, trusted: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    product = make(tmp_path / "in", ms_grid(20, 24))
    monkeypatch.delitem(__import__("sys").modules, "own_network", raising=False)
    done = run(command, product, "-o", tmp_path / "out", "--model", model, *trusted)
    assert done.exit_code == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("l8s2: ")]
    assert f"names code to import{', not own_network:Other' if trusted else ''}; " in line
    assert line.endswith(f"give --trust-architecture {NAME}")
    assert "own_network" not in __import__("sys").modules
    assert not (tmp_path / "out").exists()


def test_a_no_pan_model_that_needs_pan_is_refused(model: Path) -> None:
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"no_pan_model": "compact"}))
    with pytest.raises(InputError, match="no_pan_model compact needs pan itself; name one that does not"):
        load_model(model, trust_architecture=NAME)


def test_models_are_described_and_exported_where_they_are_trusted(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.onnx"
    trust = ("--trust-architecture", NAME)
    for command in (("info", model), ("export", model, "-o", file), ("convert", model, "-o", tmp_path / "copy")):
        refused = run("models", *command)
        assert refused.exit_code == 1
        assert refused.stderr.endswith(f"give --trust-architecture {NAME}\n")
        done = run("models", *command, *trust)
        assert done.exit_code == 0, done.stderr
    assert json.loads(run("models", "info", model, *trust, "--json").stdout)["parameters"] == 6
    ms, pan = (np.full(shape, 0.2, np.float32) for shape in ((6, 8, 8), (16, 16)))
    np.testing.assert_allclose(load_model(file).predict(ms, pan)[0], 0.1, rtol=1e-5)  # its code is not needed


def test_an_onnx_file_brings_no_code(model: Path, tmp_path: Path) -> None:
    """What it names is told, and neither imported nor called."""
    onnx = pytest.importorskip("onnx")
    file = tmp_path / "own.onnx"
    assert run("models", "export", model, "-o", file, "--trust-architecture", NAME).exit_code == 0
    proto = onnx.load(file)
    for entry in proto.metadata_props:
        entry.value = {"architecture": "os:mkdir", "config": json.dumps({"path": str(tmp_path / "called")})}.get(
            entry.key, entry.value
        )
    onnx.save(proto, file)
    told = json.loads(run("models", "info", file, "--json").stdout)
    assert (told["architecture"], told["parameters"]) == ("os:mkdir", None)
    assert run("models", "convert", file, "-o", tmp_path / "folder").exit_code == 1
    assert not (tmp_path / "called").exists()
