"""The rules that keep the package light and its parts apart, read from its source and from what an import loads."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import l8s2

SOURCE = Path(l8s2.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
PURE = ["errors", "grid", "masks", "radiometry", "sensors", "tiling"]
HEAVY = {"torch", "rasterio", "osgeo", "openvino", "xarray", "scipy"}
NETWORK = {"aiohttp", "ftplib", "httpx", "huggingface_hub", "pystac_client", "requests", "socket", "urllib3"}
ONLINE = {"access.py", "catalog.py", "download.py", "hub.py"}


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, by its full name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def loaded(statement: str) -> set[str]:
    """Top-level packages that a fresh interpreter holds after ``statement``."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert "l8s2" in found
    return found


@pytest.mark.parametrize("module", ["l8s2", *(f"l8s2.{name}" for name in PURE)])
def test_import_is_light(module: str) -> None:
    assert not loaded(f"import {module}") & HEAVY


def test_help_is_light() -> None:
    run = "import l8s2.cli, contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n l8s2.cli.main(['--help'], standalone_mode=False)"
    assert not loaded(run) & (HEAVY | {"numpy"})


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_need_only_numpy_and_grids(name: str) -> None:
    for module in imports(SOURCE / f"{name}.py"):
        top, _, rest = module.partition(".")
        if top == "l8s2":
            assert not rest or rest.partition(".")[0] in PURE, module
        else:
            assert top in {"numpy", "odc", "affine", "mgrs"} | sys.stdlib_module_names, module


def test_models_are_a_leaf() -> None:
    for path in (SOURCE / "models").glob("*.py"):
        for module in imports(path):
            assert module.startswith("l8s2.models") or not module.startswith("l8s2"), f"{path.name}: {module}"
            assert module.partition(".")[0] in {"l8s2", "torch", "numpy"} | sys.stdlib_module_names, module


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_the_command_line_prints(path: Path) -> None:
    calls = [n.func for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
    if not name_of(path).startswith("cli/"):
        assert not any(isinstance(call, ast.Name) and call.id == "print" for call in calls)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_few_modules_go_online(path: Path) -> None:
    if path.name not in ONLINE:
        used = set(imports(path))
        assert not {module.partition(".")[0] for module in used} & NETWORK
        assert not {"urllib.request", "http.client"} & used


def test_what_is_cited_is_this_version() -> None:
    citation = SOURCE.parents[1] / "CITATION.cff"
    if not citation.exists():
        pytest.skip("not a clone of the repository")
    assert f"\nversion: {l8s2.__version__}\n" in citation.read_text(encoding="utf-8")


def test_every_public_name_exists() -> None:
    names = [name for name in l8s2.__all__ if not name.startswith("_")]
    assert names == sorted(names)
    assert all(getattr(l8s2, name) is not None for name in names)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = l8s2.nothing
