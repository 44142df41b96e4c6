"""Training on simulated crops: what may be learned from, and export."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydantic")
pytest.importorskip("torch")
pytest.importorskip("onnx")

import torch

from l8s2.errors import InputError
from l8s2.models.onnx_export import export_onnx
from l8s2.models.onnx_file import ModelFile
from l8s2.networks import Compact, CompactConfig
from l8s2.predictors.engines import OpenVinoNetwork
from l8s2.predictors.torch_network import TorchNetwork
from l8s2.simulate.archives import Image, load_archive
from l8s2.simulate.crops import Crops
from l8s2.training.archive_split import ArchiveRole, ArchiveSplit, images_of, read_split, split_folder
from l8s2.training.config import SimulatedConfig
from making.tiny_runs import RESERVED

TINY = CompactConfig(width=8, blocks=1)


EMBEDDED_SPLIT = Path(__file__).parents[2] / "configs" / "embedded-split.yaml"


def sites(images: list[Image]) -> set[str]:
    return {image.site for image in images}


def test_what_is_held_out_is_never_trained_on(imagery: Path) -> None:
    for config in (
        SimulatedConfig(folder=imagery, held_out=(f"{RESERVED}_L1C",)),
        SimulatedConfig(folder=imagery, split=split_file(imagery.parent, f"{RESERVED}_L1C: {{role: validation}}")),
    ):
        training, validation = images_of(config)
        assert sites(training) == {"farm", "town"}
        assert sites(validation) == {RESERVED}
    with pytest.raises(InputError, match="has no archive shoreline; it has farm_L2A, shore_L1C, town_L1C"):
        images_of(SimulatedConfig(folder=imagery, held_out=("shoreline",)))
    with pytest.raises(ValueError, match="give either split or held_out"):
        SimulatedConfig(folder=imagery, held_out=("shoreline",), split=imagery)


def split_file(folder: Path, *lines: str) -> Path:
    path = folder / "split.yaml"
    path.write_text("archives:\n" + "".join(f"  {line}\n" for line in lines))
    return path


def test_every_archive_without_a_role_is_trained_on(imagery: Path) -> None:
    for name in ("pampas_2024", "berlin_krull_2"):  # names that begin like those of the embedded split
        (imagery / f"{name}.npz").write_bytes((imagery / "farm_L2A.npz").read_bytes())
    names = {"farm", "town", RESERVED, "pampas_2024", "berlin_krull_2"}
    assert sites(split_folder(imagery, read_split(EMBEDDED_SPLIT)).training) == names
    training, validation = images_of(SimulatedConfig(folder=imagery))
    assert sites(training) | sites(validation) == names


def test_roles_sharpness_and_rows(imagery: Path) -> None:
    roles = {
        "farm_L2A": ArchiveRole(role="calibration", rows=(0.8, 1.0)),
        "town_L1C": ArchiveRole(sharpness=(0.6, 0.7), smallest_scale=1.5),
        f"{RESERVED}_L1C": ArchiveRole(role="unused", reason="a test"),
    }
    training, calibration, validation = split_folder(imagery, ArchiveSplit(archives=roles))
    assert sites(training) == {"farm", "town"}
    assert sites(calibration) == {"farm"}
    assert validation == []
    whole = load_archive(imagery / "farm_L2A.npz").images[0].stack
    np.testing.assert_array_equal(calibration[0].stack, whole[:, 72:90])
    np.testing.assert_array_equal(training[0].stack, whole[:, :68])  # 5 % above the rows is used for nothing
    assert (training[1].sigma, training[1].smallest_scale) == ((0.6, 0.7), 1.5)
    assert (training[0].sigma, training[0].smallest_scale) == ((0.52, 1.03), 1.0)


def test_the_embedded_split() -> None:
    roles = read_split(EMBEDDED_SPLIT).archives
    assert roles["dsen2_mock_L1C"].role == "unused"
    assert {name for name, of in roles.items() if of.role == "validation"} == {
        "dsen2_T33UUB_L1C", "pampas_L2A", "bigearthnet6_L2A", "sundarbans_L2A",
    }  # fmt: skip
    assert all(of.reason for of in roles.values() if of.role == "unused")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a: {role: validated}", "archives.a.role: .*'training', 'validation', 'calibration' or 'unused'"),
        ("a: {role: calibration}", "archives.a: rows belong to role calibration"),
        ("a: {role: calibration, rows: [1.0, 0.8]}", "give two fractions of the height, in order"),
        ("a: {role: unused}", "reason belongs to role unused"),
        ("a: {rolle: unused}", "archives.a.rolle: .*not permitted"),
        ("a: [", "not YAML"),
    ],
)
def test_a_wrong_split_is_said_in_one_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_split(split_file(tmp_path, line))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="No such file"):
        read_split(tmp_path / "none.yaml")


def test_a_folder_without_imagery_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.npz imagery"):
        split_folder(tmp_path, ArchiveSplit())


def test_crops_are_clean_repeatable_and_only_score_what_is_known(imagery: Path) -> None:
    training, _ = images_of(SimulatedConfig(folder=imagery, held_out=(f"{RESERVED}_L1C",)))
    crops = Crops(training, size=12, batch=8, seed=3)
    one, again, other = crops(7), crops(7), crops(8)
    for name in ("ms", "pan", "truth", "valid"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    assert not np.array_equal(one.ms, other.ms)
    assert one.ms.shape == (8, 6, 12, 12)
    assert one.pan.shape == (8, 1, 24, 24)
    assert one.truth.shape == one.valid.shape == (8, 6, 36, 36)
    assert all(np.isfinite(x).all() for x in (one.ms, one.pan, one.truth))
    part = crops(7, slice(2, 5))  # what another process would draw of the same batch
    np.testing.assert_array_equal(part.ms, one.ms[2:5])
    town = Crops([i for i in training if i.site == "town"], size=12, batch=2, seed=0)(0)
    assert town.valid[:, :3].all()
    assert not town.valid[:, 3:].any()  # stand-ins are input, never a target


@pytest.mark.parametrize("pan", [True, False])
def test_an_exported_network_is_the_same_in_both_engines(tmp_path: Path, pan: bool) -> None:
    torch.manual_seed(1)
    network = Compact(replace(TINY, pan=pan)).eval()
    network.calibration.copy_(torch.tensor([1.0, 1.1, 0.9, 2.0, 0.5, 1.3]))
    path = tmp_path / "tiny.onnx"
    export_onnx(network, path, architecture="Compact", config={}, card={"name": "tiny"})
    rng = np.random.default_rng(0)
    ms = rng.random((6, 19, 23), np.float32) * 0.3
    samples = rng.random((38, 46), np.float32) * 0.3 if pan else None
    with torch.inference_mode():
        expected = network(
            torch.from_numpy(ms)[None], None if samples is None else torch.from_numpy(samples)[None, None]
        )
    for engine in (OpenVinoNetwork(ModelFile(path), 1, bf16=False), TorchNetwork(ModelFile(path).build, 1)):
        assert engine.receptive_field == network.receptive_field
        assert engine.uses_pan is pan
        for found, want in zip(engine(ms, samples), expected, strict=True):
            np.testing.assert_allclose(found, want[0].numpy(), atol=1e-5, rtol=1e-4)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.onnx"]


def test_the_exported_file_names_no_place_of_the_machine_it_was_made_on(tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    export_onnx(Compact(TINY), path, architecture="Compact", config={}, card={})
    content = path.read_bytes()
    assert str(Path.cwd()).encode() not in content
    assert b"site-packages" not in content
