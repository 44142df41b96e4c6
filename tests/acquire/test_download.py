"""Whole files over a network that fails in every way, from a server on loopback."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from l8s2.acquire.download import CHUNK, FetchProgress, Stopped, Transient, download, retry
from l8s2.catalogs import http_policy
from l8s2.errors import InputError
from making.asset_server import PAGE, AssetServer, Fault, assets

CONTENT = random.Random(0).randbytes(1_000_000)
NAME = "file.bin"
LOST = CHUNK + 1
"""Bytes that are sent twice, at most, each time a connection ends."""


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made."""
    made: list[float] = []
    pause = FetchProgress.pause

    def noted(self: FetchProgress, seconds: float) -> None:
        if seconds:
            made.append(seconds)
        pause(self, 0)

    monkeypatch.setattr(FetchProgress, "pause", noted)
    return made


@pytest.fixture
def server(tmp_path: Path, waits: list[float]) -> Iterator[AssetServer]:
    root = tmp_path / "server"
    root.mkdir()
    (root / NAME).write_bytes(CONTENT)
    with assets(root) as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine" / NAME


def at(server: AssetServer, name: str = NAME) -> Callable[[bool], str]:
    return lambda fresh: f"{server.url}/{name}"


def assert_got(path: Path, content: bytes = CONTENT) -> None:
    """The file is there, and nothing beside it."""
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def failed(address: Callable[[bool], str], path: Path, **how: Any) -> str:
    with pytest.raises(InputError) as caught:
        download(address, path, **how)
    assert "\n" not in str(caught.value)
    assert not path.exists()
    return str(caught.value)


def test_a_file_arrives_and_is_not_fetched_twice(server: AssetServer, path: Path) -> None:
    told: list[tuple[int, int]] = []
    download(at(server), path, watch=FetchProgress(lambda done, wanted, what: told.append((done, wanted))))
    assert_got(path)
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert len(told) > 10
    download(at(server), path)
    assert server.requests[NAME] == 1


def test_a_server_that_fails_is_asked_again(server: AssetServer, path: Path, waits: list[float]) -> None:
    server.fault(NAME, Fault(500), Fault(503), Fault(429, {"retry-after": "7"}), Fault(429, {"retry-after": "9999"}))
    download(at(server), path)
    assert_got(path)
    assert waits == [http_policy.BACKOFF, 2 * http_policy.BACKOFF, 7, http_policy.LONGEST_WAIT]


def test_and_given_up_after_a_while(server: AssetServer, path: Path) -> None:
    server.fault(NAME, *[Fault(500)] * http_policy.ATTEMPTS)
    line = failed(at(server), path)
    assert (
        line == f"{NAME}: the server fails (500) after {http_policy.ATTEMPTS} attempts;"
        " try again later, what is there is kept"
    )
    download(at(server), path)
    assert_got(path)


def test_dropped_connections_go_on_where_they_were(server: AssetServer, path: Path) -> None:
    drops = 2 * http_policy.ATTEMPTS
    server.fault(NAME, *[Fault(drop_after=80_000)] * drops)
    told: list[tuple[int, int]] = []
    download(at(server), path, watch=FetchProgress(lambda done, wanted, what: told.append((done, wanted))))
    assert_got(path)
    assert server.requests[NAME] == drops + 1
    assert server.sent[NAME] <= len(CONTENT) + drops * LOST
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert max(done for done, _ in told) == len(CONTENT)


def test_attempts_without_progress_count(server: AssetServer, path: Path) -> None:
    server.fault(NAME, *[Fault(drop_after=0)] * http_policy.ATTEMPTS)
    assert "the connection was dropped after" in failed(at(server), path)


def test_a_failed_download_is_resumed_by_the_next(server: AssetServer, path: Path) -> None:
    server.fault(NAME, Fault(drop_after=600_000), Fault(404))
    assert "not there (404)" in failed(at(server), path)
    server.sent.clear()
    download(at(server), path)
    assert_got(path)
    assert server.sent[NAME] <= len(CONTENT) - 600_000 + LOST


