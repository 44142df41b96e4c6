"""What schedulers, containers and shells do to a command: signals, closed streams, users without a home."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from l8s2.batch.run import HARMONIZE
from l8s2.catalogs.endpoints import known_catalogs
from l8s2.cli import main
from l8s2.cli.shell import Commands
from l8s2.files import cache_dir
from l8s2.system.interrupt import Interrupt
from l8s2.training.signals import Signals
from making.scenes import ID


def interrupted_by(number: int) -> Result:
    group = Commands("l8s2")

    @group.command()
    def work() -> None:
        signal.raise_signal(number)
        click.echo("went on")

    return CliRunner().invoke(group, ["work"])


@pytest.mark.posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_what_ends_a_job_interrupts_every_command_in_order(name: str) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    done = interrupted_by(number)
    assert (done.exit_code, done.output) == (130, "l8s2: interrupted; nothing half-written is left\n")
    assert signal.getsignal(number) == before


@pytest.mark.posix
def test_an_end_that_is_told_twice_does_not_disturb_tidying_up(tmp_path: Path) -> None:
    """``timeout`` sends its signal to the process, and then to its group."""
    group = Commands("l8s2")

    @group.command()
    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            (tmp_path / "tidy").touch()

    assert CliRunner().invoke(group, ["work"]).exit_code == 130
    assert (tmp_path / "tidy").exists()


@pytest.mark.posix
def test_what_nohup_keeps_away_stays_away() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert interrupted_by(signal.SIGHUP).output == "went on\n"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_modules_in_the_working_directory_are_not_run(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('code of strangers')")
    done = subprocess.run([*HARMONIZE, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.posix
def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    program = (
        "import sys, click\nfrom l8s2.cli.shell import Commands\ngroup = Commands('l8s2')\n"
        "@group.command()\ndef work():\n"
        " file = open(sys.argv[2], 'w'); click.echo('x')\n"
        " file.write(f'{file.fileno() > 2} {sys.stdin.read()!r} {sys.stderr.isatty()}')\n"
        "group(['work'])"
    )
    command = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', sys.executable, "-c", program, "-", tmp_path / "file"]
    assert subprocess.run(command).returncode == 0
    assert (tmp_path / "file").read_text() == "True '' False"


@pytest.mark.posix
def test_work_goes_on_when_nobody_reads_what_is_said() -> None:
    program = (
        "import click\nfrom l8s2.cli.shell import Commands, tell\ngroup = Commands('l8s2')\n"
        "@group.command()\ndef work():\n for _ in range(3): tell('x' * 9000)\n click.echo('done')\n"
        "group(['work'])"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=writer, text=True)
    os.close(writer)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert not cache_dir().parent.exists()
    assert known_catalogs()


@pytest.mark.posix
def test_a_batch_without_room_for_its_ledger_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device", "batch.json")

    (tmp_path / ID).mkdir()
    monkeypatch.setattr("l8s2.batch.folder_output.FolderStore.create", full)
    done = CliRunner().invoke(main, ["batch", str(tmp_path / ID), "-o", str(tmp_path / "out")])
    assert done.exit_code == 75
    assert done.stderr == "l8s2: batch.json: No space left on device; make room, then run it again\n"


def test_a_library_that_cannot_be_loaded_is_one_line() -> None:
    group = Commands("l8s2")

    @group.command()
    def work() -> None:
        raise ImportError("libexpat.so.1: cannot open shared object file", path="rasterio/_base.so")

    done = CliRunner().invoke(group, ["work"])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("l8s2: libexpat.so.1: cannot open shared object file; ")


@pytest.mark.posix
def test_training_finishes_its_step_on_sigterm_under_the_command_too() -> None:
    before = signal.signal(signal.SIGTERM, Interrupt())  # as the command has it
    try:
        with Signals() as signals:
            signal.raise_signal(signal.SIGTERM)
            assert signals.caught == signal.SIGTERM
            with pytest.raises(KeyboardInterrupt):
                signals.go_on()
    finally:
        signal.signal(signal.SIGTERM, before)
