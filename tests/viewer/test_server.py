"""The server of the page: what it gives, and above all what it does not."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from l8s2.cli import main
from l8s2.errors import InputError
from l8s2.viewer.server import Server, byte_range, open_server
from making.shelves import product

SECRET = b"II*\0 nobody may read this"
SR = "data/LC08_A_S2L/LC08_A_SR.tif"


@contextmanager
def serving(folder: Path, **options: object) -> Iterator[Server]:
    with open_server(folder, port=0, **options) as server:  # type: ignore[arg-type]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        reply = connection.getresponse()
        return Reply(reply.status, dict(reply.headers), reply.read())
    finally:
        connection.close()


def ask_raw(server: Server, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as sock:
        sock.sendall(text)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two products, the later one first by name, and things beside them that are nobody's business."""
    outside = tmp_path_factory.mktemp("viewer")
    folder = outside / "out"
    product(folder, "LC08_A", "2023-07-01T10:00:00Z")
    product(folder / "batch", "LC09_B", "2023-05-01T10:00:00Z")
    for place in (outside, folder, folder / "LC08_A_S2L"):
        (place / "secret.tif").write_bytes(SECRET)
    (folder / ".env").write_bytes(SECRET)
    return folder


@pytest.fixture(scope="module")
def server(out: Path) -> Iterator[Server]:
    with serving(out) as server:
        yield server


def test_index_lists_products_by_date_with_relative_addresses(server: Server) -> None:
    index = json.loads(ask(server, "/products.json").body)
    assert [entry["id"] for entry in index["products"]] == ["LC09_B_S2L", "LC08_A_S2L"]
    assert index["products"][1]["files"]["surface_reflectance"] == SR
    assert {bit["name"]: bit["value"] for bit in index["bits"]}["do_not_trust"] == 4096
    for entry in index["products"]:
        for name in entry["files"].values():
            assert ask(server, f"/{name}").status == 200


def test_page_and_its_parts_are_served(server: Server) -> None:
    page = ask(server, "/")
    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert b"viewer.js" in page.body
    for name in ("viewer.js", "viewer.css", "THIRD_PARTY.txt", "index.html"):
        assert ask(server, f"/{name}").status == 200, name
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert not any(name.startswith("Access-Control") for name in page.headers)


def test_head_says_what_get_would(server: Server) -> None:
    for path in ("/", f"/{SR}"):
        head, get = ask(server, path, "HEAD"), ask(server, path)
        assert head.body == b""
        assert head.headers["Content-Length"] == str(len(get.body))


def test_ranges(server: Server, out: Path) -> None:
    whole = (out / "LC08_A_S2L/LC08_A_SR.tif").read_bytes()
    size = len(whole)
    reply = ask(server, f"/{SR}", Range="bytes=4-9")
    assert (reply.status, reply.body) == (206, whole[4:10])
    assert reply.headers["Content-Range"] == f"bytes 4-9/{size}"
    assert ask(server, f"/{SR}", Range="bytes=-5").body == whole[-5:]
    assert ask(server, f"/{SR}", Range=f"bytes=0-{size * 9}").status == 206  # what geotiff.js asks of a small file
    assert ask(server, f"/{SR}", Range="bytes=0-1,4-5").body == whole  # several may be ignored
    beyond = ask(server, f"/{SR}", Range=f"bytes={size}-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")


@given(st.integers(0, 30), st.integers(0, 30) | st.none(), st.integers(0, 20))
def test_byte_ranges_are_slices(first: int, last: int | None, size: int) -> None:
    found = byte_range(f"bytes={first}-{'' if last is None else last}", size)
    if last is not None and last < first:
        assert found is None
    else:
        assert found is not None
        assert list(found) == list(range(size))[first : None if last is None else last + 1]
    assert list(byte_range(f"bytes=-{first}", size) or ()) == list(range(size))[max(size - first, 0) :]


@given(st.text("bytes=-, 0123456789٣\x00", max_size=20).map("bytes=".__add__))
def test_any_range_header_is_a_range_of_the_file_or_none(header: str) -> None:
    found = byte_range(header, 10)
    assert found is None or not found or (found.start >= 0 and found.stop <= 10)


