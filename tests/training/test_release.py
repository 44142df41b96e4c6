"""The release of embedded weights, in small: ``scripts/release_model.py`` on a run of two steps."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
yaml = pytest.importorskip("yaml")
pytest.importorskip("onnx")

from click.testing import CliRunner  # noqa: E402

from l8s2.models.onnx_file import ModelFile  # noqa: E402
from l8s2.predictors.load import load_model  # noqa: E402
from l8s2.training.config import parse  # noqa: E402
from l8s2.training.loop import train  # noqa: E402
from making.tiny_runs import RESERVED, tiny  # noqa: E402

SCRIPT = Path(__file__).parents[2] / "scripts" / "release_model.py"
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not SCRIPT.exists(), reason="not a clone of the repository"),
]


@pytest.fixture
def imagery(tmp_path: Path) -> Path:
    """Two sites whose bands are no mixtures of each other."""
    folder = tmp_path / "imagery"
    folder.mkdir()
    for seed, name in enumerate(("farm_L2A", f"{RESERVED}_L1C")):
        smooth = np.random.default_rng(seed).random((6, 10, 10)).repeat(12, 1).repeat(12, 2)
        np.savez(folder / f"{name}.npz", x=np.round(500 + 3000 * smooth).astype(np.int16)[None], meta=json.dumps({}))
    return folder


@pytest.fixture
def split(imagery: Path) -> Path:
    path = imagery.parent / "split.yaml"
    path.write_text(
        f"archives:\n  {RESERVED}_L1C: {{role: validation}}\n  farm_L2A: {{role: calibration, rows: [0.4, 1.0]}}\n"
    )
    return path


def test_a_run_becomes_a_model_file_with_its_card(imagery: Path, split: Path, tmp_path: Path) -> None:
    train(parse(tiny(imagery, steps=2), "test"), tmp_path / "run", report=lambda line: None)
    output = tmp_path / "small.onnx"
    main = runpy.run_path(str(SCRIPT))["main"]
    done = CliRunner().invoke(main, [str(tmp_path / "run"), str(imagery), str(split), "-o", str(output)])
    assert done.exit_code == 0, done.output
    scores = json.loads(done.stdout)
    assert np.isfinite(scores["gain"]).all()
    model = load_model(output)
    assert model.no_pan_model is not None
    assert ModelFile(output).domain is not None
    before = torch.load(tmp_path / "run" / "last.pt", weights_only=True)["average"]["calibration"]
    assert not torch.equal(ModelFile(output).build().state_dict()["calibration"], before)  # sigma was scaled
    card = output.with_suffix(".md").read_text(encoding="utf-8")
    head, _, body = card.removeprefix("---\n").partition("---\n")
    index = yaml.safe_load(head)["model-index"][0]
    assert (index["name"], len(index["results"])) == ("small", 3)
    assert body.startswith("# small\n\nCompact network, with pan: ")
    assert f"| {RESERVED} |" in card
    assert "stopped at step 2, seed 42, batches of 3 crops of 12 x 12 MS pixels" in card


def test_a_network_without_sigma_is_not_released(imagery: Path, split: Path, tmp_path: Path) -> None:
    content = tiny(imagery, steps=1, loss={"kind": "L1"})
    content["model"] = {"architecture": "UNet", "config": {"depth": 2, "growth_factor": 2}}
    train(parse(content, "test"), tmp_path / "run", report=lambda line: None)
    main = runpy.run_path(str(SCRIPT))["main"]
    arguments = [str(tmp_path / "run"), str(imagery), str(split), "-o", str(tmp_path / "small.onnx")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "UNet has no sigma to scale; see l8s2 models export" in done.output
    assert not (tmp_path / "small.onnx").exists()
