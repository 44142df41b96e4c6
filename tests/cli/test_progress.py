"""The line of progress where there is no terminal."""

from __future__ import annotations

import time

import pytest

from l8s2.cli.shell import ProgressBar


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_the_rate_is_that_of_this_run_and_stage(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("harmonising") as progress:
        clock[0] += 5
        progress(80_000_000, 100_000_000, "harmonising")  # of an earlier run
        clock[0] += 8
        progress(88_000_000, 100_000_000, "harmonising")
        clock[0] += 20
        progress(500_000_000, 900_000_000, "finishing")
        clock[0] += 20
        progress(700_000_000, 900_000_000, "finishing")
    assert capsys.readouterr().err.splitlines() == [
        "harmonising: 88 %, 1.0 Mpx/s, 12 s left",
        "finishing: 78 %, 10.0 Mpx/s, 20 s left",
    ]


def test_slow_things_are_not_called_0_k(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("classifying", "steps") as progress:
        progress(0, 10, "classifying")
        clock[0] += 20
        progress(5, 10, "classifying")
    assert capsys.readouterr().err.splitlines() == ["classifying: 50 %, 0.25 steps/s, 20 s left"]
