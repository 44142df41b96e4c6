"""The server of the page: static files with ranges for one person, and nothing that the index does not name."""

from __future__ import annotations

import errno
import hmac
import ipaddress
import json
import os
import platform
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from socketserver import TCPServer
from typing import Any, BinaryIO
from urllib.parse import unquote

from l8s2.errors import InputError
from l8s2.viewer.shelf import Shelf, checked_folder, checked_raster, fill_shelf, still_inside

INDEX = "products.json"
_PAGE = "index.html"
_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".json": "application/json", ".txt": "text/plain; charset=utf-8", ".tif": "image/tiff", ".tiff": "image/tiff",
}  # fmt: skip
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)
_CHUNK = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Site:
    """What is served, and to whom."""

    root: Path
    """Folder of the products, links resolved."""
    beside: Mapping[str, Path]
    """Rasters to compare with, ``sentinel2`` and ``landsat0``, ``landsat1`` .."""
    hosts: frozenset[str]
    """Names that a request may call this machine by, lower case."""
    any_address: bool
    """Whether an address in numbers is such a name as well."""
    token: str | None
    """First part of every path; None where only this machine is served."""

    @cached_property
    def assets(self) -> Mapping[str, bytes]:
        """Files of the page by name."""
        folder = files("l8s2.viewer") / "static"
        return {entry.name: entry.read_bytes() for entry in folder.iterdir() if Path(entry.name).suffix in _TYPES}

    def shelf(self) -> Shelf:
        """Look for products now."""
        return fill_shelf(self.root, self.beside)

    def knows(self, host: str) -> bool:
        """Whether a Host header is that of a request meant for this server: no foreign name leads to it."""
        match = _HOST.fullmatch(host.lower())
        name = match[1].strip("[]") if match else ""
        return bool(name) and (name in self.hosts or (self.any_address and _address(name) is not None))

    def name_of(self, target: str) -> str | None:
        """Return what a request asks for, relative to the page; None where the token is missing."""
        path = target.partition("?")[0].partition("#")[0]
        if not path.startswith("/"):
            return None
        if self.token is not None:
            given, slash, path = path[1:].partition("/")
            if not slash or not hmac.compare_digest(given.encode(), self.token.encode()):
                return None
            path = f"/{path}"
        return unquote(path[1:], errors="replace") or _PAGE