TARGETS = [
    "/../secret.tif", "/data/../secret.tif", "/data/../../secret.tif", "/data/%2e%2e/secret.tif", "/%2e%2e/secret.tif",
    "/data/%252e%252e/secret.tif", "/data/..%2fsecret.tif", "/data/..%5csecret.tif", "/data/..\\secret.tif",
    "/data/LC08_A_S2L/secret.tif", "/data/LC08_A_S2L/../../secret.tif", "/data/secret.tif", "/secret.tif", "/.env",
    "/data/.env", "/data/LC08_A_S2L/LC08_A.json", "/data/LC08_A_S2L/", "/data/LC08_A_S2L", "/data/",
    "/data/%00/secret.tif", "/data/LC08_A_S2L/LC08_A_SR.tif%00", "//etc/passwd", "/etc/passwd", "/data//etc/passwd",
    "/%c0%ae%c0%ae/secret.tif",
    "/data/LC08_A_S2L/./LC08_A_SR.tif", "/data/./LC08_A_S2L/LC08_A_SR.tif", "/data//secret.tif",
    "/__init__.py", "/static/viewer.js", "/..", "/server.py", "http://127.0.0.1/secret.tif", "http://elsewhere/", "*",
    "/data/\N{FULLWIDTH FULL STOP}\N{FULLWIDTH FULL STOP}/secret.tif", "/data/%ff",
    "/" + "a" * 5000, "/?/../secret.tif/..",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_else_is_served(server: Server, target: str) -> None:
    request = b"GET " + target.encode() + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    reply = ask_raw(server, request)
    assert SECRET not in reply
    assert b"root:" not in reply
    if target != "/?/../secret.tif/..":  # the page itself: a query says nothing
        assert reply.split(b" ", 2)[1] in (b"404", b"400"), reply[:200]


@given(st.text(st.sampled_from("./\\%2e5fc0:~ dataLC08_ASR.tifsecret"), max_size=40))
def test_no_mixture_of_tricks_finds_the_secret(server: Server, tail: str) -> None:
    name = server.site.name_of(f"/data/{tail}")
    path = server.known.files.get(name or "")
    assert path is None or path.parent.name.endswith("_S2L")


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("127.0.0.1", True), ("127.0.0.1:8765", True), ("localhost", True), ("LOCALHOST:1", True),
        ("evil.example", False), ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("", False),
        ("0.0.0.0", False), ("192.168.1.5", False), ("localhost:1:2", False), ("127.0.0.1 evil", False),
        ("user@127.0.0.1", False), ("127.0.0.1/", False), ("[::1]", False), ("127.1", False), ("localhost.", False),
    ],
)  # fmt: skip
def test_only_requests_meant_for_this_machine(server: Server, host: str, served: bool) -> None:
    """A page elsewhere whose name is made to lead to 127.0.0.1 is told nothing."""
    assert ask(server, "/products.json", Host=host).status == (200 if served else 421)


def test_one_host_header_and_no_other_method(server: Server) -> None:
    line = b"GET /products.json HTTP/1.1\r\n"
    assert ask_raw(server, line + b"\r\n").startswith(b"HTTP/1.1 421")
    assert ask_raw(server, line + b"Host: localhost\r\nHost: evil\r\n\r\n").startswith(b"HTTP/1.1 421")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        assert ask(server, "/products.json", method).status == 501


@pytest.mark.parametrize(
    "href", ["../../secret.tif", "../secret.tif/../../secret.tif", "https://evil/x.tif", "\0", "."]
)
def test_an_item_cannot_lead_outside(tmp_path: Path, href: str) -> None:
    (tmp_path / "secret.tif").write_bytes(SECRET)
    product(tmp_path / "out", hrefs={"sigma": href, "qa": str(tmp_path / "secret.tif")})
    with serving(tmp_path / "out") as server:
        files = json.loads(ask(server, "/products.json").body)["products"][0]["files"]
        assert list(files) == ["surface_reflectance"]
        assert len(server.known.files) == 1


@pytest.mark.posix
def test_links_that_lead_outside_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.tif").write_bytes(SECRET)
    out = tmp_path / "out"
    here = product(out)
    product(tmp_path / "elsewhere", "LC08_E")
    (out / "linked_S2L").symlink_to(tmp_path / "elsewhere/LC08_E_S2L")
    (here / "LC08_A_QA.tif").unlink()
    (here / "LC08_A_QA.tif").symlink_to(tmp_path / "secret.tif")
    with serving(out) as server:
        assert ask(server, f"/{SR}").status == 200
        index = json.loads(ask(server, "/products.json").body)
        assert [entry["id"] for entry in index["products"]] == ["LC08_A_S2L"]
        assert "qa" not in index["products"][0]["files"]
        (here / "LC08_A_SR.tif").unlink()
        (here / "LC08_A_SR.tif").symlink_to(tmp_path / "secret.tif")  # after it was listed
        assert ask(server, f"/{SR}").status == 404
        (here / "LC08_A_SR.tif").unlink()
        os.mkfifo(here / "LC08_A_SR.tif")  # would wait for ever
        assert ask(server, f"/{SR}").status == 404


