"""The page in the package is what its sources build, and asks nobody else for anything."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import l8s2

STATIC = Path(l8s2.__file__).parent / "viewer" / "static"
SOURCES = Path(__file__).parents[2] / "viewer"


def test_no_address_leads_elsewhere() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    for address in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert address == "data:," or re.fullmatch(r"[\w.]+", address), address
    assert not re.search(r"url\((?!\"?data:)", (STATIC / "viewer.css").read_text(encoding="utf-8"))


def test_licences_come_with_the_code() -> None:
    notices = (STATIC / "THIRD_PARTY.txt").read_text(encoding="utf-8")
    for package in ("ol", "geotiff", "proj4", "pako", "zstddec", "rbush"):
        assert re.search(rf"^{package} \d+\.\d+\.\d+\S* \(", notices, re.M), package
    assert "Redistribution and use in source and binary forms" in notices


def test_bundle_was_built_from_these_sources() -> None:
    if not SOURCES.is_dir():
        pytest.skip("not a clone of the repository")
    names = ["build.mjs", "package-lock.json", *(f"src/{path.name}" for path in sorted((SOURCES / "src").iterdir()))]
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0".encode() + (SOURCES / name).read_bytes().replace(b"\r\n", b"\n"))
    head = (STATIC / "viewer.js").read_text(encoding="utf-8").partition("\n")[0]
    assert digest.hexdigest() in head, "run `npm ci --ignore-scripts && npm run build` in viewer/"


def test_bundle_is_what_the_sources_build(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (SOURCES / "node_modules" / "esbuild").is_dir():
        pytest.skip("needs node, and `npm ci --ignore-scripts` in viewer/")
    subprocess.run([node, "build.mjs", str(tmp_path)], cwd=SOURCES, check=True, timeout=120)
    for built in tmp_path.iterdir():
        assert built.read_bytes() == (STATIC / built.name).read_bytes().replace(b"\r\n", b"\n"), built.name
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in STATIC.iterdir()}
