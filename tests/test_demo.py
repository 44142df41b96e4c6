import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from l8s2 import demo
from l8s2.cli.evaluate import show_demo
from l8s2.errors import InputError
from l8s2.sensors import BAND_NAMES


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str], Path]:
    output = tmp_path_factory.mktemp("demo")
    lines: list[str] = []
    demo.run_demo(output, report=lines.append, size_ms=(60, 66))
    return (
        demo.run_demo(output, report=lambda _: None, size_ms=(60, 66)),
        lines,
        output,
    )  # a second time, over the first


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "notes").touch()
    with pytest.raises(InputError, match="holds other files; give a new folder"):
        demo.run_demo(tmp_path, report=lambda _: None, size_ms=(60, 66))
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_it_beats_bicubic_in_every_band(small):
    result, _, _ = small
    assert [row["band"] for row in result["bands"]] == list(BAND_NAMES)
    for row in result["bands"]:
        assert row["psnr"] > row["psnr_bicubic"] + 2
        assert row["gain_db"] == pytest.approx(20 * np.log10(row["rmse_bicubic"] / row["rmse"]))
        assert 0.7 < row["coverage"] <= 1
        assert row["pixels"] == pytest.approx(result["scored_percent"] / 100 * 180 * 198, rel=0.002)
        assert row["pixels"] > 10_000
    assert [row["band"] for row in result["means"]] == ["10 m bands, mean", "20 m bands, mean"]
    gains = [row["gain_db"] for row in result["bands"]]
    assert [row["gain_db"] for row in result["means"]] == pytest.approx([np.mean(gains[:3]), np.mean(gains[3:])])


def test_it_says_that_the_scene_is_simulated(small):
    result, lines, _ = small
    assert result["simulated"] is True
    assert "simulated" in result["note"]
    assert "not real" in lines[0]
    assert not [line for line in lines if line.startswith("warning")]
    json.dumps(result, allow_nan=False)


def test_the_item_says_what_the_scene_tells_of_its_sensor(small):
    properties = json.loads(Path(small[0]["product"], f"{demo.PRODUCT_ID}.json").read_text())["properties"]
    assert properties["l8s2:verdict"] == "pass"
    assert properties["l8s2:pan_shift"]["verdict"] == properties["l8s2:sharpness"]["verdict"] == "good"
    assert properties["l8s2:sharpness"]["nominal_blur_m"] == 12.82
    assert properties["l8s2:noise"]["verdict"] in ("good", "unknown")


def test_files_are_where_it_says(small):
    result, _, output = small
    assert {path.name for path in output.iterdir()} == {"input", "demo.png", f"{demo.PRODUCT_ID}_S2L"}
    assert Path(result["product"], f"{demo.PRODUCT_ID}_SR.tif").is_file()
    assert Path(result["input"]).parent == output / "input"
    with Image.open(result["figure"]) as figure:
        assert figure.size == (3 * 198 + 6, 2 * 180 + 3 + 18)


def shown(result: dict[str, Any], columns: int | None) -> str:
    console = Console(file=io.StringIO(), width=80, color_system=None, record=True)
    console.print(demo.render(result, columns=columns))
    return console.export_text()


def test_the_table_fits_and_is_honest(small):
    text = shown(small[0], None)
    assert "simulated" in text
    assert "▀" not in text
    assert all(name in text for name in BAND_NAMES)
    assert max(map(len, text.splitlines()[:20])) <= 80


@pytest.mark.parametrize("columns", [12, 80, 300])
def test_the_picture_fits_the_terminal(small, columns):
    text = shown(small[0], columns)
    rows = [line for line in text.splitlines() if "▀" in line]
    assert rows
    assert max(map(len, rows)) <= columns


def test_no_picture_where_nobody_looks(small, capsys):
    show_demo(small[0])
    printed = capsys.readouterr().out
    assert "simulated" in printed
    assert "▀" not in printed


def test_scores_follow_their_definitions():
    rng = np.random.default_rng(0)
    ms = np.full((6, 8, 8), 0.2, np.float32)
    truth = np.full((6, 24, 24), 0.21, np.float32)
    mean = truth + rng.normal(0, 0.002, truth.shape).astype(np.float32)
    clear = np.ones((24, 24), bool)
    clear[:12] = False
    mean[:, :12] = 9
    result = demo.score(ms, mean, np.full_like(mean, 0.002), truth, clear)
    for row in result["bands"]:
        assert row["rmse_bicubic"] == pytest.approx(0.01, rel=1e-3)
        assert row["gain_db"] == pytest.approx(14, abs=1)
        assert row["coverage"] == pytest.approx(0.9, abs=0.07)
        assert row["pixels"] == 288


def test_the_detail_shows_the_strongest_contours():
    image = np.zeros((90, 90), np.float32)
    image[60:75:2, 30:45] = 0.2
    clear = np.ones((90, 90), bool)
    left, upper = demo._most_textured(image, clear, (30, 30))
    assert 15 <= left <= 30
    assert 45 <= upper <= 60
    image[3:20:2, 60:80] = 0.9
    clear[:25] = False
    assert demo._most_textured(image, clear, (30, 30)) == (left, upper)


def test_a_file_in_the_way_is_one_clear_line(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match=r"taken: File exists; give a folder"):
        demo.run_demo(tmp_path / "taken", report=lambda _: None)


def test_import_is_light():
    code = "import sys, l8s2.demo; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "rasterio", "PIL", "rich", "openvino"} & set(modules)