def test_broken_items_are_passed_over(tmp_path: Path) -> None:
    here = product(tmp_path)
    for number, text in enumerate(("", "[]", '{"properties": 3, "assets": {}}', "[" * 100_000, '{"properties": {}}')):
        (here / f"broken{number}.json").write_text(text, encoding="utf-8")
    text = next(here.glob("LC08*.json")).read_text(encoding="utf-8")
    odd = {"l8s2:model": 7, "l8s2:sigma": [1], "l8s2:verdict_reasons": "no"}
    item = json.loads(text) | {"id": ["x"], "properties": odd}
    item["assets"]["surface_reflectance"]["bands"] = {"a": 1}
    (here / "odd.json").write_text(json.dumps(item), encoding="utf-8")
    item["properties"] = odd | {"l8s2:clear_percent": float("nan")}
    (here / "nan.json").write_text(json.dumps(item), encoding="utf-8")
    (here / "text.json").write_text(json.dumps(item | {"properties": "l8s2:model"}), encoding="utf-8")
    with serving(tmp_path) as server:
        body = ask(server, "/products.json").body
        assert b"NaN" not in body
        assert [(one["sigma"], one["reasons"]) for one in json.loads(body)["products"]] == [({}, [])] * 2


def test_a_product_made_meanwhile_is_found(tmp_path: Path) -> None:
    product(tmp_path)
    with serving(tmp_path / "LC08_A_S2L") as server:  # one product alone
        assert ask(server, "/data/LC08_A_SR.tif").status == 200
    with serving(tmp_path) as server:
        product(tmp_path, "LC08_C")
        assert len(json.loads(ask(server, "/products.json").body)["products"]) == 2
        assert ask(server, "/data/LC08_C_S2L/LC08_C_SR.tif").status == 200


def test_sentinel2_beside(tmp_path: Path, out: Path) -> None:
    image = tmp_path / "S2 image.tif"
    image.write_bytes(b"II*\0 twenty")
    with serving(out, sentinel2=image) as server:
        assert json.loads(ask(server, "/products.json").body)["sentinel2"]["name"] == "S2 image"
        assert ask(server, "/sentinel2.tif").body == image.read_bytes()
    image.write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"`sentinel2` .*: not a TIFF"):
        open_server(out, sentinel2=image, port=0)


def test_another_address_wants_the_token(out: Path) -> None:
    with serving(out, host="0.0.0.0") as server:
        path = urlsplit(server.url).path
        assert len(path) > 30
        token = path.strip("/")
        assert ask(server, path).status == 200
        assert ask(server, f"{path}{SR}", Host="192.168.7.7:80").status == 200
        assert ask(server, path, Host="evil.example").status == 421
        for wrong in (
            "/",
            "/products.json",
            f"/{SR}",
            f"/{token[:-1]}/",
            f"/{token}x/",
            f"/x/{token}/",
            f"/?token={token}",
        ):
            assert ask(server, wrong).status == 404, wrong
    with serving(out, host="127.0.0.1") as server:
        assert urlsplit(server.url).path == "/"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{busy}"], "l8s2: --port {port}: in use; give another one, or 0 for any that is free\n"),
        (["--port", "0", "--host", "no such"], "l8s2: --host no such: not the name or IPv4 address of this machine; "),
        (["--port", "0", "--host", "192.0.2.1"], "l8s2: --host 192.0.2.1: not an address of this machine; "),
        (["--port", "0", "--sentinel2", "none.tif"], "l8s2: --sentinel2 none.tif: not a file; "),
    ],
)
def test_failures_are_one_line(out: Path, server: Server, arguments: list[str], said: str) -> None:
    port = str(server.server_port)
    given = ["--port", port] if arguments == ["{busy}"] else arguments
    result = CliRunner().invoke(main, ["view", str(out), "--no-browser", *given])
    assert result.exit_code == 1
    assert result.stderr.startswith(said.replace("{port}", port))
    assert result.stderr.count("\n") == 1


def test_a_folder_without_products_is_said_so(tmp_path: Path) -> None:
    for folder, said in ((tmp_path, "holds no product"), (tmp_path / "none", "no such file or folder")):
        result = CliRunner().invoke(main, ["view", str(folder), "--no-browser"])
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert said in result.stderr


@pytest.mark.posix
def test_ctrl_c_ends_it(out: Path) -> None:
    command = [sys.executable, "-m", "l8s2.cli", "view", str(out), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = urlsplit(process.stdout.readline()).port
        connection = http.client.HTTPConnection("127.0.0.1", port or 0, timeout=10)
        connection.request("GET", "/")  # and stays open
        assert connection.getresponse().status == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        connection.close()
    assert (process.returncode, errors) == (0, "Ctrl-C ends it\nended\n")
