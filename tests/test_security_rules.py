"""What the source of l8s2 must not hold, read from its syntax."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import l8s2

SOURCE = Path(l8s2.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
OPENS = {"raster.py", "acquire/windows.py"}
"""Where rasters are opened to be read: of this disk, and of a catalogue."""
REFUSED = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "tempfile.mktemp", "pickle.load", "pickle.loads",
    "marshal.load", "marshal.loads", "shelve.open", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "joblib.load",
    "dill.load", "dill.loads", "cloudpickle.loads", "xml.sax.parse", "xml.dom.minidom.parse",
}  # fmt: skip


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def faults(tree: ast.AST) -> Iterator[str]:
    """What a program could be made to run by a file that it reads or a name that it is given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            names = {alias.name for alias in node.names}
            for name in [module or "", *names] if names != {"UnpicklingError"} else []:
                if name.partition(".")[0] in {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}:
                    yield f"imports {name}"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {word.arg: word.value for word in node.keywords}

        def on(name: str, given: dict[str | None, ast.expr] = given) -> bool:
            return name in given and not (isinstance(given[name], ast.Constant) and not given[name].value)  # type: ignore[attr-defined]

        if called in REFUSED:
            yield called
        for name in ("shell", "trust_remote_code", "allow_pickle"):
            if on(name):
                yield f"{called} with {name}"
        if called.endswith(("torch.load", "load_checkpoint")) and not (
            isinstance(value := given.get("weights_only"), ast.Constant) and value.value is True
        ):
            yield f"{called} without weights_only"


def opens(tree: ast.AST) -> list[ast.Call]:
    """Every call that opens a raster to read it."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    found = [c for c in calls if ast.unparse(c.func) in ("rasterio.open", "gdal.Open", "gdal.OpenEx")]
    return [c for c in found if not (len(c.args) > 1 and ast.unparse(c.args[1]) in ("'w'", "'w+'"))]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_that_is_read_is_run(path: Path) -> None:
    assert not list(faults(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_rasters_are_opened_in_few_places(path: Path) -> None:
    found = opens(ast.parse(path.read_text(encoding="utf-8")))
    assert bool(found) == (name_of(path) in OPENS)
    for call in found:
        assert "driver" in {word.arg for word in call.keywords}, "any format may be opened"


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')", "import pickle", "from pickle import loads", "torch.load(path)", "torch.load(weights_only=False)",
        "subprocess.run('ls', shell=True)", "np.load(path, allow_pickle=True)", "yaml.load(text)", "tempfile.mktemp()",
        "AutoModel.from_pretrained(name, trust_remote_code=True)", "subprocess.run('ls', shell=flag)",
    ],
)  # fmt: skip
def test_the_rule_on_running_catches(code: str) -> None:
    assert list(faults(ast.parse(code)))


@pytest.mark.parametrize(
    "code", ["torch.load(path, weights_only=True)", "np.load(p, allow_pickle=False)", "yaml.safe_load(text)"]
)
def test_the_rule_on_running_lets_pass(code: str) -> None:
    assert not list(faults(ast.parse(code)))


def test_the_tests_that_are_named_exist() -> None:
    page = SOURCE.parents[1] / "SECURITY.md"
    if not page.exists():
        pytest.skip("not a clone of the repository")
    named = re.findall(r"`(tests/[a-z0-9_/]+\.py)`", page.read_text(encoding="utf-8"))
    assert len(named) > 10
    assert all((page.parent / name).is_file() for name in named)
