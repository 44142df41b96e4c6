"""What a run can begin with, and what travels with it."""

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("onnx")

from l8s2.errors import InputError  # noqa: E402
from l8s2.models.folder import save_model_folder  # noqa: E402
from l8s2.networks import build  # noqa: E402
from l8s2.training.config import Model, parse  # noqa: E402
from l8s2.training.loop import train  # noqa: E402
from l8s2.training.start import initial_network  # noqa: E402
from making.tiny_runs import tiny  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def run(imagery: Path, folder: Path, **model: Any) -> Path:
    """The folder of a run of one step."""
    content = tiny(imagery, model=model, steps=1, loss={"kind": "detail"})
    train(parse(content, "test"), folder, report=lambda line: None)
    return folder


def test_a_no_pan_model_travels_through_runs(imagery: Path, tmp_path: Path) -> None:
    config = {"width": 8, "blocks": 1}
    network = build("Compact", config)
    network.no_pan_model = "another"
    save_model_folder(network, "Compact", config, tmp_path / "start", "# start\n")
    first = run(imagery, tmp_path / "first", start=str(tmp_path / "start"))
    second = run(imagery, tmp_path / "second", start=str(first / "last.pt"))
    assert json.loads((second / "model" / "config.json").read_text())["no_pan_model"] == "another"
    network.no_pan_model = None
    save_model_folder(network, "Compact", config, tmp_path / "without", "# without\n")
    third = run(imagery, tmp_path / "third", start=str(tmp_path / "without"))
    assert initial_network(Model(start=str(third / "last.pt")))[0].no_pan_model is None


def test_code_that_a_start_names_is_imported_where_it_is_trusted(
    imagery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "own_network:Own"
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "predictors")
    done = run(imagery, tmp_path / "run", architecture=name, config={"start": 0.5})
    for start in (done / "model", done / "last.pt"):
        with pytest.raises(InputError, match=f"names code to import; .* give `trust_architecture` {name}$"):
            initial_network(Model(start=str(start)))
        network, architecture, _ = initial_network(Model(start=str(start), trust_architecture=name))
        assert (architecture, network.no_pan_model) == (name, "compact-nopan")
        assert torch.is_tensor(network.weight)
    with pytest.raises(ValueError, match=r"only model\.start needs it"):
        Model(architecture=name, trust_architecture=name)
