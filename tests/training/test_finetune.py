"""Fine-tuning: nothing of the held-out ground is learned from, and the verdict says what the numbers say."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("onnx")

from click.testing import CliRunner  # noqa: E402

from l8s2.cli import main  # noqa: E402
from l8s2.errors import InputError  # noqa: E402
from l8s2.evaluation.image_scores import ImageScore  # noqa: E402
from l8s2.models.names import EMBEDDED  # noqa: E402
from l8s2.models.onnx_file import ModelFile  # noqa: E402
from l8s2.simulate.archives import Image  # noqa: E402
from l8s2.training.archive_split import GAP_PIXELS, hold_out_latitude_bands  # noqa: E402
from l8s2.training.config import Model  # noqa: E402
from l8s2.training.finetune import finetune, table, verdict  # noqa: E402
from l8s2.training.start import initial_network  # noqa: E402


def image(site: str, rows: int, index: int = 0) -> Image:
    """Every pixel holds its row."""
    stack = np.broadcast_to(np.arange(rows, dtype=np.float32)[None, :, None], (6, rows, 120))
    return Image(site=site, stack=np.array(stack), known_bands=(True,) * 6, index=index)


def test_latitude_bands_of_every_site_are_held_out_with_a_gap() -> None:
    images = [image("a", 400), image("a", 400, 1), image("b", 900), image("chips", 120)]
    training, held_out = hold_out_latitude_bands(images, "imagery")
    assert [(i.site, i.index) for i in held_out] == [("a", 0), ("a", 1), ("b", 0)]
    assert len(training) == 4
    for site in ("a", "b"):
        last = max(i.stack.max() for i in training if i.site == site)
        first = min(i.stack.min() for i in held_out if i.site == site)
        assert first - last > GAP_PIXELS
        assert all(i.stack.shape[1] >= 90 for i in held_out)


def test_whole_sites_are_held_out_where_images_are_small() -> None:
    training, held_out = hold_out_latitude_bands([image("a", 120), image("b", 120), image("b", 120, 1)], "imagery")
    assert ({i.site for i in training}, {i.site for i in held_out}) == ({"a"}, {"b"})
    with pytest.raises(InputError, match="nothing can be held out; give a second site"):
        hold_out_latitude_bands([image("a", 120)], "imagery")


def scores(error: list[float], coverage: float = 0.9) -> list[ImageScore]:
    row = np.array(error)
    return [
        ImageScore(
            site="here", bicubic_rmse=np.full(6, 0.02), rmse=row, coverage=np.full(6, coverage), pearson=row, pixels=1
        )
    ]


@pytest.mark.parametrize(
    ("new", "use", "words"),
    [
        ([0.009] * 6, True, "Use the new weights: on ground they never saw they are +0.92 dB better"),
        ([0.00995] * 6, False, "Keep the starting weights: the new ones differ by +0.04 dB"),
        ([0.02] * 6, False, "Keep the starting weights: the new ones differ by -6.02 dB"),
        ([0.009] * 5 + [0.0102], False, "Keep the starting weights unless swir22 does not matter to you"),
    ],
)
def test_the_verdict_follows_from_the_numbers(new: list[float], use: bool, words: str) -> None:
    found = verdict(scores([0.01] * 6), scores(new))
    assert found["use"] is use
    assert words in found["verdict"]
    assert found["psnr"]["bicubic"] == [33.979] * 6
    assert "swir22" in table(found)
    off = verdict(scores([0.01] * 6), scores([0.009] * 6, coverage=0.7))
    assert "sigma is off in blue" in off["verdict"]


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_embedded_weights_are_where_it_starts(name: str) -> None:
    network, architecture, config = initial_network(Model(start=name))
    assert architecture == "Compact"
    assert config["pan"] is (name == "compact")
    import l8s2

    stored = ModelFile(Path(l8s2.__file__).parent / "weights" / f"{name}.onnx").build()
    for key, tensor in stored.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[key]), key


def test_finetune_says_in_words_and_json_whether_to_use_it(tmp_path: Path) -> None:
    from l8s2.simulate.landscape import landscape

    imagery = tmp_path / "region"
    imagery.mkdir()
    stack = landscape(3, (80, 45)).truth
    np.savez(imagery / "pampas.npz", x=np.round(stack * 1e4).astype(np.int16)[None], meta=json.dumps({}))
    arguments = ["finetune", "--model", "compact-nopan", str(imagery), "-o", str(tmp_path / "run"), "--steps", "2"]
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert (result["held_out_images"], result["held_out_sites"]) == (1, 1)
    assert set(result["psnr"]) == {"bicubic", "start", "finetuned"}
    assert np.mean(result["psnr"]["start"]) > np.mean(result["psnr"]["bicubic"])
    assert np.allclose(result["psnr"]["start"], result["psnr"]["finetuned"], atol=0.5)
    assert isinstance(result["use"], bool)
    again = CliRunner().invoke(main, [*arguments, "--resume"])
    assert again.exit_code == 0, again.output
    assert result["verdict"] in again.stdout
    from_folder = initial_network(Model(start=result["model"]))[0].state_dict()
    from_checkpoint = initial_network(Model(start=str(tmp_path / "run" / "last.pt")))[0].state_dict()
    scaled = {key for key, tensor in from_folder.items() if not torch.equal(tensor, from_checkpoint[key])}
    assert scaled == {"calibration"}
    assert result["verdict"] in (Path(result["model"]) / "README.md").read_text()


def test_nothing_to_start_from_or_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.onnx"):
        initial_network(Model(start=str(tmp_path / "none.onnx")))
    done = CliRunner().invoke(main, ["finetune", str(tmp_path), "-o", str(tmp_path / "run")])
    assert done.exit_code == 1
    assert "no .npz imagery to train on" in done.output
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    done = CliRunner().invoke(main, ["finetune", str(tmp_path), "-o", str(tmp_path / "run")])
    assert done.exit_code == 1
    assert "other.npz: no meta in it; docs/training.md tells the form of an archive" in done.output


def test_finetune_on_real_pairs(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    from making.training_set import made

    made(tmp_path / "set")
    arguments = ["finetune", "--model", "compact-nopan", str(tmp_path / "set"), "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(main, [*arguments, "--steps", "2", "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert (result["held_out"], result["held_out_images"], result["held_out_sites"]) == ("real pairs", 1, 1)
    assert np.isfinite([*result["psnr"]["start"], *result["psnr"]["finetuned"]]).all()
    assert all(0 < share <= 1 for share in result["coverage"]["finetuned"])
    (tmp_path / "set" / "split.csv").unlink()
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert "no patches on side Train; build some, and put them on sides" in done.output


def test_held_out_ground_of_which_nothing_counts_is_told_before_training(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    from making.training_set import made

    made(tmp_path / "set", side=12)  # the border takes all of a patch
    with pytest.raises(InputError, match="no pixel of the ground held out counts"):
        finetune("compact", tmp_path / "set", tmp_path / "run", steps=2, learning_rate=1e-5, report=lambda line: None)
    assert not (tmp_path / "run").exists()
