"""The rules that keep the package light and its parts apart, read from its source and from what an import loads."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import l8s2
from l8s2.cli import main
from l8s2.cli.shell import as_options

SOURCE = Path(l8s2.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
PURE = ["arrays", "errors", "grid", "masks", "optics", "progress", "radiometry", "sensors"]
HEAVY = {"torch", "rasterio", "osgeo", "openvino", "xarray", "scipy"}
NETWORK = {
    "aiohttp", "boto3", "botocore", "ftplib", "httpx", "huggingface_hub", "pystac_client", "requests", "socket",
    "urllib3",
}  # fmt: skip
ONLINE = {
    "acquire/access.py", "acquire/download.py", "acquire/windows.py", "batch/s3_output.py", "catalogs/search.py",
    "models/hub.py",
}  # fmt: skip
LAYERS = (
    {"errors", "_version", "progress", "arrays", "sensors", "networks"},
    {"system"},
    {"masks", "optics", "grid", "radiometry", "raster", "files", "serialization", "hf"},
    {"registration", "metrics", "cog", "deliveries"},
    {"landsat", "product", "models", "patches", "simulate", "target"},
    {"predictors", "datasets", "catalogs", "xarray_scene"},
    {"acquire", "pipeline", "evaluation"},
    {"pairs", "doctor", "training", "demo", "batch", "viewer", "exports", "xarray", "verify", "report"},
    {"cube"},
    {"studies"},
    {"cli"},
)
"""Rooms, the lowest first; a room imports only what stands lower."""
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


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
    run = (
        "import l8s2.cli, contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n"
        " l8s2.cli.main(['--help'], standalone_mode=False)"
    )
    assert not loaded(run) & (HEAVY | {"numpy"})


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_need_only_numpy_and_grids(name: str) -> None:
    files = sorted((SOURCE / name).glob("*.py")) or [SOURCE / f"{name}.py"]
    for module in (module for path in files for module in imports(path)):
        top, _, rest = module.partition(".")
        if top == "l8s2":
            assert not rest or rest.partition(".")[0] in PURE, module
        else:
            assert top in {"numpy", "odc", "affine", "mgrs"} | sys.stdlib_module_names, module


def test_networks_are_a_leaf() -> None:
    for path in (SOURCE / "networks").glob("*.py"):
        for module in imports(path):
            assert module.startswith("l8s2.networks") or not module.startswith("l8s2"), f"{path.name}: {module}"
            assert module.partition(".")[0] in {"l8s2", "torch", "numpy"} | sys.stdlib_module_names, module


def room_of(module: str) -> str:
    return module.removeprefix("l8s2.").partition(".")[0]


def rooms_imported(path: Path) -> set[str]:
    """The rooms that a file of l8s2 imports anywhere, without its own."""
    own = name_of(path).partition("/")[0].removesuffix(".py")
    return {room_of(module) for module in imports(path) if module.startswith("l8s2.")} - {own}


@pytest.mark.parametrize("path", [path for path in FILES if name_of(path) != "__init__.py"], ids=name_of)
def test_rooms_import_only_downwards(path: Path) -> None:
    here = name_of(path).partition("/")[0].removesuffix(".py")
    for room in rooms_imported(path):
        assert LEVEL[room] < LEVEL[here], f"{here} imports {room}"


def test_no_module_imports_itself_in_a_circle() -> None:
    """Also within a room, where the layers do not look; imports inside of functions count."""
    names = {
        f"l8s2.{name_of(path).removesuffix('.py').removesuffix('/__init__').replace('/', '.')}": path for path in FILES
    }
    needs = {name: {m for m in imports(path) if m in names and m != name} for name, path in names.items()}
    faces = {name for name, path in names.items() if path.name == "__init__.py"}
    graph = {name: {m for m in found if m not in faces} for name, found in needs.items() if name not in faces}
    while leaves := {name for name, found in graph.items() if not found & graph.keys()}:
        graph = {name: found for name, found in graph.items() if name not in leaves}
    assert not graph, f"in a circle, or above one: {sorted(graph)}"


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=name_of)
def test_a_room_can_be_taken_in_at_a_glance(folder: Path) -> None:
    files = [path for path in FILES if path.parent == folder]
    assert len(files) <= 17, f"{len(files)} files; make two rooms of it"  # 16 and the face
    for path in files:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 300, f"{path.name} has {lines} lines; make two files of it"


def prints(tree: ast.AST) -> bool:
    """Whether code prints: ``print``, anything's ``.echo``, or rich's ``Console``."""
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {call.id if isinstance(call, ast.Name) else getattr(call, "attr", "") for call in calls}
    return bool(names & {"print", "echo", "secho", "Console"}) or any(
        ast.unparse(call) in ("sys.stdout.write", "sys.stderr.write") for call in calls
    )


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_the_command_line_prints(path: Path) -> None:
    if not name_of(path).startswith("cli/"):
        assert not prints(ast.parse(path.read_text(encoding="utf-8")))


def texts(tree: ast.AST) -> list[str]:
    """Every string of the code, parts of f-strings as well."""
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def options(command: click.Command) -> set[str]:
    """The options of a command and of those below it, without their dashes."""
    below = command.commands.values() if isinstance(command, click.Group) else ()
    own = {name.removeprefix("--") for parameter in command.params for name in parameter.opts if name.startswith("--")}
    return own.union(*map(options, below))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_the_command_line_speaks_of_options(path: Path) -> None:
    """Elsewhere a message names a parameter in backticks, which the command line shows as an option it has."""
    if not name_of(path).startswith("cli/"):
        for text in texts(ast.parse(path.read_text(encoding="utf-8"))):
            assert not re.search(r"(?<![\w-])--[a-z]", text), text
            assert set(re.findall(r"(?<=--)[a-z][a-z0-9-]*", as_options(text))) <= options(main), text


def test_parameters_are_shown_as_options() -> None:
    said = "`max_days` 3: more than `limit`; see ``load_model``, `Thing` or `l8s2 models`"
    assert as_options(said) == "--max-days 3: more than --limit; see ``load_model``, `Thing` or `l8s2 models`"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_few_modules_go_online(path: Path) -> None:
    used = set(imports(path))
    online = {module.partition(".")[0] for module in used} & NETWORK or {"urllib.request", "http.client"} & used
    online = online or any(
        isinstance(node, ast.Constant) and isinstance(node.value, str) and "/vsicurl" in node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )
    if name_of(path) not in ONLINE:
        assert not online, online
    else:
        assert online, f"{name_of(path)} does not go online; take it off the list"


@pytest.mark.parametrize(
    "code", ["print(1)", "click.echo('x')", "Console().rule()", "rich.console.Console()", "sys.stdout.write('x')"]
)
def test_the_rule_on_printing_catches(code: str) -> None:
    assert prints(ast.parse(code))


def names_of(module: str) -> set[str]:
    """What a module of l8s2 gives to those who import from it, read from its source; empty where there is none."""
    place = SOURCE.joinpath(*module.split(".")[1:])
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
    below = {child.stem for child in place.iterdir()} if place.is_dir() else set()
    named = {getattr(node, "id", getattr(node, "name", "")) for node in ast.walk(tree)}
    return below | named | {node.asname or node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}


@pytest.mark.parametrize("folder", ["benchmarks", "scripts", "notebooks"])
def test_programs_beside_the_package_import_what_there_is(folder: str) -> None:
    """The documentation names them as the source of its numbers; no other test runs all of them."""
    if not (SOURCE.parents[1] / folder).is_dir():
        pytest.skip("not a clone of the repository")
    for path in sorted((SOURCE.parents[1] / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("l8s2."):
                missing = {alias.name for alias in node.names} - names_of(node.module or "")
                assert not missing, f"{path.name}: {node.module} has no {missing}"


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
