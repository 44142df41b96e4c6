"""The documentation builds without a warning: links, anchors, references."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import l8s2
from l8s2.cli import main

pytest.importorskip("mkdocs", reason="needs the extra docs")
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_every_verb_and_option_has_its_place(site: Path) -> None:
    page = (site / "reference" / "command-line.html").read_text(encoding="utf-8")
    for name, verb in main.commands.items():
        assert f'id="l8s2-{name}"' in page
        for parameter in verb.params:
            if parameter.param_type_name == "option":
                assert parameter.opts[-1] in page


def test_every_public_name_is_described(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in set(l8s2.__all__) - {"__version__"}:
        assert f"l8s2.{name}" in page or f">{name}<" in page


def test_pictures_came_along(site: Path) -> None:
    assert (site / "pictures" / "lattice.svg").is_file()
