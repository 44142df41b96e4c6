"""Patches of the Deep-Harmonization system, written here: what comes out, what counts, and a run."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
h5py = pytest.importorskip("h5py")
pytest.importorskip("accelerate")

import yaml  # noqa: E402
from click.testing import CliRunner  # noqa: E402

from l8s2.cli import main  # noqa: E402
from l8s2.datasets.deep_harmonization import DeepHarmonizationPatches  # noqa: E402
from l8s2.errors import InputError  # noqa: E402
from l8s2.training.config import parse  # noqa: E402
from l8s2.training.pair_crops import PairCrops, turned  # noqa: E402
from l8s2.training.sources import prepare  # noqa: E402

S2, L8, PAN = 48, 17, 33
"""Sizes that fit no better than those of the real patches: 480 m, 510 m and 495 m."""
ROWS = (
    ("LC08_1", "Train", 0.9, 30.0),
    ("LC08_12", "Train", 0.9, 30.0),
    ("LC08_2", "Train", 0.5, 30.0),
    ("LC08_3", "Train", 0.9, 22.0),
    ("LC08_4", "Validation", 0.1, 5.0),
    ("LC08_5", "Test", 0.9, 30.0),
)


@pytest.fixture
def patches(tmp_path: Path) -> tuple[Path, Path]:
    folder, table = tmp_path / "patches", tmp_path / "pairs.csv"
    rng = np.random.default_rng(0)
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["patch_id", "pair_path", "location", "date", "geometry", "pair_type", "ssim", "psnr"])
        for number, (name, pair_type, ssim, psnr) in enumerate(ROWS):
            writer.writerow([name, "pair", "33UUU", "2020-06-01", "POLYGON ((0 0, 1 1))", pair_type, ssim, psnr])
            path = folder / "33UUU" / "2020-06-01" / f"{name}.h5"
            path.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(path, "w") as patch:
                smooth = rng.random((6, 4, 4)).repeat(12, 1).repeat(12, 2)
                patch["s2_image"] = (1000 + 100 * number + 500 * smooth).astype(np.uint16)
                patch["l8_image"] = np.full((6, L8, L8), 10000 + number, np.uint16)
                patch["l8_pan"] = 0.1 + 0.01 * rng.random((PAN, PAN))
                patch["l8_zoomed"] = np.zeros((6, S2, S2), np.uint16)
    return table, folder


def test_rows_are_chosen_by_their_type_and_only_training_rows_by_likeness(patches: tuple[Path, Path]) -> None:
    assert DeepHarmonizationPatches(*patches, "Train", S2).ids == ["LC08_1", "LC08_12", "LC08_2", "LC08_3"]
    assert DeepHarmonizationPatches(*patches, "Train", S2, 0.81, 22.0).ids == ["LC08_1", "LC08_12"]
    settings = {
        "csv_path": str(patches[0]),
        "patch_path": str(patches[1]),
        "min_ssim": 0.81,
        "min_psnr": 22.0,
        "size": S2,
    }
    content = {"model": {"architecture": "UNet"}, "data": {"batch": 2, "deep_harmonization": settings}, "epochs": 1}
    prepared = prepare(parse(content, "test").data, 0)
    assert prepared.training.epoch == 1
    assert [prepared.held_out[n].id for n in range(len(prepared.held_out))] == ["LC08_4"]


def test_inputs_are_interpolated_as_the_deep_harmonization_code_does(patches: tuple[Path, Path]) -> None:
    path = patches[1] / "33UUU" / "2020-06-01" / "LC08_12.h5"
    dn = np.random.default_rng(1).integers(8000, 12000, (6, L8, L8)).astype(np.uint16)
    with h5py.File(path, "r+") as file:
        file["l8_image"][...] = dn
        pan, s2 = file["l8_pan"][...], file["s2_image"][...]
    patch = DeepHarmonizationPatches(*patches, "Train", S2)[1]

    def interpolated(x: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(x.astype(np.float32))[None]
        return torch.nn.functional.interpolate(tensor, size=[S2, S2], mode="bicubic")[0].numpy()

    np.testing.assert_allclose(patch.ms, interpolated(dn * 0.0000275 - 0.2), atol=1e-6)
    np.testing.assert_allclose(patch.pan, interpolated(pan[None])[0], atol=1e-6)
    np.testing.assert_allclose(patch.truth, s2 / 10000, atol=1e-7)
    assert patch.valid.all()
    assert {patch.ms.dtype, patch.pan.dtype, patch.truth.dtype} == {np.dtype(np.float32)}


def test_fill_never_counts_and_never_becomes_a_reflectance(patches: tuple[Path, Path]) -> None:
    path = patches[1] / "33UUU" / "2020-06-01" / "LC08_1.h5"
    with h5py.File(path, "r+") as file:
        file["s2_image"][2, :5, :7] = 0
        file["l8_image"][4, 15:, 16:] = 0
    patch = DeepHarmonizationPatches(*patches, "Train", S2)[0]
    assert not patch.valid[2, :5, :7].any()
    assert patch.valid[1, :5, :7].all()
    assert not patch.valid[:, 42:, 45:].any()
    assert patch.valid[3, 10:30, 10:30].all()
    assert np.isfinite(patch.ms).all()
    assert patch.ms.min() > 0


@pytest.mark.parametrize("size", [40, 64])
def test_patches_are_cut_or_padded_never_stretched(patches: tuple[Path, Path], size: int) -> None:
    whole, fitted = (
        DeepHarmonizationPatches(*patches, "Train", S2)[0],
        DeepHarmonizationPatches(*patches, "Train", size)[0],
    )
    n = min(size, S2)
    for name in ("ms", "pan", "truth", "valid"):
        a, b = getattr(whole, name), getattr(fitted, name)
        assert b.shape[-2:] == (size, size)
        np.testing.assert_array_equal(a[..., :n, :n], b[..., :n, :n])
    assert not fitted.valid[:, n:].any()


def test_an_epoch_has_every_pair_once_and_depends_on_seed_and_step_alone(patches: tuple[Path, Path]) -> None:
    pairs = DeepHarmonizationPatches(*patches, "Train", S2)
    source = PairCrops(pairs, 3, 7, augment=False, fingerprint=pairs.fingerprint)
    assert source.epoch == 2
    levels = [source(step).ms[:, 0, 0, 0] for step in (0, 1)]
    assert len(set(np.concatenate(levels)[:4].round(6).tolist())) == 4
    orders = {tuple(source(2 * epoch).ms[:, 0, 0, 0].tolist()) for epoch in range(6)}
    assert len(orders) > 1
    again = PairCrops(pairs, 3, 7, augment=True, fingerprint=pairs.fingerprint)
    np.testing.assert_array_equal(again(5).truth[1:], again(5, slice(1, 3)).truth)


def test_eight_orientations(patches: tuple[Path, Path]) -> None:
    patch = DeepHarmonizationPatches(*patches, "Train", S2)[0]
    assert patch.pan is not None
    seen = [(turned(patch.pan, 0, turn), turned(patch.truth, 0, turn)) for turn in range(8)]
    assert len({pan.tobytes() for pan, _ in seen}) == 8
    np.testing.assert_array_equal(seen[0][0], patch.pan)
    for pan, truth in seen:  # every part is turned alike
        at = np.unravel_index(pan.argmax(), (S2, S2))
        origin = np.unravel_index(patch.pan.argmax(), (S2, S2))
        np.testing.assert_array_equal(truth[:, *at], patch.truth[:, *origin])


def test_what_is_missing_or_wrong_is_named(patches: tuple[Path, Path], tmp_path: Path) -> None:
    table, folder = patches
    with pytest.raises(InputError, match="no rows with pair_type Training"):
        _ = DeepHarmonizationPatches(table, folder, "Training", S2).ids
    with pytest.raises(InputError, match="No such file"):
        _ = DeepHarmonizationPatches(tmp_path / "none.csv", folder, "Train", S2).ids
    (tmp_path / "other.csv").write_text("id,type\n")
    with pytest.raises(InputError, match="no column patch_id"):
        _ = DeepHarmonizationPatches(tmp_path / "other.csv", folder, "Train", S2).ids
    with pytest.raises(InputError, match="no file"):
        _ = DeepHarmonizationPatches(table, tmp_path / "nowhere", "Train", S2)[0]
    (folder / "33UUU" / "2020-06-01" / "LC08_1.h5").write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"LC08_1\.h5: not a patch"):
        _ = DeepHarmonizationPatches(table, folder, "Train", S2)[0]


def test_a_deep_harmonization_configuration_trains(patches: tuple[Path, Path], tmp_path: Path) -> None:
    content = {
        "csv_path": str(patches[0]), "patch_path": str(patches[1]), "model_kind": "AUNet_Gaussian", "batch_size": 1,
        "AUNet_G": {"depth": 2, "growth_factor": 2, "up_mode": "shuffle"}, "epochs": 2, "s2_array_size": S2,
        "num_workers": 2,
    }  # fmt: skip
    (tmp_path / "published.yaml").write_text(yaml.safe_dump(content))
    done = CliRunner().invoke(
        main,
        [
            "train",
            "--config",
            str(tmp_path / "published.yaml"),
            "-o",
            str(tmp_path / "run"),
            "iters_to_accumulate",
            "2",
        ],
    )
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "gain_db" in line] == [1, 2]  # two pairs to a step: an epoch is one step
    assert (tmp_path / "run" / "pictures" / "step_0000002.png").exists()
    config = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert (config["gaussian"], config["input_alignment"], config["depth"]) == (True, "lattice", 2)
