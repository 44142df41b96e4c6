"""The commands as a plugin of ``rio``, the command line of rasterio."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner
from rasterio.rio.main import main_group

from making.scenes import ID, make


def test_rio_has_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((name, value),) = project["entry-points"]["rasterio.rio_plugins"].items()
    plugin = EntryPoint(name, value, "rasterio.rio_plugins").load()
    monkeypatch.setattr(main_group, "commands", {**main_group.commands, plugin.name: plugin})
    done = CliRunner().invoke(main_group, ["l8s2", "harmonize", str(make(tmp_path / "in")), "-o", str(tmp_path)])
    assert done.exit_code == 0
    assert (tmp_path / f"{ID}_S2L").is_dir()