def test_a_whole_file_without_its_name_costs_a_byte(server: AssetServer, path: Path) -> None:
    """What a kill during verification leaves."""

    def killed(part: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(at(server), path, check=killed)
    server.sent.clear()
    download(at(server), path)
    assert_got(path)
    assert server.sent[NAME] == 1


def test_an_address_that_expires_in_the_middle(server: AssetServer, path: Path) -> None:
    signed: list[bool] = []
    server.expire()

    def address(fresh: bool) -> str:
        signed.append(fresh)
        return f"{server.url}/signed/{NAME}?sig={server.signature if fresh or len(signed) == 1 else 1}"

    server.fault(NAME, Fault(drop_after=500_000))
    with_watch = FetchProgress(
        lambda done, wanted, what: server.expire() if done > 300_000 and server.signature == 1 else None
    )
    download(address, path, watch=with_watch)
    assert_got(path)
    assert signed == [False, False, True]
    assert server.sent[NAME] <= len(CONTENT) + LOST


def test_refused_twice_is_the_end(server: AssetServer, path: Path) -> None:
    for status in (400, 401, 403):
        server.requests.clear()
        server.fault(NAME, Fault(status), Fault(status))
        line = failed(at(server), path)
        assert line.startswith(f"{NAME}: access refused ({status}) after 2 attempts; check the credentials")
        assert server.requests[NAME] == 2


def test_refused_again_after_progress_is_signed_again() -> None:
    script = [Transient("x", refused=True, made_progress=True)] * 9

    def attempt(fresh: bool) -> int:
        if script:
            raise script.pop()
        return 1 + fresh

    assert retry("x", attempt, FetchProgress()) == 2


def test_a_login_page_instead_of_the_file(server: AssetServer, path: Path) -> None:
    unlabelled = Fault(headers={"content-type": "image/tiff"}, body=b"\n" + (PAGE.body or b""))
    for page in (PAGE, unlabelled):
        server.fault(NAME, page, page)
        assert "a web page instead of the file (a login?)" in failed(at(server), path)
        server.fault(NAME, page)
        download(at(server), path)
        assert_got(path)
        path.unlink()


@pytest.mark.parametrize(("code", "kind"), [("1220", "sha256"), ("1340", "sha512"), ("d50110", "md5")])
def test_checksums(server: AssetServer, path: Path, code: str, kind: str) -> None:
    right = code + hashlib.new(kind, CONTENT).hexdigest()
    download(at(server), path, checksum=right.upper())
    assert_got(path)
    path.unlink()
    wrong = code + hashlib.new(kind, b"other").hexdigest()
    server.requests.clear()
    assert "its checksum is not that of the catalogue after 2 attempts" in failed(at(server), path, checksum=wrong)
    assert server.requests[NAME] == 2
    server.fault(NAME, Fault(body=b"damaged"))
    download(at(server), path, checksum=right)
    assert_got(path)


def test_checksums_of_unknown_kind_say_nothing(server: AssetServer, path: Path) -> None:
    download(at(server), path, checksum="1114" + 40 * "0")
    assert_got(path)


def test_a_file_that_changed_in_between_is_begun_anew(server: AssetServer, path: Path) -> None:
    server.fault(NAME, Fault(drop_after=600_000), Fault(404))
    failed(at(server), path)
    other = CONTENT[::-1]
    (server.root / NAME).write_bytes(other)
    os.utime(server.root / NAME, (1, 1))
    download(at(server), path)
    assert_got(path, other)


@pytest.mark.parametrize("size", [1_200_000, 100_000], ids=["longer", "shorter"])
def test_also_by_a_server_that_knows_no_if_range(server: AssetServer, path: Path, size: int) -> None:
    server.fault(NAME, Fault(drop_after=600_000), Fault(404))
    failed(at(server), path)
    server.hidden = ("if-range",)
    other = random.Random(1).randbytes(size)
    (server.root / NAME).write_bytes(other)
    download(at(server), path)
    assert_got(path, other)


@pytest.mark.parametrize("hidden", ["etag", "range"])
def test_what_cannot_be_resumed_is_begun_anew(server: AssetServer, path: Path, hidden: str) -> None:
    server.hidden = (hidden,)
    server.fault(NAME, Fault(drop_after=600_000))
    download(at(server), path)
    assert_got(path)
    assert server.sent[NAME] == 600_000 + len(CONTENT)


def test_a_file_that_comes_packed(server: AssetServer, path: Path) -> None:
    for content in (b"x", b"text " * 10_000):
        packed = Fault(headers={"content-encoding": "gzip", "etag": '"a"'}, body=gzip.compress(content))
        server.fault(NAME, packed)
        download(at(server), path)
        assert_got(path, content)
        path.unlink()


def test_what_is_not_there_is_asked_for_once(server: AssetServer, path: Path) -> None:
    assert failed(at(server, "none.bin"), path) == f"{NAME}: not there (404); search again, it may have been replaced"
    assert server.requests["none.bin"] == 1


def test_an_answer_without_content_is_no_file(server: AssetServer, path: Path) -> None:
    server.fault(NAME, *[Fault(202)] * http_policy.ATTEMPTS)
    assert "the server fails (202)" in failed(at(server), path)


def test_no_server_and_no_such_host(path: Path, waits: list[float]) -> None:
    assert "connection refused after" in failed(lambda fresh: "http://127.0.0.1:9/x", path)
    assert "no such host, or no network after" in failed(lambda fresh: "http://nowhere.invalid/x", path)
    assert len(waits) == 2 * (http_policy.ATTEMPTS - 1)


def test_a_server_that_falls_silent(path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_policy, "TIMEOUT", (0.1, 0.1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert "no answer in time after" in failed(lambda fresh: f"http://127.0.0.1:{port}/x", path)


PROGRAM = """
import sys, time
from pathlib import Path
from l8s2.acquire.download import FetchProgress, download

def slowly(done, wanted, what):
    print(done, flush=True)
    time.sleep(float(sys.argv[3]))

download(lambda fresh: sys.argv[1], Path(sys.argv[2]), watch=FetchProgress(slowly))
"""


@pytest.mark.posix
def test_a_killed_process_is_resumed_by_another(server: AssetServer, path: Path) -> None:
    def begin(pause: float) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-c", PROGRAM, f"{server.url}/{NAME}", str(path), str(pause)]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)

    first = begin(0.05)
    assert first.stdout
    done = next(int(line) for line in first.stdout if int(line) > 500_000)
    first.kill()
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    assert not path.exists()
    server.sent.clear()
    second = begin(0)
    second.communicate()
    assert second.returncode == 0
    assert_got(path)
    assert server.sent[NAME] <= len(CONTENT) - done + LOST


def test_a_full_disk(server: AssetServer, path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        line = failed(at(server), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert line == f"{NAME}: File too large ({path.parent}); mend that, then run it again"
    assert server.requests[NAME] == 1
    download(at(server), path)
    assert_got(path)
    assert server.requests[NAME] == 2


def test_a_folder_that_cannot_be_written(server: AssetServer, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):  # for the superuser nothing is locked but what the kernel itself keeps
        folder = Path("/proc/self")
        if not folder.is_dir():
            pytest.skip("nothing here is read-only")
    line = failed(at(server), folder / NAME)
    assert line.startswith(f"{NAME}: ")
    assert f"({folder}); mend that" in line


def test_local_files(path: Path) -> None:
    original = path.with_name("original")
    original.write_bytes(CONTENT)
    download(lambda fresh: str(original), path, checksum="1220" + hashlib.sha256(CONTENT).hexdigest())
    assert path.read_bytes() == CONTENT
    path.unlink()
    assert "No such file" in failed(lambda fresh: "/no/such/file", path)


def test_a_long_pause_ends_when_it_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with assets(tmp_path / "server") as server:
        server.fault(NAME, Fault(429, {"retry-after": "30"}))
        watch, begun = FetchProgress(), time.monotonic()
        threading.Timer(0.3, watch.stop).start()
        with pytest.raises(Stopped):
            download(at(server), tmp_path / NAME, watch=watch)
        assert 0.2 < time.monotonic() - begun < 2


def test_what_comes_after_the_stop_is_not_written(path: Path) -> None:
    part, watch, ended = path.with_name(f".{NAME}.part"), FetchProgress(), []

    def fetch() -> None:
        with pytest.raises(Stopped):
            download(lambda fresh: f"http://127.0.0.1:{port}/x", path, watch=watch)
        ended.append(part.stat().st_size)

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=fetch)
        thread.start()
        connection = server.accept()[0]
        with connection:
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nETag: "a"\r\n\r\n' + bytes(CHUNK))
            while watch._done < CHUNK:
                time.sleep(0.01)
            watch.stop()
            connection.sendall(bytes(CHUNK))
            thread.join()
    assert ended == [CHUNK]
