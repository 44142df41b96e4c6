"""What is shipped and what it needs: exact versions of everything, and a bill of materials that is complete."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "pyproject.toml"
if not PROJECT.is_file():
    pytest.skip("not a clone of the repository", allow_module_level=True)
LOCKED = {
    canonicalize_name(line.partition("==")[0]): line.partition("==")[2]
    for line in (ROOT / "requirements-lock.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
}


def asked() -> list[Requirement]:
    """What pyproject.toml asks for, in the core and in any extra."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *(t for extra in project["optional-dependencies"].values() for t in extra)]
    return [r for r in map(Requirement, texts) if r.name != "l8s2"]


def test_the_lock_satisfies_what_is_asked_for() -> None:
    assert all(LOCKED.values())
    assert len({r.name for r in asked()}) > 40
    for requirement in asked():
        version = LOCKED[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} locked at {version}; run .ci/lock"


HEAD = (ROOT / "requirements-lock.txt").read_text(encoding="utf-8").partition("\n")[0]
HERE = f"# Python {platform.python_version().rpartition('.')[0]}."


@pytest.mark.skipif(
    not HEAD.startswith(HERE) or f"{platform.system()} {platform.machine()}" not in HEAD, reason=f"of others: {HEAD}"
)
def test_the_lock_holds_what_that_needs_in_turn() -> None:
    """As far as it is installed here; builds of torch for GPUs bring libraries that torch names exactly."""
    ahead, seen = [(r.name, frozenset(r.extras)) for r in asked()], set()
    while ahead:
        name, extras = step = ahead.pop()
        if step in seen or name == "torch":
            continue
        seen.add(step)
        assert canonicalize_name(name) in LOCKED, f"{name} is not locked; run .ci/lock"
        try:
            below = map(Requirement, requires(name) or ())
        except PackageNotFoundError:
            continue
        for r in below:
            if not r.marker or any(r.marker.evaluate({"extra": extra}) for extra in extras | {""}):
                ahead.append((r.name, frozenset(r.extras)))


@cache
def script() -> ModuleType:
    pytest.importorskip("cyclonedx", reason="needs cyclonedx-python-lib, of the extra test-torch")
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "scripts" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    try:
        return dict(json.loads(script().bill()))
    except SystemExit as fault:
        if "not installed" in str(fault):
            pytest.skip(f"not every extra is there: {fault}")
        pytest.fail(str(fault))


def of(bill: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Components of a kind by their name."""
    return {
        part["purl"].removeprefix(kind).partition("@")[0]: part
        for part in bill["components"]
        if part.get("purl", "").startswith(kind)
    }


def test_the_bill_has_every_dependency(bill: dict[str, Any]) -> None:
    python = of(bill, "pkg:pypi/")
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    core = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    assert core <= python.keys()
    assert {canonicalize_name(r.name) for r in asked()} <= python.keys()
    assert all(python[name]["scope"] == "required" for name in core)
    assert (python["torch"]["scope"], python["pytest"]["scope"]) == ("optional", "excluded")
    assert all("+" not in part["version"] for part in python.values())


def test_the_bill_has_what_the_page_of_the_viewer_holds(bill: dict[str, Any]) -> None:
    notices = (ROOT / "src/l8s2/viewer/static/THIRD_PARTY.txt").read_text(encoding="utf-8")
    first = [text.strip().splitlines()[0] for text in notices.partition("\n\n")[2].split("-" * 80)]
    npm = of(bill, "pkg:npm/")
    assert len(npm) == len(first) > 10
    said = {f"{p['group'] + '/' if 'group' in p else ''}{p['name']} {p['version']}" for p in npm.values()}
    assert said == {line.rpartition(" (")[0] if "AND" not in line else line.partition(" (")[0] for line in first}
    assert all(part["licenses"] and part["hashes"] for part in npm.values())


def test_the_bill_has_the_weights(bill: dict[str, Any]) -> None:
    models = {part["name"]: part for part in bill["components"] if part["type"] == "machine-learning-model"}
    files = {path.name: path for path in (ROOT / "src/l8s2/weights").glob("*.onnx")}
    assert models.keys() == files.keys() != set()
    for name, path in files.items():
        assert models[name]["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}]


def test_the_bill_says_who_needs_whom(bill: dict[str, Any]) -> None:
    root = bill["metadata"]["component"]
    assert (root["name"], root["type"]) == ("l8s2", "application")
    below = {entry["ref"]: entry.get("dependsOn", []) for entry in bill["dependencies"]}
    references = {part["bom-ref"] for part in bill["components"]}
    assert {ref for refs in below.values() for ref in refs} <= references
    reached, ahead = set(), [root["bom-ref"]]
    while ahead:
        if (ref := ahead.pop()) not in reached:
            reached.add(ref)
            ahead += below[ref]
    assert reached - {root["bom-ref"]} == references
