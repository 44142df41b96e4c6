"""The command as users run it: exit codes, what goes where, and what is left when it is stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

import l8s2
from l8s2.cli import main
from making.scenes import ID, PAN_ID, make, ms_grid, pan_of, part, rewrite

NAME = f"{ID}_S2L"


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "l8s2.cli", *map(str, arguments)]


def run(*arguments: object, **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120, check=False, **how)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("in"))


def noise(folder: Path, rows: int, columns: int) -> Path:
    """A product that does not compress."""
    product = make(folder, ms_grid(rows, columns), with_pan=False, qa_pixel=None)
    rng = np.random.default_rng(0)
    for path in product.glob("*_SR_*"):
        rewrite(path, lambda x: rng.integers(8000, 20000, x.shape).astype(np.uint16))
    return product


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several seconds of work."""
    return noise(tmp_path_factory.mktemp("large"), 530, 700)


@pytest.fixture(scope="module")
def bulky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Little work, but a product of several megabytes."""
    return noise(tmp_path_factory.mktemp("bulky"), 190, 210)


def one_line(text: str) -> str:
    """The only line of what was said, without its prefix."""
    (line,) = text.splitlines()
    assert line.startswith("l8s2: ")
    return line.removeprefix("l8s2: ")


def files_below(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_help_and_import_load_nothing_heavy() -> None:
    check = (
        "import sys; heavy = {'torch', 'rasterio', 'openvino', 'numpy', 'xarray', 'odc'} & set(sys.modules);"
        " assert not heavy, heavy"
    )
    for code in (
        f"import l8s2; {check}",
        f"from l8s2.cli import main; main(['--help'], standalone_mode=False); {check}",
        f"from l8s2.cli import main; main(['harmonize', '--help'], standalone_mode=False); {check}",
    ):
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_the_installed_command_tells_its_version() -> None:
    script = Path(sys.executable).with_name("l8s2")
    if not script.exists():
        pytest.skip("l8s2 is not installed as a command")
    said = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.split() == ["l8s2,", "version", l8s2.__version__]
    assert said.stderr == ""


def test_a_product_is_made_and_its_folder_is_all_that_stdout_says(product: Path, tmp_path: Path) -> None:
    done = run("harmonize", product, "-o", tmp_path / "out")
    assert done.returncode == 0
    assert done.stdout == f"{tmp_path / 'out' / NAME}\n"
    assert re.fullmatch(r"done in \d+\.\d s\n", done.stderr)
    names = {p.name.removeprefix(f"{ID}") for p in (tmp_path / "out" / NAME).iterdir()}
    assert names == {"_SR.tif", "_SIGMA.tif", "_QA.tif", "_preview.png", ".json"}
    assert [p.name for p in (tmp_path / "out").iterdir()] == [NAME]


def test_json_is_all_that_stdout_says(product: Path, tmp_path: Path) -> None:
    done = run("harmonize", product, "-o", tmp_path, "--json", "--no-sigma", "--threads", "1")
    result = json.loads(done.stdout)
    assert Path(result["product"]) == tmp_path / NAME
    assert sorted(result["files"]) == sorted(str(p) for p in (tmp_path / NAME).iterdir())
    assert not any("SIGMA" in name for name in result["files"])
    assert result["seconds"] >= 0


def test_warnings_go_to_stderr(tmp_path: Path) -> None:
    product = make(tmp_path / "in", with_pan=False, qa_pixel=None)
    done = run("harmonize", product, "-o", tmp_path / "out", "--json")
    assert json.loads(done.stdout)
    assert [line.partition(" ")[0] for line in done.stderr.splitlines()] == ["warning:"] * 2
    assert json.loads((tmp_path / "out" / NAME / f"{ID}.json").read_text())


def test_a_dry_run_writes_nothing_and_tells_the_cost(product: Path, tmp_path: Path) -> None:
    before = files_below(product.parent)
    done = run("harmonize", product, "-o", tmp_path / "out", "--dry-run", "--json", "--crs", "EPSG:3035")
    plan = json.loads(done.stdout)
    assert plan["pan"] == PAN_ID
    assert plan["crs"] == "EPSG:3035"
    assert plan["seconds"] > 0
    assert plan["memory_bytes"] > 1e8
    assert plan["disk_bytes"] > 1e6
    assert len(plan["warnings"]) == 1
    assert list(tmp_path.iterdir()) == []
    assert files_below(product.parent) == before


def test_a_dry_run_in_words_needs_no_output_folder(product: Path) -> None:
    done = CliRunner().invoke(main, ["harmonize", str(product), "--dry-run"])
    assert done.exit_code == 0
    assert f"{ID}: 93 x 72 pixels of 10 m in EPSG:32633, pan {PAN_ID}" in done.stdout
    assert re.search(r"about \d+ s, \d\.\d GB of memory, up to \d\.\d\d GB of disk", done.stdout)


def test_info_in_words_and_as_json(product: Path) -> None:
    words = CliRunner().invoke(main, ["info", str(product)])
    assert words.exit_code == 0
    assert re.search(rf"^product +{ID}$", words.stdout, re.MULTILINE)
    assert re.search(r"^qa pixel +yes$", words.stdout, re.MULTILINE)
    for name in ("pan shift", "sharpness", "noise"):
        assert re.search(rf"^{name} +\w+", words.stdout, re.MULTILINE)
    facts = run("info", product, "--json")
    assert json.loads(facts.stdout)["product"] == ID
    assert facts.stderr == ""


def test_info_without_pan_and_metadata(tmp_path: Path) -> None:
    product = make(tmp_path, with_pan=False, mtl=None, qa_pixel=None)
    words = CliRunner().invoke(main, ["info", str(product)])
    assert words.exit_code == 0
    assert re.search(r"^sun elevation +unknown$", words.stdout, re.MULTILINE)
    assert re.search(r"^pan shift +no pan$", words.stdout, re.MULTILINE)
    assert re.search(r"^sharpness +no pan$", words.stdout, re.MULTILINE)
    assert words.stderr.count("warning: ") == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["harmonize", "PRODUCT"],
        ["harmonize"],
        ["harmonize", "PRODUCT", "-o", "out", "--bbox", "1", "2", "3"],
        ["harmonize", "PRODUCT", "-o", "out", "--bbox", "1", "2", "3", "north"],
        ["harmonize", "PRODUCT", "-o", "out", "--engine", "abacus"],
        ["harmonize", "PRODUCT", "-o", "out", "--threads", "0"],
        ["harmonize", "PRODUCT", "-o", "out", "--no-such-option"],
        ["harmonize", "PRODUCT", "-o", "out", "--stac", "item.json"],
        ["harmonize", "--stac", "item.json"],
        ["harmonize", "--stac", "item.json", "--dry-run"],
        ["fetch", "-o", "out"],
        ["fetch", "found.json"],
        ["info"],
        ["no-such-verb"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(product: Path, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, [str(product) if a == "PRODUCT" else a for a in arguments])
    assert done.exit_code == 2
    assert re.search(r"^Error: ", done.stderr, re.MULTILINE)
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_1_and_one_line(product: Path, tmp_path: Path) -> None:
    broken = make(tmp_path / "in")
    path = part(broken, "SR_B4")
    path.write_bytes(path.read_bytes()[:1500])
    for arguments in (
        ("harmonize", broken, "-o", tmp_path / "out"),
        ("info", broken, "--json"),
        ("harmonize", broken, "--dry-run", "--json"),
    ):
        done = run(*arguments)
        assert done.returncode == 1
        assert done.stdout == ""
        assert one_line(done.stderr).startswith(f"{ID}_SR_B4.TIF: ")
    assert not (tmp_path / "out").exists()


def test_a_closed_pipe_is_no_drama(product: Path) -> None:
    with subprocess.Popen(
        command("info", product), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 1


def started(product: Path, output: Path, *options: str) -> subprocess.Popen[str]:
    """A run that has begun to write, and hears Ctrl-C even where the tests run in the background and ignore it."""
    process = subprocess.Popen(
        command("harmonize", product, "-o", output, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until = time.monotonic() + 60
    while not list(output.glob(f".{NAME}.*/*")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.02)
    return process


@pytest.mark.posix
@pytest.mark.parametrize("options", [(), ("--crs", "EPSG:3035")], ids=["lattice", "warp"])
def test_ctrl_c_is_130_and_leaves_nothing(large: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    process = started(large, tmp_path / "out", *options)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert said.splitlines()[-1] == "l8s2: interrupted; nothing half-written is left"
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.posix
def test_ctrl_c_while_replacing_keeps_the_old(product: Path, large: Path, tmp_path: Path) -> None:
    assert run("harmonize", product, "-o", tmp_path).returncode == 0
    before = files_below(tmp_path)
    process = started(large, tmp_path, "--overwrite")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert files_below(tmp_path) == before


@pytest.mark.posix
@pytest.mark.parametrize("options", [(), ("--crs", "EPSG:3035")], ids=["lattice", "warp"])
def test_a_killed_run_leaves_no_product_and_the_next_one_cleans_up(
    product: Path, large: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    process = started(large, tmp_path, *options)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    left = list(tmp_path.iterdir())
    assert left
    assert all(p.name.startswith(".") for p in left)
    assert run("harmonize", product, "-o", tmp_path).returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def files_no_larger_than(size: int) -> Callable[[], None]:
    """What a full disk looks like, made with a limit on the size of files."""
    resource = pytest.importorskip("resource")
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.fixture
def limited() -> Callable[[], None]:
    return files_no_larger_than(1_000_000)


@pytest.mark.parametrize("options", [(), ("--crs", "EPSG:3035")], ids=["lattice", "warp"])
def test_a_full_disk_is_one_line_and_the_old_product_stays(
    product: Path, bulky: Path, tmp_path: Path, options: tuple[str, ...], limited: Callable[[], None]
) -> None:
    done = run("harmonize", bulky, "-o", tmp_path / "new", *options, preexec_fn=limited)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"l8s2: {tmp_path / 'new'}: ")
    assert "free some space or give another output folder" in line
    assert [w for w in done.stderr.splitlines()[:-1] if not w.startswith(("warning: ", "harmonising: "))] == []
    assert not (tmp_path / "new").exists()
    if not options:
        assert run("harmonize", product, "-o", tmp_path / "old").returncode == 0
        before = files_below(tmp_path / "old")
        assert run("harmonize", bulky, "-o", tmp_path / "old", "--overwrite", preexec_fn=limited).returncode == 1
        assert files_below(tmp_path / "old") == before


def test_a_full_temporary_folder_is_one_line(bulky: Path, tmp_path: Path, limited: Callable[[], None]) -> None:
    from making.scenes import archive

    path = archive(bulky, tmp_path / "x.tar.gz", mode="w:gz")
    (tmp_path / "scratch").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "scratch")}
    done = run("info", path, preexec_fn=files_no_larger_than(20_000), env=environment)
    assert done.returncode == 1
    assert re.match(rf"{ID}_SR_B\d\.TIF: cannot be unpacked into {tmp_path}/scratch \(", one_line(done.stderr))
    assert list((tmp_path / "scratch").iterdir()) == []


def test_an_existing_product_is_only_replaced_when_told(product: Path, tmp_path: Path) -> None:
    assert run("harmonize", product, "-o", tmp_path, "--no-sigma").returncode == 0
    before = files_below(tmp_path)
    refused = run("harmonize", product, "-o", tmp_path)
    assert refused.returncode == 1
    assert "--overwrite" in one_line(refused.stderr)
    assert files_below(tmp_path) == before
    assert run("harmonize", product, "-o", tmp_path, "--overwrite").returncode == 0
    assert len(files_below(tmp_path)) == len(before) + 1
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_an_output_that_cannot_be_one(product: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    done = run("harmonize", product, "-o", tmp_path / "file")
    assert done.returncode == 1
    assert one_line(done.stderr).startswith(f"{tmp_path / 'file'}: is a file")
    assert (tmp_path / "file").read_text() == "precious"
    nested = run("harmonize", product, "-o", tmp_path / "file" / "below")
    assert nested.returncode == 1
    assert one_line(nested.stderr).startswith(f"{tmp_path / 'file'}")


def test_names_that_are_no_text(product: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    shutil.copytree(product, odd)
    for arguments in (("info", odd), ("harmonize", product, "-o", f"{odd}/out")):
        done = run(*arguments)
        assert done.returncode == 1
        assert "not valid UTF-8; rename" in one_line(done.stderr)
    assert not os.path.exists(f"{odd}/out")


def test_a_read_only_output(product: Path, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):  # for the superuser nothing is locked but what the kernel itself keeps
        folder = Path("/proc/self")
        if not folder.is_dir():
            pytest.skip("nothing here is read-only")
    done = run("harmonize", product, "-o", folder / "out")
    assert done.returncode == 1
    assert one_line(done.stderr).startswith(str(folder))
    assert not (folder / "out").exists()


def test_both_engines_agree(product: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    values = {}
    for engine in ("openvino", "torch"):
        done = run("harmonize", product, "-o", tmp_path / engine, "--engine", engine)
        assert done.returncode == 0, done.stderr
        with rasterio.open(tmp_path / engine / NAME / f"{ID}_SR.tif") as dataset:
            values[engine] = dataset.read().astype(int)
    assert abs(values["openvino"] - values["torch"]).max() < 60
    assert abs(values["openvino"] - values["torch"]).mean() < 5


def test_pan_given_by_its_file_is_the_same_as_pan_found(product: Path, tmp_path: Path) -> None:
    found = run("harmonize", product, "-o", tmp_path / "found")
    given = run("harmonize", product, "-o", tmp_path / "given", "--pan", pan_of(product))
    assert found.returncode == given.returncode == 0
    for name in ("SR", "SIGMA", "QA"):
        a, b = ((tmp_path / which / NAME / f"{ID}_{name}.tif").read_bytes() for which in ("found", "given"))
        assert a == b