class Server(ThreadingHTTPServer):
    """Serves one site. ``url`` is where the page is."""

    daemon_threads = True
    allow_reuse_address = os.name != "nt"  # where that would share the port with another program
    site: Site
    url: str
    known: Shelf

    def server_bind(self) -> None:
        """Bind without asking a name server what this machine is called."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that breaks."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "l8s2", ""
    timeout = 60
    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""

    def _answer(self) -> None:
        site, hosts = self.server.site, self.headers.get_all("Host") or []
        if len(hosts) != 1 or not site.knows(hosts[0].strip()):
            return self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
        name = site.name_of(self.path)
        if name is None:
            return self._refuse(HTTPStatus.NOT_FOUND)
        if name == INDEX:
            self.server.known = site.shelf()
            return self._send(json.dumps(self.server.known.index).encode(), ".json")
        if name in site.assets:
            return self._send(site.assets[name], Path(name).suffix)
        return self._send_file(name)

    def _send_file(self, name: str) -> None:
        path, site = self.server.known.files.get(name), self.server.site
        if path is None or not still_inside(path.parent if path in site.beside.values() else site.root, path):
            return self._refuse(HTTPStatus.NOT_FOUND)
        try:
            file = path.open("rb")
        except OSError:
            return self._refuse(HTTPStatus.NOT_FOUND)
        with file:
            size = os.fstat(file.fileno()).st_size
            part = byte_range(self.headers.get("Range"), size)
            if part is None:
                self._head(HTTPStatus.OK, path.suffix.lower(), size, {})
            elif not part:
                return self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {"Content-Range": f"bytes */{size}"})
            else:
                where = {"Content-Range": f"bytes {part.start}-{part.stop - 1}/{size}"}
                self._head(HTTPStatus.PARTIAL_CONTENT, path.suffix.lower(), len(part), where)
            if self.command == "GET":
                self._copy(file, part if part is not None else range(size))

    def _copy(self, file: BinaryIO, part: range) -> None:
        file.seek(part.start)
        left = len(part)
        while left and (chunk := file.read(min(left, _CHUNK))):
            self.wfile.write(chunk)
            left -= len(chunk)
        self.close_connection = self.close_connection or left > 0

    def _send(self, body: bytes, suffix: str) -> None:
        self._head(HTTPStatus.OK, suffix, len(body), {})
        if self.command == "GET":
            self.wfile.write(body)

    def _refuse(self, status: HTTPStatus, more: Mapping[str, str] | None = None) -> None:
        self.close_connection = True
        body = f"{status.phrase}\n".encode()
        self._head(status, ".txt", len(body), {"Connection": "close", **(more or {})})
        if self.command == "GET":
            self.wfile.write(body)

    def _head(self, status: HTTPStatus, suffix: str, length: int, more: Mapping[str, str]) -> None:
        self.send_response(status)
        headers = {"Content-Type": _TYPES[suffix], "Content-Length": str(length), "Accept-Ranges": "bytes"}
        for name, value in (headers | _HEADERS | dict(more)).items():
            self.send_header(name, value)
        self.end_headers()


def byte_range(header: str | None, size: int) -> range | None:
    """Return the bytes that a Range header asks for, by RFC 9110, 14.2; an empty range where the file has none of them.

    None where there is no header, or one that is to be ignored: all but a single range of bytes.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", "") or (match[1] and match[2] and int(match[2]) < int(match[1])):
        return None
    if not match[1]:
        return range(max(size - int(match[2]), 0), size)
    return range(int(match[1]), min(int(match[2]) + 1, size) if match[2] else size)


def open_server(
    folder: Path,
    *,
    sentinel2: Path | None = None,
    landsat: Sequence[Path] = (),
    host: str = "127.0.0.1",
    port: int = 8765,
) -> Server:
    """Open a server of the products below ``folder``; ``serve_forever`` runs it.

    On an address that other machines reach, every path begins with a random token, which ``url`` holds.

    Args:
        folder: one product, or a folder with products below it.
        sentinel2: a GeoTIFF to compare with: six bands in the order of the product.
        landsat: what ``write_landsat_image`` wrote of the inputs of products.
        host: address or name to listen on.
        port: 0 for any that is free.

    Raises:
        InputError: there is no product, the file is no TIFF, or the address or port cannot be used.
    """
    root, beside = checked_folder(folder), {}
    if sentinel2 is not None:
        beside["sentinel2"] = checked_raster(sentinel2)
    beside |= {f"landsat{number}": path.resolve() for number, path in enumerate(landsat)}
    if not re.fullmatch(r"[A-Za-z0-9._-]+", host):
        raise InputError(f"`host` {host}: not the name or IPv4 address of this machine; 127.0.0.1 serves it alone")
    try:
        server = Server((host, port), _Handler)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"`port` {port}: in use; give another one, or 0 for any that is free") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise InputError(f"`port` {port}: not allowed; give one above 1023, or 0 for any that is free") from error
        raise InputError(f"`host` {host}: not an address of this machine; 127.0.0.1 serves it alone") from error
    bound = ipaddress.ip_address(server.server_name)
    token = None if bound.is_loopback else secrets.token_urlsafe(24)
    names = _LOOPBACK | {host.lower(), *((platform.node().lower(),) if bound.is_unspecified else ())}
    server.site = Site(root=root, beside=beside, hosts=frozenset(names), any_address=bound.is_unspecified, token=token)
    server.known = server.site.shelf()
    shown = "127.0.0.1" if bound.is_unspecified else host
    server.url = f"http://{shown}:{server.server_port}/" + (f"{token}/" if token else "")
    return server


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
