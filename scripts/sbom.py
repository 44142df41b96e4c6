"""``python scripts/sbom.py l8s2.cdx.json``: write what a release consists of, as a CycloneDX 1.6 bill of materials.

In it are the Python packages that the active environment has of the core and of every extra, the npm packages within
the page of the viewer, and the embedded weights. Scopes: ``required`` is the core and what the wheel holds,
``optional`` what extras add, ``excluded`` what only those who change l8s2 install.
"""

import base64
import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from cyclonedx.contrib.hash.factories import HashTypeFactory
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from l8s2._version import __version__
from l8s2.files import write_whole

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "l8s2"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
FOR_DEVELOPERS = {"test", "test-torch", "docs"}


def needed(extras: Iterable[str]) -> dict[str, set[str]]:
    """Return every installed package that l8s2 needs with these extras, itself too, and what each needs directly.

    Raises SystemExit where one is not installed.
    """
    found: dict[str, set[str]] = {}
    seen = set()
    ahead = [("l8s2", frozenset(extras))]
    while ahead:
        name, asked = step = ahead.pop()
        if step in seen:
            continue
        seen.add(step)
        below = found.setdefault(name, set())
        for text in own(asked) if name == "l8s2" else installed(name).requires or ():
            requirement = Requirement(text)
            if not requirement.marker or any(requirement.marker.evaluate({"extra": e}) for e in asked | {""}):
                other = canonicalize_name(requirement.name)
                below |= {other} - {name}
                ahead.append((other, frozenset(requirement.extras)))
    return found


def own(extras: Iterable[str]) -> list[str]:
    """Return what l8s2 itself asks for with these extras."""
    return [*PROJECT["dependencies"], *(text for extra in extras for text in EXTRAS[extra])]


@cache
def installed(name: str) -> Distribution:
    """Return an installed package."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise SystemExit(f"{name}: not installed; run .ci/install -c requirements-lock.txt") from None


def python_packages(core: set[str], used: set[str], everything: set[str]) -> Iterator[Component]:
    """Yield a component for each package but l8s2."""
    for name in sorted(everything - {"l8s2"}):
        found = installed(name)
        version = found.version.partition("+")[0]
        scope = ComponentScope.REQUIRED if name in core else ComponentScope.OPTIONAL
        purl = PackageURL("pypi", name=name, version=version)
        yield Component(
            name=name,
            version=version,
            purl=purl,
            bom_ref=str(purl),
            scope=scope if name in used else ComponentScope.EXCLUDED,
            licenses=[LicenseFactory().make_from_string(said)] if (said := licence(found)) else [],
        )


def licence(package: Distribution) -> str | None:
    """Return what a package says of its licence: an SPDX expression, else words."""
    said = package.metadata
    classified = [c.rpartition(" :: ")[2] for c in said.get_all("Classifier", []) if c.startswith("License :: OSI")]
    text = (said.get("License") or "").strip()
    short = text if text != "UNKNOWN" and "\n" not in text else None  # some give the whole licence there
    return said.get("License-Expression") or short or " / ".join(classified) or None


def npm_packages() -> Iterator[Component]:
    """Yield the packages that the page of the viewer holds, as its notices name them."""
    locked = json.loads((ROOT / "viewer" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    notices = (PACKAGE / "viewer" / "static" / "THIRD_PARTY.txt").read_text(encoding="utf-8")
    for name, version in re.findall(r"^(\S+) (\d\S*) \(.+\)$", notices, re.MULTILINE):
        lock = locked[f"node_modules/{name}"]
        if lock["version"] != version:
            raise SystemExit(f"{name}: {version} in the page, {lock['version']} locked; build the page anew")
        algorithm, _, digest = lock["integrity"].partition("-")
        group, _, last = name.rpartition("/")
        purl = PackageURL("npm", namespace=group or None, name=last, version=version)
        yield Component(
            group=group or None,
            name=last,
            version=version,
            purl=purl,
            bom_ref=str(purl),
            scope=ComponentScope.REQUIRED,
            hashes=[HashTypeFactory().from_hashlib_alg(algorithm, base64.b64decode(digest).hex())],
            licenses=[LicenseFactory().make_from_string(lock["license"])],
        )


def weights() -> Iterator[Component]:
    """Yield the embedded networks."""
    for path in sorted((PACKAGE / "weights").glob("*.onnx")):
        yield Component(
            type=ComponentType.MACHINE_LEARNING_MODEL,
            name=path.name,
            version=__version__,
            bom_ref=f"weights/{path.name}",
            scope=ComponentScope.REQUIRED,
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(path.read_bytes()).hexdigest())],
            licenses=[LicenseFactory().make_from_string("MIT")],
        )


def bill() -> str:
    """Return the bill of materials as JSON, valid by the schema of CycloneDX 1.6."""
    core, used, everything = needed(()), needed(EXTRAS.keys() - FOR_DEVELOPERS), needed(EXTRAS)
    purl = PackageURL("pypi", name="l8s2", version=__version__)
    root = Component(
        type=ComponentType.APPLICATION,
        name="l8s2",
        version=__version__,
        purl=purl,
        bom_ref=str(purl),
        licenses=[LicenseFactory().make_from_string("MIT")],
    )
    python = {part.name: part for part in python_packages(set(core), set(used), set(everything))}
    within = [*npm_packages(), *weights()]
    bom = Bom(components=[*python.values(), *within])
    bom.metadata.component = root
    parts = {**python, "l8s2": root}
    for name, below in everything.items():
        bom.register_dependency(parts[name], [parts[other] for other in below])
    bom.register_dependency(root, within)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    if fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SystemExit(f"not valid: {fault}")
    return text + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python scripts/sbom.py FILE.cdx.json")
    write_whole(Path(sys.argv[1]), bill())
