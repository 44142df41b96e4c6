"""Damaged answers of servers: pages of searches, files that are fetched. The server is of this process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from damage.case import Case, Kind, digest, some
from damage.content import accidents, cuts, instead, of_json, writes
from l8s2.acquire.download import download
from l8s2.catalogs import http_policy
from l8s2.catalogs.endpoints import Catalog, Collection
from l8s2.catalogs.query import Query
from l8s2.catalogs.search import search_scenes
from making.items import landing, landsat


class _Server:
    """Answers with the files of a folder: ``<name>.status``, ``<name>.headers`` and ``<name>``."""

    def __init__(self) -> None:
        self.folder = Path()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None: ...

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                name = self.path.partition("?")[0].strip("/") or "landing"
                try:
                    body = (outer.folder / name).read_bytes().replace(b"http://server", outer.url.encode())
                except OSError:
                    body = b""
                head = json.loads((outer.folder / "head.json").read_bytes()).get(name, {})
                self.send_response(head.get("status", 200))
                headers = {"Content-Type": "application/json", "Content-Length": str(len(body))} | head.get(
                    "headers", {}
                )
                for key, value in headers.items():
                    if value is not None:
                        self.send_header(key, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            do_POST = do_GET

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()


_server: list[_Server] = []


def _serve(folder: Path) -> str:
    """The address of the server, which answers with this folder; nothing waits before it asks again."""
    http_policy.BACKOFF = 0.0
    http_policy.LONGEST_WAIT = 0.1
    http_policy.TIMEOUT = (2, 3)
    if not _server:
        _server.append(_Server())
    _server[0].folder = folder
    return _server[0].url


def _make_search(folder: Path) -> None:
    (folder / "landing").write_text(json.dumps(landing("http://server")))
    (folder / "search").write_text(
        json.dumps({"type": "FeatureCollection", "features": [landsat(), landsat("20230605")], "links": []})
    )
    (folder / "head.json").write_text("{}")


def _read_search(folder: Path) -> bytes:
    url = _serve(folder)
    known = {"made": Catalog(name="made", url=url, collections=(Collection(id="landsat-c2l2-sr", kind="landsat-l2"),))}
    found = search_scenes(Query(catalogs=("made",), bbox=(70.0, 0.0, 90.0, 20.0), datetime="2023", pan=False), known)
    assert all("\n" not in line for line in (*found.left_out, *found.warnings))
    return digest([item.id for item in found.landsat], len(found.left_out))


STATUS = (100, 204, 206, 301, 302, 304, 400, 401, 403, 404, 410, 416, 418, 429, 451, 500, 502, 503, 504, 599, 999)
HEADERS: dict[str, dict[str, str | None]] = {
    "a length too long": {"Content-Length": "999999"},
    "a length too short": {"Content-Length": "10"},
    "no length": {"Content-Length": None},
    "a length of a word": {"Content-Length": "many"},
    "a length below 0": {"Content-Length": "-5"},
    "gzip that is none": {"Content-Encoding": "gzip"},
    "an unknown encoding": {"Content-Encoding": "zzz"},
    "HTML": {"Content-Type": "text/html"},
    "UTF-7": {"Content-Type": "application/json; charset=utf-7"},
    "chunks that are none": {"Transfer-Encoding": "chunked", "Content-Length": None},
    "to itself": {"Location": "/search"},
    "to a file": {"Location": "file:///etc/passwd"},
    "to nowhere": {"Location": "http://127.0.0.1:9/"},
    "wait a day": {"Retry-After": "86400"},
    "wait a word": {"Retry-After": "soon"},
    "a long header": {"X-Long": "x" * 70_000},
    "a range of others": {"Content-Range": "bytes 5-9/2"},
    "a tag of any letters": {"ETag": '"\u00e4\u00f6"'},
    "a huge length": {"Content-Length": str(2**63)},
}


def _heads(name: str) -> Iterator[Case]:
    for status in STATUS:
        yield Case(f"{name}: status {status}", writes("head.json", json.dumps({name: {"status": status}}).encode()))
    for what, headers in HEADERS.items():
        for status in (200, 302, 503) if "to " in what or "wait" in what else (200,):
            head = json.dumps({name: {"status": status, "headers": headers}}).encode()
            yield Case(f"{name}: {status}, {what}", writes("head.json", head))


def search_cases(sound: Path, rng: random.Random) -> Iterator[Case]:
    for name, most in (("landing", 90), ("search", 260)):
        yield from some([c._replace(strict=False) for c in of_json(name, sound, 2, rng)], most, rng)
        yield from _heads(name)
    page: Any = json.loads((sound / "search").read_bytes())
    for what, link in {
        "to itself": {"rel": "next", "href": "http://server/search"},
        "to a file": {"rel": "next", "href": "file:///etc/passwd"},
        "to nowhere": {"rel": "next", "href": "http://127.0.0.1:9/"},
        "of no address": {"rel": "next"},
        "of a number": {"rel": "next", "href": 7},
        "with a body": {
            "rel": "next",
            "href": "http://server/search",
            "method": "POST",
            "body": {"token": "x"},
            "merge": True,
        },
        "of a list": [],
        "empty": {"rel": "next", "href": ""},
        "with headers": {"rel": "next", "href": "http://server/search", "headers": {"a\nb": "c"}},
    }.items():
        yield Case(f"search: a next page {what}", writes("search", json.dumps(page | {"links": [link]}).encode()))
    yield Case(
        "search: 20 000 items",
        writes("search", json.dumps(page | {"features": page["features"][:1] * 20_000}).encode()),
    )


FILE = bytes(range(256)) * 300
SUM = "1220" + hashlib.sha256(FILE).hexdigest()


def _make_file(folder: Path) -> None:
    (folder / "file").write_bytes(FILE)
    (folder / "head.json").write_text("{}")


def _read_file(folder: Path) -> bytes:
    url, out = f"{_serve(folder)}/file", folder / "out"
    out.mkdir(exist_ok=True)
    path = out / "file.bin"
    download(lambda fresh: url, path, checksum=SUM)
    content = path.read_bytes()
    path.unlink()
    out.rmdir()
    assert content == FILE, "a file that is not the one"
    return digest(content)


def file_cases(sound: Path, rng: random.Random) -> Iterator[Case]:
    yield from instead("file")
    yield from cuts(
        "file", FILE, [0, 1, 100, 65535, 65536, len(FILE) - 1, *(rng.randrange(len(FILE)) for _ in range(10))]
    )
    yield from accidents("file", FILE, 30, rng)
    yield from _heads("file")
    for value in ("", "x", "zz", '"e"', 'W/"e"'):
        yield Case(
            f"file: tag {value!r}", writes("head.json", json.dumps({"file": {"headers": {"ETag": value}}}).encode())
        )

    def begun(folder: Path) -> None:
        (folder / "out").mkdir()
        (folder / "out/.file.bin.part").write_bytes(b"noise")
        (folder / "out/.file.bin.etag").write_bytes(b"\xff\xfe")

    yield Case("file: a part of before of noise, its tag no text", begun)


KINDS = [
    Kind(name="http-search", make=_make_search, cases=search_cases, read=_read_search),
    Kind(name="http-download", make=_make_file, cases=file_cases, read=_read_file),
]
