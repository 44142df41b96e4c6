"""Full and read-only disks, and many products in one process. benchmarks/faults.py and soak.py do more of it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import l8s2.pipeline.to_product
from l8s2.batch.folder_output import FolderStore
from l8s2.batch.ledger import json_bytes, outcome_key
from l8s2.batch.results import ROWS, Results
from l8s2.errors import L8S2Error
from l8s2.pipeline.to_product import harmonize_product
from l8s2.verify.product import verify_product
from making.scenes import Copying, make, ms_grid

pytestmark = pytest.mark.posix


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True, check=False
    ).returncode:
        pytest.skip("only root mounts a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def short_files() -> Iterator[None]:
    """No file grows beyond 100 bytes."""
    before, on_signal = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, on_signal)


def test_a_record_of_the_ledger_is_whole_or_not_there(tmp_path: Path, short_files: None) -> None:
    store = FolderStore(tmp_path)
    with pytest.raises(OSError, match="File too large"):
        store.create("ledger/id=a/attempt=1.success.json", bytes(200))
    assert store.list("ledger/") == {}
    assert store.create("ledger/id=a/attempt=1.success.json", bytes(50))


def test_a_record_that_an_older_version_left_empty_ends_no_batch(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.create(outcome_key("a", 1, "success"), b"")
    assert Results(store, "out").write({"a": {1: "success"}})
    assert b'"outcome": "success"' in (store.get(ROWS) or b"")
    assert json_bytes({})


def test_a_product_on_a_full_disk_is_none(small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(l8s2.pipeline.to_product, "load_predictor", lambda *_, **__: Copying())
    scene = make(tmp_path / "in", ms_grid(60, 60), with_pan=False)
    (small_disk / "kept").write_bytes(b"before")
    with pytest.raises((OSError, L8S2Error)):
        harmonize_product(scene, small_disk)
    assert [path.name for path in small_disk.iterdir() if not path.name.startswith(".")] == ["kept"]
    assert (small_disk / "kept").read_bytes() == b"before"
    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    assert verify_product(harmonize_product(scene, small_disk)) == []


def test_a_read_only_disk_is_told(small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(l8s2.pipeline.to_product, "load_predictor", lambda *_, **__: Copying())
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises((OSError, L8S2Error), match=r"(?i)read-only|not writable"):
        harmonize_product(make(tmp_path / "in", with_pan=False), small_disk / "out")


def test_open_files_do_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(l8s2.pipeline.to_product, "load_predictor", lambda *_, **__: Copying())
    scene, told = make(tmp_path / "in", ms_grid(8, 8)), []
    for number in range(20):
        assert verify_product(harmonize_product(scene, tmp_path / str(number))) == []
        told.append(len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0)
    assert told[-1] <= told[2]
