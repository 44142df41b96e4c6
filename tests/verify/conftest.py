"""One product of a small scene, made once, and copies of it to damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from l8s2.pipeline.to_product import harmonize_product
from making.scenes import make, ms_grid


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("scenes"), ms_grid(200, 30))


@pytest.fixture(scope="session")
def made(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harmonize_product(scene, tmp_path_factory.mktemp("made"))


@pytest.fixture
def product(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "out" / made.name))


@pytest.fixture(scope="session")
def small_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("small") / "in", ms_grid())


@pytest.fixture(scope="session")
def small_made(small_scene: Path) -> Path:
    return harmonize_product(small_scene, small_scene.parents[1] / "out")


@pytest.fixture
def small(small_scene: Path, tmp_path: Path) -> Path:
    """A scene with its pan, to change."""
    return Path(shutil.copytree(small_scene.parent, tmp_path / "in")) / small_scene.name


@pytest.fixture
def of_small(small_made: Path, tmp_path: Path) -> Path:
    """The product of ``small``, to change."""
    return Path(shutil.copytree(small_made, tmp_path / "out" / small_made.name))
