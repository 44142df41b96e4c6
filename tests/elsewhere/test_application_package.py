"""The application package: what a platform stages in goes in, a catalogue with products comes out."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import l8s2
from making.scenes import ID, PAN_ID, make
from making.staged import stage_in

PACKAGE = Path(__file__).parents[2] / "packaging" / "eoap"
CWL = PACKAGE / "l8s2.cwl"
CWLTOOL = shutil.which("cwltool", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or ""
with_cwltool = pytest.mark.skipif(not CWLTOOL or os.name == "nt", reason="pip install cwltool; needs a POSIX system")
pytestmark = pytest.mark.skipif(not CWL.exists(), reason="not a clone of the repository")


@with_cwltool
def test_from_a_staged_in_catalogue_to_one_of_products(tmp_path: Path) -> None:
    import pystac

    scene = make(tmp_path / "made")
    (tmp_path / "in").mkdir()
    shutil.move(scene, tmp_path / "in" / "a")
    shutil.move(scene.with_name(PAN_ID), tmp_path / "in" / "b")
    stage_in(tmp_path / "in", {"a": ID, "b": PAN_ID})
    done = run_cwl(tmp_path, "--scenes", str(tmp_path / "in"), "--model", "compact")
    assert done.returncode == 0, done.stderr
    where = Path(json.loads(done.stdout)["products"]["path"])
    (item,) = pystac.Catalog.from_file(str(where / "catalog.json")).get_items()
    assert item.id == f"{ID}_S2L"
    assert PAN_ID in item.properties["processing:lineage"]
    for asset in item.assets.values():
        assert Path(asset.get_absolute_href()).is_file()


@with_cwltool
def test_what_is_wrong_with_the_input_is_said(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "catalog.json").write_text('{"links": []}')
    done = run_cwl(tmp_path, "--scenes", str(tmp_path / "in"))
    assert done.returncode == 1
    assert "leads to no Landsat Level-2 files" in done.stderr


def run_cwl(folder: Path, *options: str) -> Any:
    program = folder / "bin" / "l8s2"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m l8s2.cli "$@"\n')
    program.chmod(0o755)
    source = str(Path(l8s2.__file__).parents[1])
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": source}
    command = [CWLTOOL, "--no-container", "--preserve-environment", "PYTHONPATH", "--outdir", str(folder / "out")]
    return subprocess.run(
        [*command, f"{CWL}#l8s2", *options],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_image_and_description_are_of_this_version() -> None:
    text = CWL.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:softwareVersion: |dockerPull: l8s2:)(\S+)", text)) == {l8s2.__version__}
    docker = (PACKAGE / "Dockerfile").read_text(encoding="utf-8")
    assert f"l8s2:{l8s2.__version__}" in docker
    assert re.findall(r"^USER (.*)", docker, re.MULTILINE) == ["l8s2"]


def test_the_image_is_not_built_where_l8s2_does_not_work() -> None:
    """The wheel of rasterio needs a library that the slim image of Python has no more."""
    docker = (PACKAGE / "Dockerfile").read_text(encoding="utf-8")
    assert "libexpat1" in docker.partition("pip install")[0]
    assert docker.index("USER l8s2") < docker.index("RUN l8s2 doctor --offline")
