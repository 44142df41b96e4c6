"""A run that was killed, and the run that goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_same_bytes import files

from l8s2.cli import main
from l8s2.landsat.scene import open_scene
from l8s2.pipeline.tiles import predict_window
from l8s2.pipeline.to_product import harmonize_product
from making.scenes import ID, archive, make, ms_grid, part, rewrite

KILLED = """
import os, signal, sys
from l8s2.cog.file import CogFile
from l8s2.cog.spool import Spool
from l8s2.pipeline.to_product import harmonize_product
append, left = Spool.append, [int(sys.argv[3])]

def kill(*given):
    os.kill(os.getpid(), signal.SIGKILL)

def count(self, key, data):
    append(self, key, data)
    left[0] -= 1
    if not left[0]:
        kill()

Spool.append = count
if left[0] < 0:
    CogFile._join = kill
harmonize_product(sys.argv[1], sys.argv[2])
"""


@pytest.mark.posix
def test_the_bytes_are_those_of_an_undisturbed_run(tmp_path: Path) -> None:
    product = make(tmp_path / "in", ms_grid(560, 20))
    whole = files(product, tmp_path / "whole")
    for moment in (1, 5, -1):
        output = tmp_path / f"{moment}"
        run = subprocess.run([sys.executable, "-c", KILLED, product, output, str(moment)], check=False)
        assert run.returncode == -signal.SIGKILL
        assert not list(output.rglob("*.tif"))
        assert whole == files(product, output, resume=True)
        assert [path.name[0] for path in output.iterdir()] == ["L"]


@pytest.mark.posix
@pytest.mark.parametrize(("moment", "left"), [(6, 2), (-1, 0)])
def test_of_a_warped_product_windows_are_not_predicted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int, left: int
) -> None:
    """Killed within the windows, and when the first file was to be warped."""
    product = make(tmp_path / "in", ms_grid(560, 20))
    whole = files(product, tmp_path / "whole", crs="EPSG:3035")
    program = KILLED.replace("sys.argv[2])", "sys.argv[2], crs='EPSG:3035')")
    command = [sys.executable, "-c", program, product, tmp_path / "out", str(moment)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    made = []

    def counted(*given: Any, **how: Any) -> Any:
        made.append(given)
        return predict_window(*given, **how)

    monkeypatch.setattr("l8s2.pipeline.layers.predict_window", counted)
    assert whole == files(product, tmp_path / "out", resume=True, crs="EPSG:3035")
    assert len(made) <= left
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_whole_product_is_returned_and_other_settings_begin_anew(tmp_path: Path) -> None:
    product = make(tmp_path / "in", ms_grid(40, 30))
    whole = files(product, tmp_path / "out")
    assert whole == files(product, tmp_path / "out", resume=True)
    (tmp_path / "b").mkdir()
    left = tmp_path / "b" / f".{product.name}_S2L.0123abcd"
    left.mkdir()
    (left / "journal").write_text("something else")
    (left / f"{product.name}_SR.tif.part.draft").write_bytes(b"tile" * 100)
    assert whole == files(product, tmp_path / "b", resume=True)
    assert harmonize_product(product, tmp_path / "b", resume=True).is_dir()
    assert len(list((tmp_path / "b").iterdir())) == 1


def test_another_input_is_begun_anew(tmp_path: Path) -> None:
    product = make(tmp_path / "in")
    with open_scene(product) as scene:
        first = scene.input_files()
    assert {name for name, *_ in first} >= {"SR_B4", "QA_PIXEL", "B8"}
    rewrite(part(product, "SR_B4"), lambda x: x + 1)
    with open_scene(product) as scene:
        assert scene.input_files() != first


@pytest.mark.parametrize(("ending", "mode"), [(".tar", "w"), (".tar.gz", "w:gz")])
def test_another_archive_is_begun_anew(ending: str, mode: str, tmp_path: Path) -> None:
    path = archive(make(tmp_path / "in", with_pan=False), tmp_path / f"{ID}{ending}", mode=mode)
    found = []
    for later in (0, 0, 60):
        os.utime(path, (1e9 + later, 1e9 + later))
        with open_scene(path) as scene:
            found.append(scene.input_files())
    assert [name for _, name, *_ in found[0]] == [path.name]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_an_empty_folder_is_no_product(tmp_path: Path) -> None:
    product = make(tmp_path / "in")
    (tmp_path / "out" / f"{ID}_S2L").mkdir(parents=True)
    done = CliRunner().invoke(main, ["harmonize", str(product), "-o", str(tmp_path / "out"), "--resume"])
    assert done.exit_code == 1
    assert "exists already" in done.stderr
